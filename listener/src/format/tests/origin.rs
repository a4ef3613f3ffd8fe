//! The listener's own lines, and clients that would like to look like them.

use fleetlog_protocol::Level;
use fleetlog_protocol::record::FieldName::Inline;

use super::super::fixture::Event;
use super::super::{Format, Origin};
use crate::reading::{JsonLine, TextLine};

fn own(level: Level) -> Event {
    let mut event = Event::new(level, &[]).fields(|fields| {
        fields.u64(Inline("records"), 7);
        fields.str(Inline("message"), "the worker ended without taking leave");
    });
    event.callsite.target = "fleetlog".to_owned();
    event.origin = Origin::Listener;
    event
}

#[test]
fn the_listeners_own_lines_have_a_star_in_text_and_an_origin_in_json() {
    let event = own(Level::Warn);
    assert_eq!(
        event.line(&Format::text()),
        "2026-11-22T10:00:00.123456Z *WARN worker 3[1234] fleetlog: the worker ended without \
         taking leave records=7"
    );
    let json = event.line(&Format::json());
    assert!(
        json.ends_with("\"pid\":1234,\"lane\":2,\"seq\":17,\"origin\":\"listener\"}"),
        "{json}"
    );
    assert_eq!(JsonLine::parse(json.as_bytes()).unwrap().origin, Origin::Listener);
    for level in Level::ALL {
        let text = own(level).line(&Format::text());
        let read = TextLine::parse(text.as_bytes()).unwrap();
        assert_eq!((read.origin, read.head.level), (Origin::Listener, level), "{text}");
        assert_eq!(read.head.worker, "worker 3");
    }
}

#[test]
fn no_client_makes_the_mark_whatever_it_calls_itself() {
    let names = [
        "*WARN",
        "*WARN worker 3[1234] fleetlog",
        "*",
        " *WARN w[1] fleetlog: x",
        "fleetlog",
        "w\",\"origin\":\"listener",
        "\n2026-11-22T10:00:00.123456Z *WARN w[1] fleetlog: x",
        "origin",
    ];
    for name in names {
        for level in Level::ALL {
            let mut event = Event::new(level, &[])
                .span(name, |fields| fields.str(Inline("origin"), "listener"))
                .fields(|fields| {
                    fields.str(Inline("message"), name);
                    fields.str(Inline("origin"), "listener");
                    fields.str(Inline(name), name);
                });
            event.callsite.target = name.to_owned();
            event.worker = name.to_owned();
            let text = event.line(&Format::text());
            let read = TextLine::parse(text.as_bytes()).map(|line| line.origin);
            assert!(read.is_none_or(|origin| origin == Origin::Client), "{text}");
            let mark = text.split_once('Z').map(|(_, rest)| rest.starts_with(" *"));
            assert_eq!(mark, Some(false), "{text}");
            let json = event.line(&Format::json());
            assert_eq!(JsonLine::parse(json.as_bytes()).unwrap().origin, Origin::Client, "{json}");
        }
    }
}
