//! Which key means what: the tables of every logger that we know.
//!
//! A key is looked up under its whole path, so that `{"log":{"level":…}}` and `{"log.level":…}`
//! are the same.

use std::sync::LazyLock;

use super::level::{self, Scheme};

/// A place of an entry that keys compete for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Level,
    Message,
    Target,
    Time,
    File,
    Line,
    Module,
    Pid,
    Host,
}

impl Place {
    pub(super) const COUNT: usize = 9;
}

/// How a key's value is to be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A word; or a number of pino's and bunyan's or, in GELF, of syslog's.
    Level,
    /// A number of a scheme that the key tells.
    LevelNumber(&'static Scheme),
    /// Text.
    Message,
    /// Text.
    Target,
    /// Text that is a target for some loggers and anybody's data elsewhere.
    Name,
    /// A time with its offset, or since the epoch.
    Time,
    /// Text.
    File,
    /// `file.go:12`.
    Location,
    /// A small number.
    Line,
    /// Text.
    Module,
    /// A number.
    Pid,
    /// Text.
    Host,
}

impl Meaning {
    pub(super) const fn place(self) -> Place {
        match self {
            Self::Level | Self::LevelNumber(_) => Place::Level,
            Self::Message => Place::Message,
            Self::Target | Self::Name => Place::Target,
            Self::Time => Place::Time,
            Self::File | Self::Location => Place::File,
            Self::Line => Place::Line,
            Self::Module => Place::Module,
            Self::Pid => Place::Pid,
            Self::Host => Place::Host,
        }
    }
}

/// A key that we know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) key: &'static str,
    pub(super) meaning: Meaning,
    /// Its place in the order of preference; the smallest wins.
    pub(super) rank: u8,
}

/// Every key that we know; of those that compete for a place, the first is preferred.
const KEYS: &[(Meaning, &[&str])] = &[
    (
        Meaning::Level,
        &[
            // Monolog's name of the level stands beside its number.
            "level_name",
            "level",
            "severity",
            "levelname",
            "log.level",
            "@level",
            "@l",
            "SeverityText",
            "severityText",
            "severity_text",
            "loglevel",
            "lvl",
            "Level",
            "LogLevel",
            "record.level.name",
        ],
    ),
    (Meaning::LevelNumber(&level::PYTHON), &["levelno", "record.level.no"]),
    (Meaning::LevelNumber(&level::LOGBACK), &["level_value"]),
    (
        Meaning::LevelNumber(&level::OPENTELEMETRY),
        &["SeverityNumber", "severityNumber", "severity_number"],
    ),
    (
        Meaning::Message,
        &[
            "message",
            "msg",
            "@message",
            "@m",
            "short_message",
            "Message",
            "RenderedMessage",
            "record.message",
            "@mt",
            "MessageTemplate",
            "Body",
            "body",
            // structlog's message, and elsewhere often an event's type beside its message.
            "event",
            // Docker's whole line.
            "log",
        ],
    ),
    (
        Meaning::Target,
        &[
            "target",
            "logger",
            "logger_name",
            "log.logger",
            "loggerName",
            "@module",
            "channel",
            "Category",
            "SourceContext",
            "record.name",
        ],
    ),
    (Meaning::Name, &["name"]),
    (
        Meaning::Time,
        &[
            "timestamp",
            "@timestamp",
            "time",
            "ts",
            "@t",
            "Timestamp",
            "datetime",
            "asctime",
            "record.time.repr",
            "record.time.timestamp",
            "timeMillis",
            "t",
            "date",
        ],
    ),
    // Python's filename has no folder.
    (Meaning::File, &["pathname", "filename"]),
    (Meaning::Location, &["caller", "@caller"]),
    (
        Meaning::File,
        &[
            "source.file",
            "log.origin.file.name",
            "logging.googleapis.com/sourceLocation.file",
            "src.file",
            "record.file.path",
            "file",
        ],
    ),
    (
        Meaning::Line,
        &[
            "line_number",
            "lineno",
            "source.line",
            "log.origin.file.line",
            "logging.googleapis.com/sourceLocation.line",
            "src.line",
            "record.line",
            "line",
        ],
    ),
    (
        Meaning::Module,
        &[
            "module_path",
            "source.function",
            "log.origin.function",
            "logging.googleapis.com/sourceLocation.function",
            "src.func",
            "funcName",
            "func",
            "record.function",
        ],
    ),
    (Meaning::Pid, &["pid", "process.pid", "process", "record.process.id"]),
    (Meaning::Host, &["hostname", "host", "host.name", "host.hostname"]),
];

/// Keys of loggers that call their logger `name`: Python's and Ruby's. pino's and bunyan's are
/// known by their numeric levels.
pub(super) const NAME_IS_LOGGER: &[&str] = &["levelname", "levelno", "level_index"];

/// The key that only GELF has.
pub(super) const GELF: &str = "short_message";

/// Room for the longest key.
const LENGTHS: usize = 48;

/// By the length of the key: most keys are told from all others by it, without a hash.
static BY_LENGTH: LazyLock<[Vec<Known>; LENGTHS]> = LazyLock::new(|| {
    let mut table = [const { Vec::new() }; LENGTHS];
    let mut rank = 0;
    for (meaning, keys) in KEYS {
        for key in *keys {
            if let Some(known) = table.get_mut(key.len()) {
                known.push(Known { key, meaning: *meaning, rank });
            }
            rank += 1;
        }
    }
    table
});

/// What a path of keys means.
pub(super) fn known(path: &str) -> Option<Known> {
    BY_LENGTH.get(path.len())?.iter().find(|known| known.key == path).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_once_and_in_the_order_of_preference() {
        let keys =
            || KEYS.iter().flat_map(|(meaning, keys)| keys.iter().map(move |key| (meaning, key)));
        for (rank, (meaning, key)) in keys().enumerate() {
            let known = known(key).unwrap_or_else(|| panic!("{key} is longer than the table"));
            assert_eq!((known.meaning, usize::from(known.rank)), (*meaning, rank), "{key}");
        }
        assert!(keys().count() < usize::from(u8::MAX), "a rank is a byte");
    }

    #[test]
    fn what_nobody_knows_is_not_found() {
        for key in ["", "Msg", "messages", "user.level"] {
            assert!(known(key).is_none(), "{key}");
        }
        assert!(known(&"k".repeat(1 << 20)).is_none());
    }
}
