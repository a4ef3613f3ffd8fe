//! The journal's native protocol: what sd_journal_send(3) and its relatives send.
//!
//! One datagram, or one memfd where a datagram is too small for it, holds fields in two forms and
//! an empty line between two entries:
//!
//! | form | bytes |
//! | --- | --- |
//! | text | the key, `=`, the value, a newline |
//! | binary | the key, a newline, the value's length as eight bytes, the lowest first, the value, a newline |
//!
//! Promises that a length is compared with what is there before anything is done with it, that
//! keys and values are bounded by the input and fields and entries by [`MAX_FIELDS`] and
//! [`MAX_ENTRIES`], and that a repeated key stands repeatedly.
//! Never believes a key with a leading underscore: these are what journald itself found out of
//! a client, so a client that sets one either repeats the obvious or lies.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::str::FromStr;

use fleetlog_protocol::Level;

use super::super::entry::{Entry, Value};
use super::syslog::priority;

/// journald's own limit of an entry's fields.
const MAX_FIELDS: usize = 1024;

/// The most entries of one datagram. journald has no limit but the datagram's length; here each
/// entry costs some hundred bytes of memory, however short it is.
const MAX_ENTRIES: usize = 1024;

/// journald's own limit of a key.
const MAX_KEY: usize = 64;

/// Why a datagram is nobody's record. Its sender is at fault each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// A line has no end, as of a datagram that was cut.
    #[error("the field at byte {at} has no newline at its end")]
    Unended {
        /// Where the field begins.
        at: usize,
    },
    /// A binary value, or its length, is longer than the rest of the datagram.
    #[error("the value of the binary field at byte {at} ends behind the datagram")]
    Truncated {
        /// Where the field begins.
        at: usize,
    },
    /// One entry has too many fields.
    #[error("an entry has more than {MAX_FIELDS} fields")]
    Fields,
    /// There are too many entries.
    #[error("a datagram has more than {MAX_ENTRIES} entries")]
    Entries,
}

/// Decodes a datagram's, or a memfd's, content. No entry at all is no mistake: clients find out
/// by an empty datagram whether somebody listens.
pub(crate) fn decode(datagram: &[u8]) -> Result<Vec<Entry<'_>>, Refused> {
    let mut lines = Lines::of(datagram);
    let mut entries = Vec::new();
    let mut draft = Draft::new();
    while let Some(line) = lines.next()? {
        match line {
            Line::Field { key, value, .. } => draft.put(key, value)?,
            Line::Blank => std::mem::replace(&mut draft, Draft::new()).finish(&mut entries)?,
            Line::Control => {}
        }
    }
    draft.finish(&mut entries)?;
    Ok(entries)
}

/// Whether these bytes are of this protocol and no text that happens to begin with `PATH=`.
///
/// All of it must be well formed. A text of capitals, equals signs and newlines could be that too,
/// so there must be either a message's key, without which hardly anybody logs, or a binary field
/// at the begin, whose length no text has.
pub(crate) fn looks_native(datagram: &[u8]) -> bool {
    let mut lines = Lines::of(datagram);
    let Ok(Some(Line::Field { key, binary, .. })) = lines.next() else { return false };
    if !is_key(key) {
        return false;
    }
    let mut certain = binary || key == b"MESSAGE";
    loop {
        match lines.next() {
            Ok(None) => return certain,
            Ok(Some(Line::Field { key, .. })) => {
                if !is_key(key.strip_prefix(b"_").unwrap_or(key)) {
                    return false;
                }
                certain |= key == b"MESSAGE";
            }
            Ok(Some(Line::Blank | Line::Control)) => {}
            Err(_) => return false,
        }
    }
}

/// One entry while its fields come.
struct Draft<'a> {
    entry: Entry<'a>,
    /// How many fields came, those that were dropped among them.
    fields: usize,
    /// Whether a client said anything.
    said: bool,
    message: bool,
    priority: bool,
    facility: bool,
}

impl<'a> Draft<'a> {
    fn new() -> Self {
        Self {
            entry: Entry::new(Level::Info, ""),
            fields: 0,
            said: false,
            message: false,
            priority: false,
            facility: false,
        }
    }

