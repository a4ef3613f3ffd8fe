//! One log, read from its oldest line to its newest.
#![deny(clippy::arithmetic_side_effects, reason = "these numbers come from anybody")]

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use fleetlog_protocol::message::Loss;
use jiff::Timestamp;

use super::findings::{FileReport, Finding, Kind, Report};
use super::sequence::{Numbered, Sequences, Verdict};
use crate::archive::{Chapter, LINE_MAX, Lines, Place, Snapshot, Unpacked};
use crate::checkpoint::Said;
use crate::command::table::{is_unsafe, things};
use crate::format::Origin;
use crate::reading::{Explained, JsonLine, Layout, Repeats, SAMPLE, TextLine, losses_of};

/// How long the rest of a line that is being written may take. A listener writes a batch in one
/// go; only a full disk keeps it from doing so.
const TAIL_OF_THE_LIVING: Duration = Duration::from_secs(2);
/// The same where nobody is known to write. Somebody may all the same: from another run directory.
const TAIL_OF_THE_DEAD: Duration = Duration::from_millis(200);
const TAIL_LOOKS: Duration = Duration::from_millis(20);

/// Lines between two words about how far it is.
const PROGRESS_LINES: u64 = 4096;

/// What is known of a log before it is read.
#[derive(Clone, Debug, Default)]
pub(super) struct Expected {
    /// The layout that its lines should have; a template is unknown.
    pub(super) layout: Option<Layout>,
    /// It was to have some records only.
    pub(super) is_filtered: bool,
    /// A listener may be writing it.
    pub(super) is_live: bool,
    /// Why that listener can't write at the moment.
    pub(super) paused: Option<String>,
    /// What the checkpoint of a listener says that does not live.
    pub(super) checkpoint: Option<Said>,
}

/// A log that was read.
pub(super) struct Checked {
    pub(super) report: Report,
    pub(super) sequences: Sequences,
}

/// Reads a log. `progress` hears how many of its packed bytes were read.
pub(super) fn check(
    log: &Path,
    expected: &Expected,
    progress: &mut dyn FnMut(u64),
) -> io::Result<Checked> {
    let snapshot = Snapshot::take(log)?;
    let mut check = Check {
        expected,
        report: Report::default(),
        sequences: Sequences::new(expected.is_filtered),
        hashes: BuildHasherDefault::default(),
        removed: 0,
        // Any of these says that numbers could be checked, or not.
        layouts: HashSet::new(),
        done: 0,
        // Files of other fleets are nothing that the checkpoint knows of.
        known: None,
    };
    for chapter in &snapshot.chapters {
        check.chapter(chapter, progress);
    }
    if let Some(current) = snapshot.chapters.last() {
        check.compare(&current.path);
    }
    check.conclude();
    Ok(Checked { report: check.report, sequences: check.sequences })
}

/// All packed bytes of a log.
pub(super) fn size(log: &Path) -> u64 {
    let Ok(snapshot) = Snapshot::take(log) else { return 0 };
    let opened = snapshot.chapters.iter().filter_map(|chapter| chapter.open().ok().flatten());
    opened.map(|opened| opened.size).sum()
}

struct Check<'a> {
    expected: &'a Expected,
    report: Report,
    sequences: Sequences,
    hashes: BuildHasherDefault<DefaultHasher>,
    removed: u64,
    layouts: HashSet<&'static str>,
    /// Packed bytes of the files before this one.
    done: u64,
    /// The checkpoint, if it knows the current file, and where in it an unfinished batch begins.
    known: Option<(Said, Option<u64>)>,
}

