//! What waits: the bytes of a worker that are in no batch yet, and how old the oldest record is.
//!
//! It is looked up when somebody asks for the status, also while the drain is paused and takes
//! nothing in. A look changes nothing: when bytes were seen is part of the order of records.

use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};

use fleetlog_protocol::frame::{self, Kind};
use fleetlog_protocol::record::stamp_of;
use fleetlog_protocol::stamp::Stamp;

use super::connection::Connection;
use super::feed::Feed;
use super::segments::{SegmentIndex, Segments};
use super::{Intake, Role};
use crate::foreign::Guest;

/// What waits of one worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// Bytes that are in no batch.
    pub(crate) bytes: u64,
    /// The stamp of the oldest record among them, where it can be told.
    pub(crate) oldest: Option<Stamp>,
}

impl Waiting {
    pub(super) fn add(&mut self, other: Self) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.oldest = match (self.oldest, other.oldest) {
            (Some(mine), Some(theirs)) => Some(mine.min(theirs)),
            (mine, theirs) => mine.or(theirs),
        };
    }

    /// What waits in a feed.
    pub(super) fn of(feed: &Feed) -> Self {
        let known = feed.front().map(|(front, _)| front.stamp);
        let oldest = known.or_else(|| stamp_at_front(feed.buffer.bytes()));
        Self { bytes: feed.buffer.len() as u64, oldest }
    }
}

impl Intake {
    /// What waits in the lanes of a segment.
    pub(crate) fn waiting_in_lanes(&self, index: SegmentIndex) -> Waiting {
        Segments::waiting(&self.segments, index)
    }

    /// What waits of each worker that comes over a socket, by its queue.
    pub(crate) fn waiting_on_sockets(&self) -> Vec<(usize, Waiting)> {
        let mut found = Vec::new();
        for connection in self.connections.iter().flatten() {
            let Role::Worker(link) = &connection.role else { continue };
            let queue = link.queue;
            found.push((queue, connection.waiting()));
        }
        let guest = |guest: &Guest| (guest.link.queue, Waiting::of(&guest.feed));
        found.extend(self.inlet.guests().map(guest));
        found
    }
}

impl Connection {
    fn waiting(&self) -> Waiting {
        let mut waiting = Waiting::of(&self.feed);
        waiting.bytes += unread(self.as_fd());
        waiting
    }
}

/// The bytes that a socket holds for its reader.
fn unread(socket: BorrowedFd<'_>) -> u64 {
    rustix::io::ioctl_fionread(socket).unwrap_or_else(|_| {
        crate::diagnostic::trace!(
            descriptor = socket.as_raw_fd(),
            "the system does not say what is unread"
        );
        0
    })
}

/// The stamp of the frame at the beginning of these bytes.
pub(super) fn stamp_at_front(bytes: &[u8]) -> Option<Stamp> {
    let (header, body) = bytes.split_first_chunk::<{ frame::HEADER_LEN }>()?;
    let kind = Kind::from_byte(*header.last()?)?;
    kind.is_sequenced().then(|| stamp_of(body)).flatten().map(|(_, stamp)| stamp)
}
