//! A line of a log as a page gets it: its parts, each safe to be shown.

use serde::Serialize;

use super::shown::shown;
use crate::reading::{Converter, Head, Layout, TextLine};
use crate::tail::Filter;

/// A line's parts. Of a line that is no record there is the text alone.
#[derive(Debug, Default, Serialize)]
pub(super) struct Shown {
    #[serde(flatten)]
    head: Option<ShownHead>,
    text: String,
    /// Bytes that are not shown, because there are too many.
    #[serde(skip_serializing_if = "is_nothing")]
    left_out: usize,
}

#[derive(Debug, Serialize)]
struct ShownHead {
    time: String,
    level: &'static str,
    worker: String,
    pid: u32,
    target: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    spans: String,
}

const fn is_nothing(number: &usize) -> bool {
    *number == 0
}

impl Shown {
    /// About the bytes that it takes on the wire.
    pub(super) fn bytes(&self) -> usize {
        let head = self.head.as_ref().map_or(0, |head| {
            head.worker.len() + head.target.len() + head.spans.len() + head.time.len()
        });
        self.text.len() + head
    }
}

/// Makes the parts of the lines that a page wants.
#[derive(Debug)]
pub(super) struct Reader {
    filter: Filter,
    converter: Converter,
    text: Vec<u8>,
}

impl Reader {
    pub(super) fn new(filter: Filter) -> Self {
        Self { filter, converter: Converter::new(), text: Vec::new() }
    }

    /// Whether there is no line that the page does not want.
    pub(super) const fn wants_all(&self) -> bool {
        !self.filter.needs_head() && self.filter.grep.is_none()
    }

    /// A line's parts; `None` = the page does not want it.
    pub(super) fn read(&mut self, line: &[u8]) -> Option<Shown> {
        let found = Head::of(line);
        if !self.filter.allows(line, found.as_ref(), &mut self.converter) {
            return None;
        }
        let Some((layout, head)) = found else { return Some(without_head(line)) };
        // A line of JSON is made one of text: there its event and its spans stand in words.
        self.text.clear();
        let text = match layout {
            Layout::Json if self.converter.text_of_json(line, &mut self.text) => &self.text,
            _ => line,
        };
        let Some(parts) = TextLine::parse(text) else { return Some(without_head(text)) };
        let (event, left_out) = shown(parts.event);
        Some(Shown {
            head: Some(ShownHead {
                time: head.time.to_string(),
                level: head.level.as_str(),
                worker: shown(&head.worker).0,
                pid: head.pid,
                target: shown(parts.head.target.as_ref()).0,
                spans: shown(parts.spans).0,
            }),
            text: event,
            left_out,
        })
    }
}

fn without_head(line: &[u8]) -> Shown {
    let (text, left_out) = shown(&String::from_utf8_lossy(line));
    Shown { head: None, text, left_out }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::shown::TEXT_MAX;

    fn read(line: &str) -> serde_json::Value {
        let shown = Reader::new(Filter::default()).read(line.as_bytes()).unwrap();
        serde_json::to_value(shown).unwrap()
    }

    #[test]
    fn both_layouts_have_the_same_parts() {
        let text = "2026-11-22T10:00:00.123456Z  INFO w[7] request{id=7}: app::job: done \"x\" n=1";
        let json = r#"{"timestamp":"2026-11-22T10:00:00.123456Z","level":"INFO","fields":{"message":"done \"x\"","n":1},"target":"app::job","span":{"id":7,"name":"request"},"spans":[{"id":7,"name":"request"}],"worker":"w","pid":7,"lane":1,"seq":7}"#;
        let expected = serde_json::json!({
            "time": "2026-11-22T10:00:00.123456Z", "level": "INFO", "worker": "w", "pid": 7,
            "target": "app::job", "spans": "request{id=7}", "text": "done \"x\" n=1",
        });
        assert_eq!(read(text), expected);
        assert_eq!(read(json), expected);
        assert_eq!(read("no record <b>"), serde_json::json!({ "text": "no record <b>" }));
    }

    #[test]
    fn a_hostile_line_is_shown_by_its_escapes_and_a_long_one_is_cut() {
        let line = r#"{"timestamp":"2026-11-22T10:00:00Z","level":"INFO","fields":{"message":"\u001b[2J\n\u202e<script>"},"target":"a\u0007","worker":"\u202e\n","pid":7,"lane":1,"seq":7}"#;
        let value = read(line);
        for part in ["text", "target", "worker"] {
            let text = value[part].as_str().unwrap();
            assert!(!text.chars().any(crate::command::table::is_unsafe), "{part}: {text:?}");
        }
        assert!(value["text"].as_str().unwrap().contains("<script>"));
        let long = format!("2026-11-22T10:00:00Z  INFO w[7] a: {}", "x".repeat(TEXT_MAX + 7));
        let value = read(&long);
        assert_eq!(value["text"].as_str().unwrap().len(), TEXT_MAX);
        assert_eq!(value["left_out"], 7);
    }
}
