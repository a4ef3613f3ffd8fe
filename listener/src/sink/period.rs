//! The periods of the clock at whose ends files are rotated.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, Zoned};

use crate::format::TimeZoneChoice;
use crate::options::Period;

const NANOS: i64 = 1_000_000_000;

/// One period: from its first nanosecond to the first one behind it, since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) start: u64,
    pub(super) end: u64,
}

/// A period in a time zone.
#[derive(Clone, Debug)]
pub(super) struct Calendar {
    period: Period,
    zone: TimeZone,
}

impl Calendar {
    /// The host's time zone is looked up here, once.
    pub(super) fn new(period: Period, zone: TimeZoneChoice) -> Self {
        let zone = match zone {
            TimeZoneChoice::Utc => TimeZone::UTC,
            TimeZoneChoice::Local => local(),
        };
        Self { period, zone }
    }

    /// The period in which a time lies. A time that no calendar knows has a period of its own, that
    /// never ends.
    pub(super) fn window(&self, time: u64) -> Window {
        self.try_window(time).unwrap_or(Window { start: 0, end: u64::MAX })
    }

    fn try_window(&self, time: u64) -> Option<Window> {
        let second = i64::try_from(time).ok()? / NANOS;
        let zoned = Timestamp::from_second(second).ok()?.to_zoned(self.zone.clone());
        let (start, end) = match self.period {
            Period::Minutely => full(&zoned, 60),
            Period::Hourly => full(&zoned, 3600),
            Period::Daily => (midnight(&zoned)?, midnight(&zoned.checked_add(1.day()).ok()?)?),
            Period::Weekly => {
                let monday = i64::from(zoned.weekday().to_monday_zero_offset());
                let first = zoned.checked_sub(monday.days()).ok()?;
                (midnight(&first)?, midnight(&first.checked_add(7.days()).ok()?)?)
            }
        };
        let nanos = |second: i64| u64::try_from(second.checked_mul(NANOS)?).ok();
        Some(Window { start: nanos(start)?, end: nanos(end)? })
    }
}

/// The host's time zone.
#[cfg(not(test))]
fn local() -> TimeZone {
    TimeZone::system()
}

/// Central European time by its rule: tests meet a night in which the clock falls back, on every host.
#[cfg(test)]
fn local() -> TimeZone {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
}

/// The full minute or hour around a time by its local clock, in seconds since the epoch. An hour
/// that comes twice, because the clock falls back, is two periods.
fn full(time: &Zoned, seconds: i64) -> (i64, i64) {
    let offset = i64::from(time.offset().seconds());
    let local = time.timestamp().as_second() + offset;
    let start = local.div_euclid(seconds) * seconds - offset;
    (start, start + seconds)
}

/// The first second of a time's day; not always at 00:00, where the clock jumps forward there.
fn midnight(time: &Zoned) -> Option<i64> {
    Some(time.start_of_day().ok()?.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin(period: Period) -> Calendar {
        Calendar::new(period, TimeZoneChoice::Local)
    }

    fn nanos(text: &str) -> u64 {
        let time: Timestamp = text.parse().unwrap();
        u64::try_from(time.as_nanosecond()).unwrap()
    }

    fn demand(calendar: &Calendar, time: &str, start: &str, end: &str) {
        let window = calendar.window(nanos(time));
        assert_eq!(window, Window { start: nanos(start), end: nanos(end) }, "{calendar:?} {time}");
    }

    #[test]
    fn periods_begin_and_end_by_the_clock() {
        let utc = |period| Calendar::new(period, TimeZoneChoice::Utc);
        let time = "2026-11-22T10:17:42.5Z"; // a Sunday
        demand(&utc(Period::Minutely), time, "2026-11-22T10:17:00Z", "2026-11-22T10:18:00Z");
        demand(&utc(Period::Hourly), time, "2026-11-22T10:00:00Z", "2026-11-22T11:00:00Z");
        demand(&utc(Period::Daily), time, "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z");
        demand(&utc(Period::Weekly), time, "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z");
        let edge = "2026-11-23T00:00:00Z";
        demand(&utc(Period::Weekly), edge, edge, "2026-11-30T00:00:00Z");
    }

    #[test]
    fn a_day_of_local_time_has_the_hours_that_it_has() {
        let daily = berlin(Period::Daily);
        demand(&daily, "2026-10-25T00:30:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z");
        demand(&daily, "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z");
    }

    #[test]
    fn the_hour_that_comes_twice_is_two_periods() {
        let hourly = berlin(Period::Hourly);
        demand(&hourly, "2026-10-25T00:30:00Z", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z");
        demand(&hourly, "2026-10-25T01:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z");
    }

    #[test]
    fn times_beyond_the_calendar_never_end() {
        assert_eq!(berlin(Period::Daily).window(u64::MAX), Window { start: 0, end: u64::MAX });
    }
}
