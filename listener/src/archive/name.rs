//! The names of archives: `apps.log` is the current file, `apps.2026-11-22T10-00-00Z.log` an old
//! one, `apps.2026-11-22T10-00-00Z.log.gz` the same compressed.
//!
//! The time in the name is when the file stopped being the current one, always in UTC: local time
//! falls back once a year, and names that repeat would cost a file. A second archive of the same
//! second has a number, `apps.2026-11-22T10-00-00Z_0001.log`; the underscore sorts behind the dot,
//! so that `ls` shows archives in the order in which they were written.
//!
//! A name belongs to a log only if every byte of it fits: `apps-errors.log`,
//! `apps.errors.2026-11-22T10-00-00Z.log` and `apps.2026-11-22.log` are not archives of
//! `apps.log`, whoever made them.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use crate::options::Compression;

/// The largest number behind a time.
const NUMBER_MAX: u32 = 9999;

/// The last second that a name can tell, a day before the end of the year 9999.
const LAST_SECOND: i64 = 253_402_207_200;

/// When an archive was closed: the second, and a number among the archives of that second.
/// The order of keys is the order of the archives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ArchiveKey {
    /// Seconds since the Unix epoch.
    pub(crate) second: i64,
    /// 0 for the first archive of a second, which has no number in its name.
    pub(crate) number: u32,
}

impl ArchiveKey {
    /// The key of an archive that is closed at a wall-clock time in nanoseconds, behind `last`:
    /// a clock that went back must not put a new archive before an old one.
    pub(crate) fn next(now: u64, last: Option<Self>) -> Self {
        let second = i64::try_from(now / 1_000_000_000).unwrap_or(LAST_SECOND).min(LAST_SECOND);
        let fresh = Self { second, number: 0 };
        match last {
            Some(last) if last >= fresh && last.number < NUMBER_MAX => {
                Self { second: last.second, number: last.number + 1 }
            }
            Some(last) if last >= fresh => {
                Self { second: (last.second + 1).min(LAST_SECOND), number: 0 }
            }
            _ => fresh,
        }
    }
}

/// How the names of one log's archives begin and end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ArchiveNames {
    folder: PathBuf,
    /// `apps.`
    start: Vec<u8>,
    /// `.log`, or nothing.
    end: Vec<u8>,
}

impl ArchiveNames {
    /// The names of a log's archives; they lie beside it.
    pub(crate) fn of(log: &Path) -> Self {
        let stem = log.file_stem().unwrap_or_default();
        let mut start = stem.as_bytes().to_vec();
        start.push(b'.');
        let mut end = Vec::new();
        if let Some(extension) = log.extension() {
            end.push(b'.');
            end.extend_from_slice(extension.as_bytes());
        }
        let folder = log.parent().filter(|folder| !folder.as_os_str().is_empty());
        Self { folder: folder.unwrap_or(Path::new(".")).to_owned(), start, end }
    }

    /// Where they lie.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The path of an archive.
    pub(crate) fn path(&self, key: ArchiveKey, compression: Compression) -> PathBuf {
        let mut name = self.start.clone();
        name.extend_from_slice(time_text(key).as_bytes());
        name.extend_from_slice(&self.end);
        name.extend_from_slice(compression.extension().as_bytes());
        self.folder.join(OsString::from_vec(name))
    }

    /// The key and the compression that a file's name tells, if it is one of these names.
    pub(crate) fn parse(&self, name: &OsStr) -> Option<(ArchiveKey, Compression)> {
        let rest = name.as_bytes().strip_prefix(&self.start[..])?;
        [Compression::None, Compression::Gzip, Compression::Zstd].into_iter().find_map(|packed| {
            let time = rest.strip_suffix(packed.extension().as_bytes())?;
            let time = time.strip_suffix(&self.end[..])?;
            Some((parse_time(time)?, packed))
        })
    }
}

/// `2026-11-22T10-00-00Z`, with `_0001` behind it for the second archive of a second.
fn time_text(key: ArchiveKey) -> String {
    let time = Timestamp::from_second(key.second).unwrap_or(Timestamp::UNIX_EPOCH);
    let mut text = time.strftime("%Y-%m-%dT%H-%M-%SZ").to_string();
    if key.number > 0 {
        let _ = write!(text, "_{:04}", key.number);
    }
    text
}

