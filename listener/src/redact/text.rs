//! Secrets in texts: `key=value`, `key: value`, `"key":"value"`, `Authorization: Bearer value`.
//!
//! A value ends where a reader would see its end: at its closing quote or bracket, or at the first
//! white space or separator. Where that is not clear, more is hidden rather than less.

use fleetlog_protocol::record::Value;
use regex::{Regex, RegexBuilder};

use super::REDACTED;
use super::key::{Keys, is_of_name};

/// Words that stand in front of credentials; those of the second list are followed by several.
const SCHEMES: [&str; 6] = ["bearer", "basic", "token", "negotiate", "apikey", "ntlm"];
const LONG_SCHEMES: [&str; 3] = ["digest", "aws4-hmac-sha256", "hmac"];

/// Finds places in a text where a key may stand.
#[derive(Debug)]
pub(super) struct Finder {
    regex: Regex,
}

impl Finder {
    /// `None` = there are no keys.
    pub(super) fn new(keys: &Keys) -> Option<Self> {
        if keys.is_empty() {
            return None;
        }
        // Whatever may stand between two letters of a key that has several words.
        let loose = |key: &str| {
            let letters = key.chars().map(|letter| regex::escape(&letter.to_string()));
            letters.collect::<Vec<_>>().join("[-_.]?")
        };
        let pattern = keys.folded().map(loose).collect::<Vec<_>>().join("|");
        let regex = RegexBuilder::new(&pattern).case_insensitive(true).build().ok()?;
        Some(Self { regex })
    }

    /// Whether a key may stand in a value's text.
    pub(super) fn may_be_in(&self, value: &Value<'_>) -> bool {
        match value {
            Value::Str(text) | Value::Debug(text) => self.regex.is_match(text),
            Value::Error(chain) => chain.iter().any(|text| self.regex.is_match(text)),
            _ => false,
        }
    }

    /// Appends the text with its secrets hidden to `out`; false = it has none, and `out` is as it
    /// was.
    pub(super) fn redact(&self, text: &str, keys: &Keys, out: &mut String) -> bool {
        let (mut copied, mut at) = (0, 0);
        while let Some(found) = self.regex.find_at(text, at) {
            let start = name_start(text, found.start());
            let end = name_end(text, found.end());
            at = end;
            if !keys.fit(&text[start..end]) {
                continue;
            }
            let Some((from, to)) = value_behind(text, end) else { continue };
            out.push_str(&text[copied..from]);
            out.push_str(REDACTED);
            (copied, at) = (to, to);
        }
        if copied == 0 {
            return false;
        }
        out.push_str(&text[copied..]);
        true
    }
}

fn name_start(text: &str, at: usize) -> usize {
    text[..at]
        .char_indices()
        .rev()
        .take_while(|(_, c)| is_of_name(*c))
        .last()
        .map_or(at, |(at, _)| at)
}

fn name_end(text: &str, at: usize) -> usize {
    at + text[at..].find(|c| !is_of_name(c)).unwrap_or(text.len() - at)
}

/// The place of the value that belongs to a name that ends at `at`.
fn value_behind(text: &str, at: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut at = at + quote(&text[at..]).map_or(0, str::len);
    at = skip_blanks(bytes, at);
    match (bytes.get(at)?, bytes.get(at + 1)) {
        // A path of Rust's.
        (b':', Some(b':')) => return None,
        (b'=', Some(b'>' | b'=')) => at += 2,
        (b':' | b'=', _) => at += 1,
        _ => return None,
    }
    at = skip_blanks(bytes, at);
    if let Some(quote) = quote(&text[at..]) {
        let from = at + quote.len();
        return Some((from, from + quoted_len(&text[from..], quote)))
            .filter(|(from, to)| from < to);
    }
    let to = at + bare_len(&text[at..]);
    let word = text[at..to].to_ascii_lowercase();
    let to = if LONG_SCHEMES.contains(&word.as_str()) {
        text[to..].find('\n').map_or(text.len(), |line| to + line)
    } else if SCHEMES.contains(&word.as_str()) {
        let next = skip_blanks(bytes, to);
        next + bare_len(&text[next..])
    } else {
        to
    };
    (at < to).then_some((at, to))
}

