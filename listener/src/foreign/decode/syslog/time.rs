//! Timestamps: `2003-10-11T22:14:15.003Z` and `Oct 11 22:14:15`.
//!
//! Reading one is apart from understanding it: a [`Stamp`] is what was written, and only with a
//! [`Now`] it becomes a moment. So a time that no clock shows (a leap second, the hour that
//! a change of the clocks leaves out) is still known as a time and kept as text.
//!
//! Never guesses: who can't be understood exactly has no claim.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset};

use super::super::super::entry::Claim;
use super::Now;

/// A timestamp as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp<'a> {
    /// Its bytes.
    pub(super) text: &'a [u8],
    /// `None` = the format leaves it out.
    year: Option<i16>,
    month: i8,
    day: i8,
    hour: i8,
    minute: i8,
    second: i8,
    nanosecond: i32,
    /// How many digits the fraction of the second has.
    digits: u32,
    /// Seconds east of Greenwich; `None` = the local time of who receives it.
    offset: Option<i32>,
}

impl<'a> Stamp<'a> {
    /// RFC 5424's timestamp, which must be all of `text`.
    pub(super) fn rfc5424(text: &'a [u8]) -> Option<Self> {
        let (stamp, rest) = Self::iso(text)?;
        // `-0700` is ISO 8601's but not the RFC's.
        let zoned = text.ends_with(b"Z") || text.iter().rev().nth(2) == Some(&b':');
        // Nine digits are RFC 5424's own example of what is not allowed (6.2.3.1).
        (rest.is_empty() && stamp.digits <= 6 && stamp.offset.is_some() && zoned).then_some(stamp)
    }

    /// Whether a word is a date and a time, be it one that RFC 5424 has or not.
    pub(super) fn is_dated(text: &[u8]) -> bool {
        Stamp::iso(text).is_some_and(|(_, rest)| rest.is_empty())
    }

    /// The timestamp at the begin of what follows an RFC 3164 priority, and the rest behind the
    /// space.
    pub(super) fn rfc3164(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (stamp, rest) = Self::bsd(bytes).or_else(|| Self::iso(bytes))?;
        // Cisco's devices put a colon behind the time.
        match rest {
            [] => Some((stamp, rest)),
            [b' ', rest @ ..] | [b':', b' ', rest @ ..] => Some((stamp, rest)),
            _ => None,
        }
    }

    /// The moment that it names; `None` = there is none, or no number for it.
    pub(super) fn claim(&self, now: &Now) -> Option<Claim> {
        let time = match (self.year, self.offset) {
            (Some(year), Some(offset)) => {
                moment(self.date_time(year)?, Offset::from_seconds(offset).ok()?)?
            }
            (Some(year), None) => local(self.date_time(year)?, now)?.moment?,
            (None, _) => self.without_year(now)?,
        };
        let precision = 10u64.pow(9u32.saturating_sub(self.digits));
        Some(Claim { time: u64::try_from(time).ok()?, precision })
    }

    /// The latest moment with this date that isn't more than a day in the future: around New Year
    /// a client's clock may be before or behind this host's.
    fn without_year(&self, now: &Now) -> Option<i128> {
        let received = Timestamp::from_nanosecond(i128::from(now.time)).ok()?;
        let this_year = now.zone.to_datetime(received).year();
        // Between two 29ths of February are eight years at most.
        let years = (this_year - 8..=this_year + 1).rev();
        let mut candidates =
            years.filter_map(|year| local(self.date_time(year)?, now)).skip_while(|candidate| {
                candidate.earliest > i128::from(now.time) + NANOSECONDS_OF_A_DAY
            });
        // Where this year's clocks left the time out, last year's is not meant.
        candidates.next()?.moment
    }

    fn date_time(&self, year: i16) -> Option<DateTime> {
        let Self { month, day, hour, minute, second, nanosecond, .. } = *self;
        DateTime::new(year, month, day, hour, minute, second, nanosecond).ok()
    }

    /// `Oct 11 22:14:15`, with the variants of the wild: a day that is padded by a space, a zero
    /// or not at all, a year behind it, a fraction of the second.
    fn bsd(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let mut cursor = Cursor(bytes);
        let name = cursor.take(3)?;
        let month = MONTHS.iter().zip(1..).find(|(month, _)| month.as_bytes() == name)?.1;
        cursor.byte(b' ')?;
        // Who pads by a space has one digit.
        let day = match cursor.byte(b' ') {
            Some(()) => cursor.small(1)?,
            None => cursor.small(2).or_else(|| cursor.small(1))?,
        };
        cursor.byte(b' ')?;
        let year = cursor.year_and_space();
        let time = cursor.time()?;
        let stamp = time.stamp(bytes, cursor.0, (year, month, day), None)?;
        Some((stamp, cursor.0))
    }

