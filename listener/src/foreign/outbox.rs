//! The outbox: what a foreign thread has for the drain, until the drain takes it.
//!
//! It never waits for its other side: the drain takes all that is there, the foreign thread looks
//! at how much waits before it adds more ([`super::pressure`]). Offences are counted here, so that
//! whoever goes on offending while the drain is paused takes no memory.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fleetlog_protocol::stamp::Stamp;
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::Process;
use crate::intake::Offence;
use crate::intake::peer::Peer;
use crate::wake::WakeHandle;

/// Which thread a worker came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Stream,
    Datagram,
}

/// What a foreign thread tells the drain, in this order for each worker.
#[derive(Debug)]
pub(crate) enum News {
    /// A process logs for the first time. `position` is the last number of its queue that an
    /// earlier listener wrote.
    Begun { worker: u64, process: Process, protocol: &'static str, position: u64 },
    /// Frames as a worker would have sent them.
    Frames { worker: u64, bytes: Vec<u8> },
    /// The process is gone, and so are its connections.
    Ended { worker: u64 },
    /// A connection was closed.
    Closed,
}

/// How often a client did something wrong of one kind, the first time in full.
#[derive(Debug)]
pub(crate) struct Offended {
    pub(crate) offence: Offence,
    pub(crate) peer: Peer,
    pub(crate) times: u64,
}

/// Offenders that are told apart between two takes; the others are counted with the first of their
/// kind.
const OFFENDERS_MAX: usize = 256;

/// A look around: everything that was sent before it began is in the outbox, and no stamp in there
/// is later than its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) began: Stamp,
    pub(crate) ended: Stamp,
}

impl Look {
    /// Whether what was sent before `arrived` is in the outbox, and in time for `cutoff`.
    pub(crate) const fn covers(self, arrived: Stamp, cutoff: Stamp) -> bool {
        arrived <= self.began && self.ended <= cutoff
    }
}

#[derive(Debug, Default)]
struct Held {
    news: Vec<News>,
    bytes: usize,
    /// By kind and pid.
    offended: HashMap<(&'static str, u32), Offended>,
    /// How often everything was taken.
    takes: u64,
    look: Look,
    /// The foreign thread waits until something is taken.
    wants_room: bool,
}

impl Held {
    fn is_empty(&self) -> bool {
        self.news.is_empty() && self.offended.is_empty()
    }

    const fn waiting(&self) -> Waiting {
        Waiting { bytes: self.bytes, news: self.news.len(), takes: self.takes }
    }
}

#[derive(Debug)]
pub(super) struct Outbox {
    held: Mutex<Held>,
    drain: WakeHandle,
    /// Rings in the foreign thread.
    pub(super) bell: EventFd,
}

/// What the outbox holds after something was added.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) bytes: usize,
    pub(super) news: usize,
    pub(super) takes: u64,
}

/// What the drain took.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) news: Vec<News>,
    pub(super) offended: Vec<Offended>,
    pub(super) look: Look,
}

impl Outbox {
    pub(super) fn new(drain: WakeHandle) -> std::io::Result<Self> {
        let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Self { held: Mutex::default(), drain, bell })
    }

    /// Adds what was staged, and wakes the drain if it does not know yet that something waits.
    pub(super) fn put(&self, staged: &mut Vec<News>, bytes: usize) -> Waiting {
        let mut held = self.lock();
        let is_first = held.is_empty() && !staged.is_empty();
        held.news.append(staged);
        held.bytes += bytes;
        let waiting = held.waiting();
        drop(held);
        if is_first {
            self.drain.ring();
        }
        waiting
    }

    /// Counts what a client did wrong, and wakes the drain like [`put`](Self::put).
    pub(super) fn offend(&self, offence: Offence, peer: Peer) {
        let mut held = self.lock();
        let is_first = held.is_empty();
        let mut offender = (offence.kind(), peer.pid);
        if held.offended.len() >= OFFENDERS_MAX && !held.offended.contains_key(&offender) {
            // Kinds are few, so that this ends.
            offender.1 = 0;
        }
        let new = || Offended { offence, peer, times: 0 };
        held.offended.entry(offender).or_insert_with(new).times += 1;
        drop(held);
        if is_first {
            self.drain.ring();
        }
    }

    /// Tells the drain that it was looked around, because it asked.
    pub(super) fn looked(&self, look: Look) {
        self.lock().look = look;
        self.drain.ring();
    }

    /// Rings the foreign thread's bell with the next take.
    pub(super) fn want_room(&self) -> Waiting {
        let mut held = self.lock();
        held.wants_room = true;
        held.waiting()
    }

    /// Takes everything.
    pub(super) fn take(&self) -> Taken {
        let mut held = self.lock();
        let news = std::mem::take(&mut held.news);
        let offended = held.offended.drain().map(|(_, offended)| offended).collect();
        held.bytes = 0;
        held.takes += 1;
        let wants_room = std::mem::take(&mut held.wants_room);
        let taken = Taken { news, offended, look: held.look };
        drop(held);
        if wants_room {
            self.ring();
        }
        taken
    }

    /// Wakes the foreign thread.
    pub(super) fn ring(&self) {
        // A counter that is full has woken it already.
        let _ = self.bell.write(1);
    }

    /// What a thread that panicked left is whole: nothing is done in steps under the lock.
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
