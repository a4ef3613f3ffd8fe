//! Lane queues, sending half: one process's lanes, with their order, pressure and losses.
//!
//! [`Lanes`] is what a process has: its segment, its callsites, its bell, and what an outage may
//! still cost it. [`LaneQueue`] is what one thread has: a lane, numbered records, the gap that is
//! due. A record is in the lane when [`LaneQueue::record`] returns, and survives everything but
//! the loss of the machine. While the listener is awake and there is room, a call makes no system
//! call, takes no lock and allocates nothing.

mod bell;
mod callsites;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::bounded_lock::BoundedLock;
use crate::frame::{self, Kind};
use crate::lane::{Writer, wait_for_release};
use crate::limits::{LANE_CAPACITY, LANE_RECORD_MAX, LANES_MAX, RESERVED_SHARE};
use crate::message::{DropReason, Drops, Gap, Name, bounded_name};
use crate::record::{self, RecordEncoder};
use crate::segment::{self, MappedLane, Segment, SegmentError};
use crate::socket_queue::{CallsiteOf, LinkNumber, WhenFull};
use crate::stall::{Access, Call, Missed, Own, Stall};
use crate::stamp;
use bell::Bell;
use callsites::Callsites;

/// The bytes of a lane that have space when a thread claims it: a hundred records. The rest comes
/// when it is needed, so that a process that logs once and ends stays cheap.
const SPACE_FIRST: usize = 16 << 10;

/// Space grows by so much at a time.
const SPACE_GROWTH: usize = 4;

/// How long a full lane sleeps before it looks whether the listener is still there.
const SLICE: Duration = Duration::from_millis(50);

/// How a process's lanes behave.
#[derive(Clone, Debug)]
pub struct LanesConfig {
    /// The run directory.
    pub run_dir: PathBuf,
    /// The listener's socket in it ([`crate::run_dir::socket_path`]).
    pub socket: PathBuf,
    /// What happens when a lane is full.
    pub when_full: WhenFull,
    /// The bytes that a lane may have, [`LANE_CAPACITY`] at least.
    pub lane_max: usize,
    /// The worker's name.
    pub name: String,
    /// Where the bell's descriptor is told to a fork handler.
    pub link_number: &'static LinkNumber,
    /// Where the segment's descriptor is told to it: a child that keeps its copy keeps the space
    /// of a segment that was removed.
    pub file_number: &'static LinkNumber,
}

/// The lanes of one process.
///
/// ```
/// use fleetlog_protocol::lane_queue::{Lanes, LanesConfig};
/// use fleetlog_protocol::record::RecordEncoder;
/// use fleetlog_protocol::socket_queue::{CallsiteOf, LinkNumber, WhenFull};
/// use fleetlog_protocol::Level;
/// # let folder = tempfile::tempdir().unwrap();
/// static LINK: LinkNumber = LinkNumber::new();
/// static FILE: LinkNumber = LinkNumber::new();
/// let lanes = Lanes::create(LanesConfig {
///     run_dir: folder.path().join("run"),
///     socket: folder.path().join("run/socket"),
///     when_full: WhenFull::DropNewest,
///     lane_max: 0,
///     name: "worker 1".to_owned(),
///     link_number: &LINK,
///     file_number: &FILE,
/// }).unwrap();
/// let mut queue = lanes.claim().unwrap().expect("the first lane is free");
/// let mut record = Vec::new();
/// RecordEncoder::new(&mut record, Level::Info, 1024).finish(1, 0, 0);
/// queue.record(&lanes, &mut record, false, CallsiteOf::Inline).unwrap();
/// lanes.release(queue);
/// ```
#[derive(Debug)]
pub struct Lanes {
    config: LanesConfig,
    segment: Segment,
    callsites: Callsites,
    bell: Mutex<Bell>,
    /// Whether the bell heard a refusal, for those who can't take its lock each time.
    is_refused: AtomicBool,
    stall: Stall,
    name: Mutex<String>,
    /// Counts the names; a lane whose count is older tells the new one before its next record.
    names: AtomicU64,
    idle: Mutex<Idle>,
    /// The lane of all threads that have none of their own, once there is such a thread.
    shared: BoundedLock<Option<LaneQueue>>,
    /// Of calls that did not get that lane in time: counted in the segment, and not yet in the lane.
    missed: Missed,
}

