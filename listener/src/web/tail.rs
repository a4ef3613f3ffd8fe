//! The live tail of one page: a thread that reads a log's files and passes on what the page wants.
//!
//! It waits for nobody: what a page has no room for is skipped, and a mark tells how much that was.
//! It holds one batch and one line, whatever the log holds.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use serde::Serialize;
use tracing::subscriber::{NoSubscriber, set_default};

use super::Shared;
use super::events::{Feed, Refused, event};
use super::line::{Reader, Shown};
use super::pace::{LINES_PER_SECOND, Pace};
use crate::command::table::{bytes, escape, things};
use crate::tail::{Start, Step, Tail};

/// How many lines a page sees at its beginning, of those that it wants, and their bytes.
const BEGINNING: usize = 1000;
const BEGINNING_BYTES: usize = 1 << 20;

/// How many of the last lines are searched for them where a page wants only some, and how long.
const SEARCHED: usize = 50_000;
const SEARCH_TIME: Duration = Duration::from_secs(2);

/// A batch goes out when it has so many bytes, or is so old, or when nothing follows.
const BATCH_BYTES: usize = 64 << 10;
const BATCH_AGE: Duration = Duration::from_millis(100);

/// How long a page may leave its events unread until the tail goes on without it.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often a tail looks whether its page is there, and reads again.
const LOOK: Duration = Duration::from_millis(250);
const LOOK_FOR_ROOM: Duration = Duration::from_millis(25);

/// How far a tail may be behind the log: a filter that fits nothing must not keep it in the past.
const BEHIND_MAX: u64 = 32 << 20;

/// The lines between two looks at how far it is behind.
const LINES_PER_LOOK: u32 = 4096;

/// A row of a page's tail.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Row {
    Line(Shown),
    Mark { mark: String },
}

/// Follows a file for a page until one of both is gone.
pub(super) struct Follower {
    shared: Arc<Shared>,
    feed: Feed,
    reader: Reader,
    log: PathBuf,
    pace: Pace,
    rows: Vec<Row>,
    /// The bytes of the rows, and when the first of them came.
    size: usize,
    since: Instant,
    /// The newest lines of those that were there before, until all of them are looked at.
    beginning: Option<Beginning>,
}

/// The newest ones of many lines.
#[derive(Default)]
struct Beginning {
    lines: VecDeque<Shown>,
    bytes: usize,
}

impl Beginning {
    fn put(&mut self, line: Shown) {
        self.bytes += line.bytes();
        self.lines.push_back(line);
        while self.lines.len() > BEGINNING || self.bytes > BEGINNING_BYTES {
            let Some(oldest) = self.lines.pop_front() else { return };
            self.bytes -= oldest.bytes();
        }
    }
}

/// The page is gone.
struct Over;

impl Follower {
    pub(super) fn new(shared: Arc<Shared>, feed: Feed, reader: Reader, log: PathBuf) -> Self {
        let now = Instant::now();
        let pace = Pace::new(now);
        Self {
            shared,
            feed,
            reader,
            log,
            pace,
            rows: Vec::new(),
            size: 0,
            since: now,
            beginning: Some(Beginning::default()),
        }
    }

    /// Starts the thread.
    pub(super) fn start(self) -> std::io::Result<()> {
        let thread = thread::Builder::new().name("fleetlog-page-tail".to_owned());
        thread.spawn(move || {
            let _quiet = set_default(NoSubscriber::new());
            // The end of the page is nobody's mistake.
            let _ = self.run();
        })?;
        Ok(())
    }

    fn run(mut self) -> Result<(), Over> {
        let mut tail = self.open()?;
        let mut line = Vec::new();
        let begun = Instant::now();
        let (mut lines, mut failed) = (0, None);
        loop {
            match tail.next(&mut line) {
                Ok(Step::Line) => {
                    self.line(&line);
                    lines += 1;
                    if lines >= LINES_PER_LOOK {
                        lines = 0;
                        self.stay_near(&mut tail)?;
                    }
                }
                Ok(Step::Mark(mark)) => self.mark(&mark.to_string()),
                Ok(Step::Idle) => {
                    failed = None;
                    self.end_beginning();
                    self.flush(&mut tail)?;
                    self.turn();
                    tail.wait(LOOK);
                    self.look()?;
                }
                Err(error) => {
                    // What goes on to fail is said once.
                    let why = error.to_string();
                    if failed.as_ref() != Some(&why) {
                        self.mark(&format!("the log can't be read: {why}"));
                        failed = Some(why);
                    }
                    self.flush(&mut tail)?;
                    self.pause(PATIENCE)?;
                }
            }
            // Who logs without a pause must not keep the page empty.
            if self.beginning.is_some() && begun.elapsed() >= SEARCH_TIME {
                self.end_beginning();
            }
            self.turn();
            if self.size >= BATCH_BYTES
                || (!self.rows.is_empty() && self.since.elapsed() >= BATCH_AGE)
            {
                self.flush(&mut tail)?;
            }
        }
    }

