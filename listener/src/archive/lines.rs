//! Lines of a file, one after the other, from its beginning.
//!
//! Memory stays bounded: of a line that is longer than any record could make it, the beginning is
//! kept and the rest is counted.

use std::io::{self, BufRead as _, BufReader, Read};

/// The most bytes of a line that are kept. A record of 1 MiB in which every byte is escaped, and
/// whose spans stand in JSON twice, has fewer.
pub(crate) const LINE_MAX: usize = 16 << 20;

/// How much is read at a time.
const CHUNK: usize = 256 << 10;

/// Where a line stands and how it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its first byte.
    pub(crate) offset: u64,
    /// Its number, from 1.
    pub(crate) number: u64,
    /// It ended with a newline.
    pub(crate) is_ended: bool,
    /// Bytes that were left out, because nothing that is a record is so long.
    pub(crate) left_out: u64,
}

/// Reads lines.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    input: BufReader<R>,
    /// The line that was read last.
    place: Place,
    /// Where the next line begins, and so many bytes were read.
    pub(crate) read: u64,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(input: R) -> Self {
        let input = BufReader::with_capacity(CHUNK, input);
        Self { input, place: Place::default(), read: 0 }
    }

    /// Reads the next line into `line`, without its newline; `None` at the end.
    pub(crate) fn next(&mut self, line: &mut Vec<u8>) -> io::Result<Option<Place>> {
        line.clear();
        self.place = Place { offset: self.read, number: self.place.number + 1, ..Place::default() };
        self.go_on(line)
    }

    /// Reads more of a line that had not ended, in case somebody has written it by now.
    pub(crate) fn go_on(&mut self, line: &mut Vec<u8>) -> io::Result<Option<Place>> {
        while !self.place.is_ended {
            let room = (LINE_MAX - line.len()) as u64;
            let read = if room > 0 {
                let read = (&mut self.input).take(room).read_until(b'\n', line)?;
                self.place.is_ended = line.last() == Some(&b'\n') && read > 0;
                read as u64
            } else {
                self.skip()?
            };
            self.read += read;
            // What ended neither with its line nor at the limit ended with the file.
            if read == 0 || (room > 0 && read < room) {
                break;
            }
        }
        if self.place.is_ended && line.last() == Some(&b'\n') && self.place.left_out == 0 {
            line.pop();
        }
        let is_there = self.read > self.place.offset;
        if !is_there {
            self.place.number -= 1;
        }
        Ok(is_there.then_some(self.place))
    }

    /// Leaves a part of a line out; tells how many bytes it was.
    fn skip(&mut self) -> io::Result<u64> {
        let bytes = self.input.fill_buf()?;
        let newline = bytes.iter().position(|byte| *byte == b'\n');
        let used = newline.map_or(bytes.len(), |at| at + 1);
        self.place.is_ended = newline.is_some();
        self.place.left_out += used as u64 - u64::from(newline.is_some());
        self.input.consume(used);
        Ok(used as u64)
    }

    /// The input, for whoever wants to look at its file.
    pub(crate) fn input(&self) -> &R {
        self.input.get_ref()
    }

    /// The input, for whoever allows it to be read further.
    pub(crate) fn input_mut(&mut self) -> &mut R {
        self.input.get_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Vec<(Vec<u8>, Place)> {
        let mut lines = Lines::new(bytes);
        let mut line = Vec::new();
        let mut found = Vec::new();
        while let Some(place) = lines.next(&mut line).unwrap() {
            found.push((line.clone(), place));
        }
        found
    }

    #[test]
    fn each_line_comes_with_its_place() {
        let found = all(b"one\n\nthree");
        let place = |offset, number, is_ended| Place { offset, number, is_ended, left_out: 0 };
        assert_eq!(
            found,
            [
                (b"one".to_vec(), place(0, 1, true)),
                (b"".to_vec(), place(4, 2, true)),
                (b"three".to_vec(), place(5, 3, false)),
            ]
        );
        assert!(all(b"").is_empty());
    }

    #[test]
    fn a_line_beyond_the_limit_is_cut_and_the_next_one_is_whole() {
        for more in [0, 1, 2, 700_000] {
            let mut bytes = vec![b'x'; LINE_MAX + more];
            bytes.extend_from_slice(b"\nnext\n");
            let found = all(&bytes);
            assert_eq!(found.len(), 2);
            assert_eq!(found[0].0.len(), LINE_MAX);
            assert_eq!((found[0].1.left_out, found[0].1.is_ended), (more as u64, true));
            assert_eq!(found[1].0, b"next");
            assert_eq!((found[1].1.offset, found[1].1.number), ((LINE_MAX + more + 1) as u64, 2));
        }
    }

    #[test]
    fn a_line_that_grows_is_read_to_its_end() {
        struct Slow(Vec<&'static [u8]>);
        impl Read for Slow {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                if self.0.is_empty() {
                    return Ok(0);
                }
                let part = self.0.remove(0);
                buffer[..part.len()].copy_from_slice(part);
                Ok(part.len())
            }
        }
        let mut lines = Lines::new(Slow(vec![b"ha", b"", b"lf\nne", b"", b"", b"xt\n"]));
        let mut line = Vec::new();
        assert!(!lines.next(&mut line).unwrap().unwrap().is_ended);
        let place = lines.go_on(&mut line).unwrap().unwrap();
        assert_eq!((&line[..], place.is_ended, place.number), (&b"half"[..], true, 1));
        assert!(!lines.next(&mut line).unwrap().unwrap().is_ended);
        assert!(!lines.go_on(&mut line).unwrap().unwrap().is_ended);
        let place = lines.go_on(&mut line).unwrap().unwrap();
        assert_eq!((&line[..], place.offset, place.number), (&b"next"[..], 5, 2));
    }
}