/// Lanes that no thread has.
#[derive(Debug, Default)]
struct Idle {
    /// Lanes that threads gave back.
    queues: Vec<LaneQueue>,
    /// Lanes that have space, the first of all. They are taken one by one: a process that logs
    /// once and ends stays cheap.
    allocated: usize,
    /// Whether one of them is the shared one.
    shares: bool,
}

/// One lane of a process, held by one thread.
#[derive(Debug)]
pub struct LaneQueue {
    writer: Writer<MappedLane>,
    number: usize,
    next_seq: u64,
    pending: Drops,
    named: u64,
    /// Above this head the tail is looked at, and the listener told.
    soft_limit: u64,
    /// The tail at which the listener was told last.
    told_at: Option<u64>,
    /// Bytes of the lane that have space, the first ones.
    space: usize,
    /// It needed more space the last time, and there was none.
    is_stuck: bool,
}

/// Why a lane takes no record now.
enum Refusal {
    /// There is no room. The lane, and the tail that was seen: a later one means that room was made.
    NoRoom(MappedLane, u64),
    /// There never will be.
    NeverFits,
    /// The run directory has no room for more of the lane.
    NoSpace(io::Error),
}

/// A record was not taken.
#[derive(thiserror::Error)]
pub enum NotTaken {
    /// It was dropped, counted, and will be reported in band.
    #[error("dropped: {}", .0.as_str())]
    Dropped(DropReason),
    /// The run directory has no room for more of the lane. Nothing was counted: the record can go
    /// another way, and so should those behind it.
    #[error("no room for more of a lane: {0}")]
    NoSpace(#[from] io::Error),
}

crate::debug_as_display!(NotTaken);

impl Lanes {
    /// Makes this process's segment. The first record tells a listener that lives of it; one that
    /// starts later finds the file.
    ///
    /// # Errors
    /// Any [`SegmentError`]: the process must log another way.
    pub fn create(config: LanesConfig) -> Result<Self, SegmentError> {
        let segment = Segment::create_with(&config.run_dir, &config.name, config.lane_max)?;
        segment.tell(config.file_number);
        let bell = Bell::new(&config, &segment);
        let name = Mutex::new(bounded_name(&config.name).to_owned());
        Ok(Self {
            segment,
            callsites: Callsites::new(),
            bell: Mutex::new(bell),
            is_refused: AtomicBool::new(false),
            stall: Stall::new(config.when_full),
            name,
            names: AtomicU64::new(1),
            idle: Mutex::default(),
            shared: BoundedLock::new(None),
            missed: Missed::default(),
            config,
        })
    }

    /// A lane for the calling thread; `None` = all are taken, [share](Self::share) one.
    ///
    /// # Errors
    /// The run directory has no room for another lane.
    pub fn claim(&self) -> io::Result<Option<LaneQueue>> {
        let mut idle = lock(&self.idle);
        if let Some(queue) = idle.queues.pop_if(|queue| !queue.is_stuck) {
            return Ok(Some(queue));
        }
        // One is kept for all who find none.
        if idle.allocated + usize::from(!idle.shares) >= LANES_MAX {
            return Ok(idle.queues.pop());
        }
        match self.allocate(&mut idle) {
            Ok(queue) => Ok(Some(queue)),
            // There may be room again for one that could not grow.
            Err(error) => idle.queues.pop().map_or(Err(error), |queue| Ok(Some(queue))),
        }
    }

