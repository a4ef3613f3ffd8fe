//! Times as clients write them: RFC 3339 and its relatives, and numbers since the Unix epoch.
//!
//! Both are read digit by digit, exactly to the nanosecond and without an allocation: a number of
//! seconds never becomes a float, whose 53 bits end at some hundred nanoseconds today. How many
//! digits there are says how precise the claim is.
//!
//! A time that does not tell its offset from UTC is nobody's claim: whoever reads it can't know
//! which zone was meant.

use crate::foreign::entry::Claim;

const SECOND: u64 = 1_000_000_000;

/// Nanoseconds have nine digits behind the point of a second.
const FRACTION_MAX: i64 = 9;

/// Reads `2026-11-22T13:50:58.123456Z` and what ISO 8601 and loggers make of it: a space or a
/// small `t` in the middle, a comma before the fraction, no seconds, a space before the offset,
/// an offset such as `+0100`, `+01` or `+00:53:28`. The leap second `:60` is the second after it.
///
/// `None` where there is no offset, where something else stands, and before 1970 or behind the
/// year 2554, in which 64 bits of nanoseconds end.
pub(crate) fn rfc3339(text: &str) -> Option<Claim> {
    let mut reader = Reader(text.as_bytes());
    let year = reader.number(4)?;
    reader.skip(b"-")?;
    let month = reader.number(2).filter(|month| (1..=12).contains(month))?;
    reader.skip(b"-")?;
    let day = reader.number(2).filter(|day| (1..=days_in(year, month)).contains(day))?;
    reader.skip(b"Tt ")?;
    let hour = reader.number(2).filter(|hour| *hour < 24)?;
    reader.skip(b":")?;
    let minute = reader.number(2).filter(|minute| *minute < 60)?;
    let (mut second, mut nanos, mut precision) = (0, 0, 60 * SECOND - 1);
    if reader.skip(b":").is_some() {
        second = reader.number(2).filter(|second| *second <= 60)?;
        precision = SECOND - 1;
        if reader.skip(b".,").is_some() {
            (nanos, precision) = reader.fraction()?;
        }
    }
    let _ = reader.skip(b" ");
    let offset = reader.offset()?;
    if !reader.0.is_empty() {
        return None;
    }
    let days = days_since_epoch(year, month, day);
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset;
    let time = u64::try_from(seconds).ok()?.checked_mul(SECOND)?.checked_add(nanos)?;
    Some(Claim { time, precision })
}

/// Reads a number since the Unix epoch, as it is written in JSON: `1795355458`, `1795355458.110`,
/// `1.79535545811e9`. Its size tells whether it counts seconds, milliseconds, microseconds or
/// nanoseconds.
///
/// Every unit begins in March 1973 and ends in 2554, so that no number means two times, and a
/// small number is no time at all.
pub(crate) fn unix(text: &str) -> Option<Claim> {
    let decimal = Decimal::parse(text)?;
    // The ninth digit of seconds came in 1973, the eleventh comes in 2286: three digits more are
    // the next unit.
    let shift = match decimal.point {
        9..=11 => 9,
        12..=14 => 6,
        15..=17 => 3,
        18..=20 => 0,
        _ => return None,
    };
    let time = decimal.scaled(shift)?;
    let given = decimal.count - decimal.point;
    Some(Claim { time, precision: precision(shift - given) })
}

/// What `digits` digits that were left out can amount to.
fn precision(digits: i64) -> u64 {
    u32::try_from(digits.max(0))
        .ok()
        .and_then(|digits| 10_u64.checked_pow(digits))
        .map_or(u64::MAX, |step| step - 1)
}

