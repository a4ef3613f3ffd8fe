//! The merge: records of many connections and lanes in the order of their stamps.
//!
//! A source's own stamps never go back, so the merge only compares the fronts. Its cost grows
//! with the sources that have something to say, not with those that are there.
#![deny(clippy::arithmetic_side_effects, reason = "these numbers come from anybody")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use fleetlog_protocol::DecodeError;
use fleetlog_protocol::callsite::Callsite;
use fleetlog_protocol::frame::Kind;
use fleetlog_protocol::limits::WINDOW_MIN;
use fleetlog_protocol::message::Gap;
use fleetlog_protocol::record::Record;
use fleetlog_protocol::stamp::{self, Stamp};

use super::clock::WallClock;
use super::dedup::{Arrival, Offered};
use super::loss::LossEvent;
use super::notice::Notice;
use super::queues::{Queue, QueueIndex};
use super::revision::Revision;
use super::{Drain, Totals};
use crate::checkpoint::Checkpoint;
use crate::format::{Line, Origin};
use crate::intake::{Offence, Source, Speaker};
use crate::sink::{Appended, SinkError, Sinks};

/// The bytes of one socket's records that wait for equal ones: a quarter of the smallest window that a
/// worker may have.
const UNACKNOWLEDGED_MAX: usize = WINDOW_MIN / 4;

/// What became of a source's front.
enum Step {
    /// It was used; the source moved on.
    Used,
    /// A log must be rotated before it.
    Full,
    /// Something must be looked at first: numbers are missing before it, it is a gap report, or it
    /// can't be read.
    Special,
}

impl Drain {
    /// Writes everything up to the cut-off into batches, in order.
    pub(super) fn merge(&mut self, cutoff: Stamp) -> Result<(), SinkError> {
        // A token that was closed in a round that failed may have been given out again since.
        self.active.sort_unstable();
        self.active.dedup();
        let connections = self.active.iter().map(|token| Source::Connection(*token));
        let lanes = self.news.iter().map(|lane| Source::Lane(*lane));
        let foreign = self.intake.inlet.active.iter().map(|number| Source::Foreign(*number));
        let sources: Vec<Source> = connections.chain(lanes).chain(foreign).collect();
        let mut fronts = BinaryHeap::with_capacity(sources.len());
        for source in sources {
            if let Some(stamp) = self.front(source, cutoff) {
                fronts.push(Reverse((stamp, source)));
            }
        }
        while let Some(Reverse((mut stamp, source))) = fronts.pop() {
            // While a source's next record is still the oldest of all, the heap can rest.
            let bound = fronts.peek().map_or(cutoff, |Reverse((stamp, _))| *stamp);
            loop {
                if self.sinks.is_writing() {
                    // An offender's last line could not be written: nothing may join that batch.
                    self.commit()?;
                }
                self.oldest.get_or_insert(stamp);
                if matches!(self.emit(source, bound)?, Step::Special) {
                    self.emit_special(source)?;
                }
                self.commit_if_full()?;
                match self.front(source, cutoff) {
                    Some(next) if next <= bound => stamp = next,
                    Some(next) => {
                        fronts.push(Reverse((next, source)));
                        break;
                    }
                    None => break,
                }
            }
        }
        Ok(())
    }

    /// The stamp of a source's next record, if it is not later than the cut-off.
    fn front(&mut self, source: Source, cutoff: Stamp) -> Option<Stamp> {
        let sinks = &self.sinks;
        let interested = |callsite: &Callsite| sinks.interested(callsite.level, &callsite.target);
        match self.intake.next_stamp(source, interested) {
            Ok(stamp) => stamp.filter(|stamp| *stamp <= cutoff),
            Err(offence) => {
                self.offend_source(source, &offence);
                None
            }
        }
    }

