//! Sinks: where lines end.
//!
//! [`Sinks`] formats a record for every sink that wants it into that sink's batch, and writes
//! the batches under one intent of the checkpoint. A write that fails keeps its place: the same
//! batch goes on when the disk allows it again, and nothing is taken from the queues meanwhile.
//!
//! The rooms: `append` puts a line into the batches, `path` says which file, `file` is one open output with its batch, `log` adds the
//! archives and the rotation between both, with the `period` of the clock that ends a file;
//! `archives`, `retention` and `packing` are what happens to old files, `pack` the thread that
//! compresses; `latest` is the link, `watch` notices what others do to the folders, and `care`
//! calls all of them between two batches. `status` is what the sinks tell.

mod append;
mod archives;
mod care;
mod file;
mod latest;
mod log;
mod opening;
mod pack;
mod packing;
mod path;
mod period;
mod retention;
#[cfg(test)]
mod simulation;
mod status;
mod watch;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::time::Instant;

use fleetlog_protocol::Level;
use fleetlog_protocol::limits::BATCH_MAX;

use crate::checkpoint::{Advance, Checkpoint};
use crate::disk::SharedDisk;
use crate::faults::{self, Point};
use crate::format::Formatter;
use crate::options::{Options, SinkOptions, SinkTarget, Sync};
use crate::wake::WakeHandle;
pub(crate) use append::{Appended, Pending};
use care::Care;
use log::{Log, Rules};
pub(crate) use path::PathTemplate;
use status::Meters;
pub(crate) use status::SinkStatus;

/// A set of sinks, one bit each.
pub(crate) type SinkMask = u64;

/// The sinks that a listener can have: one bit of a [`SinkMask`] each.
pub(crate) const SINKS_MAX: usize = 64;

/// Files of workers that are kept open beyond the batch that used them.
const OPEN_FILES_MAX: usize = 256;

/// An output that failed.
#[derive(thiserror::Error)]
#[error("{target}: {source}")]
pub struct SinkError {
    /// The file, or standard output.
    pub target: String,
    /// What the system said.
    pub source: io::Error,
}

fleetlog_protocol::debug_as_display!(SinkError);

impl SinkError {
    /// Whether nobody will ever read the output again.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.source.kind() == io::ErrorKind::BrokenPipe
    }
}

#[derive(Debug)]
struct Sink {
    options: SinkOptions,
    rules: Rules,
    formatter: Formatter,
    template: PathTemplate,
    /// The file of all workers, where they do not have one each.
    shared: Option<Log>,
    /// The files of single workers.
    files: HashMap<PathBuf, OpenFile>,
    lines: u64,
    bytes: u64,
    rotations: u64,
    /// What closed files of workers had of those.
    truncations: u64,
}

#[derive(Debug)]
struct OpenFile {
    log: Log,
    used: bool,
}

/// All sinks of a listener and the batch that is being collected for them.
#[derive(Debug)]
pub(crate) struct Sinks {
    disk: SharedDisk,
    sinks: Vec<Sink>,
    /// Those with a file for each worker.
    per_worker: SinkMask,
    sync: Sync,
    last_sync: Instant,
    buffered: usize,
    /// Files of workers that were opened for the batch.
    opened: usize,
    /// A log has no room for the next record.
    full: bool,
    writing: bool,
    care: Care,
    pub(crate) meters: Meters,
}

impl Sinks {
    /// Opens every sink whose path is known already. Without a handle to wake the drain by, what is
    /// done beside it is done when it is asked for.
    pub(crate) fn open(
        options: &Options,
        disk: SharedDisk,
        wake: Option<WakeHandle>,
        checkpoint: &mut Checkpoint,
    ) -> Result<Self, SinkError> {
        let mut sinks = Self {
            care: Care::new(SharedDisk::clone(&disk), wake),
            disk,
            sinks: Vec::new(),
            per_worker: 0,
            sync: options.sync,
            last_sync: Instant::now(),
            buffered: 0,
            opened: 0,
            full: false,
            writing: false,
            meters: Meters::new(),
        };
        for path in checkpoint.take_left_open() {
            // A file of a worker that never comes back would stay half rotated for ever.
            if let Err(error) = Log::tidy(&*sinks.disk, &path) {
                crate::diagnostic::warn!(path = %path.display(), %error, "a log can't be tidied");
            }
        }
        for options in &options.sinks {
            sinks.sinks.push(Sink::new(options, sinks.sync));
        }
        for index in 0..sinks.sinks.len() {
            if sinks.sinks[index].template.is_per_worker() {
                sinks.per_worker |= 1 << index;
            } else {
                sinks.open_shared(index, checkpoint)?;
            }
        }
        Ok(sinks)
    }

