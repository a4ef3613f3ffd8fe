//! A feed: the bytes of one queue, frame by frame.
//!
//! A frame is found once; whoever asks again gets what was found. A feed's stamps never go back,
//! and none is later than its arrival: a clock that says otherwise is the sender's invention and
//! must not hold up the others.

use fleetlog_protocol::DecodeError;
use fleetlog_protocol::frame::{self, Kind};
use fleetlog_protocol::record::stamp_of;
use fleetlog_protocol::stamp::{self, Stamp};

use super::buffer::{ReadBuffer, Shared};

/// A sequenced frame at the front of a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Front {
    pub(crate) kind: Kind,
    pub(crate) seq: u64,
    pub(crate) stamp: Stamp,
    len: usize,
}

/// What stands at the front.
#[derive(Clone, Copy, Debug)]
pub(super) enum Peek {
    /// A sequenced frame, of this stamp.
    Sequenced(Stamp),
    /// Another one, of so many bytes in all; the caller looks at its [body](Feed::body) and
    /// consumes it.
    Other(Kind, usize),
}

#[derive(Debug, Default)]
pub(crate) struct Feed {
    pub(super) buffer: ReadBuffer,
    front: Option<Front>,
    last_stamp: Stamp,
    /// When the bytes were known to be there.
    pub(super) read_at: Stamp,
    /// Bytes that were ever used.
    used: u64,
}

impl Feed {
    /// A feed that goes on where `used` bytes of its queue are in the files.
    pub(super) fn starting_at(used: u64) -> Self {
        Self { used, ..Self::default() }
    }

    /// Bytes that were ever used.
    pub(crate) const fn used(&self) -> u64 {
        self.used
    }

    /// Takes bytes in that were known to be there now.
    pub(crate) fn take_in(&mut self, bytes: &[u8], shared: &mut Shared) {
        self.buffer.memory_for(bytes.len(), shared).extend_from_slice(bytes);
        self.read_at = stamp::now();
    }

    /// Whether everything that came was used.
    pub(crate) const fn is_empty(&self) -> bool {
        self.buffer.len() == 0
    }

    /// Finds the frame at the front; `None` while it is incomplete.
    #[inline]
    pub(super) fn peek(&mut self) -> Result<Option<Peek>, DecodeError> {
        if let Some(front) = self.front {
            return Ok(Some(Peek::Sequenced(front.stamp)));
        }
        let Some(frame) = frame::take(self.buffer.bytes())? else { return Ok(None) };
        if !frame.kind.is_sequenced() {
            return Ok(Some(Peek::Other(frame.kind, frame.len)));
        }
        let (seq, stamp) =
            stamp_of(frame.body).ok_or(DecodeError::Truncated("a sequence number and a stamp"))?;
        let stamp = stamp.min(self.read_at).max(self.last_stamp);
        self.front = Some(Front { kind: frame.kind, seq, stamp, len: frame.len });
        Ok(Some(Peek::Sequenced(stamp)))
    }

    /// Whether a sequenced frame stands at the front, whole, with a stamp not later than `bound`.
    /// Anything else, also what can't be read, is for [`peek`](Self::peek).
    #[inline]
    pub(crate) fn next_stamp_is_at_most(&mut self, bound: Stamp) -> bool {
        matches!(self.peek(), Ok(Some(Peek::Sequenced(stamp))) if stamp <= bound)
    }

    /// The body of a frame of `len` bytes at the front.
    pub(super) fn body(&self, len: usize) -> &[u8] {
        self.buffer.bytes().get(frame::HEADER_LEN..len).unwrap_or(&[])
    }

    /// The sequenced frame that [`peek`](Self::peek) found, and its body.
    #[inline]
    pub(crate) fn front(&self) -> Option<(Front, &[u8])> {
        let front = self.front?;
        Some((front, self.buffer.bytes().get(frame::HEADER_LEN..front.len)?))
    }

    /// Leaves that frame behind.
    #[inline]
    pub(crate) fn advance(&mut self) {
        if let Some(front) = self.front.take() {
            self.consume(front.len);
            self.last_stamp = front.stamp;
        }
    }

    #[inline]
    pub(super) fn consume(&mut self, len: usize) {
        self.buffer.consume(len);
        self.used += len as u64;
    }
}
