//! Sinks: where lines end.
//!
//! [`Sinks`] formats a record for every sink that wants it into that sink's batch, and writes
//! the batches under one intent of the checkpoint. A write that fails keeps its place: the same
//! batch goes on when the disk allows it again, and nothing is taken from the queues meanwhile.

mod file;
mod path;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use fleetlog_protocol::Level;
use fleetlog_protocol::limits::BATCH_MAX;

use crate::checkpoint::{Advance, Checkpoint};
use crate::faults::{self, Point};
use crate::format::{Formatter, Line};
use crate::options::{Options, SinkOptions, SinkTarget, Sync};
use file::LogFile;
pub(crate) use path::PathTemplate;

/// A set of sinks, one bit each.
pub(crate) type SinkMask = u64;

/// The sinks that a listener can have: one bit of a [`SinkMask`] each.
pub(crate) const SINKS_MAX: usize = 64;

/// Files of workers that are kept open beyond the batch that used them.
const OPEN_FILES_MAX: usize = 256;

/// An output that failed.
#[derive(Debug, thiserror::Error)]
#[error("{target}: {source}")]
pub struct SinkError {
    /// The file, or standard output.
    pub target: String,
    /// What the system said.
    pub source: io::Error,
}

impl SinkError {
    /// Whether nobody will ever read the output again.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.source.kind() == io::ErrorKind::BrokenPipe
    }

    /// Whether another path in the same place could be opened.
    fn is_the_names_fault(&self) -> bool {
        matches!(
            self.source.kind(),
            io::ErrorKind::InvalidFilename
                | io::ErrorKind::IsADirectory
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::AlreadyExists
        )
    }
}

#[derive(Debug)]
struct Sink {
    options: SinkOptions,
    formatter: Formatter,
    template: PathTemplate,
    /// The file of all workers, where they do not have one each.
    shared: Option<LogFile>,
    /// The files of single workers.
    files: HashMap<PathBuf, OpenFile>,
    lines: u64,
    bytes: u64,
}

#[derive(Debug)]
struct OpenFile {
    log: LogFile,
    used: bool,
}

/// The state of one sink, for `status`.
#[derive(Clone, Debug)]
pub(crate) struct SinkStatus {
    pub(crate) target: String,
    pub(crate) format: String,
    pub(crate) filter: String,
    pub(crate) lines: u64,
    pub(crate) bytes: u64,
}

/// All sinks of a listener and the batch that is being collected for them.
#[derive(Debug)]
pub(crate) struct Sinks {
    sinks: Vec<Sink>,
    /// Those with a file for each worker.
    per_worker: SinkMask,
    sync: Sync,
    last_sync: Instant,
    buffered: usize,
    /// Files of workers that were opened for the batch.
    opened: usize,
    writing: bool,
}

