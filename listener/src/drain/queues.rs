//! Queues: what the listener knows of each worker's queue, beside the checkpoint's copy of it.
#![deny(clippy::arithmetic_side_effects, reason = "these numbers come from anybody")]

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use fleetlog_protocol::limits::{CONNECTIONS_PER_UID_MAX, LANES_MAX};
use fleetlog_protocol::message::{Losses, QueueId, Receipt, WorkerAccount};
use fleetlog_protocol::segment::start_time;
use fleetlog_protocol::stamp::Stamp;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{SysconfVar, sysconf};

use super::tally::Tally;
use crate::checkpoint::{Advance, Checkpoint, QueueSlot, QueueState};
use crate::foreign::{Kind, Process, Resumable};
use crate::intake::peer::Peer;
use crate::intake::segments::LaneIndex;
use crate::intake::{Feed, Token};

/// A queue's number while the listener knows it.
pub(crate) type QueueIndex = usize;

#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) name: Arc<str>,
    pub(crate) pid: u32,
    pub(crate) uid: u32,
    /// The last sequence number that is in a batch.
    pub(crate) position: u64,
    /// Records that are in a batch.
    pub(crate) written: u64,
    /// What is lost of it, as far as this listener heard.
    pub(crate) losses: Losses,
    /// The connection that speaks for it, and how many there are.
    pub(crate) token: Option<Token>,
    pub(crate) links: u32,
    pub(crate) last_record: Stamp,
    pub(crate) tally: Tally,
    /// Bytes of its records that wait to share a line.
    pub(crate) waiting: usize,
    /// Bytes of the lane that are in a batch.
    pub(crate) tail: u64,
    /// The lane that it is, from 1; 0 = it comes over a socket.
    pub(crate) lane: u32,
    /// Its first number is whatever comes first.
    pub(crate) is_adopted: bool,
    /// Where the lane is in the intake.
    pub(crate) lane_index: Option<LaneIndex>,
    /// Why its worker does not use lanes; empty = it was told not to.
    pub(crate) fallback: Box<str>,
    /// What its worker speaks, if it is foreign.
    pub(crate) protocol: &'static str,
    id: QueueId,
    /// Its place in the checkpoint; a foreign worker for whose queue there was no room has none, and
    /// its numbers begin anew with the next listener.
    slot: Option<QueueSlot>,
    start_time: u64,
    pub(crate) acked: u64,
    /// It has spoken to this listener.
    seen: bool,
    dirty: bool,
    ends: bool,
}

/// Names whose past is kept apart, the first that are seen: a monitoring system keeps a series for
/// each of them.
const PAST_NAMES_MAX: usize = 100;

/// What workers did that are gone.
#[derive(Debug, Default)]
pub(crate) struct Past {
    pub(crate) written: u64,
    pub(crate) losses: Losses,
}

/// What stands in place of a lane's number for the queues of foreign workers.
const STREAM_LANE: u32 = u32::MAX;
const DATAGRAM_LANE: u32 = u32::MAX - 1;

const _: () = assert!(DATAGRAM_LANE as usize > LANES_MAX, "no lane has their number");

impl Queue {
    /// Whether it is a lane; the others come over a connection.
    pub(crate) const fn is_lane(&self) -> bool {
        self.lane > 0 && self.foreign().is_none()
    }

    /// Which thread its records come from, if its worker is foreign.
    pub(crate) const fn foreign(&self) -> Option<Kind> {
        match self.lane {
            STREAM_LANE => Some(Kind::Stream),
            DATAGRAM_LANE => Some(Kind::Datagram),
            _ => None,
        }
    }

    /// Whether the process that logged is still the one it was.
    fn process_lives(&self) -> bool {
        self.pid == 0 || start_time(self.pid).is_some_and(|start| start == self.start_time)
    }

    /// Whether its worker is there as long as its connections are, and those are counted elsewhere.
    /// A sender of datagrams has none; it is there while its process is.
    pub(crate) fn has_hung_up(&self) -> bool {
        self.foreign() == Some(Kind::Stream)
    }

    /// The highest number that a record of it can have.
    pub(crate) fn credible_seq(&self) -> u64 {
        credible_number(self.process_age())
    }

    /// How long its process has lived; `None` = nobody knows.
    pub(crate) fn process_age(&self) -> Option<Duration> {
        age_of(self.start_time)
    }

    /// Takes over what the source has used.
    #[inline]
    pub(crate) fn move_tail(&mut self, feed: &Feed) {
        if self.is_lane() {
            self.tail = feed.used();
        }
    }

