//! Escapes: the one place that decides which characters may reach a file as they are.
//!
//! All dialects escape the same dangerous characters, each in its own way; quoted text and JSON
//! also escape quotation marks and backslashes. Clean runs, which is nearly everything, are
//! found sixteen bytes at a time and copied at once.

/// Appends text, escaped, without quotes: `a\nb`. Backslashes stand as they are.
#[inline]
pub(super) fn put_bare(text: &str, out: &mut Vec<u8>) {
    if !put_if_plain(text.as_bytes(), out) {
        escape(text, &BARE, out, put_readable);
    }
}

/// Appends text as Rust's `Debug` would, in quotes: `"a\nb\\c"`.
pub(super) fn put_quoted(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    if !put_if_plain(text.as_bytes(), out) {
        escape(text, &QUOTED, out, put_readable);
    }
    out.push(b'"');
}

/// Appends what stands between the quotes of a JSON string.
#[inline]
pub(super) fn put_json(text: &str, out: &mut Vec<u8>) {
    if !put_if_plain(text.as_bytes(), out) {
        escape(text, &QUOTED, out, put_json_character);
    }
}

/// Whether a character would have to be escaped in bare text.
pub(super) const fn is_dangerous(character: char) -> bool {
    matches!(
        character,
        // Controls: they end lines, and they drive terminals.
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        // Separators: some readers end a line at them.
        | '\u{2028}' | '\u{2029}'
        // Bidirectional overrides and isolates: they reorder what the eye sees.
        | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

/// The bytes at which a character may begin that is to be escaped.
type Suspects = [bool; 256];

const BARE: Suspects = suspects(b"");
const QUOTED: Suspects = suspects(b"\"\\");

const fn suspects(more: &[u8]) -> Suspects {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = true;
        byte += 1;
    }
    table[0x7f] = true;
    // The first bytes of U+0080..=U+00BF and of U+2000..=U+2FFF.
    table[0xc2] = true;
    table[0xe2] = true;
    let mut at = 0;
    while at < more.len() {
        table[more[at] as usize] = true;
        at += 1;
    }
    table
}

/// Appends bytes unless some dialect suspects one of them; tells whether it did. Most texts are
/// short: they are looked at and copied as two halves that may overlap, for which no loop and no
/// call is needed.
#[inline]
fn put_if_plain(bytes: &[u8], out: &mut Vec<u8>) -> bool {
    match bytes.len() {
        0..4 => {
            let plain = bytes.iter().all(|byte| is_plain(*byte));
            if plain {
                bytes.iter().for_each(|byte| out.push(*byte));
            }
            plain
        }
        4..8 => put_plain_halves::<4>(bytes, out),
        8..16 => put_plain_halves::<8>(bytes, out),
        16..=32 => put_plain_halves::<16>(bytes, out),
        _ => {
            let (chunks, _) = bytes.as_chunks::<16>();
            let plain = chunks.iter().chain(bytes.last_chunk()).all(all_plain);
            if plain {
                out.extend_from_slice(bytes);
            }
            plain
        }
    }
}

/// The same for `N` to `2 * N` bytes.
#[inline]
fn put_plain_halves<const N: usize>(bytes: &[u8], out: &mut Vec<u8>) -> bool {
    let (Some(first), Some(last)) = (bytes.first_chunk::<N>(), bytes.last_chunk::<N>()) else {
        return false;
    };
    let plain = all_plain(first) && all_plain(last);
    if plain {
        let last_at = out.len() + bytes.len() - N;
        out.extend_from_slice(first);
        out.truncate(last_at);
        out.extend_from_slice(last);
    }
    plain
}

/// The way of texts that need it, and of those that only look like it.
#[inline(never)]
fn escape(
    text: &str,
    suspects: &Suspects,
    out: &mut Vec<u8>,
    put_escape: impl Fn(char, &mut Vec<u8>),
) {
    let bytes = text.as_bytes();
    let (mut copied, mut at) = (0, 0);
    while let Some(found) = next_suspect(bytes, at, suspects) {
        let Some(character) = text.get(found..).and_then(|rest| rest.chars().next()) else {
            break;
        };
        at = found + character.len_utf8();
        // Every suspect of one byte is to be escaped; the longer ones have harmless siblings.
        if character.is_ascii() || is_dangerous(character) {
            out.extend_from_slice(&bytes[copied..found]);
            put_escape(character, out);
            copied = at;
        }
    }
    out.extend_from_slice(&bytes[copied..]);
}

#[inline]
fn next_suspect(bytes: &[u8], from: usize, suspects: &Suspects) -> Option<usize> {
    let is_suspect = |byte: &u8| suspects[usize::from(*byte)];
    let mut at = from;
    while let Some(chunk) = bytes[at..].first_chunk::<16>() {
        if !all_plain(chunk)
            && let Some(found) = chunk.iter().position(is_suspect)
        {
            return Some(at + found);
        }
        at += 16;
    }
    // Most names are shorter than sixteen bytes.
    if bytes[at..].first_chunk::<8>().is_some_and(all_plain) {
        at += 8;
    }
    bytes[at..].iter().position(is_suspect).map(|found| at + found)
}

/// Whether every byte is one that no dialect suspects. There is no early exit, so that the
/// compiler turns the loop into a handful of vector instructions.
#[inline]
fn all_plain<const N: usize>(chunk: &[u8; N]) -> bool {
    chunk.iter().fold(true, |plain, byte| plain & is_plain(*byte))
}

#[inline]
const fn is_plain(byte: u8) -> bool {
    byte.wrapping_sub(0x20) < 0x5f && byte != b'"' && byte != b'\\'
}

fn put_readable(character: char, out: &mut Vec<u8>) {
    match character {
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        character if character.is_ascii() => {
            out.extend_from_slice(b"\\x");
            put_hex(u32::from(character), 2, out);
        }
        character => {
            out.extend_from_slice(b"\\u{");
            let code = u32::from(character);
            put_hex(code, if code < 0x100 { 2 } else { 4 }, out);
            out.push(b'}');
        }
    }
}

fn put_json_character(character: char, out: &mut Vec<u8>) {
    match character {
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        '\u{8}' => out.extend_from_slice(b"\\b"),
        '\u{c}' => out.extend_from_slice(b"\\f"),
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        // All that is left lies in the basic plane, so that four digits are enough.
        character => {
            out.extend_from_slice(b"\\u");
            put_hex(u32::from(character), 4, out);
        }
    }
}

/// Appends the last `digits` hexadecimal digits of a number.
pub(super) fn put_hex(number: u32, digits: u32, out: &mut Vec<u8>) {
    for digit in (0..digits).rev() {
        let digit = (number >> (4 * digit)) & 0xf;
        out.push(char::from_digit(digit, 16).map_or(b'?', |digit| digit as u8));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bare(text: &str) -> String {
        let mut out = Vec::new();
        put_bare(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn quoted(text: &str) -> String {
        let mut out = Vec::new();
        put_quoted(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn json(text: &str) -> String {
        let mut out = vec![b'"'];
        put_json(text, &mut out);
        out.push(b'"');
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn controls_are_escaped_readably() {
        assert_eq!(bare("a\nb\rc\td\u{1b}[31me\0f\u{7f}"), r"a\nb\rc\td\x1b[31me\x00f\x7f");
        assert_eq!(
            bare("\u{80}\u{9b}\u{2028}\u{2029}\u{202e}x\u{2066}\u{2069}"),
            r"\u{80}\u{9b}\u{2028}\u{2029}\u{202e}x\u{2066}\u{2069}"
        );
    }

    #[test]
    fn harmless_text_stands_as_it_is_in_any_language() {
        for text in ["", "plain", "C:\\temp\\new \"quoted\"", "naïve £5 — “ok” … 日本語 🦀 \u{a0}"]
        {
            assert_eq!(bare(text), text);
        }
    }

    #[test]
    fn a_suspect_is_found_at_every_place_of_a_chunk() {
        for length in 0..70 {
            for at in 0..length {
                let mut text = "x".repeat(length);
                text.replace_range(at..=at, "\n");
                assert_eq!(bare(&text), text.replace('\n', "\\n"));
                let text = text.replace('\n', "é\u{85}—\u{202e}日");
                assert_eq!(
                    bare(&text),
                    text.replace('\u{85}', "\\u{85}").replace('\u{202e}', "\\u{202e}")
                );
            }
        }
    }

    #[test]
    fn quoted_text_is_what_debug_prints_for_usual_text() {
        for text in
            ["", "a b", "it's \"x\"", "C:\\temp", "two\nlines\r\n\tand more", "naïve 日本語"]
        {
            assert_eq!(quoted(text), format!("{text:?}"));
        }
    }

    #[test]
    fn every_character_is_either_dangerous_and_escaped_or_stands_as_it_is() {
        for character in ('\u{0}'..='\u{3000}').chain("日豈�🦀\u{e0001}\u{10ffff}".chars()) {
            let text = character.to_string();
            let written = bare(&text);
            assert_eq!(written != text, is_dangerous(character), "{character:?}");
            assert!(!written.chars().any(is_dangerous), "{character:?}");
            let written = json(&text);
            assert!(!written.chars().any(is_dangerous), "{character:?}");
            assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
        }
    }
}
