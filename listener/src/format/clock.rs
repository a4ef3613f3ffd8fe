//! Timestamps: nanoseconds since the epoch become `2026-11-22T10:00:00.123456Z`.
//!
//! Records come by the thousand within one second, so that second's text is kept and only the
//! microseconds are printed anew. Local time carries its offset, `+01:00` in the place of `Z`.

use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::TimeZoneChoice;
use super::number::{eight_digits, fill_digits};

const NANOS: u64 = 1_000_000_000;

/// Prints timestamps of one time zone.
#[derive(Debug)]
pub(super) struct Clock {
    /// `None` is UTC.
    zone: Option<TimeZone>,
    /// The second whose text is kept.
    second: Option<u64>,
    /// That second up to the point before its fraction, `2026-11-22T10:00:00.`.
    text: [u8; 20],
    offset: Offset,
}

impl Clock {
    pub(super) fn new(choice: TimeZoneChoice) -> Self {
        Self::of_zone(match choice {
            TimeZoneChoice::Utc => None,
            TimeZoneChoice::Local => Some(TimeZone::system()),
        })
    }

    fn of_zone(zone: Option<TimeZone>) -> Self {
        Self { zone, second: None, text: *b"0000-00-00T00:00:00.", offset: Offset::UTC }
    }

    /// Appends a timestamp, to the microsecond.
    #[inline]
    pub(super) fn put(&mut self, time: u64, out: &mut Vec<u8>) {
        let second = time / NANOS;
        if self.second != Some(second) {
            self.turn(second);
        }
        let micros = u32::try_from(time % NANOS / 1000).unwrap_or(0);
        let [_, _, fraction @ ..] = eight_digits(micros);
        out.extend_from_slice(&self.text);
        out.extend_from_slice(&fraction);
        // A copy of a length that the compiler knows needs no call.
        let end = out.len() + self.offset.length;
        out.extend_from_slice(&self.offset.text);
        out.truncate(end);
    }

    /// Appends a timestamp by a `strftime` format that [`check_strftime`] has accepted. What it
    /// appends is not escaped.
    pub(super) fn put_strftime(&self, format: &str, time: u64, out: &mut Vec<u8>) {
        let start = out.len();
        let zone = self.zone.clone().unwrap_or(TimeZone::UTC);
        let instant = Timestamp::from_nanosecond(i128::from(time)).unwrap_or_default();
        let zoned = Zoned::new(instant, zone);
        if BrokenDownTime::from(&zoned).format(format, &mut *out).is_err() {
            // Accepted formats do not fail; were one to, the line keeps its time of day.
            out.truncate(start);
            Self::of_zone(None).put(time, out);
        }
    }

    fn turn(&mut self, second: u64) {
        let utc = i64::try_from(second).unwrap_or(0);
        let offset = match &self.zone {
            None => 0,
            Some(zone) => {
                let seconds =
                    zone.to_offset(Timestamp::from_second(utc).unwrap_or_default()).seconds();
                self.offset = Offset::new(seconds);
                i64::from(seconds)
            }
        };
        self.second = Some(second);
        put_second(utc + offset, &mut self.text);
    }
}

/// Refuses a `strftime` format that could not be printed.
pub(super) fn check_strftime(format: &str) -> Result<(), String> {
    let zoned = Zoned::new(Timestamp::UNIX_EPOCH, TimeZone::UTC);
    BrokenDownTime::from(&zoned).format(format, &mut Vec::new()).map_err(|error| error.to_string())
}

/// What stands behind a timestamp: `Z`, `+01:00`, or `+00:53:28` for the zones of old.
#[derive(Debug)]
struct Offset {
    text: [u8; 9],
    length: usize,
}

impl Offset {
    const UTC: Self = Self { text: *b"Z00:00:00", length: 1 };

    fn new(seconds: i32) -> Self {
        let size = u64::from(seconds.unsigned_abs());
        let mut text = *b"+00:00:00";
        if seconds < 0 {
            text[0] = b'-';
        }
        fill_digits(size / 3600, &mut text[1..3]);
        fill_digits(size / 60 % 60, &mut text[4..6]);
        fill_digits(size % 60, &mut text[7..9]);
        Self { text, length: if size.is_multiple_of(60) { 6 } else { 9 } }
    }
}

/// Writes a second since the epoch as `2026-11-22T10:00:00.` by the proleptic Gregorian calendar.
fn put_second(second: i64, text: &mut [u8; 20]) {
    const DAY: i64 = 86_400;
    let (days, of_day) = (second.div_euclid(DAY), second.rem_euclid(DAY));
    // Years that begin in March have their leap day at the end, and eras of 400 years have all
    // the same number of days; 719,468 days lie between 0000-03-01 and 1970-01-01.
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    // 64 bits of nanoseconds end in the year 2554: four digits hold every year.
    for (number, at, length) in [
        (year, 0, 4),
        (month, 5, 2),
        (day, 8, 2),
        (of_day / 3600, 11, 2),
        (of_day / 60 % 60, 14, 2),
        (of_day % 60, 17, 2),
    ] {
        fill_digits(number.unsigned_abs(), &mut text[at..at + length]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(clock: &mut Clock, time: u64) -> String {
        let mut out = Vec::new();
        clock.put(time, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_first_and_the_last_nanosecond_are_printed() {
        let mut clock = Clock::new(TimeZoneChoice::Utc);
        assert_eq!(text(&mut clock, 0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(text(&mut clock, 1_795_341_600_123_456_789), "2026-11-22T10:00:00.123456Z");
        assert_eq!(text(&mut clock, u64::MAX), "2554-07-21T23:34:33.709551Z");
    }

    #[test]
    fn local_time_follows_daylight_saving_and_names_its_offset() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let mut clock = Clock::of_zone(Some(zone));
        // The last second of summer time in 2026, and the first of winter time.
        let end = 1_792_890_000 * NANOS;
        assert_eq!(text(&mut clock, end - NANOS), "2026-10-25T02:59:59.000000+02:00");
        assert_eq!(text(&mut clock, end), "2026-10-25T02:00:00.000000+01:00");
    }

    #[test]
    fn local_time_before_the_epoch_and_odd_offsets_are_printed() {
        let mut clock = Clock::of_zone(Some(TimeZone::fixed(jiff::tz::offset(-5))));
        assert_eq!(text(&mut clock, 0), "1969-12-31T19:00:00.000000-05:00");
        let zone = jiff::tz::Offset::from_seconds(3208).unwrap();
        let mut clock = Clock::of_zone(Some(TimeZone::fixed(zone)));
        assert_eq!(text(&mut clock, 0), "1970-01-01T00:53:28.000000+00:53:28");
    }

    #[test]
    fn a_strftime_format_is_printed_in_the_zone() {
        let clock = Clock::of_zone(Some(TimeZone::fixed(jiff::tz::offset(2))));
        let mut out = Vec::new();
        clock.put_strftime("%H:%M:%S%.3f %z", 1_795_341_600_123_456_789, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "12:00:00.123 +0200");
        assert!(check_strftime("%H:%M").is_ok());
        assert!(check_strftime("%!").is_err());
    }

    proptest! {
        #[test]
        fn any_time_is_printed_as_jiff_prints_it(time: u64) {
            let mut clock = Clock::new(TimeZoneChoice::Utc);
            let expected = Timestamp::from_nanosecond(i128::from(time)).unwrap();
            let expected = expected.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
            prop_assert_eq!(text(&mut clock, time), expected);
        }
    }
}
