//! One trial: one peer logs into fresh files, and the files are judged.

use std::io;
use std::ops::Range;
use std::time::{Duration, Instant};

use fleetlog::options::Keeping;
use nix::unistd::Pid;

use crate::completeness::{self, Verdict};
use crate::consumer::Consumer;
use crate::peer::{Leave, Peer};
use crate::place::Place;
use crate::pool::{Gate, Pool};
use crate::usage::{self, Cpus};

/// A trial that is under way.
#[derive(Debug)]
pub(crate) struct Trial {
    peer: Peer,
    place: Place,
    consumer: Consumer,
    cpus: Cpus,
    before: Duration,
}

/// What every trial shows.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    /// From the start of the workers until every line is in the file.
    pub(crate) time: Duration,
    /// CPU time of the workers, set-up included.
    pub(crate) workers: Duration,
    /// CPU time of the process that writes the file, if there is one.
    pub(crate) consumer: Duration,
    /// The share of the machine that other processes had, in percent.
    pub(crate) foreign: f64,
    /// Records that were logged.
    pub(crate) logged: u64,
    /// `None` where nothing is written.
    pub(crate) verdict: Option<Verdict>,
}

impl Course {
    /// Records that count as work done: a lost one was none.
    pub(crate) fn records(&self) -> f64 {
        // A number of records is exact as an `f64`: it is below 2^53.
        self.verdict.map_or(self.logged, |verdict| verdict.kept()).max(1) as f64
    }
}

impl Trial {
    /// Makes the folders and starts whoever reads what the workers will send.
    pub(crate) fn begin(peer: Peer) -> io::Result<Self> {
        // One file, so that its lines can be counted.
        Self::begin_in(Place::new()?, peer, &Keeping::forever())
    }

    /// As [`begin`](Self::begin), in folders that were made, with files that are kept otherwise.
    pub(crate) fn begin_in(place: Place, peer: Peer, keeping: &Keeping) -> io::Result<Self> {
        let (cpus, before) = (Cpus::now(), usage::of_children());
        let consumer = Consumer::start(peer, &place, keeping)?;
        Ok(Self { peer, place, consumer, cpus, before })
    }

    /// Forks workers that are set up as the peer's; see [`Pool::fork`].
    pub(crate) fn fork(
        &self,
        workers: Range<u32>,
        work: impl Fn(u32, Leave, &mut Gate) -> io::Result<Vec<u8>>,
    ) -> io::Result<Pool> {
        Pool::fork(workers, |worker, gate| {
            let leave = self.peer.set_up(worker, &self.place, &self.consumer)?;
            work(worker, leave, gate)
        })
    }

    /// The listener's process.
    pub(crate) fn listener(&self) -> io::Result<Pid> {
        self.consumer.listener()
    }

    pub(crate) const fn place(&self) -> &Place {
        &self.place
    }

    /// Ends a trial whose workers are all gone. The worker with the number `n` logged `records[n]`
    /// records.
    pub(crate) fn end(mut self, start: Instant, records: &[u32]) -> io::Result<Course> {
        let workers_gone = Instant::now();
        let between = usage::of_children();
        let logged = records.iter().copied().map(u64::from).sum();
        let end = self.consumer.finish(&self.place, logged, workers_gone)?;
        let after = usage::of_children();
        let foreign = Cpus::now().foreign_since(self.cpus);
        let verdict = self.peer.has_output().then(|| {
            let files = self.consumer.files(&self.place)?;
            completeness::judge(&files, records)
        });
        Ok(Course {
            time: end - start,
            workers: between - self.before,
            consumer: after - between,
            foreign,
            logged,
            verdict: verdict.transpose()?,
        })
    }
}
