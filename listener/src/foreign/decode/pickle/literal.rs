//! Numbers and strings as the opcodes spell them.
//!
//! Strings are borrowed from the pickle wherever they can be, and where they can't, they are
//! repaired: a Python string can hold half of a surrogate pair, which no UTF-8 can.

use std::borrow::Cow;

use super::limits::INTEGER_DIGITS;
use super::node::Node;

/// A string in UTF-8, in which CPython also writes lone surrogates.
pub(super) fn utf8(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    // A surrogate takes three bytes, as the replacement character does: one becomes one.
    let mut repaired = bytes.to_vec();
    let mut at = 0;
    while let Some(three) = repaired.get_mut(at..at + 3) {
        if matches!(three, [0xed, 0xa0..=0xbf, 0x80..=0xbf]) {
            three.copy_from_slice("\u{fffd}".as_bytes());
            at += 2;
        }
        at += 1;
    }
    Cow::Owned(match String::from_utf8(repaired) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

/// A string of Python 2, which says not whether it is text: what is no UTF-8 is none.
pub(super) fn python_2_string(bytes: &[u8]) -> Node<'_> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Node::Str(Cow::Borrowed(text)),
        Err(_) => Node::Bytes(bytes),
    }
}

/// A string of `UNICODE`: Latin-1 with `\uXXXX` and `\UXXXXXXXX`.
pub(super) fn raw_unicode(line: &[u8]) -> Option<Cow<'_, str>> {
    if line.is_ascii() && !line.contains(&b'\\') {
        return std::str::from_utf8(line).ok().map(Cow::Borrowed);
    }
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        let digits = match (first, rest.first()) {
            (b'\\', Some(b'u')) => 4,
            (b'\\', Some(b'U')) => 8,
            // A backslash hides the one behind it from being an escape's beginning.
            (b'\\', Some(&second)) => {
                text.push('\\');
                text.push(char::from(second));
                rest = &rest[1..];
                continue;
            }
            _ => {
                text.push(char::from(first));
                continue;
            }
        };
        let code = hexadecimal(rest.get(1..1 + digits)?)?;
        if code > 0x0010_ffff {
            return None;
        }
        text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
        rest = &rest[1 + digits..];
    }
    Some(Cow::Owned(text))
}

/// A string of `STRING`: quoted, with the escapes that Python 2 wrote.
pub(super) fn quoted(line: &[u8]) -> Option<Cow<'_, str>> {
    let inside = match line {
        [b'\'', inside @ .., b'\''] | [b'"', inside @ .., b'"'] => inside,
        _ => return None,
    };
    if !inside.contains(&b'\\') {
        return Some(utf8(inside));
    }
    let mut bytes = Vec::with_capacity(inside.len());
    let mut rest = inside;
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        if first != b'\\' {
            bytes.push(first);
            continue;
        }
        let (&escape, behind) = rest.split_first()?;
        rest = behind;
        match escape {
            b'\\' | b'\'' | b'"' => bytes.push(escape),
            b'a' => bytes.push(7),
            b'b' => bytes.push(8),
            b'f' => bytes.push(12),
            b'n' => bytes.push(b'\n'),
            b'r' => bytes.push(b'\r'),
            b't' => bytes.push(b'\t'),
            b'v' => bytes.push(11),
            b'x' => {
                bytes.push(u8::try_from(hexadecimal(rest.get(..2)?)?).ok()?);
                rest = &rest[2..];
            }
            b'0'..=b'7' => {
                let mut code = u32::from(escape - b'0');
                for _ in 0..2 {
                    let Some(&digit @ b'0'..=b'7') = rest.first() else { break };
                    code = code * 8 + u32::from(digit - b'0');
                    rest = &rest[1..];
                }
                // Python keeps the low eight bits of `\777`.
                bytes.push(code.to_le_bytes()[0]);
            }
            unknown => bytes.extend([b'\\', unknown]),
        }
    }
    Some(Cow::Owned(utf8(&bytes).into_owned()))
}

/// An integer of `INT` or `LONG`, or a boolean as `INT` spells it.
pub(super) fn integer(line: &[u8], is_long: bool) -> Option<Node<'_>> {
    match line {
        b"00" if !is_long => return Some(Node::Bool(false)),
        b"01" if !is_long => return Some(Node::Bool(true)),
        _ => {}
    }
    let line = if is_long { line.strip_suffix(b"L").unwrap_or(line) } else { line };
    let digits = line.strip_prefix(b"-").unwrap_or(line);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let text = std::str::from_utf8(line).ok()?;
    // `parse` gives up at the first digit too many, so this takes no time for a long number.
    if let Ok(value) = text.parse() {
        return Some(Node::Int(value));
    }
    Some(text.parse().map_or(Node::Digits(text), Node::Unsigned))
}

/// An integer in little-endian two's complement.
pub(super) fn long(bytes: &[u8]) -> Node<'_> {
    let negative = bytes.last().is_some_and(|&last| last >= 0x80);
    let mut wide = [if negative { 0xff } else { 0 }; 16];
    let Some(low) = wide.get_mut(..bytes.len()) else { return Node::Long(bytes) };
    low.copy_from_slice(bytes);
    let value = i128::from_le_bytes(wide);
    if let Ok(value) = i64::try_from(value) {
        return Node::Int(value);
    }
    u64::try_from(value).map_or(Node::Long(bytes), Node::Unsigned)
}

/// A float of `FLOAT`.
pub(super) fn float(line: &[u8]) -> Option<f64> {
    // Python writes 24 bytes at most; the bound is for the time that parsing takes.
    if line.len() > INTEGER_DIGITS {
        return None;
    }
    std::str::from_utf8(line).ok()?.parse().ok()
}

fn hexadecimal(digits: &[u8]) -> Option<u32> {
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}
