//! Field names: what a record calls by number, in letters.

use fleetlog_protocol::callsite::Callsite;
use fleetlog_protocol::record::FieldName;

use super::escape;
use super::number::put_u64;

/// A field's name as it is printed: without the `r#` of a raw identifier.
#[derive(Clone, Copy, Debug)]
pub(super) enum Name<'a> {
    /// A name that is known.
    Text(&'a str),
    /// The number of a name that the callsite lacks.
    Number(u16),
}

/// Under this name an event's message is recorded.
const MESSAGE: &str = "message";

impl<'a> Name<'a> {
    #[inline]
    pub(super) fn new(name: FieldName<'a>, callsite: &'a Callsite) -> Self {
        let text = match name {
            FieldName::Inline(name) => name,
            FieldName::Index(index) => match callsite.fields.get(usize::from(index)) {
                Some(name) => name,
                None => return Self::Number(index),
            },
        };
        Self::Text(without_raw_prefix(text))
    }

    #[inline]
    pub(super) fn is_message(self) -> bool {
        self.is(MESSAGE)
    }

    #[inline]
    pub(super) fn is(self, name: &str) -> bool {
        matches!(self, Self::Text(text) if text == name)
    }

    /// Appends the name, escaped for text.
    pub(super) fn put_bare(self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => escape::put_bare(text, out),
            Self::Number(number) => put_number(number, out),
        }
    }

    /// Appends the name, escaped for the inside of a JSON string.
    pub(super) fn put_json(self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => escape::put_json(text, out),
            Self::Number(number) => put_number(number, out),
        }
    }
}

pub(super) fn without_raw_prefix(name: &str) -> &str {
    name.strip_prefix("r#").unwrap_or(name)
}

fn put_number(number: u16, out: &mut Vec<u8>) {
    out.push(b'#');
    put_u64(u64::from(number), out);
}
