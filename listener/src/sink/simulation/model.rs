//! What must hold of the files, told without the code that wrote them.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::fleet::{COPY, LOG};
use crate::disk::simulated::Simulated;
use crate::options::{Compression, Period};

/// What the log was told to keep.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    pub(super) max_size: u64,
    pub(super) max_total_size: u64,
    pub(super) max_files: Option<u32>,
    pub(super) max_age: Option<Duration>,
    pub(super) period: Option<Period>,
    pub(super) compression: Compression,
    pub(super) delay_compress: bool,
    /// Some records are larger than a file may be.
    pub(super) giants: bool,
    /// The numbers in archives that retention removed, archive by archive.
    pub(super) removed: Vec<(PathBuf, Vec<u64>)>,
}

/// A record's line.
pub(super) fn line(number: u64, padding: usize) -> String {
    format!("n={number:06} {}.", "x".repeat(padding))
}

impl Bounds {
    /// How long a record is; the same for a number in every try.
    pub(super) fn padding(&self, number: u64) -> usize {
        let mixed = number.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40;
        match mixed % 40 {
            0 if self.giants => usize::try_from(self.max_size * 2).unwrap(),
            _ => usize::try_from(mixed % 90).unwrap(),
        }
    }

    /// The bytes of the log's own files, at any step.
    pub(super) fn check_total(&self, disk: &Simulated) -> Result<(), String> {
        let used = disk.used_by(is_kept);
        if used > self.max_total_size {
            let files = disk.files();
            let files = files.iter().map(|(path, b)| format!("{} {}\n", path.display(), b.len()));
            let files: String = files.collect();
            return Err(format!("{used} bytes are more than {}\n{files}", self.max_total_size));
        }
        Ok(())
    }

    /// Notes what was removed for good, and that it was nobody else's.
    pub(super) fn note_removed(&mut self, disk: &Simulated) -> Result<(), String> {
        let removed = disk.take_removed();
        let there = disk.files();
        for (path, bytes) in removed {
            let text = path.to_string_lossy().into_owned();
            if text.ends_with(".tmp") || text.ends_with("-next") {
                continue;
            }
            if text == LOG || !is_kept(&path) {
                return Err(format!("{text} was removed, which is no archive"));
            }
            let is_twin = |(other, _): &(PathBuf, Vec<u8>)| unpacked(other) == unpacked(&path);
            if there.iter().any(is_twin) {
                continue;
            }
            let numbers = numbers(&path, &bytes)?;
            let twice = |(other, found): &(PathBuf, Vec<u64>)| {
                unpacked(other) == unpacked(&path) && *found == numbers
            };
            // An archive that is there twice is removed twice.
            if !self.removed.iter().any(twice) {
                self.removed.push((path, numbers));
            }
        }
        Ok(())
    }

    /// At the end: every record once, in order, within the limits.
    pub(super) fn judge(&self, disk: &Simulated, last: u64, sinks: usize) -> Result<(), String> {
        let mut sources: BTreeMap<PathBuf, Vec<u64>> = BTreeMap::new();
        let mut copy = Vec::new();
        for (path, bytes) in disk.files() {
            let text = path.to_string_lossy().into_owned();
            if text.ends_with(".tmp") || text.ends_with("-next") {
                return Err(format!("{text} was left behind"));
            }
            let found = numbers(&path, &bytes)?;
            if text.starts_with(COPY) {
                copy.extend(found);
                continue;
            }
            if found.len() > 1 && plain_len(&path, &bytes)? > self.max_size {
                return Err(format!("{text} is larger than {}", self.max_size));
            }
            if sources.insert(unpacked(&path), found).is_some() {
                return Err(format!("{text} is there packed and unpacked"));
            }
        }
        let archives = sources.keys().filter(|path| is_archive(path)).count();
        if let Some(most) = self.max_files
            && archives > most as usize
        {
            return Err(format!("{archives} archives are more than {most}"));
        }
        self.demand_oldest_removed(&sources)?;
        let kept = sources.values().flatten().copied();
        let mut all: Vec<u64> = kept.chain(self.removed_numbers()).collect();
        all.sort_unstable();
        demand_each_once(&all, last).map_err(|fault| {
            let files =
                sources.iter().map(|(path, numbers)| format!("{} {numbers:?}\n", path.display()));
            let removed =
                self.removed.iter().map(|(path, n)| format!("gone {} {n:?}\n", path.display()));
            format!("{fault}\n{}", files.chain(removed).collect::<String>())
        })?;
        copy.sort_unstable();
        if sinks > 1 { demand_each_once(&copy, last) } else { Ok(()) }
    }

