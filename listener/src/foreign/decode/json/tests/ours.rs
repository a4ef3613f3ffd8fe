//! Our own JSON becomes again what it was made of.

use fleetlog_protocol::Level;
use fleetlog_protocol::callsite::Callsite;
use fleetlog_protocol::record::{FieldEncoder, FieldName, Record, RecordEncoder, seal};
use proptest::prelude::*;

use super::{decode, show};
use crate::foreign::entry::Value;
use crate::format::{Format, Formatter, Line, Origin, TimeZoneChoice};

/// 2026-11-22T10:00:00.123456789Z
const TIME: u64 = 1_795_341_600_123_456_789;

struct Event<'a> {
    level: Level,
    target: &'a str,
    worker: &'a str,
    spans: &'a [(String, Vec<(String, Value<'static>)>)],
    fields: &'a [(String, Value<'static>)],
}

fn put(fields: &mut FieldEncoder<'_>, values: &[(String, Value<'_>)]) {
    for (name, value) in values {
        let name = FieldName::Inline(name);
        match value {
            Value::U64(number) => fields.u64(name, *number),
            Value::I64(number) => fields.i64(name, *number),
            Value::F64(number) => fields.f64(name, *number),
            Value::Bool(value) => fields.bool(name, *value),
            Value::Str(text) | Value::Shown(text) => fields.str(name, text),
            Value::Bytes(bytes) => fields.bytes(name, bytes),
        };
    }
}

impl Event<'_> {
    fn line(&self, format: &Format) -> Vec<u8> {
        self.line_of(format, Origin::Client)
    }

    fn line_of(&self, format: &Format, origin: Origin) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = RecordEncoder::new(&mut bytes, self.level, 1 << 20);
        for (name, values) in self.spans {
            let mut block = vec![0; 6];
            let mut fields = FieldEncoder::new(&mut block, 1 << 20);
            put(&mut fields, values);
            let count = fields.count().to_le_bytes();
            block[..2].copy_from_slice(&count);
            encoder.span(name, &[&block]);
        }
        let mut fields = encoder.fields();
        put(&mut fields, self.fields);
        let (count, missing) = (fields.count(), fields.missing());
        encoder.finish(1, count, missing);
        seal(&mut bytes, 17, 1, 3);
        let record = Record::decode(&bytes).unwrap();
        let callsite = Callsite {
            level: self.level,
            target: self.target.to_owned(),
            name: "event".to_owned(),
            file: None,
            line: None,
            module_path: None,
            fields: Vec::new(),
        };
        let line = Line {
            record: &record,
            callsite: &callsite,
            worker: self.worker,
            pid: 1234,
            lane: 2,
            time: TIME,
            repeats: &[],
            origin,
        };
        let mut out = Vec::new();
        Formatter::new(format).write(&line, &mut out);
        out.pop();
        out
    }
}

#[test]
fn a_line_of_ours_becomes_what_it_was() {
    let text = |text: &'static str| Value::Str(text.into());
    let event = Event {
        level: Level::Warn,
        target: "my_app::job",
        worker: "worker 3",
        spans: &[
            ("request".to_owned(), vec![("method".to_owned(), text("GET"))]),
            (
                "step".to_owned(),
                vec![("name".to_owned(), text("a")), ("id".to_owned(), Value::U64(7))],
            ),
        ],
        fields: &[
            ("message".to_owned(), text("finished\nitem")),
            ("pid".to_owned(), Value::U64(5)),
            ("loss".to_owned(), Value::F64(0.5)),
        ],
    };
    let expected = r#"WARN target=my_app::job time=1795341600123456000~999 pid=1234 "finished\nitem" request{method="GET"} step{name="a" id=7} pid=5 loss=0.5 worker="worker 3" lane=2 seq=17"#;
    for zone in [TimeZoneChoice::Utc, TimeZoneChoice::Local] {
        let line = event.line(&Format::json().with_timezone(zone));
        assert_eq!(show(&decode(&line).unwrap()), expected);
    }
}

#[test]
fn a_line_of_the_listeners_that_a_client_sends_is_the_clients() {
    let message = Value::Str("the worker dropped records here".into());
    let event = Event {
        level: Level::Warn,
        target: "fleetlog",
        worker: "w",
        spans: &[],
        fields: &[("message".to_owned(), message), ("dropped".to_owned(), Value::U64(3))],
    };
    let line = event.line_of(&Format::json(), Origin::Listener);
    assert!(line.ends_with(b",\"origin\":\"listener\"}"));
    let shown = show(&decode(&line).unwrap());
    assert!(shown.ends_with(r#"dropped=3 worker="w" lane=2 seq=17 origin="listener""#), "{shown}");
}

fn value() -> impl Strategy<Value = Value<'static>> {
    prop_oneof![
        any::<u64>().prop_map(Value::U64),
        (i64::MIN..0).prop_map(Value::I64),
        (prop::num::f64::NORMAL | prop::num::f64::ZERO).prop_map(Value::F64),
        any::<bool>().prop_map(Value::Bool),
        any::<String>().prop_map(|text| Value::Str(text.into())),
    ]
}

fn level() -> impl Strategy<Value = Level> {
    prop::sample::select(Level::ALL.to_vec())
}

/// Fields with names of their own, for JSON keeps but the last of those that are called alike.
fn fields() -> impl Strategy<Value = Vec<(String, Value<'static>)>> {
    prop::collection::btree_map(".{1,8}", value(), 0..20).prop_map(|fields| {
        fields
            .into_iter()
            .filter(|(name, _)| !name.starts_with("r#") && name != "message")
            .collect()
    })
}

proptest! {
    #[test]
    fn any_line_of_ours_becomes_what_it_was(
        level in level(),
        message: String,
        target: String,
        worker: String,
        fields in fields(),
        spans in prop::collection::vec((any::<String>(), fields()), 0..4),
    ) {
        let mut all = vec![("message".to_owned(), Value::Str(message.clone().into()))];
        all.extend(fields.clone());
        let event =
            Event { level, target: &target, worker: &worker, spans: &spans, fields: &all };
        let line = event.line(&Format::json());
        let entry = decode(&line).unwrap();
        prop_assert_eq!((entry.level, entry.pid), (level, Some(1234)));
        prop_assert_eq!(&*entry.message, &message);
        prop_assert_eq!(&*entry.target, &target);
        prop_assert_eq!(entry.time.unwrap().time, TIME / 1000 * 1000);
        let pairs = |fields: &[crate::foreign::entry::Field<'_>]| -> Vec<(String, String)> {
            fields.iter().map(|field| (field.name.to_string(), format!("{:?}", field.value))).collect()
        };
        let given = |fields: &[(String, Value<'_>)]| -> Vec<(String, String)> {
            fields.iter().map(|(name, value)| (name.clone(), format!("{value:?}"))).collect()
        };
        let mut expected = fields.clone();
        expected.push(("worker".to_owned(), Value::Str(worker.clone().into())));
        expected.push(("lane".to_owned(), Value::U64(2)));
        expected.push(("seq".to_owned(), Value::U64(17)));
        prop_assert_eq!(pairs(&entry.fields), given(&expected));
        prop_assert_eq!(entry.spans.len(), spans.len());
        for (span, (name, fields)) in entry.spans.iter().zip(&spans) {
            prop_assert_eq!(&*span.name, name);
            prop_assert_eq!(pairs(&span.fields), given(fields));
        }
    }
}