/// Days from the epoch to a date of the proleptic Gregorian calendar.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin in March have their leap day at the end; 719,468 days lie between
    // 0000-03-01 and 1970-01-01.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let of_year = (153 * month + 2) / 5 + day - 1;
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + of_year
        - 719_468
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// What of a text is still to be read.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    /// Passes one byte of a set.
    fn skip(&mut self, set: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        set.contains(first).then(|| {
            self.0 = rest;
            *first
        })
    }

    /// Exactly so many digits.
    fn number(&mut self, length: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(length)?;
        let mut number = 0;
        for digit in digits {
            number = number * 10 + i64::from(digit_of(*digit)?);
        }
        self.0 = rest;
        Some(number)
    }

    /// Nanoseconds and their precision; digits behind the ninth are read and left out.
    fn fraction(&mut self) -> Option<(u64, u64)> {
        let (mut nanos, mut count) = (0, 0);
        while let Some(digit) = self.0.first().copied().and_then(digit_of) {
            if count < FRACTION_MAX {
                nanos = nanos * 10 + u64::from(digit);
                count += 1;
            }
            self.0 = &self.0[1..];
        }
        let step = precision(FRACTION_MAX - count);
        (count > 0).then(|| (nanos * (step + 1), step))
    }

    /// Seconds east of Greenwich.
    fn offset(&mut self) -> Option<i64> {
        let sign = match self.skip(b"Zz+-")? {
            b'+' => 1,
            b'-' => -1,
            _ => return Some(0),
        };
        let hours = self.number(2).filter(|hours| *hours < 24)?;
        let (mut minutes, mut seconds) = (0, 0);
        if self.skip(b":").is_some() || !self.0.is_empty() {
            minutes = self.number(2).filter(|minutes| *minutes < 60)?;
            // The zones of old have seconds, and our own layout prints them.
            if self.skip(b":").is_some() {
                seconds = self.number(2).filter(|seconds| *seconds < 60)?;
            }
        }
        Some(sign * (hours * 3600 + minutes * 60 + seconds))
    }
}

fn digit_of(byte: u8) -> Option<u8> {
    byte.is_ascii_digit().then(|| byte - b'0')
}

/// A decimal number as its digits, without leading zeros, and the place of its point.
struct Decimal<'a> {
    whole: &'a [u8],
    fraction: &'a [u8],
    /// How many digits there are.
    count: i64,
    /// How many of them stand before the point; more than there are means zeros.
    point: i64,
}

