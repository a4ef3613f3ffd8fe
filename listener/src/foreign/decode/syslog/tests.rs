//! What the RFCs say of their examples, and what is sent in the wild.

mod losses;
mod rfc3164;
mod rfc5424;
mod times;
mod wild;

use fleetlog_protocol::Level;
use jiff::civil::date;
use jiff::tz::TimeZone;

use super::super::super::entry::{Claim, Entry, Value};
use super::{Now, decode};

const SECOND: u64 = 1_000_000_000;

/// A reception at a local time of a zone.
fn at(zone: &str, year: i16, month: i8, day: i8, hour: i8, minute: i8) -> Now {
    let zone = TimeZone::get(zone).expect("the system knows the zone");
    let time = date(year, month, day).at(hour, minute, 0, 0).to_zoned(zone.clone()).expect("it is");
    Now { time: u64::try_from(time.timestamp().as_nanosecond()).expect("after 1970"), zone }
}

/// The afternoon of a day in November, in UTC.
fn now() -> Now {
    at("UTC", 2024, 11, 22, 15, 0)
}

/// A moment of UTC, claimed to a second.
fn claim(text: &str) -> Option<Claim> {
    claim_within(text, SECOND)
}

fn claim_within(text: &str, precision: u64) -> Option<Claim> {
    let time: jiff::Timestamp = text.parse().expect("a timestamp");
    Some(Claim { time: u64::try_from(time.as_nanosecond()).expect("after 1970"), precision })
}

/// An entry's fields as text, for comparisons that read easily.
fn fields(entry: &Entry<'_>) -> Vec<String> {
    let shown = |value: &Value<'_>| match value {
        Value::Str(text) => format!("{text:?}"),
        other => format!("{other:?}"),
    };
    entry.fields.iter().map(|field| format!("{}={}", field.name, shown(&field.value))).collect()
}

#[test]
fn one_terminator_is_no_part_of_a_message() {
    for (message, expected) in [
        ("<14>m\n", "m"),
        ("<14>m\r\n", "m"),
        ("<14>m\0", "m"),
        ("<14>m\n\n", "m\n"),
        ("<14>m\n\0", "m\n"),
        ("<14>m\r", "m\r"),
        ("<14>a\nb", "a\nb"),
        ("m\n", "m"),
        ("\n", ""),
        ("", ""),
        ("<14>1 - - - - - - m\n", "m"),
        ("<14>1 - - - - - -\n", ""),
    ] {
        assert_eq!(decode(message.as_bytes(), &now()).message, expected, "{message:?}");
    }
}

#[test]
fn what_is_no_utf8_is_shown_and_not_refused() {
    let entry = decode(b"<13>Nov 22 10:00:00 h\xc3\xb6st app\xff[7]: caf\xe9", &now());
    assert_eq!(entry.message, "h\u{f6}st app\u{fffd}[7]: caf\u{fffd}");
    let entry = decode(b"<13>1 - - app\xff - - [a b=\"\xe9\"] caf\xe9", &now());
    assert_eq!((&*entry.target, &*entry.message), ("app\u{fffd}", "caf\u{fffd}"));
    assert_eq!(fields(&entry), ["severity=\"notice\"", "a.b=\"\u{fffd}\""]);
}

#[test]
fn valid_text_is_borrowed() {
    use std::borrow::Cow;
    let message = b"<13>1 - host app - - [a b=\"value\"] message";
    let entry = decode(message, &now());
    assert!(matches!(entry.message, Cow::Borrowed(_)));
    assert!(matches!(entry.target, Cow::Borrowed(_)));
    assert!(matches!(entry.fields[1].value, Value::Str(Cow::Borrowed("value"))));
}

#[test]
fn without_a_priority_it_is_a_notice_of_a_user() {
    let entry = decode(b"Nov 22 10:00:00 host app[1]: m", &now());
    let mut expected = Entry::new(Level::Info, "Nov 22 10:00:00 host app[1]: m");
    expected.field("severity", Value::Str("notice".into()));
    assert_eq!(entry, expected);
}
