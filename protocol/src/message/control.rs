//! Control messages: what a command asks of a live listener, and the answers.

use super::Receipt;
use crate::decode::{Cursor, DecodeError, check_count};
use crate::limits::{DIRECTIVES_MAX, WORKER_PATTERN_MAX};
use crate::record::floor_char_boundary;

/// What a command asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The sentinel: drain what was logged before it, sync, give a receipt, end.
    Stop,
    /// Drain what was logged before it and make it durable.
    Sync,
    /// Tell the state of the fleet.
    Status,
    /// Drain what was logged before it, then make every log's file an archive and begin another.
    Rotate,
    /// Drain what was logged before it, then go on with the files that the paths name now.
    Reopen,
    /// Change what living workers log, and what those log that are started later.
    SetLevel(LevelChange),
    /// Take a change back.
    ResetLevel {
        /// The change for these workers, named as when it was made; `None` = every change.
        worker: Option<String>,
    },
    /// Tell which changes are in force.
    Levels,
}

/// A change of what workers log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LevelChange {
    /// Filter directives as [`crate::directives::Directives`] reads them.
    pub directives: String,
    /// The workers that it is for, as [`crate::level_control::WorkerPattern`] reads them; `None` =
    /// all.
    pub worker: Option<String>,
    /// After how many seconds it ends by itself; `None` = when it is taken back.
    pub for_seconds: Option<u64>,
}

impl Request {
    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Stop => out.push(1),
            Self::Sync => out.push(2),
            Self::Status => out.push(3),
            Self::Rotate => out.push(4),
            Self::Reopen => out.push(5),
            Self::SetLevel(change) => {
                out.push(6);
                // No change lasts that long: the number stands for one that does not end.
                let seconds = change.for_seconds.unwrap_or(u64::MAX);
                out.extend_from_slice(&seconds.to_le_bytes());
                put_worker(change.worker.as_deref(), out);
                put_text(&change.directives, out);
            }
            Self::ResetLevel { worker } => {
                out.push(7);
                put_worker(worker.as_deref(), out);
            }
            Self::Levels => out.push(8),
        }
    }

    /// Whether it changes something, which only the listener's own user and root may do, and not
    /// merely asks.
    #[must_use]
    pub const fn changes_something(&self) -> bool {
        !matches!(self, Self::Status | Self::Levels | Self::Sync)
    }

    /// Decodes the body.
    ///
    /// # Errors
    /// Any [`DecodeError`].
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(body);
        let request = match cursor.u8("a request")? {
            1 => Self::Stop,
            2 => Self::Sync,
            3 => Self::Status,
            4 => Self::Rotate,
            5 => Self::Reopen,
            6 => {
                let seconds = cursor.u64("a change's seconds")?;
                Self::SetLevel(LevelChange {
                    for_seconds: (seconds != u64::MAX).then_some(seconds),
                    worker: get_worker(&mut cursor)?,
                    directives: get_text(&mut cursor, DIRECTIVES_MAX, "a change's directives")?,
                })
            }
            7 => Self::ResetLevel { worker: get_worker(&mut cursor)? },
            8 => Self::Levels,
            found => return Err(DecodeError::Unknown { what: "request", found }),
        };
        cursor.end("a request")?;
        Ok(request)
    }
}

/// No worker and an empty name are different things: an empty one fits nobody.
fn put_worker(worker: Option<&str>, out: &mut Vec<u8>) {
    out.push(u8::from(worker.is_some()));
    if let Some(worker) = worker {
        put_text(worker, out);
    }
}

fn get_worker(cursor: &mut Cursor<'_>) -> Result<Option<String>, DecodeError> {
    match cursor.u8("a worker")? {
        0 => Ok(None),
        1 => get_text(cursor, WORKER_PATTERN_MAX, "a worker's name").map(Some),
        found => Err(DecodeError::Unknown { what: "choice of workers", found }),
    }
}

/// A text beyond its limit is for the reader to refuse: directives that were cut mean something
/// else.
fn put_text(text: &str, out: &mut Vec<u8>) {
    let text = floor_char_boundary(text, usize::from(u16::MAX));
    out.extend_from_slice(&u16::try_from(text.len()).unwrap_or(0).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn get_text(
    cursor: &mut Cursor<'_>,
    most: usize,
    what: &'static str,
) -> Result<String, DecodeError> {
    let length = usize::from(cursor.u16(what)?);
    check_count(what, length, most)?;
    Ok(cursor.text(length, what)?.to_owned())
}

/// An answer. [`Pending`](Self::Pending) may come several times, each other one ends the
/// conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The request is under way; so many records were written since it came.
    Pending {
        /// Records written since the request came.
        written: u64,
    },
    /// The listener has drained and synced, and ends.
    Stopped(Box<Receipt>),
    /// What was logged before the request is in the files and durable.
    Synced {
        /// Records written in the listener's life.
        written: u64,
    },
    /// The state of the fleet as JSON text.
    Status(String),
    /// The request failed; the text says why.
    Failed(String),
    /// What was logged before the request is in the archives.
    Rotated {
        /// Logs that were rotated; those that were empty are not among them.
        logs: u64,
    },
    /// Every log is written where its path says.
    Reopened {
        /// Logs whose files were opened anew; the others were in their places.
        logs: u64,
    },
    /// The changes of level that are in force, as JSON text.
    Levels(String),
}

impl Reply {
    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Pending { written } => {
                out.push(1);
                out.extend_from_slice(&written.to_le_bytes());
            }
            Self::Stopped(receipt) => {
                out.push(2);
                receipt.encode(out);
            }
            Self::Synced { written } => {
                out.push(3);
                out.extend_from_slice(&written.to_le_bytes());
            }
            Self::Status(json) => {
                out.push(4);
                out.extend_from_slice(json.as_bytes());
            }
            Self::Failed(why) => {
                out.push(5);
                out.extend_from_slice(why.as_bytes());
            }
            Self::Rotated { logs } => {
                out.push(6);
                out.extend_from_slice(&logs.to_le_bytes());
            }
            Self::Reopened { logs } => {
                out.push(7);
                out.extend_from_slice(&logs.to_le_bytes());
            }
            Self::Levels(json) => {
                out.push(8);
                out.extend_from_slice(json.as_bytes());
            }
        }
    }

    /// Decodes the body.
    ///
    /// # Errors
    /// Any [`DecodeError`].
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(body);
        match cursor.u8("a reply")? {
            1 => {
                let written = cursor.u64("a record count")?;
                cursor.end("a reply")?;
                Ok(Self::Pending { written })
            }
            2 => Ok(Self::Stopped(Box::new(Receipt::decode(cursor.rest())?))),
            3 => {
                let written = cursor.u64("a record count")?;
                cursor.end("a reply")?;
                Ok(Self::Synced { written })
            }
            4 => Ok(Self::Status(cursor.text(cursor.rest().len(), "a status")?.to_owned())),
            5 => Ok(Self::Failed(cursor.text(cursor.rest().len(), "a failure")?.to_owned())),
            6 => {
                let logs = cursor.u64("a log count")?;
                cursor.end("a reply")?;
                Ok(Self::Rotated { logs })
            }
            7 => {
                let logs = cursor.u64("a log count")?;
                cursor.end("a reply")?;
                Ok(Self::Reopened { logs })
            }
            8 => Ok(Self::Levels(cursor.text(cursor.rest().len(), "the levels")?.to_owned())),
            found => Err(DecodeError::Unknown { what: "reply", found }),
        }
    }
}
