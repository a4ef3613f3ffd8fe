//! One connection: from bytes to the next sequenced frame.
//!
//! A connection says who it is with its first frame and is from then on a worker or a command.
//! Whatever is wrong with its bytes is an [`Offence`] that costs this connection alone; the
//! frames before it count.

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::sync::Arc;
use std::time::Instant;

use fleetlog_protocol::DecodeError;
use fleetlog_protocol::callsite::Callsite;
use fleetlog_protocol::frame::{self, HEADER_LEN, Kind, PREFACE};
use fleetlog_protocol::lane::Corrupt;
use fleetlog_protocol::limits::{CALLSITES_MAX, HANDSHAKE_MAX, REQUEST_MAX};
use fleetlog_protocol::message::{
    Ack, Attach, Goodbye, Hello, Loss, Name, QueueId, Refusal, RefusalReason, Request,
};
use fleetlog_protocol::segment::FileName;
use fleetlog_protocol::stamp::{self, Stamp};
use interprocess::os::unix::uds_local_socket::Stream;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, Shutdown, recv, send, shutdown};

use super::buffer::Shared;
use super::callsites::Callsites;
use super::feed::{Feed, Peek};
use super::peer::Peer;
use super::seats::Seat;
use super::segments::SegmentIndex;
use crate::foreign::{Arrival, Fault};
use crate::sink::SinkMask;

/// What a client did wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Offence {
    #[error("malformed bytes: {0}")]
    Malformed(#[from] DecodeError),
    #[error("a frame of kind {0:?} that has no place there")]
    Misplaced(Kind),
    #[error("more than {HANDSHAKE_MAX} bytes without saying who it is")]
    EndlessHandshake,
    #[error("it did not say who it is in time")]
    SilentHandshake,
    #[error("it ended in the middle of a frame")]
    Torn,
    #[error("a record of callsite {0}, which it never defined")]
    UnknownCallsite(u32),
    #[error("a callsite number {0}, beyond the limit of {CALLSITES_MAX}")]
    CallsiteNumber(u32),
    #[error("too many connections of uid {0}")]
    TooManyOfUid(u32),
    #[error("too many connections")]
    TooMany,
    #[error("a lane can't be read: {0}")]
    Scribble(#[from] Corrupt),
    #[error("the number {0}, which it can't have reached: no process logs so fast")]
    Incredible(u64),
    #[error("it had sent a part of a record when the listener ended")]
    Unfinished,
    #[error("a datagram that could not be received")]
    Undelivered,
    #[error("its queue has ended")]
    Orphaned,
    #[error("its segment was truncated")]
    Truncated,
    #[error("its segment can't be taken in: {0}")]
    Segment(String),
    #[error("{0}")]
    NotTheirs(String),
    #[error("there is no room for it now: {0}")]
    NoRoom(String),
    #[error("it holds too much of the listener's memory with callsites or an unfinished message")]
    Hoarding,
    #[error("{0}")]
    Foreign(#[from] Fault),
    #[error("uid {0} is not among those that may log")]
    NotAllowed(u32),
    #[error("uid {0} may only ask: what changes something is for root and the listener's own user")]
    NotPermitted(u32),
}

impl Offence {
    /// The body of the frame that tells the client, in words and in what its program understands.
    pub(crate) fn refusal(&self) -> Vec<u8> {
        let mut body = Vec::new();
        Refusal::new(self.reason(), &self.to_string()).encode(&mut body);
        body
    }

    /// Whether the client may be welcome a moment later.
    pub(crate) const fn is_temporary(&self) -> bool {
        self.reason().is_temporary()
    }

    const fn reason(&self) -> RefusalReason {
        match self {
            Self::TooManyOfUid(_) | Self::TooMany => RefusalReason::NoSeat,
            Self::NoRoom(_) => RefusalReason::NoRoom,
            Self::Malformed(DecodeError::Version { .. }) => RefusalReason::Version,
            Self::NotAllowed(_) | Self::NotPermitted(_) | Self::NotTheirs(_) => {
                RefusalReason::NotAllowed
            }
            _ => RefusalReason::Unfit,
        }
    }

    /// The kind, for counters.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Malformed(DecodeError::NotFleetlog) => "garbage",
            Self::Malformed(_) | Self::Misplaced(_) => "malformed",
            Self::EndlessHandshake | Self::SilentHandshake => "handshake",
            Self::Torn => "torn",
            Self::UnknownCallsite(_) | Self::CallsiteNumber(_) => "callsite",
            Self::TooManyOfUid(_) | Self::TooMany | Self::NoRoom(_) => "too_many",
            Self::Hoarding => "hoarding",
            Self::Incredible(_) => "incredible",
            Self::Unfinished => "unfinished",
            Self::Undelivered => "undelivered",
            Self::Foreign(Fault::Unknown(_)) => "garbage",
            Self::Foreign(Fault::Pickle(_)) => "pickle",
            Self::Foreign(_) => "malformed",
            Self::NotAllowed(_) | Self::NotPermitted(_) | Self::NotTheirs(_) => "not_allowed",
            Self::Scribble(_) | Self::Truncated | Self::Segment(_) | Self::Orphaned => "segment",
        }
    }
}