    fn allocate(&self, idle: &mut Idle) -> io::Result<LaneQueue> {
        let number = idle.allocated;
        let lane = self.segment.allocate_lane(number, SPACE_FIRST)?;
        idle.allocated += 1;
        Ok(LaneQueue::new(lane, number))
    }

    /// Makes the lane that all threads share who have none of their own, if it is not there yet.
    ///
    /// # Errors
    /// The run directory has no room for another lane.
    pub fn share(&self) -> io::Result<()> {
        let mut idle = lock(&self.idle);
        if !idle.shares {
            let queue = match idle.queues.pop() {
                Some(queue) => queue,
                None => self.allocate(&mut idle)?,
            };
            // No use of a lane that is not there takes long.
            self.shared.with(|| None, |shared| *shared = Some(queue));
            idle.shares = true;
        }
        Ok(())
    }

    /// Takes a lane back from a thread that ends.
    pub fn release(&self, mut queue: LaneQueue) {
        queue.settle(self);
        let mut idle = lock(&self.idle);
        // The last one is the next to be claimed. One that can't grow would fail its next thread too.
        let at = if queue.is_stuck { 0 } else { idle.queues.len() };
        idle.queues.insert(at, queue);
    }

    /// As [`LaneQueue::record`], into the lane that all threads [share](Self::share). Its lock is
    /// held by nobody that waits, and a call that does not get it in time drops its record.
    ///
    /// # Errors
    /// [`NotTaken`]; where there is no such lane each record is dropped.
    pub fn record_shared(
        &self,
        record: &mut Vec<u8>,
        urgent: bool,
        callsite: CallsiteOf<'_>,
    ) -> Result<(), NotTaken> {
        let number = self.number(record, callsite);
        let call = self.stall.call();
        let mut shared = Shared { lanes: self, call: &call };
        match shared.with(|queue| queue.put(self, record, number, urgent)) {
            Some(Ok(())) => Ok(()),
            Some(Err(refusal)) => self.insist(shared, &call, refusal, record, number, urgent),
            None => {
                self.miss(DropReason::Full, 1);
                Err(NotTaken::Dropped(DropReason::Full))
            }
        }
    }

    /// As [`LaneQueue::count_lost`], for the lane that all threads [share](Self::share).
    pub fn count_lost_shared(&self, reason: DropReason, count: u64) {
        let call = self.stall.call();
        let mut shared = Shared { lanes: self, call: &call };
        if shared.with(|queue| queue.count_lost(self, reason, count)).is_none() {
            self.miss(reason, count);
        }
    }

    /// Counts records whose calls did not get their lane.
    #[cold]
    fn miss(&self, reason: DropReason, count: u64) {
        self.count_lost(reason, count);
        self.missed.add(reason, count);
    }

    /// Uses the lane that all threads share, as soon as nobody else does; `None` = the time came
    /// first, or there is no such lane.
    fn with_shared<T>(
        &self,
        until: impl FnOnce() -> Option<Instant>,
        use_it: impl FnOnce(&mut LaneQueue) -> T,
    ) -> Option<T> {
        let used = self.shared.with(until, |shared| {
            let queue = shared.as_mut()?;
            queue.pending.add(self.missed.take());
            Some(use_it(queue))
        });
        used.flatten()
    }

    /// The number of a record's callsite; 0 = the definition is in the record.
    #[inline]
    fn number(&self, record: &mut Vec<u8>, callsite: CallsiteOf<'_>) -> u32 {
        let number = self.callsites.number(&self.segment, callsite);
        if number == 0
            && let CallsiteOf::Static(_, define) = callsite
        {
            carry_definition(record, define);
        }
        number
    }

