//! One log, followed from file to file.
//!
//! The file that is read is held open: it is read to its end although it is renamed, packed or
//! removed meanwhile. Only when the log's path has been seen to name another file, the held one is
//! read once more, to the end that it has then, and left for the next one.

mod begin;

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::place::Position;
use super::successor::{Known, Own, Successor};
use super::text::Text;
use super::{Mark, Step};
use crate::archive::{ArchiveKey, Chapter, Snapshot};
use crate::checkpoint::{Committed, Length};

pub(super) use begin::Last;

/// How often in a row it may fail to look at a log before that is an error. A log that is rotated
/// while it is looked at is no failure to whoever looks again.
const FAILURES: u32 = 50;

/// One log.
pub(super) struct Follow {
    log: PathBuf,
    committed: Committed,
    open: Option<Open>,
    /// Archives up to this one are behind us.
    after: Option<ArchiveKey>,
    /// What is to be told before the next line.
    marks: VecDeque<Mark>,
    /// What comes behind the open file, once it is read to its end again.
    leaving: Option<(Snapshot, Successor)>,
    /// There are bytes that are not committed.
    is_pending: bool,
    /// The file has been at its end since its last line was compared.
    was_idle: bool,
    failures: u32,
}

/// The file that is read.
struct Open {
    text: Text,
    path: PathBuf,
    key: Option<ArchiveKey>,
    next: Option<Known>,
}

impl Follow {
    pub(super) fn next(&mut self, line: &mut Vec<u8>) -> io::Result<Step> {
        loop {
            if let Some(mark) = self.marks.pop_front() {
                return Ok(Step::Mark(mark));
            }
            let Some(open) = &mut self.open else {
                if self.open_first()? {
                    continue;
                }
                return Ok(Step::Idle);
            };
            match open.text.next(line) {
                Ok(true) => return Ok(Step::Line),
                Ok(false) => {}
                Err(error) => {
                    let path = open.path.clone();
                    self.marks.push_back(Mark::Damaged { path, why: error.to_string() });
                    self.leave_damaged()?;
                    continue;
                }
            }
            match self.at_end(line)? {
                AtEnd::More => {}
                AtEnd::Line => return Ok(Step::Line),
                AtEnd::Idle => {
                    self.was_idle = true;
                    if let Some(open) = &mut self.open {
                        // What can't be read now can't be compared later, and that is all.
                        let _ = open.text.note_head();
                    }
                    return Ok(Step::Idle);
                }
            }
        }
    }

    /// Behind the last line that was given.
    pub(super) fn position(&self) -> Position {
        let after = self.after.map(Into::into);
        let Some(open) = &self.open else { return Position { after, ..Position::default() } };
        let (head, last) = open.text.sums();
        let (offset, identity) = (open.text.given(), open.text.identity());
        Position { after, identity, offset, head, last }
    }

    /// Whether bytes wait for being committed, which nobody rings for.
    pub(super) const fn is_pending(&self) -> bool {
        self.is_pending
    }

    /// Whether there is any file.
    pub(super) const fn is_there(&self) -> bool {
        self.open.is_some()
    }

    /// Bytes that were not given yet, packed ones as they are.
    pub(super) fn behind(&self) -> u64 {
        let length = |path: &Path| fs::metadata(path).map_or(0, |found| found.len());
        let Some(open) = &self.open else { return length(&self.log) };
        let own = match open.text.plain() {
            Some(file) => file.metadata().map_or(0, |found| found.len()),
            None => length(&open.path),
        };
        let own = own.saturating_sub(open.text.given());
        if self.is_current(&open.text) {
            return own;
        }
        let Ok(snapshot) = Snapshot::take(&self.log) else { return own };
        let behind = open.key.or(self.after);
        let newer = snapshot.chapters.iter().filter(|other| {
            other.key.is_none_or(|key| Some(key) > behind)
                && other.plain_identity() != open.text.identity()
        });
        own + newer.map(Chapter::bytes).sum::<u64>()
    }

