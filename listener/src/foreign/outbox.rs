//! The outbox: what a foreign thread has for the drain, until the drain takes it.
//!
//! It never waits for its other side: the drain takes all that is there, the foreign thread looks
//! at how much waits before it adds more ([`super::pressure`]).

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
    /// A connection of this user was closed.
    Closed { uid: u32 },
    /// A client did something wrong.
    Offended { offence: Offence, peer: Peer },
}

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
    /// How often everything was taken.
    takes: u64,
    look: Look,
    /// Connections that are open.
    open: usize,
    /// The foreign thread waits until something is taken.
    wants_room: bool,
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
    pub(super) takes: u64,
}

/// What the drain took.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) news: Vec<News>,
    pub(super) look: Look,
    pub(super) open: usize,
}

impl Outbox {
    pub(super) fn new(drain: WakeHandle) -> std::io::Result<Self> {
        let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Self { held: Mutex::default(), drain, bell })
    }

    /// Adds what was staged, and wakes the drain if it does not know yet that something waits.
    pub(super) fn put(&self, staged: &mut Vec<News>, bytes: usize, open: usize) -> Waiting {
        let mut held = self.lock();
        let is_first = held.news.is_empty() && !staged.is_empty();
        held.news.append(staged);
        held.bytes += bytes;
        held.open = open;
        let waiting = Waiting { bytes: held.bytes, takes: held.takes };
        drop(held);
        if is_first {
            self.drain.ring();
        }
        waiting
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
        Waiting { bytes: held.bytes, takes: held.takes }
    }

    /// Takes everything.
    pub(super) fn take(&self) -> Taken {
        let mut held = self.lock();
        let news = std::mem::take(&mut held.news);
        held.bytes = 0;
        held.takes += 1;
        let wants_room = std::mem::take(&mut held.wants_room);
        let taken = Taken { news, look: held.look, open: held.open };
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
