//! Lines in a layout of the reader's own.
//!
//! A line of JSON has everything a template can ask for but the thread, the file, the line and the
//! module. A line of text has less: its event is one message, fields and all. What a line does not
//! tell is empty, and padded as anything else.

use fleetlog_protocol::Level;
use serde_json::Value;

use super::convert::{encode, print_at, whole};
use super::json::{Object, WholeLine};
use super::text::TextLine;
use crate::format::{Format, Formatter, TemplateError, TimeZoneChoice};

/// Placeholders for what lines of JSON do not tell.
const NOT_IN_JSON: [&str; 1] = ["thread"];

/// Placeholders for what lines of text do not tell.
const NOT_IN_TEXT: [&str; 3] = ["thread", "seq", "lane"];

/// A template for lines that were written in another layout.
#[derive(Debug)]
pub(crate) struct Template {
    of_json: Formatter,
    of_text: Formatter,
    record: Vec<u8>,
}

impl Template {
    /// Reads a template as [`Format::template`] does.
    pub(crate) fn parse(source: &str, zone: TimeZoneChoice) -> Result<Self, TemplateError> {
        // The error is about the template as it was given.
        Format::template(source)?;
        let formatter = |unknown: &[&str]| {
            let format = Format::template(&without(source, unknown))?;
            Ok(Formatter::new(&format.with_timezone(zone)))
        };
        let (of_json, of_text) = (formatter(&NOT_IN_JSON)?, formatter(&NOT_IN_TEXT)?);
        Ok(Self { of_json, of_text, record: Vec::new() })
    }

    /// Appends a line of JSON, without a newline; false = it is no such line.
    pub(crate) fn put_json(&mut self, line: &[u8], out: &mut Vec<u8>) -> bool {
        let Some((whole, level)) = whole(line) else { return false };
        put(&mut self.of_json, &mut self.record, &whole, level, out)
    }

    /// Appends a line of text, without a newline.
    pub(crate) fn put_text(&mut self, line: &TextLine<'_>, out: &mut Vec<u8>) -> bool {
        // The spans as they stand: they are one text here.
        let span = Object(vec![("name".to_owned(), Value::from(line.spans))]);
        let whole = WholeLine {
            timestamp: line.timestamp.to_owned(),
            level: line.head.level.as_str().to_owned(),
            fields: Object(vec![("message".to_owned(), Value::from(line.event))]),
            target: line.head.target.clone().into_owned(),
            spans: if line.spans.is_empty() { Vec::new() } else { vec![span] },
            worker: line.head.worker.clone().into_owned(),
            pid: line.head.pid,
            lane: 0,
            seq: 0,
            truncated: None,
            repeats: Vec::new(),
            origin: line.origin,
        };
        put(&mut self.of_text, &mut self.record, &whole, line.head.level, out)
    }
}

fn put(
    formatter: &mut Formatter,
    bytes: &mut Vec<u8>,
    whole: &WholeLine,
    level: Level,
    out: &mut Vec<u8>,
) -> bool {
    let Ok(time) = whole.timestamp.parse::<jiff::Timestamp>() else { return false };
    let time = u64::try_from(time.as_nanosecond()).unwrap_or(0);
    let Some(record) = encode(whole, level, bytes) else { return false };
    print_at(formatter, &record, whole, time, out);
    true
}

/// The same template with some placeholders replaced by a field that no line has.
fn without(source: &str, unknown: &[&str]) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        // A doubled brace stands for itself.
        if from.starts_with("{{") || from.starts_with("}}") {
            out.push_str(&from[..2]);
            rest = &from[2..];
            continue;
        }
        out.push_str(&from[..1]);
        rest = &from[1..];
        if from.starts_with('}') {
            continue;
        }
        let name_end = rest.find([':', '}']).unwrap_or(rest.len());
        if unknown.contains(&&rest[..name_end]) {
            out.push_str("field.#");
        }
        // What is behind the colon is the placeholder's own, braces included.
        let end = rest.find('}').unwrap_or(rest.len());
        out.push_str(&rest[..end]);
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "2026-11-22T10:00:00.123456Z  WARN w 1[7] request{id=7}: app::job: done \"x\" n=1";
    const JSON: &str = r#"{"timestamp":"2026-11-22T10:00:00.123456Z","level":"WARN","fields":{"message":"done \"x\"","n":1},"target":"app::job","span":{"id":7,"name":"request"},"spans":[{"id":7,"name":"request"}],"worker":"w 1","pid":7,"lane":3,"seq":9}"#;

    fn both(source: &str) -> (String, String) {
        let mut template = Template::parse(source, TimeZoneChoice::Utc).unwrap();
        let (mut json, mut text) = (Vec::new(), Vec::new());
        assert!(template.put_json(JSON.as_bytes(), &mut json));
        let line = TextLine::parse(TEXT.as_bytes()).unwrap();
        assert!(template.put_text(&line, &mut text));
        (String::from_utf8(json).unwrap(), String::from_utf8(text).unwrap())
    }

    #[test]
    fn what_both_layouts_tell_is_the_same_in_both() {
        for (source, expected) in [
            ("{time} {worker}", "2026-11-22T10:00:00.123456Z w 1"),
            ("{time:%H:%M:%S} {level:>6}|{pid:<4}|", "10:00:00   WARN|7   |"),
            ("{{{target}}} {spans}", "{app::job} request{id=7}"),
        ] {
            let expected = expected.to_owned();
            assert_eq!(both(source), (expected.clone(), expected), "{source}");
        }
    }

    #[test]
    fn what_text_does_not_tell_is_empty_and_padded() {
        let both = |source| both(source);
        assert_eq!(
            both("{seq:>3}{lane}|{thread:>3}|{file}{line}"),
            ("  93|   |".into(), "   |   |".into())
        );
        assert_eq!(
            both("{message}|{field.n}|{fields}"),
            ("done \"x\"|1|n=1".into(), "done \"x\" n=1||".into())
        );
        assert_eq!(both("{{seq}} {seq}"), ("{seq} 9".into(), "{seq} ".into()));
    }

    #[test]
    fn a_mistake_is_told_in_the_words_that_were_given() {
        let error = Template::parse("{seq} {mesage}", TimeZoneChoice::Utc).unwrap_err();
        assert_eq!(error.position, 7);
        assert!(error.to_string().contains("did you mean {message}?"), "{error}");
    }
}
