//! The life of segments beside their records: bells, deaths, accounts, and the end.
//!
//! A worker whose bell is silent is looked for, soon at first and then once a second; only the
//! kernel says that it is dead. Its segment goes when everything in it is in the files.

use std::time::{Duration, Instant};

use fleetlog_protocol::message::Drops;
use fleetlog_protocol::segment::{self, FileName, start_time};
use fleetlog_protocol::stamp::Stamp;

use super::guard::within;
use super::{LaneIndex, SegmentIndex, Segments, Token};

/// How soon after its bell went silent a worker is looked for, at first and at most: a process
/// that ends closes its descriptors a moment before it is gone.
pub(super) const DEATH_CHECK_FIRST: Duration = Duration::from_millis(1);
const DEATH_CHECK_LONGEST: Duration = Duration::from_secs(1);

/// Segments that end in one round.
const BURIALS_MAX: usize = 64;

/// How soon a lane that could not be taken in is tried again.
const RETRY: Duration = Duration::from_millis(200);

/// How often the listener wakes up to look at the lanes of workers for whose bell there is no seat.
const SEATLESS_LOOK: Duration = Duration::from_millis(50);

/// What became of workers whose bell is silent.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    /// They live.
    pub(crate) silent: Vec<SegmentIndex>,
    /// They were found dead.
    pub(crate) dead: Vec<SegmentIndex>,
}

impl Segments {
    /// Drops that the worker counted, and that were reported in band. A worker can't have counted
    /// more than `most`: that is a scribble, and must not spoil the sums.
    pub(crate) fn drops(&self, index: SegmentIndex, most: u64) -> (Drops, Drops) {
        let Some(segment) = self.get(index) else { return Default::default() };
        let counted = within(&segment.foreign.range(), || segment.foreign.drops());
        let counted = counted.ok().filter(|counted| counted.total() <= most);
        let reported = if segment.reported.total() <= most {
            segment.reported
        } else {
            // What an earlier listener is said to have reported is the worker's word as well.
            Drops::default()
        };
        (counted.unwrap_or(reported), reported)
    }

    /// Remembers when the worker's count of drops was first seen to grow, and last. Returns a count
    /// that is above `most`, the first time.
    pub(crate) fn look_at_drops(
        &mut self,
        index: SegmentIndex,
        most: u64,
        now: Stamp,
    ) -> Option<u64> {
        let segment = self.get_mut(index)?;
        let counted = within(&segment.foreign.range(), || segment.foreign.drops()).ok()?.total();
        let claimed = counted.max(segment.reported.total());
        if claimed > most {
            return (!std::mem::replace(&mut segment.is_incredible, true)).then_some(claimed);
        }
        if counted > segment.drops_known {
            segment.drops_known = counted;
            let (first, last) = &mut segment.drops_seen;
            *first = if *first == 0 { now } else { *first };
            *last = now;
        }
        None
    }

    /// Drops are reported in the batch. The next listener learns of it when the batch is written.
    pub(crate) fn report(&mut self, index: SegmentIndex, drops: Drops) {
        if let Some(segment) = self.get_mut(index) {
            segment.reported.add(drops);
            segment.owes_report = true;
        }
    }

    /// The batch is written: the segment tells the next listener what was reported.
    pub(crate) fn keep_report(&mut self, index: SegmentIndex) {
        if let Some(segment) = self.get_mut(index)
            && std::mem::take(&mut segment.owes_report)
        {
            let (foreign, reported) = (&segment.foreign, segment.reported);
            let _ = within(&foreign.range(), || foreign.set_reported(reported));
        }
    }

    /// A lane of the segment could not be taken in: it is tried again soon.
    pub(crate) fn retry(&mut self, index: SegmentIndex) {
        if !self.retries.contains(&index) {
            self.retries.push(index);
        }
        self.retry_at = Some(Instant::now() + RETRY);
    }

    /// Segments whose lanes are to be tried again now.
    pub(crate) fn due_retries(&mut self) -> Vec<SegmentIndex> {
        if self.retry_at.is_none_or(|at| Instant::now() < at) {
            return Vec::new();
        }
        self.retry_at = None;
        std::mem::take(&mut self.retries)
    }

    /// Whether the worker left on purpose.
    pub(crate) fn has_left(&self, index: SegmentIndex) -> bool {
        self.get(index).is_some_and(|segment| {
            within(&segment.foreign.range(), || segment.foreign.has_left()).unwrap_or(false)
        })
    }

    /// The worker's bell is this connection.
    pub(crate) fn hang_bell(&mut self, index: SegmentIndex, token: Token) {
        if let Some(segment) = self.get_mut(index) {
            segment.bell = Some(token);
            segment.has_hung_up = false;
            if std::mem::take(&mut segment.has_no_seat) {
                self.without_seat.retain(|other| *other != index);
            }
            let Some(segment) = self.list.get_mut(index).and_then(Option::as_mut) else { return };
            // Whoever rings lives.
            if std::mem::take(&mut segment.dead) {
                self.dead.retain(|dead| *dead != index);
            }
        }
    }