    /// `2003-10-11T22:14:15.003Z`, with an offset in its place or without one.
    fn iso(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let mut cursor = Cursor(bytes);
        let year = cursor.year()?;
        cursor.byte(b'-')?;
        let month = cursor.small(2)?;
        cursor.byte(b'-')?;
        let day = cursor.small(2)?;
        cursor.byte(b'T')?;
        let time = cursor.time()?;
        let offset = cursor.offset()?;
        let stamp = time.stamp(bytes, cursor.0, (Some(year), month, day), offset)?;
        Some((stamp, cursor.0))
    }
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const NANOSECONDS_OF_A_DAY: i128 = 86_400_000_000_000;

/// What a local time may mean.
struct Local {
    /// The earliest moment, by which years are compared.
    earliest: i128,
    /// The moment that is meant; `None` = the clocks were put forward past it.
    moment: Option<i128>,
}

/// Of an hour that the clocks show twice, the later is meant unless it is still to come.
fn local(time: DateTime, now: &Now) -> Option<Local> {
    match now.zone.to_ambiguous_timestamp(time).offset() {
        AmbiguousOffset::Unambiguous { offset } => {
            let moment = moment(time, offset)?;
            Some(Local { earliest: moment, moment: Some(moment) })
        }
        AmbiguousOffset::Gap { after, .. } => {
            Some(Local { earliest: moment(time, after)?, moment: None })
        }
        AmbiguousOffset::Fold { before, after } => {
            let (earliest, later) = (moment(time, before)?, moment(time, after)?);
            let past = later <= i128::from(now.time);
            Some(Local { earliest, moment: Some(if past { later } else { earliest }) })
        }
    }
}

fn moment(time: DateTime, offset: Offset) -> Option<i128> {
    Some(offset.to_timestamp(time).ok()?.as_nanosecond())
}

/// The time of a day, its second possibly 60.
struct Time {
    hour: i8,
    minute: i8,
    second: i8,
    nanosecond: i32,
    digits: u32,
}

impl Time {
    /// Joins a time with its date, unless the numbers can't be meant as either.
    fn stamp<'a>(
        self,
        bytes: &'a [u8],
        rest: &[u8],
        (year, month, day): (Option<i16>, i8, i8),
        offset: Option<i32>,
    ) -> Option<Stamp<'a>> {
        let Self { hour, minute, second, nanosecond, digits } = self;
        let text = &bytes[..bytes.len() - rest.len()];
        ((1..=12).contains(&month)
            && (1..=31).contains(&day)
            && hour < 24
            && minute < 60
            && second <= 60)
            .then_some(Stamp {
                text,
                year,
                month,
                day,
                hour,
                minute,
                second,
                nanosecond,
                digits,
                offset,
            })
    }
}

/// What is still to be read. A method that fails leaves it where it was.
#[derive(Clone, Copy)]
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self, byte: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[byte])?;
        Some(())
    }

    /// A number of one or two digits.
    fn small(&mut self, count: usize) -> Option<i8> {
        let digits = self.0.get(..count).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
        self.0 = &self.0[count..];
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    fn year(&mut self) -> Option<i16> {
        let mut ahead = *self;
        let (century, year) = (ahead.small(2)?, ahead.small(2)?);
        *self = ahead;
        Some(i16::from(century) * 100 + i16::from(year))
    }

    fn year_and_space(&mut self) -> Option<i16> {
        let mut ahead = *self;
        let year = ahead.year()?;
        ahead.byte(b' ')?;
        *self = ahead;
        Some(year)
    }

    /// `22:14:15`, with up to nine digits behind a point.
    fn time(&mut self) -> Option<Time> {
        let mut ahead = *self;
        let hour = ahead.small(2)?;
        ahead.byte(b':')?;
        let minute = ahead.small(2)?;
        ahead.byte(b':')?;
        let second = ahead.small(2)?;
        let (mut nanosecond, mut digits) = (0, 0);
        if ahead.byte(b'.').is_some() {
            while let Some(digit) = ahead.small(1) {
                digits += 1;
                if digits > 9 {
                    return None;
                }
                nanosecond += i32::from(digit) * 10i32.pow(9 - digits);
            }
            if digits == 0 {
                return None;
            }
        }
        *self = ahead;
        Some(Time { hour, minute, second, nanosecond, digits })
    }

    /// `Z`, `-07:00`, `-0700`, or nothing; the outer `None` = a broken one.
    fn offset(&mut self) -> Option<Option<i32>> {
        if self.byte(b'Z').is_some() {
            return Some(Some(0));
        }
        let sign = match self.0.first() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return Some(None),
        };
        let mut ahead = Cursor(&self.0[1..]);
        let hours = ahead.small(2).filter(|hours| *hours < 24)?;
        // RFC 5424 wants the colon; no other reading of these digits is possible without it.
        let _ = ahead.byte(b':');
        let minutes = ahead.small(2).filter(|minutes| *minutes < 60)?;
        *self = ahead;
        Some(Some(sign * (i32::from(hours) * 3600 + i32::from(minutes) * 60)))
    }
}
