//! Lines of a file, one after the other, from its end.
//!
//! The file is read in blocks from the end on, so that its last lines cost nothing of its length.
//! Memory stays bounded as it does on the way forward.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::LINE_MAX;

/// How much is read at a time.
const BLOCK: u64 = 64 << 10;

/// Reads lines backwards.
#[derive(Debug)]
pub(crate) struct Backward {
    file: File,
    /// Bytes of the file from `start` on; none of them was given out.
    buffer: Vec<u8>,
    start: u64,
    /// Where the line before ends, behind its newline.
    end: u64,
}

impl Backward {
    /// Reads what stands before `end`.
    pub(crate) const fn new(file: File, end: u64) -> Self {
        Self { file, buffer: Vec::new(), start: end, end }
    }

    /// Reads the line before, without its newline, into `line`; false at the beginning.
    pub(crate) fn previous(&mut self, line: &mut Vec<u8>) -> io::Result<bool> {
        line.clear();
        if self.end == 0 {
            return Ok(false);
        }
        if self.start == self.end {
            self.fetch()?;
        }
        let text_end = match self.buffer.last() {
            Some(b'\n') => self.end - 1,
            _ => self.end,
        };
        let begin = self.find_begin(text_end)?;
        let length = usize::try_from(text_end - begin).unwrap_or(usize::MAX).min(LINE_MAX);
        match usize::try_from(begin.saturating_sub(self.start)) {
            Ok(at) if begin >= self.start && self.buffer.len() >= at + length => {
                line.extend_from_slice(&self.buffer[at..at + length]);
            }
            // Its end was let go of while its beginning was looked for.
            _ => {
                line.resize(length, 0);
                self.file.read_exact_at(line, begin)?;
            }
        }
        self.end = begin;
        let kept = usize::try_from(begin.saturating_sub(self.start)).unwrap_or(0);
        self.buffer.truncate(kept);
        Ok(true)
    }

    /// Where the line begins that was read last.
    pub(crate) const fn place(&self) -> u64 {
        self.end
    }

    /// Where the line begins that ends at `text_end`.
    fn find_begin(&mut self, text_end: u64) -> io::Result<u64> {
        let mut searched = text_end;
        loop {
            let until = usize::try_from(searched.saturating_sub(self.start)).unwrap_or(0);
            let until = until.min(self.buffer.len());
            if let Some(at) = self.buffer[..until].iter().rposition(|byte| *byte == b'\n') {
                return Ok(self.start + at as u64 + 1);
            }
            if self.start == 0 {
                return Ok(0);
            }
            searched = self.start;
            if self.buffer.len() > LINE_MAX {
                self.buffer.clear();
            }
            self.fetch()?;
        }
    }

    /// Reads what stands before the buffer: as much again, so that a long line is not moved about
    /// block by block.
    fn fetch(&mut self) -> io::Result<()> {
        let length = (self.buffer.len() as u64).clamp(BLOCK, LINE_MAX as u64).min(self.start);
        let start = self.start - length;
        let mut block = vec![0; usize::try_from(length).unwrap_or(0)];
        self.file.read_exact_at(&mut block, start)?;
        block.append(&mut self.buffer);
        (self.buffer, self.start) = (block, start);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn backward(bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let mut lines = Backward::new(file, bytes.len() as u64);
        let mut line = Vec::new();
        let mut found = Vec::new();
        while lines.previous(&mut line).unwrap() {
            found.push(line.clone());
        }
        found.reverse();
        found
    }

    fn forward(bytes: &[u8]) -> Vec<Vec<u8>> {
        let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        if bytes.is_empty() {
            return Vec::new();
        }
        text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn lines_of_every_length_come_in_the_opposite_order() {
        let block = usize::try_from(BLOCK).unwrap();
        for lengths in [
            vec![],
            vec![0],
            vec![0, 0, 0],
            vec![1, 2, 3],
            vec![block - 1, block, block + 1, 0, 5],
            vec![3 * block, 1, 5 * block],
            (0..5000).map(|n| n % 97).collect(),
        ] {
            let mut bytes = Vec::new();
            for (n, length) in lengths.iter().enumerate() {
                bytes.extend(std::iter::repeat_n(b'a' + u8::try_from(n % 26).unwrap(), *length));
                bytes.push(b'\n');
            }
            assert!(backward(&bytes) == forward(&bytes), "{lengths:?}");
            bytes.extend_from_slice(b"without an end");
            assert!(backward(&bytes) == forward(&bytes), "{lengths:?}, and one without an end");
        }
    }

    #[test]
    fn a_line_beyond_the_limit_is_cut_at_its_end_and_its_neighbours_are_whole() {
        let mut bytes = b"before\n".to_vec();
        bytes.extend(std::iter::repeat_n(b'x', 3 * LINE_MAX));
        bytes[7] = b'f';
        bytes.extend_from_slice(b"\nbehind\n");
        let found = backward(&bytes);
        assert_eq!(found.len(), 3);
        assert_eq!((&found[0][..], &found[2][..]), (&b"before"[..], &b"behind"[..]));
        assert_eq!((found[1].len(), found[1][0], found[1][1]), (LINE_MAX, b'f', b'x'));
    }
}