    /// Adds a field: what an entry has a place for goes there, once and if it is of the place's
    /// type; everything else becomes a field with the key in lower case.
    fn put(&mut self, key: &'a [u8], value: &'a [u8]) -> Result<(), Refused> {
        self.fields += 1;
        if self.fields > MAX_FIELDS {
            return Err(Refused::Fields);
        }
        if key.starts_with(b"_") {
            return Ok(());
        }
        self.said = true;
        if !is_key(key) {
            self.entry.missing += key.len() + value.len();
            return Ok(());
        }
        if key == b"MESSAGE" && !self.message {
            self.message = true;
            self.entry.message = String::from_utf8_lossy(value);
            return Ok(());
        }
        let name = || String::from_utf8_lossy(key).to_ascii_lowercase();
        match std::str::from_utf8(value) {
            Ok(text) if self.place(key, text).is_some() => {}
            Ok(text) => self.entry.field(name(), Value::Str(Cow::Borrowed(text))),
            Err(_) => self.entry.field(name(), Value::Bytes(Cow::Borrowed(value))),
        }
        Ok(())
    }

    /// Puts a value into its place; `None` = it has none, or the place can't take it.
    fn place(&mut self, key: &[u8], text: &'a str) -> Option<()> {
        let entry = &mut self.entry;
        match key {
            b"PRIORITY" if !self.priority => {
                let severity = number(text).filter(|severity| *severity < 8u8)?;
                self.priority = true;
                entry.level = priority::level(severity);
                priority::put_severity(entry, severity);
            }
            b"SYSLOG_FACILITY" if !self.facility => {
                let name = priority::facility_name(number(text)?)?;
                self.facility = true;
                priority::put_facility(entry, name);
            }
            b"SYSLOG_IDENTIFIER" if entry.target.is_empty() => entry.target = Cow::Borrowed(text),
            b"SYSLOG_PID" if entry.pid.is_none() => entry.pid = Some(number(text)?),
            b"TID" if entry.thread.is_none() => entry.thread = Some(number(text)?),
            b"CODE_FILE" if entry.file.is_none() => entry.file = Some(Cow::Borrowed(text)),
            b"CODE_LINE" if entry.line.is_none() => entry.line = Some(number(text)?),
            b"CODE_FUNC" if entry.module.is_none() => entry.module = Some(Cow::Borrowed(text)),
            b"ERRNO" => entry.field("errno", Value::U64(number(text)?)),
            _ => return None,
        }
        Some(())
    }

    /// Adds the entry to the others, unless nobody said anything.
    fn finish(self, entries: &mut Vec<Entry<'a>>) -> Result<(), Refused> {
        if !self.said {
            return Ok(());
        }
        if entries.len() == MAX_ENTRIES {
            return Err(Refused::Entries);
        }
        entries.push(self.entry);
        Ok(())
    }
}

/// A number, if it is written as it would be printed: `+7` and `007` stay text.
fn number<N: FromStr>(text: &str) -> Option<N> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    (digits && (text == "0" || !text.starts_with('0'))).then(|| text.parse().ok())?
}

/// Whether a client may set a field with this key.
fn is_key(key: &[u8]) -> bool {
    let rest = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_';
    key.first().is_some_and(u8::is_ascii_uppercase) && key.len() <= MAX_KEY && key.iter().all(rest)
}

/// What stands in a datagram.
enum Line<'a> {
    Field {
        key: &'a [u8],
        value: &'a [u8],
        binary: bool,
    },
    /// The end of an entry.
    Blank,
    /// What journald has for comments and commands to come, and passes over.
    Control,
}

struct Lines<'a> {
    all: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    fn of(datagram: &'a [u8]) -> Self {
        Self { all: datagram, rest: datagram }
    }

    fn next(&mut self) -> Result<Option<Line<'a>>, Refused> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let at = self.all.len() - self.rest.len();
        let end = self.rest.iter().position(|&byte| byte == b'\n');
        let end = end.ok_or(Refused::Unended { at })?;
        let (line, behind) = (&self.rest[..end], &self.rest[end + 1..]);
        if matches!(line.first(), None | Some(b'.' | b'#')) {
            self.rest = behind;
            return Ok(Some(if line.is_empty() { Line::Blank } else { Line::Control }));
        }
        if let Some(equals) = line.iter().position(|&byte| byte == b'=') {
            self.rest = behind;
            let (key, value) = (&line[..equals], &line[equals + 1..]);
            return Ok(Some(Line::Field { key, value, binary: false }));
        }
        let (length, behind) = behind.split_first_chunk().ok_or(Refused::Truncated { at })?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok();
        let (value, behind) = length
            .and_then(|length| behind.split_at_checked(length))
            .ok_or(Refused::Truncated { at })?;
        self.rest = behind.strip_prefix(b"\n").ok_or(Refused::Unended { at })?;
        Ok(Some(Line::Field { key: line, value, binary: true }))
    }
}
