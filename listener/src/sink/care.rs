//! What is done for the files between two batches: rotation by the clock and on command, files that
//! somebody moved, retention by age, and the packer's results.
//!
//! Nothing here runs while a batch is half written, and nothing here waits: what takes long is the
//! packer's.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::checkpoint::Checkpoint;
use crate::disk::SharedDisk;
use crate::wake::WakeHandle;

use super::log::{Log, is_refusal};
use super::pack::{Job, Packer};
use super::watch::Watch;
use super::{Sink, SinkError, Sinks, failed, logs_mut};

/// How often a log that is written to is looked for at its path, where nothing tells of a change.
const LOOK: Duration = Duration::from_millis(500);

/// How long the packer rests after it failed.
const PACK_PAUSE: Duration = Duration::from_secs(60);

/// What the care for all files remembers.
#[derive(Debug)]
pub(super) struct Care {
    packer: Packer,
    disk: SharedDisk,
    /// When the packer is tried again after it failed.
    pack_again: Option<Duration>,
    watch: Option<Watch>,
    look_again: Duration,
    /// Something was written, opened, rotated or removed since the last time.
    has_news: bool,
    /// The earliest time at which the clock asks for something, in nanoseconds since the epoch.
    due: Option<u64>,
}

/// What came of rotating some logs.
struct Turned {
    /// Those that were rotated.
    logs: u64,
    /// The last one whose folder does not permit it.
    refused: Option<SinkError>,
}

impl Care {
    pub(super) fn new(disk: SharedDisk, wake: Option<WakeHandle>) -> Self {
        Self {
            watch: wake.as_ref().and_then(|_| Watch::new()),
            packer: Packer::new(SharedDisk::clone(&disk), wake),
            disk,
            pack_again: None,
            look_again: Duration::ZERO,
            has_news: true,
            due: None,
        }
    }

    pub(super) const fn note_news(&mut self) {
        self.has_news = true;
    }

    /// Looks at the folder of a log from now on.
    pub(super) fn follow(&mut self, log: &Path) {
        self.has_news = true;
        if let Some(watch) = &mut self.watch {
            watch.follow(log);
        }
    }

    fn start(&mut self, job: Job) {
        if let Err(error) = self.packer.start(job) {
            crate::diagnostic::warn!(%error, "old files can't be compressed");
            self.pack_again = Some(self.disk.elapsed() + PACK_PAUSE);
        }
    }
}

impl Sinks {
    /// Rotates the logs that have no room for their next record. Comes behind a commit.
    pub(crate) fn turn_full(&mut self, checkpoint: &Checkpoint) -> Result<(), SinkError> {
        if !std::mem::take(&mut self.full) {
            return Ok(());
        }
        let turned = self.turn(checkpoint, Log::wants_turn);
        if turned.is_err() {
            self.full = true;
        }
        turned.map(drop)
    }

    /// Rotates every log, whatever its size. Returns how many there were to rotate.
    pub(crate) fn rotate(&mut self, checkpoint: &Checkpoint) -> Result<u64, SinkError> {
        let turned = self.turn(checkpoint, |_| true)?;
        turned.refused.map_or(Ok(turned.logs), Err)
    }

    fn turn(
        &mut self,
        checkpoint: &Checkpoint,
        is_wanted: impl Fn(&Log) -> bool,
    ) -> Result<Turned, SinkError> {
        let now = self.disk.now();
        let mut turned = Turned { logs: 0, refused: None };
        for sink in &mut self.sinks {
            let Sink { shared, files, options, rotations, .. } = sink;
            for log in logs_mut(shared, files).filter(|log| is_wanted(log)) {
                self.care.has_news = true;
                match log.turn(checkpoint) {
                    Ok(true) => {
                        turned.logs += 1;
                        *rotations += 1;
                    }
                    Ok(false) => {}
                    // The log grows on, and so do the others.
                    Err(source) if is_refusal(&source) => {
                        turned.refused = Some(failed(options, log, source));
                    }
                    Err(source) => return Err(failed(options, log, source)),
                }
                log.keep_bounds(now).map_err(|source| failed(options, log, source))?;
            }
        }
        Ok(turned)
    }

