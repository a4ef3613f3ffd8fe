//! The priority of a syslog message: which part of a system speaks, and how urgent it is.
//!
//! Promises one meaning of the numbers for everything that has them: the `<34>` of a message and
//! the `PRIORITY` and `SYSLOG_FACILITY` of the journal.

use std::borrow::Cow;

use fleetlog_protocol::Level;

use super::super::super::entry::{Entry, Value};

/// What `<34>` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Priority {
    /// 0 to 23: the part of the system.
    pub(crate) facility: u8,
    /// 0 to 7: the urgency, 0 is the highest.
    pub(crate) severity: u8,
}

impl Priority {
    /// What a message without a priority has: user.notice (RFC 3164, 4.3.3).
    pub(crate) const DEFAULT: Self = Self { facility: USER, severity: 5 };

    /// The priority at a message's begin, and what follows it.
    ///
    /// `<00>` is none: RFC 3164, 4.3.3 has it as the example of an unidentifiable one.
    pub(crate) fn split(message: &[u8]) -> Option<(Self, &[u8])> {
        let behind = message.strip_prefix(b"<")?;
        // The longest is three digits, so a message of a gigabyte isn't searched.
        let end = behind.iter().take(4).position(|&byte| byte == b'>')?;
        let digits = &behind[..end];
        if digits.is_empty() || (digits[0] == b'0' && end > 1) {
            return None;
        }
        let mut value = 0u8;
        for digit in digits {
            if !digit.is_ascii_digit() {
                return None;
            }
            value = value.checked_mul(10)?.checked_add(digit - b'0')?;
        }
        (value <= 191)
            .then(|| (Self { facility: value >> 3, severity: value & 7 }, &behind[end + 1..]))
    }

    /// An entry with this priority and nothing else than a message.
    pub(crate) fn entry<'a>(self, message: impl Into<Cow<'a, str>>) -> Entry<'a> {
        let mut entry = Entry::new(level(self.severity), message);
        put_severity(&mut entry, self.severity);
        if let Some(name) = facility_name(self.facility) {
            put_facility(&mut entry, name);
        }
        entry
    }
}

/// The level of a severity; what is above 7 is as unimportant as 7.
pub(crate) fn level(severity: u8) -> Level {
    match severity {
        0..=3 => Level::Error,
        4 => Level::Warn,
        5 | 6 => Level::Info,
        _ => Level::Debug,
    }
}

/// Adds the field `severity`, unless the level says exactly the same.
pub(crate) fn put_severity(entry: &mut Entry<'_>, severity: u8) {
    let name = match severity {
        0 => "emerg",
        1 => "alert",
        2 => "crit",
        5 => "notice",
        _ => return,
    };
    entry.field("severity", Value::Str(Cow::Borrowed(name)));
}

/// Adds the field `facility`, unless it is what every program has that didn't choose one.
pub(crate) fn put_facility(entry: &mut Entry<'_>, name: &'static str) {
    if name != FACILITIES[usize::from(USER)] {
        entry.field("facility", Value::Str(Cow::Borrowed(name)));
    }
}

/// A facility's name: syslog.conf(5)'s, and for the four that it leaves out RFC 5424's word.
pub(crate) fn facility_name(facility: u8) -> Option<&'static str> {
    FACILITIES.get(usize::from(facility)).copied()
}

const USER: u8 = 1;

const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_priority_is_its_facility_times_eight_and_its_severity() {
        for value in 0..=191u8 {
            let message = format!("<{value}>x");
            let (priority, rest) = Priority::split(message.as_bytes()).expect(&message);
            assert_eq!(priority.facility * 8 + priority.severity, value);
            assert!(priority.severity < 8, "{message}");
            assert_eq!(rest, b"x");
        }
    }

    #[test]
    fn what_is_no_number_from_0_to_191_is_no_priority() {
        for message in [
            "",
            "<",
            "<>",
            "<>x",
            "<34",
            "34>",
            "<192>",
            "<256>",
            "<999>",
            "<1000>",
            "<00>",
            "<034>",
            "<-1>",
            "<+1>",
            "<1 >",
            "< 1>",
            "<a>",
            " <1>",
            "<1x>",
            "<1\u{661}>",
        ] {
            assert_eq!(Priority::split(message.as_bytes()), None, "{message:?}");
        }
    }

    #[test]
    fn the_severity_is_a_field_only_where_the_level_says_less() {
        let expected = [
            (0, Level::Error, Some("emerg")),
            (1, Level::Error, Some("alert")),
            (2, Level::Error, Some("crit")),
            (3, Level::Error, None),
            (4, Level::Warn, None),
            (5, Level::Info, Some("notice")),
            (6, Level::Info, None),
            (7, Level::Debug, None),
        ];
        for (severity, level, name) in expected {
            let entry = Priority { facility: 1, severity }.entry("");
            assert_eq!(entry.level, level, "{severity}");
            let fields: Vec<_> = entry.fields.into_iter().map(|field| field.value).collect();
            let name: Vec<_> = name.into_iter().map(|name| Value::Str(name.into())).collect();
            assert_eq!(fields, name, "{severity}");
        }
    }
}
