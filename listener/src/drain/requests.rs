//! Requests of commands, until they are answered.
//!
//! A request is answered after a round whose cut-off is later than its arrival: what was logged
//! before it is then in the files.

use std::time::{Duration, Instant};

use fleetlog_protocol::frame::Kind;
use fleetlog_protocol::message::{Receipt, Reply, Request};
use fleetlog_protocol::stamp::{self, Stamp};

use super::Drain;
use crate::intake::{Intake, Token};
use crate::wake::Wishes;

/// How often a waiting command hears that its request is under way.
const PROGRESS: Duration = Duration::from_millis(200);

#[derive(Debug)]
struct Waiting {
    token: Token,
    request: Request,
    /// Who asks.
    uid: u32,
    arrived: Stamp,
    written_before: Option<u64>,
    progress_at: Instant,
}

#[derive(Debug, Default)]
pub(super) struct Requests {
    waiting: Vec<Waiting>,
    signalled: Option<Stamp>,
    /// A signal asked for it.
    reopen: Option<Stamp>,
    rotate: Option<Stamp>,
}

impl Requests {
    pub(super) fn add(&mut self, token: Token, request: Request, uid: u32) {
        self.waiting.push(Waiting {
            token,
            request,
            uid,
            arrived: stamp::now(),
            written_before: None,
            progress_at: Instant::now() + PROGRESS,
        });
    }

    /// A signal or the embedding program may want something; tells whether it does.
    pub(super) fn signal(&mut self, wishes: Wishes) -> bool {
        let note = |wish: &mut Option<Stamp>, is_there: bool| {
            if is_there {
                wish.get_or_insert_with(stamp::now);
            }
        };
        note(&mut self.signalled, wishes.stop || wishes.alone);
        note(&mut self.reopen, wishes.reopen);
        note(&mut self.rotate, wishes.rotate);
        wishes != Wishes::default()
    }

    /// The command went away.
    pub(super) fn forget(&mut self, token: Token) {
        self.waiting.retain(|waiting| waiting.token != token);
    }

    pub(super) const fn waits_for_a_round(&self) -> bool {
        !self.waiting.is_empty()
            || self.signalled.is_some()
            || self.reopen.is_some()
            || self.rotate.is_some()
    }

    /// Whether somebody waits for what was logged to be in the files.
    pub(super) fn want_the_files(&self) -> bool {
        let wants = |waiting: &Waiting| {
            use Request::{Reopen, Rotate, Stop, Sync};
            matches!(waiting.request, Stop | Sync | Rotate | Reopen)
        };
        self.signalled.is_some()
            || self.reopen.is_some()
            || self.rotate.is_some()
            || self.waiting.iter().any(wants)
    }

    pub(super) fn stop_is_wanted(&self) -> bool {
        self.signalled.is_some()
            || self.waiting.iter().any(|waiting| waiting.request == Request::Stop)
    }

    fn stop_arrived(&self) -> Option<Stamp> {
        let stops = self.waiting.iter().filter(|waiting| waiting.request == Request::Stop);
        stops.map(|waiting| waiting.arrived).chain(self.signalled).min()
    }

    /// Sends the receipt to whoever sent the sentinel.
    pub(super) fn answer_stop(&mut self, receipt: &Receipt, intake: &mut Intake) -> Vec<Token> {
        let reply = Reply::Stopped(Box::new(receipt.clone()));
        let mut body = Vec::new();
        reply.encode(&mut body);
        let (stops, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|waiting| waiting.request == Request::Stop);
        self.waiting = others;
        let tokens: Vec<Token> = stops.iter().map(|waiting| waiting.token).collect();
        for token in &tokens {
            intake.send(*token, Kind::Reply, &body);
        }
        tokens
    }
}

impl Drain {
    /// Whether the sentinel came before the cut-off and everything before it is written.
    pub(super) fn stop_is_due(&self, cutoff: Stamp) -> bool {
        self.trouble.is_none()
            && self.requests.stop_arrived().is_some_and(|arrived| self.has_heard(arrived, cutoff))
    }

    /// Answers what a round with this cut-off answers.
    pub(super) fn answer(&mut self, cutoff: Stamp) {
        self.heed_signals(cutoff);
        let mut index = 0;
        while index < self.requests.waiting.len() {
            let waiting = &mut self.requests.waiting[index];
            let before = *waiting.written_before.get_or_insert(self.totals.written);
            let (token, uid, arrived) = (waiting.token, waiting.uid, waiting.arrived);
            let request = waiting.request.clone();
            let heard = self.has_heard(arrived, cutoff);
            let drained = heard && self.trouble.is_none();
            let reply = match request {
                Request::Status => Some(Reply::Status(self.status(uid))),
                // Also while a sink fails: workers need no sink to log more, or less.
                Request::SetLevel(change) => Some(self.levels.set(&change, uid)),
                Request::ResetLevel { worker } => Some(self.levels.reset(worker.as_deref(), uid)),
                Request::Levels => Some(self.levels.tell()),
                Request::Sync if drained => Some(match self.sinks.sync_all() {
                    Ok(()) => Reply::Synced { written: self.totals.written },
                    Err(error) => Reply::Failed(format!("can't make the lines durable: {error}")),
                }),
                Request::Rotate if drained => Some(match self.sinks.rotate(&self.checkpoint) {
                    Ok(logs) => Reply::Rotated { logs },
                    Err(error) => Reply::Failed(format!("can't rotate: {error}")),
                }),
                // Also while a sink fails: the new place may be the way out.
                Request::Reopen if heard || self.trouble.is_some() => {
                    Some(match self.sinks.reopen(&self.checkpoint) {
                        Ok(logs) => Reply::Reopened { logs },
                        Err(error) => Reply::Failed(format!("can't reopen: {error}")),
                    })
                }
                Request::Sync | Request::Stop | Request::Rotate | Request::Reopen => None,
            };
            if let Some(reply) = reply {
                self.requests.waiting.remove(index);
                self.reply(token, &reply);
                continue;
            }
            let unread = self.intake.get(token).is_some_and(|peer| peer.is_backed_up());
            let waiting = &mut self.requests.waiting[index];
            if Instant::now() >= waiting.progress_at && !unread {
                waiting.progress_at = Instant::now() + PROGRESS;
                let written = self.totals.written - before;
                self.reply(token, &Reply::Pending { written });
            }
            index += 1;
        }
    }

    fn heed_signals(&mut self, cutoff: Stamp) {
        let is_due = |drain: &Self, wish: Option<Stamp>| {
            wish.is_some_and(|arrived| drain.has_heard(arrived, cutoff))
        };
        if is_due(self, self.requests.rotate) && self.trouble.is_none() {
            self.requests.rotate = None;
            match self.sinks.rotate(&self.checkpoint) {
                Ok(logs) => crate::diagnostic::info!(logs, "a signal asked for a rotation"),
                Err(error) => crate::diagnostic::error!(%error, "a signal asked for a rotation"),
            }
        }
        if is_due(self, self.requests.reopen)
            || (self.requests.reopen.is_some() && self.trouble.is_some())
        {
            self.requests.reopen = None;
            match self.sinks.reopen(&self.checkpoint) {
                Ok(logs) => crate::diagnostic::info!(logs, "a signal asked to open the files anew"),
                Err(error) => {
                    crate::diagnostic::error!(%error, "a signal asked to open the files anew");
                }
            }
        }
    }

    fn reply(&mut self, token: Token, reply: &Reply) {
        let mut body = Vec::new();
        reply.encode(&mut body);
        self.intake.send(token, Kind::Reply, &body);
    }
}
