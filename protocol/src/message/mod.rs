//! The frames beside records and callsites: handshake, acknowledgement, gaps, control.
//!
//! Handshake: the worker sends [`Hello`], callsites and records at once, without waiting; the
//! listener answers with [`Welcome`], which tells what it has already written of this queue, and
//! from then on sends [`Ack`] after each batch. A [`Goodbye`] ends a queue on purpose. A command
//! sends one [`Request`] instead of a hello and reads [`Reply`] frames until the last one.
#![deny(clippy::arithmetic_side_effects, reason = "numbers from outside must never overflow")]

mod control;
mod loss;
mod receipt;
mod refusal;

pub use control::{LevelChange, Reply, Request};
pub use loss::{Loss, Losses, Lost};
pub use receipt::{LeftBehind, Receipt, WorkerAccount};
pub use refusal::{Refusal, RefusalReason};

use crate::decode::{Cursor, DecodeError, check_count};
use crate::limits::{NAME_MAX, PROTOCOL_VERSION};
use crate::record::floor_char_boundary;
use crate::segment::FileName;
use crate::stamp::Stamp;

/// The identity of one queue: random, so that neither a recurring pid nor a neighbour's guess
/// can name somebody else's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QueueId(pub u128);

impl QueueId {
    /// A new identity from the kernel's random numbers.
    #[must_use]
    pub fn random() -> Self {
        let mut bytes = [0; 16];
        if getrandom::fill(&mut bytes).is_err() {
            // A sandbox that forbids random numbers still lets every process tell its own
            // address space, pid and clock apart from its neighbours'.
            let here = std::ptr::from_ref(&bytes).addr() as u64;
            let mix = u128::from(here).rotate_left(96)
                ^ u128::from(std::process::id()).rotate_left(64)
                ^ u128::from(crate::stamp::wall_now());
            return Self(mix | 1);
        }
        Self(u128::from_le_bytes(bytes) | 1)
    }
}

/// Why a worker dropped a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(usize)]
pub enum DropReason {
    /// A listener lives but the queue was full.
    Full = 0,
    /// No listener answered and the queue was full.
    NoListener = 1,
    /// The record was made while the same thread was sending another one.
    Reentrant = 2,
    /// The listener suppressed it: a foreign client logged more than its rate allows.
    RateLimited = 3,
}

impl DropReason {
    /// Every reason, in the order of [`Drops`].
    pub const ALL: [Self; 4] = [Self::Full, Self::NoListener, Self::Reentrant, Self::RateLimited];

    /// The name in messages, files and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::NoListener => "no_listener",
            Self::Reentrant => "reentrant",
            Self::RateLimited => "rate_limited",
        }
    }
}

/// Dropped records, counted by [`DropReason`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops(pub [u64; 4]);

impl Drops {
    /// The sum over all reasons.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Whether nothing was dropped.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        matches!(self.0, [0, 0, 0, 0])
    }

    /// Counts one dropped record.
    pub const fn count(&mut self, reason: DropReason) {
        self.0[reason as usize] = self.0[reason as usize].saturating_add(1);
    }

    /// Adds another count.
    pub fn add(&mut self, other: Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine = mine.saturating_add(theirs);
        }
    }

    /// The reasons that occurred, with their counts.
    pub fn by_reason(&self) -> impl Iterator<Item = (DropReason, u64)> + use<> {
        DropReason::ALL.into_iter().zip(self.0).filter(|(_, count)| *count > 0)
    }

    fn encode(self, out: &mut Vec<u8>) {
        for count in self.0 {
            out.extend_from_slice(&count.to_le_bytes());
        }
    }

    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, DecodeError> {
        let mut drops = Self::default();
        for count in &mut drops.0 {
            *count = cursor.u64("a drop count")?;
        }
        Ok(drops)
    }
}

/// A worker says who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello<'a> {
    /// The queue whose records follow.
    pub queue: QueueId,
    /// The worker's pid in its own pid namespace; the listener prefers the kernel's word.
    pub pid: u32,
    /// The first sequence number that follows.
    pub first_seq: u64,
    /// The worker's name at that record.
    pub name: &'a str,
    /// Why it does not use lanes; empty = it was told not to.
    pub fallback: &'a str,
}

impl<'a> Hello<'a> {
    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&PROTOCOL_VERSION.to_le_bytes());
        out.extend_from_slice(&self.pid.to_le_bytes());
        out.extend_from_slice(&self.queue.0.to_le_bytes());
        out.extend_from_slice(&self.first_seq.to_le_bytes());
        put_name(self.name, out);
        put_name(self.fallback, out);
    }

    /// Decodes the body.
    ///
    /// # Errors
    /// [`DecodeError::Version`] for another protocol version, else any [`DecodeError`].
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(body);
        let found = cursor.u16("a hello's version")?;
        if found != PROTOCOL_VERSION {
            return Err(DecodeError::Version { found, expected: PROTOCOL_VERSION });
        }
        let pid = cursor.u32("a hello's pid")?;
        let queue = QueueId(cursor.u128("a hello's queue")?);
        let first_seq = cursor.u64("a hello's first sequence number")?;
        let name = get_name(&mut cursor, "a hello's name")?;
        let fallback = get_name(&mut cursor, "a hello's reason")?;
        cursor.end("a hello")?;
        Ok(Self { queue, pid, first_seq, name, fallback })
    }
}

/// A worker says where its lanes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attach {
    /// The worker's pid in its own pid namespace; the listener prefers the kernel's word.
    pub pid: u32,
    /// The segment's file.
    pub segment: FileName,
}

