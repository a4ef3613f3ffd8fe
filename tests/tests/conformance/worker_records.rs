//! What arrives of a record: values, levels, targets, spans, names, and records from odd places.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::fixture;

/// The lines that a workload of one process made, without the listener's own.
fn lines_of(arguments: &[&str]) -> Vec<Value> {
    let fixture = fixture();
    let listener = fixture.listener().start();
    fixture.workload(["records", "--what"].iter().chain(arguments)).succeed();
    let receipt = listener.stop();
    assert!(receipt.is_complete(), "{receipt:?}");
    let text = fs::read_to_string(fixture.log()).expect("a log");
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line:?}"));
    let lines: Vec<Value> = text.lines().map(parse).collect();
    let mut numbers: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for line in &lines {
        let number = |key: &str| line[key].as_u64().expect("a number");
        numbers.entry(number("lane")).or_default().push(number("seq"));
    }
    for (lane, numbers) in numbers {
        assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "{lane}: {numbers:?}");
    }
    lines
}

/// The one line of a case.
fn case<'l>(lines: &'l [Value], name: &str) -> &'l Value {
    let mut found = lines.iter().filter(|line| line["fields"]["case"] == name);
    let line = found.next().unwrap_or_else(|| panic!("no case `{name}` in {lines:#?}"));
    assert!(found.next().is_none(), "`{name}` stands twice");
    line
}

fn names(line: &Value) -> Vec<&str> {
    let spans = line["spans"].as_array().map_or(&[][..], Vec::as_slice);
    spans.iter().map(|span| span["name"].as_str().expect("a name")).collect()
}

#[test]
fn records_of_the_log_crate_arrive_once_with_their_true_source() {
    let lines = lines_of(&["log"]);
    let seen: Vec<_> = lines
        .iter()
        .map(|line| (&line["target"], &line["level"], &line["fields"]))
        .map(|(target, level, fields)| json!([target, level, fields]))
        .collect();
    let expected = [
        json!(["their::target", "WARN", { "message": "from log, 7" }]),
        json!(["workload::records", "INFO", { "message": "from log, untargeted" }]),
        json!(["their::target", "ERROR", { "message": "from log in a span" }]),
        json!(["our::target", "INFO", { "message": "from tracing" }]),
    ];
    assert_eq!(seen, expected);
    assert_eq!(lines[2]["span"], json!({ "name": "ours", "id": 7 }));
}

