//! The way there and back: what `format` writes, `reading` reads.

use fleetlog_protocol::Level;
use fleetlog_protocol::callsite::Callsite;
use fleetlog_protocol::record::FieldName::Inline;
use fleetlog_protocol::record::{FieldEncoder, Record, RecordEncoder, seal};
use proptest::prelude::*;

use super::*;
use crate::format::{Format, Formatter, Line, Origin};

/// 2026-11-22T10:00:00.123456Z
const TIME: u64 = 1_795_341_600_123_456_000;

/// A value that JSON tells apart from all others.
#[derive(Clone, Debug)]
enum Field {
    Text(String),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
}

#[derive(Clone, Debug)]
struct Event {
    level: Level,
    worker: String,
    target: String,
    message: Option<String>,
    fields: Vec<(String, Field)>,
    spans: Vec<(String, Vec<(String, Field)>)>,
    seq: u64,
}

fn put(fields: &mut FieldEncoder<'_>, name: &str, value: &Field) {
    match value {
        Field::Text(text) => fields.str(Inline(name), text),
        Field::Unsigned(number) => fields.u64(Inline(name), *number),
        Field::Signed(number) => fields.i64(Inline(name), *number),
        Field::Float(number) => fields.f64(Inline(name), *number),
        Field::Bool(value) => fields.bool(Inline(name), *value),
    }
}

impl Event {
    fn line(&self, format: &Format) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = RecordEncoder::new(&mut bytes, self.level, 1 << 20);
        for (name, fields) in &self.spans {
            let mut block = vec![0; 6];
            let mut encoded = FieldEncoder::new(&mut block, 1 << 20);
            for (name, value) in fields {
                put(&mut encoded, name, value);
            }
            let count = encoded.count().to_le_bytes();
            block[..2].copy_from_slice(&count);
            encoder.span(name, &[&block]);
        }
        let mut fields = encoder.fields();
        if let Some(message) = &self.message {
            fields.str(Inline("message"), message);
        }
        for (name, value) in &self.fields {
            put(&mut fields, name, value);
        }
        let (count, missing) = (fields.count(), fields.missing());
        encoder.finish(1, count, missing);
        seal(&mut bytes, self.seq, 1, 0);
        let record = Record::decode(&bytes).unwrap();
        let callsite = Callsite {
            level: self.level,
            target: self.target.clone(),
            name: String::new(),
            file: None,
            line: None,
            module_path: None,
            fields: Vec::new(),
        };
        let line = Line {
            record: &record,
            callsite: &callsite,
            worker: &self.worker,
            pid: 1234,
            lane: 2,
            time: TIME,
            repeats: &[],
            origin: Origin::Client,
        };
        let mut out = Vec::new();
        Formatter::new(format).write(&line, &mut out);
        assert_eq!(out.pop(), Some(b'\n'));
        out
    }
}

fn plain() -> Event {
    Event {
        level: Level::Info,
        worker: "worker 3".to_owned(),
        target: "my_app::job".to_owned(),
        message: Some("finished item: 17".to_owned()),
        fields: vec![("seq".to_owned(), Field::Unsigned(17))],
        spans: Vec::new(),
        seq: 5,
    }
}

fn text_of_json(line: &[u8]) -> String {
    let mut out = b"what was there before stays|".to_vec();
    assert!(Converter::new().text_of_json(line, &mut out), "{}", String::from_utf8_lossy(line));
    let text = String::from_utf8(out).unwrap();
    text.strip_prefix("what was there before stays|").unwrap().to_owned()
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-z:{}\\[\\]\"\\\\ =]{0,20}",
        Just("a\nb\u{1b}[2J\u{9b}\u{202e}\u{2028}\0".to_owned()),
    ]
}

fn any_fields() -> impl Strategy<Value = Vec<(String, Field)>> {
    let value = prop_oneof![
        any_text().prop_map(Field::Text),
        any::<u64>().prop_map(Field::Unsigned),
        (i64::MIN..0).prop_map(Field::Signed),
        prop::num::f64::NORMAL.prop_map(Field::Float),
        any::<bool>().prop_map(Field::Bool),
    ];
    // JSON keeps the last of two fields of one name, and text keeps both.
    prop::collection::btree_map("[a-z]{1,3}[^a-z]{0,3}", value, 0..5).prop_map(|fields| {
        let usual = |(name, _): &(String, Field)| name != "message" && name != "name";
        fields.into_iter().filter(usual).collect()
    })
}

