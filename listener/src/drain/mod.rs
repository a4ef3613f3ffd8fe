//! The drain: from the connections through merge and format into the sinks.
//!
//! One thread, in rounds. A round reads the clock as its cut-off, then receives everything that
//! was sent before it, merges by stamp what is not later than the cut-off, and commits batches.
//! A record that was sent before another one was stamped is therefore in the same round or an
//! earlier one: no effect stands before its cause.
//!
//! When a sink fails the drain pauses: it takes nothing more from the workers, answers commands,
//! tries again, and goes on with the same batch.

mod clock;
mod dedup;
mod foreign;
mod lanes;
mod leftovers;
mod level;
mod loss;
mod merge;
mod notice;
mod offences;
mod queues;
mod requests;
mod revision;
mod status;
mod tally;
mod trouble;

use std::io;
use std::time::{Duration, Instant};

use fleetlog_protocol::frame::Kind;
use fleetlog_protocol::message::{Loss, Losses, Receipt, Welcome};
use fleetlog_protocol::stamp::{self, Stamp};

use crate::checkpoint::{Checkpoint, Recovery};
use crate::disk::SharedDisk;
use crate::faults::{self, Point};
use crate::foreign::{Inlet, Rules};
use crate::intake::peer::Peer;
use crate::intake::segments::LaneIndex;
use crate::intake::{Callsites, Intake, Introduction, Offence, Role, Token, WorkerLink};
use crate::meter::Histogram;
use crate::metrics::Server;
use crate::options::Options;
use crate::ownership::Ownership;
use crate::sink::{SinkError, Sinks};
use crate::supervisor::Supervisor;
use crate::wake::Wake;
use clock::WallClock;
use leftovers::{Leftovers, PutDown};
use level::Levels;
use loss::{LossEvent, Untold};
use notice::{Notice, Notices};
use queues::{QueueIndex, Queues};
use requests::Requests;
use revision::Revision;
use tally::{Tally, second};
use trouble::{Trouble, report_recovery};

/// How often disconnected queues are asked whether their process still lives.
const ORPHAN_CHECK: Duration = Duration::from_secs(30);

/// The same, right after one hung up: a process that ends closes its descriptors a moment before
/// it is gone.
const ORPHAN_CHECK_FIRST: Duration = Duration::from_millis(1);

/// How long a listener that ends waits for a command to take its receipt.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why a drain can't go on.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum DrainError {
    /// Nobody reads an output any more.
    #[error("nobody reads {0} any more")]
    OutputClosed(SinkError),
    /// A sink failed and the listener was told to end.
    #[error("ended with unwritten records, because a sink fails: {0}")]
    Unwritten(SinkError),
    /// The system refused what the drain can't do without.
    #[error("the listener can't watch its connections: {0}")]
    System(#[from] io::Error),
}

fleetlog_protocol::debug_as_display!(DrainError);

/// Counts over the listener's life.
#[derive(Debug)]
struct Totals {
    written: u64,
    /// The written ones by level, ERROR first.
    levels: [u64; 5],
    /// Their pace, and their bytes.
    tally: Tally,
    /// The age of the oldest record of each batch when it was in the files.
    lag: Histogram,
    losses: Losses,
    truncated: u64,
    /// Records that share the line of an equal one.
    merged: u64,
    doubles: u64,
    died: u64,
    /// Workers that use the socket because they have no lanes.
    fallbacks: u64,
    offences: std::collections::BTreeMap<&'static str, u64>,
}

