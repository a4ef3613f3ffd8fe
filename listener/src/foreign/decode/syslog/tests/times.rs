//! Which moment a time without a year and a zone is.

use super::*;

fn claimed(timestamp: &str, now: &Now) -> Option<Claim> {
    let message = format!("<14>{timestamp} app: m");
    let entry = decode(message.as_bytes(), now);
    assert_eq!(entry.target, "app", "{timestamp}");
    let kept = entry.time.is_none().then(|| format!("timestamp={timestamp:?}"));
    assert_eq!(fields(&entry), Vec::from_iter(kept));
    entry.time
}

#[test]
fn a_day_may_be_padded_by_a_space_a_zero_or_nothing() {
    for timestamp in ["Nov  5 01:02:03", "Nov 05 01:02:03", "Nov 5 01:02:03"] {
        assert_eq!(claimed(timestamp, &now()), claim("2024-11-05T01:02:03Z"), "{timestamp}");
    }
}

#[test]
fn digits_of_the_second_make_the_claim_more_precise() {
    let mut precision = SECOND;
    for digits in 1..=9 {
        precision /= 10;
        let fraction = &"123456789"[..digits];
        let expected = claim_within(&format!("2024-11-05T01:02:03.{fraction}Z"), precision);
        assert_eq!(claimed(&format!("Nov  5 01:02:03.{fraction}"), &now()), expected, "{digits}");
    }
}

#[test]
fn a_year_is_believed() {
    assert_eq!(claimed("Nov  5 2003 01:02:03", &now()), claim("2003-11-05T01:02:03Z"));
}

#[test]
fn december_in_january_was_last_year() {
    let now = at("UTC", 2025, 1, 1, 0, 1);
    assert_eq!(claimed("Dec 31 23:59:59", &now), claim("2024-12-31T23:59:59Z"));
    assert_eq!(claimed("Jan  1 00:00:30", &now), claim("2025-01-01T00:00:30Z"));
}

#[test]
fn january_in_december_is_next_year() {
    let now = at("UTC", 2024, 12, 31, 23, 59);
    assert_eq!(claimed("Jan  1 00:00:30", &now), claim("2025-01-01T00:00:30Z"));
    assert_eq!(claimed("Dec 31 23:58:00", &now), claim("2024-12-31T23:58:00Z"));
}

#[test]
fn a_day_in_the_future_is_the_limit() {
    let now = at("UTC", 2024, 11, 22, 15, 0);
    assert_eq!(claimed("Nov 23 15:00:00", &now), claim("2024-11-23T15:00:00Z"));
    assert_eq!(claimed("Nov 23 15:00:01", &now), claim("2023-11-23T15:00:01Z"));
}

#[test]
fn the_year_is_the_zones_and_not_utcs() {
    // In Auckland it is the second of January, 13 hours before UTC's.
    let now = at("Pacific/Auckland", 2025, 1, 2, 1, 0);
    assert_eq!(claimed("Jan  2 00:59:00", &now), claim("2025-01-01T11:59:00Z"));
    let now = at("Pacific/Auckland", 2025, 1, 1, 1, 0);
    assert_eq!(claimed("Jan  1 00:59:00", &now), claim("2024-12-31T11:59:00Z"));
    assert_eq!(claimed("Dec 31 23:59:00", &now), claim("2024-12-31T10:59:00Z"));
}

#[test]
fn the_29th_of_february_is_of_the_last_leap_year() {
    let received = at("UTC", 2026, 3, 1, 0, 0);
    assert_eq!(claimed("Feb 29 12:00:00", &received), claim("2024-02-29T12:00:00Z"));
    let received = at("UTC", 2103, 3, 1, 0, 0);
    assert_eq!(claimed("Feb 29 12:00:00", &received), claim("2096-02-29T12:00:00Z"));
    assert_eq!(claimed("Feb 30 12:00:00", &received), None);
    assert_eq!(claimed("Nov 22 12:00:60", &received), None);
}

#[test]
fn berlins_summer_is_two_hours_ahead_of_utc() {
    let now = at("Europe/Berlin", 2024, 11, 22, 15, 0);
    assert_eq!(claimed("Jul  1 12:00:00", &now), claim("2024-07-01T10:00:00Z"));
    assert_eq!(claimed("Nov  1 12:00:00", &now), claim("2024-11-01T11:00:00Z"));
}

#[test]
fn of_the_hour_that_comes_twice_the_later_is_meant_unless_it_is_to_come() {
    // On 27 October 2024 half past two was at 00:30 and at 01:30 of UTC.
    let mut now = at("Europe/Berlin", 2024, 10, 27, 12, 0);
    assert_eq!(claimed("Oct 27 02:30:00", &now), claim("2024-10-27T01:30:00Z"));
    let first = claim("2024-10-27T00:30:01Z").expect("a claim").time;
    now.time = first;
    assert_eq!(claimed("Oct 27 02:30:00", &now), claim("2024-10-27T00:30:00Z"));
    now.time = first + 3600 * SECOND;
    assert_eq!(claimed("Oct 27 02:30:00", &now), claim("2024-10-27T01:30:00Z"));
    // A client's clock that is ahead doesn't make it an hour more.
    now.time = first - 60 * SECOND;
    assert_eq!(claimed("Oct 27 02:30:00", &now), claim("2024-10-27T00:30:00Z"));
    let dated = "2024-10-27T02:30:00";
    assert_eq!(claimed(dated, &now), claim("2024-10-27T00:30:00Z"));
}

#[test]
fn the_hour_that_no_clock_shows_is_no_moment_of_any_year() {
    let now = at("Europe/Berlin", 2024, 4, 1, 12, 0);
    assert_eq!(claimed("Mar 31 02:30:00", &now), None);
    assert_eq!(claimed("Mar 31 01:30:00", &now), claim("2024-03-31T00:30:00Z"));
    assert_eq!(claimed("Mar 31 03:30:00", &now), claim("2024-03-31T01:30:00Z"));
    assert_eq!(claimed("2024-03-31T02:30:00", &now), None);
}

#[test]
fn a_clock_at_the_ends_of_time_makes_no_panic() {
    for time in [0, 1, u64::MAX] {
        let now = Now { time, zone: TimeZone::UTC };
        let _ = decode(b"<14>Jan  1 00:00:00 app: m", &now);
        let _ = decode(b"<14>Dec 31 23:59:59 app: m", &now);
    }
}
