//! What the sinks tell of themselves.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::statvfs::statvfs;

use super::{Sink, Sinks, archives, target_text};
use crate::meter::Histogram;
use crate::options::{Compression, Period, SinkTarget, Sync};

/// What was written, and how long it took.
#[derive(Debug)]
pub(crate) struct Meters {
    /// The bytes of each batch.
    pub(crate) batch_bytes: Histogram,
    /// The time of each batch from its intent to its end.
    pub(crate) write_seconds: Histogram,
    /// The time of each sync of all files.
    pub(crate) sync_seconds: Histogram,
}

impl Meters {
    pub(super) fn new() -> Self {
        Self {
            batch_bytes: Histogram::of_bytes(),
            write_seconds: Histogram::of_seconds(),
            sync_seconds: Histogram::of_seconds(),
        }
    }
}

/// The state of one sink, for `status`.
#[derive(Clone, Debug)]
pub(crate) struct SinkStatus {
    pub(crate) target: String,
    pub(crate) format: String,
    pub(crate) filter: String,
    pub(crate) lines: u64,
    pub(crate) bytes: u64,
    pub(crate) rotations: u64,
    pub(crate) truncations: u64,
    /// Archives of the open files, and the bytes of all files together.
    pub(crate) archives: usize,
    pub(crate) total_bytes: u64,
    /// The bound of those bytes, for one log; `u64::MAX` = none.
    pub(crate) total_bytes_max: u64,
    /// The bytes of the current files, and the bound of one; `u64::MAX` = none.
    pub(crate) size: u64,
    pub(crate) size_max: u64,
    pub(crate) rotation: Option<Period>,
    pub(crate) compression: Compression,
    /// What the file system has left for this process, and its size; `None` = it is no file, or the
    /// system does not say.
    pub(crate) disk: Option<Room>,
}

/// The bytes of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) free: u64,
    pub(crate) total: u64,
}

impl Sinks {
    /// The state of every sink.
    pub(crate) fn status(&self) -> Vec<SinkStatus> {
        self.sinks.iter().map(Sink::status).collect()
    }

    /// When lines are made durable, and how long ago that was; `None` = never yet.
    pub(crate) fn syncing(&self) -> (Sync, Option<Duration>) {
        let ever = self.sync != Sync::Never || self.meters.sync_seconds.count() > 0;
        (self.sync, ever.then(|| self.last_sync.elapsed()))
    }

    /// Lines and bytes of all sinks since the start.
    pub(crate) fn written(&self) -> (u64, u64) {
        let add = |(lines, bytes), sink: &Sink| (lines + sink.lines, bytes + sink.bytes);
        self.sinks.iter().fold((0, 0), add)
    }
}

impl Sink {
    fn status(&self) -> SinkStatus {
        let archives = || self.logs().filter_map(|log| log.archives.as_ref());
        let current: u64 = self.logs().map(|log| log.file.len()).sum();
        let keeping = &self.rules.keeping;
        let is_file = self.options.target != SinkTarget::Stdout;
        SinkStatus {
            target: target_text(&self.options),
            format: self.options.format.to_string(),
            filter: self.options.filter.to_string(),
            lines: self.lines,
            bytes: self.bytes,
            rotations: self.rotations,
            truncations: self.truncations
                + self.logs().map(|log| log.file.truncations).sum::<u64>(),
            archives: archives().map(archives::Archives::len).sum(),
            total_bytes: current + archives().map(archives::Archives::bytes).sum::<u64>(),
            total_bytes_max: self.rules.total_size_max,
            size: current,
            size_max: if is_file { keeping.file_size_max() } else { u64::MAX },
            rotation: keeping.rotation,
            compression: keeping.compression,
            disk: self.folder().and_then(|folder| room(&folder)),
        }
    }

    /// The folder of its files.
    fn folder(&self) -> Option<PathBuf> {
        let SinkTarget::File(path) = &self.options.target else { return None };
        let open = self.logs().next().map(|log| log.file.path());
        let folder = open.unwrap_or(path).parent()?;
        Some(if folder.as_os_str().is_empty() { ".".into() } else { folder.to_owned() })
    }
}

fn room(folder: &Path) -> Option<Room> {
    let found = statvfs(folder).ok()?;
    let block = found.fragment_size();
    Some(Room {
        free: block.saturating_mul(found.blocks_available()),
        total: block.saturating_mul(found.blocks()),
    })
}