    /// Goes on with whatever the paths name now. A batch that is half written goes there as a whole.
    /// Returns how many files were opened.
    pub(crate) fn reopen(&mut self, checkpoint: &Checkpoint) -> Result<u64, SinkError> {
        let mut moved = Vec::new();
        for Sink { shared, files, options, .. } in &mut self.sinks {
            for log in logs_mut(shared, files) {
                if log.is_moved().map_err(|source| failed(options, log, source))? {
                    moved.push(log.file.identity());
                }
            }
        }
        if !moved.is_empty() {
            self.take_back(checkpoint)?;
        }
        let mut opened = 0;
        for Sink { shared, files, options, .. } in &mut self.sinks {
            for log in logs_mut(shared, files) {
                if !moved.contains(&log.file.identity()) {
                    continue;
                }
                log.reopen_with_batch(checkpoint).map_err(|source| failed(options, log, source))?;
                opened += 1;
                self.care.has_news = true;
                if let Some(watch) = &mut self.care.watch {
                    watch.follow(log.file.path());
                }
            }
        }
        Ok(opened)
    }

    /// Whether somebody gave a log's name to another file, or took it away: a descriptor that is
    /// readable then.
    pub(crate) fn watch(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.care.watch.as_ref().map(Watch::descriptor)
    }

    /// When [`tend`](Self::tend) wants to be called next, if nothing else happens.
    pub(crate) fn tend_due(&self) -> Option<Instant> {
        let clock = self.care.due.map(|due| {
            let left = Duration::from_nanos(due.saturating_sub(self.disk.now()));
            left.min(Duration::from_secs(3600))
        });
        let packer = self.care.pack_again.map(|again| again.saturating_sub(self.disk.elapsed()));
        clock.into_iter().chain(packer).min().map(|left| Instant::now() + left)
    }

    /// Does what is due. `now` is the time up to which every record is in the files.
    pub(crate) fn tend(&mut self, now: u64, checkpoint: &Checkpoint) -> Result<(), SinkError> {
        debug_assert!(!self.writing, "a half-written batch comes first");
        let is_changed = self.care.watch.as_mut().is_some_and(Watch::take);
        let looks = self.care.has_news && self.disk.elapsed() >= self.care.look_again;
        if is_changed || looks {
            self.care.look_again = self.disk.elapsed() + LOOK;
            let opened = self.reopen(checkpoint)?;
            if opened > 0 {
                crate::diagnostic::info!(
                    opened,
                    "somebody moved or removed log files; they are begun anew"
                );
            }
        }
        self.take_packed()?;
        let is_due = self.care.due.is_some_and(|due| due <= now)
            || self.care.pack_again.is_some_and(|again| again <= self.disk.elapsed());
        if !std::mem::take(&mut self.care.has_news) && !is_due {
            return Ok(());
        }
        self.logs_mut().for_each(|log| log.look_at_clock(now));
        self.turn(checkpoint, Log::wants_turn)?;
        for sink in &mut self.sinks {
            for log in logs_mut(&mut sink.shared, &mut sink.files) {
                log.keep_bounds(now).map_err(|source| failed(&sink.options, log, source))?;
            }
        }
        self.pack_next()?;
        self.care.due = self.logs_mut().filter_map(|log| log.due()).min();
        Ok(())
    }

    /// Lets the packer finish what it has, as far as it can until a deadline, so that a job that ends
    /// leaves its files tidy. What is left over is done by the next listener.
    pub(crate) fn finish_packing(&mut self, checkpoint: &Checkpoint, deadline: Instant) {
        self.care.has_news = true;
        while self.tend(self.disk.now(), checkpoint).is_ok()
            && self.care.packer.is_busy()
            && Instant::now() < deadline
        {
            self.care.packer.wait(deadline);
        }
    }

    fn take_packed(&mut self) -> Result<(), SinkError> {
        let Some(finished) = self.care.packer.finished() else { return Ok(()) };
        self.care.has_news = true;
        if finished.result.is_err() {
            self.care.pack_again = Some(self.disk.elapsed() + PACK_PAUSE);
        }
        let mut sinks = self.sinks.iter_mut();
        let found = sinks.find_map(|sink| {
            let Sink { shared, files, options, .. } = sink;
            let mut logs = logs_mut(shared, files);
            let log = logs.find(|log| log.file.path() == finished.job.log)?;
            Some((log, &*options))
        });
        let Some((log, options)) = found else {
            // The log was closed meanwhile; what was made for it is found when it is opened again.
            return Ok(());
        };
        let next = log.take_packed(finished).map_err(|source| failed(options, log, source))?;
        if let Some(job) = next {
            self.care.start(job);
        }
        Ok(())
    }

    fn pack_next(&mut self) -> Result<(), SinkError> {
        let rests = self.care.pack_again.is_some_and(|again| self.disk.elapsed() < again);
        if self.care.packer.is_busy() || rests {
            return Ok(());
        }
        self.care.pack_again = None;
        for sink in &mut self.sinks {
            for log in logs_mut(&mut sink.shared, &mut sink.files) {
                let job = log.next_job().map_err(|source| failed(&sink.options, log, source))?;
                if let Some(job) = job {
                    self.care.start(job);
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