impl Offence {
    /// What becomes of what its client had sent, and tries to send.
    pub(crate) const fn loss(&self) -> Loss {
        match self {
            Self::Torn | Self::SilentHandshake | Self::Unfinished => Loss::Torn,
            Self::TooManyOfUid(_)
            | Self::TooMany
            | Self::NoRoom(_)
            | Self::NotTheirs(_)
            | Self::NotAllowed(_)
            | Self::NotPermitted(_) => Loss::TurnedAway,
            Self::Incredible(_) => Loss::Incredible,
            Self::Undelivered => Loss::Refused,
            Self::Scribble(_) | Self::Truncated | Self::Segment(_) => Loss::PutAside,
            Self::Malformed(_)
            | Self::Misplaced(_)
            | Self::EndlessHandshake
            | Self::UnknownCallsite(_)
            | Self::CallsiteNumber(_)
            | Self::Orphaned
            | Self::Hoarding
            | Self::Foreign(_) => Loss::CutOff,
        }
    }

    /// Whether it is a loss only, and nobody's fault.
    pub(crate) const fn is_blameless(&self) -> bool {
        matches!(self, Self::Unfinished | Self::Undelivered)
    }
}

/// What a connection turned out to be.
#[derive(Debug)]
pub(crate) enum Role {
    /// It has not said it yet.
    Unknown,
    /// A worker's queue.
    Worker(WorkerLink),
    /// What a worker rings when its lanes have news.
    Bell(SegmentIndex),
    /// A command that asked something.
    Command,
}

/// A worker's end of its queue.
#[derive(Debug)]
pub(crate) struct WorkerLink {
    /// Its place among the listener's queues.
    pub(crate) queue: usize,
    pub(crate) name: Arc<str>,
    pub(crate) callsites: Callsites,
    /// The last sequence number that the worker said it used, when it took leave.
    pub(crate) goodbye: Option<u64>,
}

impl WorkerLink {
    pub(crate) fn new(queue: usize, name: Arc<str>) -> Self {
        Self { queue, name, callsites: Callsites::default(), goodbye: None }
    }

    /// Takes in what stands in a feed before the next sequenced frame and returns that frame's
    /// stamp; `None` while it is incomplete. `ended` tells that nothing will follow.
    pub(super) fn next_stamp(
        &mut self,
        feed: &mut Feed,
        ended: bool,
        interested: impl Fn(&Callsite) -> SinkMask,
    ) -> Result<Option<Stamp>, Offence> {
        loop {
            let Some(peek) = feed.peek()? else {
                return if ended && feed.buffer.len() > 0 { Err(Offence::Torn) } else { Ok(None) };
            };
            let (kind, len) = match peek {
                Peek::Sequenced(stamp) => {
                    // Whoever still logs has not left.
                    self.goodbye = None;
                    return Ok(Some(stamp));
                }
                Peek::Other(kind, len) => (kind, len),
            };
            let body = feed.body(len);
            match kind {
                Kind::Callsite => {
                    let (number, definition) = body
                        .split_first_chunk()
                        .ok_or(DecodeError::Truncated("a callsite's number"))?;
                    let number = u32::from_le_bytes(*number);
                    self.callsites.define(number, definition, &interested)?;
                }
                Kind::Name => {
                    let Name { name } = Name::decode(body)?;
                    self.name = name.into();
                }
                Kind::Goodbye => self.goodbye = Some(Goodbye::decode(body)?.last_seq),
                kind => return Err(Offence::Misplaced(kind)),
            }
            feed.consume(len);
        }
    }
}

