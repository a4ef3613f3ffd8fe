//! A command line as a person would type it into a shell.

use std::ffi::OsString;

/// Joins the words, and quotes those that a shell would take apart or replace. Bytes that are not
/// UTF-8 are replaced: the text is for reading.
pub(super) fn command_line(words: &[OsString]) -> String {
    let words: Vec<_> = words.iter().map(|word| quoted(&word.to_string_lossy())).collect();
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_@%+=:,./-".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_needs_it_and_only_there() {
        let words = ["sh", "-c", "echo it's", "", "a=b", "/x/y.sh", "$HOME", "Zürich"];
        let words = words.map(OsString::from);
        assert_eq!(command_line(&words), r"sh -c 'echo it'\''s' '' a=b /x/y.sh '$HOME' Zürich");
    }
}
