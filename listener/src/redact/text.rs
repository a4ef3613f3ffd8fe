//! Secrets in texts: `key=value`, `key: value`, `"key":"value"`, `Authorization: Bearer value`.
//!
//! A value ends where a reader would see its end: at its closing quote or bracket, or at the first
//! white space or separator. Where that is not clear, more is hidden rather than less.

use fleetlog_protocol::record::Value;
use regex::{Regex, RegexBuilder};

use super::REDACTED;
use super::key::{Keys, is_of_name};

/// Words that stand in front of credentials.
const SCHEMES: [&str; 6] = ["bearer", "basic", "token", "negotiate", "apikey", "ntlm"];

/// Headers whose values have parts of their own: the rest of the line belongs to them.
const OF_LINES: [&str; 2] = ["authorization", "cookie"];

/// How far back a name is looked for: longer ones are no names.
const NAME_MAX: usize = 256;

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
            // A value that was hidden is no part of a name.
            let start = name_start(text, found.start()).max(copied);
            let end = name_end(text, found.end());
            at = end;
            let name = &text[start..end];
            if !keys.fit(name) {
                continue;
            }
            let Some((from, to)) = value_behind(text, name, end) else { continue };
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
    let before = text[..at].char_indices().rev().take(NAME_MAX);
    before.take_while(|(_, c)| is_of_name(*c)).last().map_or(at, |(at, _)| at)
}

fn name_end(text: &str, at: usize) -> usize {
    at + text[at..].find(|c| !is_of_name(c)).unwrap_or(text.len() - at)
}

/// The place of the value that belongs to a name that ends at `at`.
fn value_behind(text: &str, name: &str, at: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let closing = quote(&text[at..]).map_or(0, str::len);
    let mut at = at + closing;
    // As in `user[password]=x` and `params["password"] = "x"`.
    at += usize::from(bytes.get(at) == Some(&b']'));
    at = skip_blanks(bytes, at);
    at += match (bytes.get(at)?, bytes.get(at + 1)) {
        // A path of Rust's.
        (b':', Some(b':')) => return None,
        (b'=', Some(b'>' | b'=')) | (b':', Some(b'=')) | (b'-', Some(b'>')) => 2,
        (b':' | b'=', _) => 1,
        // As a pair is printed: `("password", "x")`.
        (b',', _) if closing > 0 => 1,
        _ => return None,
    };
    at = skip_space(bytes, at);
    if let Some(quote) = quote(&text[at..]) {
        let from = at + quote.len();
        return Some((from, from + quoted_len(&text[from..], quote)))
            .filter(|(from, to)| from < to);
    }
    let folded = name.to_ascii_lowercase();
    if OF_LINES.iter().any(|header| folded.ends_with(header)) {
        let line = text[at..].find(['\n', '\r']).unwrap_or(text.len() - at);
        return Some((at, at + line)).filter(|(from, to)| from < to);
    }
    let to = at + bare_len(&text[at..]);
    let is_scheme = SCHEMES.iter().any(|scheme| text[at..to].eq_ignore_ascii_case(scheme));
    let to = if is_scheme {
        let next = skip_blanks(bytes, to);
        next + bare_len(&text[next..])
    } else {
        to
    };
    (at < to).then_some((at, to))
}

fn skip_space(bytes: &[u8], at: usize) -> usize {
    at + bytes[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

fn skip_blanks(bytes: &[u8], at: usize) -> usize {
    at + bytes[at..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

/// The quote at the beginning of a text, with the backslashes in front of it.
fn quote(text: &str) -> Option<&str> {
    let slashes = text.len() - text.trim_start_matches('\\').len();
    matches!(text.as_bytes().get(slashes)?, b'"' | b'\'' | b'`').then(|| &text[..=slashes])
}

/// How long a text is until its closing quote, which has as many backslashes in front of it as the
/// opening one; all of it where there is none.
fn quoted_len(text: &str, quote: &str) -> usize {
    let depth = quote.len() - 1;
    let mark = quote.as_bytes()[depth];
    let mut slashes = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'\\' => slashes += 1,
            byte if byte == mark && is_closing(slashes, depth) => return at - depth,
            _ => slashes = 0,
        }
    }
    text.len()
}

/// Whether a quote behind some backslashes ends a text whose quotes have `depth` of them. Without
/// any, two of them are one that belongs to the text.
const fn is_closing(slashes: usize, depth: usize) -> bool {
    if depth == 0 { slashes.is_multiple_of(2) } else { slashes == depth }
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
            ("Authorization: Bearer abc.def x", "Authorization: [redacted]"),
            ("authorization=OAuth a, b=c", "authorization=[redacted]"),
            ("Proxy-Authorization: SharedKey a:b\nx", "Proxy-Authorization: [redacted]\nx"),
            (r#"{"authorization":"DPoP a b","n":7}"#, r#"{"authorization":"[redacted]","n":7}"#),
            ("token: Bearer abc x", "token: [redacted] x"),
            (
                "DBPassword=a CSRFToken: b password1=c",
                "DBPassword=[redacted] CSRFToken: [redacted] password1=[redacted]",
            ),
            ("user[password]=a&user[name]=b", "user[password]=[redacted]&user[name]=b"),
            (r#"params["password"] = "a b""#, r#"params["password"] = "[redacted]""#),
            (r#"[("password", "a b"), ("n", "7")]"#, r#"[("password", "[redacted]"), ("n", "7")]"#),
            ("password:\n   hunter2\nx", "password:\n   [redacted]\nx"),
            (r#"{\"token\":\"a\\\"b\",\"n\":7}"#, r#"{\"token\":\"[redacted]\",\"n\":7}"#),
            ("token := a, token -> b", "token := [redacted], token -> [redacted]"),
            (r#"password="a\\" x"#, r#"password="[redacted]" x"#),
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
            "(token, other)",
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
