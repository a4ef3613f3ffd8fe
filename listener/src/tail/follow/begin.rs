//! Where a follower begins: with the oldest file, at the end, with the last lines, or behind a
//! position that outlived its process.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::super::{Start, last};
use super::{FAILURES, Follow, Mark, Position, Text};
use crate::archive::{Chapter, Snapshot};
use crate::checkpoint::Committed;
use crate::disk::Identity;
use crate::options::Compression;

/// How long whoever found a log too busy waits before the next look.
const MOMENT: Duration = Duration::from_millis(1);

impl Follow {
    fn new(log: &Path, run_dir: Option<&Path>) -> Self {
        Self {
            log: log.to_owned(),
            committed: Committed::of(run_dir),
            open: None,
            after: None,
            marks: VecDeque::new(),
            leaving: None,
            is_pending: false,
            was_idle: false,
            failures: 0,
        }
    }

    /// Looks at a log that need not be there yet.
    pub(in crate::tail) fn open(
        log: &Path,
        run_dir: Option<&Path>,
        start: Start,
    ) -> io::Result<Self> {
        let mut follow = Self::new(log, run_dir);
        let snapshot = match take_patiently(log) {
            Ok(snapshot) => snapshot,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Start::At(position) = start {
                    follow.after = position.after.map(Into::into);
                    if position.identity.is_some() {
                        follow.note_gap();
                    }
                }
                return Ok(follow);
            }
            Err(error) => return Err(error),
        };
        match start {
            Start::Oldest => follow.enter(&snapshot, 0, false),
            Start::Since(time) => follow.begin_since(&snapshot, time),
            Start::End => follow.begin_at_end(&snapshot)?,
            Start::Last(count) => {
                follow.begin_at_end(&snapshot)?;
                let end = follow.end();
                let mut any = |_: &[u8]| Some(Timestamp::MIN);
                let spots = last::spots(&snapshot, end, (count, None), &mut any)?;
                if let Some(spot) = spots.first() {
                    follow.begin_at(&snapshot, spot.chapter, spot.offset)?;
                }
            }
            Start::At(position) => {
                follow.begin_behind(&snapshot, &position);
                return Ok(follow);
            }
        }
        // What was removed before anybody began to read is not missing.
        follow.marks.retain(|mark| !matches!(mark, Mark::Removed { .. }));
        Ok(follow)
    }

    /// Where the last lines begin that are wanted, seen from the end of what is committed now:
    /// their times and the places to start at, the oldest first.
    pub(in crate::tail) fn last(
        log: &Path,
        run_dir: Option<&Path>,
        (count, since): (usize, Option<Timestamp>),
        wanted: &mut dyn FnMut(&[u8]) -> Option<Timestamp>,
    ) -> io::Result<Last> {
        let mut follow = Self::new(log, run_dir);
        let snapshot = match take_patiently(log) {
            Ok(snapshot) => snapshot,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Last { follow, snapshot: None, spots: Vec::new() });
            }
            Err(error) => return Err(error),
        };
        follow.begin_at_end(&snapshot)?;
        let spots = last::spots(&snapshot, follow.end(), (count, since), wanted)?;
        Ok(Last { follow, snapshot: Some(snapshot), spots })
    }

    /// Where the open file was entered: its identity and the offset.
    fn end(&self) -> (Option<Identity>, u64) {
        let text = self.open.as_ref().map(|open| &open.text);
        text.map_or((None, 0), |text| (text.identity(), text.given()))
    }

    fn begin_since(&mut self, snapshot: &Snapshot, time: Timestamp) {
        let is_wanted = |chapter: &Chapter| last::can_hold(chapter, time);
        match snapshot.chapters.iter().position(is_wanted) {
            Some(number) => self.enter(snapshot, number, false),
            None => self.after = snapshot.chapters.last().and_then(|chapter| chapter.key),
        }
    }

    pub(super) fn begin_at_end(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        self.leaving = None;
        self.marks.clear();
        let Some((number, chapter)) = snapshot.chapters.iter().enumerate().next_back() else {
            return Ok(());
        };
        let opened = chapter.open()?;
        let Some(opened) = opened.filter(|opened| opened.compression == Compression::None) else {
            // There is nothing to come behind a packed file but another file.
            (self.open, self.after) = (None, chapter.key.or(self.after));
            return Ok(());
        };
        let end = self.settled(&opened.file)?;
        let offset = Text::line_begin(&opened.file, end)?;
        self.begin_at(snapshot, number, offset)
    }

    /// How far a file is committed, now or in a moment.
    fn settled(&self, file: &File) -> io::Result<u64> {
        for _ in 0..FAILURES {
            if let Some(length) = self.committed.length(file)? {
                return Ok(length.committed);
            }
            std::thread::sleep(MOMENT);
        }
        Err(io::Error::other("it is written to faster than one can tell its end"))
    }

    fn begin_at(&mut self, snapshot: &Snapshot, number: usize, offset: u64) -> io::Result<()> {
        let Some(opened) = snapshot.chapters[number].open()? else {
            self.enter(snapshot, number + 1, true);
            return Ok(());
        };
        let path = opened.path.clone();
        let text = Text::open(opened, offset)?;
        self.install(snapshot, number, text, path);
        Ok(())
    }

    /// Goes on where a position says, in whatever its file is by now.
    fn begin_behind(&mut self, snapshot: &Snapshot, position: &Position) {
        self.after = position.after.map(Into::into);
        let is_same = |chapter: &Chapter| {
            position.identity.is_some_and(|own| chapter.plain_identity() == Some(own))
        };
        let chapters = || snapshot.chapters.iter().enumerate();
        // The inode first, then the order of names.
        let candidates = chapters().filter(|(_, chapter)| is_same(chapter)).chain(
            chapters().filter(|(_, chapter)| {
                !is_same(chapter) && (chapter.key.is_none() || chapter.key > self.after)
            }),
        );
        for (number, chapter) in candidates {
            // Of a file at its beginning the sums tell nothing.
            if position.offset == 0 {
                let is_known = is_same(chapter)
                    || self.after.is_none_or(|after| {
                        snapshot.chapters.iter().any(|other| other.key == Some(after))
                    });
                self.enter(snapshot, number, !is_known);
                return;
            }
            let Ok(Some(opened)) = chapter.open() else { continue };
            let path = opened.path.clone();
            if let Ok(Some(text)) = Text::resume(opened, position) {
                self.install(snapshot, number, text, path);
                return;
            }
        }
        let after = self.after;
        let is_newer = |chapter: &Chapter| chapter.key.is_none() || chapter.key > after;
        match snapshot.chapters.iter().position(is_newer) {
            Some(number) => self.enter(snapshot, number, true),
            None => self.note_gap(),
        }
    }
}

/// What was found from the end on.
pub(in crate::tail) struct Last {
    follow: Follow,
    snapshot: Option<Snapshot>,
    pub(in crate::tail) spots: Vec<last::Spot>,
}

impl Last {
    /// Follows the log from one of the spots on; `None` = from the end on.
    pub(in crate::tail) fn start(self, spot: Option<usize>) -> io::Result<Follow> {
        let Self { mut follow, snapshot, spots } = self;
        if let (Some(snapshot), Some(spot)) = (snapshot, spot.and_then(|spot| spots.get(spot))) {
            follow.begin_at(&snapshot, spot.chapter, spot.offset)?;
        }
        Ok(follow)
    }
}

/// Looks at a log that may be rotated faster than it can be listed, for a moment.
fn take_patiently(log: &Path) -> io::Result<Snapshot> {
    let mut tries = 0;
    loop {
        match Snapshot::take(log) {
            Err(error) if error.kind() == io::ErrorKind::Other && tries < FAILURES => {
                tries += 1;
                std::thread::sleep(MOMENT);
            }
            taken => return taken,
        }
    }
}
