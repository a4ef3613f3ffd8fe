//! Control messages: what a command asks of a live listener, and the answers.

use super::Receipt;
use crate::decode::{Cursor, DecodeError};

/// What a command asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}

impl Request {
    /// Appends the body.
    pub fn encode(self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Stop => 1,
            Self::Sync => 2,
            Self::Status => 3,
            Self::Rotate => 4,
            Self::Reopen => 5,
        });
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
            found => return Err(DecodeError::Unknown { what: "request", found }),
        };
        cursor.end("a request")?;
        Ok(request)
    }
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
            found => Err(DecodeError::Unknown { what: "reply", found }),
        }
    }
}