    /// Tries again until a record is in its lane, as long as policy and budget allow.
    #[cold]
    fn insist(
        &self,
        mut lane: impl Access<LaneQueue>,
        call: &Call<'_>,
        mut refusal: Refusal,
        record: &[u8],
        number: u32,
        urgent: bool,
    ) -> Result<(), NotTaken> {
        let mut is_alive = None;
        let reason = loop {
            let (place, seen) = match refusal {
                Refusal::NoRoom(place, seen) => (place, seen),
                Refusal::NeverFits => break DropReason::Full,
                Refusal::NoSpace(error) => return Err(error.into()),
            };
            if is_alive.is_none() && !self.stall.is_spent() {
                is_alive = Some(self.ring());
            }
            let Some(wait) = call.wait(SLICE) else {
                break if is_alive.unwrap_or_else(|| lock(&self.bell).is_answered()) {
                    DropReason::Full
                } else {
                    DropReason::NoListener
                };
            };
            wait_for_release(&place, seen, wait.length());
            drop(wait);
            match lane.with(|queue| queue.put(self, record, number, urgent)) {
                Some(Ok(())) => return Ok(()),
                Some(Err(again)) => refusal = again,
                None => break DropReason::Full,
            }
            is_alive = Some(self.ring());
        };
        if lane.with(|queue| queue.count_lost(self, reason, 1)).is_none() {
            self.miss(reason, 1);
        }
        Err(NotTaken::Dropped(reason))
    }

    /// Gives the worker another name, from the next record of each lane on.
    pub fn set_name(&self, name: &str) {
        bounded_name(name).clone_into(&mut lock(&self.name));
        // Release: who sees the new count reads the new name.
        self.names.fetch_add(1, Ordering::Release);
    }

    /// Counts records that never reached a lane.
    pub fn count_lost(&self, reason: DropReason, count: u64) {
        self.segment.count_drops(reason, count);
    }

    /// The heads of all lanes: what was published before the call.
    #[must_use]
    pub fn heads(&self) -> Vec<(usize, u64)> {
        let allocated = lock(&self.idle).allocated;
        (0..allocated).map(|lane| (lane, self.segment.head(lane))).collect()
    }

    /// Whether everything up to a head is in the files.
    #[must_use]
    pub fn is_written(&self, lane: usize, head: u64) -> bool {
        self.segment.tail(lane) >= head
    }

    /// Records before a head that are not in the files.
    #[must_use]
    pub fn unwritten(&self, lane: usize, head: u64) -> u64 {
        let Some(bytes) = self.segment.unreleased(lane, head) else { return 1 };
        let (mut at, mut count) = (0, 0);
        while let Ok(Some(frame)) = frame::take(&bytes[at..]) {
            count += u64::from(frame.kind == Kind::Record);
            at += frame.len;
        }
        // A tail that stands in the middle of a frame is a scribble; something waits all the same.
        count + u64::from(at < bytes.len())
    }

    /// Dropped records of which no listener has told.
    #[must_use]
    pub fn untold_drops(&self) -> u64 {
        self.segment.untold_drops()
    }

    /// Whether the file of the lanes was removed, so that only a listener that has it mapped reads
    /// what stands in them.
    #[must_use]
    pub fn are_removed(&self) -> bool {
        self.segment.is_removed()
    }

    /// Reports the gaps of lanes that no thread holds, and notes that this worker leaves on
    /// purpose. What it published needs no waiting for.
    pub fn goodbye(&self) {
        // A thread that an exiting process has ended already may hold a lock; its gaps stay
        // unreported in band, and are counted in the segment all the same.
        if let Ok(mut idle) = self.idle.try_lock() {
            for queue in &mut idle.queues {
                queue.settle(self);
            }
        }
        self.with_shared(|| Some(Instant::now()), |queue| queue.settle(self));
        self.segment.mark_left();
    }

    /// Why the listener refused these lanes, the last time it did.
    #[must_use]
    pub fn refused(&self) -> Option<String> {
        lock(&self.bell).refused().map(str::to_owned)
    }

    /// Whether the listener refused these lanes at least once, as far as was heard by the last
    /// ring.
    #[inline]
    #[must_use]
    pub fn is_refused(&self) -> bool {
        // Relaxed: who wants to know why asks under the lock.
        self.is_refused.load(Ordering::Relaxed)
    }

