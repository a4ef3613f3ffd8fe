//! The files of one log in the order in which they were written: its archives, then the current
//! one. Written anew here, so that the tests do not believe the code that they test.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The files of a log that are there, the oldest first. An archive that is there packed and
/// unpacked counts once.
#[must_use]
pub fn of(log: &Path) -> Vec<PathBuf> {
    let mut files = archives(log);
    files.dedup_by(|later, earlier| unpacked_name(later) == unpacked_name(earlier));
    if log.exists() {
        files.push(log.to_owned());
    }
    files
}

/// The archives of a log, every file, the oldest first.
#[must_use]
pub fn archives(log: &Path) -> Vec<PathBuf> {
    let stem = log.file_stem().and_then(OsStr::to_str).expect("a name");
    let end = log.extension().and_then(OsStr::to_str).map(|end| format!(".{end}"));
    let end = end.unwrap_or_default();
    let is_archive = |path: &PathBuf| {
        let name = unpacked_name(path);
        let time = name.strip_prefix(&format!("{stem}.")).and_then(|n| n.strip_suffix(&end));
        // 2026-11-22T10-00-00Z, with _0001 behind it for the second one of a second.
        time.is_some_and(|time| {
            let (time, number) = time.split_once('_').unwrap_or((time, "0000"));
            let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            time.len() == 20
                && time.ends_with('Z')
                && time.as_bytes()[10] == b'T'
                && digits(&time[..4])
                && number.len() == 4
                && digits(number)
        })
    };
    let folder = fs::read_dir(log.parent().expect("a folder")).expect("a folder");
    let mut files: Vec<_> = folder.flatten().map(|entry| entry.path()).filter(is_archive).collect();
    files.sort();
    files
}

/// The bytes that were written to a file, whatever it is packed with. Panics over one that is not
/// whole.
#[must_use]
pub fn read(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let read = match path.extension().and_then(OsStr::to_str) {
        Some("gz") => flate2::read::MultiGzDecoder::new(file).read_to_end(&mut bytes),
        Some("zst") => zstd::stream::read::Decoder::new(file)
            .and_then(|mut decoder| decoder.read_to_end(&mut bytes)),
        _ => { file }.read_to_end(&mut bytes),
    };
    read.unwrap_or_else(|error| panic!("{} is broken: {error}", path.display()));
    bytes
}

fn unpacked_name(path: &Path) -> String {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(name);
    name.to_owned()
}
