//! RFC 5424: its examples (6.5), its timestamps (6.2.3.1), its structured data (6.3.5).

use super::super::decode;
use super::*;

#[test]
fn example_1_has_no_structured_data() {
    let message = "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \
        \u{feff}'su root' failed for lonvick on /dev/pts/8";
    let entry = decode(message.as_bytes(), &now());
    // Facility 4, severity 2; no PROCID; 3 milliseconds into the next second.
    let mut expected = Entry::new(Level::Error, "'su root' failed for lonvick on /dev/pts/8");
    expected.target = "su".into();
    expected.host = Some("mymachine.example.com".into());
    expected.time = claim_within("2003-10-11T22:14:15.003Z", 1_000_000);
    expected.field("severity", Value::Str("crit".into()));
    expected.field("facility", Value::Str("auth".into()));
    expected.field("msgid", Value::Str("ID47".into()));
    assert_eq!(entry, expected);
}

#[test]
fn example_2_has_an_offset_microseconds_and_a_process() {
    let message = "<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - \
        %% It's time to make the do-nuts.";
    let entry = decode(message.as_bytes(), &now());
    // Facility 20, severity 5; PROCID 8710; no MSGID; no BOM.
    let mut expected = Entry::new(Level::Info, "%% It's time to make the do-nuts.");
    expected.target = "myproc".into();
    expected.host = Some("192.0.2.1".into());
    expected.pid = Some(8710);
    expected.time = claim_within("2003-08-24T12:14:15.000003Z", 1_000);
    expected.field("severity", Value::Str("notice".into()));
    expected.field("facility", Value::Str("local4".into()));
    assert_eq!(entry, expected);
}

#[test]
fn example_3_has_an_element_with_three_parameters() {
    let message = "<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 \
        [exampleSDID@32473 iut=\"3\" eventSource=\"Application\" eventID=\"1011\"] \
        \u{feff}An application event log entry...";
    let entry = decode(message.as_bytes(), &now());
    assert_eq!(entry.message, "An application event log entry...");
    assert_eq!(entry.target, "evntslog");
    assert_eq!(
        fields(&entry),
        [
            "severity=\"notice\"",
            "facility=\"local4\"",
            "msgid=\"ID47\"",
            "exampleSDID@32473.iut=\"3\"",
            "exampleSDID@32473.eventSource=\"Application\"",
            "exampleSDID@32473.eventID=\"1011\"",
        ]
    );
}

#[test]
fn example_4_has_two_elements_and_no_message() {
    let message = "<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 \
        [exampleSDID@32473 iut=\"3\" eventSource=\"Application\" eventID=\"1011\"]\
        [examplePriority@32473 class=\"high\"]";
    let entry = decode(message.as_bytes(), &now());
    assert_eq!(entry.message, "");
    assert_eq!(entry.fields.len(), 7);
    assert_eq!(fields(&entry)[6], "examplePriority@32473.class=\"high\"");
}

fn time_of(timestamp: &str) -> (Option<Claim>, Vec<String>) {
    let message = format!("<14>1 {timestamp} host app - - - m");
    let entry = decode(message.as_bytes(), &now());
    assert_eq!((&*entry.target, &*entry.message), ("app", "m"), "{timestamp}");
    (entry.time, fields(&entry))
}

#[test]
fn the_rfcs_valid_timestamps_are_claims() {
    for (timestamp, utc, precision) in [
        ("1985-04-12T23:20:50.52Z", "1985-04-12T23:20:50.52Z", 10_000_000),
        ("1985-04-12T19:20:50.52-04:00", "1985-04-12T23:20:50.52Z", 10_000_000),
        ("2003-10-11T22:14:15.003Z", "2003-10-11T22:14:15.003Z", 1_000_000),
        ("2003-08-24T05:14:15.000003-07:00", "2003-08-24T12:14:15.000003Z", 1_000),
        ("2003-08-24T05:14:15+23:59", "2003-08-23T05:15:15Z", 1_000_000_000),
    ] {
        assert_eq!(time_of(timestamp), (claim_within(utc, precision), vec![]), "{timestamp}");
    }
    assert_eq!(time_of("-"), (None, vec![]));
}

#[test]
fn an_invalid_timestamp_is_kept_as_text() {
    for timestamp in [
        // The RFC's own: nanoseconds.
        "2003-08-24T05:14:15.000000003-07:00",
        "2003-10-11T22:14:60Z",
        "2003-10-11T24:00:00Z",
        "2003-02-29T00:00:00Z",
        "2003-13-01T00:00:00Z",
        "2003-10-11T22:14:15",
        "2003-10-11T22:14:15.Z",
        "2003-10-11T22:14:15+0100",
        "2003-10-11T22:14:15+24:00",
        "2003-10-11t22:14:15z",
        "2003-10-11T22:14:15Zulu",
        // Before the epoch there is no number for it, and after 2554 none either.
        "1969-12-31T23:59:59Z",
        "9999-12-31T23:59:59Z",
        "yesterday",
    ] {
        assert_eq!(
            time_of(timestamp),
            (None, vec![format!("timestamp={timestamp:?}")]),
            "{timestamp}"
        );
    }
}

