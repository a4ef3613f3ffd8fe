//! The proof: every item of every worker stands in the file exactly once, in order.
//!
//! It reads the file from its first to its last line and remembers one number for each worker, so
//! that it needs no more memory for a million records than for ten.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use serde::Deserialize;

use super::super::table::things;
use super::worker;

/// What a file holds behind an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// The bytes of the whole file.
    pub(super) bytes: u64,
    /// The newlines behind the offset.
    pub(super) lines: u64,
    /// The last line has no end.
    pub(super) torn: bool,
}

/// Opens a file at an offset.
pub(super) fn open_at(path: &Path, offset: u64) -> io::Result<File> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    Ok(file)
}

/// Counts the lines of a file behind an offset.
pub(super) fn lines_of(path: &Path, offset: u64) -> io::Result<Extent> {
    let mut file = open_at(path, offset)?;
    let mut extent = Extent { bytes: offset, lines: 0, torn: false };
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = file.read(&mut buffer)?;
        let Some(last) = buffer[..read].last() else { return Ok(extent) };
        extent.torn = *last != b'\n';
        extent.bytes += read as u64;
        extent.lines += buffer[..read].iter().filter(|byte| **byte == b'\n').count() as u64;
    }
}

/// What was found in the file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    /// All lines.
    pub(super) lines: u64,
    /// Items that never came.
    missing: u64,
    /// Items that came again, or behind a later one of their worker.
    again: u64,
    /// Lines of the demo's own target that no worker wrote.
    strange: u64,
    /// Lines that are no JSON.
    unreadable: u64,
}

impl Findings {
    /// What speaks against the file.
    pub(super) fn faults(&self) -> Vec<String> {
        [
            (self.missing, "record", "missing"),
            (self.again, "record", "doubled or out of order"),
            (self.strange, "record", "of nobody"),
            (self.unreadable, "line", "not whole"),
        ]
        .into_iter()
        .filter(|(number, ..)| *number > 0)
        .map(|(number, thing, fault)| {
            let is = if number == 1 { "is" } else { "are" };
            format!("{} {is} {fault}", things(number, thing))
        })
        .collect()
    }
}

#[derive(Deserialize)]
struct Line<'l> {
    #[serde(borrow, default)]
    worker: std::borrow::Cow<'l, str>,
    #[serde(borrow, default)]
    target: std::borrow::Cow<'l, str>,
    #[serde(default)]
    fields: Fields,
}

#[derive(Default, Deserialize)]
struct Fields {
    item: Option<u32>,
}

/// Reads a file of JSON lines that `workers` workers with `items` items each have written.
pub(super) fn examine(path: &Path, workers: u32, items: u32) -> io::Result<Findings> {
    let mut findings = Findings::default();
    // The next item of each worker.
    let mut next: HashMap<String, u32> = (0..workers).map(|n| (worker::name(n), 0)).collect();
    let mut reader = BufReader::with_capacity(256 << 10, File::open(path)?);
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes)? > 0 {
        findings.lines += 1;
        match serde_json::from_slice::<Line<'_>>(&bytes) {
            Ok(line) if line.target != worker::TARGET => {}
            Ok(line) => match (next.get_mut(line.worker.as_ref()), line.fields.item) {
                (Some(next), Some(item)) if item < items => {
                    if item < *next {
                        findings.again += 1;
                    } else {
                        findings.missing += u64::from(item - *next);
                        *next = item + 1;
                    }
                }
                _ => findings.strange += 1,
            },
            Err(_) => findings.unreadable += 1,
        }
        bytes.clear();
    }
    findings.missing += next.values().map(|next| u64::from(items - next)).sum::<u64>();
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(worker: u32, item: u32) -> String {
        format!(
            "{{\"worker\":\"worker {worker}\",\"target\":\"{}\",\"fields\":{{\"item\":{item}}}}}\n",
            worker::TARGET
        )
    }

    fn found(text: &str) -> Findings {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("proof.json");
        std::fs::write(&path, text).unwrap();
        examine(&path, 2, 2).unwrap()
    }

    #[test]
    fn a_whole_file_has_no_fault() {
        let other = "{\"worker\":\"worker 0\",\"target\":\"other\"}\n";
        let whole = [line(0, 0), line(1, 0), other.to_owned(), line(1, 1), line(0, 1)].concat();
        let found = found(&whole);
        assert_eq!((found.lines, found.faults()), (5, vec![]));
    }

    #[test]
    fn each_kind_of_fault_is_found() {
        for (text, fault) in [
            ([line(0, 0), line(0, 1), line(1, 0)].concat(), "1 record is missing"),
            ([line(0, 1), line(1, 0), line(1, 1)].concat(), "1 record is missing"),
            (String::new(), "4 records are missing"),
            (
                [line(0, 0), line(0, 0), line(0, 1), line(1, 0), line(1, 1)].concat(),
                "1 record is doubled or out of order",
            ),
            (
                [line(0, 0), line(0, 1), line(1, 0), line(1, 1), line(2, 0)].concat(),
                "1 record is of nobody",
            ),
            (
                [line(0, 0), line(0, 1), line(1, 0), line(1, 1), line(1, 2)].concat(),
                "1 record is of nobody",
            ),
            (
                [line(0, 0), line(0, 1), line(1, 0), line(1, 1), "{\"wor".into()].concat(),
                "1 line is not whole",
            ),
        ] {
            assert_eq!(found(&text).faults(), [fault], "{text}");
        }
    }

    #[test]
    fn lines_are_counted_behind_the_offset_and_a_torn_one_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "old\nnew\nnewer\n").unwrap();
        let extent = lines_of(&path, 4).unwrap();
        assert_eq!(extent, Extent { bytes: 14, lines: 2, torn: false });
        std::fs::write(&path, "whole\ntorn").unwrap();
        assert!(lines_of(&path, 0).unwrap().torn);
    }
}
