//! A refusal: why a listener turns a client away, for the client's program and for its user.

use crate::decode::{Cursor, DecodeError};

/// The kind of a refusal: whether the same client may be welcome a moment later.
///
/// ```
/// use fleetlog_protocol::message::RefusalReason;
/// assert!(RefusalReason::NoSeat.is_temporary());
/// assert!(!RefusalReason::Version.is_temporary());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RefusalReason {
    /// All connections that the client's user may hold are taken.
    NoSeat = 1,
    /// The listener has no descriptor, memory or other room for this client now.
    NoRoom = 2,
    /// The client speaks another version.
    Version = 3,
    /// The client's user may not do this.
    NotAllowed = 4,
    /// What the client sent, or the segment that it named, can't be taken.
    Unfit = 5,
}

impl RefusalReason {
    /// Every reason.
    pub const ALL: [Self; 5] =
        [Self::NoSeat, Self::NoRoom, Self::Version, Self::NotAllowed, Self::Unfit];

    /// Whether the reason may end while the listener lives: a worker with lanes then keeps them,
    /// because they are read without a connection.
    #[must_use]
    pub const fn is_temporary(self) -> bool {
        matches!(self, Self::NoSeat | Self::NoRoom)
    }

    /// A reason that this version does not know is one that does not end by itself.
    fn of(byte: u8) -> Self {
        Self::ALL.into_iter().find(|reason| *reason as u8 == byte).unwrap_or(Self::Unfit)
    }
}

/// Why the listener closes a connection. Nothing follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal<'a> {
    /// What a program needs to know.
    pub reason: RefusalReason,
    /// What a person reads; bytes of the peer, which may be no UTF-8.
    pub why: &'a [u8],
}

impl<'a> Refusal<'a> {
    /// A refusal in words.
    #[must_use]
    pub const fn new(reason: RefusalReason, why: &'a str) -> Self {
        Self { reason, why: why.as_bytes() }
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.reason as u8);
        out.extend_from_slice(self.why);
    }

    /// Decodes the body.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] for a body without a reason.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(body);
        let reason = RefusalReason::of(cursor.u8("a refusal's reason")?);
        Ok(Self { reason, why: &body[1..] })
    }

    /// The words, with what is no UTF-8 replaced, at most `max` bytes of the peer's.
    #[must_use]
    pub fn text(&self, max: usize) -> String {
        String::from_utf8_lossy(&self.why[..self.why.len().min(max)]).into_owned()
    }
}
