//! Lines by templates, and what is wrong with bad ones.

use fleetlog_protocol::Level;
use fleetlog_protocol::record::FieldName::{Index, Inline};

use super::super::fixture::Event;
use super::super::{Format, FormatError, TemplateProblem, TimeZoneChoice};

fn event() -> Event {
    Event::new(Level::Info, &["message", "seq"])
        .span("a", |fields| fields.u64(Inline("x"), 1))
        .span("b", |_| {})
        .fields(|fields| {
            fields.str(Index(0), "finished item");
            fields.u64(Index(1), 17);
            fields.str(Inline("user"), "ann");
            fields.str(Inline("r#type"), "t");
            fields.str(Inline("user"), "bob");
        })
}

fn line(template: &str) -> String {
    event().line(&Format::template(template).unwrap())
}

fn problem(template: &str) -> (usize, TemplateProblem) {
    let error = Format::template(template).unwrap_err();
    assert_eq!(error.template, template);
    (error.position, error.problem)
}

#[test]
fn the_template_of_the_design_gives_columns() {
    assert_eq!(
        line("{time} {worker:<10} {level:<8} {message}"),
        "2026-11-22T10:00:00.123456Z worker 3   INFO     finished item"
    );
}

#[test]
fn every_placeholder_has_its_value() {
    assert_eq!(
        line("{pid} {target} {thread} {seq} {lane} {file}:{line} {module}"),
        "1234 my_app::job 77 17 2 src/job.rs:7 my_app::job"
    );
    assert_eq!(line("{spans}|{fields}"), "a{x=1}:b|seq=17 user=\"ann\" type=\"t\" user=\"bob\"");
    assert_eq!(
        line("{field.seq} {field.user} {field.type} {field.r#type} {field.none} {field.message}"),
        "17 bob t t  finished item"
    );
}

#[test]
fn values_are_cut_and_padded() {
    assert_eq!(line("[{message:.8}] [{level:^8}] [{pid:>6}]"), "[finished] [  INFO  ] [  1234]");
    assert_eq!(line("[{field.none:->4}] [{pid:06}]"), "[----] [001234]");
}

#[test]
fn braces_stand_doubled_and_a_newline_at_the_end_is_left_out() {
    assert_eq!(line("{{{pid}}} {{}}\n"), "{1234} {}");
    assert_eq!(line("no placeholder"), "no placeholder");
    assert_eq!(line(""), "");
}

#[test]
fn control_characters_of_the_template_itself_are_escaped() {
    assert_eq!(line("a\tb\n{pid}\n"), "a\\tb\\n1234");
    assert_eq!(line("{time:%H\n%n%t}"), "10\\n\\n\\t");
}

#[test]
fn the_time_is_printed_by_a_strftime_format() {
    assert_eq!(line("{time:%Y %H:%M:%S%.3f %Z}|"), "2026 10:00:00.123 UTC|");
}

#[test]
fn a_cut_record_says_so_in_every_layout() {
    let event = Event::new(Level::Info, &["message"])
        .limit(20)
        .fields(|fields| fields.str(Index(0), &"x".repeat(1000)));
    assert_eq!(
        event.line(&Format::template("<{message}>").unwrap()),
        "<xxxxxxxxxxxxx> (truncated from 1027 bytes)"
    );
}

#[test]
fn what_a_callsite_lacks_is_empty() {
    let mut event = event();
    (event.callsite.file, event.callsite.line, event.callsite.module_path) = (None, None, None);
    assert_eq!(event.line(&Format::template("{file}:{line}:{module}").unwrap()), "::");
}

#[test]
fn a_mistake_is_told_with_its_place() {
    let unknown = |name: &str, nearest| TemplateProblem::Unknown { name: name.to_owned(), nearest };
    assert_eq!(problem("{time} {mesage}"), (8, unknown("mesage", Some("message"))));
    assert_eq!(problem("ä {xyzzy}"), (3, unknown("xyzzy", None)));
    assert_eq!(problem("{fields.user}"), (1, unknown("fields.user", Some("fields"))));
    assert_eq!(problem("{}"), (1, unknown("", None)));
    assert_eq!(problem("{ time}"), (1, unknown(" time", Some("time"))));
    assert_eq!(problem("a {time"), (3, TemplateProblem::Unclosed));
    assert_eq!(problem("{time {pid}"), (1, TemplateProblem::Unclosed));
    assert_eq!(problem("{time}}"), (7, TemplateProblem::Unopened));
    assert_eq!(problem("{field.}"), (1, TemplateProblem::Unnamed));
    let alignment = TemplateProblem::Alignment { found: "<x".to_owned() };
    assert_eq!(problem("{worker:<x}"), (1, alignment));
    assert!(matches!(problem("{time:%!}"), (1, TemplateProblem::Time { .. })));
    let error = Format::template("{time} {mesage}").unwrap_err().to_string();
    for part in ["{mesage}", "did you mean {message}?", "character 8", "\"{time} {mesage}\""] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn formats_are_read_from_their_words_and_print_them() {
    for text in ["text", "json", "{time} {message}"] {
        assert_eq!(text.parse::<Format>().unwrap().to_string(), text);
    }
    let error = "txt".parse::<Format>().unwrap_err();
    assert_eq!(error, FormatError::Unknown { given: "txt".to_owned(), nearest: Some("text") });
    assert!(error.to_string().contains("did you mean `text`?"), "{error}");
    assert!("".parse::<Format>().is_err());
    assert!(matches!("{tme}".parse::<Format>(), Err(FormatError::Template(_))));
    assert_eq!("UTC".parse(), Ok(TimeZoneChoice::Utc));
    assert_eq!("local".parse(), Ok(TimeZoneChoice::Local));
    assert!("berlin".parse::<TimeZoneChoice>().is_err());
}

#[test]
fn local_time_carries_an_offset() {
    let format = Format::template("{time}").unwrap().with_timezone(TimeZoneChoice::Local);
    let time = event().line(&format);
    assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
    assert!(!time.ends_with('Z'), "{time}");
}
