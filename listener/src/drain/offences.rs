//! Offences: what a client did wrong costs itself alone, is counted, and is told once in a while.
//! What it had sent and nobody reads any more is a loss as well.
#![deny(clippy::arithmetic_side_effects, reason = "these numbers come from anybody")]

use fleetlog_protocol::message::Loss;
use fleetlog_protocol::stamp::{self, Stamp};

use super::Drain;
use super::loss::LossEvent;
use super::queues::QueueIndex;
use crate::intake::peer::Peer;
use crate::intake::{Offence, Role, Source, Token};

impl Drain {
    /// Cuts a connection off for what it did. What it sent before stands.
    pub(super) fn offend(&mut self, token: Token, offence: &Offence) {
        self.count_offence(offence, Some(token));
        self.intake.refuse(token, offence);
        let queue = self.intake.get(token).and_then(|connection| match &connection.role {
            Role::Worker(link) => Some(link.queue),
            Role::Unknown | Role::Command | Role::Bell(_) => None,
        });
        if let Some(Role::Bell(segment)) = self.intake.get(token).map(|bell| &bell.role) {
            // Its worker must be looked for from now on, or its segment would stay for ever.
            let segment = *segment;
            self.intake.segments.lost_bell(segment, token);
        }
        match queue {
            Some(index) => {
                let event = LossEvent::Worker { loss: offence.loss(), lane: 0 };
                self.lose_somewhere(index, &event, stamp::now());
            }
            None => self.lose_unread(token, offence.loss()),
        }
        if let Some(index) = queue {
            // Without the file the line has no place; the diagnostics have told it already.
            let is_ready = self.prepare_notice(index).is_ok();
            // A process that lives may come back, and what it sends again must be known then.
            if self.unlink(index, token) && !self.queues.may_come_back(index) {
                if is_ready {
                    self.bury(index);
                } else {
                    self.queues.end(index);
                }
            }
        }
        self.close(token);
    }

    /// What a client without a queue had sent is thrown away with its connection. A command and a bell
    /// carry no record.
    fn lose_unread(&mut self, token: Token, loss: Loss) {
        let Some(connection) = self.intake.get(token) else { return };
        let peer = connection.peer;
        let has_records = match connection.role {
            Role::Unknown => connection.unused() > 0 && !connection.is_request(),
            Role::Worker(_) => true,
            Role::Command | Role::Bell(_) => false,
        };
        if has_records {
            self.lose_of(loss, Some(peer), 1);
        }
    }

    /// Tells a loss of a queue's worker at this place, or, while no line can be written, as soon as
    /// one can.
    pub(super) fn lose_somewhere(&mut self, index: QueueIndex, event: &LossEvent, stamp: Stamp) {
        if self.prepare_notice(index).is_ok() {
            self.lose(index, event, stamp);
            return;
        }
        let peer = self.queues.get(index).map(|queue| Peer { pid: queue.pid, uid: queue.uid });
        if let LossEvent::Worker { loss, .. } = *event {
            self.lose_of(loss, peer, 1);
        }
    }

    pub(super) fn count_offence(&mut self, offence: &Offence, token: Option<Token>) {
        let peer = token.and_then(|token| self.intake.get(token)).map(|connection| connection.peer);
        self.count_offence_by(offence, peer);
    }

    pub(super) fn count_offence_of(&mut self, source: Source, offence: &Offence) {
        match source {
            Source::Connection(token) => self.count_offence(offence, Some(token)),
            Source::Lane(lane) => {
                let segments = &self.intake.segments;
                let segment = segments.lane(lane).and_then(|lane| segments.get(lane.segment));
                let peer = segment.map(|segment| segment.peer);
                self.count_offence_by(offence, peer);
            }
            Source::Foreign(number) => {
                let queue = self.intake.inlet.guest(number).map(|guest| guest.link.queue);
                let queue = queue.and_then(|queue| self.queues.get(queue));
                let peer = queue.map(|queue| Peer { pid: queue.pid, uid: queue.uid });
                self.count_offence_by(offence, peer);
            }
        }
    }

    /// Cuts a source off for what it did, a connection or a lane.
    pub(super) fn offend_source(&mut self, source: Source, offence: &Offence) {
        match source {
            Source::Connection(token) => self.offend(token, offence),
            Source::Lane(lane) => self.put_aside(lane, offence),
            // Its frames were made in this process.
            Source::Foreign(number) => {
                crate::diagnostic::error!(%offence, "a foreign worker's records can't be read");
                self.count_offence_of(source, offence);
                if let Some(queue) = self.intake.inlet.guest(number).map(|guest| guest.link.queue) {
                    let event = LossEvent::Worker { loss: offence.loss(), lane: 0 };
                    self.lose_somewhere(queue, &event, stamp::now());
                }
                self.dismiss(number);
            }
        }
    }

    pub(super) fn count_offence_by(&mut self, offence: &Offence, peer: Option<Peer>) {
        self.count_offences_by(offence, peer, 1);
    }

    /// Counts an offence that came so many times.
    pub(super) fn count_offences_by(&mut self, offence: &Offence, peer: Option<Peer>, times: u64) {
        let count = self.totals.offences.entry(offence.kind()).or_default();
        let before = *count;
        *count = count.saturating_add(times);
        let (pid, uid) = peer.map_or((0, 0), |peer| (peer.pid, peer.uid));
        // A flood of offences must not become a flood of diagnostics: the 1st, 2nd, 4th, 8th ...
        if before.checked_ilog2() != count.checked_ilog2() {
            crate::diagnostic::warn!(pid, uid, count = *count, "a client was cut off: {offence}");
        }
    }
}
