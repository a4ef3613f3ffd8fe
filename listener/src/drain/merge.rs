//! The merge: records of many connections in the order of their stamps.
//!
//! A connection's own stamps never go back, so the merge only compares the fronts. Its cost
//! grows with the connections that have something to say, not with those that are there.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use fleetlog_protocol::DecodeError;
use fleetlog_protocol::callsite::Callsite;
use fleetlog_protocol::frame::Kind;
use fleetlog_protocol::message::Gap;
use fleetlog_protocol::record::{Record, stamp_of};
use fleetlog_protocol::stamp::Stamp;

use super::Drain;
use super::notice::Notice;
use super::queues::QueueIndex;
use crate::format::Line;
use crate::intake::{Offence, Token, WorkerLink};
use crate::sink::{SinkError, SinkMask, Sinks};

/// What became of a connection's front.
enum Step {
    /// It was used; the connection moved on.
    Used,
    /// The sender is at fault.
    Offence(Offence),
}

impl Drain {
    /// Writes everything up to the cut-off into batches, in order.
    pub(super) fn merge(&mut self, cutoff: Stamp) -> Result<(), SinkError> {
        // A token that was closed in a round that failed may have been given out again since.
        self.active.sort_unstable();
        self.active.dedup();
        let mut fronts = BinaryHeap::new();
        for token in self.active.clone() {
            if let Some(stamp) = self.front(token, cutoff) {
                fronts.push(Reverse((stamp, token)));
            }
        }
        while let Some(Reverse((mut stamp, token))) = fronts.pop() {
            // While a connection's next record is still the oldest of all, the heap can rest.
            let bound = fronts.peek().map_or(cutoff, |Reverse((stamp, _))| *stamp);
            loop {
                match self.emit(token, stamp)? {
                    Step::Used => {}
                    Step::Offence(offence) => {
                        self.offend(token, &offence);
                        break;
                    }
                }
                self.commit_if_full()?;
                match self.front(token, cutoff) {
                    Some(next) if next <= bound => stamp = next,
                    Some(next) => {
                        fronts.push(Reverse((next, token)));
                        break;
                    }
                    None => break,
                }
            }
        }
        Ok(())
    }

    /// The stamp of a connection's next record, if it is not later than the cut-off.
    fn front(&mut self, token: Token, cutoff: Stamp) -> Option<Stamp> {
        let connection = self.intake.get(token)?;
        let sinks = &self.sinks;
        let interested = |callsite: &Callsite| sinks.interested(callsite.level, &callsite.target);
        match connection.next_stamp(interested) {
            Ok(stamp) => stamp.filter(|stamp| *stamp <= cutoff),
            Err(offence) => {
                self.offend(token, &offence);
                None
            }
        }
    }

    /// Puts the front of a connection into the batch.
    fn emit(&mut self, token: Token, stamp: Stamp) -> Result<Step, SinkError> {
        let Some(connection) = self.intake.get(token) else { return Ok(Step::Used) };
        let Some((frame, link)) = connection.front() else { return Ok(Step::Used) };
        let (index, len) = (link.queue, frame.len);
        let Some(queue) = self.queues.get(index) else { return Ok(Step::Used) };
        let position = queue.position;
        let Some((seq, _)) = stamp_of(frame.body) else { return Ok(Step::Used) };

        if seq <= position {
            // It was sent again because its acknowledgement was lost, not because it was.
            self.totals.doubles += u64::from(frame.kind == Kind::Record);
            connection.advance(len, stamp);
            return Ok(Step::Used);
        }
        self.queues.rename(index, &link.name, &self.checkpoint);
        if frame.kind == Kind::Gap {
            let gap = match Gap::decode(frame.body) {
                Ok(gap) => gap,
                Err(error) => return Ok(Step::Offence(error.into())),
            };
            self.expect(index, gap.first_seq, stamp)?;
            self.take_gap(index, &gap, stamp)?;
            if let Some(connection) = self.intake.get(token) {
                connection.advance(len, stamp);
            }
            return Ok(Step::Used);
        }
        if seq > position + 1 {
            self.expect(index, seq, stamp)?;
        }
        self.write_record(token, index, stamp)
    }

    fn write_record(
        &mut self,
        token: Token,
        index: QueueIndex,
        stamp: Stamp,
    ) -> Result<Step, SinkError> {
        let Some(connection) = self.intake.get(token) else { return Ok(Step::Used) };
        let Some((frame, link)) = connection.front() else { return Ok(Step::Used) };
        let Some(queue) = self.queues.get_mut(index) else { return Ok(Step::Used) };
        let mut inline = None;
        let (record, callsite, sinks) = match read(frame.body, link, &self.sinks, &mut inline) {
            Ok(read) => read,
            Err(offence) => return self.skip_unreadable(token, index, stamp, &offence),
        };
        self.sinks.prepare(sinks, &link.name, queue.pid, &mut self.checkpoint)?;
        let line = Line {
            record: &record,
            callsite,
            worker: &link.name,
            pid: queue.pid,
            lane: 0,
            time: self.clock.time(stamp),
        };
        self.sinks.append(sinks, &line);
        queue.position = record.seq;
        queue.written += 1;
        queue.last_record = stamp;
        self.totals.written += 1;
        self.totals.truncated += u64::from(record.original_len.is_some());
        let len = frame.len;
        connection.advance(len, stamp);
        self.queues.mark_dirty(index);
        Ok(Step::Used)
    }

