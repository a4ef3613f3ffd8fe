//! The desk: where decoded entries of one foreign thread become records of a worker.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fleetlog_protocol::message::{DropReason, bounded_name};
use fleetlog_protocol::stamp::{self, Stamp};
use jiff::tz::TimeZone;

use super::entry::{Entry, Value};
use super::outbox::{Look, News, Outbox, Waiting};
use super::place::{Clock, Window};
use super::rate::{Bucket, PROCESSES_PER_UID, RateLimit};
use super::translate::{self, Scratch, shown_time};
use super::workers::{Hold, Identity, ROLL_CALL, Worker, Workers};
use super::{Peer, Process, decode, pressure};
use crate::intake::Offence;

/// Staged bytes that are handed over at once.
const PARCEL: usize = 256 << 10;

/// How often the log is told of what a rate limit left out, at most.
const REPORT_PAUSE: Duration = Duration::from_millis(500);

/// News that wait for the drain. Beyond them, processes that log for the first time are taken for one.
const NEWS_MAX: usize = 1 << 16;

/// Buckets of users that are kept. More users than that do not log to one listener; a bucket
/// that is forgotten begins anew, full.
const USERS_MAX: usize = 1024;

#[derive(Debug)]
pub(super) struct Desk {
    workers: Workers,
    outbox: Arc<Outbox>,
    staged: Vec<News>,
    staged_bytes: usize,
    /// Workers with staged frames.
    touched: Vec<usize>,
    waiting: Waiting,
    clock: Clock,
    zone: TimeZone,
    host: String,
    rate: Option<RateLimit>,
    users: HashMap<u32, Bucket>,
    scratch: Scratch,
    roll_call: Instant,
    /// Something was left out and its report waits for room.
    owes_reports: bool,
}

impl Desk {
    pub(super) fn new(
        outbox: Arc<Outbox>,
        rate: Option<RateLimit>,
        resumable: Vec<(Process, u64)>,
    ) -> Self {
        let host = nix::unistd::gethostname().unwrap_or_default();
        Self {
            workers: Workers::new(resumable),
            outbox,
            staged: Vec::new(),
            staged_bytes: 0,
            touched: Vec::new(),
            waiting: Waiting { bytes: 0, news: 0, takes: 0 },
            clock: Clock::measure(),
            zone: TimeZone::system(),
            host: host.to_string_lossy().into_owned(),
            rate,
            users: HashMap::new(),
            scratch: Scratch::default(),
            roll_call: Instant::now() + ROLL_CALL,
            owes_reports: false,
        }
    }

    /// Measures the clock anew; once in a while is enough.
    pub(super) fn begin(&mut self) {
        self.clock = Clock::measure();
    }

    pub(super) const fn clock(&self) -> Clock {
        self.clock
    }

    /// What a decoder of times that lack their year or zone needs.
    pub(super) fn now(&self) -> decode::syslog::Now {
        decode::syslog::Now { time: stamp::wall_now(), zone: self.zone.clone() }
    }

    /// The worker of a peer, which an entry may help to name.
    pub(super) fn worker(
        &mut self,
        peer: Peer,
        protocol: &'static str,
        entry: &Entry<'_>,
    ) -> usize {
        // A peer outside of our pid namespace has no pid there; its own word is better than none.
        let is_claimed = peer.pid == 0;
        let pid = if is_claimed { entry.pid.unwrap_or(0) } else { peer.pid };
        let mut identity = Identity { pid, uid: peer.uid, is_claimed };
        let now = Instant::now();
        if let Some(index) = self.workers.find(identity, now) {
            return index;
        }
        let is_full = self.waiting.news + self.staged.len() > NEWS_MAX;
        if is_full {
            // The drain takes nothing, and each newcomer costs memory. They are counted as one.
            identity = Identity { pid: 0, uid: u32::MAX, is_claimed: true };
            if let Some(index) = self.workers.find(identity, now) {
                return index;
            }
        }
        if self.workers.is_crowded() {
            self.call_the_roll();
        }
        let Identity { pid, uid, is_claimed } = identity;
        let mut process = match is_claimed {
            true => Process { pid, uid, start_time: 0, name: "".into() },
            false => Process::look_up(pid, uid),
        };
        if is_full {
            process.name = "others".into();
        }
        if process.name.is_empty() {
            let name = if entry.target.is_empty() { "unknown" } else { &*entry.target };
            process.name = bounded_name(name).into();
        }
        let bucket = self.rate.map(|limit| Bucket::new(limit, 1, stamp::now()));
        let (index, position) = self.workers.add(identity, process.clone(), bucket, now);
        if let Some(worker) = self.workers.get_mut(index) {
            let worker = worker.number;
            self.staged.push(News::Begun { worker, process, protocol, position });
        }
        index
    }