    /// There is no seat for the worker's bell. The listener looks at its lanes by itself until it
    /// has one: in every round, so that nothing that was published before the round's cut-off is
    /// missed, and in a round of its own every now and then.
    pub(crate) fn turn_bell_away(&mut self, index: SegmentIndex) {
        if let Some(segment) = self.get_mut(index)
            && segment.bell.is_none()
            && !std::mem::replace(&mut segment.has_no_seat, true)
        {
            self.without_seat.push(index);
            self.look_at.get_or_insert_with(|| Instant::now() + SEATLESS_LOOK);
        }
    }

    /// The segments for whose bell there is no seat.
    pub(crate) fn without_seat(&mut self) -> Vec<SegmentIndex> {
        let now = Instant::now();
        if self.look_at.is_some_and(|at| at <= now) {
            self.look_at = (!self.without_seat.is_empty()).then(|| now + SEATLESS_LOOK);
        }
        self.without_seat.clone()
    }

    /// The bell went silent: its worker may be dead.
    pub(crate) fn lost_bell(&mut self, index: SegmentIndex, token: Token) {
        if let Some(segment) = self.get_mut(index)
            && segment.bell == Some(token)
        {
            segment.bell = None;
            segment.has_hung_up = true;
            segment.check_pause = DEATH_CHECK_FIRST;
            let now = Instant::now();
            segment.check_at = now;
            self.expect_check(now);
        }
    }

    /// Looks for workers whose bell is silent, when it is time to.
    pub(crate) fn look_for_deaths(&mut self) -> Checked {
        let now = Instant::now();
        let mut checked = Checked::default();
        if self.next_check.is_none_or(|at| now < at) {
            return checked;
        }
        let mut next = None::<Instant>;
        for (index, segment) in self.list.iter_mut().enumerate() {
            let Some(segment) = segment else { continue };
            if segment.dead || segment.bell.is_some() {
                continue;
            }
            if now >= segment.check_at {
                let unseen = |pid| start_time(pid) != Some(segment.file.start_time);
                // The kernel's word for the pid holds where the worker's own is another namespace's.
                if segment::is_dead(&self.run_dir, segment.file) && unseen(segment.peer.pid) {
                    segment.dead = true;
                    checked.dead.push(index);
                    continue;
                }
                checked.silent.push(index);
                segment.check_pause = (segment.check_pause * 2).min(DEATH_CHECK_LONGEST);
                segment.check_at = now + segment.check_pause;
            }
            next = Some(next.map_or(segment.check_at, |next| next.min(segment.check_at)));
        }
        self.next_check = next;
        self.dead.extend(&checked.dead);
        checked
    }

    pub(super) fn expect_check(&mut self, at: Instant) {
        self.next_check = Some(self.next_check.map_or(at, |next| next.min(at)));
    }

    /// Every worker is looked for with the next call of [`look_for_deaths`](Self::look_for_deaths),
    /// whatever its bell says. Returns how many have hung up and were not dead yet.
    pub(crate) fn doubt_all(&mut self) -> usize {
        let now = Instant::now();
        let mut dying = 0;
        for segment in self.list.iter_mut().flatten() {
            segment.bell = None;
            segment.check_at = now;
            dying += usize::from(segment.has_hung_up && !segment.dead);
        }
        self.next_check = Some(now);
        dying
    }

    /// When [`look_for_deaths`](Self::look_for_deaths) wants to be called next.
    pub(crate) fn next_check(&self) -> Option<Instant> {
        [self.next_check, self.retry_at, self.look_at].into_iter().flatten().min()
    }

    /// Segments of dead workers whose lanes are empty, so many that their end holds up nobody.
    pub(crate) fn finished(&self) -> Vec<SegmentIndex> {
        let empty =
            |lane: &LaneIndex| self.lane(*lane).is_none_or(|lane| lane.broken || !lane.has_more());
        let is_empty = |index: &SegmentIndex| {
            self.get(*index).is_some_and(|segment| segment.lanes.iter().all(empty))
                && self.unknown_lanes(*index).is_empty()
        };
        self.dead.iter().copied().filter(is_empty).take(BURIALS_MAX).collect()
    }

    /// Unmaps and removes a segment.
    pub(crate) fn remove(&mut self, index: SegmentIndex) {
        let Some(file) = self.unmap(index) else { return };
        if let Err(error) = segment::remove(&self.run_dir, file) {
            crate::diagnostic::warn!(segment = %file, %error, "a drained segment can't be removed");
        }
    }

    /// Unmaps a segment, whose file stays.
    pub(crate) fn unmap(&mut self, index: SegmentIndex) -> Option<FileName> {
        let segment = self.list.get_mut(index).and_then(Option::take)?;
        for lane in &segment.lanes {
            self.lanes[*lane] = None;
            self.free_lanes.push(*lane);
        }
        self.watched.retain(|lane| !segment.lanes.contains(lane));
        self.dead.retain(|dead| *dead != index);
        self.without_seat.retain(|other| *other != index);
        self.by_file.remove(&segment.file);
        self.free.push(index);
        if let Some(count) = self.of_uid.get_mut(&segment.peer.uid) {
            *count -= 1;
        }
        self.headroom.keep();
        Some(segment.file)
    }
}
