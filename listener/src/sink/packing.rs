//! Packing: which archive is compressed next, and what becomes of it.
//!
//! The states are those of [`Archive`](super::archives::Archive). The packer writes; every name is
//! given and taken here, in the drain.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::archive::ArchiveKey;
use crate::faults::{self, Point};
use crate::options::Compression;

use super::archives::{Archive, Work, gone};
use super::log::Log;
use super::pack::{Finished, Job, Task, Verdict};

impl Log {
    /// The next job for the packer, with room made for what it writes.
    pub(super) fn next_job(&mut self) -> io::Result<Option<Job>> {
        let Some(key) = self.next_to_settle().or_else(|| self.next_to_pack()) else {
            return Ok(None);
        };
        let log: PathBuf = self.file.path().to_owned();
        let (compression, total_max) =
            (self.rules().keeping.compression, self.rules().total_size_max);
        let len = self.file.len_with_batch();
        let Some(archives) = &mut self.archives else { return Ok(None) };
        let plain = archives.path(key, Compression::None);
        let Some(archive) = archives.get_mut(key) else { return Ok(None) };
        let task = match archive.packed {
            Some((compression, _)) => {
                let packed = archives.path(key, compression);
                Task::Settle { plain, packed, compression, compare: true }
            }
            None => {
                // The copy may become as large as the file, and older archives give it the room.
                let copy_len = archive.plain.unwrap_or(0);
                let newer = archives.iter().filter(|(other, _)| *other >= key);
                let needed: u64 = newer.map(|(_, archive)| archive.bytes()).sum();
                if needed.saturating_add(copy_len).saturating_add(len) > total_max {
                    if let Some(archive) = archives.get_mut(key) {
                        archive.work = Work::LeftAlone;
                    }
                    return Ok(None);
                }
                self.keep_total_with(self.file.batch.len() as u64 + copy_len)?;
                let Some(archives) = &self.archives else { return Ok(None) };
                let copy = archives.unfinished(key, compression);
                gone(self.disk().unlink(&copy))?;
                Task::Pack { plain, copy, compression }
            }
        };
        let given_up = Arc::new(AtomicBool::new(false));
        if let Some(archive) = self.archives.as_mut().and_then(|all| all.get_mut(key)) {
            archive.work = Work::UnderWay(Arc::clone(&given_up));
        }
        Ok(Some(Job { log, key, task, given_up }))
    }

    /// An archive that is there twice.
    fn next_to_settle(&self) -> Option<ArchiveKey> {
        let is_double = |archive: &Archive| {
            archive.plain.is_some()
                && archive.packed.is_some()
                && matches!(archive.work, Work::None)
        };
        let mut all = self.archives.as_ref()?.iter();
        all.find(|(_, archive)| is_double(archive)).map(|(key, _)| key)
    }

    fn next_to_pack(&self) -> Option<ArchiveKey> {
        let keeping = &self.rules().keeping;
        if keeping.compression == Compression::None {
            return None;
        }
        let archives = self.archives.as_ref()?;
        let newest = archives.newest().filter(|_| keeping.delay_compress);
        let is_plain =
            |archive: &Archive| archive.packed.is_none() && matches!(archive.work, Work::None);
        let mut all = archives.iter();
        all.find(|(key, archive)| is_plain(archive) && Some(*key) != newest).map(|(key, _)| key)
    }

    /// Takes what the packer made. Returns the job that follows from it.
    pub(super) fn take_packed(&mut self, finished: Finished) -> io::Result<Option<Job>> {
        let Finished { job, result } = finished;
        let disk = self.disk();
        let Some(archives) = &mut self.archives else { return Ok(None) };
        let settled = archives.folder().to_owned();
        let unpacked = archives.path(job.key, Compression::None);
        let packed_as = |compression| archives.path(job.key, compression);
        let packed_path = match &job.task {
            Task::Pack { compression, .. } | Task::Settle { compression, .. } => {
                packed_as(*compression)
            }
        };
        let is_current = |archive: &&mut Archive| matches!(&archive.work, Work::UnderWay(flag) if Arc::ptr_eq(flag, &job.given_up));
        let Some(archive) = archives.get_mut(job.key).filter(is_current) else {
            // Retention was faster, or the log was opened anew: what was made is not wanted.
            if let Task::Pack { copy, .. } = &job.task {
                gone(disk.unlink(copy))?;
            }
            return Ok(None);
        };
        archive.work = Work::None;
        match (&job.task, result) {
            (_, Ok(Verdict::LeaveAlone)) => archive.work = Work::LeftAlone,
            (_, Ok(Verdict::GivenUp)) => {}
            (_, Err(error)) if error.kind() == io::ErrorKind::NotFound => {
                // Somebody removed it.
                archives.prune(&*disk)?;
            }
            (_, Err(error)) => {
                let path = unpacked.display();
                crate::diagnostic::warn!(%path, %error, "an old file can't be compressed; tried again later");
            }
            (Task::Pack { copy, compression, .. }, Ok(Verdict::Done(len))) => {
                match disk.rename_new(copy, &packed_path) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        archive.work = Work::LeftAlone;
                        gone(disk.unlink(copy))?;
                        return Ok(None);
                    }
                    renamed => renamed?,
                }
                archive.packed = Some((*compression, len));
                archive.work = Work::UnderWay(Arc::clone(&job.given_up));
                faults::reach(Point::AfterPacked);
                let task = Task::Settle {
                    plain: unpacked,
                    packed: packed_path,
                    compression: *compression,
                    compare: false,
                };
                return Ok(Some(Job { task, ..job }));
            }
            (Task::Settle { plain, .. }, Ok(Verdict::Done(_))) => {
                gone(disk.unlink(plain))?;
                archive.plain = None;
                faults::reach(Point::AfterSettled);
                crate::diagnostic::debug!(folder = %settled.display(), "an old file is compressed");
            }
        }
        Ok(None)
    }
}
