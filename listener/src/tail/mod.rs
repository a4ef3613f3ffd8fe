//! Following a log while it is written: across rotation, compression, retention, and the death of
//! listeners.
//!
//! A follower reads the files in its own process, or in a thread of its own, as `journalctl` does.
//! The drain does nothing for it and does not know of it, so that no follower, however slow, can
//! cost the writers anything. It is rung by the system when the folder changes.
//!
//! It promises each line that is committed, once, in the order of the files, whole, without its
//! newline. What it can't promise it says, by a [`Mark`] at the place: files that were removed
//! before they were read, a file that somebody cut, an archive that is damaged. It never gives a
//! line that a recovery could still take back ([`Committed`](crate::checkpoint::Committed)); where
//! the run directory can't be read, the end of a file is compared before it is read on, and a line
//! that was taken back is a mark.
//!
//! A file is known by the descriptor that is held open, and in a [`Position`], which outlives the
//! process, by what stands in it. The rooms: `follow` goes from file to file, `successor` finds the
//! next one, `text` reads one file, `place` is the position, `last` looks from the end back,
//! `watch` sleeps, `several` merges logs, `filter` chooses lines.
//!
//! Whoever follows in the listener's own process must know that closing any descriptor of a file
//! releases the record locks that this process has on it, the claim on the log among them.

mod filter;
mod follow;
mod last;
mod place;
mod several;
mod successor;
#[cfg(test)]
mod tests;
mod text;
mod watch;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

pub(crate) use filter::{Filter, Grep, Levels, SLACK, Worker};
use follow::Follow;
pub(crate) use place::Position;
pub(crate) use several::Tails;
use watch::Watch;

/// How long a follower sleeps at first, and at most, while bytes wait for being committed: of that
/// nobody rings. A listener that was killed in a batch leaves them waiting until the next one.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Where a follower begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// With the oldest line that is there.
    Oldest,
    /// With the oldest file that can hold a line of this time; lines before it are given, too.
    Since(Timestamp),
    /// Behind the last line that is committed now.
    End,
    /// Behind a line that was given once.
    At(Position),
    /// With the last lines.
    Last(usize),
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A line, which stands in the buffer.
    Line,
    /// Something that must be known about the place between the last line and the next one.
    Mark(Mark),
    /// Nothing for the time being.
    Idle,
}

/// Why lines may be missing, or come twice, at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Old files were removed, or may have been, before they were read.
    Removed {
        /// The log.
        log: PathBuf,
    },
    /// Somebody cut the file; it is read from its beginning.
    Cut {
        /// The log.
        log: PathBuf,
    },
    /// Lines that were given already were taken back and written anew.
    Rewritten {
        /// The log.
        log: PathBuf,
    },
    /// A file can't be read any further.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removed { log } => write!(
                f,
                "{}: old files were removed before they were read: records may be missing here",
                log.display()
            ),
            Self::Cut { log } => write!(
                f,
                "{}: somebody cut the file: read from its beginning, records may be missing here",
                log.display()
            ),
            Self::Rewritten { log } => write!(
                f,
                "{}: the end of the file was written anew: records may be missing or doubled here",
                log.display()
            ),
            Self::Damaged { path, why } => {
                write!(f, "{}: {why}: its rest is left out here", path.display())
            }
        }
    }
}

/// Follows one log.
pub(crate) struct Tail {
    follow: Follow,
    watch: RefCell<Watch>,
    pause: Pause,
}

impl Tail {
    /// Follows a log, which need not be there yet. The run directory is that of the listener that
    /// writes it, where it is known.
    ///
    /// # Errors
    /// The log, or its folder, can't be read.
    pub(crate) fn open(log: &Path, run_dir: Option<&Path>, start: Start) -> io::Result<Self> {
        let mut watch = Watch::new();
        // First, so that nothing that happens from now on is missed.
        watch.follow(log);
        let follow = Follow::open(log, run_dir, start)?;
        Ok(Self { follow, watch: RefCell::new(watch), pause: Pause::default() })
    }

    /// Reads the next line into `line`, without its newline.
    ///
    /// # Errors
    /// The current file, or the folder, can't be read any more.
    pub(crate) fn next(&mut self, line: &mut Vec<u8>) -> io::Result<Step> {
        self.follow.next(line)
    }

    /// Where it is, behind the last line that was given.
    #[cfg(test)]
    pub(crate) fn position(&self) -> Position {
        self.follow.position()
    }

    /// Sleeps until there may be more, at most so long.
    pub(crate) fn wait(&self, at_most: Duration) {
        let bound = self.pause.bound(self.follow.is_pending(), at_most);
        self.watch.borrow_mut().wait(bound, &[]);
    }

    /// Bytes that were not given yet, as far as known; packed files count as they are.
    pub(crate) fn behind(&self) -> u64 {
        self.follow.behind()
    }

    /// Goes to the end; returns how many bytes are passed over.
    ///
    /// # Errors
    /// The log can't be read.
    pub(crate) fn skip_to_end(&mut self) -> io::Result<u64> {
        self.follow.skip_to_end()
    }
}

/// How long to sleep where nobody rings: longer each time, from the first one on.
#[derive(Debug, Default)]
struct Pause(Cell<Duration>);

impl Pause {
    fn bound(&self, is_pending: bool, at_most: Duration) -> Duration {
        if !is_pending {
            self.0.set(Duration::ZERO);
            return at_most;
        }
        let pause = (2 * self.0.get()).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        self.0.set(pause);
        pause.min(at_most)
    }
}
