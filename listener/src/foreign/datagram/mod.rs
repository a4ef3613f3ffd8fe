//! Datagrams: syslog and journald's native protocol, each with the kernel's word on who sent it
//! and when.

#![allow(unsafe_code, reason = "a descriptor that came with a message has no other owner yet")]

mod closer;

use std::fs::File;
use std::io::IoSliceMut;
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixDatagram;

use fleetlog_protocol::limits::RECORD_MAX;
use fleetlog_protocol::stamp;
use nix::cmsg_space;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, Shutdown, UnixAddr, recvmsg, shutdown};
use nix::sys::time::TimeSpec;

use super::Access;
use super::access::Groups;
use super::decode::{journal, json, pickle, syslog, text};
use super::desk::Desk;
use super::entry::Entry;
use super::place::Window;
use super::stream::Fault;
use crate::intake::Offence;
use crate::intake::peer::Peer;
use closer::{Closer, descriptors_in};

/// The kernel lets nobody send more descriptors at once. There is room for all of them, because
/// those for which there is none would be lost open.
const DESCRIPTORS_MAX: usize = 253;

/// The longest entry that is read from a file, in bytes: what does not fit into a record is cut
/// anyway.
const FILE_MAX: usize = 4 << 20;

/// A datagram's length is bounded by its sender's buffer, which is below this unless root raised
/// it; the rest of a longer one is counted.
const DATAGRAM_MAX: usize = 1 << 20;

/// What the kernel says of a datagram.
#[derive(Debug)]
struct Received {
    len: usize,
    missing: usize,
    peer: Peer,
    gid: u32,
    /// When it was sent, by the wall clock.
    sent: Option<u64>,
    descriptors: Vec<OwnedFd>,
}

#[derive(Debug)]
pub(super) struct Datagrams {
    socket: UnixDatagram,
    access: Access,
    block: Vec<u8>,
    ancillary: Vec<u8>,
    closer: Closer,
}

impl Datagrams {
    /// Whoever bound the socket has asked for its senders.
    pub(super) fn new(socket: UnixDatagram, access: Access) -> Self {
        let ancillary = cmsg_space!([RawFd; DESCRIPTORS_MAX], libc::ucred, TimeSpec);
        let (block, closer) = (vec![0; DATAGRAM_MAX], Closer::default());
        Self { socket, access, block, ancillary, closer }
    }

    pub(super) const fn socket(&self) -> &UnixDatagram {
        &self.socket
    }

