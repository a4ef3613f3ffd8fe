//! Redaction: values that must not be seen are replaced before a record is a line.
//!
//! It stands in front of everything that shows a record: the files, whoever follows them, the last
//! errors in the status. What it covers: a field, of an event or of a span, whose name is one of
//! the keys; and in every text `key=value`, `key: value` and their quoted relatives. What it can't
//! know: a secret that has no name beside it.

mod key;
mod text;

use std::fmt;
use std::str::FromStr;

use fleetlog_protocol::callsite::Callsite;
use fleetlog_protocol::record::{self, FieldEncoder, FieldName, Record, Value};

use key::Keys;
use text::Finder;

/// What stands in place of a value.
const REDACTED: &str = "[redacted]";

/// The keys whose values are not shown.
///
/// A key fits a name that it is a word of, or several: `token` fits `token`, `auth_token`,
/// `x-auth-token` and `accessToken`, but not `tokens` or `tokenizer`.
///
/// ```
/// use fleetlog::options::Redaction;
/// let redaction: Redaction = "password,api_key".parse().unwrap();
/// assert!(redaction.hides("db.password") && redaction.hides("X-Api-Key"));
/// assert!(!redaction.hides("passwords"));
/// assert!("pass word".parse::<Redaction>().is_err());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redaction {
    keys: Keys,
}

/// The text is no list of keys.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no key to redact: expected names such as password,token,api_key, of letters, digits, \
     `_`, `-` and `.`"
)]
pub struct RedactionError(String);

fleetlog_protocol::debug_as_display!(RedactionError);

impl Redaction {
    /// Whether there is nothing to hide.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether the value of a name is hidden.
    #[must_use]
    pub fn hides(&self, name: &str) -> bool {
        self.keys.fit(name)
    }
}

impl FromStr for Redaction {
    type Err = RedactionError;

    fn from_str(text: &str) -> Result<Self, RedactionError> {
        let mut keys = Keys::default();
        for key in text.split(',').map(str::trim).filter(|key| !key.is_empty()) {
            if !keys.push(key) {
                return Err(RedactionError(key.to_owned()));
            }
        }
        if keys.is_empty() { Err(RedactionError(text.to_owned())) } else { Ok(Self { keys }) }
    }
}

impl fmt::Display for Redaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.keys.fmt(f)
    }
}

/// Redacts records.
#[derive(Debug)]
pub(crate) struct Redactor {
    keys: Keys,
    finder: Finder,
    bytes: Vec<u8>,
    text: String,
}

impl Redactor {
    /// A redactor; `None` = there is nothing to hide.
    pub(crate) fn new(redaction: &Redaction) -> Option<Self> {
        let finder = Finder::new(&redaction.keys)?;
        Some(Self { keys: redaction.keys.clone(), finder, bytes: Vec::new(), text: String::new() })
    }

    /// The record without what must not be seen, in bytes of its own; `None` = it has nothing of
    /// that kind.
    pub(crate) fn redact(&mut self, record: &Record<'_>, callsite: &Callsite) -> Option<&[u8]> {
        let hides = |name: FieldName<'_>, value: &Value<'_>| {
            self.keys.fit(name_of(name, callsite)) || self.finder.may_be_in(value)
        };
        let in_spans = || record.spans().flat_map(|span| span.fields);
        if !record.fields().chain(in_spans()).any(|field| hides(field.name, &field.value)) {
            return None;
        }
        let Self { keys, finder, bytes, text } = self;
        record::rewrite(record, bytes, |fields, name, value| {
            if keys.fit(name_of(name, callsite)) {
                hide(fields, name, value);
            } else {
                put(fields, name, value, finder, keys, text);
            }
        });
        Some(bytes)
    }
}

fn name_of<'a>(name: FieldName<'a>, callsite: &'a Callsite) -> &'a str {
    match name {
        FieldName::Inline(name) => name,
        FieldName::Index(index) => {
            callsite.fields.get(usize::from(index)).map_or("", String::as_str)
        }
    }
}

fn hide(fields: &mut FieldEncoder<'_>, name: FieldName<'_>, value: &Value<'_>) {
    match value {
        Value::Debug(_) => fields.debug(name, &format_args!("{REDACTED}")),
        _ => fields.str(name, REDACTED),
    }
}

