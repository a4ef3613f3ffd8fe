//! Levels as the loggers write them: words, and the numbers of five schemes.

use fleetlog_protocol::Level;

/// A level, and whether it says all that was written: `fatal` is an error, but more than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) level: Level,
    pub(super) is_all: bool,
}

/// Words in any case of letters.
const WORDS: &[(&str, Level, bool)] = &[
    ("info", Level::Info, true),
    ("error", Level::Error, true),
    ("warn", Level::Warn, true),
    ("debug", Level::Debug, true),
    ("warning", Level::Warn, true),
    ("trace", Level::Trace, true),
    ("err", Level::Error, true),
    ("information", Level::Info, false),
    ("notice", Level::Info, false),
    ("fatal", Level::Error, false),
    ("critical", Level::Error, false),
    ("crit", Level::Error, false),
    ("severe", Level::Error, false),
    ("panic", Level::Error, false),
    ("dpanic", Level::Error, false),
    ("alert", Level::Error, false),
    ("emerg", Level::Error, false),
    ("emergency", Level::Error, false),
    ("fine", Level::Debug, false),
    ("finer", Level::Trace, false),
    ("finest", Level::Trace, false),
    ("verbose", Level::Trace, false),
    ("silly", Level::Trace, false),
];

/// A numbering of levels.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scheme {
    /// The numbers at which the levels begin, in ascending order, and whether such a number says
    /// no more than its level does.
    steps: &'static [(u64, Level, bool)],
    /// The greatest number.
    last: u64,
}

/// pino and bunyan; their users add levels in between.
pub(super) static BUNYAN: Scheme = Scheme {
    steps: &[
        (10, Level::Trace, true),
        (20, Level::Debug, true),
        (30, Level::Info, true),
        (40, Level::Warn, true),
        (50, Level::Error, true),
        (60, Level::Error, false),
    ],
    last: 99,
};

/// Python's `levelno`, with loguru's 5.
pub(super) static PYTHON: Scheme = Scheme {
    steps: &[
        (1, Level::Trace, false),
        (5, Level::Trace, true),
        (10, Level::Debug, true),
        (20, Level::Info, true),
        (30, Level::Warn, true),
        (40, Level::Error, true),
        (50, Level::Error, false),
    ],
    last: 100,
};

/// The severities of syslog, which GELF uses.
pub(super) static SYSLOG: Scheme = Scheme {
    steps: &[
        (0, Level::Error, false),
        (1, Level::Error, false),
        (2, Level::Error, false),
        (3, Level::Error, true),
        (4, Level::Warn, true),
        (5, Level::Info, false),
        (6, Level::Info, true),
        (7, Level::Debug, true),
    ],
    last: 7,
};

/// Logback's `level_value`.
pub(super) static LOGBACK: Scheme = Scheme {
    steps: &[
        (5000, Level::Trace, true),
        (10_000, Level::Debug, true),
        (20_000, Level::Info, true),
        (30_000, Level::Warn, true),
        (40_000, Level::Error, true),
    ],
    last: 40_000,
};

/// OpenTelemetry's `SeverityNumber`.
pub(super) static OPENTELEMETRY: Scheme = Scheme {
    steps: &[
        (1, Level::Trace, true),
        (5, Level::Debug, true),
        (9, Level::Info, true),
        (13, Level::Warn, true),
        (17, Level::Error, true),
        (21, Level::Error, false),
    ],
    last: 24,
};

impl Scheme {
    /// The level of a number, `None` where the scheme has no such number.
    pub(super) fn level(&self, number: u64) -> Option<Reading> {
        if number > self.last {
            return None;
        }
        let (first, level, is_all) = *self.steps.iter().rfind(|(first, ..)| *first <= number)?;
        Some(Reading { level, is_all: is_all && first == number })
    }
}

/// The level of a word, `None` where nobody knows the word.
pub(super) fn word(text: &str) -> Option<Reading> {
    // Go's slog names what lies between two levels by the distance: `INFO+2`, `DEBUG-4`.
    let base = match text.find(['+', '-']) {
        Some(at) if text[at + 1..].bytes().all(|byte| byte.is_ascii_digit()) => &text[..at],
        _ => text,
    };
    let (_, level, is_all) = *WORDS.iter().find(|(word, ..)| word.eq_ignore_ascii_case(base))?;
    Some(Reading { level, is_all: is_all && base.len() == text.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_in_any_case() {
        for (text, level, is_all) in [
            ("INFO", Level::Info, true),
            ("Warning", Level::Warn, true),
            ("err", Level::Error, true),
            ("Fatal", Level::Error, false),
            ("DPANIC", Level::Error, false),
            ("NOTICE", Level::Info, false),
            ("INFO+2", Level::Info, false),
            ("DEBUG-4", Level::Debug, false),
            ("FINEST", Level::Trace, false),
        ] {
            assert_eq!(word(text), Some(Reading { level, is_all }), "{text}");
        }
        for text in ["", "http", "INFO ", "INFO+x", "+2", "é"] {
            assert_eq!(word(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_read_by_their_scheme() {
        for (scheme, number, level, is_all) in [
            (&BUNYAN, 30, Level::Info, true),
            (&BUNYAN, 35, Level::Info, false),
            (&BUNYAN, 60, Level::Error, false),
            (&PYTHON, 30, Level::Warn, true),
            (&PYTHON, 25, Level::Info, false),
            (&SYSLOG, 0, Level::Error, false),
            (&SYSLOG, 4, Level::Warn, true),
            (&LOGBACK, 40_000, Level::Error, true),
            (&OPENTELEMETRY, 9, Level::Info, true),
            (&OPENTELEMETRY, 12, Level::Info, false),
        ] {
            assert_eq!(scheme.level(number), Some(Reading { level, is_all }), "{number}");
        }
        for (scheme, number) in
            [(&BUNYAN, 9), (&BUNYAN, 100), (&PYTHON, 0), (&SYSLOG, 8), (&LOGBACK, 4999)]
        {
            assert_eq!(scheme.level(number), None, "{number}");
        }
    }
}
