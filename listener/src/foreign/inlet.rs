//! The inlet: the drain's side of the foreign threads.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use fleetlog_protocol::stamp::{self, Stamp};

use super::datagram::Datagrams;
use super::desk::Desk;
use super::outbox::{Kind, Look, News, Offended, Outbox, Taken};
use super::service::{DatagramThread, Streams, Word};
use super::stream::Arrival;
use super::{Access, Process, RateLimit};
use crate::intake::{Feed, WorkerLink};
use crate::wake::WakeHandle;

/// A foreign worker among those of both threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ForeignNumber {
    pub(crate) kind: Kind,
    pub(crate) number: u64,
}

/// A foreign worker as the drain knows it.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) feed: Feed,
    pub(crate) link: WorkerLink,
    /// Its process is gone, and nothing follows what its feed holds.
    pub(crate) ended: bool,
    is_listed: bool,
}

/// What a foreign client may do.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) access: Access,
    pub(crate) rate: Option<RateLimit>,
}

/// A queue that an earlier listener wrote, whose process may log on.
#[derive(Debug)]
pub(crate) struct Resumable {
    pub(crate) kind: Kind,
    pub(crate) process: Process,
    pub(crate) position: u64,
}

/// What one of the threads had.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) kind: Kind,
    pub(crate) news: Vec<News>,
    pub(crate) offended: Vec<Offended>,
}

/// One of the threads.
#[derive(Debug)]
struct Side {
    kind: Kind,
    outbox: Arc<Outbox>,
    words: Sender<Word>,
    thread: Option<JoinHandle<()>>,
    look: Look,
}

#[derive(Debug)]
pub(crate) struct Inlet {
    sides: Vec<Side>,
    guests: BTreeMap<ForeignNumber, Guest>,
    /// Guests whose feed holds something, or who ended.
    pub(crate) active: Vec<ForeignNumber>,
}

impl Inlet {
    /// Starts the threads.
    pub(crate) fn start(
        drain: &WakeHandle,
        rules: &Rules,
        datagrams: Option<UnixDatagram>,
        resumable: Vec<Resumable>,
    ) -> io::Result<Self> {
        let (streams, others): (Vec<_>, Vec<_>) =
            resumable.into_iter().partition(|queue| queue.kind == Kind::Stream);
        let of_side = |list: Vec<Resumable>| {
            list.into_iter().map(|queue| (queue.process, queue.position)).collect()
        };
        let mut inlet = Self { sides: Vec::new(), guests: BTreeMap::new(), active: Vec::new() };
        let outbox = Arc::new(Outbox::new(drain.clone())?);
        let (words, heard) = channel();
        let desk = Desk::new(Arc::clone(&outbox), rules.rate, of_side(streams));
        let service = Streams::new(Arc::clone(&outbox), heard, desk)?;
        let thread = spawn("fleetlog-stream", move || service.run())?;
        inlet.add(Kind::Stream, outbox, words, thread);
        if let Some(socket) = datagrams {
            let outbox = Arc::new(Outbox::new(drain.clone())?);
            let (words, heard) = channel();
            let desk = Desk::new(Arc::clone(&outbox), rules.rate, of_side(others));
            let datagrams = Datagrams::new(socket, rules.access.clone());
            let service = DatagramThread::new(Arc::clone(&outbox), heard, desk, datagrams)?;
            let thread = spawn("fleetlog-dgram", move || service.run())?;
            inlet.add(Kind::Datagram, outbox, words, thread);
        }
        Ok(inlet)
    }

    fn add(
        &mut self,
        kind: Kind,
        outbox: Arc<Outbox>,
        words: Sender<Word>,
        thread: JoinHandle<()>,
    ) {
        let look = Look::default();
        self.sides.push(Side { kind, outbox, words, thread: Some(thread), look });
    }

    /// Gives a connection to the thread of streams.
    pub(crate) fn welcome(&mut self, arrival: Arrival) {
        if let Some(streams) = self.sides.iter().find(|side| side.kind == Kind::Stream) {
            streams.tell(Word::Arrived(Box::new(arrival)));
        }
    }

    /// Asks the threads to look at everything that was sent until now.
    pub(crate) fn ask_to_look(&self) {
        for side in &self.sides {
            side.tell(Word::Look);
        }
    }

    /// Whether everything that foreign clients sent before `arrived` was taken, with stamps that
    /// are not later than `cutoff`.
    pub(crate) fn has_looked(&self, arrived: Stamp, cutoff: Stamp) -> bool {
        // A thread that is gone will never look.
        self.sides.iter().all(|side| side.look.covers(arrived, cutoff) || side.is_gone())
    }

    /// Whether something waits that can be used.
    pub(crate) const fn is_active(&self) -> bool {
        !self.active.is_empty()
    }

    /// Takes what the threads have.
    pub(crate) fn fetch(&mut self) -> Vec<Fetched> {
        let fetched = self.sides.iter_mut().map(|side| {
            let Taken { news, offended, look } = side.outbox.take();
            side.look = look;
            Fetched { kind: side.kind, news, offended }
        });
        fetched.collect()
    }

    /// Takes a worker in.
    pub(crate) fn begin(&mut self, number: ForeignNumber, link: WorkerLink) {
        let guest = Guest { feed: Feed::default(), link, ended: false, is_listed: false };
        self.guests.insert(number, guest);
    }

    pub(crate) fn guest(&mut self, number: ForeignNumber) -> Option<&mut Guest> {
        self.guests.get_mut(&number)
    }

    /// All foreign workers.
    pub(crate) fn guests(&self) -> impl Iterator<Item = &Guest> {
        self.guests.values()
    }

    /// The guest has something to say.
    pub(crate) fn activate(&mut self, number: ForeignNumber) {
        if let Some(guest) = self.guests.get_mut(&number)
            && !std::mem::replace(&mut guest.is_listed, true)
        {
            self.active.push(number);
        }
    }

    /// Those who have something to say, who are then not listed any more.
    pub(crate) fn take_active(&mut self) -> Vec<ForeignNumber> {
        let active = std::mem::take(&mut self.active);
        for number in &active {
            if let Some(guest) = self.guests.get_mut(number) {
                guest.is_listed = false;
            }
        }
        active
    }

    /// Forgets a worker.
    pub(crate) fn remove(&mut self, number: ForeignNumber) -> Option<Guest> {
        let guest = self.guests.remove(&number)?;
        if guest.is_listed {
            self.active.retain(|active| *active != number);
        }
        Some(guest)
    }

    /// Tells the threads to hear nobody any more. They end when what was sent until now is in their
    /// outboxes, and need those to be [fetched](Self::fetch) meanwhile.
    pub(crate) fn end(&self) {
        for side in &self.sides {
            side.tell(Word::End);
        }
    }

    /// Whether all threads have ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.sides.iter().all(Side::is_gone)
    }

    /// Waits for threads that [have ended](Self::has_ended).
    pub(crate) fn join(&mut self) {
        for side in &mut self.sides {
            if let Some(thread) = side.thread.take()
                && thread.join().is_err()
            {
                crate::diagnostic::error!("a thread of foreign clients has panicked");
            }
            let now = stamp::now();
            side.look = Look { began: now, ended: now };
        }
    }
}

impl Drop for Inlet {
    fn drop(&mut self) {
        for side in &self.sides {
            side.tell(Word::End);
        }
    }
}

impl Side {
    fn tell(&self, word: Word) {
        // A thread that is gone hears nothing.
        let _ = self.words.send(word);
        self.outbox.ring();
    }

    fn is_gone(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(run)
}
