//! Foreign workers in the drain: what their threads have becomes queues and records.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fleetlog_protocol::stamp::{self, Stamp};

use super::{Drain, DrainError};
use crate::foreign::{ForeignNumber, Kind, News};
use crate::intake::{Token, WorkerLink};

/// How soon a foreign worker is taken in again that could not be.
const ATTACH_PAUSE: Duration = Duration::from_secs(1);

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
        if self.attach_again.is_some_and(|again| Instant::now() < again) {
            return;
        }
        for offended in self.intake.inlet.fetch() {
            self.count_offences_by(&offended.offence, Some(offended.peer), offended.times);
        }
        while let Some((kind, news)) = self.intake.inlet.take() {
            if let Some(news) = self.take_news(kind, news) {
                self.intake.inlet.put_back(kind, news);
                return;
            }
        }
    }

    /// Uses what a foreign thread tells. Returns what can't be used yet.
    fn take_news(&mut self, kind: Kind, news: News) -> Option<News> {
        match news {
            News::Begun { worker, ref process, protocol, position } => {
                let attached =
                    self.queues.attach_foreign(kind, process, position, &mut self.checkpoint);
                let queue = match attached {
                    Ok(queue) => queue,
                    Err(error) => {
                        // The folder of the checkpoint is full, perhaps only for a moment.
                        if self.attach_again.is_none() {
                            tracing::warn!(pid = process.pid, %error, "a foreign worker must wait");
                        }
                        self.attach_again = Some(Instant::now() + ATTACH_PAUSE);
                        return Some(news);
                    }
                };
                self.attach_again = None;
                self.worker_seen = true;
                if let Some(queue) = self.queues.get_mut(queue) {
                    queue.protocol = protocol;
                }
                let link = WorkerLink::new(queue, Arc::clone(&process.name));
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
            News::Closed { uid } => self.intake.left(uid),
        }
        None
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
        self.intake.inlet.end();
        while !self.intake.inlet.has_ended() {
            self.round(stamp::now())?;
            self.wake.wait_until(Instant::now() + GLANCE);
        }
        self.intake.inlet.join();
        self.round(stamp::now())
    }
}