impl Attach {
    /// Appends the body.
    pub fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&PROTOCOL_VERSION.to_le_bytes());
        out.extend_from_slice(&self.pid.to_le_bytes());
        out.extend_from_slice(&self.segment.pid.to_le_bytes());
        out.extend_from_slice(&self.segment.start_time.to_le_bytes());
        out.extend_from_slice(&self.segment.number.to_le_bytes());
    }

    /// Decodes the body.
    ///
    /// # Errors
    /// [`DecodeError::Version`] for another protocol version, else any [`DecodeError`].
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(body);
        let found = cursor.u16("an attach's version")?;
        if found != PROTOCOL_VERSION {
            return Err(DecodeError::Version { found, expected: PROTOCOL_VERSION });
        }
        let pid = cursor.u32("an attach's pid")?;
        let segment = FileName {
            pid: cursor.u32("a segment's pid")?,
            start_time: cursor.u64("a segment's start time")?,
            number: cursor.u32("a segment's number")?,
        };
        cursor.end("an attach")?;
        Ok(Self { pid, segment })
    }
}

/// The listener's answer to a hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The last sequence number of this queue that is in the files; 0 for a new queue.
    pub acked: u64,
}

impl Welcome {
    /// Appends the body.
    pub fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&PROTOCOL_VERSION.to_le_bytes());
        out.extend_from_slice(&self.acked.to_le_bytes());
    }

    /// Decodes the body.
    ///
    /// # Errors
    /// [`DecodeError::Version`] for another protocol version, else any [`DecodeError`].
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(body);
        let found = cursor.u16("a welcome's version")?;
        if found != PROTOCOL_VERSION {
            return Err(DecodeError::Version { found, expected: PROTOCOL_VERSION });
        }
        let acked = cursor.u64("a welcome's sequence number")?;
        cursor.end("a welcome")?;
        Ok(Self { acked })
    }
}

/// Every record up to this one is in the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The sequence number.
    pub seq: u64,
}

impl Ack {
    /// Appends the body.
    pub fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.seq.to_le_bytes());
    }

    /// Decodes the body.
    ///
    /// # Errors
    /// Any [`DecodeError`].
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(body);
        let seq = cursor.u64("an acknowledgement")?;
        cursor.end("an acknowledgement")?;
        Ok(Self { seq })
    }
}

/// From this place of the stream on, the worker has another name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name<'a> {
    /// The name.
    pub name: &'a str,
}

impl<'a> Name<'a> {
    /// The bytes of an encoded name before its text.
    pub const HEADER_LEN: usize = 1;

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_name(self.name, out);
    }

    /// Decodes the body.
    ///
    /// # Errors
    /// Any [`DecodeError`].
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(body);
        let name = get_name(&mut cursor, "a name")?;
        cursor.end("a name")?;
        Ok(Self { name })
    }
}

/// The records `first_seq..=seq` were dropped here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The last of the dropped sequence numbers, and the gap's place in the queue.
    pub seq: u64,
    /// When the gap was reported.
    pub stamp: Stamp,
    /// The first of the dropped sequence numbers.
    pub first_seq: u64,
    /// How many for which reason.
    pub drops: Drops,
}

impl Gap {
    /// The bytes of an encoded gap.
    pub const LEN: usize = 8 + 8 + 8 + DropReason::ALL.len() * 8;

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.seq.to_le_bytes());
        out.extend_from_slice(&self.stamp.to_le_bytes());
        out.extend_from_slice(&self.first_seq.to_le_bytes());
        self.drops.encode(out);
    }

    /// Decodes the body, and refuses one whose counts are not those of its sequence numbers.
    ///
    /// # Errors
    /// Any [`DecodeError`].
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(body);
        let seq = cursor.u64("a gap's sequence number")?;
        let stamp = cursor.u64("a gap's stamp")?;
        let first_seq = cursor.u64("a gap's first sequence number")?;
        let drops = Drops::decode(&mut cursor)?;
        cursor.end("a gap")?;
        let before = first_seq.checked_sub(1).ok_or(DecodeError::Inconsistent("a gap"))?;
        if drops.total() == 0 || seq.checked_sub(before) != Some(drops.total()) {
            return Err(DecodeError::Inconsistent("a gap"));
        }
        Ok(Self { seq, stamp, first_seq, drops })
    }
}

/// The worker leaves on purpose. What it has not sent until now it will not send any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Goodbye {
    /// The last sequence number that it used.
    pub last_seq: u64,
}

impl Goodbye {
    /// The bytes of an encoded goodbye.
    pub const LEN: usize = 8;

    /// Appends the body.
    pub fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.last_seq.to_le_bytes());
    }

    /// Decodes the body.
    ///
    /// # Errors
    /// Any [`DecodeError`].
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(body);
        let last_seq = cursor.u64("a goodbye's sequence number")?;
        cursor.end("a goodbye")?;
        Ok(Self { last_seq })
    }
}

/// The prefix of a worker's name that the protocol carries.
#[must_use]
pub fn bounded_name(name: &str) -> &str {
    floor_char_boundary(name, NAME_MAX)
}

fn put_name(name: &str, out: &mut Vec<u8>) {
    let name = bounded_name(name);
    out.push(u8::try_from(name.len()).unwrap_or(0));
    out.extend_from_slice(name.as_bytes());
}

fn get_name<'a>(cursor: &mut Cursor<'a>, what: &'static str) -> Result<&'a str, DecodeError> {
    let name = cursor.short_text(what)?;
    check_count(what, name.len(), NAME_MAX)?;
    Ok(name)
}
