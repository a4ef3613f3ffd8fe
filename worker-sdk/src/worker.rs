//! The worker: one process's end of a fleet, behind the layer.
//!
//! A [`Worker`] belongs to one run directory and lives as long as the program; each process that
//! comes out of a fork has a [`Process`] of its own under it. Its promises: the calling thread
//! does all the work, nothing here can panic, a call waits at most the stall budget, and a record
//! that can't be taken is counted.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fleetlog_protocol::lane_queue::Lanes;
use fleetlog_protocol::limits::{LANE_CAPACITY, LANE_RECORD_MAX};
use fleetlog_protocol::message::DropReason;
use fleetlog_protocol::socket_queue::{CallsiteOf, LinkNumber, WhenFull, pause};
use fleetlog_protocol::worker_defaults::WorkerDefaults;

use crate::builder::Transport;
use crate::fork::{self, List, PerProcess, Published};
use crate::process::{Process, Road, release_inherited};
use crate::say;
use crate::thread::{self, Caller, Inside};

/// How long an ending process waits for another of its threads to let go of the queue.
const EXIT_PATIENCE: Duration = Duration::from_secs(1);

/// How often a waiting call looks again.
const GLANCE: Duration = Duration::from_millis(1);

/// How often a waiting call rings, so that a listener that came meanwhile hears of the lanes.
const RING_AGAIN: Duration = Duration::from_millis(50);

/// Every worker of this program, for the calls that mean all of them.
static WORKERS: List<Worker> = List::new();

/// What a worker was built with.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The run directory as the program named it.
    pub(crate) given_run_dir: PathBuf,
    /// An absolute path.
    pub(crate) run_dir: PathBuf,
    pub(crate) socket: PathBuf,
    pub(crate) transport: Transport,
    pub(crate) when_full: WhenFull,
    pub(crate) window: usize,
    pub(crate) record_max: usize,
    /// Whether the level can be changed from outside.
    pub(crate) live_level: bool,
    /// The bytes that a lane may have; `None` = what the listener says, or the usual ones.
    pub(crate) lane_max: Option<usize>,
}

impl Settings {
    /// The bytes that a lane of a new segment may have.
    pub(crate) fn lane_max(&self) -> usize {
        self.lane_max.unwrap_or_else(|| {
            let offered = WorkerDefaults::read(&self.run_dir).lane_max;
            offered.map_or(LANE_CAPACITY, |offered| usize::try_from(offered).unwrap_or(usize::MAX))
        })
    }
}

pub(crate) struct Worker {
    pub(crate) settings: Settings,
    record_max: usize,
    name: Published<String>,
    /// The connection of the socket queue.
    pub(crate) socket_link: LinkNumber,
    /// The connection of the lanes' bell.
    pub(crate) bell_link: LinkNumber,
    /// The segment's file, which a child must let go of as well.
    pub(crate) segment_file: LinkNumber,
    process: PerProcess<Process>,
    /// Records that a thread made while it was inside, and that nobody has reported yet.
    reentrant: AtomicU64,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("name", &self.name())
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Worker {
    /// Makes a worker that lives as long as the program.
    pub(crate) fn new(settings: Settings, name: String) -> &'static Self {
        fork::prepare(in_child, at_exit);
        say::set_up();
        let record_max = match settings.transport {
            Transport::Socket => settings.record_max,
            Transport::Auto | Transport::Lanes => settings.record_max.min(LANE_RECORD_MAX),
        };
        let worker = Self {
            settings,
            record_max,
            name: Published::empty(),
            socket_link: LinkNumber::new(),
            bell_link: LinkNumber::new(),
            segment_file: LinkNumber::new(),
            process: PerProcess::new(),
            reentrant: AtomicU64::new(0),
        };
        worker.replace_name(name);
        let worker: &'static Self = Box::leak(Box::new(worker));
        WORKERS.push(worker);
        worker
    }