    /// Leaves a record out that nobody can read. The frame around it was whole, so that the
    /// records behind it can be; cutting the worker off would only bring it back again.
    fn skip_unreadable(
        &mut self,
        token: Token,
        index: QueueIndex,
        stamp: Stamp,
        offence: &Offence,
    ) -> Result<Step, SinkError> {
        self.prepare_notice(index)?;
        self.count_offence(offence, Some(token));
        let Some(queue) = self.queues.get_mut(index) else { return Ok(Step::Used) };
        queue.position += 1;
        queue.missing = queue.missing.saturating_add(1);
        let seq = queue.position;
        self.totals.missing = self.totals.missing.saturating_add(1);
        self.write_notice(index, &Notice::Unreadable { seq }, stamp);
        self.queues.mark_dirty(index);
        if let Some(connection) = self.intake.get(token)
            && let Some((frame, _)) = connection.front()
        {
            let len = frame.len;
            connection.advance(len, stamp);
        }
        Ok(Step::Used)
    }

    /// Notes the numbers between a queue's position and what comes next.
    fn expect(&mut self, index: QueueIndex, next: u64, stamp: Stamp) -> Result<(), SinkError> {
        let Some(queue) = self.queues.get(index) else { return Ok(()) };
        let first_seq = queue.position + 1;
        if next <= first_seq {
            return Ok(());
        }
        let missing = next - first_seq;
        self.prepare_notice(index)?;
        self.write_notice(index, &Notice::Missing { first_seq, last_seq: next - 1 }, stamp);
        if let Some(queue) = self.queues.get_mut(index) {
            queue.position = next - 1;
            queue.missing = queue.missing.saturating_add(missing);
        }
        self.totals.missing = self.totals.missing.saturating_add(missing);
        self.queues.mark_dirty(index);
        Ok(())
    }

    fn take_gap(&mut self, index: QueueIndex, gap: &Gap, stamp: Stamp) -> Result<(), SinkError> {
        self.prepare_notice(index)?;
        let notice =
            Notice::Dropped { first_seq: gap.first_seq, last_seq: gap.seq, drops: gap.drops };
        self.write_notice(index, &notice, stamp);
        if let Some(queue) = self.queues.get_mut(index) {
            queue.position = gap.seq;
            queue.dropped.add(gap.drops);
        }
        self.totals.dropped.add(gap.drops);
        self.queues.mark_dirty(index);
        Ok(())
    }

    pub(super) fn prepare_notice(&mut self, index: QueueIndex) -> Result<(), SinkError> {
        let Some(queue) = self.queues.get(index) else { return Ok(()) };
        let callsite = &self.notices.callsite;
        let sinks = self.sinks.interested(callsite.level, &callsite.target);
        self.sinks.prepare(sinks, &queue.name, queue.pid, &mut self.checkpoint)
    }

    /// Writes a line of the listener's own about a worker.
    pub(super) fn write_notice(&mut self, index: QueueIndex, notice: &Notice, stamp: Stamp) {
        let Some(queue) = self.queues.get(index) else { return };
        let callsite = self.notices.callsite.clone();
        let sinks = self.sinks.interested(callsite.level, &callsite.target);
        let Some(record) = self.notices.record(notice, stamp) else { return };
        let line = Line {
            record: &record,
            callsite: &callsite,
            worker: &queue.name,
            pid: queue.pid,
            lane: 0,
            time: self.clock.time(stamp),
        };
        self.sinks.append(sinks, &line);
    }
}

/// Decodes a record and finds its callsite, in `inline` where the record carries it.
fn read<'a>(
    body: &'a [u8],
    link: &'a WorkerLink,
    sinks: &Sinks,
    inline: &'a mut Option<Callsite>,
) -> Result<(Record<'a>, &'a Callsite, SinkMask), Offence> {
    let record = Record::decode(body)?;
    let (callsite, mask) = match record.definition {
        Some(definition) => {
            let callsite = inline.insert(Callsite::decode(definition)?);
            (&*callsite, sinks.interested(record.level, &callsite.target))
        }
        None => match link.callsites.get(&record.callsite) {
            Some(known) => (&known.callsite, known.sinks),
            _ => return Err(Offence::UnknownCallsite(record.callsite)),
        },
    };
    if usize::from(record.fields().names()) > callsite.fields.len() {
        return Err(DecodeError::Truncated("a callsite's field names").into());
    }
    Ok((record, callsite, mask))
}
