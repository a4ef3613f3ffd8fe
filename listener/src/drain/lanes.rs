//! Lanes in the drain: taken in, looked at, put aside, and ended with their worker.
//!
//! A lane is a queue like a socket's, with an identity, a position and a tail in the checkpoint.
//! The order in which things end is what keeps every record exactly once: first its lines and
//! its tail, in one batch; then the file of a dead worker's segment; and only then its queues in
//! the checkpoint. A listener that is killed in between finds queues without a segment and
//! forgets them.
#![deny(clippy::arithmetic_side_effects, reason = "these numbers come from anybody")]

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fleetlog_protocol::frame::Kind;
use fleetlog_protocol::limits::LANES_MAX;
use fleetlog_protocol::message::{Drops, Loss, Losses, Receipt, Welcome, WorkerAccount};
use fleetlog_protocol::segment::{self, FileName};
use fleetlog_protocol::stamp::{self, Stamp};

use super::clock::after;
use super::leftovers::Leftovers;
use super::loss::LossEvent;
use super::notice::Notice;
use super::queues::{QueueIndex, age_of, credible_number};
use super::tally::LastError;
use super::{Drain, DrainError};
use crate::checkpoint::QueueState;
use crate::faults::{self, Point};
use crate::intake::peer::Peer;
use crate::intake::segments::{LaneIndex, SegmentIndex};
use crate::intake::{Offence, Role, Source, Token};
use crate::sink::SinkError;

/// How long the drain naps while lanes are looked at: short while they bring something, longer
/// while they don't. A lane that fills up rings, and so does one that is left alone.
pub(super) const NAP_SHORTEST: Duration = Duration::from_micros(200);
const NAP_LONGEST: Duration = Duration::from_millis(5);

/// How soon the folder of segments is looked at again, when somebody may be in it who could not
/// ring.
const SCAN: Duration = Duration::from_secs(1);

/// Segments for which one look into their folder tries in vain to find room.
const ATTEMPTS_MAX: u64 = 16;

/// How long the end waits for processes to be gone that have hung up already.
const DYING: Duration = Duration::from_millis(200);

/// What a worker with lanes did.
pub(super) struct LaneAccount {
    pub(super) written: u64,
    /// All that it counted; those that the files don't tell of yet.
    pub(super) dropped: Drops,
    pub(super) unreported: Drops,
    /// What is lost of it, as far as this listener knows when, with the unreported ones.
    pub(super) losses: Losses,
    pub(super) last_record: u64,
    pub(super) name: Arc<str>,
    pub(super) bytes: u64,
    pub(super) errors: u64,
    pub(super) warnings: u64,
    pub(super) last_error: Option<LastError>,
}

impl Drain {
    /// Takes in the segments that are there: of workers that live, of those that died while nobody
    /// listened, and of those that could not ring.
    pub(super) fn scan(&mut self) -> io::Result<()> {
        self.scan_at = None;
        self.leftovers = Leftovers::default();
        let (mut found, mut unfinished, mut left) = (0_u64, 0_u64, 0_u64);
        for file in segment::scan(&self.ownership.run_dir)? {
            if self.intake.segments.knows(file) || self.put_down.files.contains(&file) {
                continue;
            }
            if self.leftovers.without_room >= ATTEMPTS_MAX {
                // There is none for the others either, and each attempt costs.
                left = left.saturating_add(1);
                self.leftovers.without_room = self.leftovers.without_room.saturating_add(1);
                continue;
            }
            match self.intake.segments.open(file, None) {
                Ok(index) => {
                    found = found.saturating_add(1);
                    self.take_in_lanes(index);
                    self.intake.segments.watch_all(index);
                }
                // Its worker is about to complete it and will ring, or died before it could.
                Err(_)
                    if segment::is_incomplete(&self.ownership.run_dir, file)
                        && segment::is_dead(&self.ownership.run_dir, file) =>
                {
                    unfinished = unfinished.saturating_add(1);
                    let _ = segment::remove(&self.ownership.run_dir, file);
                }
                Err(_) if segment::is_incomplete(&self.ownership.run_dir, file) => {
                    left = left.saturating_add(1);
                }
                Err(offence) => {
                    self.leftovers.note(file, &offence);
                    left = left.saturating_add(1);
                    if left.is_power_of_two() {
                        crate::diagnostic::warn!(segment = %file, left, "{offence}");
                    }
                    if offence.is_temporary() {
                        // There is room for it when others have ended.
                        self.expect_scan();
                    }
                }
            }
        }
        // A segment that could not be opened may be theirs.
        if left == 0 && self.put_down.files.is_empty() {
            for queue in self.queues.without_a_segment() {
                self.queues.end(queue);
            }
        }
        self.leftovers.found = found;
        if found > 0 || unfinished > 0 {
            self.worker_seen = true;
            crate::diagnostic::info!(found, unfinished, "segments of workers were found");
        }
        Ok(())
    }

