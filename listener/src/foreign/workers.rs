//! The workers of a foreign thread: what is kept of each process from its first record to its end.
//!
//! A process is one worker, however many connections it has, and stays one when it connects anew.
//! It ends when it is gone and no connection speaks for it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use fleetlog_protocol::message::Drops;
use fleetlog_protocol::stamp::Stamp;

use super::Process;
use super::rate::Bucket;
use super::translate::Sites;

/// How long a process is believed to be the one of its pid before it is looked at again.
const TRUST: Duration = Duration::from_secs(1);

/// How often the workers are asked whether they still run.
pub(super) const ROLL_CALL: Duration = Duration::from_secs(5);

/// Workers of one foreign thread. With more, those that are gone are looked for at once, and then
/// those that have been silent for longest are forgotten.
const WORKERS_MAX: usize = 4096;

/// A process that logs.
#[derive(Debug)]
pub(super) struct Worker {
    /// Its number for the drain; never given out again.
    pub(super) number: u64,
    pub(super) process: Process,
    /// The last sequence number that was used.
    pub(super) seq: u64,
    pub(super) sites: Sites,
    /// Frames that are not in the outbox yet.
    pub(super) staged: Vec<u8>,
    /// What was left out since the last record.
    pub(super) drops: Drops,
    /// Why it may not log at the moment.
    pub(super) hold: Option<Hold>,
    /// Bytes in the outbox, as of the take of this number.
    pub(super) waiting: (u64, usize),
    pub(super) bucket: Option<Bucket>,
    /// Connections that speak for it.
    pub(super) links: usize,
    pub(super) last_stamp: Stamp,
    identity: Identity,
    seen: Instant,
    checked: Instant,
}

/// Why a worker may not log for a while after something was left out: each time that it logs again
/// the log tells what is missing, and must not be filled with that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// Until there is much room.
    UntilRelief,
    /// Until this time, because its rate would let it log one record now and then.
    Until(Instant),
}

/// Who a worker is: its pid, its uid, and whether the pid is only its own word for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    pub(super) pid: u32,
    pub(super) uid: u32,
    pub(super) is_claimed: bool,
}

/// All workers of a foreign thread.
#[derive(Debug, Default)]
pub(super) struct Workers {
    list: Vec<Option<Worker>>,
    free: Vec<usize>,
    known: HashMap<Identity, usize>,
    last_number: u64,
    /// The last numbers of queues that an earlier listener knew.
    resumable: Vec<(Process, u64)>,
}

impl Workers {
    pub(super) fn new(resumable: Vec<(Process, u64)>) -> Self {
        Self { resumable, ..Self::default() }
    }

    /// The worker of a process, if it is known and still the same process.
    pub(super) fn find(&mut self, identity: Identity, now: Instant) -> Option<usize> {
        let index = *self.known.get(&identity)?;
        let worker = self.list.get_mut(index)?.as_mut()?;
        worker.seen = now;
        if now.saturating_duration_since(worker.checked) < TRUST {
            return Some(index);
        }
        worker.checked = now;
        let start_time = worker.process.start_time;
        let present = fleetlog_protocol::segment::start_time(identity.pid);
        // A process that is gone may have left messages; another one of its pid is another worker.
        if identity.is_claimed || present.is_none_or(|present| present == start_time) {
            return Some(index);
        }
        self.known.remove(&identity);
        None
    }

    /// Takes a process in. Returns its worker, and the number that an earlier listener wrote last.
    pub(super) fn add(
        &mut self,
        identity: Identity,
        process: Process,
        bucket: Option<Bucket>,
        now: Instant,
    ) -> (usize, u64) {
        let same = |(known, _): &(Process, u64)| {
            (known.pid, known.uid, known.start_time)
                == (process.pid, process.uid, process.start_time)
        };
        let resumed = self.resumable.iter().position(same).map(|at| self.resumable.swap_remove(at));
        let position = resumed.map_or(0, |(_, position)| position);
        self.last_number += 1;
        let worker = Worker {
            number: self.last_number,
            process,
            seq: position,
            sites: Sites::default(),
            staged: Vec::new(),
            drops: Drops::default(),
            hold: None,
            waiting: (0, 0),
            bucket,
            links: 0,
            last_stamp: 0,
            identity,
            seen: now,
            checked: now,
        };
        let index = self.free.pop().unwrap_or_else(|| {
            self.list.push(None);
            self.list.len() - 1
        });
        self.list[index] = Some(worker);
        self.known.insert(identity, index);
        (index, position)
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Worker> {
        self.list.get_mut(index)?.as_mut()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.list.len() == self.free.len()
    }

    pub(super) const fn is_crowded(&self) -> bool {
        self.list.len() - self.free.len() >= WORKERS_MAX
    }

    /// Those whose process is gone and for whom no connection speaks; where there are too many,
    /// also those that have been silent for longest.
    pub(super) fn gone(&mut self) -> Vec<usize> {
        let present = (0..self.list.len()).filter_map(|index| {
            let worker = self.list[index].as_ref()?;
            (worker.links == 0).then_some((index, worker))
        });
        let (gone, silent): (Vec<_>, Vec<_>) =
            present.partition(|(_, worker)| !worker.process.runs());
        let mut ended: Vec<usize> = gone.into_iter().map(|(index, _)| index).collect();
        let left = (self.list.len() - self.free.len()).saturating_sub(ended.len());
        if left >= WORKERS_MAX {
            let mut silent: Vec<_> =
                silent.into_iter().map(|(index, worker)| (worker.seen, index)).collect();
            silent.sort_unstable();
            // A quarter at once, so that the next newcomers need no search.
            ended.extend(silent.into_iter().take(WORKERS_MAX / 4).map(|(_, index)| index));
        }
        ended
    }

    /// Forgets a worker. Returns it with what it had not sent.
    pub(super) fn remove(&mut self, index: usize) -> Option<Worker> {
        let worker = self.list.get_mut(index)?.take()?;
        // Another process of its pid may be known by now.
        if self.known.get(&worker.identity) == Some(&index) {
            self.known.remove(&worker.identity);
        }
        self.free.push(index);
        Some(worker)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut Worker)> {
        let list = self.list.iter_mut().enumerate();
        list.filter_map(|(index, worker)| Some((index, worker.as_mut()?)))
    }
}
