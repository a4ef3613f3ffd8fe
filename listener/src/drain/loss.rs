//! Losses: one event makes the line in the log and what the account counts.
//!
//! What is lost of a worker is told at once, at its place. Clients that no queue stands for (who
//! were turned away, or cut off before they had logged anything) may be many: they are counted at
//! once, and told once in a while, all of one reason in one line, so that a flood of them is no flood
//! of lines. The numbers of the lines add up to what is counted.
#![deny(clippy::arithmetic_side_effects, reason = "these numbers come from anybody")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fleetlog_protocol::message::{Drops, Loss, Losses};
use fleetlog_protocol::record::{FieldEncoder, FieldName};
use fleetlog_protocol::stamp::{self, Stamp};

use super::Drain;
use super::clock::after;
use super::notice::Notice;
use super::queues::QueueIndex;
use crate::intake::peer::Peer;
use crate::sink::SinkError;

/// Between two lines about clients of one reason.
const TELLING: Duration = Duration::from_secs(1);

/// The name under which the lines about clients stand that have no queue.
const NOBODY: &str = "unknown";

/// What was lost at once.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LossEvent {
    /// A worker dropped records here and counted them; 0 = it did not live to number them.
    Dropped { first_seq: u64, last_seq: u64, drops: Drops },
    /// Sequence numbers are missing here and nobody said why.
    Missing { first_seq: u64, last_seq: u64 },
    /// A worker sent a record that can't be read; it is left out.
    Unreadable { seq: u64 },
    /// Something of which nobody knows how many records it was, in a lane (0 = a connection).
    Worker { loss: Loss, lane: u32 },
    /// The same of clients that no queue stands for, the first of which is named.
    Clients { loss: Loss, times: u64, first: Peer },
}

impl LossEvent {
    /// Counts it.
    pub(super) fn count(&self, losses: &mut Losses, at: u64) {
        match *self {
            Self::Dropped { drops, .. } => losses.note_drops(drops, at),
            Self::Missing { first_seq, last_seq } => {
                losses.note(Loss::Missing, numbers(first_seq, last_seq), 1, at);
            }
            Self::Unreadable { .. } => losses.note(Loss::Unreadable, 1, 1, at),
            Self::Worker { loss, .. } => losses.note(loss, 1, 1, at),
            // Of each that is counted at all there was one.
            Self::Clients { loss, times, .. } => losses.note(loss, times, times, at),
        }
    }

    /// Tells it: each reason is a field, whose number is that of the records, or of the times where
    /// nobody knows the records.
    pub(super) fn encode(&self, fields: &mut FieldEncoder<'_>) {
        let mut number = |name, value| fields.u64(FieldName::Inline(name), value);
        match *self {
            Self::Dropped { first_seq, last_seq, drops } => {
                number("dropped", drops.total());
                for (reason, count) in drops.by_reason() {
                    number(reason.as_str(), count);
                }
                if first_seq > 0 {
                    number("first_seq", first_seq);
                    number("last_seq", last_seq);
                }
            }
            Self::Missing { first_seq, last_seq } => {
                number(Loss::Missing.as_str(), numbers(first_seq, last_seq));
                number("first_seq", first_seq);
                number("last_seq", last_seq);
            }
            Self::Unreadable { seq } => {
                number(Loss::Unreadable.as_str(), 1);
                number("unreadable_seq", seq);
            }
            Self::Worker { loss, lane } => {
                number(loss.as_str(), 1);
                if lane > 0 {
                    number("lane", u64::from(lane));
                }
            }
            Self::Clients { loss, times, first } => {
                number(loss.as_str(), times);
                number("client_pid", u64::from(first.pid));
                number("client_uid", u64::from(first.uid));
            }
        }
        let loss = match *self {
            Self::Dropped { drops, .. } => {
                drops.by_reason().next().map(|(first, _)| Loss::Dropped(first))
            }
            Self::Missing { .. } => Some(Loss::Missing),
            Self::Unreadable { .. } => Some(Loss::Unreadable),
            Self::Worker { loss, .. } | Self::Clients { loss, .. } => Some(loss),
        };
        fields.str(FieldName::Inline("message"), loss.map_or("", Loss::message));
    }
}

/// How many numbers a range has.
const fn numbers(first: u64, last: u64) -> u64 {
    last.saturating_sub(first).saturating_add(1)
}

/// Losses that are counted and wait for their line, by reason.
#[derive(Debug, Default)]
pub(super) struct Untold {
    waiting: BTreeMap<Loss, (u64, Peer)>,
    /// When each reason may have its next line.
    next: BTreeMap<Loss, Instant>,
}

impl Untold {
    /// When something is to be told.
    pub(super) fn due(&self) -> Option<Instant> {
        let now = Instant::now();
        self.waiting.keys().map(|loss| self.next.get(loss).copied().unwrap_or(now)).min()
    }
}

impl Drain {
    /// Something of a queue's worker is lost: tells it in the log, at this place, and counts it.
    /// [`prepare_notice`](Self::prepare_notice) comes before.
    pub(super) fn lose(&mut self, index: QueueIndex, event: &LossEvent, stamp: Stamp) {
        self.write_notice(index, &Notice::Lost(*event), stamp);
        let at = self.clock.time(stamp);
        if let Some(queue) = self.queues.get_mut(index) {
            event.count(&mut queue.losses, at);
        }
        event.count(&mut self.totals.losses, at);
    }

    /// Something is lost of clients that no queue stands for.
    pub(super) fn lose_of(&mut self, loss: Loss, peer: Option<Peer>, times: u64) {
        let first = peer.unwrap_or(Peer { pid: 0, uid: u32::MAX });
        let at = self.clock.time(stamp::now());
        LossEvent::Clients { loss, times, first }.count(&mut self.totals.losses, at);
        let (waiting, _) = self.untold.waiting.entry(loss).or_insert((0, first));
        *waiting = waiting.saturating_add(times);
    }

    /// Tells the losses of clients that are due, or `all` of them, because there is no later.
    pub(super) fn tell_losses(&mut self, all: bool) -> Result<(), SinkError> {
        let now = Instant::now();
        for loss in self.untold.waiting.keys().copied().collect::<Vec<_>>() {
            if !all && self.untold.next.get(&loss).is_some_and(|next| now < *next) {
                continue;
            }
            let name: Arc<str> = NOBODY.into();
            self.prepare_notice_of(&name, 0)?;
            let Some((times, first)) = self.untold.waiting.remove(&loss) else { continue };
            self.untold.next.insert(loss, after(now, TELLING));
            let event = LossEvent::Clients { loss, times, first };
            self.write_notice_of(&name, 0, &Notice::Lost(event), stamp::now());
        }
        Ok(())
    }
}
