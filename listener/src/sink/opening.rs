//! Opening outputs: the one of a sink, and those of single workers.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;

use nix::unistd::Uid;

use crate::checkpoint::Checkpoint;
use crate::disk::{Identity, Meta, SharedDisk};
use crate::options::{SinkOptions, SinkTarget};

use super::file::LogFile;
use super::log::Log;
use super::{OPEN_FILES_MAX, OpenFile, SinkError, Sinks, failed, latest, target_text};

impl SinkError {
    /// Whether another path in the same place could be opened.
    fn is_the_names_fault(&self) -> bool {
        matches!(
            self.source.kind(),
            io::ErrorKind::InvalidFilename
                | io::ErrorKind::IsADirectory
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::AlreadyExists
                | io::ErrorKind::PermissionDenied
                | io::ErrorKind::ExecutableFileBusy
                | io::ErrorKind::ResourceBusy
        )
    }
}

impl Sinks {
    /// Opens the output that all workers share.
    pub(super) fn open_shared(
        &mut self,
        index: usize,
        checkpoint: &mut Checkpoint,
    ) -> Result<(), SinkError> {
        let options = self.sinks[index].options.clone();
        let log = match &options.target {
            SinkTarget::Stdout => self.open_stdout(index)?,
            SinkTarget::File(path) => self.open_log(index, path, checkpoint)?,
        };
        if self.is_open(&log) {
            return Err(named_twice(&options, log, checkpoint));
        }
        if let Some(link) = &options.latest_symlink {
            let pointed = latest::point(&*self.disk, link, log.file.path());
            pointed.map_err(|source| SinkError { target: link.display().to_string(), source })?;
        }
        self.care.follow(log.file.path());
        self.sinks[index].shared = Some(log);
        Ok(())
    }

    /// Opens a worker's file. A worker chooses its name, so a name that leads to another log, to
    /// a folder, or to nothing that a file can be called must not fail the sink for all the
    /// others: the worker then gets the next best name.
    pub(super) fn open_for_worker(
        &mut self,
        index: usize,
        worker: &str,
        pid: u32,
        checkpoint: &mut Checkpoint,
    ) -> Result<(), SinkError> {
        let path = self.sinks[index].template.expand(worker, pid);
        if self.sinks[index].files.contains_key(&path) {
            return Ok(());
        }
        let log = self.open_some_name(index, worker, pid, checkpoint)?;
        if self.is_open(&log) {
            return Err(named_twice(&self.sinks[index].options, log, checkpoint));
        }
        self.care.follow(log.file.path());
        self.sinks[index].files.insert(path, OpenFile { log, used: true });
        self.opened += 1;
        Ok(())
    }

    fn open_some_name(
        &self,
        index: usize,
        worker: &str,
        pid: u32,
        checkpoint: &mut Checkpoint,
    ) -> Result<Log, SinkError> {
        let template = &self.sinks[index].template;
        let next_best = [format!("{worker}_"), format!("{worker}__"), format!("_{pid}")];
        for name in [worker].into_iter().chain(next_best.iter().map(String::as_str)) {
            let path = template.expand(name, pid);
            let is_unfit =
                |found: &Meta| !found.is_file || !is_own(found) || self.has(found.identity);
            if self.disk.metadata(&path).is_ok_and(|found| is_unfit(&found)) {
                continue;
            }
            match self.open_log(index, &path, checkpoint) {
                Ok(log) if self.is_open(&log) => log.file.close(checkpoint),
                Err(error) if error.is_the_names_fault() => {}
                opened => return opened,
            }
        }
        self.open_log(index, &template.expand(worker, pid), checkpoint)
    }

    fn open_stdout(&self, index: usize) -> Result<Log, SinkError> {
        let sink = &self.sinks[index];
        let descriptor = io::stdout().as_fd().try_clone_to_owned();
        let descriptor = descriptor
            .map_err(|source| SinkError { target: target_text(&sink.options), source })?;
        let file = LogFile::of_stream(File::from(descriptor));
        Ok(Log::of_stream(SharedDisk::clone(&self.disk), file, &sink.rules))
    }

    fn open_log(
        &self,
        index: usize,
        path: &Path,
        checkpoint: &mut Checkpoint,
    ) -> Result<Log, SinkError> {
        let rules = &self.sinks[index].rules;
        Log::open(SharedDisk::clone(&self.disk), path, rules, checkpoint)
            .map_err(|source| SinkError { target: path.display().to_string(), source })
    }

    /// Whether some sink writes to the same file already.
    fn is_open(&self, log: &Log) -> bool {
        log.file.identity() != (0, 0) && self.has(log.file.identity())
    }

    fn has(&self, identity: Identity) -> bool {
        let mut logs = self.sinks.iter().flat_map(super::Sink::logs);
        logs.any(|log| log.file.identity() == identity)
    }

    /// Files of workers that logged nothing lately are closed, so that a fleet of short-lived
    /// workers does not run out of descriptors.
    pub(super) fn close_idle(&mut self, checkpoint: &Checkpoint) {
        for sink in &mut self.sinks {
            if sink.files.len() > OPEN_FILES_MAX {
                let idle = sink.files.extract_if(|_, file| !file.used && !file.log.wants_turn());
                for (_, mut file) in idle {
                    let _ = file.log.sync();
                    sink.truncations += file.log.file.truncations;
                    file.log.file.close(checkpoint);
                }
            }
            for file in sink.files.values_mut() {
                file.used = false;
            }
        }
    }
}

/// A worker's name must not lead the listener to a file of somebody else's.
fn is_own(found: &Meta) -> bool {
    found.access.owner.is_none_or(|owner| owner == Uid::effective())
}

fn named_twice(options: &SinkOptions, log: Log, checkpoint: &Checkpoint) -> SinkError {
    let twice = io::Error::other("two sinks name this file: name it once");
    let error = failed(options, &log, twice);
    log.file.close(checkpoint);
    error
}