    /// The worker has this name.
    #[inline]
    pub(crate) fn take_name(&mut self, name: &Arc<str>, checkpoint: &Checkpoint) {
        if Arc::ptr_eq(&self.name, name) {
            return;
        }
        if self.name != *name
            && let Some(slot) = self.slot
        {
            checkpoint.rename_queue(slot, name);
        }
        self.name = Arc::clone(name);
    }

    fn account(&self) -> WorkerAccount {
        WorkerAccount {
            name: self.name.to_string(),
            pid: self.pid,
            written: self.written,
            dropped: self.losses.dropped(),
        }
    }
}

/// The shortest time in which a thread can try to log a record, in nanoseconds: a call whose record
/// is dropped takes several times as long.
const RECORD_NANOS: u128 = 10;

/// What the age of a process may be wrong by: the kernel tells its start in ticks.
const GRACE: Duration = Duration::from_secs(2);

/// The highest number that a record of one queue can have whose process is so old; one whose age
/// nobody knows is not older than its host. A queue's records are numbered from 1 on, one by one, by
/// one thread at a time, so that whoever claims more has not counted.
pub(crate) fn credible_number(age: Option<Duration>) -> u64 {
    let boot = || clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::MAX, Duration::from);
    let age = age.unwrap_or_else(boot).saturating_add(GRACE);
    u64::try_from(age.as_nanos() / RECORD_NANOS).unwrap_or(u64::MAX)
}

/// The age of a process that started at a time of the kernel's clock for processes, in ticks since
/// the boot.
pub(super) fn age_of(start_time: u64) -> Option<Duration> {
    let ticks =
        u64::try_from(sysconf(SysconfVar::CLK_TCK).ok()??).ok().filter(|ticks| *ticks > 0)?;
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?;
    let started = Duration::from_secs_f64(start_time as f64 / ticks as f64);
    (start_time > 0).then(|| Duration::from(now).saturating_sub(started))
}

/// All queues that may still have something to say.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    list: Vec<Option<Queue>>,
    free: Vec<QueueIndex>,
    by_id: HashMap<QueueId, QueueIndex>,
    dirty: Vec<QueueIndex>,
    /// The accounts of queues that ended, in the order of their end.
    ended: Vec<WorkerAccount>,
    /// What all workers of a name did that ended; beyond a number of names, those without one.
    pub(crate) past: BTreeMap<Box<str>, Past>,
    /// Workers that have spoken to this listener.
    pub(crate) seen: u64,
    /// It was told once that the checkpoint has no room.
    lacked_room: bool,
}

impl Queues {
    /// The queues that an earlier listener knew.
    pub(crate) fn restore(checkpoint: &Checkpoint) -> Self {
        let mut queues = Self::default();
        for (slot, state) in checkpoint.queues() {
            queues.insert(Some(slot), &state);
        }
        queues
    }

