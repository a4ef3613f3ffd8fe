//! Deduplication: equal records of many workers become one line.
//!
//! Records wait here, in their order, for at most the window that was asked for; one that says what
//! another one said that still waits is added to it and makes no line of its own. Equal are records
//! of equal callsites with equal values in every field and span: nothing that differs, no number
//! either, is merged away, and the line tells of each record whose it was and its own number.
//!
//! Nothing is at risk meanwhile: what waits is in no batch, so that its workers keep it, and a
//! listener that is killed finds it again. That is also why little may wait: the room in a lane is
//! given back with the batch. When what waits is enough for that to be felt, it is written early.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fleetlog_protocol::callsite::Callsite;
use fleetlog_protocol::limits::LANE_CAPACITY;
use fleetlog_protocol::record::{Record, content_of};

use crate::format::{Line, Origin, Repeat};
use crate::sink::{Pending, SinkMask, Sinks};

/// The bytes of records that wait: a quarter of a lane, so that a worker whose records all wait does
/// not feel it.
const WAITING_MAX: usize = LANE_CAPACITY / 4;

/// Records that share one line: more would make it longer than a person reads.
const REPEATS_MAX: usize = 1024;

/// What one more repeat may add to a line: its numbers, its worker's name with every byte escaped,
/// and the words around them.
const fn growth(worker: &str) -> usize {
    96 + 6 * worker.len()
}

/// A record that waits.
#[derive(Debug)]
struct Held {
    bytes: Vec<u8>,
    callsite: Arc<Callsite>,
    worker: Arc<str>,
    pid: u32,
    lane: u32,
    time: u64,
    sinks: SinkMask,
    repeats: Vec<Repeat>,
}

/// A record that comes from the merge.
pub(super) struct Arrival<'a> {
    pub(super) line: &'a Line<'a>,
    /// Its bytes.
    pub(super) bytes: &'a [u8],
    pub(super) callsite: &'a Arc<Callsite>,
    pub(super) worker: &'a Arc<str>,
    pub(super) sinks: SinkMask,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offered {
    /// It waits for its line.
    Held,
    /// It shares the line of one that waits.
    Merged,
    /// A file must be rotated before it: write what waits, and come again.
    Full,
}

/// The records that wait.
#[derive(Debug)]
pub(super) struct Dedup {
    window: Duration,
    held: Vec<Held>,
    /// The last one of each content, by its hash.
    latest: HashMap<u64, usize>,
    hashes: RandomState,
    bytes: usize,
    /// What the lines will need in each file.
    pending: Pending,
    /// When they must be written.
    due: Option<Instant>,
}

impl Dedup {
    pub(super) fn new(window: Duration) -> Self {
        Self {
            window,
            held: Vec::new(),
            latest: HashMap::new(),
            hashes: RandomState::new(),
            bytes: 0,
            pending: Pending::default(),
            due: None,
        }
    }

    /// When what waits must be written; `None` = nothing waits.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether so much waits that it must not wait any longer.
    pub(super) const fn is_full(&self) -> bool {
        self.bytes >= WAITING_MAX
    }

    /// Takes a record in.
    pub(super) fn offer(&mut self, arrival: &Arrival<'_>, sinks: &mut Sinks) -> Offered {
        let hash = self.hash(arrival, sinks);
        let known = self.latest.get(&hash).copied().filter(|at| self.is_equal(*at, arrival, sinks));
        let Arrival { line, bytes, callsite, worker, sinks: mask } = *arrival;
        if let Some(held) = known.and_then(|at| self.held.get_mut(at)) {
            let growth = growth(worker);
            if !sinks.has_room_to_grow(mask, line, growth, &mut self.pending) {
                return Offered::Full;
            }
            let repeat = Repeat {
                worker: Arc::clone(worker),
                pid: line.pid,
                lane: line.lane,
                seq: line.record.seq,
            };
            held.repeats.push(repeat);
            self.bytes += bytes.len();
            return Offered::Merged;
        }
        if !sinks.has_room_for(mask, line, &mut self.pending) {
            return Offered::Full;
        }
        self.latest.insert(hash, self.held.len());
        self.bytes += bytes.len();
        self.due.get_or_insert_with(|| Instant::now() + self.window);
        self.held.push(Held {
            bytes: bytes.to_vec(),
            callsite: Arc::clone(callsite),
            worker: Arc::clone(worker),
            pid: line.pid,
            lane: line.lane,
            time: line.time,
            sinks: mask,
            repeats: Vec::new(),
        });
        Offered::Held
    }

    /// Puts everything that waits into the batch. Its files were prepared and have room.
    pub(super) fn flush(&mut self, sinks: &mut Sinks) {
        for held in self.held.drain(..) {
            // It was decoded when it came.
            let Ok(record) = Record::decode(&held.bytes) else { continue };
            let line = Line {
                record: &record,
                callsite: &held.callsite,
                worker: &held.worker,
                pid: held.pid,
                lane: held.lane,
                time: held.time,
                repeats: &held.repeats,
                origin: Origin::Client,
            };
            sinks.append_notice(held.sinks, &line);
        }
        self.latest.clear();
        self.bytes = 0;
        self.pending.clear();
        self.due = None;
    }

    fn hash(&self, arrival: &Arrival<'_>, sinks: &Sinks) -> u64 {
        let mut hasher = self.hashes.build_hasher();
        let Callsite { target, name, file, line, .. } = &**arrival.callsite;
        (target, name, file, line, arrival.sinks).hash(&mut hasher);
        content_of(arrival.bytes).hash(&mut hasher);
        if sinks.is_per_worker(arrival.sinks) {
            (arrival.worker, arrival.line.pid).hash(&mut hasher);
        }
        hasher.finish()
    }

    fn is_equal(&self, at: usize, arrival: &Arrival<'_>, sinks: &Sinks) -> bool {
        let Some(held) = self.held.get(at) else { return false };
        // In a file of one worker the others' records would be missing.
        let may_share = !sinks.is_per_worker(arrival.sinks)
            || (&held.worker, held.pid) == (arrival.worker, arrival.line.pid);
        may_share
            && held.repeats.len() < REPEATS_MAX
            && held.sinks == arrival.sinks
            && held.callsite == *arrival.callsite
            && content_of(&held.bytes) == content_of(arrival.bytes)
    }
}
