//! `logs -f` and `logs --cursor-file`: lines as they come, and a place that outlives the process.
//!
//! Lines are collected into a batch, the batch is written, then the place behind it is saved. So a
//! kill loses nothing: what was written and not noted comes again. Where standard output is a file,
//! it is first taken back from there, and each line stands in it once; a pipe may get the last
//! batch twice.

use std::fs;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::cursor_file::CursorFile;
use super::output_file::OutputFile;
use super::print::Printer;
use super::sources::{Living, Source, unreadable};
use super::{Logs, note_unknown};
use crate::command::exit::{Code, Failure};
use crate::command::flags::Common;
use crate::command::screen::Screen;
use crate::command::table::escape;
use crate::reading::{Converter, Head, Layout};
use crate::tail::{Filter, Mark, Start, Step, Tails};
use crate::wake::Wake;

/// A batch is written when it has so many bytes, or when there are no more lines for now.
const BATCH: usize = 256 << 10;

/// How many lines are passed over before somebody looks whether the command should end.
const LOOKS: u32 = 1024;

/// A pipe that can be written to takes so many bytes at once.
const PIPE_PIECE: usize = 4096;

/// How many milliseconds a reader may take nothing once the command is told to end. One that goes
/// on reading gets the batch as a whole, and nothing twice the next time.
const GRACE: u16 = 1000;

/// How long it sleeps at most.
const SLEEP: Duration = Duration::from_secs(2);

/// The lines that are shown first, where nothing else is asked for.
const DEFAULT_LINES: usize = 10;

pub(super) fn run(
    logs: &Logs,
    filter: &Filter,
    living: &Living,
    common: &Common,
    screen: &mut Screen,
) -> Result<Code, Failure> {
    let sources = logs.sources.find_any("logs", common, living)?;
    let wake = Wake::new().and_then(|wake| wake.follow_ends(ENDS).map(|()| wake));
    let wake = wake.map_err(|error| Failure::failed("logs: signals can't be waited for", error))?;
    let output = OutputFile::stdout()
        .map_err(|error| Failure::failed("standard output can't be looked at", error))?;
    let cursor = logs.cursor_file.as_ref().map(|path| {
        let named = sources.iter().map(|source| absolute(&source.path)).collect();
        CursorFile::open(path, named)
    });
    let run_dir = common.run_dir()?;
    allow_many_files();
    let mut follower = Follower {
        tails: Tails::new(Some(&run_dir), cursor.is_some()),
        sources,
        folders: Vec::new(),
        filter,
        converter: Converter::new(),
        printer: logs.printer(),
        wake,
        cursor: cursor.transpose()?,
        output,
        batch: Vec::new(),
        unknown: 0,
        has_news: false,
        is_damaged: false,
        is_closed: false,
    };
    follower.begin(logs, living, screen)?;
    follower.go_on(logs.follow, screen)?;
    note_unknown(follower.unknown, screen);
    Ok(if follower.is_damaged && !logs.follow { Code::Failed } else { Code::Done })
}

/// Each log has a file that is held open, and workers may have a log each.
fn allow_many_files() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // A refusal shows when a file can't be opened.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// The signals that end it; a second one ends it at once.
const ENDS: &[i32] = &[signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM];

struct Follower<'a> {
    tails: Tails,
    sources: Vec<Source>,
    /// When the folders of logs of workers were changed last.
    folders: Vec<Option<SystemTime>>,
    filter: &'a Filter,
    converter: Converter,
    printer: Printer,
    wake: Wake,
    cursor: Option<CursorFile>,
    output: Option<OutputFile>,
    batch: Vec<u8>,
    /// Lines of no known layout that were asked for something that only a known one tells.
    unknown: u64,
    /// Lines were read since the place was saved.
    has_news: bool,
    is_damaged: bool,
    /// Nobody reads standard output any more.
    is_closed: bool,
}

