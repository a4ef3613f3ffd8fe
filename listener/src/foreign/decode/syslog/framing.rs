//! How a stream of syslog messages is cut (RFC 6587, and RFC 5425 which has only the first way).
//!
//! A sender either counts (`28 <34>1 ...`) or ends each message with a newline. The first bytes
//! of a connection tell which: a message begins with `<`, a count with a digit.
//!
//! Never says how long a message may be: that limit is the connection's, which must hold it.

/// How a stream is cut into messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Each message stands behind its length in bytes and a space.
    OctetCounting,
    /// Each message ends with a newline.
    Lines,
}

/// A count that can't be one, after which nobody knows where the next message begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadCount {
    /// Something else stands where a count must stand.
    #[error("a message's length must be a number above 0 and a space")]
    NoCount,
    /// No message is so long.
    #[error("a message's length has more than {MAX_DIGITS} digits or doesn't fit into memory")]
    TooLong,
}

/// Ten gigabytes in digits: longer than every message, short enough for every integer.
const MAX_DIGITS: usize = 10;

/// Tells the framing by a connection's first bytes; `None` = these are too few to tell.
pub(crate) fn framing(first: &[u8]) -> Option<Framing> {
    match octet_count(first) {
        Ok(None) => None,
        // A line of plain text may begin with a number and a space, so the message must follow.
        Ok(Some((header, _))) => first.get(header).map(|&byte| match byte {
            b'<' => Framing::OctetCounting,
            _ => Framing::Lines,
        }),
        Err(_) => Some(Framing::Lines),
    }
}

/// Reads a count: the length of the count itself with its space, and the length of the message
/// behind it; `None` = these bytes are too few to tell.
pub(crate) fn octet_count(bytes: &[u8]) -> Result<Option<(usize, usize)>, BadCount> {
    let digits = bytes.iter().take(MAX_DIGITS + 1).take_while(|byte| byte.is_ascii_digit()).count();
    if digits > MAX_DIGITS {
        return Err(BadCount::TooLong);
    }
    match (bytes.first(), bytes.get(digits)) {
        (Some(b'0'), _) => Err(BadCount::NoCount),
        (_, None) => Ok(None),
        (Some(b'1'..=b'9'), Some(b' ')) => {
            let value = bytes[..digits]
                .iter()
                .fold(0u64, |value, digit| value * 10 + u64::from(digit - b'0'));
            let length = usize::try_from(value).map_err(|_| BadCount::TooLong)?;
            Ok(Some((digits + 1, length)))
        }
        _ => Err(BadCount::NoCount),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_before_a_message_is_octet_counting() {
        for first in ["1 <", "28 <34>1 - - - - - -", "9999999999 <0>"] {
            assert_eq!(framing(first.as_bytes()), Some(Framing::OctetCounting), "{first}");
        }
    }

    #[test]
    fn everything_else_is_lines() {
        for first in [
            "<",
            "<34>1",
            "hello",
            " 1 <",
            "0 <",
            "01 <",
            "12345678901",
            "12\n",
            "12<",
            "3 blind",
            "1  <",
            "-1 <",
            "\n",
            "\0",
        ] {
            assert_eq!(framing(first.as_bytes()), Some(Framing::Lines), "{first:?}");
        }
    }

    #[test]
    fn too_few_bytes_tell_nothing_yet() {
        for first in ["", "1", "1234567890", "28 "] {
            assert_eq!(framing(first.as_bytes()), None, "{first:?}");
        }
    }

    #[test]
    fn a_count_is_read_with_its_space() {
        assert_eq!(octet_count(b"28 <34>1"), Ok(Some((3, 28))));
        assert_eq!(octet_count(b"1 "), Ok(Some((2, 1))));
        assert_eq!(octet_count(b"1234567890 "), Ok(Some((11, 1_234_567_890))));
        assert_eq!(octet_count(b""), Ok(None));
        assert_eq!(octet_count(b"1234567890"), Ok(None));
    }

    #[test]
    fn what_can_be_no_count_is_refused_at_once() {
        for bytes in ["0", "0 ", "012 ", "<34>", " 5 ", "5\n", "5x", "-5 ", "+5 ", "\n5 <"] {
            assert_eq!(octet_count(bytes.as_bytes()), Err(BadCount::NoCount), "{bytes:?}");
        }
        // The eleventh digit decides, not the space that may never come.
        assert_eq!(octet_count(b"12345678901"), Err(BadCount::TooLong));
        assert_eq!(octet_count(&[b'9'; 1 << 16]), Err(BadCount::TooLong));
    }
}