fn any_event() -> impl Strategy<Value = Event> {
    let spans = prop::collection::vec(("[^\\x00]{1,8}", any_fields()), 0..4);
    let names = (any_text(), any_text(), prop::option::of(any_text()));
    (0..5_usize, names, any_fields(), spans, 1..u64::MAX).prop_map(
        |(level, (worker, target, message), fields, spans, seq)| Event {
            level: Level::ALL[level],
            worker,
            target,
            message,
            fields,
            spans,
            seq,
        },
    )
}

proptest! {
    #[test]
    fn any_record_as_json_turned_into_text_is_the_record_as_text(event in any_event()) {
        let text = String::from_utf8(event.line(&Format::text())).unwrap();
        prop_assert_eq!(text_of_json(&event.line(&Format::json())), text);
    }

    #[test]
    fn the_head_of_any_json_line_comes_back(event in any_event()) {
        let line = event.line(&Format::json());
        let (layout, head) = Head::of(&line).unwrap();
        prop_assert_eq!(layout, Layout::Json);
        prop_assert_eq!((&*head.worker, &*head.target), (&*event.worker, &*event.target));
        prop_assert_eq!((head.level, head.pid), (event.level, 1234));
        prop_assert_eq!(head.time.as_nanosecond(), i128::from(TIME));
        let numbered = JsonLine::parse(&line).unwrap();
        prop_assert_eq!((numbered.lane, numbered.seq), (2, event.seq));
    }

    #[test]
    fn any_line_of_text_has_a_head_and_its_level_and_time_come_back(event in any_event()) {
        let line = event.line(&Format::text());
        let parsed = TextLine::parse(&line);
        let parsed = parsed.ok_or_else(|| TestCaseError::fail("no line of text"))?;
        prop_assert_eq!(parsed.head.level, event.level);
        prop_assert_eq!(parsed.head.time.as_nanosecond(), i128::from(TIME));
        let mut json = Vec::new();
        prop_assert!(Converter::new().json_of_text(&parsed, &mut json));
        let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
        prop_assert_eq!(value["level"].as_str(), Some(event.level.as_str()));
        prop_assert_eq!(value["fields"]["message"].as_str(), Some(parsed.event));
    }

    #[test]
    fn no_bytes_make_a_reader_panic(line in prop::collection::vec(any::<u8>(), 0..200), at: usize) {
        let _ = Head::of(&line);
        let _ = Explained::of(&line);
        let mut broken = plain().line(&Format::json());
        let at = at % broken.len();
        broken.splice(at..at, line.iter().copied());
        let _ = Head::of(&broken);
        let mut out = Vec::new();
        let _ = Converter::new().text_of_json(&broken, &mut out);
    }
}

#[test]
fn usual_lines_of_text_are_told_apart_down_to_the_event() {
    let span = |name: &str, fields| (name.to_owned(), fields);
    let id = ("id".to_owned(), Field::Text("a: b}\"c".to_owned()));
    for (spans, expected) in [
        (vec![], ""),
        (vec![span("request", vec![])], "request"),
        (vec![span("request", vec![id.clone()])], "request{id=\"a: b}\\\"c\"}"),
        (vec![span("a", vec![]), span("b", vec![])], "a:b"),
        (vec![span("a", vec![id]), span("b", vec![])], "a{id=\"a: b}\\\"c\"}:b"),
    ] {
        let line = Event { spans, ..plain() }.line(&Format::text());
        let parsed = TextLine::parse(&line).unwrap();
        assert_eq!(parsed.spans, expected);
        assert_eq!((&*parsed.head.worker, parsed.head.pid), ("worker 3", 1234));
        assert_eq!(parsed.head.target, "my_app::job", "{}", String::from_utf8_lossy(&line));
        assert_eq!(parsed.event, "finished item: 17 seq=17");
    }
}

#[test]
fn a_target_of_one_word_keeps_the_colons_of_its_message() {
    let event = Event { target: "job".to_owned(), ..plain() };
    let line = event.line(&Format::text());
    let parsed = TextLine::parse(&line).unwrap();
    assert_eq!((&*parsed.head.target, parsed.event), ("job", "finished item: 17 seq=17"));
}