    /// Lets nobody send any more. What was sent can still be received.
    pub(super) fn shut(&self) {
        let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Read);
    }

    /// Receives one datagram and logs it; tells whether there was one.
    pub(super) fn receive(&mut self, desk: &mut Desk) -> bool {
        let received = match self.next() {
            Ok(Some(received)) => received,
            Ok(None) => return false,
            // It can't be received, but it is gone from the queue.
            Err(Errno::EINTR) => return true,
            Err(Errno::ENOBUFS) => {
                desk.offend(Offence::Undelivered, Peer { pid: 0, uid: u32::MAX });
                return true;
            }
            Err(_) => return false,
        };
        let block = std::mem::take(&mut self.block);
        if let Err(offence) = self.use_up(&block[..received.len], &received, desk) {
            desk.offend(offence, received.peer);
        }
        self.block = block;
        self.closer.close(received.descriptors);
        true
    }

    fn next(&mut self) -> nix::Result<Option<Received>> {
        let mut block = [IoSliceMut::new(&mut self.block)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_TRUNC;
        // Where it comes cut short, nothing of an earlier one may be found behind it.
        self.ancillary.fill(0);
        let ancillary = Some(&mut self.ancillary[..]);
        let socket = self.socket.as_fd().as_raw_fd();
        let message = match recvmsg::<UnixAddr>(socket, &mut block, ancillary, flags) {
            Ok(message) => message,
            Err(Errno::EAGAIN) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        let mut received = Received {
            len: message.bytes.min(DATAGRAM_MAX),
            missing: message.bytes.saturating_sub(DATAGRAM_MAX),
            peer: Peer { pid: 0, uid: u32::MAX },
            gid: u32::MAX,
            sent: None,
            descriptors: Vec::new(),
        };
        // A socket that was shut down and is empty receives nothing, from nobody.
        let mut is_real = message.bytes > 0;
        let parts = match message.cmsgs() {
            Ok(parts) => parts,
            Err(errno) => {
                // This process may have no more descriptors. Those that it got must not stay open.
                let descriptors = descriptors_in(&self.ancillary);
                self.closer.close(descriptors);
                return Err(errno);
            }
        };
        for part in parts {
            match part {
                ControlMessageOwned::ScmRights(descriptors) => {
                    for descriptor in descriptors {
                        // SAFETY: the kernel has just made this descriptor for this message, and
                        // nobody else has been told of it.
                        let owned = unsafe { OwnedFd::from_raw_fd(descriptor) };
                        received.descriptors.push(owned);
                    }
                }
                ControlMessageOwned::ScmCredentials(sender) => {
                    is_real = true;
                    received.peer.pid = u32::try_from(sender.pid()).unwrap_or(0);
                    received.peer.uid = sender.uid();
                    received.gid = sender.gid();
                }
                ControlMessageOwned::ScmTimestampns(time) => {
                    let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
                    let nanoseconds = u64::try_from(time.tv_nsec()).unwrap_or(0);
                    received.sent = Some(seconds * 1_000_000_000 + nanoseconds);
                }
                _ => {}
            }
        }
        Ok(is_real.then_some(received))
    }

    fn use_up(&self, bytes: &[u8], received: &Received, desk: &mut Desk) -> Result<(), Offence> {
        let peer = received.peer;
        if !self.access.allows(peer.uid, || Groups(vec![received.gid])) {
            return Err(Offence::NotAllowed(peer.uid));
        }
        if let Some(file) = received.descriptors.first() {
            let content = content_of(file).map_err(Fault::File).map_err(Offence::Foreign)?;
            return log(&content, received, true, desk).map_err(Offence::Foreign);
        }
        log(bytes, received, false, desk).map_err(Offence::Foreign)
    }
}

fn log(bytes: &[u8], received: &Received, is_native: bool, desk: &mut Desk) -> Result<(), Fault> {
    let now = stamp::now();
    let sent = received.sent.map_or(now, |sent| desk.clock().stamp(sent, now));
    let window = Window { after: sent, until: sent };
    let log_one = |protocol: &'static str, mut entry: Entry<'_>, desk: &mut Desk| {
        entry.missing += received.missing;
        let worker = desk.worker(received.peer, "datagram", &entry);
        desk.log(worker, protocol, entry, bytes.len() + received.missing, window);
    };
    if is_native || journal::looks_native(bytes) {
        for entry in journal::decode(bytes)? {
            log_one("journal", entry, desk);
        }
        return Ok(());
    }
    let (protocol, entry) = match bytes {
        // Python's `DatagramHandler` sends the length too.
        [0, _, _, _, pickle @ ..] => ("pickle", pickle::decode(pickle)?),
        [b'{', ..] => ("json", json::decode(bytes).unwrap_or_else(|| text::decode(bytes))),
        [b'<', ..] => ("syslog", syslog::decode(bytes, &desk.now())),
        _ => ("text", text::decode(bytes)),
    };
    log_one(protocol, entry, desk);
    Ok(())
}

/// The content of a file that came instead of a datagram. It must be one in memory: to read any
/// other kind may take as long as its owner likes.
fn content_of(file: &OwnedFd) -> Result<Vec<u8>, &'static str> {
    // The kernel answers for files in memory alone.
    fcntl(file, FcntlArg::F_GET_SEALS).map_err(|_| "it is not in memory")?;
    let file = File::from(file.try_clone().map_err(|_| "it can't be read")?);
    let len = file.metadata().map_err(|_| "it can't be read")?.len();
    let len = usize::try_from(len).unwrap_or(usize::MAX).min(FILE_MAX);
    let mut content = vec![0; len];
    // Its owner may have shortened it in between.
    let mut read = 0;
    while read < len {
        match file.read_at(&mut content[read..], read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return Err("it can't be read"),
        }
    }
    content.truncate(read);
    Ok(content)
}

const _: () = assert!(FILE_MAX > 2 * RECORD_MAX, "what is cut here would be cut anyway");
