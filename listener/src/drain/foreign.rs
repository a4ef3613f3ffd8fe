//! Foreign workers in the drain: what their threads have becomes queues and records.

use std::time::{Duration, Instant};

use fleetlog_protocol::message::Loss;
use fleetlog_protocol::stamp::{self, Stamp};

use super::{Drain, DrainError};
use crate::foreign::{Fetched, ForeignNumber, Kind, News, Offended};
use crate::intake::{Token, WorkerLink};
use crate::ownership::Ownership;

/// How often the drain looks whether the foreign threads have ended, when they do not ring.
const GLANCE: Duration = Duration::from_millis(5);

impl Drain {
    /// Gives a connection to the thread of foreign clients.
    pub(super) fn hand_over(&mut self, token: Token) {
        self.worker_seen = true;
        self.intake.hand_over(token);
    }

    /// Takes in what foreign clients sent until now.
    pub(super) fn hear_foreigners(&mut self) {
        for Fetched { kind, news, offended } in self.intake.inlet.fetch() {
            for offended in offended {
                let Offended { offence, peer, times } = offended;
                if !offence.is_blameless() {
                    self.count_offences_by(&offence, Some(peer), times);
                }
                let loss = match (kind, offence.loss()) {
                    // Of a datagram nothing is left over, and its sender goes on.
                    (Kind::Datagram, Loss::CutOff) => Loss::Refused,
                    (_, loss) => loss,
                };
                self.lose_of(loss, Some(peer), times);
            }
            for news in news {
                self.take_news(kind, news);
            }
        }
    }

    fn take_news(&mut self, kind: Kind, news: News) {
        match news {
            News::Begun { worker, process, protocol, position } => {
                let checkpoint = &mut self.checkpoint;
                let queue = self.queues.attach_foreign(kind, &process, position, checkpoint);
                self.worker_seen = true;
                if let Some(queue) = self.queues.get_mut(queue) {
                    queue.protocol = protocol;
                }
                let link = WorkerLink::new(queue, process.name);
                self.intake.inlet.begin(ForeignNumber { kind, number: worker }, link);
            }
            News::Frames { worker, bytes } => {
                let number = ForeignNumber { kind, number: worker };
                self.intake.take_in(number, &bytes);
                self.intake.inlet.activate(number);
            }
            News::Ended { worker } => {
                let number = ForeignNumber { kind, number: worker };
                if let Some(guest) = self.intake.inlet.guest(number) {
                    guest.ended = true;
                    self.intake.inlet.activate(number);
                }
            }
            News::Closed => self.intake.left(),
        }
    }

    /// Forgets the foreign workers that ended and whose last record is in a batch.
    pub(super) fn finish_foreigners(&mut self) {
        for number in self.intake.inlet.take_active() {
            let Some(guest) = self.intake.inlet.guest(number) else { continue };
            if !guest.feed.is_empty() {
                self.intake.inlet.activate(number);
                continue;
            }
            if guest.ended {
                self.dismiss(number);
            } else {
                self.intake.settle_guest(number);
            }
        }
    }

    /// Ends a foreign worker and its queue.
    pub(super) fn dismiss(&mut self, number: ForeignNumber) {
        let Some(guest) = self.intake.inlet.remove(number) else { return };
        let index = guest.link.queue;
        if let Some(queue) = self.queues.get_mut(index) {
            queue.links = 0;
        }
        self.queues.end(index);
    }

    /// Whether everything that was logged before `arrived` is in the files as of this cut-off.
    pub(super) fn has_heard(&self, arrived: Stamp, cutoff: Stamp) -> bool {
        arrived <= cutoff && self.intake.inlet.has_looked(arrived, cutoff)
    }

    /// Before the end: what foreign clients sent until now is written, and from now on they hear
    /// that nobody listens. They keep nothing for the next listener.
    pub(super) fn take_leave_of_foreigners(&mut self) -> Result<(), DrainError> {
        let mut refused = Vec::new();
        let Ownership { socket, socket_outlives, .. } = &self.ownership;
        self.intake.shut(socket, *socket_outlives, &mut refused);
        for (offence, peer) in refused {
            self.count_offence_by(&offence, Some(peer));
            self.lose_of(Loss::TurnedAway, Some(peer), 1);
        }
        // Hears who those are that were accepted just now.
        self.round(stamp::now())?;
        self.intake.inlet.end();
        while !self.intake.inlet.has_ended() {
            self.round(stamp::now())?;
            self.wake.wait_until(Instant::now() + GLANCE);
        }
        self.intake.inlet.join();
        self.round(stamp::now())
    }
}