impl Totals {
    fn new() -> Self {
        Self {
            written: 0,
            levels: [0; 5],
            tally: Tally::starting_at(0),
            lag: Histogram::of_seconds(),
            losses: Losses::default(),
            truncated: 0,
            merged: 0,
            doubles: 0,
            died: 0,
            fallbacks: 0,
            offences: std::collections::BTreeMap::new(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Drain {
    options: Options,
    ownership: Ownership,
    wake: Wake,
    intake: Intake,
    checkpoint: Checkpoint,
    queues: Queues,
    sinks: Sinks,
    clock: WallClock,
    notices: Notices,
    totals: Totals,
    /// Losses of clients whose line in the log is not written yet.
    untold: Untold,
    revision: Revision,
    /// The second that is not closed yet.
    second: u64,
    /// The stamp of the oldest record in the batch; `None` = it has none.
    oldest: Option<Stamp>,
    requests: Requests,
    levels: Levels,
    /// Connections with bytes that were not looked at, or that wait for a later cut-off.
    active: Vec<Token>,
    /// Lanes with bytes that are not in a batch.
    news: Vec<LaneIndex>,
    /// When the folder of segments is looked at again: somebody may be in it who could not ring.
    scan_at: Option<Instant>,
    /// Segments that the last look into the folder did not take in, and those that were put down.
    leftovers: Leftovers,
    put_down: PutDown,
    /// Segments ended in the last round, and more of them may.
    buries: bool,
    /// How long the drain naps while it looks at lanes.
    nap: Duration,
    trouble: Option<Trouble>,
    /// The cut-off of the last round that heard everybody. A round that is paused hears no
    /// worker: what was logged since then may be an effect whose cause was not received.
    collected: Stamp,
    orphan_check: Instant,
    orphan_pause: Duration,
    started: Instant,
    worker_seen: bool,
    /// Every process that it was spawned for is gone.
    is_alone: bool,
    /// Who hears how this process fares, if anybody wants to.
    supervisor: Option<Supervisor>,
    /// The thread that serves metrics; it ends with the drain.
    metrics: Option<Server>,
}

impl Drain {
    pub(crate) fn new(
        options: Options,
        ownership: Ownership,
        wake: Wake,
        disk: SharedDisk,
        mut checkpoint: Checkpoint,
        recovery: &Recovery,
    ) -> Result<Self, crate::ListenError> {
        report_recovery(recovery);
        let sinks = Sinks::open(&options, disk, Some(wake.handle()), &mut checkpoint)?;
        let queues = Queues::restore(&checkpoint);
        let rules = Rules { access: options.access.clone(), rate: options.rate_limit };
        let datagrams = ownership.datagrams.try_clone()?;
        let inlet = Inlet::start(&wake.handle(), &rules, Some(datagrams), queues.resumable())?;
        let socket = &ownership.socket;
        let intake = Intake::new(&ownership.run_dir, socket, &wake, rules.access, inlet)?;
        if let Some(watch) = sinks.watch() {
            intake.wake_by(watch)?;
        }
        let revision = Revision::new(&options);
        let levels = Levels::take_over(&ownership.run_dir);
        if let Err(error) = options.worker_defaults.write(&ownership.run_dir) {
            crate::diagnostic::warn!(%error, "workers can't be told of the configuration's [worker]");
        }
        let mut drain = Self {
            options,
            ownership,
            wake,
            intake,
            checkpoint,
            queues,
            sinks,
            clock: WallClock::new(),
            notices: Notices::new(),
            totals: Totals::new(),
            untold: Untold::default(),
            revision,
            second: second(stamp::now()),
            oldest: None,
            requests: Requests::default(),
            levels,
            active: Vec::new(),
            news: Vec::new(),
            scan_at: None,
            leftovers: Leftovers::default(),
            put_down: PutDown::default(),
            buries: false,
            nap: lanes::NAP_SHORTEST,
            trouble: None,
            collected: 0,
            orphan_check: Instant::now(),
            orphan_pause: ORPHAN_CHECK,
            started: Instant::now(),
            worker_seen: false,
            is_alone: false,
            supervisor: None,
            metrics: None,
        };
        drain.scan()?;
        let address = drain.options.metrics.as_ref();
        let server = address.map(|address| Server::start(address, &drain.ownership.run_dir));
        drain.metrics = server.transpose()?;
        Ok(drain)
    }

    /// Lets a service manager hear how this drain fares.
    pub(crate) fn supervised(self, supervisor: Option<Supervisor>) -> Self {
        Self { supervisor, ..self }
    }

    /// Drains until somebody sends the sentinel, and gives the receipt.
    pub(crate) fn run(mut self) -> Result<Receipt, DrainError> {
        if let Some(supervisor) = &mut self.supervisor {
            supervisor.ready();
        }
        loop {
            self.sleep()?;
            self.round(stamp::now())?;
            if let Some(supervisor) = &mut self.supervisor {
                supervisor.came_around(self.trouble.as_ref().map(|trouble| &trouble.error as _));
            }
            let cutoff = self.collected;
            if self.stop_is_due(cutoff) || self.last_worker_is_gone() {
                self.say_stopping();
                self.take_leave_of_foreigners()?;
                self.take_leave_of_the_dead(self.collected)?;
                if let Some(trouble) = self.trouble.take() {
                    return Err(DrainError::Unwritten(trouble.error));
                }
                return self.end();
            }
            self.answer(cutoff);
            if let (Some(trouble), true) = (&self.trouble, self.requests.stop_is_wanted()) {
                // The records stay where they are: with their workers.
                let source =
                    io::Error::new(trouble.error.source.kind(), trouble.error.source.to_string());
                let target = trouble.error.target.clone();
                return Err(DrainError::Unwritten(SinkError { target, source }));
            }
        }
    }

    /// Waits for something to do.
    fn sleep(&mut self) -> Result<(), DrainError> {
        if let Some(trouble) = &self.trouble {
            // Workers that can't be served would end a wait at once, again and again.
            let sign_of_life = self.supervisor.as_ref().and_then(Supervisor::due);
            let retry = trouble.retry_at;
            self.wake.wait_until(sign_of_life.map_or(retry, |due| due.min(retry)));
            return Ok(());
        }
        let is_busy = !self.active.is_empty() || self.buries || self.intake.inlet.is_active();
        if is_busy || self.requests.waits_for_a_round() {
            return Ok(());
        }
        if self.intake.segments.watches() {
            return Ok(self.intake.nap(self.nap)?);
        }
        let deadlines = [
            self.sinks.sync_due(),
            self.sinks.tend_due(),
            Some(self.orphan_check),
            self.intake.segments.next_check(),
            self.scan_at,
            self.revision.due(),
            self.untold.due(),
            self.supervisor.as_ref().and_then(Supervisor::due),
        ];
        Ok(self.intake.wait(deadlines.into_iter().flatten().min())?)
    }

    /// The end is certain: nobody can take a signal back, unlike the command that asked for it.
    fn say_stopping(&mut self) {
        if let Some(supervisor) = &mut self.supervisor {
            supervisor.stopping();
        }
    }

    fn round(&mut self, cutoff: Stamp) -> Result<(), DrainError> {
        self.clock.refresh();
        self.close_second(cutoff);
        let (mut ready, mut refused) = (Vec::new(), Vec::new());
        let paused = self.trouble.is_some();
        let mut look = false;
        let woken =
            self.intake.collect(&self.ownership.socket, paused, &mut ready, &mut refused)?;
        if woken.by_wake {
            let wishes = self.wake.take();
            self.is_alone |= wishes.alone;
            if wishes.stop {
                self.say_stopping();
            }
            look |= self.requests.signal(wishes);
        }
        for (offence, peer) in refused {
            self.count_offence_by(&offence, Some(peer));
            self.lose_of(Loss::TurnedAway, Some(peer), 1);
            // It may have been a bell, whose segment nobody will tell of again.
            self.expect_scan();
        }
        for token in ready {
            look |= self.introduce(token);
            self.hear_bell(token);
            if let Some(connection) = self.intake.get(token)
                && !std::mem::replace(&mut connection.listed, true)
            {
                self.active.push(token);
            }
        }
        for token in self.intake.overdue() {
            self.offend(token, &Offence::SilentHandshake);
        }
        if look {
            // Behind all that were handed over: what they had sent was sent before.
            self.intake.inlet.ask_to_look();
        }
        if !paused {
            self.look_at_lanes();
            self.hear_foreigners();
            self.collected = cutoff;
        }
        let drained = self.drain(self.collected);
        self.note_trouble(drained)?;
        while self.trouble.is_none()
            && let Some(hoarder) = self.intake.hoarder()
        {
            self.offend(hoarder, &Offence::Hoarding);
        }
        Ok(())
    }

    /// Closes the second of the round before, if it is over.
    fn close_second(&mut self, now: Stamp) {
        let ended = std::mem::replace(&mut self.second, second(now));
        if ended != self.second {
            self.totals.tally.close(ended, self.totals.written);
            self.queues.close_second(ended);
        }
    }

    /// What can fail for a sink's sake. An error leaves everything where the next round finds it.
    fn drain(&mut self, cutoff: Stamp) -> Result<(), SinkError> {
        if self.sinks.is_writing() {
            self.commit()?;
        }
        self.merge(cutoff)?;
        self.finish_ended()?;
        self.finish_foreigners();
        self.look_for_orphans()?;
        self.tell_losses(false)?;
        self.commit_if_due()?;
        self.finish_lanes()?;
        // What was said about lanes that ended belongs to the files as they are.
        self.commit_if_due()?;
        self.sinks.tend(self.clock.time(cutoff), &self.checkpoint)?;
        self.sinks.sync_if_due()
    }

    /// Lets a connection say who it is. Returns whether it is a command, for which everything that
    /// was sent before must be looked at.
    fn introduce(&mut self, token: Token) -> bool {
        let Some(connection) = self.intake.get(token) else { return false };
        if !matches!(connection.role, Role::Unknown) {
            return false;
        }
        let introduction = match connection.introduction() {
            Ok(Some(introduction)) => introduction,
            Ok(None) => return false,
            Err(offence) => {
                self.offend(token, &offence);
                return false;
            }
        };
        let is_command = matches!(introduction, Introduction::Command(_));
        let peer = connection.peer;
        match introduction {
            Introduction::Lanes { pid, segment } => self.take_in_segment(token, peer, pid, segment),
            Introduction::Worker { queue, pid, first_seq, name, fallback } => {
                let attached = self.queues.attach(queue, peer, pid, &name, &mut self.checkpoint);
                match attached {
                    Ok(index) => {
                        self.note_fallback(index, fallback);
                        self.welcome(token, index, first_seq, &name);
                    }
                    Err(error) => {
                        crate::diagnostic::warn!(pid, uid = peer.uid, %error, "a worker can't be taken in");
                        let offence = match error.kind() {
                            io::ErrorKind::PermissionDenied => {
                                Offence::NotTheirs(error.to_string())
                            }
                            _ => Offence::NoRoom(error.to_string()),
                        };
                        self.intake.refuse(token, &offence);
                        self.lose_of(Loss::TurnedAway, Some(peer), 1);
                        self.close(token);
                    }
                }
            }
            Introduction::Command(request)
                if request.changes_something() && !peer.may_command() =>
            {
                self.offend(token, &Offence::NotPermitted(peer.uid));
                return false;
            }
            Introduction::Command(request) => {
                connection.role = Role::Command;
                self.intake.introduced(token);
                self.requests.add(token, request, peer.uid);
            }
            Introduction::Foreign => self.hand_over(token),
        }
        is_command
    }

    fn welcome(&mut self, token: Token, index: QueueIndex, first_seq: u64, name: &str) {
        self.worker_seen = true;
        let Some(queue) = self.queues.get_mut(index) else { return };
        queue.token = Some(token);
        let acked = queue.position;
        if let Some(connection) = self.intake.get(token) {
            connection.role = Role::Worker(WorkerLink {
                queue: index,
                name: name.into(),
                callsites: Callsites::default(),
                goodbye: None,
            });
        }
        crate::diagnostic::debug!(name, pid = queue.pid, acked, first_seq, "a worker is here");
        self.intake.introduced(token);
        let mut body = Vec::new();
        Welcome { acked }.encode(&mut body);
        self.intake.send(token, Kind::Welcome, &body);
    }

    /// Ends the queues of connections that are at their end.
    fn finish_ended(&mut self) -> Result<(), SinkError> {
        let mut index = 0;
        while let Some(token) = self.active.get(index).copied() {
            let Some(connection) = self.intake.get(token) else {
                self.active.swap_remove(index);
                continue;
            };
            if connection.has_more() {
                index += 1;
                continue;
            }
            // It waits for its last records to be in the files before it ends.
            self.revision.is_hurried |= connection.is_leaving();
            if connection.ended {
                self.finish(token)?;
            } else {
                connection.listed = false;
                self.intake.settle(token);
            }
            self.active.swap_remove(index);
        }
        Ok(())
    }

    fn finish(&mut self, token: Token) -> Result<(), SinkError> {
        let Some(connection) = self.intake.get(token) else { return Ok(()) };
        match &connection.role {
            // Whoever never said anything did nothing wrong.
            Role::Unknown if connection.is_silent() => {}
            Role::Unknown => {
                let peer = connection.peer;
                self.count_offence(&Offence::SilentHandshake, Some(token));
                self.lose_of(Offence::SilentHandshake.loss(), Some(peer), 1);
            }
            Role::Command => {}
            Role::Bell(segment) => {
                let segment = *segment;
                self.intake.segments.lost_bell(segment, token);
            }
            Role::Worker(link) => {
                let (queue, goodbye) = (link.queue, link.goodbye);
                let position = self.queues.get(queue).map_or(0, |queue| queue.position);
                let has_all = goodbye.is_some_and(|last_seq| last_seq <= position);
                if !has_all {
                    self.prepare_notice(queue)?;
                }
                if self.unlink(queue, token) {
                    match goodbye {
                        Some(last_seq) => {
                            self.settle_goodbye(queue, last_seq);
                            self.queues.end(queue);
                        }
                        // A host closes descriptors that it does not know, and its worker comes
                        // back with everything that was not acknowledged: only who knows the
                        // queue can tell what of it is written. Or it is about to die.
                        None if self.queues.may_come_back(queue) => self.expect_death(),
                        None => self.bury(queue),
                    }
                }
            }
        }
        self.close(token);
        Ok(())
    }

    /// A worker took leave and told the last number that it used: what did not come until then
    /// will not come any more.
    fn settle_goodbye(&mut self, index: QueueIndex, last_seq: u64) {
        let Some(queue) = self.queues.get_mut(index) else { return };
        let first_seq = queue.position.saturating_add(1);
        if last_seq < first_seq {
            return;
        }
        let peer = Peer { pid: queue.pid, uid: queue.uid };
        let event = if last_seq <= queue.credible_seq() {
            queue.position = last_seq;
            LossEvent::Missing { first_seq, last_seq }
        } else {
            self.count_offence_by(&Offence::Incredible(last_seq), Some(peer));
            LossEvent::Worker { loss: Loss::Incredible, lane: 0 }
        };
        self.lose(index, &event, stamp::now());
    }

    /// One connection less speaks for a queue. Returns whether it was the last one.
    fn unlink(&mut self, index: QueueIndex, token: Token) -> bool {
        let Some(queue) = self.queues.get_mut(index) else { return false };
        queue.links = queue.links.saturating_sub(1);
        // The number may be another connection's next, who must not hear of this queue.
        queue.token = queue.token.filter(|speaker| *speaker != token);
        queue.links == 0
    }

    /// A worker's process is gone and did not take leave: that is worth a line.
    fn bury(&mut self, index: QueueIndex) {
        let Some(queue) = self.queues.get(index) else { return };
        // Foreign clients know no way to take leave.
        if queue.written > 0 && queue.foreign().is_none() {
            self.totals.died += 1;
            let notice = Notice::Died { records: queue.written };
            self.write_notice(index, &notice, stamp::now());
        }
        self.queues.end(index);
    }

    /// Somebody hung up and lives: it is looked for soon, and then less and less often.
    fn expect_death(&mut self) {
        self.orphan_pause = ORPHAN_CHECK_FIRST;
        self.orphan_check = self.orphan_check.min(Instant::now() + self.orphan_pause);
    }

    fn look_for_orphans(&mut self) -> Result<(), SinkError> {
        if Instant::now() < self.orphan_check {
            return Ok(());
        }
        for index in self.queues.orphans() {
            self.prepare_notice(index)?;
            self.bury(index);
        }
        self.orphan_check = Instant::now() + self.orphan_pause;
        self.orphan_pause = (2 * self.orphan_pause).min(ORPHAN_CHECK);
        Ok(())
    }

    /// Commits unless records may still wait for equal ones. While any do, there is no batch
    /// between two rounds.
    fn commit_if_due(&mut self) -> Result<(), SinkError> {
        let may_wait = self.revision.due().is_some_and(|due| Instant::now() < due)
            && !self.revision.is_full()
            && !self.revision.is_hurried
            // The files may be rotated by the clock before the next round.
            && self.sinks.tend_due().is_none_or(|due| Instant::now() < due)
            && !self.requests.want_the_files()
            && self.sinks.buffered() == 0;
        if may_wait { Ok(()) } else { self.commit() }
    }

    /// Writes the batch, moves the queues, and tells the workers.
    fn commit(&mut self) -> Result<(), SinkError> {
        if let Some(dedup) = &mut self.revision.dedup
            && !self.sinks.is_writing()
        {
            dedup.flush(&mut self.sinks);
            self.revision.is_hurried = false;
        }
        let advances = self.queues.advances();
        if advances.is_empty() && self.sinks.buffered() == 0 {
            return self.sinks.turn_full(&self.checkpoint);
        }
        if let Some(supervisor) = &mut self.supervisor {
            supervisor.made_progress();
        }
        self.sinks.commit(&self.checkpoint, &advances)?;
        if let Some(oldest) = self.oldest.take() {
            self.totals.lag.note(stamp::now().saturating_sub(oldest) as f64 / 1e9);
        }
        let intake = &mut self.intake;
        self.queues.committed(|queue| {
            if let Some(lane) = queue.lane_index {
                intake.segments.release(lane, queue.tail);
            } else if let Some(token) = queue.token.filter(|_| queue.position > queue.acked) {
                intake.acknowledge(token, queue.position);
            }
        });
        faults::reach(Point::AfterRelease);
        self.sinks.turn_full(&self.checkpoint)
    }

    fn commit_if_full(&mut self) -> Result<(), SinkError> {
        if self.sinks.is_full() || self.revision.is_full() { self.commit() } else { Ok(()) }
    }

    fn close(&mut self, token: Token) {
        self.requests.forget(token);
        self.intake.close(token);
    }

    fn last_worker_is_gone(&self) -> bool {
        self.options.exit_with_last_worker
            && self.worker_seen
            && self.trouble.is_none()
            && self.active.is_empty()
            && self.queues.iter().all(|queue| queue.links == 0 || queue.has_hung_up())
            && self.queues.hung_up() == 0
            && self.intake.segments.len() == 0
            && self.leftovers.without_room == 0
            && self.intake.foreign() == 0
            && !self.intake.inlet.is_active()
            && !self.intake.has_strangers()
    }

    /// The end: everything is written; sync, give the receipt, let go.
    fn end(mut self) -> Result<Receipt, DrainError> {
        self.metrics = None;
        self.tell_losses(true).map_err(DrainError::Unwritten)?;
        self.commit().map_err(DrainError::Unwritten)?;
        self.sinks.sync_all().map_err(DrainError::Unwritten)?;
        let deadline = Instant::now() + self.options.packing_grace;
        self.sinks.finish_packing(&self.checkpoint, deadline);
        let receipt = self.receipt();
        let tokens = self.requests.answer_stop(&receipt, &mut self.intake);
        let deadline = Instant::now() + FAREWELL;
        for token in tokens {
            self.intake.flush_until(token, deadline);
        }
        Ok(receipt)
    }
}