    /// Puts the front of a source into the batch, and the records behind it that are not later than
    /// `bound`, as far as they were received and the batch has room.
    fn emit(&mut self, source: Source, bound: Stamp) -> Result<Step, SinkError> {
        let Self { intake, queues, sinks, checkpoint, clock, totals, revision, .. } = self;
        let Some(mut speaker) = intake.speaker(source) else { return Ok(Step::Used) };
        let Some(queue) = queues.get_mut(speaker.queue) else { return Ok(Step::Special) };
        let before = speaker.feed.used();
        let mut outcome;
        loop {
            outcome = emit_record(&mut speaker, queue, sinks, checkpoint, clock, totals, revision);
            let goes_on = matches!(outcome, Ok(Step::Used))
                && !sinks.is_full()
                && !revision.is_full()
                && speaker.feed.next_stamp_is_at_most(bound);
            if !goes_on {
                break;
            }
        }
        // Also after an error: what was used before it is in the batch.
        if speaker.feed.used() != before {
            queue.move_tail(speaker.feed);
            queues.mark_dirty(speaker.queue);
        }
        outcome
    }

    /// Puts a front into the batch that is more than a record behind its predecessor.
    fn emit_special(&mut self, source: Source) -> Result<(), SinkError> {
        let Some(speaker) = self.intake.speaker(source) else { return Ok(()) };
        let Some((front, body)) = speaker.feed.front() else { return Ok(()) };
        let (index, stamp) = (speaker.queue, front.stamp);
        if self.queues.get(index).is_none() {
            // Whoever speaks for a queue that is not there would hold up the merge for ever.
            self.offend_source(source, &Offence::Orphaned);
            return Ok(());
        }
        let gap = (front.kind == Kind::Gap).then(|| Gap::decode(body));
        let name = Arc::clone(speaker.name);
        if let Some(queue) = self.queues.get_mut(index) {
            queue.take_name(&name, &self.checkpoint);
        }
        match gap {
            Some(Ok(gap)) => {
                if !self.expect(source, index, (gap.first_seq, gap.seq), stamp)? {
                    return Ok(());
                }
                self.take_gap(source, index, &gap, stamp)?;
            }
            Some(Err(error)) => {
                self.offend_source(source, &error.into());
                return Ok(());
            }
            None => {
                if !self.expect(source, index, (front.seq, front.seq), stamp)? {
                    return Ok(());
                }
                if matches!(self.emit(source, stamp)?, Step::Special) {
                    // A callsite that is not known yet may stand in the segment's table by now.
                    self.read_callsites(source);
                    if matches!(self.emit(source, stamp)?, Step::Special) {
                        self.skip_unreadable(source, index, stamp)?;
                    }
                }
                return Ok(());
            }
        }
        self.leave_behind(source, index);
        Ok(())
    }

    fn leave_behind(&mut self, source: Source, index: QueueIndex) {
        if let Some(speaker) = self.intake.speaker(source) {
            speaker.feed.advance();
            if let Some(queue) = self.queues.get_mut(index) {
                queue.move_tail(speaker.feed);
            }
        }
        self.queues.mark_dirty(index);
    }

    fn read_callsites(&mut self, source: Source) {
        let Source::Lane(lane) = source else { return };
        let Some(segment) = self.intake.segments.lane(lane).map(|lane| lane.segment) else {
            return;
        };
        let sinks = &self.sinks;
        let interested = |callsite: &Callsite| sinks.interested(callsite.level, &callsite.target);
        if let Err(offence) = self.intake.segments.read_callsites(segment, interested) {
            self.offend_source(source, &offence);
        }
    }

    /// Leaves a record out that nobody can read. The frame around it was whole, so that the
    /// records behind it can be; cutting the worker off would only bring it back again.
    fn skip_unreadable(
        &mut self,
        source: Source,
        index: QueueIndex,
        stamp: Stamp,
    ) -> Result<(), SinkError> {
        let Some(speaker) = self.intake.speaker(source) else { return Ok(()) };
        let Some((_, body)) = speaker.feed.front() else { return Ok(()) };
        let offence = match Record::decode(body) {
            Err(error) => error.into(),
            Ok(record) if speaker.callsites.get(record.callsite).is_none() => {
                Offence::UnknownCallsite(record.callsite)
            }
            Ok(_) => DecodeError::Truncated("a callsite's field names").into(),
        };
        self.prepare_notice(index)?;
        self.count_offence_of(source, &offence);
        let Some(queue) = self.queues.get_mut(index) else { return Ok(()) };
        queue.position = queue.position.saturating_add(1);
        let seq = queue.position;
        self.lose(index, &LossEvent::Unreadable { seq }, stamp);
        self.leave_behind(source, index);
        Ok(())
    }