    /// A connection speaks for a worker, or does no more.
    pub(super) fn link(&mut self, index: usize) {
        if let Some(worker) = self.workers.get_mut(index) {
            worker.links += 1;
        }
    }

    pub(super) fn unlink(&mut self, index: usize) {
        if let Some(worker) = self.workers.get_mut(index) {
            worker.links = worker.links.saturating_sub(1);
        }
    }

    /// Logs an entry of `len` bytes that was sent within the window. One that names no target has
    /// its protocol for one.
    pub(super) fn log(
        &mut self,
        index: usize,
        protocol: &'static str,
        mut entry: Entry<'_>,
        len: usize,
        window: Window,
    ) {
        let Some(worker) = self.workers.get_mut(index) else { return };
        let urgent = entry.level.is_urgent();
        let place = window.place(entry.time, self.clock);
        worker.last_stamp = worker.last_stamp.max(place.stamp);
        worker.seq += 1;
        let waiting = self.waiting.bytes + self.staged_bytes;
        let held = if urgent { None } else { is_held(worker, waiting) };
        let refused = if held.is_some() {
            held
        } else if !is_within_rate(worker, &mut self.users, self.rate, len, urgent) {
            worker.hold = Some(Hold::Until(Instant::now() + REPORT_PAUSE));
            Some(DropReason::RateLimited)
        } else if !has_room(worker, self.waiting, self.staged_bytes, urgent) {
            worker.hold = Some(Hold::UntilRelief);
            Some(DropReason::Full)
        } else {
            None
        };
        if let Some(reason) = refused {
            worker.drops.count(reason);
            self.owes_reports = true;
            return;
        }
        if entry.target.is_empty() {
            entry.target = protocol.into();
        }
        if let (true, Some(claim)) = (place.differs, entry.time) {
            entry.field("claimed.time", Value::Str(shown_time(claim.time)));
        }
        if let Some(pid) = entry.pid.filter(|pid| *pid != worker.process.pid) {
            entry.field("claimed.pid", Value::U64(u64::from(pid)));
        }
        if let Some(host) = entry.host.take().filter(|host| !is_this_host(host, &self.host)) {
            entry.field("claimed.host", Value::Str(host));
        }
        if worker.staged.is_empty() {
            self.touched.push(index);
        }
        let before = worker.staged.len();
        report_drops(worker, worker.seq - 1, place.stamp);
        let (seq, Worker { sites, staged, .. }) = (worker.seq, worker);
        translate::record(&entry, (seq, place.stamp), sites, &mut self.scratch, staged);
        self.staged_bytes += staged.len() - before;
        if self.staged_bytes >= PARCEL {
            self.hand_over();
        }
    }

    /// Tells the drain of a client that did something wrong.
    pub(super) fn offend(&mut self, offence: Offence, peer: Peer) {
        // What it sent before stands before it.
        self.hand_over();
        self.outbox.offend(offence, peer);
    }

    /// Tells the drain of a connection that was closed.
    pub(super) fn closed(&mut self) {
        self.staged.push(News::Closed);
    }

    /// Puts everything that is staged into the outbox.
    pub(super) fn hand_over(&mut self) {
        for index in std::mem::take(&mut self.touched) {
            let Some(worker) = self.workers.get_mut(index) else { continue };
            let bytes = std::mem::take(&mut worker.staged);
            if worker.waiting.0 != self.waiting.takes {
                worker.waiting = (self.waiting.takes, 0);
            }
            worker.waiting.1 += bytes.len();
            self.staged.push(News::Frames { worker: worker.number, bytes });
        }
        self.waiting = self.outbox.put(&mut self.staged, self.staged_bytes);
        self.staged_bytes = 0;
    }

    /// Bytes that wait for the drain.
    pub(super) const fn waiting(&self) -> usize {
        self.waiting.bytes + self.staged_bytes
    }

    /// Wants to be woken when the drain takes what waits.
    pub(super) fn want_room(&mut self) {
        self.waiting = self.outbox.want_room();
    }

    /// Tells the drain that everything that was sent before `began` is in the outbox.
    pub(super) fn looked(&mut self, began: Stamp) {
        self.hand_over();
        self.outbox.looked(Look { began, ended: stamp::now() });
    }