    /// Looks at the folder of segments soon.
    pub(super) fn expect_scan(&mut self) {
        self.scan_at.get_or_insert_with(|| after(Instant::now(), SCAN));
    }

    /// Takes in the segment that a worker's bell names.
    pub(super) fn take_in_segment(&mut self, token: Token, peer: Peer, pid: u32, file: FileName) {
        let index = match self.intake.segments.open(file, Some(peer)) {
            Ok(index) => index,
            Err(offence) => {
                crate::diagnostic::warn!(pid, uid = peer.uid, %offence, "a worker's lanes can't be taken in");
                if offence.is_temporary() {
                    // That the listener has no room is not the worker's fault.
                    self.intake.refuse(token, &offence);
                    self.close(token);
                } else {
                    self.offend(token, &offence);
                }
                self.expect_scan();
                return;
            }
        };
        if self.intake.waits(token) {
            self.worker_seen = true;
            self.intake.segments.turn_bell_away(index);
            self.intake.refuse(token, &Offence::TooManyOfUid(peer.uid));
            self.close(token);
            self.take_in_lanes(index);
            self.intake.segments.watch_all(index);
            return;
        }
        self.intake.segments.hang_bell(index, token);
        if let Some(connection) = self.intake.get(token) {
            connection.role = Role::Bell(index);
        }
        self.intake.introduced(token);
        self.worker_seen = true;
        let mut body = Vec::new();
        Welcome { acked: 0 }.encode(&mut body);
        self.intake.send(token, Kind::Welcome, &body);
        self.take_in_lanes(index);
        self.intake.segments.watch_all(index);
    }

    /// Looks at the lanes of a worker that rang.
    pub(super) fn hear_bell(&mut self, token: Token) {
        let Some(connection) = self.intake.get(token) else { return };
        if let Role::Bell(index) = connection.role {
            self.take_in_lanes(index);
            self.intake.segments.rung(index);
        }
    }