    /// All workers of this program.
    pub(crate) fn all() -> impl Iterator<Item = &'static Self> {
        WORKERS.iter()
    }

    /// The worker of a run directory, if there is one, also by the relative path that the program
    /// gave it, wherever the process is by now.
    pub(crate) fn of(run_dir: &Path) -> Option<&'static Self> {
        Self::all().find(|worker| {
            let settings = &worker.settings;
            settings.run_dir == run_dir || settings.given_run_dir == run_dir
        })
    }

    /// The longest record, in bytes. The same whichever way a record takes in the end: a full
    /// disk must not change what an event looks like.
    #[inline]
    pub(crate) const fn record_max(&self) -> usize {
        self.record_max
    }

    /// The worker's name in this process.
    pub(crate) fn name(&self) -> String {
        self.name.read(|name| name.cloned().unwrap_or_default())
    }

    /// Frees the name before, unless somebody reads it in this very moment.
    fn replace_name(&self, name: String) {
        let mut before = vec![self.name.replace(Some(name))];
        self.name.free(&mut before);
    }

    /// Sends a finished record. What can't be sent is counted.
    #[inline]
    pub(crate) fn send(
        &'static self,
        caller: Caller<'_>,
        record: &mut Vec<u8>,
        urgent: bool,
        callsite: CallsiteOf<'_>,
    ) {
        let Some(_inside) = Inside::enter() else {
            // Relaxed: a count that is read by whoever sends next; nothing hangs on it.
            self.reentrant.fetch_add(1, Ordering::Relaxed);
            return;
        };
        caller.on_road(self, |road| {
            road.send(self, record, urgent, callsite);
            // Behind the record during which they were made, so that the gap is in its place.
            if self.reentrant.load(Ordering::Relaxed) > 0 {
                road.count_lost(DropReason::Reentrant, self.reentrant.swap(0, Ordering::Relaxed));
            }
        });
    }

    pub(crate) fn set_name(&'static self, name: &str) {
        self.replace_name(name.to_owned());
        crate::live_level::name_changed(self);
        let Some(process) = self.process.existing() else { return };
        let Some(_inside) = Inside::enter() else { return };
        if let Some(lanes) = process.existing_lanes() {
            lanes.set_name(name);
        }
        if let Some(queue) = process.existing_socket() {
            queue.set_name(name);
        }
    }

    /// Waits until everything logged so far is in the files; returns the records that are not.
    pub(crate) fn sync(&'static self, deadline: Instant) -> u64 {
        let Some(process) = self.process.existing() else { return 0 };
        // In a signal handler that interrupted a log call nothing can be looked at: at least that
        // record is not known to be in the files.
        let Some(mut inside) = Inside::enter() else { return 1 };
        let mut lanes = process.existing_lanes().map(LanesBehind::new);
        let mut socket = process.existing_socket().map(|queue| (queue, None));
        loop {
            let lanes_wait = lanes.as_mut().is_some_and(LanesBehind::wait_still);
            let unacked = socket.as_mut().map_or(0, |(queue, target)| {
                let unacked = queue.with(|queue| {
                    let target = *target.get_or_insert(queue.last_seq());
                    queue.pump();
                    target.saturating_sub(queue.acked())
                });
                // A queue that was not to be had may have something.
                unacked.unwrap_or(1)
            });
            if !lanes_wait && unacked == 0 {
                return 0;
            }
            if Instant::now() >= deadline {
                return unacked + lanes.map_or(0, |lanes| lanes.records());
            }
            // A signal handler that logs while this thread only waits may do so.
            drop(inside);
            pause(GLANCE);
            let Some(again) = Inside::enter() else { return 1 };
            inside = again;
        }
    }

    /// Reports what is due, sends what waits, and takes leave from the listener. What stands in
    /// lanes is safe there and needs no waiting.
    pub(crate) fn goodbye(&'static self) {
        let Some(process) = self.process.existing() else { return };
        let Some(_inside) = Inside::enter() else { return };
        let reentrant = self.reentrant.swap(0, Ordering::Relaxed);
        if let Some(lanes) = process.existing_lanes() {
            lanes.count_lost(DropReason::Reentrant, reentrant);
            thread::give_back(self);
            lanes.goodbye();
            process.tell_of_removed(lanes);
        }
        if let Some(queue) = process.existing_socket() {
            if process.existing_lanes().is_none() {
                queue.count_lost(DropReason::Reentrant, reentrant);
            }
            queue.goodbye(EXIT_PATIENCE);
            let looked = queue.with(|queue| process.tell_of_undelivered(self, queue));
            if looked.is_none() {
                say::lost_without_a_number();
            }
        }
    }

    /// What this process has of the worker.
    pub(crate) fn process(&'static self) -> &'static Process {
        self.process.get(Process::new)
    }

    /// A way for the records of the calling thread.
    pub(crate) fn road_of_thread(&'static self) -> Road {
        self.process().road_of_thread(self)
    }

    /// A way for the records of a thread that can keep no lane.
    #[cold]
    pub(crate) fn road_of_nobody(&'static self) -> Road {
        self.process().road_of_nobody(self)
    }
}

/// Lanes with records that somebody waits for.
struct LanesBehind<'a> {
    lanes: &'a Lanes,
    /// Lanes that are not written up to what was published before the call.
    heads: Vec<(usize, u64)>,
    rang_at: Instant,
}

impl<'a> LanesBehind<'a> {
    fn new(lanes: &'a Lanes) -> Self {
        let heads = lanes.heads();
        lanes.ring();
        Self { lanes, heads, rang_at: Instant::now() }
    }

    fn wait_still(&mut self) -> bool {
        self.heads.retain(|(lane, head)| !self.lanes.is_written(*lane, *head));
        if !self.heads.is_empty() && self.rang_at.elapsed() >= RING_AGAIN {
            self.lanes.ring();
            self.rang_at = Instant::now();
        }
        !self.heads.is_empty()
    }

    fn records(&self) -> u64 {
        self.heads.iter().map(|(lane, head)| self.lanes.unwritten(*lane, *head)).sum()
    }
}

/// Runs in a child that `fork` made. Only atomics and descriptors may be touched here.
extern "C" fn in_child() {
    for worker in WORKERS.iter() {
        release_inherited(&worker.socket_link);
        release_inherited(&worker.bell_link);
        release_inherited(&worker.segment_file);
        // The parent's, who reports them.
        worker.reentrant.store(0, Ordering::Relaxed);
    }
}

extern "C" fn at_exit() {
    for worker in WORKERS.iter() {
        worker.goodbye();
    }
}
