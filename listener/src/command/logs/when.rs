//! Times as people write them: `2026-11-22 10:00:00`, `10:00`, `yesterday`, `1h ago`.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Zoned};

/// What may be written, for help and refusals.
pub(super) const EXPECTED: &str = "expected a time such as '2026-11-22 10:00:00', 10:00, yesterday, 1h, '2 days ago' or @1795341600";

/// Reads a time. One without a zone is of the zone of `now`.
pub(super) fn parse(text: &str, now: &Zoned) -> Result<Timestamp, String> {
    let refused = || format!("{text:?} is no time: {EXPECTED}");
    let text = text.trim();
    let midnight = |days: i64| {
        let day = now.date().checked_add(Span::new().try_days(days).ok()?).ok()?;
        local(day.to_datetime(Time::midnight()), now.time_zone())
    };
    let found = match text {
        "" => None,
        "now" => Some(now.timestamp()),
        "today" => midnight(0),
        "yesterday" => midnight(-1),
        "tomorrow" => midnight(1),
        _ => match text.strip_prefix('@') {
            Some(epoch) => of_epoch(epoch),
            None => of_calendar(text, now).or_else(|| relative(text, now)),
        },
    };
    found.ok_or_else(refused)
}

/// Seconds since the Unix epoch, with or without a fraction.
fn of_epoch(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanos = format!("{fraction:0<9}").parse().ok()?;
    Timestamp::new(seconds.parse().ok()?, nanos).ok()
}

fn of_calendar(text: &str, now: &Zoned) -> Option<Timestamp> {
    // What names its zone or offset is certain; the others are of the reader's zone.
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    // A time alone comes before a date: 10:00 is of today.
    let begins_with_date = text.len() >= 10 && text.as_bytes()[4] == b'-';
    let civil = if begins_with_date {
        let whole_day = || Some(text.parse::<Date>().ok()?.to_datetime(Time::midnight()));
        text.parse::<DateTime>().ok().or_else(whole_day)?
    } else if text.contains(':') {
        now.date().to_datetime(text.parse::<Time>().ok()?)
    } else {
        return None;
    };
    local(civil, now.time_zone())
}

fn local(time: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    Some(time.to_zoned(zone.clone()).ok()?.timestamp())
}

/// `1h`, `-1h` and `1h ago` are an hour ago, `+1h` is in an hour.
fn relative(text: &str, now: &Zoned) -> Option<Timestamp> {
    if let Some(later) = text.strip_prefix('+') {
        let span: Span = later.trim().parse().ok()?;
        return Some(now.checked_add(span).ok()?.timestamp());
    }
    let span = text.strip_prefix('-').unwrap_or(text).trim();
    let span: Span = span.strip_suffix("ago").unwrap_or(span).trim().parse().ok()?;
    Some(now.checked_sub(span.abs()).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Result<String, String> {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let now: Timestamp = "2026-11-22T10:30:00Z".parse().unwrap();
        parse(text, &now.to_zoned(zone)).map(|time| time.to_string())
    }

    #[test]
    fn times_are_read_as_they_are_written() {
        for (text, expected) in [
            ("now", "2026-11-22T10:30:00Z"),
            ("today", "2026-11-21T22:00:00Z"),
            ("yesterday", "2026-11-20T22:00:00Z"),
            ("2026-11-22 10:00:00", "2026-11-22T08:00:00Z"),
            ("2026-11-22 10:00", "2026-11-22T08:00:00Z"),
            ("2026-11-22T10:00:00.5", "2026-11-22T08:00:00.5Z"),
            ("2026-11-22", "2026-11-21T22:00:00Z"),
            ("10:00", "2026-11-22T08:00:00Z"),
            ("10:00:05.25", "2026-11-22T08:00:05.25Z"),
            ("2026-11-22T10:00:00Z", "2026-11-22T10:00:00Z"),
            ("2026-11-22T10:00:00.123456+01:00", "2026-11-22T09:00:00.123456Z"),
            ("2026-11-22 10:00:00Z", "2026-11-22T10:00:00Z"),
            ("-1h", "2026-11-22T09:30:00Z"),
            ("1h", "2026-11-22T09:30:00Z"),
            ("1h ago", "2026-11-22T09:30:00Z"),
            ("1 hour ago", "2026-11-22T09:30:00Z"),
            ("1h30m", "2026-11-22T09:00:00Z"),
            ("2 days ago", "2026-11-20T10:30:00Z"),
            ("5min", "2026-11-22T10:25:00Z"),
            ("+1h", "2026-11-22T11:30:00Z"),
            ("@1795341600", "2026-11-22T10:00:00Z"),
            ("@1795341600.25", "2026-11-22T10:00:00.25Z"),
        ] {
            assert_eq!(at(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_with_what_is_one() {
        for text in ["", "soon", "25:00", "2026-13-01", "@x", "1", "-", "10", "2026-11-22 99:00"] {
            let said = at(text).expect_err(text);
            assert!(said.contains("expected a time such as"), "{said}");
        }
    }
}
