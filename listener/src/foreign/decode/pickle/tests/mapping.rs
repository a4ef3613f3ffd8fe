//! Which key of a record's dictionary becomes what, by pickles written by hand.

use super::super::super::super::entry::Claim;
use super::*;
use fleetlog_protocol::Level;

/// A dictionary of protocol 0 whose values are already opcodes.
fn dictionary(pairs: &[(&str, &str)]) -> String {
    let pairs: String = pairs.iter().map(|(key, value)| format!("V{key}\n{value}s")).collect();
    format!("(d{pairs}.")
}

#[test]
fn a_message_and_a_level_are_all_that_a_record_needs() {
    let body = dictionary(&[("msg", "Vhello\n"), ("levelno", "I30\n")]);
    assert_eq!(decode(body.as_bytes()), Ok(Entry::new(Level::Warn, "hello")));
    let body = dictionary(&[("levelname", "VERROR\n")]);
    assert_eq!(decode(body.as_bytes()), Ok(Entry::new(Level::Error, "")));
    let body = dictionary(&[("message", "Vhello\n")]);
    assert_eq!(decode(body.as_bytes()), Ok(Entry::new(Level::Info, "hello")));
}

#[test]
fn a_message_that_repeats_the_message_is_left_out_and_another_one_is_not() {
    let same = dictionary(&[("msg", "Vhello\n"), ("message", "Vhello\n")]);
    assert_eq!(decode(same.as_bytes()), Ok(Entry::new(Level::Info, "hello")));
    let other = dictionary(&[("msg", "Vhello\n"), ("message", "Vother\n")]);
    let mut expected = Entry::new(Level::Info, "hello");
    expected.field("message", Value::Str("other".into()));
    assert_eq!(decode(other.as_bytes()), Ok(expected));
}

#[test]
fn of_equal_keys_the_last_one_wins_at_the_place_of_the_first() {
    let pairs = [("msg", "Vm\n"), ("a", "I1\n"), ("b", "I2\n"), ("a", "I3\n")];
    let mut expected = Entry::new(Level::Info, "m");
    expected.field("a", Value::U64(3));
    expected.field("b", Value::U64(2));
    assert_eq!(decode(dictionary(&pairs).as_bytes()), Ok(expected));
}

#[test]
fn the_time_is_exact_and_what_is_no_time_stays_a_field() {
    let time = |value: &str| {
        let body = dictionary(&[("msg", "Vm\n"), ("created", value)]);
        let entry = decode(body.as_bytes()).expect("a record");
        (entry.time, entry.fields.len())
    };
    let claim = |time, precision| Some(Claim { time, precision });
    assert_eq!(time("F1700000000.5\n"), (claim(1_700_000_000_500_000_000, 1_000), 0));
    assert_eq!(time("I1700000000\n"), (claim(1_700_000_000_000_000_000, 999_999_999), 0));
    for no_time in ["Fnan\n", "F-1.0\n", "F1e300\n", "Vsoon\n", "N", "I-5\n"] {
        assert_eq!(time(no_time), (None, 1), "{no_time:?}");
    }
}

#[test]
fn keys_that_are_no_strings_are_shown() {
    let body = b"(dVmsg\nVm\nsI1\nI2\ns(I1\nVa\ntI3\ns.";
    let mut expected = Entry::new(Level::Info, "m");
    expected.field("1", Value::U64(2));
    expected.field("(1, 'a')", Value::U64(3));
    assert_eq!(decode(body), Ok(expected));
}

#[test]
fn values_of_the_wrong_type_stay_fields() {
    let pairs = [
        ("msg", "Vm\n"),
        ("levelno", "Vhigh\n"),
        ("lineno", "I-1\n"),
        ("pathname", "I7\n"),
        ("process", "L99999999999L\n"),
    ];
    let body = dictionary(&pairs);
    let entry = decode(body.as_bytes()).expect("a record");
    let names: Vec<_> = entry.fields.iter().map(|field| &*field.name).collect();
    assert_eq!(names, ["levelno", "lineno", "pathname", "process"]);
    assert_eq!((entry.line, entry.file, entry.pid), (None, None, None));
}

#[test]
fn what_python_2_sends_is_read() {
    let body = b"(dp0\nS'msg'\np1\nS'it\\'s \\xc3\\xa9\\n'\np2\nsS'lineno'\np3\nI7\nsU\x04nameU\x03appsT\x02\0\0\0okI01\ns.";
    let entry = decode(body).expect("a record");
    assert_eq!((&*entry.message, entry.line, &*entry.target), ("it's é\n", Some(7), "app"));
    assert_eq!(entry.fields[0].value, Value::Bool(true));
    let date = b"cdatetime\ndatetime\n(U\x0a\x07\xe4\x01\x02\x03\x04\x05\0\0\0tR";
    assert_eq!(shown_extra(date), "2020-01-02T03:04:05");
    let body = record_with(b"U\x03msgU\x03\xe9tsU\x05extraU\x01\xff");
    let entry = decode(&body).expect("a record");
    assert_eq!(entry.message, "\u{fffd}ts");
    assert_eq!(*extra(&entry), Value::Bytes(b"\xff".as_slice().into()));
}

#[test]
fn strings_are_borrowed_from_the_pickle() {
    let body = record_with_extra(b"X\x03\0\0\0abc");
    let entry = decode(&body).expect("a record");
    let is_inside = |text: &str| body.as_ptr_range().contains(&text.as_ptr());
    assert!(is_inside(&entry.message));
    assert!(matches!(extra(&entry), Value::Str(text) if is_inside(text)));
}

#[test]
fn what_only_the_sender_knows_is_shown_by_its_number() {
    assert_eq!(shown_extra(b"Pnumber 5\n"), "<persistent 'number 5'>");
    assert_eq!(shown_extra(b"K\x05Q"), "<persistent 5>");
    assert_eq!(shown_extra(b"\x82\x05"), "<extension 5>");
    assert_eq!(shown_extra(b"\x97\x98"), "<buffer>");
    assert_eq!(shown_extra(b"(ca\nB\nK\x01o"), "a.B(1)");
    assert_eq!(shown_extra(b"(K\x01ia\nB\n"), "a.B(1)");
    assert_eq!(shown_extra(b"ca\nB\n)}U\x01xK\x01s\x92"), "a.B(x=1)");
}

#[test]
fn an_object_whose_state_makes_no_sense_is_shown_as_a_call() {
    let date = b"cdatetime\ndate\nC\x04\x07\xe4\x0d\x01\x85R";
    assert_eq!(shown_extra(date), r"datetime.date(b'\x07\xe4\r\x01')");
    assert_eq!(shown_extra(b"cuuid\nUUID\n)\x81}b"), "uuid.UUID()");
    assert_eq!(shown_extra(b"cpathlib\nPath\nK\x01\x85R"), "pathlib.Path(1)");
    let huge = b"cdatetime\ntimedelta\n\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7fK\0K\0\x87R";
    assert_eq!(shown_extra(huge), "P9223372036854775807D");
}
