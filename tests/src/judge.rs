//! The judge: reads every line of JSON log files and proves what is in them.
//!
//! EXACT means: each record that a worker logged is there once, whole, and in the order of its
//! thread's calls. A workload numbers its records per source (a thread of a process) in the
//! fields `source` and `n`; the queue numbers them in `seq`. The judge checks both, so that a
//! lost, doubled or swapped record can't hide.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::chapters;

/// A parsed line.
#[derive(Debug, Deserialize)]
pub struct Line {
    /// Wall-clock time.
    pub timestamp: String,
    /// The level's name.
    pub level: String,
    /// The target.
    pub target: String,
    /// The worker's name.
    pub worker: String,
    /// The worker's pid.
    pub pid: u32,
    /// The lane; 0 = the socket.
    pub lane: u32,
    /// The sequence number; 0 = the listener's own line.
    pub seq: u64,
    /// `listener` in the listener's own lines, and in no others.
    pub origin: Option<String>,
    /// Message and fields.
    pub fields: HashMap<String, Value>,
}

/// What a workload logged.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Records of workers.
    pub records: u64,
    /// Lines of the listener itself, by message.
    pub notices: Vec<(String, Line)>,
    /// For each source the numbers in the order of the file.
    pub sources: HashMap<String, Vec<u64>>,
    /// Every finding that contradicts EXACT.
    pub faults: Vec<String>,
}

/// Reads the lines of a log's files, the oldest first; panics at a line that is not whole.
#[must_use]
pub fn lines(log: &Path) -> Vec<Line> {
    chapters::of(log).iter().flat_map(|file| lines_of_file(file)).collect()
}

/// Reads the lines of one file, whatever it is packed with.
#[must_use]
pub fn lines_of_file(log: &Path) -> Vec<Line> {
    let bytes = chapters::read(log);
    if bytes.is_empty() {
        return Vec::new();
    }
    assert_eq!(bytes.last(), Some(&b'\n'), "the last line of {} is torn", log.display());
    bytes[..bytes.len() - 1]
        .split(|byte| *byte == b'\n')
        .enumerate()
        .map(|(number, line)| {
            serde_json::from_slice(line).unwrap_or_else(|error| {
                let text = String::from_utf8_lossy(&line[..line.len().min(300)]);
                panic!("{}:{}: {error}: {text}", log.display(), number + 1)
            })
        })
        .collect()
}

/// Judges a log of text lines, which tell of a record its `source` and `n` and nothing else
/// that could be checked.
#[must_use]
pub fn judge_text(log: &Path) -> Verdict {
    let bytes = chapters::of(log).iter().flat_map(|file| chapters::read(file)).collect();
    let text = String::from_utf8(bytes).expect("UTF-8");
    assert!(text.is_empty() || text.ends_with('\n'), "the last line of {} is torn", log.display());
    let mut verdict = Verdict::default();
    for line in text.lines() {
        let word = |name| {
            let mut words = line.split(' ').filter_map(|word| word.strip_prefix(name));
            words.next().map(|value| value.trim_matches('"'))
        };
        match (word("source="), word("n=").and_then(|n| n.parse().ok())) {
            (Some(source), Some(n)) => {
                verdict.records += 1;
                // As the JSON judge names it, quotes and all.
                let source = Value::from(source).to_string();
                verdict.sources.entry(source).or_default().push(n);
            }
            (None, None) => {}
            _ => verdict.faults.push(format!("half a record: {line}")),
        }
    }
    verdict
}

/// Judges a log.
#[must_use]
pub fn judge(log: &Path) -> Verdict {
    judge_lines(lines(log))
}

/// Judges files of a log that somebody scattered, so that no name tells which one came first: each
/// is judged for itself, and each source's numbers are put in order across them.
#[must_use]
pub fn judge_scattered(files: &[PathBuf]) -> Verdict {
    let mut verdict = Verdict::default();
    for file in files {
        let own = judge_lines(lines_of_file(file));
        for (source, numbers) in &own.sources {
            if let Some(pair) = numbers.windows(2).find(|pair| pair[0] >= pair[1]) {
                let file = file.display();
                verdict.faults.push(format!("{source}: {pair:?} stand in this order in {file}"));
            }
        }
        verdict.add(own);
    }
    verdict.sources.values_mut().for_each(|numbers| numbers.sort_unstable());
    verdict
}

