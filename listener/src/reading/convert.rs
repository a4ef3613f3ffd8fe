//! From one layout into another.
//!
//! A line of JSON becomes a record again and goes through `format` once more, so that every
//! layout, every escape and every alignment is the one that the listener would have written. What
//! JSON does not tell apart stays so: text of a `Debug` value comes back in quotes.

use fleetlog_protocol::Level;
use fleetlog_protocol::callsite::Callsite;
use fleetlog_protocol::record::{FieldEncoder, FieldName, Record, RecordEncoder, put_block, seal};
use serde_json::Value;

use super::json::{Object, WholeLine};
use super::text::TextLine;
use crate::format::{Format, Formatter, Line};

/// More than any line can hold.
const LIMIT: usize = 1 << 28;

/// What stands for a time of which only the text is known.
const NO_TIME: &str = "1970-01-01T00:00:00.000000Z";

/// Prints lines in other layouts.
#[derive(Debug)]
pub(crate) struct Converter {
    text: Formatter,
    json: Formatter,
    message: Formatter,
    fields: Formatter,
    record: Vec<u8>,
}

impl Converter {
    pub(crate) fn new() -> Self {
        // These two are known to be templates; the fallback never comes about.
        let template = |text| Formatter::new(&Format::template(text).unwrap_or_default());
        Self {
            text: Formatter::new(&Format::text()),
            json: Formatter::new(&Format::json()),
            message: template("{message}"),
            fields: template("{fields}"),
            record: Vec::new(),
        }
    }

    /// Appends a line of JSON as text, without a newline; false = it is no such line.
    pub(crate) fn text_of_json(&mut self, line: &[u8], out: &mut Vec<u8>) -> bool {
        let Some((whole, level)) = whole(line) else { return false };
        let start = out.len();
        let Some(record) = encode(&whole, level, &mut self.record) else { return false };
        print(&mut self.text, &record, &whole, out);
        // The time stays in the zone in which it was written.
        out.splice(start..start + NO_TIME.len(), whole.timestamp.bytes());
        true
    }

    /// Appends the message and the fields of a line of JSON; false = it is no such line.
    pub(crate) fn event_of_json(&mut self, line: &[u8], out: &mut Vec<u8>) -> bool {
        let Some((whole, level)) = whole(line) else { return false };
        let Some(record) = encode(&whole, level, &mut self.record) else { return false };
        let start = out.len();
        print(&mut self.message, &record, &whole, out);
        let message = out.len();
        if message > start {
            out.push(b' ');
        }
        let fields = out.len();
        print(&mut self.fields, &record, &whole, out);
        if out.len() == fields {
            out.truncate(message);
        }
        true
    }

    /// Appends a line of text as JSON, with the keys that it knows: what it says of lane, number
    /// and single fields is nothing.
    pub(crate) fn json_of_text(&mut self, line: &TextLine<'_>, out: &mut Vec<u8>) -> bool {
        let message = Value::from(line.event);
        let whole = WholeLine {
            timestamp: line.timestamp.to_owned(),
            level: line.head.level.as_str().to_owned(),
            fields: Object(vec![("message".to_owned(), message)]),
            target: line.head.target.clone().into_owned(),
            spans: spans_of_text(line.spans),
            worker: line.head.worker.clone().into_owned(),
            pid: line.head.pid,
            lane: 0,
            seq: 0,
            truncated: None,
            repeats: Vec::new(),
            origin: line.origin,
        };
        let start = out.len();
        let Some(record) = encode(&whole, line.head.level, &mut self.record) else { return false };
        print(&mut self.json, &record, &whole, out);
        // The numbers that text does not have are the last keys of a line, but for its origin.
        const NUMBERS: &[u8] = b",\"lane\":0,\"seq\":0";
        if let Some(at) = memchr::memmem::rfind(&out[start..], NUMBERS) {
            out.drain(start + at..start + at + NUMBERS.len());
        }
        let time = start + b"{\"timestamp\":\"".len();
        out.splice(time..time + NO_TIME.len(), whole.timestamp.bytes());
        true
    }
}

/// A line whose time and level are what they should be.
pub(super) fn whole(line: &[u8]) -> Option<(WholeLine, Level)> {
    let whole: WholeLine = serde_json::from_slice(line).ok()?;
    // It goes out as it stands.
    whole.timestamp.parse::<jiff::Timestamp>().ok()?;
    let level = Level::ALL.into_iter().find(|level| level.as_str() == whole.level)?;
    Some((whole, level))
}

