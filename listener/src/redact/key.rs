//! Keys: names whose values are hidden.

use std::fmt;

/// The keys, in small letters and without what stands between their words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Keys {
    /// As they were written, and as they are compared.
    list: Vec<(String, String)>,
}

impl Keys {
    /// Adds a key; false = it is none.
    pub(super) fn push(&mut self, key: &str) -> bool {
        let folded: String = words(key).map(str::to_lowercase).collect();
        if folded.is_empty() || !key.chars().all(is_of_name) {
            return false;
        }
        if self.list.iter().all(|(_, known)| *known != folded) {
            self.list.push((key.to_owned(), folded));
        }
        true
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The keys as they are compared.
    pub(super) fn folded(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|(_, folded)| folded.as_str())
    }

    /// Whether the value of a name is hidden: a key is some of its words, one behind the other.
    pub(super) fn fit(&self, name: &str) -> bool {
        let shortest = self.list.iter().map(|(_, folded)| folded.len()).min();
        if shortest.is_none_or(|shortest| name.len() < shortest) {
            return false;
        }
        let words: Vec<&str> = words(name).collect();
        let fits = |key: &str| (0..words.len()).any(|at| begins_with(&words[at..], key));
        self.list.iter().any(|(_, key)| fits(key))
    }
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.list.iter().map(|(key, _)| key.as_str()).collect();
        f.write_str(&keys.join(","))
    }
}

/// Whether the first of some words, joined, are a key.
fn begins_with(words: &[&str], key: &str) -> bool {
    let mut rest = key;
    for word in words {
        let Some(head) = rest.get(..word.len()) else { return false };
        if !head.eq_ignore_ascii_case(word) {
            return false;
        }
        rest = &rest[word.len()..];
        if rest.is_empty() {
            return true;
        }
    }
    false
}

/// A character of a name.
pub(super) const fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// The words of a name: what stands between other characters than letters and digits, and parts of
/// these: `dbPassword` has two, and so have `DBPassword` and `password2`.
fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split(|c: char| !c.is_alphanumeric()).flat_map(parts).filter(|word| !word.is_empty())
}

fn parts(run: &str) -> impl Iterator<Item = &str> {
    let mut rest = run;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (word, left) = rest.split_at(first_part(rest));
        rest = left;
        Some(word)
    })
}

/// How long the first part of some letters and digits is.
fn first_part(run: &str) -> usize {
    let mut before: Option<(usize, char)> = None;
    for (at, c) in run.char_indices() {
        if let Some((last_at, last)) = before {
            if last.is_numeric() != c.is_numeric() || (last.is_lowercase() && c.is_uppercase()) {
                return at;
            }
            // The last capital of several begins the word that follows them.
            if last_at > 0 && last.is_uppercase() && c.is_lowercase() {
                return last_at;
            }
        }
        before = Some((at, c));
    }
    run.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(list: &[&str]) -> Keys {
        let mut keys = Keys::default();
        for key in list {
            assert!(keys.push(key), "{key}");
        }
        keys
    }

    #[test]
    fn a_key_fits_the_names_that_have_it_as_words() {
        let keys = keys(&["password", "api_key", "token"]);
        for name in [
            "password",
            "PASSWORD",
            "db.password",
            "user_password",
            "dbPassword",
            "api_key",
            "apiKey",
            "api-key",
            "apikey",
            "X-Api-Key",
            "x.api.key.id",
            "access_token",
            "tokenId",
            "DBPassword",
            "userAPIToken",
            "CSRFToken",
            "APIKey",
            "password1",
            "token2",
            "2token",
        ] {
            assert!(keys.fit(name), "{name}");
        }
        for name in
            ["passwords", "pass", "key", "api", "tokenizer", "tokens", "", "user", "apiary_key"]
        {
            assert!(!keys.fit(name), "{name}");
        }
    }

    #[test]
    fn a_name_of_a_hundred_thousand_words_is_judged_at_once() {
        let keys = keys(&["password", "api_key", "token"]);
        for word in ["a.", "aA", "a1", "A"] {
            assert!(!keys.fit(&word.repeat(100_000)));
            assert!(keys.fit(&format!("{}.token", word.repeat(100_000))));
        }
    }

    #[test]
    fn what_is_no_name_is_no_key() {
        for key in ["", "-", "pass word", "a=b", "pässword", "{x}"] {
            assert!(!Keys::default().push(key), "{key}");
        }
    }
}