fn judge_lines(lines: Vec<Line>) -> Verdict {
    let mut verdict = Verdict::default();
    let mut positions: HashMap<(u32, u32, String), u64> = HashMap::new();
    for line in lines {
        if (line.seq == 0) != (line.origin.as_deref() == Some("listener")) {
            verdict.faults.push(format!("its number and its origin contradict: {line:?}"));
        }
        if line.seq == 0 {
            let message = line.fields.get("message").and_then(Value::as_str).unwrap_or_default();
            verdict.notices.push((message.to_owned(), line));
            continue;
        }
        verdict.records += 1;
        // A pid may come again with another worker, of another name; within one, numbers only go
        // up by one, but for the numbers that a gap explains.
        let (pid, lane, seq) = (line.pid, line.lane, line.seq);
        if let Some(source) = line.fields.get("source").map(ToString::to_string) {
            let position = positions.entry((pid, lane, line.worker.clone())).or_default();
            if seq <= *position {
                verdict.faults.push(format!("{source}: sequence {seq} behind {position}"));
            }
            *position = seq;
            match line.fields.get("n").and_then(Value::as_u64) {
                Some(n) => verdict.sources.entry(source).or_default().push(n),
                None => verdict.faults.push(format!("{source}: a record without a number")),
            }
        }
    }
    verdict
}

impl Verdict {
    /// Demands that each of `sources` sources logged exactly `0..records`, in order.
    pub fn demand_exact(&self, sources: usize, records: u64) {
        let mut faults = self.faults.clone();
        if self.sources.len() != sources {
            faults.push(format!("{} sources instead of {sources}", self.sources.len()));
        }
        for (source, numbers) in &self.sources {
            faults.extend(fault_of(source, numbers, records));
        }
        faults.extend(self.losses());
        assert!(faults.is_empty(), "not EXACT: {}", faults[..faults.len().min(20)].join("\n"));
    }

    /// Demands that each source logged exactly `0..count`, in order, and that there are no others.
    pub fn demand_counts(&self, counts: &HashMap<String, u64>) {
        let mut faults = self.faults.clone();
        for (source, count) in counts {
            let numbers = self.sources.get(source).map_or(&[][..], Vec::as_slice);
            faults.extend(fault_of(source, numbers, *count));
        }
        let unknown = self.sources.keys().filter(|source| !counts.contains_key(*source));
        faults.extend(unknown.map(|source| format!("nobody logged as {source}")));
        faults.extend(self.losses());
        assert!(faults.is_empty(), "not EXACT: {}", faults[..faults.len().min(20)].join("\n"));
    }

    /// Adds what another file holds, of other sources or of the same.
    pub fn add(&mut self, other: Self) {
        self.records += other.records;
        self.notices.extend(other.notices);
        self.faults.extend(other.faults);
        for (source, numbers) in other.sources {
            self.sources.entry(source).or_default().extend(numbers);
        }
    }

    /// Demands that each source logged a prefix of its numbers in order, at least as many as
    /// `returned` tells of it.
    pub fn demand_prefixes(&self, returned: &HashMap<String, u64>) {
        let mut faults = self.faults.clone();
        for (source, least) in returned {
            let numbers = self.sources.get(source).map_or(&[][..], Vec::as_slice);
            faults.extend(fault_of(source, numbers, numbers.len() as u64));
            if (numbers.len() as u64) < *least {
                faults.push(format!(
                    "{source}: {least} calls had returned, {} records are in the file",
                    numbers.len()
                ));
            }
        }
        faults.extend(self.losses());
        assert!(faults.is_empty(), "not EXACT: {}", faults[..faults.len().min(20)].join("\n"));
    }

    /// Notices that tell of lost records.
    fn losses(&self) -> impl Iterator<Item = String> + '_ {
        let is_loss = |message: &str| {
            message.contains("missing") || message.contains("dropped") || message.contains("read")
        };
        self.notices.iter().filter(move |(message, _)| is_loss(message)).map(|(message, line)| {
            format!("{} [{}]: {message} {:?}", line.worker, line.pid, line.fields)
        })
    }
}

/// The counts of returned calls that a workload left in a folder, by source as the judge names
/// it. They were written after each call, so that they outlive whoever was killed.
#[must_use]
pub fn returned_calls(folder: &Path) -> HashMap<String, u64> {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let source = format!("{:?}", name.strip_prefix("returned.")?);
            let count = fs::read(entry.path()).expect("a count");
            // A worker that was killed before its first call returned has counted nothing.
            Some((source, count.try_into().map_or(0, u64::from_le_bytes)))
        })
        .collect()
}

fn fault_of(source: &str, numbers: &[u64], records: u64) -> Option<String> {
    if numbers.len() as u64 == records && numbers.iter().copied().eq(0..records) {
        return None;
    }
    let wrong = numbers.iter().zip(0..).find(|(found, expected)| *found != expected);
    Some(format!("{source}: {} of {records} records, first wrong: {wrong:?}", numbers.len()))
}