    /// Goes to the end; returns how many bytes are passed over.
    pub(super) fn skip_to_end(&mut self) -> io::Result<u64> {
        let skipped = self.behind();
        match Snapshot::take(&self.log) {
            Ok(snapshot) => self.begin_at_end(&snapshot)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error),
        }
        let left = self.open.as_ref().map_or(0, |open| {
            let length = open.text.plain().and_then(|file| file.metadata().ok());
            length.map_or(0, |found| found.len().saturating_sub(open.text.given()))
        });
        Ok(skipped.saturating_sub(left))
    }

    /// Opens the first chapter from this one on that can be opened.
    fn enter(&mut self, snapshot: &Snapshot, first: usize, is_behind_gap: bool) {
        (self.open, self.leaving) = (None, None);
        let mut is_behind_gap = is_behind_gap;
        for (number, chapter) in snapshot.chapters.iter().enumerate().skip(first) {
            let opened = match chapter.open() {
                Ok(Some(opened)) => opened,
                // Removed since it was listed.
                Ok(None) => {
                    is_behind_gap = true;
                    self.after = chapter.key.max(self.after);
                    continue;
                }
                Err(error) => {
                    let path = chapter.path.clone();
                    self.marks.push_back(Mark::Damaged { path, why: error.to_string() });
                    self.after = chapter.key.max(self.after);
                    continue;
                }
            };
            let path = opened.path.clone();
            match Text::open(opened, 0) {
                Ok(text) => {
                    self.install(snapshot, number, text, path);
                    break;
                }
                Err(error) => {
                    self.marks.push_back(Mark::Damaged { path, why: error.to_string() });
                    self.after = chapter.key.max(self.after);
                }
            }
        }
        if is_behind_gap {
            self.note_gap();
        }
    }

    fn install(&mut self, snapshot: &Snapshot, number: usize, text: Text, path: PathBuf) {
        let before = number.checked_sub(1).and_then(|before| snapshot.chapters[before].key);
        self.after = before.or(self.after);
        let next = snapshot.chapters.get(number + 1).and_then(|next| match next.key {
            Some(key) => Some(Known::Archive(key)),
            None => next.plain_identity().map(Known::Current),
        });
        let key = snapshot.chapters[number].key;
        self.open = Some(Open { text, path, key, next });
        (self.leaving, self.was_idle) = (None, false);
    }

    /// Opens a first file, where there was none.
    fn open_first(&mut self) -> io::Result<bool> {
        let Some(snapshot) = self.look()? else { return Ok(false) };
        let after = self.after;
        let is_newer = |chapter: &Chapter| chapter.key.is_none() || chapter.key > after;
        let Some(number) = snapshot.chapters.iter().position(is_newer) else { return Ok(false) };
        self.enter(&snapshot, number, false);
        Ok(self.open.is_some() || !self.marks.is_empty())
    }

    /// Takes a snapshot; `None` = there is no file, or it could not be looked at this time.
    fn look(&mut self) -> io::Result<Option<Snapshot>> {
        match Snapshot::take(&self.log) {
            Ok(snapshot) => {
                self.failures = 0;
                Ok(Some(snapshot))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if self.failures >= FAILURES => Err(error),
            Err(_) => {
                self.failures += 1;
                self.is_pending = true;
                Ok(None)
            }
        }
    }

    fn at_end(&mut self, line: &mut Vec<u8>) -> io::Result<AtEnd> {
        let Some(open) = &mut self.open else { return Ok(AtEnd::More) };
        let Some(file) = open.text.plain() else {
            // A packed file never grows.
            if open.text.take_half(line) {
                return Ok(AtEnd::Line);
            }
            return self.leave(line);
        };
        let Some(Length { committed, written }) = self.committed.length(file)? else {
            self.is_pending = true;
            return Ok(AtEnd::Idle);
        };
        self.is_pending = committed < written;
        if written < open.text.given() {
            self.marks.push_back(Mark::Cut { log: self.log.clone() });
            open.text.restart(0)?;
            return Ok(AtEnd::More);
        }
        if written < open.text.read_to() {
            // Somebody took back a line that had no end.
            open.text.rewind()?;
            return Ok(AtEnd::More);
        }
        if committed > open.text.read_to() {
            if std::mem::take(&mut self.was_idle) && !open.text.is_unchanged()? {
                return self.go_back();
            }
            open.text.raise(committed);
            return Ok(AtEnd::More);
        }
        if self.is_pending {
            return Ok(AtEnd::Idle);
        }
        self.leave(line)
    }

    /// Leaves the open file for the next one, if it is over.
    fn leave(&mut self, line: &mut Vec<u8>) -> io::Result<AtEnd> {
        let Some(open) = &mut self.open else { return Ok(AtEnd::More) };
        if let Some((snapshot, successor)) = self.leaving.take() {
            // It was seen to be over before its end was looked for: this is its end.
            if open.text.take_half(line) {
                self.leaving = Some((snapshot, successor));
                return Ok(AtEnd::Line);
            }
            self.after = successor.behind;
            self.enter(&snapshot, successor.number, successor.is_behind_gap);
            return Ok(AtEnd::More);
        }
        let is_named_by_itself = open.key.is_none() && open.text.plain().is_none();
        if is_named_by_itself || self.open.as_ref().is_some_and(|open| self.is_current(&open.text))
        {
            return Ok(AtEnd::Idle);
        }
        let Some(snapshot) = self.look()? else { return Ok(AtEnd::Idle) };
        let Some(open) = &self.open else { return Ok(AtEnd::More) };
        let own = Own { text: &open.text, key: open.key, after: self.after, next: open.next };
        let Some(successor) = own.successor(&snapshot)? else { return Ok(AtEnd::Idle) };
        self.leaving = Some((snapshot, successor));
        Ok(AtEnd::More)
    }

    /// What stood before the place is something else now: a whole other text, or the end of this
    /// one was written anew.
    fn go_back(&mut self) -> io::Result<AtEnd> {
        let Some(open) = &mut self.open else { return Ok(AtEnd::More) };
        let Some(file) = open.text.plain() else { return Ok(AtEnd::More) };
        let log = self.log.clone();
        if open.text.has_same_head()? {
            let at = Text::line_begin(file, open.text.given())?;
            self.marks.push_back(Mark::Rewritten { log });
            open.text.restart(at)?;
        } else {
            self.marks.push_back(Mark::Cut { log });
            open.text.restart(0)?;
        }
        open.text.forget();
        Ok(AtEnd::More)
    }

    /// A file that can't be read any further is over.
    fn leave_damaged(&mut self) -> io::Result<()> {
        let Some(key) = self.open.as_ref().and_then(|open| open.key) else {
            // The current file itself: reading it again and again would be in vain.
            return Err(io::Error::other("the current file can't be read"));
        };
        (self.open, self.leaving, self.after) = (None, None, Some(key));
        Ok(())
    }

    /// Whether the log's path names the file.
    fn is_current(&self, text: &Text) -> bool {
        let named = fs::metadata(&self.log).ok().map(|found| (found.dev(), found.ino()));
        named.is_some() && named == text.identity()
    }

    fn note_gap(&mut self) {
        self.marks.push_back(Mark::Removed { log: self.log.clone() });
    }
}

enum AtEnd {
    /// Something can be read now.
    More,
    /// A line whose end never came was given.
    Line,
    /// There is nothing for the time being.
    Idle,
}