    /// Notes the numbers between a queue's position and what comes next, which has the numbers
    /// from the first to the last of `next`. Tells whether they are believed: a source that claims
    /// numbers which it can't have used is heard no more.
    fn expect(
        &mut self,
        source: Source,
        index: QueueIndex,
        next: (u64, u64),
        stamp: Stamp,
    ) -> Result<bool, SinkError> {
        let (next, last) = next;
        let Some(queue) = self.queues.get_mut(index) else { return Ok(true) };
        let first_seq = queue.position.saturating_add(1);
        // What goes on by one needs no look at the clock.
        if (next, last) != (first_seq, first_seq) && last > queue.credible_seq() {
            self.offend_source(source, &Offence::Incredible(last));
            return Ok(false);
        }
        if std::mem::take(&mut queue.is_adopted) {
            queue.position = next.saturating_sub(1);
            return Ok(true);
        }
        if next <= first_seq {
            return Ok(true);
        }
        self.prepare_notice(index)?;
        let last_seq = next.saturating_sub(1);
        self.lose(index, &LossEvent::Missing { first_seq, last_seq }, stamp);
        if let Some(queue) = self.queues.get_mut(index) {
            queue.position = last_seq;
        }
        self.queues.mark_dirty(index);
        Ok(true)
    }

    fn take_gap(
        &mut self,
        source: Source,
        index: QueueIndex,
        gap: &Gap,
        stamp: Stamp,
    ) -> Result<(), SinkError> {
        self.prepare_notice(index)?;
        let Gap { first_seq, seq: last_seq, drops, .. } = *gap;
        self.lose(index, &LossEvent::Dropped { first_seq, last_seq, drops }, stamp);
        if let Some(queue) = self.queues.get_mut(index) {
            queue.position = last_seq;
        }
        if let Source::Lane(lane) = source
            && let Some(segment) = self.intake.segments.lane(lane).map(|lane| lane.segment)
        {
            self.intake.segments.report(segment, drops);
        }
        self.queues.mark_dirty(index);
        Ok(())
    }

    pub(super) fn prepare_notice(&mut self, index: QueueIndex) -> Result<(), SinkError> {
        let Some(queue) = self.queues.get(index) else { return Ok(()) };
        let (name, pid) = (Arc::clone(&queue.name), queue.pid);
        self.prepare_notice_of(&name, pid)
    }

    /// Makes room for a line of the listener's own under this name.
    pub(super) fn prepare_notice_of(&mut self, name: &Arc<str>, pid: u32) -> Result<(), SinkError> {
        if self.sinks.is_writing() {
            // A batch that is half written takes no line.
            self.commit()?;
        }
        let callsite = &self.notices.callsite;
        let sinks = self.sinks.interested(callsite.level, &callsite.target);
        self.sinks.prepare(sinks, name, pid, &mut self.checkpoint)?;
        if self.revision.due().is_some() {
            // The line stands behind all that came before it.
            self.commit()?;
        }
        let now = self.clock.time(stamp::now());
        if !self.sinks.has_room_for_notices(sinks, name, pid, now) {
            self.commit()?;
        }
        Ok(())
    }

    /// Writes a line of the listener's own about a worker.
    pub(super) fn write_notice(&mut self, index: QueueIndex, notice: &Notice, stamp: Stamp) {
        let Some(queue) = self.queues.get(index) else { return };
        let (name, pid) = (Arc::clone(&queue.name), queue.pid);
        self.write_notice_of(&name, pid, notice, stamp);
    }

    /// Writes a line of the listener's own under a name.
    pub(super) fn write_notice_of(
        &mut self,
        name: &Arc<str>,
        pid: u32,
        notice: &Notice,
        stamp: Stamp,
    ) {
        let callsite = self.notices.callsite.clone();
        let sinks = self.sinks.interested(callsite.level, &callsite.target);
        let Some(record) = self.notices.record(notice, stamp) else { return };
        let line = Line {
            record: &record,
            callsite: &callsite,
            worker: name,
            pid,
            lane: 0,
            time: self.clock.time(stamp),
            repeats: &[],
            origin: Origin::Listener,
        };
        self.sinks.append_notice(sinks, &line);
    }
}

