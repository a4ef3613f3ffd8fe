//! Several logs, followed as one: those that are named, and those of workers as they come.
//!
//! While there is something to catch up with, lines come in the order of their times; of a log
//! that is at its end nothing is awaited. One line of each log is held for that at most.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use nix::poll::PollFlags;

use super::follow::{Follow, Last};
use super::place::Position;
use super::watch::Watch;
use super::{Pause, Start, Step};
use crate::reading::Head;

/// Several logs.
pub(crate) struct Tails {
    run_dir: Option<PathBuf>,
    logs: Vec<Entry>,
    watch: Watch,
    pause: Pause,
    /// Whether anybody will ask for positions.
    keeps_positions: bool,
    /// Lines since the logs at their end were looked at.
    lines: u32,
    /// Lines that were given.
    given: u64,
}

/// How many lines are given before the logs that were at their end are looked at again: one that
/// never comes to its own must not keep the others from being read.
const LINES_MAX: u32 = 1024;

struct Entry {
    log: PathBuf,
    follow: Follow,
    /// A line that was read and not given, and the position before it.
    held: Option<Held>,
    time: Timestamp,
    is_idle: bool,
    /// Which of all lines its last one was: of several at one time, or without any, each log has its
    /// turn.
    turn: u64,
}

struct Held {
    line: Vec<u8>,
    before: Position,
}

impl Tails {
    /// Follows no log yet. Without `keeps_positions` nobody asks for them.
    pub(crate) fn new(run_dir: Option<&Path>, keeps_positions: bool) -> Self {
        let run_dir = run_dir.map(Path::to_owned);
        let (watch, pause) = (Watch::new(), Pause::default());
        Self { run_dir, logs: Vec::new(), watch, pause, keeps_positions, lines: 0, given: 0 }
    }

    /// Follows one more log; one that is followed already stays as it is.
    pub(crate) fn add(&mut self, log: &Path, start: Start) -> io::Result<()> {
        if !self.has(log) {
            let follow = Follow::open(log, self.run_dir.as_deref(), start)?;
            self.insert(log, follow);
        }
        Ok(())
    }

    /// Follows logs from the last `count` lines of all of them together that are wanted; `wanted`
    /// tells the time of a line that counts.
    pub(crate) fn add_last(
        &mut self,
        logs: &[PathBuf],
        count: usize,
        since: Option<Timestamp>,
        wanted: &mut dyn FnMut(&[u8]) -> Option<Timestamp>,
    ) -> io::Result<()> {
        let mut found: Vec<(&PathBuf, Last)> = Vec::new();
        for log in logs.iter().filter(|log| !self.has(log)) {
            found.push((log, Follow::last(log, self.run_dir.as_deref(), (count, since), wanted)?));
        }
        // The newest lines of all, a log's later lines before its earlier ones.
        let mut newest: Vec<_> = found
            .iter()
            .enumerate()
            .flat_map(|(log, (_, last))| {
                last.spots.iter().enumerate().map(move |(spot, of)| (of.time, spot, log))
            })
            .collect();
        newest.sort_unstable();
        let mut starts: BTreeMap<usize, usize> = BTreeMap::new();
        for (_, spot, log) in newest.into_iter().rev().take(count) {
            starts.entry(log).and_modify(|first| *first = spot.min(*first)).or_insert(spot);
        }
        for (number, (log, last)) in found.into_iter().enumerate() {
            let follow = last.start(starts.get(&number).copied())?;
            self.insert(log, follow);
        }
        Ok(())
    }

    fn insert(&mut self, log: &Path, follow: Follow) {
        self.watch.follow(log);
        let (held, time, is_idle, turn) = (None, Timestamp::MIN, false, 0);
        self.logs.push(Entry { log: log.to_owned(), follow, held, time, is_idle, turn });
    }

    /// Whether a log is followed.
    pub(crate) fn has(&self, log: &Path) -> bool {
        self.logs.iter().any(|entry| entry.log == log)
    }

    /// Whether some log has a file.
    pub(crate) fn is_there(&self) -> bool {
        self.logs.iter().any(|entry| entry.follow.is_there())
    }

    /// The next line of all, without its newline.
    pub(crate) fn next(&mut self, line: &mut Vec<u8>) -> io::Result<Step> {
        if let [entry] = &mut self.logs[..]
            && entry.held.is_none()
        {
            return entry.follow.next(line);
        }
        self.lines += 1;
        if self.lines >= LINES_MAX {
            self.look_again();
        }
        for entry in &mut self.logs {
            while entry.held.is_none() && !entry.is_idle {
                let before = if self.keeps_positions {
                    entry.follow.position()
                } else {
                    Position::default()
                };
                match entry.follow.next(line)? {
                    Step::Line => {
                        let head = Head::of(line);
                        entry.time = head.map_or(entry.time, |(_, head)| head.time);
                        entry.held = Some(Held { line: std::mem::take(line), before });
                    }
                    Step::Idle => entry.is_idle = true,
                    mark @ Step::Mark(_) => return Ok(mark),
                }
            }
        }
        let holding = self.logs.iter_mut().filter(|entry| entry.held.is_some());
        let first = holding.min_by_key(|entry| (entry.time, entry.turn));
        match first.and_then(|entry| Some((entry.held.take()?, &mut entry.turn))) {
            Some((held, turn)) => {
                self.given += 1;
                *turn = self.given;
                *line = held.line;
                Ok(Step::Line)
            }
            None => Ok(Step::Idle),
        }
    }

    /// Where the logs are, behind the last lines that were given.
    pub(crate) fn positions(&self) -> Vec<(PathBuf, Position)> {
        let position = |entry: &Entry| match &entry.held {
            Some(held) => held.before.clone(),
            None => entry.follow.position(),
        };
        self.logs.iter().map(|entry| (entry.log.clone(), position(entry))).collect()
    }

    /// Sleeps until there may be more, at most so long, or until one of the others can be read.
    pub(crate) fn wait(&mut self, at_most: Duration, others: &[(BorrowedFd<'_>, PollFlags)]) {
        let is_pending = self.logs.iter().any(|entry| entry.follow.is_pending());
        self.watch.wait(self.pause.bound(is_pending, at_most), others);
        self.look_again();
    }

    fn look_again(&mut self) {
        self.lines = 0;
        for entry in &mut self.logs {
            entry.is_idle = false;
        }
    }
}
