//! Lines of whoever wants to stall or crash the listener, and lines at random.

use std::collections::BTreeMap;

use fleetlog_protocol::limits::{FIELD_COUNT_MAX, SPAN_DEPTH_MAX};
use proptest::prelude::*;

use super::{decode, show, shown};
use crate::foreign::entry::Value;

#[test]
fn bytes_that_are_not_utf8_are_replaced() {
    let entry = decode(b"{\"msg\":\"a\xffb\",\"k\xfe\":\"\xf0\x9f\"}").unwrap();
    assert_eq!(show(&entry), "INFO \"a\u{fffd}b\" k\u{fffd}=\"\u{fffd}\"");
}

#[test]
fn half_a_surrogate_pair_makes_a_line_text_and_a_zero_byte_does_not() {
    for line in [r#"{"msg":"\ud800"}"#, r#"{"\udc00":1}"#, r#"{"a":{"b":"\ud800x"}}"#] {
        assert!(decode(line.as_bytes()).is_none(), "{line}");
    }
    assert_eq!(shown(r#"{"msg":"a\u0000\ud83d\ude00"}"#), "INFO \"a\\0\u{1f600}\"");
}

#[test]
fn nesting_of_any_depth_is_read_without_recursion() {
    for size in [1000, 10 << 20] {
        assert!(decode("[".repeat(size).as_bytes()).is_none());
        assert!(decode(format!("{{\"a\":{}", "[".repeat(size)).as_bytes()).is_none());
    }
    assert!(decode("{\"a\":".repeat(200_000).as_bytes()).is_none());
    let line = format!("{}1{}", "{\"a\":".repeat(200_000), "}".repeat(200_000));
    let entry = decode(line.as_bytes()).unwrap();
    assert_eq!(entry.fields.len(), 1);
    assert_eq!(entry.fields[0].name, "a.a.a.a.a.a.a.a");
    let kept = Value::Shown(line[8 * 5..line.len() - 8].into());
    assert_eq!(entry.fields[0].value, kept);
}

#[test]
fn of_too_many_keys_the_first_are_fields_and_the_places_are_filled_all_the_same() {
    let mut line = String::from("{");
    for at in 0..100_000 {
        line.push_str(&format!("\"k{at:05}\":1,"));
    }
    line.push_str("\"level\":\"error\",\"msg\":\"last\"}");
    let entry = decode(line.as_bytes()).unwrap();
    assert_eq!((entry.level.as_str(), &*entry.message), ("ERROR", "last"));
    assert_eq!(entry.fields.len(), FIELD_COUNT_MAX);
    assert_eq!(entry.fields[255].name, "k00255");
    assert_eq!(entry.missing, (100_000 - FIELD_COUNT_MAX) * "k000001".len());
}

#[test]
fn a_key_that_stands_too_often_is_counted() {
    let line = format!("{{{}\"msg\":\"last\"}}", "\"msg\":\"x\",".repeat(100_000));
    let entry = decode(line.as_bytes()).unwrap();
    assert_eq!(entry.message, "last");
    assert_eq!(entry.fields.len(), FIELD_COUNT_MAX);
    assert_eq!(entry.missing, (100_000 - FIELD_COUNT_MAX) * "msg\"x\"".len());
}

#[test]
fn a_long_key_above_many_short_ones_needs_memory_but_once() {
    let many = "\"a\":1,".repeat(100_000);
    let line = format!("{{\"{}\":{{{many}\"b\":2}}}}", "k".repeat(1 << 20));
    let entry = decode(line.as_bytes()).unwrap();
    assert_eq!(entry.fields.len(), 1);
    assert_eq!(entry.fields[0].name.len(), 1 << 20);
}

#[test]
fn spans_and_their_fields_are_bounded() {
    let fields = "\"a\":1,".repeat(300);
    let line = format!(
        "{{\"spans\":[{}{{\"name\":\"first\",{fields}\"b\":1}}]}}",
        "{\"name\":\"x\"},".repeat(100_000)
    );
    let entry = decode(line.as_bytes()).unwrap();
    assert_eq!(entry.spans.len(), SPAN_DEPTH_MAX);
    let last = entry.spans.last().unwrap();
    assert_eq!((&*last.name, last.fields.len()), ("first", FIELD_COUNT_MAX));
    let outer = (100_001 - SPAN_DEPTH_MAX) * "{\"name\":\"x\"}".len();
    assert_eq!(entry.missing, outer + (301 - FIELD_COUNT_MAX) * "a1".len());
}

/// Keys of which many have a place, and some are anybody's.
fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "message",
            "msg",
            "event",
            "level",
            "severity",
            "levelname",
            "levelno",
            "time",
            "ts",
            "t",
            "target",
            "logger",
            "name",
            "pid",
            "process",
            "host",
            "hostname",
            "file",
            "line",
            "caller",
            "func",
            "short_message",
            "span",
            "spans",
            "fields",
            "log.level",
        ])
        .prop_map(str::to_owned),
        "[a-z]{0,3}",
        any::<String>(),
    ]
}