impl<'a> Decimal<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            // More digits than these make no time, and fewer can't overflow.
            Some((mantissa, exponent)) if exponent.len() <= 4 => (mantissa, exponent.parse().ok()?),
            Some(_) => return None,
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_number(whole) || !is_number(fraction) {
            return None;
        }
        let whole = whole.trim_start_matches('0').as_bytes();
        let length = |digits: &[u8]| i64::try_from(digits.len()).ok();
        let point = length(whole)? + exponent;
        let count = length(whole)? + length(fraction.as_bytes())?;
        Some(Self { whole, fraction: fraction.as_bytes(), count, point })
    }

    /// The number times a power of ten, without what is left behind the point.
    fn scaled(&self, shift: i64) -> Option<u64> {
        let digits = usize::try_from(self.point + shift).ok()?;
        let zeros = std::iter::repeat(&b'0');
        let mut number = 0_u64;
        for digit in self.whole.iter().chain(self.fraction).chain(zeros).take(digits) {
            number = number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
        }
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TIME: u64 = 1_795_355_458_123_456_789;

    fn claim(time: u64, precision: u64) -> Option<Claim> {
        Some(Claim { time, precision })
    }

    #[test]
    fn times_of_every_usual_shape_are_read() {
        let (second, micro) = (TIME / SECOND * SECOND, TIME / 1000 * 1000);
        for (text, expected) in [
            ("2026-11-22T13:50:58.123456789Z", claim(TIME, 0)),
            ("2026-11-22 13:50:58.123456789z", claim(TIME, 0)),
            ("2026-11-22t14:50:58,123456+01:00", claim(micro, 999)),
            ("2026-11-22T08:20:58.123456-0530", claim(micro, 999)),
            ("2026-11-22T15:50:58 +02", claim(second, 999_999_999)),
            ("2026-11-22T14:44:26+00:53:28", claim(second, 999_999_999)),
            ("2026-11-22T13:50Z", claim(second - 58 * SECOND, 59_999_999_999)),
            ("2026-11-22T13:50:58.1Z", claim(second + 100_000_000, 99_999_999)),
            ("2026-11-22T13:50:58.12345678987654Z", claim(TIME, 0)),
            ("2016-12-31T23:59:60Z", claim(1_483_228_800 * SECOND, 999_999_999)),
            ("1970-01-01T00:00:00Z", claim(0, 999_999_999)),
            ("2024-02-29T00:00:00Z", claim(1_709_164_800 * SECOND, 999_999_999)),
        ] {
            assert_eq!(rfc3339(text), expected, "{text}");
        }
    }

    #[test]
    fn a_time_without_an_offset_and_what_is_no_time_are_refused() {
        for text in [
            "2026-11-22T13:50:58",
            "2026-11-22 13:50:58,971",
            "2026-11-22",
            "2026-11-22T13:50:58.Z",
            "2026-11-22T13:50:58Z ",
            "2026-11-22T13:50:58Z[UTC]",
            "2026-11-22T13:50:58+1",
            "2026-11-22T13:50:58+01:",
            "2026-11-22T13:50:58+24:00",
            "2026-13-22T13:50:58Z",
            "2026-00-22T13:50:58Z",
            "2026-02-29T13:50:58Z",
            "2026-04-31T13:50:58Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22T13:60:00Z",
            "2026-11-22T13:50:61Z",
            "1969-12-31T23:59:59Z",
            "2554-07-21T23:34:34Z",
            "9999-12-31T23:59:59Z",
            "2026-1é-22T13:50:58Z",
            "",
        ] {
            assert_eq!(rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_tell_their_unit_by_their_size() {
        for (text, expected) in [
            ("1795355458", claim(1_795_355_458_000_000_000, 999_999_999)),
            ("1795355458110", claim(1_795_355_458_110_000_000, 999_999)),
            ("1795355458110222", claim(1_795_355_458_110_222_000, 999)),
            ("1795355458110222333", claim(1_795_355_458_110_222_333, 0)),
            ("1795355459.681458", claim(1_795_355_459_681_458_000, 999)),
            // A float would make ...681458091 of it.
            ("1795355459.681458123", claim(1_795_355_459_681_458_123, 0)),
            ("1795355459.6814581239999", claim(1_795_355_459_681_458_123, 0)),
            ("1795355458110.25", claim(1_795_355_458_110_250_000, 9999)),
            ("1.795355459681458e9", claim(1_795_355_459_681_458_000, 999)),
            ("1.795355459681458E+18", claim(1_795_355_459_681_458_000, 999)),
            ("179535545911e-2", claim(1_795_355_459_110_000_000, 9_999_999)),
            ("18446744073", claim(18_446_744_073_000_000_000, 999_999_999)),
        ] {
            assert_eq!(unix(text), expected, "{text}");
        }
    }

    #[test]
    fn numbers_that_are_no_time_are_refused() {
        for text in [
            "",
            "0",
            "17",
            "99999999",
            "-1795355458",
            "+1795355458",
            "1e999",
            "1e99999999999",
            ".5",
            "1795355458.1.2",
            "1795355458 ",
            "NaN",
            "18446744074",
            "99999999999999999999",
            "179535545811022233344",
            "1795355458e",
            "0x1795355458",
        ] {
            assert_eq!(unix(text), None, "{text}");
        }
        assert_eq!(unix(&"9".repeat(1 << 20)), None);
    }

    proptest! {
        #[test]
        fn any_time_that_jiff_prints_is_read(time: u64, offset in -86_399_i32..86_400) {
            let stamp = jiff::Timestamp::from_nanosecond(i128::from(time)).unwrap();
            let offset = jiff::tz::Offset::from_seconds(offset).unwrap();
            let zone = jiff::tz::TimeZone::fixed(offset);
            let text = stamp.to_zoned(zone).strftime("%Y-%m-%dT%H:%M:%S.%9f%::z").to_string();
            // The offset's day may reach into 1969, whose times are read as well.
            prop_assert_eq!(rfc3339(&text), claim(time, 0));
        }

        #[test]
        fn any_nanosecond_since_1973_is_read_as_a_number(time in 100_000_000_000_000_000_u64..) {
            let seconds = format!("{}.{:09}", time / SECOND, time % SECOND);
            prop_assert_eq!(unix(&seconds), claim(time, 0));
            prop_assert_eq!(unix(&time.to_string()), claim(time, 0));
        }

        #[test]
        fn nothing_panics(text in "[0-9eE.,:TZ +-]{0,40}") {
            let _ = (rfc3339(&text), unix(&text));
        }
    }
}
