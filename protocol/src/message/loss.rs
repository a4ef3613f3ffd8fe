//! Losses: every way in which a record that somebody tried to log is in no file, in one list.
//!
//! The list is the account's only one: the lines in the log, the counters, the status, the metrics,
//! the receipt and `verify` are all made from it, so that a reason that is added here is told by each
//! of them. A number that nobody can know is never invented: such a loss has a number of
//! times, and no number of records.
//!
//! All arithmetic ends at the largest number: what is counted here may come from anybody.

use std::collections::BTreeMap;

use super::{DropReason, Drops};
use crate::decode::{Cursor, DecodeError, check_count};

/// Why a record is in no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Loss {
    /// Its worker dropped it, and counted it.
    Dropped(DropReason),
    /// Its number was skipped, and nobody said why.
    Missing,
    /// It came whole, with a number, and can't be read.
    Unreadable,
    /// Its connection was cut off for what it had sent, with bytes that were not read.
    CutOff,
    /// Its sender ended in the middle of it.
    Torn,
    /// Its sender was turned away at the door.
    TurnedAway,
    /// It stood in a lane that can't be read.
    PutAside,
    /// Its sender claims numbers that no process can have used; they are in no sum.
    Incredible,
    /// A datagram came that is no record, or could not be received.
    Refused,
}

impl Loss {
    /// Those that no worker counts itself.
    const OWN: [Self; 8] = [
        Self::Missing,
        Self::Unreadable,
        Self::CutOff,
        Self::Torn,
        Self::TurnedAway,
        Self::PutAside,
        Self::Incredible,
        Self::Refused,
    ];

    /// Every reason, in the order of their codes.
    pub const ALL: [Self; DropReason::ALL.len() + Self::OWN.len()] = {
        let mut all = [Self::Missing; DropReason::ALL.len() + Self::OWN.len()];
        let mut index = 0;
        while index < all.len() {
            all[index] = if index < DropReason::ALL.len() {
                Self::Dropped(DropReason::ALL[index])
            } else {
                Self::OWN[index - DropReason::ALL.len()]
            };
            index += 1;
        }
        all
    };

    /// The name in messages, files, metrics and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dropped(reason) => reason.as_str(),
            Self::Missing => "missing",
            Self::Unreadable => "unreadable",
            Self::CutOff => "cut_off",
            Self::Torn => "torn",
            Self::TurnedAway => "turned_away",
            Self::PutAside => "put_aside",
            Self::Incredible => "incredible",
            Self::Refused => "refused",
        }
    }

    /// The sentence of the line that tells of it.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::Dropped(_) => "the worker dropped records here",
            Self::Missing => "records are missing here",
            Self::Unreadable => "the worker sent a record that can't be read",
            Self::CutOff => "a client was cut off: what it had sent and was not read is lost",
            Self::Torn => "a client ended in the middle of a record",
            Self::TurnedAway => "a client was turned away: what it had to log may be lost",
            Self::PutAside => "the worker's lane can't be read from here on",
            Self::Incredible => "a client claims numbers that it can't have used",
            Self::Refused => {
                "a datagram was thrown away: it is no record, or could not be received"
            }
        }
    }

    /// Whether it is known how many records it took; of the others only how often it happened.
    #[must_use]
    pub const fn is_counted(self) -> bool {
        matches!(self, Self::Dropped(_) | Self::Missing | Self::Unreadable)
    }

    /// The reason of a code of the wire.
    fn of_code(code: u8) -> Result<Self, DecodeError> {
        let loss = Self::ALL.get(usize::from(code)).copied();
        loss.ok_or(DecodeError::Unknown { what: "reason of a loss", found: code })
    }
}

/// What is known of the losses of one reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Records that are known to be lost; 0 where nobody can know.
    pub records: u64,
    /// How often it happened.
    pub times: u64,
    /// When it happened, or was heard of, for the first and the last time, in nanoseconds since the
    /// Unix epoch.
    pub first: u64,
    /// See [`first`](Self::first).
    pub last: u64,
}

impl Lost {
    fn add(&mut self, other: Self) {
        self.first = if self.times == 0 { other.first } else { self.first.min(other.first) };
        self.last = self.last.max(other.last);
        self.records = self.records.saturating_add(other.records);
        self.times = self.times.saturating_add(other.times);
    }
}

/// Losses by reason, with their first and last times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses(BTreeMap<Loss, Lost>);