fn scalar() -> impl Strategy<Value = serde_json::Value> {
    prop_oneof![
        any::<u64>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        prop::num::f64::NORMAL.prop_map(Into::into),
        (0_u64..70).prop_map(Into::into),
        any::<bool>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
        prop::sample::select(vec!["info", "fatal", "odd", "1795355458", "a.go:12"])
            .prop_map(Into::into),
        Just(serde_json::Value::Null),
        Just(serde_json::json!([1, "a"])),
        Just(serde_json::json!({})),
    ]
}

/// A scalar as the value of a field.
fn expected(value: &serde_json::Value) -> Value<'static> {
    match value {
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::String(text) => Value::Str(text.clone().into()),
        serde_json::Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => Value::U64(number),
            (_, Some(number)) => Value::I64(number),
            _ => Value::F64(number.as_f64().unwrap()),
        },
        other => Value::Shown(other.to_string().into()),
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn nothing_that_looks_like_json_makes_it_panic(
        tokens in prop::collection::vec(
            prop::sample::select(vec![
                "{", "}", "[", "]", ":", ",", "\"", "\\", "\\ud800", "\\u0000", "1", "-", "e9", ".",
                "\"level\":", "\"spans\":", "\"span\":", "\"fields\":", "\"name\":\"x\"", "\"msg\":",
                "\"caller\":\":\"", "null", "true", " ", "é", "\"time\":\"2026-", "\"a\":{",
            ]),
            0..60,
        )
    ) {
        let _ = decode(format!("{{{}", tokens.concat()).as_bytes());
        let _ = decode(tokens.concat().as_bytes());
    }

    #[test]
    fn every_key_is_used_or_a_field(object in prop::collection::btree_map(key(), scalar(), 0..12)) {
        let line = serde_json::to_string(&object).unwrap();
        let entry = decode(line.as_bytes()).unwrap();
        let fields: BTreeMap<_, _> =
            entry.fields.iter().map(|field| (&*field.name, &field.value)).collect();
        prop_assert_eq!(entry.missing, 0);
        let places = usize::from(!entry.message.is_empty())
            + usize::from(!entry.target.is_empty())
            + usize::from(entry.time.is_some())
            + usize::from(entry.file.is_some())
            + usize::from(entry.line.is_some())
            + usize::from(entry.module.is_some())
            + usize::from(entry.pid.is_some())
            + usize::from(entry.host.is_some());
        let (mut used, mut used_levels) = (0, 0);
        for (key, value) in &object {
            let levels = ["level", "severity", "levelname", "levelno", "log.level", "lvl"];
            // An empty text fills a place without a trace, and an event without fields has none.
            let is_empty = value == "" || (value.is_object() && key == "fields");
            match fields.get(key.as_str()) {
                Some(found) if *found == &expected(value) => {}
                Some(found) => prop_assert!(false, "{key} is {found:?} in {line}"),
                // One level is used, even if it stays a field under the name that all have.
                None if levels.contains(&key.as_str()) => used_levels += 1,
                None => used += usize::from(!is_empty),
            }
        }
        prop_assert!(used_levels <= 1, "{used_levels} levels are used: {line}");
        // A file's text may have filled two places.
        prop_assert!(used <= places, "{used} used for {places} places: {}", line);
    }
}