    /// The queue of a worker that said hello, known or new.
    pub(crate) fn attach(
        &mut self,
        id: QueueId,
        peer: Peer,
        claimed_pid: u32,
        name: &str,
        checkpoint: &mut Checkpoint,
    ) -> io::Result<QueueIndex> {
        // A peer outside of our pid namespace has no pid there; its own word is better than none.
        let pid = if peer.pid == 0 { claimed_pid } else { peer.pid };
        let known = self.by_id.get(&id).copied();
        let index = match known {
            // Whoever learned another user's identity still can't speak in his name.
            // Nor does a lane's identity make a queue over a socket.
            Some(index)
                if self.list[index]
                    .as_ref()
                    .is_some_and(|queue| queue.uid != peer.uid || queue.lane > 0) =>
            {
                return Err(io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    "the queue belongs to another uid",
                ));
            }
            Some(index) => index,
            None => {
                let start_time = start_time(pid).unwrap_or(0);
                let state = QueueState {
                    id,
                    position: 0,
                    written: 0,
                    pid,
                    uid: peer.uid,
                    start_time,
                    tail: 0,
                    lane: 0,
                    name: name.to_owned(),
                };
                let slot = checkpoint.add_queue(&state)?;
                self.insert(Some(slot), &state)
            }
        };
        if let Some(queue) = &mut self.list[index] {
            queue.links = queue.links.saturating_add(1);
            // Whoever comes back while the end of its queue waits for the disk has not left.
            queue.ends = false;
            let is_new = !std::mem::replace(&mut queue.seen, true);
            self.seen = self.seen.saturating_add(u64::from(is_new));
        }
        Ok(index)
    }

    /// The queue of a lane, known or new.
    pub(crate) fn attach_lane(
        &mut self,
        state: &QueueState,
        checkpoint: &mut Checkpoint,
    ) -> io::Result<QueueIndex> {
        let known = self.by_id.get(&state.id).copied();
        if let Some(index) = known {
            return match &self.list[index] {
                // A lane has one reader: a second segment of the same identity is a copy.
                Some(queue)
                    if queue.uid == state.uid
                        && queue.lane == state.lane
                        && queue.lane_index.is_none()
                        && !queue.ends =>
                {
                    Ok(index)
                }
                _ => Err(io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    "the lane's identity is another queue's",
                )),
            };
        }
        let slot = checkpoint.add_queue(state)?;
        let index = self.insert(Some(slot), state);
        if let Some(queue) = self.get_mut(index) {
            // The checkpoint that knew the numbers before the tail is gone.
            queue.is_adopted = state.tail > 0;
        }
        Ok(index)
    }

    /// The queue of a foreign worker, known or new. Where the checkpoint has no room for it, it does
    /// without: nothing of a foreign worker waits for the next listener but its number.
    pub(crate) fn attach_foreign(
        &mut self,
        kind: Kind,
        process: &Process,
        position: u64,
        checkpoint: &mut Checkpoint,
    ) -> QueueIndex {
        let same = |queue: &Queue| {
            queue.foreign() == Some(kind)
                && queue.links == 0
                && !queue.ends
                && (queue.pid, queue.uid, queue.start_time, queue.position)
                    == (process.pid, process.uid, process.start_time, position)
        };
        // Only those that an earlier listener knew have a position already.
        let mut restored = self.list.iter().take(if position > 0 { usize::MAX } else { 0 });
        let known = restored.position(|queue| queue.as_ref().is_some_and(same));
        let index = match known {
            Some(index) => index,
            None => {
                let state = QueueState {
                    id: QueueId::random(),
                    position,
                    written: 0,
                    pid: process.pid,
                    uid: process.uid,
                    start_time: process.start_time,
                    tail: 0,
                    lane: match kind {
                        Kind::Stream => STREAM_LANE,
                        Kind::Datagram => DATAGRAM_LANE,
                    },
                    name: process.name.to_string(),
                };
                let slot = checkpoint.add_queue(&state);
                if let Err(error) = &slot
                    && !std::mem::replace(&mut self.lacked_room, true)
                {
                    crate::diagnostic::warn!(pid = process.pid, %error, "the checkpoint has no room for a foreign worker");
                }
                self.insert(slot.ok(), &state)
            }
        };
        if let Some(queue) = &mut self.list[index] {
            queue.links = 1;
            let is_new = !std::mem::replace(&mut queue.seen, true);
            self.seen = self.seen.saturating_add(u64::from(is_new));
        }
        index
    }

    /// The queues of foreign workers that an earlier listener knew.
    pub(crate) fn resumable(&self) -> Vec<Resumable> {
        let resumable = |queue: &Queue| {
            let kind = queue.foreign()?;
            let process = Process {
                pid: queue.pid,
                uid: queue.uid,
                start_time: queue.start_time,
                name: Arc::clone(&queue.name),
            };
            Some(Resumable { kind, process, position: queue.position })
        };
        self.iter().filter_map(resumable).collect()
    }

    /// Lanes that the checkpoint knows and nobody has taken in: their segments are gone.
    pub(crate) fn without_a_segment(&self) -> Vec<QueueIndex> {
        let lost = |queue: &Queue| queue.is_lane() && queue.lane_index.is_none();
        (0..self.list.len()).filter(|index| self.list[*index].as_ref().is_some_and(lost)).collect()
    }

    fn insert(&mut self, slot: Option<QueueSlot>, state: &QueueState) -> QueueIndex {
        let queue = Queue {
            name: state.name.as_str().into(),
            pid: state.pid,
            uid: state.uid,
            position: state.position,
            written: state.written,
            losses: Losses::default(),
            token: None,
            links: 0,
            last_record: 0,
            tally: Tally::starting_at(state.written),
            waiting: 0,
            tail: state.tail,
            lane: state.lane,
            lane_index: None,
            is_adopted: false,
            fallback: "".into(),
            protocol: "",
            id: state.id,
            slot,
            start_time: state.start_time,
            acked: state.position,
            seen: false,
            dirty: false,
            ends: false,
        };
        let index = self.free.pop().unwrap_or_else(|| {
            self.list.push(None);
            self.list.len().saturating_sub(1)
        });
        self.list[index] = Some(queue);
        self.remember(&state.name);
        self.by_id.insert(state.id, index);
        index
    }

    pub(crate) fn get(&self, index: QueueIndex) -> Option<&Queue> {
        self.list.get(index)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, index: QueueIndex) -> Option<&mut Queue> {
        self.list.get_mut(index)?.as_mut()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Queue> {
        self.list.iter().flatten()
    }

    pub(crate) fn enumerate(&self) -> impl Iterator<Item = (QueueIndex, &Queue)> {
        self.list.iter().enumerate().filter_map(|(index, queue)| Some((index, queue.as_ref()?)))
    }

    /// Keeps the past of a name apart from now on, if there is room.
    pub(crate) fn remember(&mut self, name: &str) {
        if self.past.len() < PAST_NAMES_MAX && !self.past.contains_key(name) {
            self.past.insert(name.into(), Past::default());
        }
    }

    /// Closes a second of every queue's pace.
    pub(crate) fn close_second(&mut self, second: u64) {
        for queue in self.list.iter_mut().flatten() {
            queue.tally.close(second, queue.written);
        }
    }

    /// The queue moved within the current batch.
    pub(crate) fn mark_dirty(&mut self, index: QueueIndex) {
        if let Some(queue) = self.list.get_mut(index).and_then(Option::as_mut)
            && !queue.dirty
        {
            queue.dirty = true;
            self.dirty.push(index);
        }
    }

    /// The queue ends with the current batch.
    pub(crate) fn end(&mut self, index: QueueIndex) {
        self.mark_dirty(index);
        if let Some(queue) = self.get_mut(index) {
            queue.ends = true;
        }
    }

    /// What the current batch does to the queues.
    pub(crate) fn advances(&self) -> Vec<Advance> {
        self.dirty
            .iter()
            .filter_map(|index| self.get(*index))
            .filter_map(|queue| {
                Some(Advance {
                    queue: queue.slot?,
                    position: queue.position,
                    written: queue.written,
                    tail: queue.tail,
                    ends: queue.ends,
                })
            })
            .collect()
    }

    /// The batch is in the files. Calls back with each queue that should hear of it.
    pub(crate) fn committed(&mut self, mut tell: impl FnMut(&Queue)) {
        for index in std::mem::take(&mut self.dirty) {
            let Some(queue) = self.get_mut(index) else { continue };
            queue.dirty = false;
            queue.waiting = 0;
            tell(queue);
            queue.acked = queue.position;
            if queue.ends {
                // The account of a worker with lanes is kept when its segment ends.
                let account = (!queue.is_lane())
                    .then(|| (queue.account(), std::mem::take(&mut queue.losses)));
                self.by_id.remove(&self.list[index].take().map_or(QueueId(0), |queue| queue.id));
                self.free.push(index);
                if let Some((account, losses)) = account {
                    self.keep(account, &losses);
                }
            }
        }
    }

    /// Keeps the account of a worker that ended.
    pub(crate) fn keep(&mut self, account: WorkerAccount, losses: &Losses) {
        // A worker whose name had no series while it lived gets none behind its end.
        let is_known = self.past.contains_key(account.name.as_str());
        let name = if is_known { account.name.as_str() } else { "" };
        let past = self.past.entry(name.into()).or_default();
        past.written = past.written.saturating_add(account.written);
        past.losses.add(losses);
        // Enough to name the workers of any fleet that a person reads about one by one.
        if self.ended.len() < 2048 {
            self.ended.push(account);
        }
    }

    /// Whether a queue without a connection is worth keeping, because its process lives. The
    /// number of those is bounded: nobody may fill the checkpoint with queues it was cut off from.
    pub(crate) fn may_come_back(&self, index: QueueIndex) -> bool {
        let waiting = self.iter().filter(|queue| queue.links == 0 && !queue.is_lane()).count();
        waiting <= CONNECTIONS_PER_UID_MAX && self.get(index).is_some_and(Queue::process_lives)
    }

    /// Workers that have spoken to this listener and hung up without taking leave: they die, or
    /// they come back.
    pub(crate) fn hung_up(&self) -> usize {
        let has_hung_up = |queue: &&Queue| {
            queue.links == 0 && queue.seen && !queue.ends && !queue.is_lane() && queue.pid != 0
        };
        self.iter().filter(has_hung_up).filter(|queue| queue.foreign().is_none()).count()
    }

    /// Queues without a connection whose process is gone.
    pub(crate) fn orphans(&self) -> Vec<QueueIndex> {
        let orphaned = |queue: &Queue| {
            !queue.is_lane() && queue.links == 0 && !queue.ends && !queue.process_lives()
        };
        (0..self.list.len())
            .filter(|index| self.list[*index].as_ref().is_some_and(orphaned))
            .collect()
    }

    /// Adds the accounts of all workers to a receipt.
    pub(crate) fn settle_accounts(&self, receipt: &mut Receipt) {
        receipt.accounts.extend_from_slice(&self.ended);
        let sockets = self.iter().filter(|queue| !queue.is_lane());
        receipt.accounts.extend(sockets.map(Queue::account));
    }
}
