//! The two threads: each waits for its clients, logs what they sent, and hands it to the drain.

mod datagrams;
mod streams;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::desk::Desk;
use super::outbox::Outbox;
use super::stream::Arrival;
pub(in crate::foreign) use datagrams::DatagramThread;
pub(in crate::foreign) use streams::Streams;

/// How soon reports are tried again that found no room.
const REPORTS: Duration = Duration::from_millis(100);

/// What an epoll says when the drain rings.
const BELL: u64 = u64::MAX;

/// What the drain tells a foreign thread.
#[derive(Debug)]
pub(super) enum Word {
    /// A connection of the drain's turned out to be foreign.
    Arrived(Box<Arrival>),
    /// Look at everything that was sent until now, and tell.
    Look,
    /// Hear nobody any more; what was sent until now counts.
    End,
}

/// What both threads have.
#[derive(Debug)]
struct Post {
    epoll: Epoll,
    words: Receiver<Word>,
    outbox: Arc<Outbox>,
    desk: Desk,
}

impl Post {
    fn new(outbox: Arc<Outbox>, words: Receiver<Word>, desk: Desk) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&outbox.bell, EpollEvent::new(EpollFlags::EPOLLIN, BELL))?;
        Ok(Self { epoll, words, outbox, desk })
    }

    fn wait(&self, events: &mut [EpollEvent]) -> usize {
        let due = self.desk.due().map(|due| due.saturating_duration_since(Instant::now()));
        let reports = self.desk.owes_reports().then_some(REPORTS);
        let timeout = [due, reports].into_iter().flatten().min();
        let timeout = timeout.map_or(EpollTimeout::NONE, |timeout| {
            EpollTimeout::try_from(timeout + Duration::from_millis(1)).unwrap_or(EpollTimeout::MAX)
        });
        loop {
            match self.epoll.wait(events, timeout) {
                Err(Errno::EINTR) => {}
                found => return found.unwrap_or(0),
            }
        }
    }

    fn ready_now(&self, events: &mut [EpollEvent]) -> usize {
        loop {
            match self.epoll.wait(events, EpollTimeout::ZERO) {
                Err(Errno::EINTR) => {}
                found => return found.unwrap_or(0),
            }
        }
    }
}
