//! Sniffing: which protocol a stream speaks, told by its first bytes.
//!
//! | first bytes | protocol |
//! |---|---|
//! | `00` | Python's `SocketHandler`: the length of a pickle of less than 16 MiB, and the pickle |
//! | `{` behind white space, if any | JSON lines |
//! | `<` and a digit | syslog, messages that end with a newline or a NUL |
//! | a number, a space, `<` | syslog, messages with their length before them |
//! | text | lines of plain text |
//! | anything else | nothing that is known here |
//!
//! fleetlog's own begins with `89`, which is none of these.

use super::decode::syslog;
use super::framing::{Cut, Framing, Lines, pickle_length};

/// Bytes that are enough to tell every protocol.
const ENOUGH: usize = 64;

/// What a stream speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Pickle,
    Json,
    Syslog,
    Text,
}

impl Protocol {
    /// The name in the status.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Pickle => "pickle",
            Self::Json => "json",
            Self::Syslog => "syslog",
            Self::Text => "text",
        }
    }
}

/// The bytes begin nothing that is known here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unknown {
    #[error(
        "its first bytes are those of no known protocol (as the length of a pickle they say \
         {0} bytes, which is too much)"
    )]
    Length(u32),
    #[error("its first bytes are those of no known protocol")]
    Bytes,
}

/// Tells the protocol; `None` = more bytes are needed. `ended` tells that there will be none.
pub(super) fn protocol(bytes: &[u8], ended: bool) -> Result<Option<(Protocol, Framing)>, Unknown> {
    let text = || (Protocol::Text, Framing::Lines(Lines::of_text()));
    let Some(first) = bytes.first() else { return Ok(None) };
    let is_enough = ended || bytes.len() >= ENOUGH;
    match *first {
        0 => return Ok(Some((Protocol::Pickle, Framing::Pickles))),
        b'<' => {
            return Ok(match bytes.get(1) {
                Some(digit) if digit.is_ascii_digit() => {
                    Some((Protocol::Syslog, Framing::Lines(Lines::of_syslog())))
                }
                None if !is_enough => None,
                _ => Some(text()),
            });
        }
        b'0'..=b'9' => {
            return Ok(match syslog::framing(bytes) {
                Some(syslog::Framing::OctetCounting) => {
                    Some((Protocol::Syslog, Framing::Counted(Cut::default())))
                }
                None if !is_enough => None,
                _ => Some(text()),
            });
        }
        _ => {}
    }
    // The byte 255 is a letter in Latin-1, with which no line begins that anybody would write.
    let odd = bytes.iter().take(ENOUGH).position(|byte| is_odd(*byte));
    if let Some(odd) = odd.or((*first == 0xff).then_some(0)) {
        return match pickle_length(bytes) {
            Some(length) if odd == 0 => Err(Unknown::Length(length)),
            None if odd == 0 && !is_enough => Ok(None),
            _ => Err(Unknown::Bytes),
        };
    }
    Ok(match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => Some((Protocol::Json, Framing::Lines(Lines::of_text()))),
        None if !is_enough => None,
        _ => Some(text()),
    })
}

/// Whether no text has this byte, in any encoding that extends ASCII. Latin-1 is text, although
/// its letters are not valid UTF-8.
const fn is_odd(byte: u8) -> bool {
    matches!(byte, 0..=6 | 0x0e..=0x1a | 0x1c..=0x1f | 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(bytes: &[u8]) -> Option<Protocol> {
        protocol(bytes, false).expect("known").map(|(protocol, _)| protocol)
    }

    #[test]
    fn each_protocol_is_told_by_its_first_bytes() {
        assert_eq!(told(&[0, 0, 1, 0]), Some(Protocol::Pickle));
        assert_eq!(told(b"\0"), Some(Protocol::Pickle));
        assert_eq!(told(b"{\"a\":1}\n"), Some(Protocol::Json));
        assert_eq!(told(b" \r\n\t{"), Some(Protocol::Json));
        assert_eq!(told(b"<34>1 "), Some(Protocol::Syslog));
        assert_eq!(told(b"12 <34>1 "), Some(Protocol::Syslog));
        assert_eq!(told(b"2026-11-22 hello"), Some(Protocol::Text));
        assert_eq!(told(b"<html>"), Some(Protocol::Text));
        assert_eq!(told("naïve\n".as_bytes()), Some(Protocol::Text));
        assert_eq!(told(b"na\xefve \xff\n"), Some(Protocol::Text));
        assert_eq!(told(b"\x1b[31mred\n"), Some(Protocol::Text));
    }

    #[test]
    fn too_few_bytes_tell_nothing_until_the_stream_ends() {
        for few in [&b""[..], b"<", b"12", b"12 ", b" ", b"\n\n"] {
            assert_eq!(told(few), None, "{few:?}");
            let ended = protocol(few, true).expect("known").map(|(protocol, _)| protocol);
            assert_eq!(ended, (!few.is_empty()).then_some(Protocol::Text), "{few:?}");
        }
    }

    #[test]
    fn garbage_is_refused_and_a_length_named() {
        let unknown = |bytes: &[u8]| protocol(bytes, false).expect_err("unknown");
        assert_eq!(unknown(&[0xff; 4]), Unknown::Length(u32::MAX));
        assert_eq!(unknown(&[1, 0, 0, 0]), Unknown::Length(1 << 24));
        assert_eq!(unknown(b"abc\x01\x02"), Unknown::Bytes);
    }
}
