//! Putting lines into the batches: into all files that want a record, or into none.
//!
//! A line that has no room in its file is taken out again everywhere, so that the file can be rotated
//! between two batches and the record be formatted anew.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::format::Line;

use super::log::Log;
use super::path::PathTemplate;
use super::{OpenFile, Sink, SinkMask, Sinks};

/// Bytes of the listener's own lines that are written about a worker at one time.
const NOTICES_MAX: usize = 4096;

/// What lines that wait will need in the files of each sink.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    bytes: Vec<usize>,
    scratch: Vec<u8>,
}

impl Pending {
    /// Nothing waits any more.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }
}

/// Whether a record went into the batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Appended {
    /// It is there.
    Taken,
    /// A file must be rotated before it: commit, and try again.
    Full,
}

impl Sinks {
    /// Adds a record's line to the batch of every sink of the mask, or to none. The files were
    /// prepared.
    pub(crate) fn append(&mut self, mask: SinkMask, line: &Line<'_>) -> Appended {
        debug_assert!(!self.writing, "a batch that is being written is closed");
        let mut added = 0;
        for index in 0..self.sinks.len() {
            if mask & 1 << index == 0 {
                continue;
            }
            let sink = &mut self.sinks[index];
            let Some(log) = log_of(&mut sink.shared, &mut sink.files, &sink.template, line) else {
                continue;
            };
            let before = log.file.batch.len();
            sink.formatter.write(line, &mut log.file.batch);
            let len = log.file.batch.len() - before;
            if !log.has_room(before, len, line.time) {
                log.file.batch.truncate(before);
                self.full = true;
                self.take_out(mask, index, line);
                return Appended::Full;
            }
            sink.lines += 1;
            added += len;
        }
        self.buffered += added;
        Appended::Taken
    }

    /// Takes a line back out of the batches of the first sinks of a mask.
    fn take_out(&mut self, mask: SinkMask, end: usize, line: &Line<'_>) {
        for index in (0..end).filter(|index| mask & 1 << index != 0) {
            let sink = &mut self.sinks[index];
            let log = log_of(&mut sink.shared, &mut sink.files, &sink.template, line);
            if let Some(log) = log {
                let batch = &mut log.file.batch;
                let before = batch[..batch.len() - 1].iter().rposition(|byte| *byte == b'\n');
                batch.truncate(before.map_or(0, |newline| newline + 1));
                sink.lines -= 1;
            }
        }
    }

    /// Whether the listener's own lines about a worker can go into the batches as they are; if not,
    /// a [`commit`](Self::commit) rotates first.
    pub(crate) fn has_room_for_notices(
        &mut self,
        mask: SinkMask,
        worker: &str,
        pid: u32,
        time: u64,
    ) -> bool {
        let mut has_room = true;
        for (index, sink) in self.sinks.iter_mut().enumerate() {
            let log = match &mut sink.shared {
                _ if mask & 1 << index == 0 => continue,
                Some(log) => log,
                None => match sink.files.get_mut(&sink.template.expand(worker, pid)) {
                    Some(file) => &mut file.log,
                    None => continue,
                },
            };
            has_room &= log.has_room(log.file.batch.len(), NOTICES_MAX, time);
        }
        self.full |= !has_room;
        has_room
    }

    /// Whether a line will have room in every file of the mask, behind what is pending; it is pending
    /// from then on. If not, a [`commit`](Self::commit) rotates.
    pub(crate) fn has_room_for(
        &mut self,
        mask: SinkMask,
        line: &Line<'_>,
        pending: &mut Pending,
    ) -> bool {
        let mut scratch = std::mem::take(&mut pending.scratch);
        let has_room = self.has_pending_room(mask, line, pending, |sink| {
            scratch.clear();
            sink.formatter.write(line, &mut scratch);
            scratch.len()
        });
        pending.scratch = scratch;
        has_room
    }

    /// The same for bytes that a line grows by which is pending already.
    pub(crate) fn has_room_to_grow(
        &mut self,
        mask: SinkMask,
        line: &Line<'_>,
        growth: usize,
        pending: &mut Pending,
    ) -> bool {
        self.has_pending_room(mask, line, pending, |_| growth)
    }

    fn has_pending_room(
        &mut self,
        mask: SinkMask,
        line: &Line<'_>,
        pending: &mut Pending,
        mut len: impl FnMut(&mut Sink) -> usize,
    ) -> bool {
        pending.bytes.resize(self.sinks.len(), 0);
        let mut lens = Vec::with_capacity(self.sinks.len());
        for (index, sink) in self.sinks.iter_mut().enumerate() {
            if mask & 1 << index == 0 {
                continue;
            }
            let len = len(sink);
            let Sink { shared, files, template, .. } = sink;
            let Some(log) = log_of(shared, files, template, line) else { continue };
            // What is pending for all files of a sink may all be this one's.
            let before = log.file.batch.len() + pending.bytes[index];
            if !log.has_room(before, len, line.time) {
                self.full = true;
                return false;
            }
            lens.push((index, len));
        }
        for (index, len) in lens {
            pending.bytes[index] += len;
        }
        true
    }

    /// Whether any sink of the mask has a file for each worker.
    pub(crate) const fn is_per_worker(&self, mask: SinkMask) -> bool {
        self.per_worker & mask != 0
    }

    /// Adds a line that must not wait: its room was asked for.
    pub(crate) fn append_notice(&mut self, mask: SinkMask, line: &Line<'_>) {
        if self.append(mask, line) == Appended::Taken {
            return;
        }
        // Longer than any of ours should be: a file that is a little too long beats a line that is
        // missing.
        for (index, sink) in self.sinks.iter_mut().enumerate() {
            let log = log_of(&mut sink.shared, &mut sink.files, &sink.template, line);
            if let Some(log) = log.filter(|_| mask & 1 << index != 0) {
                let before = log.file.batch.len();
                sink.formatter.write(line, &mut log.file.batch);
                self.buffered += log.file.batch.len() - before;
                sink.lines += 1;
            }
        }
    }
}

fn log_of<'s>(
    shared: &'s mut Option<Log>,
    files: &'s mut HashMap<PathBuf, OpenFile>,
    template: &PathTemplate,
    line: &Line<'_>,
) -> Option<&'s mut Log> {
    match shared {
        Some(log) => Some(log),
        None => {
            let file = files.get_mut(&template.expand(line.worker, line.pid))?;
            file.used = true;
            Some(&mut file.log)
        }
    }
}
