//! Entries that outlive the bytes they were decoded from.
//!
//! A message that is not UTF-8 is decoded from a repaired copy, which ends with its decoder.

use std::borrow::Cow;

use crate::foreign::entry::{Entry, Field, Span, Value};

/// The same entry with texts of its own.
pub(super) fn entry(entry: Entry<'_>) -> Entry<'static> {
    Entry {
        level: entry.level,
        target: text(entry.target),
        message: text(entry.message),
        time: entry.time,
        file: entry.file.map(text),
        line: entry.line,
        module: entry.module.map(text),
        thread: entry.thread,
        pid: entry.pid,
        host: entry.host.map(text),
        spans: entry.spans.into_iter().map(span).collect(),
        fields: entry.fields.into_iter().map(field).collect(),
        missing: entry.missing,
    }
}

fn span(span: Span<'_>) -> Span<'static> {
    Span { name: text(span.name), fields: span.fields.into_iter().map(field).collect() }
}

fn field(field: Field<'_>) -> Field<'static> {
    let value = match field.value {
        Value::U64(number) => Value::U64(number),
        Value::I64(number) => Value::I64(number),
        Value::F64(number) => Value::F64(number),
        Value::Bool(value) => Value::Bool(value),
        Value::Str(value) => Value::Str(text(value)),
        Value::Bytes(bytes) => Value::Bytes(Cow::Owned(bytes.into_owned())),
        Value::Shown(value) => Value::Shown(text(value)),
    };
    Field { name: text(field.name), value }
}

fn text(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}