    fn removed_numbers(&self) -> impl Iterator<Item = u64> + '_ {
        self.removed.iter().flat_map(|(_, numbers)| numbers.iter().copied())
    }

    fn demand_oldest_removed(&self, sources: &BTreeMap<PathBuf, Vec<u64>>) -> Result<(), String> {
        let kept = sources.iter().filter(|(path, _)| is_archive(path) || path == &Path::new(LOG));
        let oldest_kept = kept.flat_map(|(_, numbers)| numbers).min();
        let newest_removed = self.removed_numbers().max();
        if let (Some(kept), Some(removed)) = (oldest_kept, newest_removed)
            && removed > *kept
        {
            return Err(format!("record {removed} was removed before record {kept}"));
        }
        let keeps_all =
            self.max_total_size == u64::MAX && self.max_files.is_none() && self.max_age.is_none();
        if keeps_all && !self.removed.is_empty() {
            return Err(format!("{:?} was removed for no reason", self.removed[0].0));
        }
        Ok(())
    }
}

fn demand_each_once(numbers: &[u64], last: u64) -> Result<(), String> {
    if numbers.iter().copied().eq(1..=last) {
        return Ok(());
    }
    let wrong = numbers.iter().zip(1..).find(|(found, expected)| *found != expected);
    Err(format!("{} of {last} records, the first wrong one: {wrong:?}", numbers.len()))
}

/// The numbers in a file; an error over a line that is not whole, or out of order.
pub(super) fn numbers(path: &Path, bytes: &[u8]) -> Result<Vec<u64>, String> {
    let name = path.display();
    let bytes = unpack(path, bytes)?;
    if bytes.last().is_some_and(|byte| *byte != b'\n') {
        return Err(format!("{name} ends inside of a line"));
    }
    let mut numbers = Vec::new();
    for line in String::from_utf8_lossy(&bytes).lines() {
        let number = line.strip_prefix("n=").and_then(|rest| rest.get(..6)?.parse().ok());
        match number.filter(|_| line.ends_with('.')) {
            Some(number) if numbers.last().is_none_or(|last| *last < number) => {
                numbers.push(number);
            }
            _ => return Err(format!("{name} has the line {line:?} behind {:?}", numbers.last())),
        }
    }
    Ok(numbers)
}

fn plain_len(path: &Path, bytes: &[u8]) -> Result<u64, String> {
    unpack(path, bytes).map(|bytes| bytes.len() as u64)
}

fn unpack(path: &Path, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut plain = Vec::new();
    let unpacked = match path.extension().and_then(|end| end.to_str()) {
        Some("gz") => flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut plain),
        Some("zst") => zstd::stream::read::Decoder::new(bytes)
            .and_then(|mut decoder| decoder.read_to_end(&mut plain)),
        _ => return Ok(bytes.to_vec()),
    };
    unpacked.map(|_| plain).map_err(|error| format!("{} is broken: {error}", path.display()))
}

/// The log's current file, its archives, and what is made for them; not what others moved away.
fn is_kept(path: &Path) -> bool {
    path == Path::new(LOG) || is_archive(path)
}

fn is_archive(path: &Path) -> bool {
    path.to_string_lossy().starts_with("/log/apps.2026")
}

fn unpacked(path: &Path) -> PathBuf {
    match path.extension().and_then(|end| end.to_str()) {
        Some("gz" | "zst") => path.with_extension(""),
        _ => path.to_owned(),
    }
}