    /// Takes in the lanes of a segment that were claimed since the last look.
    fn take_in_lanes(&mut self, index: SegmentIndex) {
        for (number, id, tail) in self.intake.segments.unknown_lanes(index) {
            let Some(segment) = self.intake.segments.get(index) else { return };
            let state = QueueState {
                id,
                position: 0,
                written: 0,
                pid: segment.peer.pid,
                uid: segment.peer.uid,
                start_time: segment.described.start_time,
                tail,
                lane: u32::try_from(number.saturating_add(1)).unwrap_or(0),
                name: segment.described.name.clone(),
            };
            let queue = match self.queues.attach_lane(&state, &mut self.checkpoint) {
                Ok(queue) => queue,
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    // A copy of another segment: nothing in it is believed.
                    let offence = Offence::Segment(format!("{}: {error}", segment.file));
                    let peer = segment.peer;
                    self.count_offence_by(&offence, Some(peer));
                    self.lose_of(Loss::PutAside, Some(peer), 1);
                    self.intake.segments.put_segment_aside(index);
                    return;
                }
                Err(error) => {
                    crate::diagnostic::warn!(segment = %segment.file, %error, "a lane can't be taken in yet");
                    self.intake.segments.retry(index);
                    return;
                }
            };
            let Some((name, tail)) =
                self.queues.get(queue).map(|queue| (Arc::clone(&queue.name), queue.tail))
            else {
                return;
            };
            let lane = self.intake.segments.add_lane(index, queue, name, tail);
            if let Some(queue) = self.queues.get_mut(queue) {
                queue.lane_index = lane;
            }
        }
    }

    /// Looks at all lanes that may have news. Comes after the connections were heard: whoever
    /// rang before the cut-off is looked at now.
    pub(super) fn look_at_lanes(&mut self) {
        if self.scan_at.is_some_and(|at| Instant::now() >= at)
            && let Err(error) = self.scan()
        {
            crate::diagnostic::warn!(%error, "the folder of lanes can't be looked at");
        }
        for index in self.intake.segments.due_retries() {
            self.take_in_lanes(index);
            self.intake.segments.watch_all(index);
        }
        for index in self.intake.segments.without_seat() {
            self.take_in_lanes(index);
            self.intake.segments.rung(index);
        }
        let checked = self.intake.segments.look_for_deaths();
        for index in checked.silent {
            // A ring may have found no way here: the backlog was full, or the system had no memory.
            self.take_in_lanes(index);
            self.intake.segments.rung(index);
        }
        for index in checked.dead {
            // Its bits may say nothing of its last record, if it died before it could ring.
            self.take_in_lanes(index);
            self.intake.segments.watch_all(index);
        }
        let mut offences = Vec::new();
        self.news.clear();
        self.intake.segments.look(&mut self.news, &mut offences);
        for (lane, offence) in offences {
            self.put_aside(lane, &offence);
        }
        self.nap = if self.news.is_empty() {
            self.nap.saturating_mul(2).min(NAP_LONGEST)
        } else {
            NAP_SHORTEST
        };
    }

    /// Puts a lane aside that can't be read.
    pub(super) fn put_aside(&mut self, lane: LaneIndex, offence: &Offence) {
        self.count_offence_of(Source::Lane(lane), offence);
        self.intake.segments.put_aside(lane, offence);
        let Some(queue) = self.intake.segments.lane(lane).map(|lane| lane.queue) else { return };
        let Some(number) = self.queues.get(queue).map(|queue| queue.lane) else { return };
        // Without the file the line has no place; the diagnostics have told it already.
        let loss = match offence.loss() {
            Loss::Incredible => Loss::Incredible,
            _ => Loss::PutAside,
        };
        let event = LossEvent::Worker { loss, lane: number };
        self.lose_somewhere(queue, &event, stamp::now());
    }

    /// Leaves quiet lanes alone, and ends the segments of dead workers that are drained. Comes
    /// behind the commit: what was drained is in the files.
    pub(super) fn finish_lanes(&mut self) -> Result<(), SinkError> {
        let news = std::mem::take(&mut self.news);
        self.intake.settle_lanes(&news);
        self.news = news;
        let mut offences = Vec::new();
        self.intake.segments.leave_quiet(&mut offences);
        for (lane, offence) in offences {
            self.put_aside(lane, &offence);
        }
        let finished = self.intake.segments.finished();
        self.buries = !finished.is_empty();
        if finished.is_empty() {
            return Ok(());
        }
        for index in &finished {
            self.announce_end(*index)?;
        }
        // The notices before the files: without those nobody could write them any more.
        self.commit()?;
        for index in finished {
            self.bury_segment(index);
        }
        self.commit()
    }

    /// Before the end: segments whose worker is gone need no next listener, and what was logged before
    /// the end is written, whoever logged it. A bell may not have told yet of a worker that ended a
    /// moment before the sentinel came. Where there is not room for all segments at once they are
    /// taken in in turns.
    pub(super) fn take_leave_of_the_dead(&mut self, cutoff: Stamp) -> Result<(), DrainError> {
        // Whoever could not ring is in the folder all the same.
        self.scan_at = Some(Instant::now());
        // And so may workers be gone whose connections ended with an earlier listener.
        let deadline = after(Instant::now(), DYING);
        loop {
            self.orphan_check = Instant::now();
            let dying = self.intake.segments.doubt_all().saturating_add(self.queues.hung_up());
            self.look_at_lanes();
            let drained = self.drain(cutoff);
            self.note_trouble(drained)?;
            if self.buries && self.trouble.is_none() {
                continue;
            }
            if self.leftovers.without_room > 0 && self.trouble.is_none() {
                let put_down = self.put_down_all();
                // Those of dead workers that were drained have left their room already.
                let is_gain =
                    self.leftovers.found > 0 || matches!(put_down, Ok(count) if count > 0);
                self.note_trouble(put_down.map(|_| ()))?;
                self.scan_at = Some(Instant::now());
                if is_gain {
                    continue;
                }
            }
            let without_room = usize::from(self.leftovers.without_room > 0);
            let expected = if self.is_alone {
                self.intake.segments.len().max(self.queues.hung_up())
            } else {
                dying
            };
            if expected.max(without_room) == 0
                || self.trouble.is_some()
                || Instant::now() >= deadline
            {
                return Ok(());
            }
            self.wake.wait_until(after(Instant::now(), NAP_LONGEST));
        }
    }

    /// Writes what is to be said of a worker that is gone.
    fn announce_end(&mut self, index: SegmentIndex) -> Result<(), SinkError> {
        let Some(account) = self.lane_account(index) else { return Ok(()) };
        let has_left = self.intake.segments.has_left(index);
        let Some(first) = self.queues_of(index).first().copied() else { return Ok(()) };
        if self.intake.segments.get(index).is_none_or(|segment| segment.is_announced) {
            return Ok(());
        }
        self.prepare_notice(first)?;
        let now = stamp::now();
        if account.unreported.total() > 0 {
            let event = LossEvent::Dropped { first_seq: 0, last_seq: 0, drops: account.unreported };
            self.lose(first, &event, now);
            self.intake.segments.report(index, account.unreported);
        }
        if account.written > 0 && !has_left {
            self.totals.died = self.totals.died.saturating_add(1);
            self.write_notice(first, &Notice::Died { records: account.written }, now);
        }
        if let Some(segment) = self.intake.segments.get_mut(index) {
            segment.is_announced = true;
        }
        Ok(())
    }

    fn bury_segment(&mut self, index: SegmentIndex) {
        let Some(account) = self.lane_account(index) else { return };
        let Some(pid) = self.intake.segments.get(index).map(|segment| segment.peer.pid) else {
            return;
        };
        let queues = self.queues_of(index);
        faults::reach(Point::BeforeUnlink);
        self.intake.segments.remove(index);
        faults::reach(Point::AfterUnlink);
        for queue in queues {
            if let Some(queue) = self.queues.get_mut(queue) {
                queue.lane_index = None;
            }
            self.queues.end(queue);
        }
        let ended = WorkerAccount {
            name: account.name.to_string(),
            pid,
            written: account.written,
            dropped: account.dropped,
        };
        self.queues.keep(ended, &account.losses);
    }

    pub(super) fn queues_of(&self, index: SegmentIndex) -> Vec<QueueIndex> {
        let segments = &self.intake.segments;
        let lanes = segments.get(index).map_or(&[][..], |segment| &segment.lanes);
        lanes.iter().filter_map(|lane| segments.lane(*lane)).map(|lane| lane.queue).collect()
    }

    /// What a worker with lanes did until now.
    pub(super) fn lane_account(&self, index: SegmentIndex) -> Option<LaneAccount> {
        let segment = self.intake.segments.get(index)?;
        let (dropped, reported) = self.intake.segments.drops(index, self.credible_drops(index));
        let mut unreported = dropped;
        for (left, reported) in unreported.0.iter_mut().zip(reported.0) {
            *left = left.saturating_sub(reported);
        }
        let mut account = LaneAccount {
            written: 0,
            dropped,
            unreported,
            losses: Losses::default(),
            last_record: 0,
            name: segment.described.name.as_str().into(),
            bytes: 0,
            errors: 0,
            warnings: 0,
            last_error: None,
        };
        let (first, last) = segment.drops_seen;
        let times = (self.clock.time(first), self.clock.time(last));
        account.losses.note_drops_between(unreported, times);
        for queue in self.queues_of(index).into_iter().filter_map(|queue| self.queues.get(queue)) {
            account.written = account.written.saturating_add(queue.written);
            account.losses.add(&queue.losses);
            let tally = &queue.tally;
            account.bytes = account.bytes.saturating_add(tally.bytes);
            account.errors = account.errors.saturating_add(tally.errors);
            account.warnings = account.warnings.saturating_add(tally.warnings);
            if let Some(last) = &queue.tally.last_error
                && account.last_error.as_ref().is_none_or(|known| known.stamp < last.stamp)
            {
                account.last_error = Some(LastError::clone(last));
            }
            // The lane that logged last knows the worker's present name.
            if queue.last_record >= account.last_record && queue.written > 0 {
                account.last_record = queue.last_record;
                account.name = Arc::clone(&queue.name);
            }
        }
        Some(account)
    }

    /// The most drops that the workers of a segment can have counted, in all lanes that there can be.
    fn credible_drops(&self, index: SegmentIndex) -> u64 {
        let start_time = self.intake.segments.get(index).map_or(0, |s| s.described.start_time);
        credible_number(age_of(start_time)).saturating_mul(LANES_MAX as u64)
    }

    /// Looks at what workers have counted in their segments: since when, and whether it is
    /// believed. A count that nobody can reach is in no sum; its worker is named, once.
    pub(super) fn look_at_drops(&mut self, now: Stamp) {
        let indices: Vec<_> = self.intake.segments.iter().map(|(index, _)| index).collect();
        for index in indices {
            let most = self.credible_drops(index);
            let Some(claimed) = self.intake.segments.look_at_drops(index, most, now) else {
                continue;
            };
            let offence = Offence::Incredible(claimed);
            let peer = self.intake.segments.get(index).map(|segment| segment.peer);
            self.count_offence_by(&offence, peer);
            match self.queues_of(index).first().copied() {
                Some(queue) => {
                    let event = LossEvent::Worker { loss: Loss::Incredible, lane: 0 };
                    self.lose_somewhere(queue, &event, now);
                }
                None => self.lose_of(Loss::Incredible, peer, 1),
            }
        }
    }

    /// Adds the accounts of workers with lanes to a receipt.
    pub(super) fn settle_lane_accounts(&self, receipt: &mut Receipt) {
        for (index, segment) in self.intake.segments.iter() {
            let Some(account) = self.lane_account(index) else { continue };
            receipt.accounts.push(WorkerAccount {
                name: account.name.to_string(),
                pid: segment.peer.pid,
                written: account.written,
                dropped: account.dropped,
            });
        }
    }

    /// A worker had to use the socket.
    pub(super) fn note_fallback(&mut self, index: QueueIndex, fallback: String) {
        if fallback.is_empty() {
            return;
        }
        if let Some(queue) = self.queues.get_mut(index)
            && queue.fallback.is_empty()
        {
            crate::diagnostic::warn!(
                worker = &*queue.name,
                pid = queue.pid,
                reason = fallback,
                "a worker logs over the socket because it has no lanes"
            );
            queue.fallback = fallback.into();
            self.totals.fallbacks = self.totals.fallbacks.saturating_add(1);
        }
    }
}