fn print(formatter: &mut Formatter, record: &Record<'_>, whole: &WholeLine, out: &mut Vec<u8>) {
    print_at(formatter, record, whole, 0, out);
}

/// Prints a record with its time, in nanoseconds since the Unix epoch.
pub(super) fn print_at(
    formatter: &mut Formatter,
    record: &Record<'_>,
    whole: &WholeLine,
    time: u64,
    out: &mut Vec<u8>,
) {
    let callsite = Callsite {
        level: record.level,
        target: whole.target.clone(),
        name: String::new(),
        file: None,
        line: None,
        module_path: None,
        fields: Vec::new(),
    };
    let WholeLine { worker, pid, lane, repeats, origin, .. } = whole;
    let (pid, lane, origin) = (*pid, *lane, *origin);
    let line = Line { record, callsite: &callsite, worker, pid, lane, time, repeats, origin };
    formatter.write(&line, out);
    if out.last() == Some(&b'\n') {
        out.pop();
    }
}

pub(super) fn encode<'b>(
    whole: &WholeLine,
    level: Level,
    bytes: &'b mut Vec<u8>,
) -> Option<Record<'b>> {
    let mut encoder = RecordEncoder::new(bytes, level, LIMIT);
    for span in &whole.spans {
        let (name, block) = encode_span(span);
        encoder.span(name, &[&block]);
    }
    let mut fields = encoder.fields();
    for (name, value) in &whole.fields.0 {
        put(&mut fields, name, value);
    }
    let (count, missing) = (fields.count(), fields.missing());
    encoder.finish(0, count, missing);
    seal(bytes, whole.seq, 0, 0);
    let mut record = Record::decode(bytes).ok()?;
    record.original_len = whole.truncated;
    Some(record)
}

/// A span's name, and its fields as a block.
fn encode_span(span: &Object) -> (&str, Vec<u8>) {
    let mut block = Vec::new();
    let mut span_name = "";
    put_block(&mut block, LIMIT, |fair| {
        for (name, value) in &span.0 {
            match (name.as_str(), value) {
                ("name", Value::String(text)) => span_name = text,
                // A field of that name has made way for the span's own.
                ("field.name", value) => fair.field(|fields| put(fields, "name", value)),
                (name, value) => fair.field(|fields| put(fields, name, value)),
            }
        }
    });
    (span_name, block)
}

fn put(fields: &mut FieldEncoder<'_>, name: &str, value: &Value) {
    let name = FieldName::Inline(name);
    match value {
        Value::Bool(value) => fields.bool(name, *value),
        Value::String(text) => fields.str(name, text),
        Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(number), _, _) => fields.u64(name, number),
            (_, Some(number), _) => fields.i64(name, number),
            (_, _, Some(number)) => fields.f64(name, number),
            _ => fields.debug(name, &format_args!("{number}")),
        },
        // The sources of an error; anything else is nobody's that fleetlog knows.
        Value::Array(list) => {
            let texts = list.iter().map(|item| match item {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            });
            let texts: Vec<String> = texts.collect();
            fields.debug(name, &format_args!("[{}]", texts.join(", ")));
        }
        other => fields.debug(name, &format_args!("{other}")),
    }
}

/// The spans of a line of text: their names, and their fields as one text.
fn spans_of_text(text: &str) -> Vec<Object> {
    let mut spans = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = span_end(rest);
        let (span, behind) = rest.split_at(end);
        rest = behind.strip_prefix(':').unwrap_or(behind);
        let (name, fields) = span.split_once('{').unwrap_or((span, ""));
        let mut entries = Vec::new();
        if !fields.is_empty() {
            let fields = fields.strip_suffix('}').unwrap_or(fields);
            entries.push(("fields".to_owned(), Value::from(fields)));
        }
        entries.push(("name".to_owned(), Value::from(name)));
        spans.push(Object(entries));
    }
    spans
}

/// Where the first of several spans ends: at a colon that stands neither in braces nor in quotes.
fn span_end(text: &str) -> usize {
    let (mut depth, mut is_quoted, mut is_escaped) = (0_u32, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if std::mem::take(&mut is_escaped) => {}
            b'\\' if is_quoted => is_escaped = true,
            b'"' if depth > 0 => is_quoted = !is_quoted,
            _ if is_quoted => {}
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b':' if depth == 0 && at > 0 => return at,
            _ => {}
        }
    }
    text.len()
}
