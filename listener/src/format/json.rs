//! The JSON layout: the keys of `tracing_subscriber::fmt().json()`, and `worker`, `pid`, `lane`,
//! `seq`; `origin` where the listener itself says it.
//!
//! No key stands twice in an object: strict parsers refuse that, and lax ones disagree about
//! which value counts. Here it is the last one, as it is for most of them.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::io::Write as _;

use fleetlog_protocol::callsite::Callsite;
use fleetlog_protocol::record::{ErrorChain, Fields, Span, Value};

use super::clock::Clock;
use super::escape::{put_hex, put_json};
use super::name::Name;
use super::number::{put_i64, put_u64};
use super::repeats;
use super::{Line, Origin};

/// Appends a line without its newline.
pub(super) fn write(line: &Line<'_>, clock: &mut Clock, out: &mut Vec<u8>) {
    let record = line.record;
    out.extend_from_slice(b"{\"timestamp\":\"");
    clock.put(line.time, out);
    out.extend_from_slice(b"\",\"level\":\"");
    out.extend_from_slice(record.level.as_str().as_bytes());
    out.extend_from_slice(b"\",\"fields\":{");
    put_entries(record.fields(), line.callsite, None, out);
    out.extend_from_slice(b"},\"target\":");
    put_string(&line.callsite.target, out);
    put_spans(line, out);
    out.extend_from_slice(b",\"worker\":");
    put_string(line.worker, out);
    out.extend_from_slice(b",\"pid\":");
    put_u64(u64::from(line.pid), out);
    out.extend_from_slice(b",\"lane\":");
    put_u64(u64::from(line.lane), out);
    out.extend_from_slice(b",\"seq\":");
    put_u64(record.seq, out);
    if let Some(length) = record.original_len {
        out.extend_from_slice(b",\"truncated\":");
        put_u64(u64::from(length), out);
    }
    repeats::put_member(line, out);
    if line.origin == Origin::Listener {
        out.extend_from_slice(b",\"origin\":\"");
        out.extend_from_slice(Origin::LISTENER.as_bytes());
        out.push(b'"');
    }
    out.push(b'}');
}

/// Appends `span`, the innermost, and `spans`, the outermost first, unless there are none.
fn put_spans(line: &Line<'_>, out: &mut Vec<u8>) {
    let spans = line.record.spans();
    let Some(before) = spans.len().checked_sub(1) else { return };
    let put = |span: Span<'_>, out: &mut Vec<u8>| {
        out.push(b'{');
        put_entries(span.fields, line.callsite, Some(span.name), out);
        out.push(b'}');
    };
    out.extend_from_slice(b",\"span\":");
    let start = out.len();
    line.record.spans().skip(before).for_each(|span| put(span, out));
    let end = out.len();
    out.extend_from_slice(b",\"spans\":[");
    for span in spans.take(before) {
        put(span, out);
        out.push(b',');
    }
    out.extend_from_within(start..end);
    out.push(b']');
}

/// Entries of one object that are compared pair by pair, without allocating. `tracing` has at
/// most 32 fields a callsite, and hardly any event comes near.
const FEW: usize = 16;

/// Appends the entries of an object, without its braces: the fields, and a span's name.
fn put_entries(fields: Fields<'_>, callsite: &Callsite, span: Option<&str>, out: &mut Vec<u8>) {
    let start = out.len();
    let mut few = [Entry::NONE; FEW];
    let mut count = 0;
    let mut many = Vec::new();
    let mut keep = |entry| match few.get_mut(count) {
        Some(place) => {
            *place = entry;
            count += 1;
        }
        None => many.push(entry),
    };
    for field in fields {
        let name = Name::new(field.name, callsite);
        let decoration =
            if span.is_some() && name.is("name") { Decoration::Field } else { Decoration::None };
        keep(Entry { key: Key { name, decoration }, value: Content::Value(field.value) });
        if let Value::Error(chain) = field.value
            && chain.iter().nth(1).is_some()
        {
            let key = Key { name, decoration: Decoration::Sources };
            keep(Entry { key, value: Content::Sources(chain) });
        }
    }
    if many.is_empty() {
        put_few(&few[..count], out);
    } else {
        many.splice(..0, few);
        put_many(&many, out);
    }
    if let Some(name) = span {
        if out.len() > start {
            out.push(b',');
        }
        out.extend_from_slice(b"\"name\":");
        put_string(name, out);
    }
}

