//! Syslog: what syslog(3), logger(1), web servers, routers and logging libraries send.
//!
//! Two formats share one socket: RFC 5424, which says its version, and everything else, which is
//! called RFC 3164 after the document that described what was seen in the wild. Both begin with
//! a priority.
//!
//! Promises that every message becomes an entry, that valid UTF-8 is borrowed and other bytes are
//! shown as U+FFFD, and that what isn't understood stands in the message as it came.
//! Never reads the clock or the zone of this host: the caller says both.

mod framing;
pub(crate) mod priority;
mod rfc3164;
mod rfc5424;
mod time;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use jiff::tz::TimeZone;

pub(crate) use self::framing::{Framing, framing, octet_count};
use super::super::entry::Entry;

/// The moment and the place of the reception, by which a time without year or zone is understood.
pub(crate) struct Now {
    /// Nanoseconds since the Unix epoch.
    pub(crate) time: u64,
    /// The zone in which local clients tell the time.
    pub(crate) zone: TimeZone,
}

/// Decodes one message: a datagram, or what a stream's framing cut out.
pub(crate) fn decode<'a>(message: &'a [u8], now: &Now) -> Entry<'a> {
    let message = without_terminator(message);
    rfc5424::decode(message, now).unwrap_or_else(|| rfc3164::decode(message, now))
}

/// A message without the one terminator that its sender put behind it: a newline from who writes
/// lines, a NUL from who sends C strings (syslog(3) on a stream, Python's `SysLogHandler`).
fn without_terminator(message: &[u8]) -> &[u8] {
    match message {
        [message @ .., b'\r', b'\n'] | [message @ .., b'\n' | 0] => message,
        message => message,
    }
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// A process id, if these bytes are one as a program would print it.
///
/// `007` is somebody's name and not the process 7: as a number it could not be shown as it came.
fn pid(bytes: &[u8]) -> Option<u32> {
    match bytes {
        [b'0'] => Some(0),
        [b'1'..=b'9', ..] if bytes.iter().all(u8::is_ascii_digit) => {
            std::str::from_utf8(bytes).ok()?.parse().ok()
        }
        _ => None,
    }
}

/// Splits at the first space, which belongs to neither side; without a space everything is first.
fn token(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|&byte| byte == b' ') {
        Some(space) => (&bytes[..space], &bytes[space + 1..]),
        None => (bytes, &[]),
    }
}
