//! What arrived: every line of a file is read, and every record is looked for.
//!
//! A peer that loses lines is faster for it, so no figure stands in the tables without this
//! verdict.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::PathBuf;

use crate::workload::size_of_item;

/// Bytes of a timestamp: `2026-11-22T10:00:00.123456Z`.
const TIME_LEN: usize = 27;

/// The verdict on one file, or on several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Lines that are there.
    pub(crate) lines: u64,
    /// Records that should be there.
    pub(crate) expected: u64,
    /// Records that are not there.
    pub(crate) lost: u64,
    /// Lines beyond the first of a record.
    pub(crate) doubled: u64,
    /// Lines that are no whole record.
    pub(crate) torn: u64,
    /// Whole lines whose time is before that of a line above them.
    pub(crate) late: u64,
}

impl Verdict {
    pub(crate) const fn is_complete(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.torn == 0 && self.lines == self.expected
    }

    /// Records that are there.
    pub(crate) const fn kept(&self) -> u64 {
        self.expected - self.lost
    }

    pub(crate) const fn add(&mut self, other: Self) {
        self.lines += other.lines;
        self.expected += other.expected;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.torn += other.torn;
        self.late += other.late;
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_complete() {
            return f.write_str("complete");
        }
        let Self { lost, doubled, torn, expected, .. } = self;
        write!(f, "INCOMPLETE: {lost} lost, {doubled} doubled, {torn} torn of {expected}")
    }
}

/// Reads the files, in their order, in which each worker should have its number of records.
pub(crate) fn judge(files: &[PathBuf], records: &[u32]) -> io::Result<Verdict> {
    let expected = records.iter().copied().map(u64::from).sum();
    let mut verdict = Verdict { expected, ..Verdict::default() };
    let mut seen: Vec<_> = records.iter().map(|records| vec![false; *records as usize]).collect();
    let mut latest = Vec::new();
    for file in files {
        let reader = BufReader::with_capacity(1 << 20, File::open(file)?);
        read(reader, &mut verdict, &mut seen, &mut latest)?;
    }
    verdict.lost = seen.iter().flatten().filter(|there| !**there).count() as u64;
    Ok(verdict)
}

/// Looks at every line of one file.
fn read(
    mut reader: BufReader<File>,
    verdict: &mut Verdict,
    seen: &mut [Vec<bool>],
    latest: &mut Vec<u8>,
) -> io::Result<()> {
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        verdict.lines += 1;
        match parse(&line) {
            Some(found) => {
                let place = seen.get_mut(found.worker as usize);
                match place.and_then(|items| items.get_mut(found.item as usize)) {
                    Some(place) if *place => verdict.doubled += 1,
                    Some(place) => *place = true,
                    None => verdict.torn += 1,
                }
                if *found.time < **latest {
                    verdict.late += 1;
                } else {
                    latest.clear();
                    latest.extend_from_slice(found.time);
                }
            }
            None => verdict.torn += 1,
        }
        line.clear();
    }
    Ok(())
}

struct Found<'l> {
    worker: u32,
    item: u32,
    time: &'l [u8],
}

/// Reads a whole line of either layout: `<time>  INFO <worker> ...` of fleetlog, `<worker>
/// <time>  INFO ...` of the others. Anything else is `None`.
fn parse(line: &[u8]) -> Option<Found<'_>> {
    let line = line.strip_suffix(b"\n")?;
    let (worker, time, rest) = if line.starts_with(b"worker ") {
        let (worker, rest) = take_worker(line)?;
        let (time, rest) = take_time(rest)?;
        (worker, time, rest)
    } else {
        let (time, rest) = take_time(line)?;
        let (worker, rest) = take_worker(rest)?;
        (worker, time, rest)
    };
    let (message_item, rest) =
        take_number(rest.strip_prefix(b"app::job: finished working on item ")?)?;
    let (item, rest) = take_number(rest.strip_prefix(b" item=")?)?;
    let (size, rest) = take_number(rest.strip_prefix(b" size=")?)?;
    let whole = rest.is_empty() && item == message_item && size == size_of_item(item);
    whole.then_some(Found { worker, item, time })
}

fn take_worker(text: &[u8]) -> Option<(u32, &[u8])> {
    let (worker, rest) = take_number(text.strip_prefix(b"worker ")?)?;
    let (_pid, rest) = take_number(rest.strip_prefix(b"[")?)?;
    Some((worker, rest.strip_prefix(b"] ")?))
}

fn take_time(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (time, rest) = text.split_at_checked(TIME_LEN)?;
    let whole = time.starts_with(b"20") && time.ends_with(b"Z");
    whole.then_some((time, rest.strip_prefix(b"  INFO ")?))
}

fn take_number(text: &[u8]) -> Option<(u32, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at(digits);
    Some((std::str::from_utf8(number).ok()?.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(worker: u32, item: u32) -> String {
        let size = size_of_item(item);
        format!(
            "2026-11-22T10:00:00.{item:06}Z  INFO worker {worker}[7] app::job: finished working on \
             item {item} item={item} size={size}\n"
        )
    }

    fn judge_text(text: &str) -> Verdict {
        judge_texts(&[text])
    }

    fn judge_texts(texts: &[&str]) -> Verdict {
        let folder = tempfile::tempdir().unwrap();
        let mut files = Vec::new();
        for (number, text) in texts.iter().enumerate() {
            files.push(folder.path().join(number.to_string()));
            std::fs::write(&files[number], text).unwrap();
        }
        judge(&files, &[2, 2]).unwrap()
    }

    #[test]
    fn a_log_may_have_several_files() {
        let files = [line(0, 0) + &line(1, 0), line(0, 1) + &line(1, 1)];
        let verdict = judge_texts(&[&files[0], &files[1]]);
        assert!(verdict.is_complete(), "{verdict:?}");
        let doubled = judge_texts(&[&files[0], &files[0]]);
        assert_eq!((doubled.doubled, doubled.lost), (2, 2));
    }

    #[test]
    fn a_file_with_every_record_once_is_complete() {
        let verdict = judge_text(&[line(0, 0), line(1, 0), line(1, 1), line(0, 1)].concat());
        assert!(verdict.is_complete(), "{verdict:?}");
        assert_eq!(verdict.late, 0);
    }

    #[test]
    fn lost_doubled_torn_and_late_lines_are_told_apart() {
        let (first, second) = (line(0, 0), line(0, 1));
        let torn = line(1, 1).replace("item=1", "item=0");
        let verdict = judge_text(&[&*second, &first, &first, &torn].concat());
        let found = (verdict.lost, verdict.doubled, verdict.torn, verdict.late);
        assert_eq!(found, (2, 1, 1, 2));
        assert!(verdict.to_string().starts_with("INCOMPLETE"), "{verdict}");
    }

    #[test]
    fn a_last_line_without_its_end_is_torn() {
        let text = [line(0, 0), line(0, 1), line(1, 0), line(1, 1)].concat();
        assert_eq!(judge_text(&text[..text.len() - 1]).torn, 1);
    }
}
