//! Text of somebody else's as a page may show it.
//!
//! The page puts text into the document as text, so that no markup in it is one. What is left are
//! the characters that nobody sees and that change what others see: they are shown as escapes.

use serde_json::Value;

use crate::command::table::is_unsafe;

/// What a page gets of a text that is longer.
pub(super) const TEXT_MAX: usize = 8 << 10;

/// Characters without a look of their own, beside those that a terminal would obey.
fn is_hidden(c: char) -> bool {
    is_unsafe(c)
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{2060}'..='\u{2064}'
            | '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// The text with an escape for every hidden character, at most [`TEXT_MAX`] bytes of it and one
/// more escape, and how many bytes of the text were left out.
pub(super) fn shown(text: &str) -> (String, usize) {
    let mut safe = String::with_capacity(text.len().min(TEXT_MAX));
    for (at, c) in text.char_indices() {
        if safe.len() + c.len_utf8() > TEXT_MAX {
            return (safe, text.len() - at);
        }
        if is_hidden(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    (safe, 0)
}

/// Does the same for every text in a value, the names of an object included.
pub(super) fn show_all(value: &mut Value) {
    match value {
        Value::String(text) => *text = shown(text).0,
        Value::Array(values) => values.iter_mut().for_each(show_all),
        Value::Object(entries) => {
            *entries = std::mem::take(entries)
                .into_iter()
                .map(|(name, mut value)| {
                    show_all(&mut value);
                    (shown(&name).0, value)
                })
                .collect();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_hidden_character_is_left_and_markup_stays_as_it_stands() {
        let hostile =
            "<img onerror=x>\u{1b}[2J\n\r\0\u{202e}\u{2066}\u{61c}\u{feff}\u{200b}\u{e0041}é";
        let (text, left_out) = shown(hostile);
        assert_eq!(left_out, 0);
        assert!(text.starts_with("<img onerror=x>\\u{1b}[2J\\n\\r\\u{0}\\u{202e}"), "{text:?}");
        assert!(text.ends_with('é') && !text.chars().any(is_hidden), "{text:?}");
        assert_eq!(shown("Zürich 東京 👩\u{200d}🔬").0, "Zürich 東京 👩\u{200d}🔬");
    }

    #[test]
    fn a_long_text_is_cut_between_two_characters_and_the_rest_is_counted() {
        for (text, len) in [("é".repeat(TEXT_MAX), 2 * TEXT_MAX), ("\n".repeat(TEXT_MAX), TEXT_MAX)]
        {
            let (cut, left_out) = shown(&text);
            assert!(cut.len() <= TEXT_MAX + 10, "{}", cut.len());
            let kept = if text.starts_with('é') { cut.len() } else { cut.len() / 2 };
            assert_eq!(kept + left_out, len);
        }
    }

    #[test]
    fn names_and_values_at_any_depth_are_shown() {
        let mut value = serde_json::json!({"a\u{202e}": [{"b": "\u{1b}"}], "n": 1, "x": null});
        show_all(&mut value);
        assert_eq!(value, serde_json::json!({"a\\u{202e}": [{"b": "\\u{1b}"}], "n": 1, "x": null}));
    }
}
