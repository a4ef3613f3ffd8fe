//! Templates: a line's layout in the words of its user.
//!
//! A template is parsed once into parts. Its literal text is escaped then, so that not even a
//! template can put a control character into a file.

mod error;
mod pad;
mod parse;

use super::Line;
use super::clock::Clock;
use super::escape::{is_dangerous, put_bare};
use super::name::Name;
use super::number::put_u64;
use super::repeats;
use super::text;
use super::value::put_plain;
pub use error::{TemplateError, TemplateProblem};
use pad::Pad;

/// A parsed template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    source: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// Text that is escaped already.
    Literal(Vec<u8>),
    Value(Placeholder, Pad),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Placeholder {
    Time,
    Strftime(String),
    Worker,
    Pid,
    Level,
    Target,
    Message,
    Thread,
    Seq,
    Lane,
    File,
    Line,
    Module,
    Spans,
    Fields,
    Field(String),
}

impl Template {
    /// Parses a template.
    pub(super) fn parse(source: &str) -> Result<Self, TemplateError> {
        let parts = parse::parts(source)?;
        Ok(Self { source: source.to_owned(), parts })
    }

    /// The text that was parsed.
    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// Appends a line without its newline.
    pub(super) fn write(&self, line: &Line<'_>, clock: &mut Clock, out: &mut Vec<u8>) {
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.extend_from_slice(text),
                Part::Value(placeholder, pad) => {
                    let start = out.len();
                    placeholder.put(line, clock, out);
                    pad.apply(start, out);
                }
            }
        }
        // Whatever the layout is, a record that was cut says so.
        text::put_truncation(line, out);
        repeats::put_text(line, out);
    }
}

impl Placeholder {
    fn put(&self, line: &Line<'_>, clock: &mut Clock, out: &mut Vec<u8>) {
        let (record, callsite) = (line.record, line.callsite);
        match self {
            Self::Time => clock.put(line.time, out),
            Self::Strftime(format) => put_strftime(format, line.time, clock, out),
            Self::Worker => put_bare(line.worker, out),
            Self::Pid => put_u64(u64::from(line.pid), out),
            Self::Level => out.extend_from_slice(record.level.as_str().as_bytes()),
            Self::Target => put_bare(&callsite.target, out),
            Self::Message => {
                text::put_message(line, out);
            }
            Self::Thread => put_u64(u64::from(record.thread), out),
            Self::Seq => put_u64(record.seq, out),
            Self::Lane => put_u64(u64::from(line.lane), out),
            Self::File => put_bare(callsite.file.as_deref().unwrap_or(""), out),
            Self::Line => {
                if let Some(line) = callsite.line {
                    put_u64(u64::from(line), out);
                }
            }
            Self::Module => put_bare(callsite.module_path.as_deref().unwrap_or(""), out),
            Self::Spans => {
                text::put_spans(line, out);
            }
            Self::Fields => text::put_fields(line, false, out),
            Self::Field(wanted) => {
                // A field that was recorded again has its last value, as in JSON.
                let last = record
                    .fields()
                    .map(|field| (Name::new(field.name, callsite), field.value))
                    .filter(|(name, _)| name.is(wanted))
                    .last();
                if let Some((name, value)) = last {
                    put_plain(name, &value, out);
                }
            }
        }
    }
}

/// `%n` and `%t` and whatever stands between the directives can be control characters.
fn put_strftime(format: &str, time: u64, clock: &Clock, out: &mut Vec<u8>) {
    let start = out.len();
    clock.put_strftime(format, time, out);
    let printed = String::from_utf8_lossy(&out[start..]);
    if printed.contains(is_dangerous) {
        let printed = printed.into_owned();
        out.truncate(start);
        put_bare(&printed, out);
    }
}
