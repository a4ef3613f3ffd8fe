//! The receipt: the account that a listener gives when it ends.

use std::time::Duration;

use super::{Drops, Losses, get_name, put_name};
use crate::decode::{Cursor, DecodeError, check_count};

/// Workers that a receipt names one by one; the sums cover all of them.
const WORKERS_LISTED_MAX: usize = 2048;

/// What was left behind that a receipt names one by one; the count covers all of it.
const LEFT_NAMED_MAX: usize = 16;

/// What a listener did in its life, and what is known of each worker.
///
/// For each worker, `attempted = written + dropped`, as far as the worker could tell the
/// listener: a worker that was killed takes its count of unreported drops with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The listener's pid.
    pub pid: u32,
    /// How long the listener lived.
    pub uptime: Duration,
    /// Workers that logged something or said hello.
    pub workers: u64,
    /// Workers that ended without a goodbye.
    pub died: u64,
    /// Records that are in the files.
    pub written: u64,
    /// Lines that were written to all sinks.
    pub lines: u64,
    /// Bytes that were written to all sinks.
    pub bytes: u64,
    /// Records that workers dropped and reported.
    pub dropped: Drops,
    /// Records whose sequence numbers were skipped without a report.
    pub missing: u64,
    /// Records that were cut to the limit.
    pub truncated: u64,
    /// Records that were sent again after they had been written, and left out.
    pub doubles: u64,
    /// Offences of clients: malformed frames, garbage, too many connections.
    pub offences: u64,
    /// Everything that was lost, by reason; the sums of drops and missing records are made of it.
    pub losses: Losses,
    /// Segments that stand in the run directory and that this listener could not read: what was logged
    /// in them before its end is in no file yet.
    pub left: u64,
    /// The first of them, at most 16.
    pub left_named: Vec<LeftBehind>,
    /// The account of each worker, at most 2,048 of them, the first to come first.
    pub accounts: Vec<WorkerAccount>,
}

/// What one worker attempted and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerAccount {
    /// Its last name.
    pub name: String,
    /// Its pid.
    pub pid: u32,
    /// Records that are in the files.
    pub written: u64,
    /// Records that it dropped and reported.
    pub dropped: Drops,
}

/// A segment that a listener had to leave where it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftBehind {
    /// Its file.
    pub what: String,
    /// Why it was left; cut to the length of a name.
    pub why: String,
}

impl WorkerAccount {
    /// The records that the worker tried to log.
    #[must_use]
    pub fn attempted(&self) -> u64 {
        self.written.saturating_add(self.dropped.total())
    }
}

impl Receipt {
    /// Whether every record that anybody tried to log is in the files, as far as is known. Of a
    /// worker that [`died`](Self::died) nobody knows what it could not tell any more.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.dropped.total() == 0 && self.missing == 0 && self.losses.is_empty() && self.left == 0
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.pid.to_le_bytes());
        let uptime = u64::try_from(self.uptime.as_nanos()).unwrap_or(u64::MAX);
        for number in [
            uptime,
            self.workers,
            self.died,
            self.written,
            self.lines,
            self.bytes,
            self.missing,
            self.truncated,
            self.doubles,
            self.offences,
            self.left,
        ] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        self.dropped.encode(out);
        self.losses.encode(out);
        let named = &self.left_named[..self.left_named.len().min(LEFT_NAMED_MAX)];
        out.push(u8::try_from(named.len()).unwrap_or(0));
        for left in named {
            put_name(&left.what, out);
            put_name(&left.why, out);
        }
        let listed = &self.accounts[..self.accounts.len().min(WORKERS_LISTED_MAX)];
        out.extend_from_slice(&u16::try_from(listed.len()).unwrap_or(0).to_le_bytes());
        for account in listed {
            put_name(&account.name, out);
            out.extend_from_slice(&account.pid.to_le_bytes());
            out.extend_from_slice(&account.written.to_le_bytes());
            account.dropped.encode(out);
        }
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(bytes);
        let pid = cursor.u32("a receipt's pid")?;
        let mut number = || cursor.u64("a receipt's count");
        let uptime = Duration::from_nanos(number()?);
        let [workers, died, written, lines, bytes, missing, truncated, doubles, offences, left] = [
            number()?,
            number()?,
            number()?,
            number()?,
            number()?,
            number()?,
            number()?,
            number()?,
            number()?,
            number()?,
        ];
        let dropped = Drops::decode(&mut cursor)?;
        let losses = Losses::decode(&mut cursor)?;
        let count = usize::from(cursor.u8("a receipt's count of what was left")?);
        check_count("a receipt's count of what was left", count, LEFT_NAMED_MAX)?;
        let mut left_named = Vec::new();
        for _ in 0..count {
            left_named.push(LeftBehind {
                what: get_name(&mut cursor, "what was left")?.to_owned(),
                why: get_name(&mut cursor, "why it was left")?.to_owned(),
            });
        }
        let count = usize::from(cursor.u16("a receipt's worker count")?);
        check_count("a receipt's worker count", count, WORKERS_LISTED_MAX)?;
        let mut accounts = Vec::new();
        for _ in 0..count {
            accounts.push(WorkerAccount {
                name: get_name(&mut cursor, "a worker's name")?.to_owned(),
                pid: cursor.u32("a worker's pid")?,
                written: cursor.u64("a worker's records")?,
                dropped: Drops::decode(&mut cursor)?,
            });
        }
        cursor.end("a receipt")?;
        Ok(Self {
            pid,
            uptime,
            workers,
            died,
            written,
            lines,
            bytes,
            dropped,
            missing,
            truncated,
            doubles,
            offences,
            losses,
            left,
            left_named,
            accounts,
        })
    }
}