    /// The sinks that want records of a level and target.
    pub(crate) fn interested(&self, level: Level, target: &str) -> SinkMask {
        let wants = |sink: &Sink| sink.options.filter.allows(level, target);
        self.sinks
            .iter()
            .enumerate()
            .filter(|(_, sink)| wants(sink))
            .fold(0, |mask, (index, _)| mask | 1 << index)
    }

    /// Makes sure that every sink of the mask has an open file for a worker, so that
    /// [`append`](Self::append) can't fail half-way.
    pub(crate) fn prepare(
        &mut self,
        mask: SinkMask,
        worker: &str,
        pid: u32,
        checkpoint: &mut Checkpoint,
    ) -> Result<(), SinkError> {
        let mut left = mask & self.per_worker;
        while left != 0 {
            let index = left.trailing_zeros() as usize;
            self.open_for_worker(index, worker, pid, checkpoint)?;
            left &= left - 1;
        }
        Ok(())
    }

    /// Whether a batch could not be written as a whole and waits to go on.
    pub(crate) const fn is_writing(&self) -> bool {
        self.writing
    }

    /// Whether the batch should be written before it grows: in bytes, or in open files; or because
    /// a file is to be rotated.
    pub(crate) const fn is_full(&self) -> bool {
        self.full || self.buffered >= BATCH_MAX || self.opened >= OPEN_FILES_MAX
    }

    /// The bytes of the batch so far.
    pub(crate) const fn buffered(&self) -> usize {
        self.buffered
    }

    /// Writes the batch and moves the queues: the four steps of the checkpoint. After an error
    /// the same call, with the same advances, goes on where it stopped.
    pub(crate) fn commit(
        &mut self,
        checkpoint: &Checkpoint,
        advances: &[Advance],
    ) -> Result<(), SinkError> {
        let began = Instant::now();
        if !self.writing {
            self.open_intent(checkpoint, advances)?;
        }
        for sink in &mut self.sinks {
            for log in logs_mut(&mut sink.shared, &mut sink.files) {
                if let Err(source) = log.file.write_batch() {
                    return Err(failed(&sink.options, log, source));
                }
            }
        }
        if self.sync == Sync::Always {
            self.sync_all()?;
        }
        faults::reach(Point::AfterWrite);
        checkpoint.note_written();
        checkpoint.store_positions(advances);
        faults::reach(Point::AfterPositions);
        checkpoint.clear_intent();
        faults::reach(Point::AfterClear);
        self.meters.write_seconds.note(began.elapsed().as_secs_f64());
        self.meters.batch_bytes.note(self.buffered as f64);
        self.writing = false;
        self.buffered = 0;
        self.opened = 0;
        for sink in &mut self.sinks {
            for log in logs_mut(&mut sink.shared, &mut sink.files) {
                sink.bytes += log.file.finish_batch();
            }
        }
        self.care.note_news();
        self.close_idle(checkpoint);
        Ok(())
    }

    fn open_intent(
        &mut self,
        checkpoint: &Checkpoint,
        advances: &[Advance],
    ) -> Result<(), SinkError> {
        faults::reach(Point::BeforeIntent);
        let (mut extents, mut unseen) = (Vec::new(), false);
        for sink in &mut self.sinks {
            for log in logs_mut(&mut sink.shared, &mut sink.files) {
                let ready = ready_for_batch(log, checkpoint);
                if ready.map_err(|source| failed(&sink.options, log, source))? {
                    self.care.follow(log.file.path());
                }
                unseen |= log.file.is_unseen();
                extents.extend(log.file.extent());
            }
        }
        checkpoint.open_intent(&extents, advances, unseen);
        faults::reach(Point::AfterIntent);
        self.writing = true;
        Ok(())
    }