    /// Opens the log, which need not be there before the first record is.
    fn open(&mut self) -> Result<Tail, Over> {
        let mut is_told = false;
        loop {
            let last = if self.reader.wants_all() { BEGINNING } else { SEARCHED };
            let start = if is_told { Start::Oldest } else { Start::Last(last) };
            match Tail::open(&self.log, Some(&self.shared.run_dir), start) {
                Ok(tail) => return Ok(tail),
                Err(error) if !is_told => {
                    is_told = true;
                    self.mark(&format!("the log can't be read yet: {error}"));
                    let rows = self.take_rows();
                    // Nothing was sent before it, so that there is room.
                    let _ = self.feed.send(rows);
                }
                Err(_) => {}
            }
            self.pause(PATIENCE)?;
        }
    }

    fn line(&mut self, line: &[u8]) {
        let Some(shown) = self.reader.read(line) else { return };
        if let Some(beginning) = &mut self.beginning {
            beginning.put(shown);
            return;
        }
        let size = shown.bytes();
        self.turn();
        if self.pace.takes(size) {
            self.put(Row::Line(shown), size);
        }
    }

    /// Shows what was there before; what follows is live.
    fn end_beginning(&mut self) {
        for line in self.beginning.take().into_iter().flat_map(|beginning| beginning.lines) {
            let size = line.bytes();
            self.put(Row::Line(line), size);
        }
    }

    fn mark(&mut self, mark: &str) {
        let mark = escape(mark);
        let size = mark.len();
        self.put(Row::Mark { mark }, size);
    }

    /// Tells what a second had no room for, once it is over.
    fn turn(&mut self) {
        let passed = self.pace.turn(Instant::now());
        if passed > 0 {
            let lines = things(passed, "more line");
            self.mark(&format!(
                "{lines} not shown: a page shows about {LINES_PER_SECOND} a second; a filter, or \
                 `fleetlog logs -f`, shows the others"
            ));
        }
    }

    fn put(&mut self, row: Row, size: usize) {
        if self.rows.is_empty() {
            self.since = Instant::now();
        }
        self.size += size;
        self.rows.push(row);
    }

    fn take_rows(&mut self) -> Bytes {
        self.size = 0;
        let rows = event("rows", &self.rows);
        self.rows.clear();
        rows
    }

    /// Passes the rows on. A page that takes nothing for a while loses its place: these rows, and
    /// what is written until it reads again, are one gap with one mark.
    fn flush(&mut self, tail: &mut Tail) -> Result<(), Over> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let lost = self.size as u64;
        let mut rows = self.take_rows();
        let until = Instant::now() + PATIENCE;
        loop {
            match self.feed.send(rows) {
                Ok(()) => return Ok(()),
                Err(Refused::Closed) => return Err(Over),
                Err(Refused::Full(back)) => rows = back,
            }
            self.pause(LOOK_FOR_ROOM)?;
            if Instant::now() >= until {
                break;
            }
        }
        drop(rows);
        while !self.feed.has_room() {
            self.pause(LOOK_FOR_ROOM)?;
        }
        match tail.skip_to_end() {
            Ok(skipped) => self.mark(&format!(
                "{} of the log passed by: this page did not keep up",
                bytes(lost.saturating_add(skipped))
            )),
            Err(error) => self.mark(&format!("the log can't be read: {error}")),
        }
        Ok(())
    }

    /// Skips what is too far back.
    fn stay_near(&mut self, tail: &mut Tail) -> Result<(), Over> {
        if tail.behind() <= BEHIND_MAX {
            return self.look();
        }
        match tail.skip_to_end() {
            Ok(skipped) => self.mark(&format!(
                "{} of the log skipped: it grows faster than this page can search it",
                bytes(skipped)
            )),
            Err(error) => self.mark(&format!("the log can't be read: {error}")),
        }
        self.look()
    }

    fn pause(&self, time: Duration) -> Result<(), Over> {
        thread::sleep(time);
        self.look()
    }

    /// Whether anybody is left to follow for.
    fn look(&self) -> Result<(), Over> {
        if self.feed.is_closed() {
            return Err(Over);
        }
        Ok(())
    }
}
