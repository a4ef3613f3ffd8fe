//! One stream connection: from bytes to entries.

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};

use fleetlog_protocol::stamp::{self, Stamp};
use interprocess::os::unix::uds_local_socket::Stream as Socket;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, Shutdown, recv, send, shutdown};

use super::decode::{json, pickle, syslog, text};
use super::desk::Desk;
use super::entry::Entry;
use super::framing::{BadLength, Framing, Step};
use super::place::Window;
use super::sniff::{self, Protocol, Unknown};
use crate::intake::Offence;
use crate::intake::peer::Peer;
use crate::intake::seats::Seat;

/// A connection that turned out to be foreign, with what was read of it.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) socket: Socket,
    pub(crate) seat: Option<Seat>,
    pub(crate) peer: Peer,
    pub(crate) bytes: Vec<u8>,
    /// It was not there at this time, and when its bytes were read.
    pub(crate) after: Stamp,
    pub(crate) until: Stamp,
}

/// What a foreign client did wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error(transparent)]
    Unknown(#[from] Unknown),
    #[error(transparent)]
    Length(#[from] BadLength),
    #[error("a pickle that is no log record: {0}")]
    Pickle(#[from] pickle::Refused),
    #[error("a journal entry that can't be read: {0}")]
    Journal(#[from] super::decode::journal::Refused),
    #[error("an entry of the journal's protocol in a file that is not one of its kind: {0}")]
    File(&'static str),
}

/// How a stream's turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Its client may send something.
    Open,
    /// It holds messages for which there was no room.
    Paused,
    /// Its client has sent everything.
    Over,
}

#[derive(Debug)]
pub(super) struct Stream {
    socket: Socket,
    _seat: Option<Seat>,
    peer: Peer,
    speaks: Option<(Protocol, Framing)>,
    buffer: Vec<u8>,
    worker: Option<usize>,
    /// There was nothing to read at this time.
    empty_at: Stamp,
    read_at: Stamp,
    ended: bool,
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Stream {
    pub(super) fn new(arrival: Arrival) -> Self {
        let Arrival { socket, seat, peer, bytes, after, until } = arrival;
        Self {
            socket,
            _seat: seat,
            peer,
            speaks: None,
            buffer: bytes,
            worker: None,
            empty_at: after,
            read_at: until,
            ended: false,
        }
    }

    pub(super) const fn peer(&self) -> Peer {
        self.peer
    }

    pub(super) const fn worker(&self) -> Option<usize> {
        self.worker
    }

    /// Bytes that are held of unfinished messages.
    pub(super) fn held(&self) -> usize {
        self.buffer.len() + self.speaks.as_ref().map_or(0, |(_, framing)| framing.held())
    }

    /// Receives what is there, at most `limit` bytes, and logs it, unless it must pause: `pauses`
    /// tells whether it must with so many bytes waiting.
    pub(super) fn receive(
        &mut self,
        limit: usize,
        block: &mut [u8],
        desk: &mut Desk,
        pauses: impl Fn(usize) -> bool,
    ) -> Result<Turn, Offence> {
        let mut received = 0;
        if !self.use_up(desk, &pauses)? {
            return Ok(Turn::Paused);
        }
        while received < limit && !self.ended {
            let began = stamp::now();
            match recv(self.socket.as_fd().as_raw_fd(), block, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => self.ended = true,
                Ok(len) => {
                    received += len;
                    self.read_at = stamp::now();
                    self.buffer.extend_from_slice(&block[..len]);
                    if !self.use_up(desk, &pauses)? {
                        return Ok(Turn::Paused);
                    }
                    if len < block.len() {
                        // There was no more, or there would have been room for it.
                        self.empty_at = self.empty_at.max(began);
                        break;
                    }
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    self.empty_at = self.empty_at.max(began);
                    break;
                }
                Err(_) => self.ended = true,
            }
        }
        if !self.ended {
            return Ok(Turn::Open);
        }
        if !self.use_up(desk, &pauses)? {
            return Ok(Turn::Paused);
        }
        let is_torn = !self.buffer.is_empty()
            || self.speaks.as_ref().is_some_and(|(_, framing)| framing.is_torn());
        if is_torn { Err(Offence::Torn) } else { Ok(Turn::Over) }
    }

    /// Logs every message that is whole; tells whether it did not have to pause.
    fn use_up(
        &mut self,
        desk: &mut Desk,
        pauses: &impl Fn(usize) -> bool,
    ) -> Result<bool, Offence> {
        let buffer = std::mem::take(&mut self.buffer);
        let used = self.use_bytes(&buffer, desk, pauses);
        self.buffer = buffer;
        let (used, is_done) = used.map_err(Offence::Foreign)?;
        self.buffer.drain(..used);
        if is_done {
            self.buffer.shrink_to(2 * self.buffer.len());
        }
        Ok(is_done)
    }

    /// Lets the client send no more. What it has sent can still be received.
    pub(super) fn shut(&self) {
        let _ = shutdown(self.socket.as_fd().as_raw_fd(), Shutdown::Read);
    }

    /// Tells a client that reads why it is cut off.
    pub(super) fn refuse(&self, offence: &Offence) {
        let text = format!("fleetlog: {offence}\n");
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let _ = send(self.socket.as_fd().as_raw_fd(), text.as_bytes(), flags);
    }

    /// Returns how many bytes were used, and whether it did not have to pause.
    fn use_bytes(
        &mut self,
        bytes: &[u8],
        desk: &mut Desk,
        pauses: &impl Fn(usize) -> bool,
    ) -> Result<(usize, bool), Fault> {
        let mut used = 0;
        if self.speaks.is_none() {
            self.speaks = sniff::protocol(bytes, self.ended)?;
        }
        let Some((protocol, mut framing)) = self.speaks.take() else { return Ok((0, true)) };
        let outcome = loop {
            if pauses(desk.waiting()) {
                break Ok((used, false));
            }
            match framing.next(&bytes[used..], self.ended) {
                Ok(Step::Message { message, missing, used: len }) => {
                    used += len;
                    if let Err(fault) = self.log(protocol, &message, missing, desk) {
                        break Err(fault);
                    }
                }
                Ok(Step::Passed(len)) => used += len,
                Ok(Step::Incomplete) => break Ok((used, true)),
                Err(bad) => break Err(bad.into()),
            }
        };
        self.speaks = Some((protocol, framing));
        outcome
    }

    fn log(
        &mut self,
        protocol: Protocol,
        message: &[u8],
        missing: usize,
        desk: &mut Desk,
    ) -> Result<(), Fault> {
        let mut entry = match protocol {
            Protocol::Pickle => pickle::decode(message)?,
            Protocol::Json => match json::decode(message) {
                Some(entry) => entry,
                None if message.trim_ascii().is_empty() => return Ok(()),
                None => text::decode(message),
            },
            // Between two messages some clients send a newline too.
            Protocol::Syslog if message.trim_ascii().is_empty() => return Ok(()),
            Protocol::Syslog => syslog::decode(message, &desk.now()),
            Protocol::Text => text::decode(message),
        };
        entry.missing += missing;
        let worker = self.worker_of(protocol, &entry, desk);
        let window = Window { after: self.empty_at, until: self.read_at };
        desk.log(worker, protocol.as_str(), entry, message.len() + missing, window);
        Ok(())
    }

    fn worker_of(&mut self, protocol: Protocol, entry: &Entry<'_>, desk: &mut Desk) -> usize {
        if let Some(worker) = self.worker {
            return worker;
        }
        let worker = desk.worker(self.peer, protocol.as_str(), entry);
        desk.link(worker);
        self.worker = Some(worker);
        worker
    }
}