fn demand_values(registry: &str) {
    let lines = lines_of(&["values", "--registry", registry]);
    let numbers = &case(&lines, "numbers")["fields"];
    let expected = [
        ("u64", json!(u64::MAX)),
        ("i64", json!(i64::MIN)),
        ("f64", json!(1.5)),
        ("tiny", json!(f64::MIN_POSITIVE)),
    ];
    for (name, value) in expected {
        assert_eq!(numbers[name], value, "{name}");
    }
    // What JSON has no number for arrives as text.
    assert_eq!(text_of(&numbers["u128"]), u128::MAX.to_string());
    assert_eq!(text_of(&numbers["i128"]), i128::MIN.to_string());
    assert_eq!(text_of(&numbers["nan"]), "NaN");
    assert_eq!(text_of(&numbers["infinite"]), "-Infinity");

    let others = &case(&lines, "others")["fields"];
    let expected = [
        ("yes", json!(true)),
        ("no", json!(false)),
        ("error", json!("the query failed")),
        ("error.sources", json!(["the file", "the disk is gone"])),
        ("debug", json!("Some(\"a\\\"b\")")),
        ("display", json!("shown")),
        ("text", json!("plain")),
        ("some", json!(3)),
        ("message", json!("a message with 2 arguments")),
    ];
    for (name, value) in expected {
        assert_eq!(others[name], value, "{name}");
    }
    assert!(others.get("none").is_none() && others.get("empty").is_none(), "{others}");
    eprintln!("bytes: {}", others["bytes"]);
    let levels: Vec<&str> = lines
        .iter()
        .filter(|line| line["fields"]["case"] == "level")
        .map(|line| line["level"].as_str().expect("a level"))
        .collect();
    assert_eq!(levels, ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"]);
    assert!(lines.iter().all(|line| line["target"] == "workload::records"));
}

/// A string's text, or any other value as it is written.
fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[test]
fn values_arrive_as_they_were_given() {
    demand_values("ours");
}

#[test]
fn values_arrive_over_the_stock_registry_too() {
    demand_values("stock");
}

fn demand_spans(registry: &str, with: &str) {
    let lines = lines_of(&["spans", "--registry", registry, "--with", with]);
    let outer = |late: Option<&str>| match late {
        None => json!({ "name": "outer", "id": 1 }),
        Some(late) => json!({ "name": "outer", "id": 1, "late": late }),
    };
    let inner = json!({ "name": "inner", "id": 2 });
    let spans = |name: &str| case(&lines, name).get("spans").cloned().unwrap_or(json!([]));
    assert_eq!(spans("inherited"), json!([outer(None), inner]));
    assert_eq!(spans("recorded later"), json!([outer(Some("now known")), inner]));
    assert_eq!(spans("recorded again"), json!([outer(Some("known better"))]));
    assert_eq!(spans("root"), json!([]));
    assert_eq!(spans("outside"), json!([]));
    assert_eq!(spans("explicit parent"), json!([outer(Some("known better")), inner]));
    let names_of = |name: &str| names(case(&lines, name)).join(" > ");
    assert_eq!(names_of("explicit parent of a span"), "outer > inner > child of a closed scope");
    assert_eq!(names_of("root span"), "root span");
    assert_eq!(names_of("other thread"), "");
    assert_eq!(names_of("handed over"), "outer");
    assert_eq!(names_of("after"), "");
    let deep = case(&lines, "deep")["spans"].as_array().expect("spans");
    let depths: Vec<u64> =
        deep.iter().map(|span| span["depth"].as_u64().expect("a depth")).collect();
    assert!(depths.iter().copied().eq(6..70), "the innermost 64 of 70: {depths:?}");
}

#[test]
fn span_context_is_inherited_recorded_later_and_given_explicitly() {
    demand_spans("ours", "nothing");
}

#[test]
fn span_context_is_the_same_beside_a_filter_and_fmt() {
    demand_spans("ours", "fmt");
}

#[test]
fn span_context_is_the_same_over_the_stock_registry() {
    demand_spans("stock", "nothing");
    demand_spans("stock", "filter");
}

#[test]
fn a_name_that_is_set_midway_holds_from_there_on() {
    let lines = lines_of(&["names"]);
    assert_eq!(lines.len(), 13);
    for line in &lines {
        assert_eq!(line["worker"], line["fields"]["name"], "{line}");
    }
}

fn demand_odd_places(registry: &str) {
    let lines = lines_of(&["odd", "--registry", registry]);
    assert_eq!(case(&lines, "around a Debug")["fields"]["value"], "talkative");
    case(&lines, "inside of a Debug");
    assert!(lines.iter().all(|line| line["fields"]["case"] != "never"), "{lines:#?}");
    case(&lines, "after a panic");
    for name in [
        "destructor before the first record",
        "destructor after the first record",
        "destructor with the only record",
    ] {
        case(&lines, name);
    }
    assert_eq!(lines.len(), 8, "{lines:#?}");
    // A destructor has spans of its own as long as the thread's stack of spans is there.
    let late = case(&lines, "destructor after the first record");
    assert_eq!(names(late), ["destructor"]);
}

#[test]
fn records_from_a_debug_impl_and_from_destructors_arrive_whole() {
    demand_odd_places("ours");
}

#[test]
fn records_that_are_too_long_are_cut_at_a_character_and_say_how_long_they_were() {
    let lines = lines_of(&["long"]);
    let length = 2 * (1 << 20) + 1;
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    // A long message leaves the short field beside it whole.
    let message = case(&lines, "message");
    let field = case(&lines, "field");
    for (name, line, found) in [
        ("message", message, text(&message["fields"]["message"])),
        ("field", field, text(&field["fields"]["text"])),
    ] {
        assert!(
            found.len() > crate::RECORD_MAX - 200,
            "{name}: only {} bytes were kept",
            found.len()
        );
        assert!(found.starts_with('a') && found[1..].chars().all(|letter| letter == 'ä'), "{name}");
        let original = line["truncated"].as_u64().expect("the length that it had");
        assert!((length..length + 200).contains(&original), "{name}: {original}");
    }
    let span = case(&lines, "span");
    assert!(text(&span["span"]["text"]).len() > 8 << 10, "{}", span["span"]);
    assert!(case(&lines, "before").get("truncated").is_none());
    assert!(case(&lines, "behind").get("truncated").is_none());
}

#[test]
fn sync_without_a_listener_says_how_many_records_wait() {
    let fixture = fixture();
    let said = fixture.workload(["records", "--what", "unheard", "--stall", "10"]).succeed();
    assert!(said.contains("; 5"), "{said}");
}
