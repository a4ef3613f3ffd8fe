//! What the decoder makes of lines, and helpers to show it.

mod hostile;
mod loggers;
mod ours;
mod rules;

use std::fmt::Write as _;

use super::decode;
use crate::foreign::entry::{Entry, Field, Value};

/// An entry on one line: the level, every place that is filled, the message, spans and fields.
fn show(entry: &Entry<'_>) -> String {
    let mut out = entry.level.as_str().to_owned();
    let mut put = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = write!(out, " {name}={value}");
        }
    };
    put("target", (!entry.target.is_empty()).then(|| entry.target.to_string()));
    put("time", entry.time.map(|claim| format!("{}~{}", claim.time, claim.precision)));
    put("file", entry.file.as_ref().map(ToString::to_string));
    put("line", entry.line.map(|line| line.to_string()));
    put("module", entry.module.as_ref().map(ToString::to_string));
    put("thread", entry.thread.map(|thread| thread.to_string()));
    put("pid", entry.pid.map(|pid| pid.to_string()));
    put("host", entry.host.as_ref().map(ToString::to_string));
    let _ = write!(out, " {:?}", entry.message);
    for span in &entry.spans {
        let _ = write!(out, " {}{{{}}}", span.name, show_fields(&span.fields).trim_start());
    }
    out.push_str(&show_fields(&entry.fields));
    if entry.missing > 0 {
        let _ = write!(out, " missing {}", entry.missing);
    }
    out
}

fn show_fields(fields: &[Field<'_>]) -> String {
    let mut out = String::new();
    for Field { name, value } in fields {
        let _ = match value {
            Value::U64(number) => write!(out, " {name}={number}"),
            Value::I64(number) => write!(out, " {name}={number}"),
            Value::F64(number) => write!(out, " {name}={number:?}"),
            Value::Bool(value) => write!(out, " {name}={value}"),
            Value::Str(text) => write!(out, " {name}={text:?}"),
            Value::Bytes(bytes) => write!(out, " {name}={bytes:?}"),
            Value::Shown(text) => write!(out, " {name}=<{text}>"),
        };
    }
    out
}

/// What a line that is an object becomes.
fn shown(line: &str) -> String {
    let entry = decode(line.as_bytes()).unwrap_or_else(|| panic!("it is an object: {line}"));
    show(&entry)
}

/// Compares every line with what it should become; the failure names the line.
fn check(cases: &[(&str, &str)]) {
    for (line, expected) in cases {
        assert_eq!(&shown(line), expected, "\nthe line was {line}");
    }
}