fn parse_time(text: &[u8]) -> Option<ArchiveKey> {
    let text = std::str::from_utf8(text).ok()?;
    let (time, number) = match text.split_once('_') {
        None => (text, 0),
        Some((time, digits)) if digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit()) => {
            (time, digits.parse().ok().filter(|number| *number > 0)?)
        }
        Some(_) => return None,
    };
    let shape = b"0000-00-00T00-00-00Z";
    let fits = time.len() == shape.len()
        && time.bytes().zip(shape).all(|(found, expected)| match expected {
            b'0' => found.is_ascii_digit(),
            _ => found == *expected,
        });
    if !fits {
        return None;
    }
    let part = |at: usize| time[at..at + 2].parse::<i8>().ok();
    let date = Date::new(time[..4].parse().ok()?, part(5)?, part(8)?).ok()?;
    let clock = Time::new(part(11)?, part(14)?, part(17)?, 0).ok()?;
    let zoned = date.to_datetime(clock).to_zoned(TimeZone::UTC).ok()?;
    Some(ArchiveKey { second: zoned.timestamp().as_second(), number })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_341_600_000_000_000; // 2026-11-22T10:00:00Z

    #[test]
    fn a_name_tells_the_second_and_comes_back() {
        let names = ArchiveNames::of(Path::new("/var/log/apps.log"));
        let first = ArchiveKey::next(NOW, None);
        assert_eq!(
            names.path(first, Compression::None),
            Path::new("/var/log/apps.2026-11-22T10-00-00Z.log")
        );
        let second = ArchiveKey::next(NOW, Some(first));
        assert_eq!(
            names.path(second, Compression::Gzip),
            Path::new("/var/log/apps.2026-11-22T10-00-00Z_0001.log.gz")
        );
        for key in [first, second] {
            for packed in [Compression::None, Compression::Gzip, Compression::Zstd] {
                let path = names.path(key, packed);
                assert_eq!(names.parse(path.file_name().unwrap()), Some((key, packed)));
            }
        }
    }

    #[test]
    fn names_sort_as_the_archives_were_written_whatever_the_clock_does() {
        let names = ArchiveNames::of(Path::new("apps.log"));
        let mut last = None;
        let mut previous = PathBuf::new();
        let clocks = [NOW, NOW, NOW, NOW - 3_600_000_000_000, NOW + 1, NOW + 2_000_000_000];
        for now in clocks.into_iter().chain(std::iter::repeat_n(NOW, 10_010)) {
            let key = ArchiveKey::next(now, last);
            let path = names.path(key, Compression::None);
            assert!(path.as_os_str() > previous.as_os_str(), "{path:?} behind {previous:?}");
            (last, previous) = (Some(key), path);
        }
    }

    #[test]
    fn foreign_names_are_not_archives() {
        let names = ArchiveNames::of(Path::new("/var/log/apps.log"));
        for foreign in [
            "apps.log",
            "apps-errors.log",
            "apps-errors.2026-11-22T10-00-00Z.log",
            "apps.errors.2026-11-22T10-00-00Z.log",
            "apps.2026-11-22.log",
            "apps.2026-02-30T10-00-00Z.log",
            "apps.2026-11-22T24-00-00Z.log",
            "apps.2026-11-22T10-00-60Z.log",
            "apps.2026-11-22T10-00-00Z.log.bz2",
            "apps.2026-11-22T10-00-00Z.log.gz.tmp",
            "apps.2026-11-22T10-00-00Z_0000.log",
            "apps.2026-11-22T10-00-00Z_1.log",
            "apps.2026-11-22T10-00-00Z",
            "xapps.2026-11-22T10-00-00Z.log",
            "apps.+026-11-22T10-00-00Z.log",
        ] {
            assert_eq!(names.parse(OsStr::new(foreign)), None, "{foreign}");
        }
    }

    #[test]
    fn logs_without_an_extension_and_hidden_ones_have_archives_too() {
        for log in ["apps", ".apps", "a.b.c", "apps."] {
            let names = ArchiveNames::of(Path::new(log));
            let key = ArchiveKey::next(NOW, None);
            let path = names.path(key, Compression::Zstd);
            assert_eq!(names.parse(path.file_name().unwrap()), Some((key, Compression::Zstd)));
            assert_eq!(names.folder(), Path::new("."));
            assert_eq!(names.parse(OsStr::new(log)), None);
        }
    }
}
