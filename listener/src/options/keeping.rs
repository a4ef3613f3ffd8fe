//! How long lines are kept: when a file is rotated, what becomes of it, and when it goes.

use std::time::Duration;

use crate::format::TimeZoneChoice;

/// The rotation, retention and compression of one log.
///
/// A file is rotated when it would grow beyond its size or when a period of the clock ends,
/// whichever comes first. The oldest archives go as soon as one of the three bounds asks for it.
/// For a path with `{worker}` or `{pid}` all of this holds for each worker's file.
///
/// ```
/// use fleetlog::options::{Compression, Keeping, Period};
/// let nightly = Keeping {
///     rotation: Some(Period::Daily),
///     max_size: Some(10 << 20),
///     max_files: Some(7),
///     compression: Compression::Zstd,
///     ..Keeping::default()
/// };
/// assert_eq!(nightly.file_size_max(), 10 << 20);
/// assert!(!nightly.total_is_default(), "size and number say the total");
/// assert_eq!(Keeping::default().total_size_max(), Keeping::TOTAL_SIZE_DEFAULT);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keeping {
    /// Rotate at the end of each of these.
    pub rotation: Option<Period>,
    /// Whose midnight ends a day.
    pub timezone: TimeZoneChoice,
    /// Rotate before a file has more bytes than this.
    pub max_size: Option<u64>,
    /// So many archives are kept beside the current file.
    pub max_files: Option<u32>,
    /// Archives that were closed longer ago than this go.
    pub max_age: Option<Duration>,
    /// The current file, its archives, and what compression has under way never have more bytes.
    pub max_total_size: Option<u64>,
    /// What archives are packed with.
    pub compression: Compression,
    /// The newest archive stays as it is until the next one comes.
    pub delay_compress: bool,
}

/// Bounds that contradict each other.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a file may have {max_size} bytes, but all files together only {max_total_size}: \
     give a smaller maximal size or a larger total"
)]
pub struct KeepingError {
    max_size: u64,
    max_total_size: u64,
}

fleetlog_protocol::debug_as_display!(KeepingError);

impl Keeping {
    /// The size at which a file is rotated where nothing is said about rotation: large enough to
    /// keep the number of files small, small enough for an editor.
    pub const FILE_SIZE_DEFAULT: u64 = 100 << 20;
    /// The bytes that a log may have where nothing is said about it. A log that nobody configured
    /// must not fill a disk, and 5 GiB are days of most fleets.
    pub const TOTAL_SIZE_DEFAULT: u64 = 5 << 30;

    /// One file that grows for ever.
    #[must_use]
    pub fn forever() -> Self {
        Self { max_size: Some(u64::MAX), max_total_size: Some(u64::MAX), ..Self::default() }
    }

    /// The size at which a file is rotated, in bytes.
    ///
    /// Without `max_size` it is a tenth of the total, so that retention has something to remove
    /// that is not everything, and, where no period rotates either, no more than the default.
    #[must_use]
    pub fn file_size_max(&self) -> u64 {
        let tenth = (self.total_size_max() / 10).max(1);
        self.max_size.unwrap_or(match self.rotation {
            Some(_) => tenth,
            None => tenth.min(Self::FILE_SIZE_DEFAULT),
        })
    }

    /// The bytes that the current file and its archives may have together. Whoever says how many
    /// files of which size has said the total, and is held to nothing else.
    #[must_use]
    pub fn total_size_max(&self) -> u64 {
        self.max_total_size.unwrap_or_else(|| match (self.max_size, self.max_files) {
            (Some(_), Some(_)) => u64::MAX,
            (Some(size), None) => Self::TOTAL_SIZE_DEFAULT.max(size.saturating_mul(2)),
            (None, _) => Self::TOTAL_SIZE_DEFAULT,
        })
    }

    /// Whether the total is a default that nobody asked for.
    #[must_use]
    pub const fn total_is_default(&self) -> bool {
        self.max_total_size.is_none() && !(self.max_size.is_some() && self.max_files.is_some())
    }

    /// Checks that the bounds can hold together.
    ///
    /// # Errors
    /// [`KeepingError`] for a file that may be larger than all files together.
    pub fn check(&self) -> Result<(), KeepingError> {
        match (self.max_size, self.max_total_size) {
            (Some(max_size), Some(max_total_size)) if max_size > max_total_size => {
                Err(KeepingError { max_size, max_total_size })
            }
            _ => Ok(()),
        }
    }
}

/// How often a file is rotated by the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// At every full minute.
    Minutely,
    /// At every full hour.
    Hourly,
    /// At midnight.
    Daily,
    /// At midnight between Sunday and Monday.
    Weekly,
}

/// What archives are packed with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub enum Compression {
    /// They stay as they are.
    #[default]
    None,
    /// gzip (RFC 1952), which every tool reads.
    Gzip,
    /// Zstandard (RFC 8878): smaller and several times faster.
    Zstd,
}

impl Compression {
    /// What a packed file's name ends with.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }
}