impl Losses {
    /// Notes that something was lost: so many records, where they are counted, in so many events.
    pub fn note(&mut self, loss: Loss, records: u64, times: u64, at: u64) {
        if records > 0 || times > 0 {
            let records = if loss.is_counted() { records } else { 0 };
            self.0.entry(loss).or_default().add(Lost { records, times, first: at, last: at });
        }
    }

    /// Notes drops that were reported at once.
    pub fn note_drops(&mut self, drops: Drops, at: u64) {
        for (reason, count) in drops.by_reason() {
            self.note(Loss::Dropped(reason), count, 1, at);
        }
    }

    /// Notes drops that are not reported yet, and that were seen to grow between these times.
    pub fn note_drops_between(&mut self, drops: Drops, (first, last): (u64, u64)) {
        for (reason, records) in drops.by_reason() {
            let lost = Lost { records, times: 1, first, last };
            self.0.entry(Loss::Dropped(reason)).or_default().add(lost);
        }
    }

    /// Adds the losses of another account.
    pub fn add(&mut self, other: &Self) {
        for (loss, lost) in other.iter() {
            self.0.entry(loss).or_default().add(lost);
        }
    }

    /// The reasons that occurred.
    pub fn iter(&self) -> impl Iterator<Item = (Loss, Lost)> {
        self.0.iter().map(|(loss, lost)| (*loss, *lost))
    }

    /// What is known of one reason.
    #[must_use]
    pub fn get(&self, loss: Loss) -> Lost {
        self.0.get(&loss).copied().unwrap_or_default()
    }

    /// Whether nothing was lost, as far as is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Records that are known to be lost, over all reasons.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.iter().fold(0, |sum, (_, lost)| sum.saturating_add(lost.records))
    }

    /// How often something was lost of which nobody knows how many records it was.
    #[must_use]
    pub fn unknown(&self) -> u64 {
        let unknown = self.iter().filter(|(loss, _)| !loss.is_counted());
        unknown.fold(0, |sum, (_, lost)| sum.saturating_add(lost.times))
    }

    /// What workers dropped and counted.
    #[must_use]
    pub fn dropped(&self) -> Drops {
        let mut drops = Drops::default();
        for reason in DropReason::ALL {
            drops.0[reason as usize] = self.get(Loss::Dropped(reason)).records;
        }
        drops
    }

    /// Records that are not there and that no worker counted: skipped numbers, and what can't be
    /// read.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.get(Loss::Missing).records.saturating_add(self.get(Loss::Unreadable).records)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::try_from(self.0.len()).unwrap_or(0));
        for (code, loss) in (0_u8..).zip(Loss::ALL) {
            let Some(Lost { records, times, first, last }) = self.0.get(&loss) else { continue };
            out.push(code);
            for number in [records, times, first, last] {
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
    }

    pub(super) fn decode(cursor: &mut Cursor<'_>) -> Result<Self, DecodeError> {
        let count = usize::from(cursor.u8("the number of losses")?);
        check_count("the number of losses", count, Loss::ALL.len())?;
        let mut losses = Self::default();
        for _ in 0..count {
            let loss = Loss::of_code(cursor.u8("a loss")?)?;
            let mut number = || cursor.u64("a loss's number");
            let lost =
                Lost { records: number()?, times: number()?, first: number()?, last: number()? };
            if losses.0.insert(loss, lost).is_some() {
                return Err(DecodeError::Inconsistent("a list of losses"));
            }
        }
        Ok(losses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_name_and_a_code_of_its_own() {
        for (code, loss) in (0_u8..).zip(Loss::ALL) {
            assert_eq!(Loss::of_code(code), Ok(loss));
            let same = |other: &&Loss| other.as_str() == loss.as_str();
            assert_eq!(Loss::ALL.iter().filter(same).count(), 1, "{loss:?}");
        }
    }

    #[test]
    fn sums_end_at_the_largest_number_and_times_span_all_that_happened() {
        let mut losses = Losses::default();
        losses.note(Loss::Missing, u64::MAX, 1, 20);
        losses.note(Loss::Missing, 2, u64::MAX, 10);
        losses.note(Loss::Unreadable, 3, 1, 30);
        let missing = Lost { records: u64::MAX, times: u64::MAX, first: 10, last: 20 };
        assert_eq!(losses.get(Loss::Missing), missing);
        assert_eq!((losses.records(), losses.missing()), (u64::MAX, u64::MAX));
    }

    #[test]
    fn of_what_nobody_counts_no_number_of_records_is_told() {
        let mut losses = Losses::default();
        losses.note(Loss::Torn, 7, 2, 1);
        assert_eq!((losses.records(), losses.unknown()), (0, 2));
        assert!(!losses.is_empty());
    }
}