/// Puts one record into the batch. The caller notes what the source has used.
#[inline]
fn emit_record(
    speaker: &mut Speaker<'_>,
    queue: &mut Queue,
    sinks: &mut Sinks,
    checkpoint: &mut Checkpoint,
    clock: &WallClock,
    totals: &mut Totals,
    revision: &mut Revision,
) -> Result<Step, SinkError> {
    let Some((front, body)) = speaker.feed.front() else { return Ok(Step::Used) };
    if front.seq <= queue.position {
        // It was sent again because its acknowledgement was lost, not because it was.
        let is_record = front.kind == Kind::Record;
        totals.doubles = totals.doubles.saturating_add(u64::from(is_record));
        speaker.feed.advance();
        return Ok(Step::Used);
    }
    if front.kind != Kind::Record || front.seq != queue.position.saturating_add(1) {
        return Ok(Step::Special);
    }
    let decoded = Record::decode(body);
    // By reference: a record is large enough for a move to show.
    let Ok(record) = &decoded else { return Ok(Step::Special) };
    let inline;
    let (callsite, mask) = match record.definition {
        None => match speaker.callsites.get(record.callsite) {
            Some(known) => (&known.callsite, known.sinks),
            None => return Ok(Step::Special),
        },
        Some(definition) => match Callsite::decode(definition) {
            Ok(callsite) => {
                inline = Arc::new(callsite);
                (&inline, sinks.interested(record.level, &inline.target))
            }
            Err(_) => return Ok(Step::Special),
        },
    };
    if usize::from(record.fields().names()) > callsite.fields.len() {
        return Ok(Step::Special);
    }
    queue.take_name(speaker.name, checkpoint);
    sinks.prepare(mask, speaker.name, queue.pid, checkpoint)?;
    let redacted =
        revision.redactor.as_mut().and_then(|redactor| redactor.redact(record, callsite));
    let shown = redacted.map(|bytes| (bytes, Record::decode(bytes)));
    let (bytes, record) = match &shown {
        None => (body, record),
        Some((bytes, Ok(record))) => (*bytes, record),
        // What can't be shown without its secrets is not shown.
        Some((_, Err(_))) => return Ok(Step::Special),
    };
    let line = Line {
        record,
        callsite,
        worker: speaker.name,
        pid: queue.pid,
        lane: u32::from(speaker.lane),
        time: clock.time(front.stamp),
        repeats: &[],
        origin: Origin::Client,
    };
    match &mut revision.dedup {
        None if sinks.append(mask, &line) == Appended::Full => return Ok(Step::Full),
        None => {}
        Some(dedup) => {
            if speaker.lane == 0 {
                // What waits is not acknowledged, and a worker's window may be small.
                queue.waiting = queue.waiting.saturating_add(body.len());
                revision.is_hurried |= queue.waiting >= UNACKNOWLEDGED_MAX;
            }
            let worker = speaker.name;
            let arrival = Arrival { line: &line, bytes, callsite, worker, sinks: mask };
            match dedup.offer(&arrival, sinks) {
                Offered::Held => {}
                Offered::Merged => totals.merged = totals.merged.saturating_add(1),
                Offered::Full => return Ok(Step::Full),
            }
        }
    }
    queue.position = front.seq;
    let bytes = body.len() as u64;
    queue.written = queue.written.saturating_add(1);
    queue.last_record = front.stamp;
    queue.tally.bytes = queue.tally.bytes.saturating_add(bytes);
    totals.written = totals.written.saturating_add(1);
    totals.tally.bytes = totals.tally.bytes.saturating_add(bytes);
    // ERROR, the first, is 1.
    if let Some(written) = totals.levels.get_mut((record.level as usize).saturating_sub(1)) {
        *written = written.saturating_add(1);
    }
    if record.level.is_urgent() {
        queue.tally.note_urgent(&line, front.stamp, &mut revision.error_texts);
    }
    let is_cut = record.original_len.is_some();
    totals.truncated = totals.truncated.saturating_add(u64::from(is_cut));
    speaker.feed.advance();
    Ok(Step::Used)
}
