//! Noticing what others do to the folders of logs: a name that is moved or removed rings at once, so
//! that a listener which sleeps lets go of the old file. Writing does not ring.
//!
//! Where a file system does not tell (those of other hosts), logs are looked for at their paths
//! while they are written to.

use std::collections::HashSet;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::file::folder_of;

/// The folders that are looked at; beyond them, paths are looked at while they are written to.
const FOLDERS_MAX: usize = 256;

#[derive(Debug)]
pub(super) struct Watch {
    inotify: Inotify,
    folders: HashSet<PathBuf>,
}

impl Watch {
    /// `None` where the system has no more of them.
    pub(super) fn new() -> Option<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok()?;
        Some(Self { inotify, folders: HashSet::new() })
    }

    /// Looks at the folder of a log, also at one that was made anew under an old name.
    pub(super) fn follow(&mut self, log: &Path) {
        let folder = folder_of(log);
        if self.folders.len() >= FOLDERS_MAX && !self.folders.contains(folder) {
            return;
        }
        let flags = AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        if self.inotify.add_watch(folder, flags).is_ok() {
            self.folders.insert(folder.to_owned());
        }
    }

    /// Whether something was moved or removed since the last call.
    pub(super) fn take(&mut self) -> bool {
        let mut is_changed = false;
        while self.inotify.read_events().is_ok_and(|events| !events.is_empty()) {
            is_changed = true;
        }
        is_changed
    }

    /// Readable when something was moved or removed.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}