/// The fields of structured data, and the message behind it.
fn data(text: &str) -> (Vec<String>, String) {
    let message = format!("<14>1 - - - - - {text}");
    let entry = decode(message.as_bytes(), &now());
    (fields(&entry), entry.message.into_owned())
}

fn list(expected: &[&str], message: &str) -> (Vec<String>, String) {
    (expected.iter().map(|&text| text.to_owned()).collect(), message.to_owned())
}

#[test]
fn the_escapes_are_three_and_other_backslashes_stay() {
    assert_eq!(
        data(r#"[a b="\"q\" \\ \] \n \x" c="\\\\"]"#),
        list(&[r#"a.b="\"q\" \\ ] \\n \\x""#, r#"a.c="\\\\""#], "")
    );
}

#[test]
fn an_element_without_parameters_is_true() {
    assert_eq!(
        data(r#"[flag][timeQuality tzKnown="1"][origin] m"#),
        list(&["flag=Bool(true)", "timeQuality.tzKnown=\"1\"", "origin=Bool(true)"], "m")
    );
}

#[test]
fn a_space_ends_the_structured_data() {
    assert_eq!(data(r#"[a b="1"] [c d="2"]"#), list(&["a.b=\"1\""], r#"[c d="2"]"#));
}

#[test]
fn a_value_may_have_brackets_equals_signs_and_nothing() {
    assert_eq!(
        data(r#"[a b="[x=y]" b="" c="ü"]"#),
        list(&["a.b=\"[x=y]\"", "a.b=\"\"", "a.c=\"ü\""], "")
    );
}

#[test]
fn broken_structured_data_is_the_message_from_the_break_on() {
    for broken in [
        r#"[ a b="1"]"#,
        r#"[a b="1" ]"#,
        r#"[a b="1"  c="2"]"#,
        r#"[a b="1"#,
        r#"[a b="1\"]"#,
        r#"[a b=1]"#,
        r#"[a b]"#,
        r#"[a ="1"]"#,
        "[]",
        "[",
        "[a",
        r#"[a=b c="1"]"#,
        "-m",
        "--",
    ] {
        assert_eq!(data(broken), list(&[], broken), "{broken}");
        let two = format!("[x y=\"1\"]{broken}");
        assert_eq!(data(&two), list(&["x.y=\"1\""], broken), "{two}");
    }
    assert_eq!(data(r#"[x y="1"]m"#), list(&["x.y=\"1\""], "m"));
}

#[test]
fn a_broken_header_is_understood_up_to_the_break() {
    let entry = decode(b"<14>1 2003-10-11T22:14:15Z host app: it fails", &now());
    assert_eq!(entry.host.as_deref(), Some("host"));
    assert_eq!((&*entry.target, &*entry.message), ("app:", "fails"));
    assert_eq!(fields(&entry), ["procid=\"it\""]);
    let entry = decode(b"<14>1 2003-10-11T22:14:15Z host  app 1 - - m", &now());
    assert_eq!((&*entry.target, &*entry.message), ("", " app 1 - - m"));
    let entry = decode(b"<14>1 2003-10-11T22:14:15Z host app 1 id m", &now());
    assert_eq!((entry.pid, &*entry.message), (Some(1), "m"));
    assert_eq!(entry.time, claim("2003-10-11T22:14:15Z"));
}

#[test]
fn text_that_begins_with_a_one_is_text() {
    for message in [
        "1 2024-11-22 backup done now ok fine",
        "1 apple",
        "1 - hello world",
        "1 ",
        "1",
        "12 - - - - - - m",
        "2 - - - - - - m",
    ] {
        let sent = format!("<14>{message}");
        assert_eq!(decode(sent.as_bytes(), &now()), Entry::new(Level::Info, message), "{message}");
    }
}

#[test]
fn a_process_that_is_no_number_is_a_field() {
    for (process, pid) in [
        ("0", Some(0)),
        ("4294967295", Some(u32::MAX)),
        ("4294967296", None),
        ("007", None),
        ("+7", None),
        ("main", None),
    ] {
        let message = format!("<14>1 - - - {process} - - m");
        let entry = decode(message.as_bytes(), &now());
        assert_eq!(entry.pid, pid, "{process}");
        let field = pid.is_none().then(|| format!("procid={process:?}"));
        assert_eq!(fields(&entry), Vec::from_iter(field), "{process}");
    }
}