impl Follower<'_> {
    /// Finds the place to start at.
    fn begin(&mut self, logs: &Logs, living: &Living, screen: &mut Screen) -> Result<(), Failure> {
        self.folders = self.sources.iter().map(folder_change).collect();
        let named: Vec<PathBuf> =
            self.sources.iter().flat_map(Source::logs_now).map(|log| absolute(&log)).collect();
        if let Some(cursor) = self.cursor.as_ref().filter(|cursor| cursor.is_there()) {
            let known: Vec<PathBuf> = cursor.logs().map(PathBuf::from).collect();
            for log in known.iter().chain(&named) {
                let start = cursor.position(log).map_or(Start::Oldest, Start::At);
                self.tails.add(log, start).map_err(|error| unreadable("logs", log, &error))?;
            }
            self.take_back(screen)?;
        } else {
            let count = match (logs.lines, self.filter.since, &self.cursor) {
                (None, None, None) => Some(DEFAULT_LINES),
                (lines, ..) => lines,
            };
            self.begin_without_place(&named, count)?;
        }
        if !self.tails.is_there() {
            if !(logs.follow && (living.is_there || !logs.sources.file.is_empty())) {
                let log =
                    self.sources.first().map_or_else(PathBuf::new, |source| source.path.clone());
                return Err(unreadable("logs", &log, &io::ErrorKind::NotFound.into()));
            }
            for source in &self.sources {
                let path = escape(&source.path.to_string_lossy());
                screen.note(format_args!("fleetlog: {path} is not there yet; waiting for it"));
            }
        }
        // Before the first line: whoever is killed with it must know where it was to begin.
        self.save()
    }

    fn begin_without_place(
        &mut self,
        named: &[PathBuf],
        count: Option<usize>,
    ) -> Result<(), Failure> {
        let Some(count) = count.filter(|count| *count > 0) else {
            for log in named {
                let start = match (count, self.filter.since) {
                    (Some(_), _) => Start::End,
                    (None, Some(since)) => Start::Since(since),
                    (None, None) => Start::Oldest,
                };
                self.tails.add(log, start).map_err(|error| unreadable("logs", log, &error))?;
            }
            return Ok(());
        };
        let (filter, converter) = (self.filter, &mut self.converter);
        let mut last_time = Timestamp::MAX;
        let mut wanted = |line: &[u8]| {
            let found = Head::of(line);
            last_time = found.as_ref().map_or(last_time, |(_, head)| head.time);
            filter.allows(line, found.as_ref(), converter).then_some(last_time)
        };
        let added = self.tails.add_last(named, count, self.filter.since, &mut wanted);
        added.map_err(|error| Failure::failed("logs", error))
    }

    /// Takes back what a follower wrote that was killed before it could note its place.
    fn take_back(&mut self, screen: &mut Screen) -> Result<(), Failure> {
        let written = self.cursor.as_ref().and_then(CursorFile::written);
        if let (Some(output), Some(written)) = (&mut self.output, written) {
            let taken = output.take_back(written).map_err(|error| {
                Failure::failed("logs: the output can't be taken back to the cursor's place", error)
            })?;
            if taken > 0 {
                screen.note(format_args!(
                    "fleetlog: {taken} bytes behind the cursor's place are written again"
                ));
            }
        }
        Ok(())
    }

    fn go_on(&mut self, is_live: bool, screen: &mut Screen) -> Result<(), Failure> {
        let mut line = Vec::new();
        let mut looks = 0_u32;
        loop {
            let step = self.tails.next(&mut line);
            match step.map_err(|error| self.broken(&error))? {
                Step::Line => {
                    self.take(&line);
                    if self.batch.len() >= BATCH {
                        self.write()?;
                    }
                }
                Step::Mark(mark) => {
                    // It stands where it belongs also where both outputs are one terminal.
                    self.write()?;
                    self.is_damaged |= matches!(mark, Mark::Damaged { .. });
                    screen.failure(&Failure::new(Code::Failed, mark));
                }
                Step::Idle => {
                    self.write()?;
                    if !is_live || self.is_over() {
                        return Ok(());
                    }
                    let _ = io::stdout().flush();
                    self.wait();
                    self.look_for_new_logs()?;
                }
            }
            looks = looks.wrapping_add(1);
            if is_live && looks.is_multiple_of(LOOKS) {
                self.look_for_new_logs()?;
            }
            if looks.is_multiple_of(LOOKS) && self.is_over() {
                return self.write();
            }
        }
    }

    /// Puts a line into the batch, if it is wanted.
    fn take(&mut self, line: &[u8]) {
        self.has_news = true;
        let needs_head = self.filter.needs_head() || self.filter.grep.is_some();
        let found = if needs_head { Head::of(line) } else { None };
        if self.filter.allows(line, found.as_ref(), &mut self.converter) {
            let layout = found.map_or(Layout::Unknown, |(layout, _)| layout);
            self.batch.extend_from_slice(self.printer.print(line, layout));
        } else {
            self.unknown += u64::from(found.is_none() && self.filter.needs_head());
        }
    }

    /// Writes the batch, and saves the place behind it.
    fn write(&mut self) -> Result<(), Failure> {
        match self.write_batch() {
            Ok(true) => {}
            // A part of it may have been taken: it is for the next one to write it as a whole.
            Ok(false) => {
                self.is_closed = true;
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.is_closed = true;
                return Ok(());
            }
            Err(error) => return Err(Failure::failed("standard output can't be written", error)),
        }
        self.batch.clear();
        self.batch.shrink_to(2 * BATCH);
        if std::mem::take(&mut self.has_news) { self.save() } else { Ok(()) }
    }

    /// Writes the batch; false = it was told to end, and nobody takes it.
    fn write_batch(&self) -> io::Result<bool> {
        if self.is_closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        // A descriptor of its own: the library's would flush at every line.
        let mut file = fs::File::from(io::stdout().as_fd().try_clone_to_owned()?);
        if file.metadata()?.is_file() {
            return file.write_all(&self.batch).map(|()| true);
        }
        let mut rest = &self.batch[..];
        let mut is_told = false;
        while !rest.is_empty() {
            let mut polled = vec![PollFd::new(file.as_fd(), PollFlags::POLLOUT)];
            if !is_told {
                let bells = self.wake.descriptors();
                polled.extend(bells.map(|bell| PollFd::new(bell, PollFlags::POLLIN)));
            }
            let _ = poll(&mut polled, if is_told { GRACE.into() } else { PollTimeout::NONE });
            let is_ready = polled[0].any() == Some(true);
            drop(polled);
            if !is_ready && is_told {
                return Ok(false);
            }
            if !is_ready {
                is_told = self.wake.take().stop;
                continue;
            }
            match file.write(&rest[..rest.len().min(PIPE_PIECE)]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => rest = &rest[written..],
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
                    ) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn save(&mut self) -> Result<(), Failure> {
        let Some(cursor) = &mut self.cursor else { return Ok(()) };
        let written = self.output.as_mut().map(OutputFile::written).transpose();
        let written = written
            .map_err(|error| Failure::failed("standard output can't be looked at", error))?;
        cursor.save(self.tails.positions(), written)
    }

    /// Whether somebody told it to end, or nobody reads any more.
    fn is_over(&mut self) -> bool {
        let stdout = io::stdout();
        let mut polled = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
        let _ = poll(&mut polled, PollTimeout::ZERO);
        let gone = PollFlags::POLLERR | PollFlags::POLLHUP;
        self.is_closed |= polled[0].revents().is_some_and(|events| events.intersects(gone));
        self.is_closed || self.wake.take().stop
    }

    fn wait(&mut self) {
        let stdout = io::stdout();
        let bells = self.wake.descriptors().map(|bell| (bell, PollFlags::POLLIN));
        // A reader that leaves rings, too.
        let others: Vec<_> = bells.chain([(stdout.as_fd(), PollFlags::empty())]).collect();
        self.tails.wait(SLEEP, &others);
    }

    /// Logs of workers that have come since.
    fn look_for_new_logs(&mut self) -> Result<(), Failure> {
        for (source, change) in self.sources.iter().zip(&mut self.folders) {
            let now = folder_change(source);
            if now.is_none() || now == *change {
                continue;
            }
            *change = now;
            for log in source.logs_now() {
                let log = absolute(&log);
                let added = self.tails.add(&log, Start::Oldest);
                added.map_err(|error| unreadable("logs", &log, &error))?;
            }
        }
        Ok(())
    }

    fn broken(&self, error: &io::Error) -> Failure {
        let paths: Vec<_> =
            self.sources.iter().map(|source| source.path.display().to_string()).collect();
        Failure::failed("logs", format_args!("{}: {error}", paths.join(", ")))
    }
}

/// When names in the folder of workers' logs were changed last; `None` = there is one log.
fn folder_change(source: &Source) -> Option<SystemTime> {
    let folder = source.path.parent().filter(|_| source.is_per_worker())?;
    let folder = if folder.as_os_str().is_empty() { ".".as_ref() } else { folder };
    fs::metadata(folder).ok()?.modified().ok()
}

/// A log's path as it was named, from the root: a link on the way is followed anew each time, because
/// somebody may let it point elsewhere.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