fn skip_blanks(bytes: &[u8], at: usize) -> usize {
    at + bytes[at..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

/// The quote at the beginning of a text, with the backslashes in front of it.
fn quote(text: &str) -> Option<&str> {
    let slashes = text.len() - text.trim_start_matches('\\').len();
    matches!(text.as_bytes().get(slashes)?, b'"' | b'\'' | b'`').then(|| &text[..=slashes])
}

/// How long a text is until its closing quote; all of it where there is none.
fn quoted_len(text: &str, quote: &str) -> usize {
    let bytes = text.as_bytes();
    if quote.len() > 1 {
        return text.find(quote).unwrap_or(text.len());
    }
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            byte if *byte == quote.as_bytes()[0] => return at,
            _ => at += 1,
        }
    }
    text.len()
}

/// How long a value without quotes is: brackets and quotes in it belong to it as a whole.
fn bare_len(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' | b'\'' if depth > 0 || at == 0 => {
                let from = at + 1;
                at = from + quoted_len(&text[from..], &text[at..from]);
            }
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' if depth == 0 => break,
            b')' | b']' | b'}' => depth -= 1,
            b',' | b';' | b'&' | b'<' | b'>' | b'"' | b'\'' if depth == 0 => break,
            byte if byte.is_ascii_whitespace() && depth == 0 => break,
            _ => {}
        }
        at += 1;
    }
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys() -> Keys {
        let mut keys = Keys::default();
        for key in ["password", "token", "authorization", "api_key"] {
            assert!(keys.push(key));
        }
        keys
    }

    fn redacted(text: &str) -> String {
        let mut out = String::new();
        let finder = Finder::new(&keys()).unwrap();
        if finder.redact(text, &keys(), &mut out) { out } else { text.to_owned() }
    }

    #[test]
    fn values_are_hidden_to_their_end_and_nothing_else_is() {
        for (text, expected) in [
            ("password=hunter2", "password=[redacted]"),
            ("a password=hunter2 b", "a password=[redacted] b"),
            ("password=hunter2, user=ann", "password=[redacted], user=ann"),
            ("PASSWORD = hunter2;x", "PASSWORD = [redacted];x"),
            ("--db-password=hunter2 -v", "--db-password=[redacted] -v"),
            ("/login?token=abc&page=7", "/login?token=[redacted]&page=7"),
            (r#"{"password":"hun\"ter2","n":7}"#, r#"{"password":"[redacted]","n":7}"#),
            (r#"{"password": 1234, "n":7}"#, r#"{"password": [redacted], "n":7}"#),
            (r#"{\"token\":\"a b\",\"n\":7}"#, r#"{\"token\":\"[redacted]\",\"n\":7}"#),
            ("{'token': 'a b', 'n': 7}", "{'token': '[redacted]', 'n': 7}"),
            (r#"Login { password: "a b", n: 7 }"#, r#"Login { password: "[redacted]", n: 7 }"#),
            (r#"Login { token: Some("a b"), n: 7 }"#, "Login { token: [redacted], n: 7 }"),
            (r#"x token=["a b", "c"] y"#, "x token=[redacted] y"),
            ("Authorization: Bearer abc.def x", "Authorization: [redacted] x"),
            ("authorization=Basic dXNlcg== x", "authorization=[redacted] x"),
            ("Authorization: Digest a=\"b\", c=\"d\"\nx", "Authorization: [redacted]\nx"),
            ("password => hunter2", "password => [redacted]"),
            ("accessToken=abc", "accessToken=[redacted]"),
            ("apiKey=abc", "apiKey=[redacted]"),
            ("token=a token=b", "token=[redacted] token=[redacted]"),
            ("token=Grüße x", "token=[redacted] x"),
            ("password=\"never ends", "password=\"[redacted]"),
            ("password=(never ends", "password=[redacted]"),
        ] {
            assert_eq!(redacted(text), expected);
        }
        for text in [
            "no secret",
            "the password is wrong",
            "tokens=7",
            "token",
            "token=",
            "token=\"\"",
            "my::token::Parser",
            "tokenizer=fast",
            "wrong_passwords=3",
        ] {
            assert_eq!(redacted(text), text);
        }
    }

    proptest! {
        #[test]
        fn a_secret_with_a_key_beside_it_is_never_left(
            before in "[a-zA-Z ,;{}\"'=:\\\\é]{0,12}",
            separator in "( ?[=:] ?)",
            secret in "[A-Z0-9]{6,12}",
            after in "[a-z ,;{}\"'=:\\\\é]{0,12}",
        ) {
            let text = format!("{before} password{separator}{secret} {after}");
            let out = redacted(&text);
            prop_assert!(!out.contains(&secret), "{text:?} became {out:?}");
        }

        #[test]
        fn no_text_makes_it_panic(text in "([-a-z=:\"'\\\\(){}\\[\\] é]|password|token|Bearer){0,30}") {
            redacted(&text);
        }
    }
}
