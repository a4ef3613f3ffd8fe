//! The connection under a queue: connect, send, receive, and nothing that can wait.
//!
//! Every call here returns at once; waiting is the policy's business ([`super::wait`]).

use std::io;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::sync::Arc;

use interprocess::ConnectWaitMode;
use interprocess::local_socket::{ConnectOptions, GenericFilePath, ToFsName as _};
use interprocess::os::unix::uds_local_socket::Stream;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send, setsockopt, sockopt};

use crate::descriptor::{Kept, LinkNumber};
use crate::frame::{self, Kind};
use crate::limits::REFUSAL_MAX;
use crate::message::{Ack, Refusal, RefusalReason, Welcome};

/// What a larger send buffer is asked for: fewer switches between worker and listener. The
/// kernel grants at most its `wmem_max`.
const SEND_BUFFER: usize = 1 << 20;

/// Reads of one call, 4 KiB each: a listener that talks without end must not hold up a worker.
const READS_MAX: usize = 16;

#[derive(Debug)]
pub(crate) struct Link {
    /// Shared with the calls that wait for it: it is closed after the last of them.
    socket: Arc<Kept>,
    inbox: Vec<u8>,
    number: &'static LinkNumber,
}

/// The peer is gone, or the stream is not usable any more.
#[derive(Debug)]
pub(crate) struct Broken;

/// What the listener said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Everything up to this sequence number is in the files.
    Acked(u64),
    /// The listener does not want this worker, and why.
    Refused(RefusalReason, String),
}

impl Link {
    /// Connects without waiting. On a full backlog the connection looks made and the first send
    /// fails; the caller then tries again later.
    pub(crate) fn connect(socket: &Path, number: &'static LinkNumber) -> io::Result<Self> {
        let stream: Stream = ConnectOptions::new()
            .name(socket.to_fs_name::<GenericFilePath>()?)
            .wait_mode(ConnectWaitMode::Deferred)
            .nonblocking_stream(true)
            .connect_sync_as()?;
        // A smaller buffer costs speed only.
        let _ = setsockopt(&stream, sockopt::SndBuf, &SEND_BUFFER);
        let socket = Arc::new(Kept::new(stream.into())?);
        number.set(&socket);
        Ok(Self { socket, inbox: Vec::new(), number })
    }

    /// The connection, for a call that waits for it without the queue's lock.
    pub(super) fn socket(&self) -> Arc<Kept> {
        Arc::clone(&self.socket)
    }

    /// Sends as much as the kernel takes now; 0 = the buffer is full.
    pub(crate) fn send(&self, bytes: &[u8]) -> Result<usize, Broken> {
        loop {
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            let socket = self.socket.get().ok_or(Broken)?;
            match send(socket.as_raw_fd(), bytes, flags) {
                Ok(sent) => return Ok(sent),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::ENOMEM) => return Ok(0),
                Err(_) => return Err(Broken),
            }
        }
    }

    /// Reads what the listener has said by now, or a good part of it, and hands it over in order.
    pub(crate) fn receive(&mut self, mut hear: impl FnMut(Heard)) -> Result<(), Broken> {
        let mut buffer = [0; 4096];
        for _ in 0..READS_MAX {
            let socket = self.socket.get().ok_or(Broken)?;
            match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => return Err(Broken),
                Ok(received) => {
                    self.inbox.extend_from_slice(&buffer[..received]);
                    self.parse(&mut hear)?;
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(()),
                Err(_) => return Err(Broken),
            }
        }
        Ok(())
    }

    fn parse(&mut self, hear: &mut impl FnMut(Heard)) -> Result<(), Broken> {
        let mut at = 0;
        while let Some(frame) = frame::take(&self.inbox[at..]).map_err(|_| Broken)? {
            match frame.kind {
                Kind::Welcome => match Welcome::decode(frame.body) {
                    Ok(welcome) => hear(Heard::Acked(welcome.acked)),
                    Err(error) => hear(Heard::Refused(RefusalReason::Version, error.to_string())),
                },
                Kind::Ack => {
                    hear(Heard::Acked(Ack::decode(frame.body).map_err(|_| Broken)?.seq));
                }
                Kind::Refused => {
                    let refusal = Refusal::decode(frame.body).map_err(|_| Broken)?;
                    hear(Heard::Refused(refusal.reason, refusal.text(REFUSAL_MAX)));
                }
                // No listener sends the other kinds to a worker. They mean nothing to it.
                _ => {}
            }
            at += frame.len;
        }
        self.inbox.drain(..at);
        Ok(())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // The number must be gone before the descriptor is closed and its number is reused.
        self.number.take();
    }
}
