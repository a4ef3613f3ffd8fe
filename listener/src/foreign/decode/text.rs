//! Plain text, the last resort: what no other decoder takes is a message.
//!
//! The bytes are not looked into. Whether text that begins with `<3>` has a priority is for the
//! decoders to say that know where it came from, and control characters are for the formats to
//! escape.

use fleetlog_protocol::Level;

use crate::foreign::entry::Entry;

/// The line as the message of an entry, without a carriage return at its end. Bytes that are not
/// UTF-8 become replacement characters.
pub(crate) fn decode(line: &[u8]) -> Entry<'_> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    Entry::new(Level::Info, String::from_utf8_lossy(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    #[test]
    fn a_line_is_the_message_without_the_carriage_return_at_its_end() {
        for (line, message) in [
            (&b"hello"[..], "hello"),
            (b"hello\r", "hello"),
            (b"a\rb\r\r", "a\rb\r"),
            (b"", ""),
            (b"<3>kernel", "<3>kernel"),
            (b"\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
            (b"\xffbroken", "\u{fffd}broken"),
        ] {
            assert_eq!(decode(line), Entry::new(Level::Info, message));
        }
    }

    #[test]
    fn text_is_borrowed() {
        assert!(matches!(decode(b"hello\r").message, Cow::Borrowed("hello")));
    }
}
