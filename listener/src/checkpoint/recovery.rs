//! Recovery: what a listener finishes or undoes of the batch that its predecessor died in.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use super::{Advance, Checkpoint, Extent, FileSlot, QueueSlot, layout};
use crate::disk::{Disk, DiskFile, Identity};

/// A folder with more names is not searched for a file that was moved.
const SEARCH_MAX: usize = 65_536;

/// What was found at start.
#[derive(Debug)]
pub(crate) enum Recovery {
    /// There was no state.
    Fresh,
    /// No batch was under way.
    Clean,
    /// A batch had been written as a whole; its positions are stored now.
    Finished,
    /// A batch had been written in part or not at all; its files are cut back to where it began.
    Undone {
        /// Files that could not be cut, so that some of their lines may come twice.
        uncut: Vec<(PathBuf, io::Error)>,
    },
    /// The state was not readable and was put aside; lines of the last batch may come twice.
    Damaged,
}

impl Checkpoint {
    pub(super) fn recover(&mut self) -> Recovery {
        match self.memory.load(layout::INTENT_OPEN) {
            layout::CLEAR => return Recovery::Clean,
            layout::WRITTEN => {
                self.store_positions(&self.read_advances());
                self.clear_intent();
                return Recovery::Finished;
            }
            _ => {}
        }
        let extents = self.read_extents();
        let files: Vec<_> =
            extents.iter().map(|extent| (*extent, self.open_file(extent.file))).collect();
        let unseen = layout::is_unseen(self.memory.load(layout::INTENT_UNSEEN));
        let complete = !unseen
            && files.iter().all(|(extent, (_, file))| {
                file.as_ref().is_ok_and(|file| {
                    file.metadata().is_ok_and(|found| found.len >= extent.offset + extent.len)
                })
            });
        let recovery = if complete {
            self.store_positions(&self.read_advances());
            Recovery::Finished
        } else {
            let uncut = files
                .into_iter()
                .filter_map(|(extent, (path, _))| {
                    let cut = || {
                        let (_, file) = self.open_file(extent.file);
                        cut_back(file?, extent.offset)
                    };
                    // A disk that fails once is asked again: a line that stays half is for ever.
                    let cut = cut().or_else(|_| cut()).or_else(|_| cut());
                    cut.err().map(|error| (path, error))
                })
                .collect();
            Recovery::Undone { uncut }
        };
        self.clear_intent();
        recovery
    }

    fn read_extents(&self) -> Vec<Extent> {
        let count = self.intent_count(layout::INTENT_EXTENTS, self.layout.files);
        (0..count)
            .map(|index| {
                let at = self.layout.extents() + index * layout::EXTENT_WORDS;
                let file = usize::try_from(self.memory.load(at)).unwrap_or(usize::MAX);
                Extent {
                    file: FileSlot(file.min(self.layout.files - 1)),
                    offset: self.memory.load(at + 1),
                    len: self.memory.load(at + 2),
                }
            })
            .collect()
    }

    fn read_advances(&self) -> Vec<Advance> {
        let count = self.intent_count(layout::INTENT_ADVANCES, self.layout.queues);
        (0..count)
            .map(|index| {
                let at = self.layout.advances() + index * layout::ADVANCE_WORDS;
                let queue = usize::try_from(self.memory.load(at)).unwrap_or(usize::MAX);
                Advance {
                    queue: QueueSlot(queue.min(self.layout.queues - 1)),
                    position: self.memory.load(at + 1),
                    written: self.memory.load(at + 2),
                    tail: self.memory.load(at + 3),
                    ends: self.memory.load(at + 4) != 0,
                }
            })
            .collect()
    }

    fn intent_count(&self, at: usize, limit: usize) -> usize {
        usize::try_from(self.memory.load(at)).unwrap_or(0).min(limit)
    }

    pub(super) fn path_of(&self, slot: FileSlot) -> PathBuf {
        let bytes = self.load_bytes(self.layout.file(slot.0) + 3, layout::FILE_WORDS - 4);
        PathBuf::from(OsString::from_vec(bytes))
    }

    /// Opens a file of the intent, under its own name or under the one that somebody gave it
    /// since, in the same folder.
    fn open_file(&self, slot: FileSlot) -> (PathBuf, io::Result<Box<dyn DiskFile>>) {
        let path = self.path_of(slot);
        let at = self.layout.file(slot.0);
        let identity = (self.memory.load(at + 1), self.memory.load(at + 2));
        let mut file = open_if(&*self.disk, &path, identity);
        if file.is_err()
            && let Some(moved) = search(&*self.disk, &path, identity)
        {
            file = open_if(&*self.disk, &moved, identity);
        }
        (path, file)
    }
}

/// Opens a file only if it is the one that is meant.
fn open_if(disk: &dyn Disk, path: &Path, identity: Identity) -> io::Result<Box<dyn DiskFile>> {
    // Asked before it is opened: what stands there now may be a pipe, which would block.
    if disk.metadata(path)?.identity != identity {
        return Err(io::Error::other("the path names another file now"));
    }
    let file = disk.open(path)?;
    if file.metadata()?.identity == identity {
        Ok(file)
    } else {
        Err(io::Error::other("the path names another file now"))
    }
}

/// Where a file is that was moved within its folder. Whoever moves a log keeps the beginning of its
/// name; any other file may have got the inode of one that was removed.
fn search(disk: &dyn Disk, path: &Path, identity: Identity) -> Option<PathBuf> {
    let (folder, stem) = (path.parent()?, path.file_stem()?);
    let names = disk.list(folder).ok().filter(|names| names.len() <= SEARCH_MAX)?;
    let begins = |name: &OsString| name.as_bytes().starts_with(stem.as_bytes());
    let mut paths = names.into_iter().filter(begins).map(|name| folder.join(name));
    paths.find(|path| disk.metadata(path).is_ok_and(|found| found.identity == identity))
}

/// A file that is shorter already, because somebody truncated it, is left as it is.
fn cut_back(mut file: Box<dyn DiskFile>, offset: u64) -> io::Result<()> {
    if file.metadata()?.len > offset {
        file.set_len(offset)?;
    }
    Ok(())
}