    /// The run directory.
    #[must_use]
    pub fn run_dir(&self) -> &Path {
        &self.config.run_dir
    }

    /// Wakes the listener, if one lives. Returns whether one does.
    pub fn ring(&self) -> bool {
        let mut bell = lock(&self.bell);
        let is_alive =
            bell.ring(|| self.segment.renew_lock(&self.config.run_dir, self.config.file_number));
        self.is_refused.store(bell.refused().is_some(), Ordering::Relaxed);
        is_alive
    }

    /// Whether a listener takes these lanes after one has refused them. Each listener is asked
    /// once: `connection` counts those that the process's socket queue has made. Never waits; the
    /// answer may be there with a later call.
    pub fn is_welcome_again(&self, connection: u64) -> bool {
        let mut bell = lock(&self.bell);
        if bell.refused().is_some() {
            bell.ask_again(connection);
        }
        let is_refused = bell.refused().is_some();
        self.is_refused.store(is_refused, Ordering::Relaxed);
        !is_refused
    }
}

impl LaneQueue {
    fn new(lane: MappedLane, number: usize) -> Self {
        Self {
            writer: Writer::new(lane),
            number,
            next_seq: 1,
            pending: Drops::default(),
            named: 0,
            soft_limit: 0,
            told_at: None,
            space: SPACE_FIRST,
            is_stuck: false,
        }
    }

    /// Numbers, stamps and publishes a record that [`RecordEncoder`] made.
    ///
    /// # Errors
    /// [`NotTaken`], which says what became of the record.
    #[inline]
    pub fn record(
        &mut self,
        lanes: &Lanes,
        record: &mut Vec<u8>,
        urgent: bool,
        callsite: CallsiteOf<'_>,
    ) -> Result<(), NotTaken> {
        let number = lanes.number(record, callsite);
        match self.put(lanes, record, number, urgent) {
            Ok(()) => Ok(()),
            Err(refusal) => {
                let call = lanes.stall.call();
                lanes.insist(Own(self), &call, refusal, record, number, urgent)
            }
        }
    }

    /// Puts a record into the lane if there is room for it now.
    #[inline]
    fn put(
        &mut self,
        lanes: &Lanes,
        record: &[u8],
        number: u32,
        urgent: bool,
    ) -> Result<(), Refusal> {
        let len = frame::HEADER_LEN + record.len();
        // Relaxed: a new name is told soon enough; who must tell it reads it under its lock.
        let is_due = self.named != lanes.names.load(Ordering::Relaxed) || self.pending.total() > 0;
        if is_due || self.writer.filled() + len as u64 > self.soft_limit {
            self.prepare(lanes, len, urgent)?;
        }
        // `RecordEncoder` makes none that is shorter than its header.
        if let Some((header, rest)) = record.split_first_chunk::<{ record::HEADER_LEN }>() {
            let seq = self.take_seq();
            let frame = frame::header(Kind::Record, record.len());
            let header = record::sealed(header, seq, stamp::now(), number);
            self.writer.fill_head(frame, header);
            self.writer.fill(rest);
            self.publish(lanes);
        }
        Ok(())
    }

    /// Counts records that never reached this lane; the gap is reported before its next record.
    pub fn count_lost(&mut self, lanes: &Lanes, reason: DropReason, count: u64) {
        self.pending.0[reason as usize] += count;
        lanes.count_lost(reason, count);
    }

    /// Makes room, and puts what is due before the next record.
    #[cold]
    fn prepare(&mut self, lanes: &Lanes, len: usize, urgent: bool) -> Result<(), Refusal> {
        let names = lanes.names.load(Ordering::Acquire);
        let name = (self.named != names).then(|| lock(&lanes.name).clone());
        let name_len = name.as_ref().map_or(0, |name| frame::HEADER_LEN + 1 + name.len());
        let gap_len = if self.pending.total() > 0 { frame::HEADER_LEN + Gap::LEN } else { 0 };
        let len = len + name_len + gap_len;
        self.make_space(lanes, len).map_err(Refusal::NoSpace)?;
        self.look_for_room(lanes, len, urgent)?;
        if let Some(name) = name {
            let mut body = Vec::new();
            Name { name: &name }.encode(&mut body);
            self.fill(Kind::Name, &body);
            self.named = names;
        }
        self.report_gap();
        Ok(())
    }

