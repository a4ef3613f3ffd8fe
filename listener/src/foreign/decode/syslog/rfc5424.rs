//! RFC 5424: `<34>1 2003-10-11T22:14:15.003Z host app procid msgid [id name="value"] message`.
//!
//! A message is taken for this format by more than its version, since `<14>1 apple` is plain
//! text: a timestamp must follow, or all of the header and the begin of structured data.
//!
//! Promises that of a broken message what stands before the break is understood, element by
//! element, and that everything from the break on is the message, byte for byte.
//! Never checks the lengths that the RFC gives to names: a long one is as good as a short one.

use std::borrow::Cow;

use super::super::super::entry::{Entry, Value};
use super::priority::Priority;
use super::time::Stamp;
use super::{Now, pid, text, token};

/// Decodes a message; `None` = it isn't of this format.
pub(super) fn decode<'a>(message: &'a [u8], now: &Now) -> Option<Entry<'a>> {
    let (priority, rest) = Priority::split(message)?;
    let (header, rest) = Header::split(rest.strip_prefix(b"1 ")?)?;
    let mut entry = priority.entry("");
    let claim = header.timestamp.and_then(|time| Stamp::rfc5424(time)?.claim(now));
    match (claim, header.timestamp) {
        (None, Some(unclear)) => entry.field("timestamp", Value::Str(text(unclear))),
        (claim, _) => entry.time = claim,
    }
    entry.host = header.host.map(text);
    entry.target = header.app.map(text).unwrap_or_default();
    entry.pid = header.process.and_then(pid);
    if let Some(process) = header.process.filter(|_| entry.pid.is_none()) {
        entry.field("procid", Value::Str(text(process)));
    }
    if let Some(id) = header.id {
        entry.field("msgid", Value::Str(text(id)));
    }
    entry.message = text(if header.whole { structured_data(rest, &mut entry) } else { rest });
    Some(entry)
}

/// The five words before the structured data; `None` = the nil value `-`, or not reached.
#[derive(Default)]
struct Header<'a> {
    timestamp: Option<&'a [u8]>,
    host: Option<&'a [u8]>,
    app: Option<&'a [u8]>,
    process: Option<&'a [u8]>,
    id: Option<&'a [u8]>,
    /// Whether all five were there.
    whole: bool,
}

impl<'a> Header<'a> {
    /// The header behind the version, and what follows its last space.
    fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let mut header = Header::default();
        let mut rest = bytes;
        let places = [
            &mut header.timestamp,
            &mut header.host,
            &mut header.app,
            &mut header.process,
            &mut header.id,
        ];
        let mut count = 0;
        for place in places {
            // A word that nothing follows may be torn, so it stays in the message. Two spaces in
            // a row leave a word out, and nobody knows which.
            let (word, behind) = token(rest);
            if word.is_empty() || word.len() == rest.len() {
                break;
            }
            *place = (word != b"-").then_some(word);
            rest = behind;
            count += 1;
        }
        header.whole = count == 5;
        let dated = header.timestamp.is_some_and(Stamp::is_dated);
        let whole = header.whole && matches!(rest.first(), Some(b'-' | b'['));
        (dated || whole).then_some((header, rest))
    }
}

/// Takes the structured data off; what is left is the message.
fn structured_data<'a>(bytes: &'a [u8], entry: &mut Entry<'a>) -> &'a [u8] {
    let mut rest = bytes;
    if let Some(behind) = bytes.strip_prefix(b"-") {
        if !matches!(behind.first(), None | Some(b' ')) {
            return bytes;
        }
        rest = behind;
    } else {
        while let Some(behind) = element(rest, entry) {
            rest = behind;
        }
        if rest.len() == bytes.len() {
            return bytes;
        }
    }
    match rest.strip_prefix(b" ") {
        Some(message) => message.strip_prefix("\u{feff}".as_bytes()).unwrap_or(message),
        None => rest,
    }
}

/// Takes one element off: `[id name="value" name="value"]`. A broken one adds no field.
fn element<'a>(bytes: &'a [u8], entry: &mut Entry<'a>) -> Option<&'a [u8]> {
    let (id, mut rest) = name(bytes.strip_prefix(b"[")?)?;
    let before = entry.fields.len();
    loop {
        if let Some(behind) = rest.strip_prefix(b"]") {
            if entry.fields.len() == before {
                entry.field(id, Value::Bool(true));
            }
            return Some(behind);
        }
        let Some((name, value, behind)) = parameter(rest) else {
            entry.fields.truncate(before);
            return None;
        };
        entry.field(format!("{id}.{name}"), Value::Str(value));
        rest = behind;
    }
}

/// Takes one parameter off: ` name="value"`.
fn parameter(bytes: &[u8]) -> Option<(&str, Cow<'_, str>, &[u8])> {
    let (name, rest) = name(bytes.strip_prefix(b" ")?)?;
    let (value, rest) = value(rest.strip_prefix(b"=\"")?)?;
    Some((name, value, rest))
}

/// Takes a name off, which is ASCII without spaces and the syntax's own characters.
fn name(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let allowed = |byte: &u8| (b'!'..=b'~').contains(byte) && !matches!(byte, b'=' | b']' | b'"');
    let end = bytes.iter().position(|byte| !allowed(byte)).filter(|&end| end > 0)?;
    Some((std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end..]))
}

/// Takes a value and the quote behind it off.
///
/// A `]` must be escaped by who writes it, but who forgot it is understood just as well.
fn value(bytes: &[u8]) -> Option<(Cow<'_, str>, &[u8])> {
    let mut unescaped: Option<Vec<u8>> = None;
    let mut copied = 0;
    let mut at = 0;
    loop {
        match bytes.get(at)? {
            b'"' => break,
            b'\\' if matches!(bytes.get(at + 1), Some(b'"' | b'\\' | b']')) => {
                // The backslash goes; what it protects is copied with what follows.
                unescaped.get_or_insert_default().extend_from_slice(&bytes[copied..at]);
                copied = at + 1;
                at += 2;
            }
            _ => at += 1,
        }
    }
    let value = match unescaped {
        None => text(&bytes[..at]),
        Some(mut value) => {
            value.extend_from_slice(&bytes[copied..at]);
            Cow::Owned(String::from_utf8_lossy(&value).into_owned())
        }
    };
    Some((value, &bytes[at + 1..]))
}