fn put_few(entries: &[Entry<'_>], out: &mut Vec<u8>) {
    let mut first = true;
    for (at, entry) in entries.iter().enumerate() {
        if !entries[at + 1..].iter().any(|later| later.key == entry.key) {
            entry.put(&mut first, out);
        }
    }
}

/// A hostile record can hold a quarter of a million entries: looking for pairs would stall the
/// listener.
fn put_many(entries: &[Entry<'_>], out: &mut Vec<u8>) {
    let last: HashMap<Key<'_>, usize> =
        entries.iter().enumerate().map(|(at, entry)| (entry.key, at)).collect();
    let mut first = true;
    for (at, entry) in entries.iter().enumerate() {
        if last.get(&entry.key) == Some(&at) {
            entry.put(&mut first, out);
        }
    }
}

#[derive(Clone, Copy)]
struct Entry<'a> {
    key: Key<'a>,
    value: Content<'a>,
}

#[derive(Clone, Copy)]
enum Content<'a> {
    Value(Value<'a>),
    Sources(ErrorChain<'a>),
}

impl Entry<'_> {
    const NONE: Self = Self {
        key: Key { name: Name::Number(0), decoration: Decoration::None },
        value: Content::Value(Value::Bool(false)),
    };

    fn put(&self, first: &mut bool, out: &mut Vec<u8>) {
        out.extend_from_slice(if *first { b"\"" } else { b",\"" });
        *first = false;
        let (before, behind) = self.key.decoration.around();
        out.extend_from_slice(before.as_bytes());
        self.key.name.put_json(out);
        out.extend_from_slice(behind.as_bytes());
        out.extend_from_slice(b"\":");
        match &self.value {
            Content::Value(value) => put_value(value, out),
            Content::Sources(chain) => {
                for (at, source) in chain.iter().skip(1).enumerate() {
                    out.push(if at == 0 { b'[' } else { b',' });
                    put_string(source, out);
                }
                out.push(b']');
            }
        }
    }
}

/// A key of an object; two keys are equal if they are printed alike.
#[derive(Clone, Copy)]
struct Key<'a> {
    name: Name<'a>,
    decoration: Decoration,
}

/// What is printed around a name, so that it can't be mistaken for another key of the object.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Decoration {
    None,
    /// A span's field called `name`.
    Field,
    /// The sources of an error.
    Sources,
}

impl Decoration {
    const fn around(self) -> (&'static str, &'static str) {
        match self {
            Self::None => ("", ""),
            Self::Field => ("field.", ""),
            Self::Sources => ("", ".sources"),
        }
    }
}

impl Key<'_> {
    /// The printed key, byte by byte.
    fn bytes(&self) -> impl Iterator<Item = u8> {
        let (before, behind) = self.decoration.around();
        let (text, number) = match self.name {
            Name::Text(text) => (text, None),
            Name::Number(number) => ("#", Some(number)),
        };
        let divisors = [10_000, 1000, 100, 10, 1].into_iter();
        let digits = number.into_iter().flat_map(move |number| {
            divisors
                .clone()
                .filter(move |divisor| *divisor == 1 || number >= *divisor)
                .map(move |divisor| b"0123456789"[usize::from(number / divisor % 10)])
        });
        before.bytes().chain(text.bytes()).chain(digits).chain(behind.bytes())
    }
}

impl PartialEq for Key<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self.name, other.name) {
            (Name::Text(left), Name::Text(right)) if self.decoration == other.decoration => {
                left == right
            }
            (Name::Number(left), Name::Number(right)) if self.decoration == other.decoration => {
                left == right
            }
            _ => self.bytes().eq(other.bytes()),
        }
    }
}

impl Eq for Key<'_> {}

impl Hash for Key<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // In one piece, so that equal keys hash alike however they are put together.
        match (self.name, self.decoration) {
            (Name::Text(text), Decoration::None) => state.write(text.as_bytes()),
            _ => state.write(&self.bytes().collect::<Vec<_>>()),
        }
    }
}

fn put_value(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::U64(number) => put_u64(*number, out),
        Value::I64(number) => put_i64(*number, out),
        Value::U128(number) => match u64::try_from(*number) {
            Ok(number) => put_u64(number, out),
            // Most parsers would turn a longer number into a float.
            Err(_) => put_printed(format_args!("\"{number}\""), out),
        },
        Value::I128(number) => match (u64::try_from(*number), i64::try_from(*number)) {
            (Ok(number), _) => put_u64(number, out),
            (_, Ok(number)) => put_i64(number, out),
            _ => put_printed(format_args!("\"{number}\""), out),
        },
        Value::F64(number) if number.is_finite() => put_printed(format_args!("{number:?}"), out),
        // The words are those of Protocol Buffers' JSON mapping, which many parsers know.
        Value::F64(number) => out.extend_from_slice(if number.is_nan() {
            b"\"NaN\""
        } else if *number > 0.0 {
            b"\"Infinity\""
        } else {
            b"\"-Infinity\""
        }),
        Value::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Value::Str(text) | Value::Debug(text) => put_string(text, out),
        Value::Bytes(bytes) => {
            out.push(b'"');
            bytes.iter().for_each(|byte| put_hex(u32::from(*byte), 2, out));
            out.push(b'"');
        }
        Value::Error(chain) => put_string(chain.iter().next().unwrap_or(""), out),
    }
}

fn put_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    put_json(text, out);
    out.push(b'"');
}

fn put_printed(value: std::fmt::Arguments<'_>, out: &mut Vec<u8>) {
    // Writing to a vector does not fail.
    let _ = out.write_fmt(value);
}
