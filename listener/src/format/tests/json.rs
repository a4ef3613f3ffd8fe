//! Lines of JSON.

use fleetlog_protocol::Level;
use fleetlog_protocol::record::FieldName::{Index, Inline};
use serde_json::{Value, json};

use super::super::Format;
use super::super::fixture::Event;

fn parse(event: &Event) -> Value {
    serde_json::from_str(&event.line(&Format::json())).unwrap()
}

#[test]
fn a_line_has_the_keys_of_fmt_in_its_order_and_those_of_the_worker() {
    let event = Event::new(Level::Info, &["message", "seq"])
        .span("outer", |_| {})
        .span("request", |fields| fields.u64(Inline("id"), 7))
        .fields(|fields| {
            fields.str(Index(0), "finished item");
            fields.u64(Index(1), 17);
        });
    assert_eq!(
        event.line(&Format::json()),
        "{\"timestamp\":\"2026-11-22T10:00:00.123456Z\",\"level\":\"INFO\",\
         \"fields\":{\"message\":\"finished item\",\"seq\":17},\"target\":\"my_app::job\",\
         \"span\":{\"id\":7,\"name\":\"request\"},\
         \"spans\":[{\"name\":\"outer\"},{\"id\":7,\"name\":\"request\"}],\
         \"worker\":\"worker 3\",\"pid\":1234,\"lane\":2,\"seq\":17}"
    );
}

#[test]
fn an_empty_record_has_empty_fields_and_no_span() {
    let line = Event::new(Level::Warn, &[]).line(&Format::json());
    assert!(line.contains("\"fields\":{},\"target\""), "{line}");
    assert!(!line.contains("span"), "{line}");
}

#[test]
fn numbers_are_numbers_where_a_parser_can_hold_them() {
    let event = Event::new(Level::Info, &[]).fields(|fields| {
        fields.u64(Inline("u64"), u64::MAX);
        fields.i64(Inline("i64"), i64::MIN);
        fields.u128(Inline("small u128"), 7);
        fields.i128(Inline("small i128"), -7);
        fields.i128(Inline("larger i128"), u64::MAX.into());
        fields.u128(Inline("u128"), u128::MAX);
        fields.i128(Inline("i128"), i128::MIN);
        fields.f64(Inline("one"), 1.0);
        fields.f64(Inline("large"), 1e300);
        fields.f64(Inline("nan"), f64::NAN);
        fields.f64(Inline("up"), f64::INFINITY);
        fields.f64(Inline("down"), f64::NEG_INFINITY);
        fields.bool(Inline("bool"), true);
    });
    assert_eq!(
        parse(&event)["fields"],
        json!({
            "u64": u64::MAX, "i64": i64::MIN, "small u128": 7, "small i128": -7,
            "larger i128": u64::MAX, "u128": u128::MAX.to_string(), "i128": i128::MIN.to_string(),
            "one": 1.0, "large": 1e300, "nan": "NaN", "up": "Infinity", "down": "-Infinity",
            "bool": true,
        })
    );
}

#[test]
fn bytes_are_hexadecimal_and_errors_have_their_sources_beside_them() {
    let inner = std::io::Error::other("in\"ner");
    let outer = std::io::Error::other(Wrapped(inner));
    let event = Event::new(Level::Info, &["r#type"]).fields(|fields| {
        fields.bytes(Index(0), b"\x00hex\xff");
        fields.error(Inline("err"), &outer);
        fields.error(Inline("alone"), &std::io::Error::other("x"));
    });
    assert_eq!(
        parse(&event)["fields"],
        json!({"type": "00686578ff", "err": "wrapped", "err.sources": ["in\"ner"], "alone": "x"})
    );
}

#[derive(Debug, thiserror::Error)]
#[error("wrapped")]
struct Wrapped(#[source] std::io::Error);

#[test]
fn no_key_stands_twice_and_the_last_value_counts() {
    for others in [0, 40] {
        let event = Event::new(Level::Info, &["r#x"])
            .span("span", |fields| {
                fields.str(Inline("name"), "a field");
                fields.str(Inline("id"), "old");
                fields.str(Inline("id"), "new");
                fields.str(Inline("field.name"), "the last");
            })
            .fields(|fields| {
                fields.u64(Inline("x"), 1);
                fields.u64(Inline("e.sources"), 1);
                fields.error(Inline("e"), &Wrapped(std::io::Error::other("source")));
                fields.u64(Inline("#500"), 1);
                fields.u64(Index(500), 2);
                for other in 0..others {
                    fields.u64(Inline(&format!("other {other}")), other);
                }
                fields.u64(Index(0), 2);
            });
        let line = event.line(&Format::json());
        assert_eq!(line.matches("\"x\":").count(), 1, "{line}");
        assert_eq!(line.matches("\"e.sources\":").count(), 1, "{line}");
        assert_eq!(line.matches("\"#500\":").count(), 1, "{line}");
        assert!(
            line.contains(
                "\"span\":{\"id\":\"new\",\"field.name\":\"the last\",\"name\":\"span\"}"
            ),
            "{line}"
        );
        let fields = &parse(&event)["fields"];
        assert_eq!(fields["x"], 2);
        assert_eq!(fields["#500"], 2);
        assert_eq!(fields["e.sources"], json!(["source"]));
        assert_eq!(
            fields.as_object().map(serde_json::Map::len),
            Some(4 + usize::try_from(others).unwrap())
        );
    }
}

#[test]
fn a_cut_record_tells_its_length() {
    let event = Event::new(Level::Info, &["message"])
        .limit(20)
        .fields(|fields| fields.str(Index(0), &"x".repeat(1000)));
    assert_eq!(parse(&event)["truncated"], 1027);
}

#[test]
fn text_comes_back_as_it_was_and_a_terminal_is_safe() {
    let text: String = ('\0'..='\u{3000}').chain("🦀\"\\".chars()).collect();
    let mut event = Event::new(Level::Info, &[]).fields(|fields| fields.str(Inline("x"), &text));
    event.worker.clone_from(&text);
    let line = event.line(&Format::json());
    assert!(!line.contains(super::super::escape::is_dangerous));
    assert_eq!(parse(&event)["fields"]["x"], *text);
    assert_eq!(parse(&event)["worker"], *text);
}