    /// Takes space for `len` more bytes, as long as the lane has not all that it can have.
    fn make_space(&mut self, lanes: &Lanes, len: usize) -> io::Result<()> {
        // Before the lane has all of its space it has not come around its end.
        let needed =
            usize::try_from(self.writer.filled()).unwrap_or(usize::MAX).saturating_add(len);
        let capacity = lanes.segment.lane_bytes();
        if needed <= self.space || self.space >= capacity {
            return Ok(());
        }
        let more = (self.space * SPACE_GROWTH).max(needed.next_multiple_of(SPACE_FIRST));
        let more = more.min(capacity);
        let taken = if more > LANE_CAPACITY {
            segment::check_space(&lanes.config.run_dir, more - self.space)
        } else {
            Ok(())
        };
        let taken = taken.and_then(|()| lanes.segment.extend_lane(self.number, self.space, more));
        self.is_stuck = taken.is_err();
        if taken.is_ok() {
            self.space = more;
        }
        taken
    }

    /// Reports a gap that is due, if there is room for it. For lanes that nobody writes to.
    fn settle(&mut self, lanes: &Lanes) {
        let len = frame::HEADER_LEN + Gap::LEN;
        if self.pending.total() > 0
            && self.make_space(lanes, len).is_ok()
            && self.writer.has_room(len, lanes.segment.lane_bytes() as u64)
        {
            self.report_gap();
            self.publish(lanes);
        }
    }

    fn report_gap(&mut self) {
        let count = self.pending.total();
        if count == 0 {
            return;
        }
        let first_seq = self.next_seq;
        self.next_seq += count;
        let gap =
            Gap { seq: self.next_seq - 1, stamp: stamp::now(), first_seq, drops: self.pending };
        let mut body = Vec::with_capacity(Gap::LEN);
        gap.encode(&mut body);
        self.fill(Kind::Gap, &body);
        self.pending = Drops::default();
    }

    #[inline]
    const fn take_seq(&mut self) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        seq
    }

    #[inline]
    fn fill(&mut self, kind: Kind, body: &[u8]) {
        self.writer.fill(&frame::header(kind, body.len()));
        self.writer.fill(body);
    }

    #[inline]
    fn publish(&mut self, lanes: &Lanes) {
        let published = self.writer.publish();
        if published.reader_looks_away {
            self.wake_listener(lanes);
        }
    }

    #[cold]
    fn wake_listener(&self, lanes: &Lanes) {
        lanes.segment.mark_active(self.number);
        lanes.ring();
        if lock(&lanes.bell).is_unheard() {
            self.writer.ask_again();
        }
    }

    /// Whether `len` bytes fit now, and who has to hear that the lane fills up.
    fn look_for_room(&mut self, lanes: &Lanes, len: usize, urgent: bool) -> Result<(), Refusal> {
        let capacity = lanes.segment.lane_bytes() as u64;
        // The rest is for WARN and ERROR.
        let open = capacity - capacity / RESERVED_SHARE as u64;
        let limit = if urgent { capacity } else { open };
        let before = self.writer.seen_tail();
        let used = self.writer.look();
        let tail = self.writer.filled() - used;
        if tail > before {
            // A listener reads. Room alone proves nothing.
            lanes.stall.released();
        }
        if used + len as u64 > capacity / 2 {
            self.soft_limit = tail + open;
            // The listener may nap while nothing presses.
            if self.told_at.replace(tail) != Some(tail) {
                self.wake_listener(lanes);
            }
        } else {
            self.soft_limit = tail + capacity / 2;
        }
        if (self.space as u64) < capacity {
            self.soft_limit = self.soft_limit.min(self.space as u64);
        }
        if len as u64 > limit {
            // A lane that is empty and has no room for them never will.
            return Err(Refusal::NeverFits);
        }
        let has_room = self.writer.has_room(len, limit);
        if self.writer.seen_tail() > tail {
            lanes.stall.released();
        }
        if has_room {
            return Ok(());
        }
        Err(Refusal::NoRoom(self.writer.place().clone(), self.writer.seen_tail()))
    }
}