/// Writes a field with the secrets in its text hidden.
fn put(
    fields: &mut FieldEncoder<'_>,
    name: FieldName<'_>,
    value: &Value<'_>,
    finder: &Finder,
    keys: &Keys,
    out: &mut String,
) {
    out.clear();
    match value {
        Value::Str(text) if finder.redact(text, keys, out) => fields.str(name, out),
        Value::Debug(text) if finder.redact(text, keys, out) => {
            fields.debug(name, &format_args!("{out}"));
        }
        Value::Error(chain) => {
            // A chain with a secret in it becomes one text; its parts stay apart by colons.
            let mut joined = String::new();
            for (at, error) in chain.iter().enumerate() {
                if at > 0 {
                    joined.push_str(": ");
                }
                joined.push_str(error);
            }
            if finder.redact(&joined, keys, out) {
                fields.debug(name, &format_args!("{out}"));
            } else {
                fields.value(name, value);
            }
        }
        value => fields.value(name, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{Format, Formatter, Line, Origin};
    use fleetlog_protocol::Level;
    use fleetlog_protocol::record::{RecordEncoder, seal};

    fn callsite(fields: &[&str]) -> Callsite {
        Callsite {
            level: Level::Info,
            target: "app".to_owned(),
            name: "event".to_owned(),
            file: None,
            line: None,
            module_path: None,
            fields: fields.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    /// What a record looks like in each layout when it was redacted.
    fn shown(
        names: &[&str],
        encode: impl FnOnce(&mut FieldEncoder<'_>),
        span: impl FnOnce(&mut FieldEncoder<'_>),
    ) -> Vec<String> {
        let mut block = vec![0; 6];
        let mut fields = FieldEncoder::new(&mut block, 4096);
        span(&mut fields);
        let count = fields.count();
        block[..2].copy_from_slice(&count.to_le_bytes());
        let mut bytes = Vec::new();
        let encoder = RecordEncoder::new(&mut bytes, Level::Info, 4096);
        let mut encoder = encoder.with_spans(|encoder| encoder.span("request", &[&block]));
        let mut fields = encoder.fields();
        encode(&mut fields);
        let count = fields.count();
        encoder.finish(1, count, 0);
        seal(&mut bytes, 1, 1, 1);
        let record = Record::decode(&bytes).unwrap();
        let callsite = callsite(names);
        let redaction = "password,token,authorization".parse().unwrap();
        let mut redactor = Redactor::new(&redaction).unwrap();
        let redacted = redactor.redact(&record, &callsite).map(<[u8]>::to_vec);
        let record = redacted.as_deref().map_or(record, |bytes| Record::decode(bytes).unwrap());
        let formats =
            [Format::text(), Format::json(), "{message} {fields} {spans}".parse().unwrap()];
        let lines = formats.map(|format| {
            let line = Line {
                record: &record,
                callsite: &callsite,
                worker: "w",
                pid: 1,
                lane: 1,
                time: 0,
                repeats: &[],
                origin: Origin::Client,
            };
            let mut out = Vec::new();
            Formatter::new(&format).write(&line, &mut out);
            String::from_utf8(out).unwrap()
        });
        lines.to_vec()
    }

    #[test]
    fn no_value_of_a_key_is_in_any_layout_whatever_its_type() {
        let lines = shown(
            &["message", "password", "user", "db.token"],
            |fields| {
                fields.debug(FieldName::Index(0), &format_args!("login password=hunter2 ok"));
                fields.str(FieldName::Index(1), "hunter2");
                fields.str(FieldName::Index(2), "ann");
                fields.u64(FieldName::Index(3), 123_456_789);
                fields.bytes(FieldName::Inline("authorization"), b"hunter2");
                let error = std::io::Error::other("refused: token=hunter2");
                fields.error(FieldName::Inline("cause"), &error);
                fields.str(FieldName::Inline("query"), "/x?token=hunter2&page=7");
            },
            |fields| {
                fields.str(FieldName::Inline("Authorization"), "Bearer hunter2");
                fields.i64(FieldName::Inline("id"), 7);
            },
        );
        for line in &lines {
            for secret in ["hunter2", "123456789", "68756e746572", "[68"] {
                assert!(!line.contains(secret), "{secret} is in {line}");
            }
            for kept in ["login", "ann", "page=7", "refused"] {
                assert!(line.contains(kept), "{kept} is not in {line}");
            }
            assert!(line.contains("[redacted]"), "{line}");
        }
    }

    #[test]
    fn a_record_without_secrets_is_left_as_it_is() {
        let lines = shown(
            &["message", "tokens"],
            |fields| {
                fields.str(FieldName::Index(0), "a tokenizer read tokens=7");
                fields.u64(FieldName::Index(1), 7);
            },
            |_| {},
        );
        assert!(lines[0].contains("a tokenizer read tokens=7 tokens=7"), "{}", lines[0]);
    }
}
