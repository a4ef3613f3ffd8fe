//! The five levels of `tracing`, as one byte.

use std::fmt;
use std::str::FromStr;

/// How severe a record is. The order is by severity: `Error` is the smallest.
///
/// ```
/// use fleetlog_protocol::Level;
/// assert!(Level::Error < Level::Warn);
/// assert_eq!("warn".parse::<Level>().unwrap(), Level::Warn);
/// assert_eq!(Level::Info.as_str(), "INFO");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Level {
    /// Something failed.
    Error = 1,
    /// Something may fail, or was lost.
    Warn = 2,
    /// What an operator wants to see.
    Info = 3,
    /// What a developer wants to see.
    Debug = 4,
    /// Everything.
    Trace = 5,
}

impl Level {
    /// Every level, the most severe first.
    pub const ALL: [Self; 5] = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// The level of a wire byte, or `None` where the byte names no level.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Error),
            2 => Some(Self::Warn),
            3 => Some(Self::Info),
            4 => Some(Self::Debug),
            5 => Some(Self::Trace),
            _ => None,
        }
    }

    /// The upper-case name, as `tracing` prints it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
            Self::Trace => "TRACE",
        }
    }

    /// Whether the reserved room of a queue is open to this level.
    #[must_use]
    pub const fn is_urgent(self) -> bool {
        matches!(self, Self::Error | Self::Warn)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The text named no level.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a level: expected error, warn, info, debug or trace")]
pub struct UnknownLevel(pub String);

crate::debug_as_display!(UnknownLevel);

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, UnknownLevel> {
        Self::ALL
            .into_iter()
            .find(|level| level.as_str().eq_ignore_ascii_case(text))
            .or(if text.eq_ignore_ascii_case("warning") { Some(Self::Warn) } else { None })
            .ok_or_else(|| UnknownLevel(text.to_owned()))
    }
}