/// How a connection introduced itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Introduction {
    Worker {
        queue: QueueId,
        pid: u32,
        first_seq: u64,
        name: String,
        fallback: String,
    },
    Lanes {
        pid: u32,
        segment: FileName,
    },
    Command(Request),
    /// It does not speak fleetlog's own protocol.
    Foreign,
}

#[derive(Debug)]
pub(crate) struct Connection {
    stream: Stream,
    pub(super) seat: Option<Seat>,
    /// It waits for a seat, and is not read meanwhile.
    pub(super) waits: bool,
    /// It was not there at this time.
    after: Stamp,
    pub(crate) peer: Peer,
    pub(crate) role: Role,
    pub(crate) since: Instant,
    pub(super) feed: Feed,
    outbox: Vec<u8>,
    /// An acknowledgement that waits until the peer has read what was sent before.
    owed_ack: Option<u64>,
    /// The peer sends no more.
    pub(crate) ended: bool,
    /// It is on the drain's list of connections to look at.
    pub(crate) listed: bool,
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Connection {
    /// A connection that was not there at the time `after`.
    pub(crate) fn new(stream: Stream, after: Stamp) -> Self {
        Self {
            peer: Peer::of(&stream),
            stream,
            seat: None,
            waits: false,
            after,
            role: Role::Unknown,
            since: Instant::now(),
            feed: Feed::default(),
            outbox: Vec::new(),
            owed_ack: None,
            ended: false,
            listed: false,
        }
    }

    /// Receives what is there, at most `limit` bytes: more can't have been sent before the call.
    pub(crate) fn receive(&mut self, limit: usize, shared: &mut Shared) {
        let descriptor = self.stream.as_fd().as_raw_fd();
        let mut received = 0;
        while received < limit && !self.ended {
            let filled = shared.fill(&mut self.feed.buffer, |block| {
                recv(descriptor, block, MsgFlags::MSG_DONTWAIT)
            });
            match filled {
                Ok((0, _)) => self.ended = true,
                Ok((len, true)) => received += len,
                Ok((_, false)) => break,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => break,
                // The peer went away with our acknowledgements unread; its own bytes came first.
                Err(_) => self.ended = true,
            }
        }
        self.forget_words();
        self.feed.read_at = stamp::now();
    }

    /// Whether the peer's first frame is of a kind, as far as it has come. Takes nothing out of the
    /// kernel.
    pub(super) fn begins_with(&self, kind: Kind) -> bool {
        let mut front = [0; PREFACE.len() + HEADER_LEN];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_PEEK;
        let seen = recv(self.stream.as_fd().as_raw_fd(), &mut front, flags);
        seen == Ok(front.len())
            && front[..PREFACE.len()] == PREFACE
            && front.last() == Some(&(kind as u8))
    }

    /// Forgets what says nothing: a command has said all that counts with its request, and of a
    /// ring counts only that it came.
    pub(super) fn forget_words(&mut self) {
        if matches!(self.role, Role::Command | Role::Bell(_)) {
            self.feed.consume(self.feed.buffer.len());
        }
    }

    /// Reads how the connection introduces itself, once enough bytes are there.
    pub(crate) fn introduction(&mut self) -> Result<Option<Introduction>, Offence> {
        let bytes = self.feed.buffer.bytes();
        if bytes.first().is_some_and(|first| *first != PREFACE[0]) {
            return Ok(Some(Introduction::Foreign));
        }
        let seen = bytes.len().min(PREFACE.len());
        if bytes[..seen] != PREFACE[..seen] {
            return Err(DecodeError::NotFleetlog.into());
        }
        let frame = match bytes.get(PREFACE.len()..) {
            Some(rest) => frame::take(rest)?,
            None => None,
        };
        let Some(frame) = frame else {
            // A request says more than a worker's name.
            let most = if self.is_request() { REQUEST_MAX } else { HANDSHAKE_MAX };
            return match (bytes.len() > most, self.ended && !bytes.is_empty()) {
                (true, _) => Err(Offence::EndlessHandshake),
                (_, true) => Err(Offence::Torn),
                _ => Ok(None),
            };
        };
        let introduction = match frame.kind {
            Kind::Hello => {
                let hello = Hello::decode(frame.body)?;
                Introduction::Worker {
                    queue: hello.queue,
                    pid: hello.pid,
                    first_seq: hello.first_seq,
                    name: hello.name.to_owned(),
                    fallback: hello.fallback.to_owned(),
                }
            }
            Kind::Attach => {
                let attach = Attach::decode(frame.body)?;
                Introduction::Lanes { pid: attach.pid, segment: attach.segment }
            }
            Kind::Request => Introduction::Command(Request::decode(frame.body)?),
            kind => return Err(Offence::Misplaced(kind)),
        };
        let len = PREFACE.len() + frame.len;
        self.feed.consume(len);
        Ok(Some(introduction))
    }

    /// Whether what was received begins as a command's request, which carries no record.
    pub(crate) fn is_request(&self) -> bool {
        let bytes = self.feed.buffer.bytes();
        let kind = bytes.get(PREFACE.len() + HEADER_LEN - 1);
        bytes.starts_with(&PREFACE) && kind.is_some_and(|kind| *kind == Kind::Request as u8)
    }

    /// The stamp of the next sequenced frame; `None` while it is incomplete. `interested` tells
    /// which sinks want a callsite.
    pub(super) fn next_stamp(
        &mut self,
        interested: impl Fn(&Callsite) -> SinkMask,
    ) -> Result<Option<Stamp>, Offence> {
        let Role::Worker(link) = &mut self.role else { return Ok(None) };
        link.next_stamp(&mut self.feed, self.ended, interested)
    }

    /// Lets the peer send no more. What it has sent can still be received.
    pub(super) fn shut(&self) {
        let _ = shutdown(self.stream.as_fd().as_raw_fd(), Shutdown::Read);
    }

    /// Whether it has said nothing at all.
    pub(crate) const fn is_silent(&self) -> bool {
        self.feed.buffer.len() == 0
    }

    /// The connection for the thread of foreign clients, with what was received of it.
    pub(super) fn into_arrival(self) -> Arrival {
        let Self { stream: socket, seat, after, peer, feed, .. } = self;
        let (bytes, until) = (feed.buffer.bytes().to_vec(), feed.read_at);
        Arrival { socket, seat, peer, bytes, after, until }
    }

    /// Whether the drain has more to do with what was received.
    pub(crate) fn has_more(&self) -> bool {
        matches!(self.role, Role::Worker(_))
            && !matches!(frame::take(self.feed.buffer.bytes()), Ok(None))
    }

    /// Whether its worker takes leave.
    pub(crate) const fn is_leaving(&self) -> bool {
        matches!(&self.role, Role::Worker(WorkerLink { goodbye: Some(_), .. }))
    }

    /// Bytes that were received and not used.
    pub(crate) const fn unused(&self) -> usize {
        self.feed.buffer.len()
    }

    pub(crate) fn settle(&mut self, shared: &mut Shared) {
        self.feed.buffer.settle(shared);
    }

    /// Whether the peer has not read yet what was sent to it.
    pub(crate) const fn is_backed_up(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Sends a frame as far as the peer takes it now and keeps the rest. Returns whether some
    /// is left.
    pub(crate) fn send(&mut self, kind: Kind, body: &[u8]) -> bool {
        frame::put(kind, body, &mut self.outbox);
        self.flush()
    }

    /// Tells the peer why it is turned away, as far as it takes that now.
    pub(crate) fn refuse(&mut self, offence: &Offence) {
        self.send(Kind::Refused, &offence.refusal());
    }

    /// Acknowledges everything up to `seq`. A peer that does not read gets only the last
    /// acknowledgement when it does, so that it costs no memory.
    pub(crate) fn acknowledge(&mut self, seq: u64) -> bool {
        self.owed_ack = Some(seq);
        self.flush()
    }

    /// Sends what is left and returns whether the peer must read first. A peer that is gone takes no more.
    pub(crate) fn flush(&mut self) -> bool {
        if self.outbox.is_empty()
            && let Some(seq) = self.owed_ack.take()
        {
            let mut body = Vec::new();
            Ack { seq }.encode(&mut body);
            frame::put(Kind::Ack, &body, &mut self.outbox);
        }
        let mut sent = 0;
        while sent < self.outbox.len() {
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            match send(self.stream.as_fd().as_raw_fd(), &self.outbox[sent..], flags) {
                Ok(len) => sent += len,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => break,
                Err(_) => sent = self.outbox.len(),
            }
        }
        self.outbox.drain(..sent);
        !self.outbox.is_empty() || self.owed_ack.is_some()
    }
}
