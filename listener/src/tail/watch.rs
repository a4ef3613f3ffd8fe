//! Sleeping until somebody writes to the folders of logs, or changes the names in them.
//!
//! The system rings a follower; no listener knows of it. Where the system does not tell, because it
//! has no watches left or the folder is not there yet, a follower looks from time to time.

use std::collections::BTreeSet;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

/// How often a follower looks where it is rung: a name may lead to another folder by now.
const SELDOM: Duration = Duration::from_secs(2);

/// How often it looks where nobody rings.
const OFTEN: Duration = Duration::from_millis(250);

/// More folders than this are looked at from time to time.
const FOLDERS_MAX: usize = 256;

/// Sleeps until there is news.
#[derive(Debug)]
pub(super) struct Watch {
    inotify: Option<Inotify>,
    folders: BTreeSet<PathBuf>,
    /// Every folder rings.
    is_whole: bool,
}

impl Watch {
    pub(super) fn new() -> Self {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok();
        Self { inotify, folders: BTreeSet::new(), is_whole: true }
    }

    /// Looks at the folder of a log from now on, and at that of the file which a link there names.
    pub(super) fn follow(&mut self, log: &Path) {
        let target = std::fs::canonicalize(log);
        for path in [Some(log), target.as_deref().ok()].into_iter().flatten() {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            self.folders.insert(folder.unwrap_or(Path::new(".")).to_owned());
        }
        self.renew();
    }

    /// Looks at the folders anew: one may have been made, or made anew under its old name.
    fn renew(&mut self) {
        let flags = AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        let Some(inotify) = &self.inotify else {
            self.is_whole = false;
            return;
        };
        let rings = |folder: &PathBuf| inotify.add_watch(folder, flags).is_ok();
        self.is_whole = self.folders.len() <= FOLDERS_MAX && self.folders.iter().all(rings);
    }

    /// Sleeps until there is news, at most so long, or until one of the others is ready.
    pub(super) fn wait(&mut self, at_most: Duration, others: &[(BorrowedFd<'_>, PollFlags)]) {
        let net = if self.is_whole { SELDOM } else { OFTEN };
        let timeout = u16::try_from(at_most.min(net).as_millis()).unwrap_or(u16::MAX);
        let ready = {
            let own = self.inotify.as_ref().map(|inotify| inotify.as_fd());
            let mut polled: Vec<_> = own
                .into_iter()
                .map(|own| PollFd::new(own, PollFlags::POLLIN))
                .chain(others.iter().map(|(other, events)| PollFd::new(*other, *events)))
                .collect();
            poll(&mut polled, PollTimeout::from(timeout)).unwrap_or(0)
        };
        if let Some(inotify) = &self.inotify {
            // What rang is of no interest, only that it did. Each call takes a bounded number.
            while inotify.read_events().is_ok_and(|events| !events.is_empty()) {}
        }
        if ready == 0 {
            self.renew();
        }
    }
}