    /// Lets go of a batch that is half written: it is taken back and can go elsewhere. The queues
    /// have not moved.
    fn take_back(&mut self, checkpoint: &Checkpoint) -> Result<(), SinkError> {
        if self.writing {
            for sink in &mut self.sinks {
                for log in logs_mut(&mut sink.shared, &mut sink.files) {
                    let taken = log.file.take_back();
                    taken.map_err(|source| failed(&sink.options, log, source))?;
                }
            }
            checkpoint.clear_intent();
            self.writing = false;
        }
        Ok(())
    }

    /// When [`sync_if_due`](Self::sync_if_due) wants to be called next.
    pub(crate) fn sync_due(&self) -> Option<Instant> {
        match self.sync {
            Sync::Every(period) => Some(self.last_sync + period),
            Sync::Never | Sync::Always => None,
        }
    }

    /// Syncs if the period of `--sync` is over.
    pub(crate) fn sync_if_due(&mut self) -> Result<(), SinkError> {
        if self.sync_due().is_some_and(|due| due <= Instant::now()) {
            self.sync_all()?;
        }
        Ok(())
    }

    /// Makes every written line durable.
    pub(crate) fn sync_all(&mut self) -> Result<(), SinkError> {
        let began = Instant::now();
        self.last_sync = began;
        for sink in &mut self.sinks {
            for log in logs_mut(&mut sink.shared, &mut sink.files) {
                if let Err(source) = log.sync() {
                    return Err(failed(&sink.options, log, source));
                }
            }
        }
        self.meters.sync_seconds.note(began.elapsed().as_secs_f64());
        Ok(())
    }

    fn logs_mut(&mut self) -> impl Iterator<Item = &mut Log> {
        self.sinks.iter_mut().flat_map(|sink| logs_mut(&mut sink.shared, &mut sink.files))
    }
}

impl Sink {
    fn new(options: &SinkOptions, sync: Sync) -> Self {
        let template = match &options.target {
            SinkTarget::Stdout => PathTemplate::new("-".as_ref()),
            SinkTarget::File(path) => PathTemplate::new(path),
        };
        Self {
            formatter: Formatter::new(&options.format),
            rules: Rules::new(options, sync),
            options: options.clone(),
            template,
            shared: None,
            files: HashMap::new(),
            lines: 0,
            bytes: 0,
            rotations: 0,
            truncations: 0,
        }
    }

    fn logs(&self) -> impl Iterator<Item = &Log> {
        self.shared.iter().chain(self.files.values().map(|file| &file.log))
    }
}

/// Looks at a log before its batch: it must still have a name, and the bytes must have room. Returns
/// whether its file was begun anew.
fn ready_for_batch(log: &mut Log, checkpoint: &Checkpoint) -> io::Result<bool> {
    let is_removed = !log.file.look_before_batch()?;
    if is_removed {
        log.reopen_with_batch(checkpoint)?;
        log.file.look_before_batch()?;
    }
    if !log.file.batch.is_empty() {
        log.keep_total()?;
    }
    Ok(is_removed)
}

fn logs_mut<'s>(
    shared: &'s mut Option<Log>,
    files: &'s mut HashMap<PathBuf, OpenFile>,
) -> impl Iterator<Item = &'s mut Log> {
    shared.iter_mut().chain(files.values_mut().map(|file| &mut file.log))
}

fn target_text(options: &SinkOptions) -> String {
    match &options.target {
        SinkTarget::Stdout => "standard output".to_owned(),
        SinkTarget::File(path) => path.display().to_string(),
    }
}

/// An error of a sink's one file has the sink's own words, that of a worker's file names the file.
fn failed(options: &SinkOptions, log: &Log, source: io::Error) -> SinkError {
    let is_shared = match &options.target {
        SinkTarget::Stdout => true,
        SinkTarget::File(path) => !PathTemplate::new(path).is_per_worker(),
    };
    let target = match is_shared {
        true => target_text(options),
        false => log.file.path().display().to_string(),
    };
    SinkError { target, source }
}