/// The lane that all threads share who have none of their own.
struct Shared<'l> {
    lanes: &'l Lanes,
    call: &'l Call<'l>,
}

impl Access<LaneQueue> for Shared<'_> {
    fn with<T>(&mut self, use_it: impl FnOnce(&mut LaneQueue) -> T) -> Option<T> {
        self.lanes.with_shared(|| self.call.lock_until(), use_it)
    }
}

/// The longest record with a definition in it. It fits into the open part of a lane behind a gap
/// report and a name, as [`crate::limits`] asserts.
const CARRIED_MAX: usize = 2 * LANE_RECORD_MAX;

/// Writes a callsite's definition into the record where the table has no room for it. One that
/// is longer than any program's stays out: the record matters more.
#[cold]
fn carry_definition(record: &mut Vec<u8>, define: &dyn Fn(&mut Vec<u8>)) {
    let mut definition = Vec::new();
    define(&mut definition);
    if record.len() + definition.len() <= CARRIED_MAX {
        RecordEncoder::append_definition(record, &definition);
    }
}

/// Locks; nothing here panics while a lock is held, and what it guards stays usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::Level;

    static LINK: LinkNumber = LinkNumber::new();
    static FILE: LinkNumber = LinkNumber::new();

    #[test]
    fn four_hundred_calls_that_do_not_get_the_shared_lane_return_and_are_counted_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let run_dir = folder.path().join("run");
        let lanes = Lanes::create(LanesConfig {
            socket: run_dir.join("socket"),
            run_dir,
            when_full: WhenFull::Block { stall_budget: Duration::from_millis(20) },
            lane_max: 0,
            name: "worker".to_owned(),
            link_number: &LINK,
            file_number: &FILE,
        })
        .unwrap();
        lanes.share().unwrap();
        let log = || {
            let mut record = Vec::new();
            RecordEncoder::new(&mut record, Level::Info, 1024).finish(1, 0, 0);
            lanes.record_shared(&mut record, false, CallsiteOf::Inline)
        };
        let refused = |taken: Result<(), NotTaken>| {
            assert!(matches!(taken, Err(NotTaken::Dropped(DropReason::Full))), "{taken:?}");
        };
        // A holder that does not let go before all of them have returned.
        lanes.with_shared(
            || None,
            |_| {
                thread::scope(|scope| {
                    for _ in 0..400 {
                        scope.spawn(|| refused(log()));
                    }
                    lanes.count_lost_shared(DropReason::Reentrant, 3);
                });
            },
        );
        log().expect("there is room");
        let bytes = lanes.segment.unreleased(0, lanes.heads()[0].1).unwrap();
        let (mut at, mut kinds, mut gaps) = (0, Vec::new(), Vec::new());
        while let Ok(Some(frame)) = frame::take(&bytes[at..]) {
            kinds.push(frame.kind);
            if frame.kind == Kind::Gap {
                let gap = Gap::decode(frame.body).unwrap();
                gaps.push((gap.first_seq, gap.seq, gap.drops));
            }
            at += frame.len;
        }
        assert_eq!(kinds, [Kind::Name, Kind::Gap, Kind::Record]);
        let mut drops = Drops::default();
        drops.0[DropReason::Full as usize] = 400;
        drops.0[DropReason::Reentrant as usize] = 3;
        assert_eq!(gaps, [(1, 403, drops)]);
    }
}
