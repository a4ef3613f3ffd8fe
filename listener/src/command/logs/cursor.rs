//! One log, line by line, from its oldest file on or from its newest one back.
//!
//! What can't be read is noted and passed over: the good lines before the damage and all other
//! files are still shown. Files that can't hold a line of the wanted time are not opened.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use super::output::Watch;
use crate::archive::{Backward, Chapter, Lines, Opened, Place, Snapshot, Unpacked};
use crate::archive::{damage, unpacked_file};
use crate::options::Compression;
use crate::reading::{Converter, Head, Layout};
use crate::tail::{Filter, SLACK};

/// How often and how long a reader waits for the rest of a line that is being written.
const WAITS: u32 = 10;
const WAIT: Duration = Duration::from_millis(10);

/// A line that is shown.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) line: Vec<u8>,
    pub(super) layout: Layout,
    /// Its time; that of its neighbour where it tells none.
    pub(super) time: Timestamp,
}

/// Which way a log is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Forward,
    Backward,
}

/// What all cursors of a command share.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    pub(super) filter: &'a Filter,
    /// Whether a line's head must be known: it is asked for, or lines of several logs are merged.
    pub(super) needs_head: bool,
    pub(super) converter: Converter,
    /// What could not be read, in words.
    pub(super) problems: Vec<String>,
    /// Lines of no known layout that were asked for something that only a known one tells.
    pub(super) unknown: u64,
    /// Tells whether anybody still wants lines.
    pub(super) watch: Option<Watch>,
}

/// A place in a log.
pub(super) struct Cursor {
    way: Way,
    chapters: std::vec::IntoIter<Chapter>,
    open: Option<Open>,
    last_time: Timestamp,
}

enum Open {
    Forward(Box<Forward>),
    Backward(Backward),
}

struct Forward {
    path: PathBuf,
    is_current: bool,
    lines: Lines<Unpacked>,
    place: Place,
    /// Whether any line was early enough, and any at all was read.
    any_early: bool,
    any: bool,
}

impl Cursor {
    pub(super) fn new(snapshot: Snapshot, way: Way, filter: &Filter) -> Self {
        let mut chapters = snapshot.chapters;
        // An archive holds only what was written before it was closed.
        if let Some(first) = filter.since.and_then(|since| since.checked_sub(SLACK).ok()) {
            chapters
                .retain(|chapter| chapter.key.is_none_or(|key| key.second >= first.as_second()));
        }
        if way == Way::Backward {
            chapters.reverse();
        }
        let last_time = if way == Way::Forward { Timestamp::MIN } else { Timestamp::MAX };
        Self { way, chapters: chapters.into_iter(), open: None, last_time }
    }

    /// The next line that is shown.
    pub(super) fn next(&mut self, reading: &mut Reading<'_>) -> Option<Found> {
        let mut line = Vec::new();
        loop {
            let is_closed = reading.watch.as_mut().is_some_and(Watch::is_closed);
            if is_closed || (self.open.is_none() && !self.open_next(reading)) {
                return None;
            }
            if !self.read(&mut line, reading) {
                self.open = None;
                continue;
            }
            let Reading { filter, needs_head, converter, unknown, .. } = reading;
            let found = if *needs_head { Head::of(&line) } else { None };
            if let Some((_, head)) = &found {
                self.last_time = head.time;
            }
            if let Some(Open::Forward(forward)) = &mut self.open {
                forward.any = true;
                forward.any_early |= filter
                    .until
                    .and_then(|until| until.checked_add(SLACK).ok())
                    .is_none_or(|until| self.last_time <= until);
            }
            if !filter.allows(&line, found.as_ref(), converter) {
                *unknown += u64::from(found.is_none() && filter.needs_head());
                continue;
            }
            let layout = found.map_or(Layout::Unknown, |(layout, _)| layout);
            return Some(Found { line, layout, time: self.last_time });
        }
    }

    /// Opens the next file that can be read; false = there is none.
    fn open_next(&mut self, reading: &mut Reading<'_>) -> bool {
        loop {
            let Some(chapter) = self.chapters.next() else { return false };
            let opened = match chapter.open() {
                Ok(Some(opened)) => opened,
                // Retention removed it.
                Ok(None) => continue,
                Err(error) => {
                    reading.problems.push(format!("{}: {error}", chapter.path.display()));
                    continue;
                }
            };
            let path = opened.path.clone();
            let open = match self.way {
                Way::Forward => Forward::open(opened, chapter.is_current()),
                Way::Backward => backward(opened, reading),
            };
            match open {
                Ok(open) => {
                    self.open = Some(open);
                    return true;
                }
                Err(error) => {
                    reading.problems.push(format!("{}: {error}", path.display()));
                }
            }
        }
    }

    /// Reads a line of the open file; false = there is no more.
    fn read(&mut self, line: &mut Vec<u8>, reading: &mut Reading<'_>) -> bool {
        let (read, path) = match &mut self.open {
            Some(Open::Forward(forward)) => match forward.read(line) {
                Ok(true) => return true,
                Ok(false) => {
                    // What follows a whole file of later lines is later still.
                    if forward.any && !forward.any_early {
                        self.chapters = Vec::new().into_iter();
                    }
                    return false;
                }
                Err(error) => {
                    (damage(&error, forward.place.number + 1, forward.lines.read), &forward.path)
                }
            },
            Some(Open::Backward(backward)) => match backward.previous(line) {
                Ok(there) => return there,
                Err(error) => (error.to_string(), &PathBuf::new()),
            },
            None => return false,
        };
        reading.problems.push(format!("{}: {read}", path.display()));
        false
    }
}

impl Forward {
    fn open(opened: Opened, is_current: bool) -> io::Result<Open> {
        let path = opened.path.clone();
        Ok(Open::Forward(Box::new(Self {
            path,
            is_current,
            lines: Lines::new(Unpacked::of(opened)?),
            place: Place::default(),
            any_early: false,
            any: false,
        })))
    }

    fn read(&mut self, line: &mut Vec<u8>) -> io::Result<bool> {
        let Some(mut place) = self.lines.next(line)? else { return Ok(false) };
        // The listener may be in the middle of it.
        for _ in 0..WAITS {
            if place.is_ended || !self.is_current {
                break;
            }
            std::thread::sleep(WAIT);
            place = self.lines.go_on(line)?.unwrap_or(place);
        }
        self.place = place;
        Ok(true)
    }
}

/// Prepares a file to be read from its end.
fn backward(opened: Opened, reading: &mut Reading<'_>) -> io::Result<Open> {
    if opened.compression == Compression::None {
        return Ok(Open::Backward(Backward::new(opened.file, opened.size)));
    }
    let path = opened.path.clone();
    let (file, size, damage) = unpacked_file(opened)?;
    if let Some(damage) = damage {
        reading.problems.push(format!("{}: {damage}", path.display()));
    }
    Ok(Open::Backward(Backward::new(file, size)))
}