#[test]
fn the_time_stays_in_the_zone_in_which_it_was_written() {
    let line = String::from_utf8(plain().line(&Format::json())).unwrap();
    let local = line.replace("10:00:00.123456Z", "11:00:00.123456+01:00");
    let text = text_of_json(local.as_bytes());
    assert!(text.starts_with("2026-11-22T11:00:00.123456+01:00  INFO worker 3[1234]"), "{text}");
    let (_, head) = Head::of(text.as_bytes()).unwrap();
    assert_eq!(head.time.as_nanosecond(), i128::from(TIME));
}

#[test]
fn a_cut_record_and_the_sources_of_an_error_are_told_in_text_too() {
    let line = String::from_utf8(plain().line(&Format::json())).unwrap();
    let line = line
        .replace("\"seq\":17", "\"err\":\"outer\",\"err.sources\":[\"inner\",\"innermost\"]")
        .replace("\"seq\":5}", "\"seq\":5,\"truncated\":70000}");
    let text = text_of_json(line.as_bytes());
    assert!(
        text.ends_with(
            "finished item: 17 err=\"outer\" err.sources=[inner, innermost] (truncated from 70000 bytes)"
        ),
        "{text}"
    );
}

#[test]
fn what_is_no_line_is_told_from_one() {
    let line = String::from_utf8(plain().line(&Format::json())).unwrap();
    for broken in [
        line.replace("\"INFO\"", "\"LOUD\""),
        line.replace("T10:", "X10:"),
        line.replace("\"lane\":2,", ""),
        line.replace("\"pid\":1234", "\"pid\":-1"),
        line.replace("{\"message\"", "[\"message\""),
        line.replace("\"pid\":1234", "\"pid\":1234,\"pid\":5"),
        line.trim_end_matches('}').to_owned(),
        format!("{line}{line}"),
        String::new(),
        "panic: at the disco".to_owned(),
        "2026-11-22T10:00:00Z something else".to_owned(),
    ] {
        assert!(Head::of(broken.as_bytes()).is_none(), "{broken}");
    }
}

#[test]
fn the_layout_of_a_file_is_that_of_most_of_its_lines() {
    let (text, json) = (plain().line(&Format::text()), plain().line(&Format::json()));
    let half = &json[..40];
    for (lines, layout) in [
        (vec![&text[..], &text], Layout::Text),
        (vec![&json[..], &json, &text], Layout::Json),
        (vec![b"foreign", &text], Layout::Text),
        (vec![half], Layout::Json),
        (vec![b"a", b"b", &text], Layout::Unknown),
        (vec![], Layout::Unknown),
    ] {
        assert_eq!(Layout::of(lines), layout);
    }
}

#[test]
fn a_line_of_the_listeners_keeps_its_mark_in_every_layout() {
    const TEXT: &str = "2026-11-22T10:00:00.123456Z *WARN w[7] fleetlog: it died records=1";
    const JSON: &str = r#"{"timestamp":"2026-11-22T10:00:00.123456Z","level":"WARN","fields":{"message":"it died","records":1},"target":"fleetlog","worker":"w","pid":7,"lane":0,"seq":0,"origin":"listener"}"#;
    assert_eq!(text_of_json(JSON.as_bytes()), TEXT);
    let mut json = Vec::new();
    let text = TextLine::parse(TEXT.as_bytes()).unwrap();
    assert!(Converter::new().json_of_text(&text, &mut json));
    let json = String::from_utf8(json).unwrap();
    assert!(json.ends_with(r#""worker":"w","pid":7,"origin":"listener"}"#), "{json}");
}

#[test]
fn notices_account_for_numbers() {
    let notice = |fields: &str| {
        format!(r#"{{"timestamp":"x","fields":{{{fields}}},"target":"fleetlog","seq":0}}"#)
    };
    for (fields, expected) in [
        (r#""dropped":3,"first_seq":4,"last_seq":6"#, Some((4, 6))),
        (r#""missing":1,"first_seq":4,"last_seq":4"#, Some((4, 4))),
        (r#""unreadable_seq":9"#, Some((9, 9))),
        (r#""records":9"#, None),
        (r#""first_seq":6,"last_seq":4"#, None),
        (r#""first_seq":"6""#, None),
    ] {
        let explained = Explained::of(notice(fields).as_bytes()).map(|e| (e.first, e.last));
        assert_eq!(explained, expected, "{fields}");
    }
}