impl Check<'_> {
    fn chapter(&mut self, chapter: &Chapter, progress: &mut dyn FnMut(u64)) {
        let layout = self.layout(chapter);
        let opened = match chapter.open() {
            Ok(Some(opened)) => opened,
            // Retention takes the oldest: whatever was read before it is gone by now as well.
            Ok(None) => {
                self.removed = self.removed.saturating_add(1);
                self.sequences.skip();
                return;
            }
            Err(error) => return self.unreadable(&chapter.path, &error),
        };
        let (path, size) = (opened.path.clone(), opened.size);
        if let Some(said) = self.expected.checkpoint.as_ref().filter(|_| chapter.is_current())
            && let Ok(found) = opened.file.metadata()
        {
            let own = said.files.iter().find(|(own, _)| *own == (found.dev(), found.ino()));
            self.known = own.map(|(_, begins)| (said.clone(), *begins));
        }
        self.report.files.push(FileReport {
            path: path.clone(),
            layout,
            is_current: chapter.is_current(),
            lines: 0,
            records: 0,
            bytes: 0,
            findings: 0,
        });
        let mut lines = match Unpacked::of(opened) {
            Ok(unpacked) => Lines::new(unpacked),
            Err(error) => return self.find(Kind::Archive, &path, None, error.to_string()),
        };
        // A live log may grow faster than it is read; its lines up to now are enough.
        let until = if chapter.is_current() { size } else { u64::MAX };
        let mut line = Vec::new();
        let mut last = Place::default();
        while lines.read < until {
            let read = lines.next(&mut line).and_then(|place| match place {
                Some(place) if !place.is_ended && chapter.is_current() => {
                    self.wait_for_the_rest(&mut lines, &mut line, place)
                }
                place => Ok(place),
            });
            match read {
                Ok(Some(place)) => {
                    self.line(&path, layout, &line, place, chapter.is_current());
                    last = place;
                }
                Ok(None) => break,
                Err(error) => {
                    let place =
                        Place { number: last.number.saturating_add(1), offset: lines.read, ..last };
                    let why = format!("its text can't be read from here on: {error}");
                    self.find(Kind::Archive, &path, Some(place), why);
                    // What follows in the next file can't be held against this one.
                    self.sequences.skip();
                    break;
                }
            }
            if last.number.is_multiple_of(PROGRESS_LINES) {
                let position = lines.input().packed_position().min(size);
                progress(self.done.saturating_add(position));
            }
        }
        if let Some(file) = self.report.files.last_mut() {
            file.bytes = lines.read;
        }
        self.done = self.done.saturating_add(size);
        progress(self.done);
    }

    /// The layout of a file's lines, by its first lines.
    fn layout(&mut self, chapter: &Chapter) -> Layout {
        let sample = || -> io::Result<Vec<Vec<u8>>> {
            let Some(opened) = chapter.open()? else { return Ok(Vec::new()) };
            let mut lines = Lines::new(Unpacked::of(opened)?);
            let mut line = Vec::new();
            let mut sample = Vec::new();
            while sample.len() < SAMPLE && matches!(lines.next(&mut line), Ok(Some(_))) {
                sample.push(std::mem::take(&mut line));
            }
            Ok(sample)
        };
        let sample = sample().unwrap_or_default();
        let layout = match Layout::of(sample.iter().map(Vec::as_slice)) {
            Layout::Unknown => self.expected.layout.unwrap_or_default(),
            layout => layout,
        };
        if !sample.is_empty() {
            self.layouts.insert(layout.as_str());
        }
        layout
    }

    /// A line without an end may have one in a moment.
    fn wait_for_the_rest(
        &self,
        lines: &mut Lines<Unpacked>,
        line: &mut Vec<u8>,
        mut place: Place,
    ) -> io::Result<Option<Place>> {
        let begin = Instant::now();
        let mut patience =
            if self.expected.is_live { TAIL_OF_THE_LIVING } else { TAIL_OF_THE_DEAD };
        while !place.is_ended && begin.elapsed() < patience {
            std::thread::sleep(TAIL_LOOKS);
            let before = lines.read;
            place = lines.go_on(line)?.unwrap_or(place);
            // It grows: somebody writes.
            if lines.read > before {
                patience = TAIL_OF_THE_LIVING;
            }
            // A listener that started has cut off what the last one left unfinished.
            if lines.input().length().is_some_and(|length| length <= place.offset) {
                return Ok(None);
            }
        }
        Ok(Some(place))
    }

    fn line(&mut self, path: &Path, layout: Layout, line: &[u8], place: Place, is_current: bool) {
        if let Some(file) = self.report.files.last_mut() {
            file.lines = file.lines.saturating_add(1);
        }
        if !place.is_ended {
            return self.cut(path, place, is_current);
        }
        if place.left_out > 0 {
            let length = things((LINE_MAX as u64).saturating_add(place.left_out), "byte");
            let why = format!("a line of {length} is longer than any record makes");
            return self.find(Kind::Layout, path, Some(place), why);
        }
        let Ok(text) = std::str::from_utf8(line) else {
            return self.find(Kind::Bytes, path, Some(place), "it is not UTF-8".to_owned());
        };
        let is_plain = line.iter().all(|byte| matches!(byte, b' '..=b'~'));
        if !is_plain && let Some(c) = text.chars().find(|c| is_escaped(*c)) {
            let why = format!("it holds the control character {}", c.escape_default());
            return self.find(Kind::Bytes, path, Some(place), why);
        }
        let is_record = match layout {
            Layout::Json => self.json(path, line, place),
            Layout::Text => match TextLine::parse(line) {
                Some(text) => {
                    let is_own = text.origin == Origin::Listener;
                    if is_own {
                        self.lost(text.losses(), text.head.time);
                    }
                    !is_own
                }
                None => {
                    let why = "it is no line of the layout `text`".to_owned();
                    return self.find(Kind::Layout, path, Some(place), why);
                }
            },
            Layout::Unknown => true,
        };
        if let Some(file) = self.report.files.last_mut() {
            file.records = file.records.saturating_add(u64::from(is_record));
        }
    }

    /// A line of JSON; tells whether it is a worker's.
    fn json(&mut self, path: &Path, line: &[u8], place: Place) -> bool {
        let parsed = match JsonLine::parse(line) {
            Ok(parsed) => parsed,
            Err(error) => {
                let why = format!("it is no line of the layout `json`: {error}");
                self.find(Kind::Layout, path, Some(place), why);
                return false;
            }
        };
        let (Ok(time), Some(_)) = (parsed.timestamp.parse::<Timestamp>(), parsed.level()) else {
            let why = "its time or its level is none".to_owned();
            self.find(Kind::Layout, path, Some(place), why);
            return false;
        };
        let JsonLine { pid, lane, seq, .. } = parsed;
        if parsed.origin == Origin::Listener {
            if let Some(explained) = Explained::of(line) {
                self.sequences.explain(pid, explained);
            }
            self.lost(losses_of(line), time);
            return false;
        }
        if seq == 0 {
            let why = "a record's number is 0".to_owned();
            self.find(Kind::Layout, path, Some(place), why);
            return false;
        }
        // They stand in this line and need none of their own.
        for repeat in parsed.repeats.iter().flat_map(Repeats::iter) {
            let explained = Explained { first: repeat.seq, last: repeat.seq };
            self.sequences.explain(repeat.pid, explained);
        }
        let print = self.hashes.hash_one(line);
        let worker = format_args!("{}[{pid}], lane {lane}", parsed.worker);
        let (kind, why) = match self.sequences.take(&Numbered { pid, lane, seq, time, print }) {
            Verdict::Fine => return true,
            Verdict::Missing { first, last } if first == last => {
                (Kind::Missing, format!("the record {first} of {worker} is missing before it"))
            }
            Verdict::Missing { first, last } => (
                Kind::Missing,
                format!("the records {first} to {last} of {worker} are missing before it"),
            ),
            Verdict::Doubled => {
                (Kind::Doubled, format!("the record {seq} of {worker} stands here again"))
            }
            Verdict::Behind { last } => {
                (Kind::Order, format!("the record {seq} of {worker} stands behind its {last}"))
            }
        };
        self.found(kind, path, Some(place), why, Some(pid));
        true
    }

    /// A line of the listener's tells of losses.
    fn lost(&mut self, losses: Vec<(Loss, u64)>, time: Timestamp) {
        let at = u64::try_from(time.as_nanosecond()).unwrap_or(0);
        for (loss, number) in losses {
            let times = if loss.is_counted() { 1 } else { number };
            self.report.losses.note(loss, number, times, at);
        }
    }

    /// A line without an end.
    fn cut(&mut self, path: &Path, place: Place, is_current: bool) {
        let begins = self.known.as_ref().and_then(|(_, begins)| *begins);
        if is_current && begins.is_some_and(|begins| place.offset >= begins) {
            return;
        }
        if let (true, Some(why)) = (is_current, &self.expected.paused) {
            let path = path.display();
            let note = format!("{path} ends within a line; its listener waits to go on: {why}");
            return self.report.note(note);
        }
        self.find(Kind::Cut, path, Some(place), "its last line has no end".to_owned());
    }

    fn unreadable(&mut self, path: &Path, error: &io::Error) {
        self.find(Kind::Unreadable, path, None, error.to_string());
    }

    fn find(&mut self, kind: Kind, path: &Path, place: Option<Place>, detail: String) {
        self.found(kind, path, place, detail, None);
    }

    fn found(
        &mut self,
        kind: Kind,
        path: &Path,
        place: Option<Place>,
        detail: String,
        pid: Option<u32>,
    ) {
        self.report.find(Finding {
            kind,
            file: path.to_owned(),
            line: place.map(|place| place.number),
            offset: place.map(|place| place.offset),
            detail,
            pid,
        });
    }

    /// Whether every record is there that the checkpoint says is in the files.
    fn compare(&mut self, log: &Path) {
        let Some((said, begins)) = self.known.take() else { return };
        if begins.is_some() {
            let log = log.display();
            self.report.note(format!(
                "{log} ends with a batch in which its listener was killed; the next one finishes \
                 or undoes it"
            ));
        }
        if self.expected.is_filtered || !self.layouts.contains(Layout::Json.as_str()) {
            return;
        }
        for (pid, lane, position) in said.positions {
            // A queue that has no line here may have had its lines in files that were removed.
            let Some(last) = self.sequences.last(pid, lane) else { continue };
            if last < position {
                let why = format!(
                    "the checkpoint says that the worker with pid {pid}, lane {lane} has {position} \
                     records in it, and the last one is {last}"
                );
                self.find(Kind::Checkpoint, log, None, why);
            }
        }
    }

    /// What could not be checked.
    fn conclude(&mut self) {
        if self.layouts.contains(Layout::Text.as_str()) {
            self.report.note(
                "lines of text have no numbers: one that was removed or doubled as a whole can be \
                 seen in JSON only",
            );
        }
        if self.layouts.contains(Layout::Unknown.as_str()) {
            self.report.note(
                "of lines of a template, no more can be checked than that each one ends and holds \
                 no control character",
            );
        }
        if self.expected.is_filtered && self.layouts.contains(Layout::Json.as_str()) {
            self.report.note(
                "a filter leaves records out, so that missing ones can't be seen; order and \
                 doubles are checked",
            );
        }
        if self.sequences.beheaded > 0 && !self.expected.is_filtered {
            let sequences = things(self.sequences.beheaded, "sequence");
            self.report.note(format!(
                "{sequences} did not begin in these files; older ones may have been removed"
            ));
        }
        if self.removed > 0 {
            let files = things(self.removed, "file");
            self.report.note(format!("{files} went by retention while the log was read"));
        }
    }
}

/// Characters that every layout escapes.
fn is_escaped(c: char) -> bool {
    // Two marks of direction stand as they are: alone they do no harm.
    is_unsafe(c) && !matches!(c, '\u{200e}' | '\u{200f}')
}
