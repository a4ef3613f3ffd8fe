//! Lines of text.

use fleetlog_protocol::Level;
use fleetlog_protocol::record::FieldName::{Index, Inline};

use super::super::Format;
use super::super::fixture::Event;

const HEAD: &str = "2026-11-22T10:00:00.123456Z  INFO worker 3[1234] ";

fn text(event: &Event) -> String {
    let line = event.line(&Format::text());
    line.strip_prefix(HEAD).unwrap_or(&line).to_owned()
}

#[test]
fn a_line_has_the_layout_of_the_design() {
    let event = Event::new(Level::Info, &["message", "seq"])
        .span("request", |fields| fields.u64(Inline("id"), 7))
        .fields(|fields| {
            fields.str(Index(0), "finished item");
            fields.u64(Index(1), 17);
        });
    assert_eq!(
        event.line(&Format::text()),
        "2026-11-22T10:00:00.123456Z  INFO worker 3[1234] request{id=7}: my_app::job: finished \
         item seq=17"
    );
}

#[test]
fn every_level_is_aligned() {
    for level in Level::ALL {
        let line = Event::new(level, &[]).line(&Format::text());
        assert_eq!(
            line,
            format!("2026-11-22T10:00:00.123456Z {level:>5} worker 3[1234] my_app::job: ")
        );
    }
}

#[test]
fn a_record_without_a_message_begins_with_its_first_field() {
    let event = Event::new(Level::Info, &["a", "b"]).fields(|fields| {
        fields.bool(Index(0), true);
        fields.i64(Index(1), -1);
    });
    assert_eq!(text(&event), "my_app::job: a=true b=-1");
}

#[test]
fn the_message_stands_first_and_a_second_one_is_a_field() {
    let event = Event::new(Level::Info, &["message", "a"]).fields(|fields| {
        fields.u64(Index(1), 1);
        fields.str(Index(0), "first");
        fields.str(Index(0), "second");
    });
    assert_eq!(text(&event), "my_app::job: first a=1 message=\"second\"");
}

#[test]
fn nothing_that_a_worker_names_can_break_the_line() {
    let evil = "a\nb\u{1b}[2J\u{9b}\u{202e}\u{2028}";
    let escaped = r"a\nb\x1b[2J\u{9b}\u{202e}\u{2028}";
    let mut event = Event::new(Level::Info, &[evil])
        .span(evil, |fields| fields.str(Inline(evil), evil))
        .fields(|fields| {
            fields.str(Inline("message"), evil);
            fields.debug(Index(0), &format_args!("{evil}"));
            fields.error(Index(0), &std::io::Error::other(evil));
        });
    event.worker = evil.to_owned();
    event.callsite.target = evil.to_owned();
    assert_eq!(
        event.line(&Format::text()),
        format!(
            "2026-11-22T10:00:00.123456Z  INFO {e}[1234] {e}{{{e}=\"{e}\"}}: {e}: {e} {e}={e} \
             {e}={e}",
            e = escaped
        )
    );
}

#[test]
fn a_cut_record_says_how_long_it_was() {
    let event = Event::new(Level::Info, &["message"])
        .limit(20)
        .fields(|fields| fields.str(Index(0), &"x".repeat(1000)));
    assert_eq!(text(&event), "my_app::job: xxxxxxxxxxxxx (truncated from 1027 bytes)");
}

#[test]
fn a_name_that_the_callsite_lacks_is_its_number() {
    let event = Event::new(Level::Info, &[]).fields(|fields| fields.u64(Index(300), 1));
    assert_eq!(text(&event), "my_app::job: #300=1");
}
