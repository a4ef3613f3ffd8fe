//! Lines that stand for several equal records.

use fleetlog_protocol::Level;
use fleetlog_protocol::record::FieldName::Index;
use serde_json::{Value, json};

use super::super::Format;
use super::super::fixture::Event;
use crate::reading::{Converter, JsonLine, Repeats};

fn event() -> Event {
    let event = Event::new(Level::Error, &["message"]);
    event.fields(|fields| fields.str(Index(0), "connection lost")).repeats(&[
        ("worker 9", 19, 1, 4),
        ("worker 3", 1234, 2, 18),
        ("worker 9", 19, 1, 6),
        ("evil\n\u{1b}[2J\"", 20, 0, 1),
    ])
}

#[test]
fn text_and_templates_tell_the_count_and_each_worker_once() {
    let said = " (5 times, by worker 3[1234], evil\\n\\x1b[2J\"[20], worker 9[19])";
    for format in ["text", "{message}"] {
        let line = event().line(&format.parse::<Format>().unwrap());
        assert!(line.ends_with(&format!("connection lost{said}")), "{line}");
    }
}

#[test]
fn json_tells_the_number_of_each_record() {
    let line: Value = serde_json::from_str(&event().line(&Format::json())).unwrap();
    assert_eq!(line["seq"], 17);
    assert_eq!(
        line["repeats"],
        json!({"count": 4, "by": [
            {"worker": "evil\n\u{1b}[2J\"", "pid": 20, "lane": 0, "seq": [1]},
            {"worker": "worker 3", "pid": 1234, "lane": 2, "seq": [18]},
            {"worker": "worker 9", "pid": 19, "lane": 1, "seq": [4, 6]},
        ]})
    );
}

#[test]
fn a_reader_finds_what_was_written_and_gives_it_in_the_other_layout() {
    let line = event().line(&Format::json());
    let read = JsonLine::parse(line.as_bytes()).unwrap();
    let numbers = read.repeats.iter().flat_map(Repeats::iter).map(|repeat| repeat.seq);
    let numbers: Vec<_> = numbers.collect();
    assert_eq!(numbers, [1, 18, 4, 6]);
    let mut text = Vec::new();
    assert!(Converter::new().text_of_json(line.as_bytes(), &mut text));
    assert_eq!(
        String::from_utf8(text).unwrap(),
        event().line(&Format::text()).replace("456789Z", "456Z")
    );
}

#[test]
fn a_line_of_one_record_says_nothing_of_repeats() {
    let event = Event::new(Level::Info, &[]);
    assert!(!event.line(&Format::json()).contains("repeats"));
    assert!(!event.line(&Format::text()).contains("times"));
}