impl Sinks {
    /// Opens every sink whose path is known already.
    pub(crate) fn open(options: &Options, checkpoint: &mut Checkpoint) -> Result<Self, SinkError> {
        let mut sinks = Self {
            sinks: Vec::new(),
            per_worker: 0,
            sync: options.sync,
            last_sync: Instant::now(),
            buffered: 0,
            opened: 0,
            writing: false,
        };
        for options in &options.sinks {
            let template = match &options.target {
                SinkTarget::Stdout => PathTemplate::new("-".as_ref()),
                SinkTarget::File(path) => PathTemplate::new(path),
            };
            sinks.sinks.push(Sink {
                formatter: Formatter::new(&options.format),
                options: options.clone(),
                template,
                shared: None,
                files: HashMap::new(),
                lines: 0,
                bytes: 0,
            });
        }
        for index in 0..sinks.sinks.len() {
            if sinks.sinks[index].template.is_per_worker() {
                sinks.per_worker |= 1 << index;
            } else {
                sinks.open_file(index, "", 0, checkpoint)?;
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
            self.open_file(left.trailing_zeros() as usize, worker, pid, checkpoint)?;
            left &= left - 1;
        }
        Ok(())
    }

    /// Adds a record's line to the batch of every sink of the mask. The files were prepared.
    pub(crate) fn append(&mut self, mask: SinkMask, line: &Line<'_>) {
        debug_assert!(!self.writing, "a batch that is being written is closed");
        for (index, sink) in self.sinks.iter_mut().enumerate() {
            if mask & 1 << index == 0 {
                continue;
            }
            let batch = match &mut sink.shared {
                Some(log) => &mut log.batch,
                None => {
                    let path = sink.template.expand(line.worker, line.pid);
                    let Some(file) = sink.files.get_mut(&path) else { continue };
                    file.used = true;
                    &mut file.log.batch
                }
            };
            let before = batch.len();
            sink.formatter.write(line, batch);
            sink.lines += 1;
            self.buffered += batch.len() - before;
        }
    }

    /// Whether a batch could not be written as a whole and waits to go on.
    pub(crate) const fn is_writing(&self) -> bool {
        self.writing
    }

    /// Whether the batch should be written before it grows: in bytes, or in open files.
    pub(crate) const fn is_full(&self) -> bool {
        self.buffered >= BATCH_MAX || self.opened >= OPEN_FILES_MAX
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
        if !self.writing {
            faults::reach(Point::BeforeIntent);
            let (mut extents, mut unseen) = (Vec::new(), false);
            for log in self.sinks.iter().flat_map(Sink::logs) {
                unseen |= log.is_unseen();
                let extent = log.extent().map_err(|source| failed(log, source))?;
                extents.extend(extent);
            }
            checkpoint.open_intent(&extents, advances, unseen);
            faults::reach(Point::AfterIntent);
            self.writing = true;
        }
        for log in self.sinks.iter_mut().flat_map(Sink::logs_mut) {
            if let Err(source) = log.write_batch() {
                return Err(failed(log, source));
            }
        }
        if self.sync == Sync::Always {
            self.sync_all()?;
        }
        faults::reach(Point::AfterWrite);
        checkpoint.store_positions(advances);
        faults::reach(Point::AfterPositions);
        checkpoint.clear_intent();
        faults::reach(Point::AfterClear);
        self.writing = false;
        self.buffered = 0;
        self.opened = 0;
        for sink in &mut self.sinks {
            sink.bytes += sink.logs_mut().map(LogFile::finish_batch).sum::<u64>();
        }
        self.close_idle(checkpoint);
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
        self.last_sync = Instant::now();
        for log in self.sinks.iter_mut().flat_map(Sink::logs_mut) {
            if let Err(source) = log.sync() {
                return Err(failed(log, source));
            }
        }
        Ok(())
    }

    /// The state of every sink.
    pub(crate) fn status(&self) -> Vec<SinkStatus> {
        self.sinks
            .iter()
            .map(|sink| SinkStatus {
                target: sink.target_text(),
                format: sink.options.format.to_string(),
                filter: sink.options.filter.to_string(),
                lines: sink.lines,
                bytes: sink.bytes,
            })
            .collect()
    }

    fn open_file(
        &mut self,
        index: usize,
        worker: &str,
        pid: u32,
        checkpoint: &mut Checkpoint,
    ) -> Result<(), SinkError> {
        let sink = &self.sinks[index];
        let path = sink.template.expand(worker, pid);
        if sink.files.contains_key(&path) {
            return Ok(());
        }
        let per_worker = sink.template.is_per_worker();
        let log = if per_worker {
            self.open_for_worker(index, worker, pid, checkpoint)?
        } else {
            self.open_log(index, &path, checkpoint)?
        };
        if self.is_open(&log) {
            let error = failed(&log, io::Error::other("two sinks name this file: name it once"));
            log.close(checkpoint);
            return Err(error);
        }
        let sink = &mut self.sinks[index];
        if per_worker {
            sink.files.insert(path, OpenFile { log, used: true });
            self.opened += 1;
        } else {
            sink.shared = Some(log);
        }
        Ok(())
    }

    /// Opens a worker's file. A worker chooses its name, so a name that leads to another log, to
    /// a folder, or to nothing that a file can be called must not fail the sink for all the
    /// others: the worker then gets the next best name.
    fn open_for_worker(
        &self,
        index: usize,
        worker: &str,
        pid: u32,
        checkpoint: &mut Checkpoint,
    ) -> Result<LogFile, SinkError> {
        let template = &self.sinks[index].template;
        let next_best = [format!("{worker}_"), format!("{worker}__"), format!("_{pid}")];
        for name in [worker].into_iter().chain(next_best.iter().map(String::as_str)) {
            let path = template.expand(name, pid);
            if fs::metadata(&path).is_ok_and(|found| !found.is_file()) {
                continue;
            }
            match self.open_log(index, &path, checkpoint) {
                Ok(log) if self.is_open(&log) => log.close(checkpoint),
                Err(error) if error.is_the_names_fault() => {}
                opened => return opened,
            }
        }
        self.open_log(index, &template.expand(worker, pid), checkpoint)
    }

    fn open_log(
        &self,
        index: usize,
        path: &Path,
        checkpoint: &mut Checkpoint,
    ) -> Result<LogFile, SinkError> {
        let sink = &self.sinks[index];
        let log = match sink.options.target {
            SinkTarget::Stdout => io::stdout()
                .as_fd()
                .try_clone_to_owned()
                .map(|descriptor| LogFile::of_stream(File::from(descriptor))),
            SinkTarget::File(_) => LogFile::open(path, sink.options.file_mode, checkpoint),
        };
        log.map_err(|source| SinkError {
            target: match sink.options.target {
                SinkTarget::Stdout => sink.target_text(),
                SinkTarget::File(_) => path.display().to_string(),
            },
            source,
        })
    }

    /// Whether some sink writes to the same file already.
    fn is_open(&self, log: &LogFile) -> bool {
        log.identity() != (0, 0)
            && self
                .sinks
                .iter()
                .flat_map(Sink::logs)
                .any(|other| other.identity() == log.identity())
    }

    /// Files of workers that logged nothing lately are closed, so that a fleet of short-lived
    /// workers does not run out of descriptors.
    fn close_idle(&mut self, checkpoint: &Checkpoint) {
        for sink in &mut self.sinks {
            if sink.files.len() > OPEN_FILES_MAX {
                let idle = sink.files.extract_if(|_, file| !file.used);
                for (_, mut file) in idle {
                    let _ = file.log.sync();
                    file.log.close(checkpoint);
                }
            }
            for file in sink.files.values_mut() {
                file.used = false;
            }
        }
    }
}

impl Sink {
    fn logs(&self) -> impl Iterator<Item = &LogFile> {
        self.shared.iter().chain(self.files.values().map(|file| &file.log))
    }

    fn logs_mut(&mut self) -> impl Iterator<Item = &mut LogFile> {
        self.shared.iter_mut().chain(self.files.values_mut().map(|file| &mut file.log))
    }

    fn target_text(&self) -> String {
        match &self.options.target {
            SinkTarget::Stdout => "standard output".to_owned(),
            SinkTarget::File(path) => path.display().to_string(),
        }
    }
}

fn failed(log: &LogFile, source: io::Error) -> SinkError {
    let target = if log.path().as_os_str().is_empty() {
        "standard output".to_owned()
    } else {
        log.path().display().to_string()
    };
    SinkError { target, source }
}