    /// When the desk has something to do of its own.
    pub(super) fn due(&self) -> Option<Instant> {
        (!self.workers.is_empty()).then_some(self.roll_call)
    }

    /// Whether reports of what was left out wait for room.
    pub(super) const fn owes_reports(&self) -> bool {
        self.owes_reports
    }

    /// Reports what was left out, as far as there is room, and ends the workers that are gone.
    pub(super) fn tend(&mut self) {
        if self.owes_reports {
            let waiting = self.waiting();
            self.report(|worker| is_held(worker, waiting).is_none());
        }
        if Instant::now() >= self.roll_call {
            self.call_the_roll();
        }
    }

    /// Reports what was left out, whether there is room or not: there is no later.
    pub(super) fn report_all(&mut self) {
        self.report(|_| true);
    }

    fn report(&mut self, is_due: impl Fn(&mut Worker) -> bool) {
        let now = stamp::now();
        self.owes_reports = false;
        for (index, worker) in self.workers.iter_mut() {
            if worker.drops.total() > 0 {
                if !is_due(worker) {
                    self.owes_reports = true;
                    continue;
                }
                if worker.staged.is_empty() {
                    self.touched.push(index);
                }
                worker.last_stamp = worker.last_stamp.max(now);
                let before = worker.staged.len();
                report_drops(worker, worker.seq, now);
                self.staged_bytes += worker.staged.len() - before;
            }
        }
    }

    fn call_the_roll(&mut self) {
        self.roll_call = Instant::now() + ROLL_CALL;
        let gone = self.workers.gone();
        if gone.is_empty() {
            return;
        }
        self.report_all();
        self.hand_over();
        for worker in gone.into_iter().filter_map(|index| self.workers.remove(index)) {
            self.scratch.forget(&worker.sites);
            self.staged.push(News::Ended { worker: worker.number });
        }
    }
}

/// Appends the report of what was left out up to `last_seq`.
fn report_drops(worker: &mut Worker, last_seq: u64, stamp: Stamp) {
    let drops = std::mem::take(&mut worker.drops);
    if drops.total() > 0 {
        translate::gap(last_seq, stamp, drops, &mut worker.staged);
    }
}

/// Why a worker may not log yet after something was left out.
fn is_held(worker: &mut Worker, waiting: usize) -> Option<DropReason> {
    match worker.hold? {
        Hold::UntilRelief if !pressure::is_relieved(waiting) => Some(DropReason::Full),
        Hold::Until(time) if Instant::now() < time => Some(DropReason::RateLimited),
        _ => {
            worker.hold = None;
            None
        }
    }
}

fn is_within_rate(
    worker: &mut Worker,
    users: &mut HashMap<u32, Bucket>,
    rate: Option<RateLimit>,
    len: usize,
    urgent: bool,
) -> bool {
    let (Some(limit), Some(own)) = (rate, &mut worker.bucket) else { return true };
    let now = stamp::now();
    if users.len() >= USERS_MAX && !users.contains_key(&worker.process.uid) {
        users.clear();
    }
    let user = users.entry(worker.process.uid);
    let user = user.or_insert_with(|| Bucket::new(limit, PROCESSES_PER_UID, now));
    let allowed = own.has_room(len, urgent, now) && user.has_room(len, urgent, now);
    if allowed {
        own.take(len);
        user.take(len);
    }
    allowed
}

fn has_room(worker: &Worker, waiting: Waiting, staged_bytes: usize, urgent: bool) -> bool {
    let (takes, bytes) = worker.waiting;
    let own = worker.staged.len() + if takes == waiting.takes { bytes } else { 0 };
    pressure::has_room(waiting.bytes + staged_bytes, own, urgent)
}

/// Whether a client that claims to be on this host means this one: with or without a domain.
fn is_this_host(claimed: &str, host: &str) -> bool {
    let short = |name: &str| name.split('.').next().unwrap_or("").to_ascii_lowercase();
    claimed == "localhost" || (!claimed.is_empty() && short(claimed) == short(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_known_by_its_short_name() {
        assert!(is_this_host("web-1", "web-1.example.org"));
        assert!(is_this_host("WEB-1.example.org", "web-1"));
        assert!(is_this_host("localhost", "web-1"));
        assert!(!is_this_host("web-2", "web-1"));
        assert!(!is_this_host("", ""));
    }
}
