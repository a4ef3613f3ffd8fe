//! The loop: reads what the job prints, reaps what has ended, and keeps the queue going.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fleetlog_protocol::message::Receipt;
use fleetlog_protocol::record::Value;
use fleetlog_protocol::{Level, run_dir};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use signal_hook::consts::SIGCHLD;

use super::super::exit::Failure;
use super::super::screen::Screen;
use super::home::Home;
use super::job::{End, Job, Target};
use super::journal::Journal;
use super::quote::command_line;
use super::signals;
use super::streams::Streams;
use crate::listener::ListenError;

/// The variable with a worker's name.
const NAME: &str = "FLEETLOG_NAME";

/// While acknowledgements are owed, they are heard this often (in milliseconds).
const HEARING: u16 = 20;

/// While the job is held up (in milliseconds).
const HELD_UP: u16 = 2;

/// How often a listener is looked for that nobody logs to (in milliseconds).
const IDLE: u16 = 1000;

/// The numbers of the events, as [`Journal::event`] wants them.
const STARTED: usize = 0;
const ENDED: usize = 1;
const FAILED: usize = 2;
const NOT_STARTED: usize = 3;
const OUTLIVED: usize = 4;

/// How it all ended.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The job's code.
    pub(super) code: u8,
    /// What is not in the files.
    pub(super) unwritten: Option<String>,
    /// The receipt of a listener in this process.
    pub(super) receipt: Option<Result<Receipt, ListenError>>,
}

/// A job that is about to run.
#[derive(Debug)]
pub(super) struct Watch<'a> {
    command: &'a [OsString],
    name: &'a str,
    tee: bool,
    home: Home,
    journal: Journal,
}

/// How far the job has come.
#[derive(Debug)]
enum Phase {
    Runs,
    /// What it printed before its end is still being read.
    Ended(End),
    /// Something of it lives on, as far as is known, and so many orphans had ended before.
    Outlived {
        orphans: u64,
        is_marked: bool,
    },
}

impl<'a> Watch<'a> {
    pub(super) const fn new(
        command: &'a [OsString],
        name: &'a str,
        tee: bool,
        home: Home,
        journal: Journal,
    ) -> Self {
        Self { command, name, tee, home, journal }
    }

    /// Runs the job to its end and waits until everything is written.
    pub(super) fn run(mut self, screen: &mut Screen) -> Result<Outcome, Failure> {
        // In the terminal's foreground group the job can read from it, and gets its signals.
        let at_terminal = io::stdin().is_terminal();
        let target = Target::new(!at_terminal);
        let bell = prepare(&target, at_terminal)
            .map_err(|error| Failure::failed("the job can't be watched", error))?;
        let begun = Instant::now();
        let code = match Job::start(self.command, &self.variables(), &target) {
            Ok((job, stdout, stderr)) => {
                let streams = Streams::new(stdout, stderr, self.tee);
                self.log_start(&job);
                let watched = self.attend(job, streams, &bell, begun, screen);
                watched.map_err(|error| Failure::failed("the job can't be watched", error))?
            }
            Err(error) => self.log_failure(&error, screen),
        };
        self.settle(&target, screen);
        let Self { journal, home, .. } = self;
        let unwritten = journal.unwritten();
        // A listener that still sees the connection would take its end for a crash.
        drop(journal);
        Ok(Outcome { code, unwritten, receipt: home.close() })
    }

    /// What lets a worker inside of the job find the way by itself.
    fn variables(&self) -> Vec<(&'static str, OsString)> {
        let mut variables = vec![(run_dir::VARIABLE, self.home.run_dir().into())];
        if std::env::var_os(NAME).is_none_or(|name| name.is_empty()) {
            variables.push((NAME, self.name.into()));
        }
        variables
    }

    fn attend(
        &mut self,
        mut job: Job,
        mut streams: Streams,
        bell: &UnixStream,
        begun: Instant,
        screen: &mut Screen,
    ) -> io::Result<u8> {
        let pid = job.pid();
        let mut phase = Phase::Runs;
        let mut code = 0;
        loop {
            self.tend(screen);
            job.reap();
            match &mut phase {
                Phase::Runs => {
                    if let Some(end) = job.end() {
                        code = end.code();
                        streams.mark();
                        phase = Phase::Ended(end);
                        continue;
                    }
                }
                Phase::Ended(end) if streams.have_reached_mark() => {
                    let end = *end;
                    if streams.are_closed() || job.is_alone() {
                        streams.close(pid, &mut self.journal);
                        self.log_end(end, pid, begun.elapsed());
                        return Ok(code);
                    }
                    self.log_end(end, pid, begun.elapsed());
                    phase = Phase::Outlived { orphans: job.orphans(), is_marked: false };
                    continue;
                }
                Phase::Ended(_) => {}
                Phase::Outlived { orphans, is_marked } => {
                    // The last orphan may have printed something just before its end.
                    if job.is_alone() && !std::mem::replace(is_marked, true) {
                        streams.mark();
                    }
                    if streams.are_closed() || *is_marked && streams.have_reached_mark() {
                        streams.close(pid, &mut self.journal);
                        self.log_outlived(job.orphans() - *orphans, begun.elapsed());
                        return Ok(code);
                    }
                }
            }
            let paused = !self.journal.has_room();
            let patience = match () {
                () if paused => HELD_UP,
                () if !streams.have_reached_mark() => 0,
                () if self.journal.owes() => HEARING,
                () => IDLE,
            };
            streams.turn(bell.as_fd(), paused, patience.into(), pid, &mut self.journal)?;
            while (&*bell).read(&mut [0; 64]).is_ok_and(|rings| rings > 0) {}
        }
    }

    /// Waits until everything is acknowledged, as long as there is hope and nobody is in a hurry.
    fn settle(&mut self, target: &Target, screen: &mut Screen) {
        self.journal.give_time();
        while self.journal.owes() && !self.home.is_hopeless() && !target.is_in_a_hurry() {
            self.tend(screen);
            if self.journal.is_out_of_time() {
                break;
            }
            Journal::rest();
        }
        self.journal.take_leave();
    }

    /// Keeps the way to the files open.
    fn tend(&mut self, screen: &mut Screen) {
        self.journal.pump();
        if self.home.watch(self.journal.is_connected(), screen) {
            self.journal.give_time();
        }
    }

    fn log_start(&mut self, job: &Job) {
        let (command, cwd) = (command_line(self.command), cwd());
        let fields = [
            ("command", Value::Str(&command)),
            ("pid", Value::U64(job.pid())),
            ("cwd", Value::Str(&cwd)),
        ];
        self.journal.event(STARTED, Level::Info, "job started", &fields);
    }

    fn log_end(&mut self, end: End, pid: u64, duration: Duration) {
        let status = end.to_string();
        let [stdout, stderr] = self.journal.lines();
        let mut fields = vec![
            ("status", Value::Str(&status)),
            ("code", Value::U64(end.code().into())),
            ("pid", Value::U64(pid)),
            ("duration_ms", Value::U64(milliseconds(duration))),
        ];
        // What the job left behind and was not reaped yet is not in it.
        if let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) {
            fields.extend([
                ("user_ms", Value::I64(usage.user_time().num_milliseconds())),
                ("system_ms", Value::I64(usage.system_time().num_milliseconds())),
                ("max_rss_kib", Value::I64(usage.max_rss())),
            ]);
        }
        fields.extend([("stdout_lines", Value::U64(stdout)), ("stderr_lines", Value::U64(stderr))]);
        let (number, level) =
            if end.code() == 0 { (ENDED, Level::Info) } else { (FAILED, Level::Error) };
        self.journal.event(number, level, "job ended", &fields);
    }

    /// Logs that the job could not be started, says so, and returns its code.
    fn log_failure(&mut self, error: &io::Error, screen: &mut Screen) -> u8 {
        let code = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
        let program = self.command.first().cloned().unwrap_or_default();
        let why = match error.kind() {
            io::ErrorKind::NotFound if is_there(&program) => {
                "its interpreter, or its folder, was not found".to_owned()
            }
            io::ErrorKind::NotFound => "command not found".to_owned(),
            io::ErrorKind::PermissionDenied => "it is not executable".to_owned(),
            _ => error.to_string(),
        };
        screen.failure(&Failure::failed(program.display(), &why));
        let (status, command, cwd) =
            (format!("could not be started: {why}"), command_line(self.command), cwd());
        let fields = [
            ("status", Value::Str(&status)),
            ("code", Value::U64(code.into())),
            ("command", Value::Str(&command)),
            ("cwd", Value::Str(&cwd)),
        ];
        self.journal.event(NOT_STARTED, Level::Error, "job ended", &fields);
        code
    }

    fn log_outlived(&mut self, orphans: u64, duration: Duration) {
        if orphans == 0 {
            return;
        }
        let [stdout, stderr] = self.journal.lines();
        let fields = [
            ("outlived_by", Value::U64(orphans)),
            ("duration_ms", Value::U64(milliseconds(duration))),
            ("stdout_lines", Value::U64(stdout)),
            ("stderr_lines", Value::U64(stderr)),
        ];
        self.journal.event(OUTLIVED, Level::Info, "the job's last process ended", &fields);
    }
}

/// Lets signals go to the target, and the end of a process ring.
fn prepare(target: &Arc<Target>, at_terminal: bool) -> io::Result<UnixStream> {
    let (bell, rope) = UnixStream::pair()?;
    bell.set_nonblocking(true)?;
    rope.set_nonblocking(true)?;
    signal_hook::low_level::pipe::register(SIGCHLD, rope)?;
    signals::pass_on(target, at_terminal)?;
    Ok(bell)
}

fn cwd() -> String {
    std::env::current_dir().map_or_else(|_| String::new(), |cwd| cwd.display().to_string())
}

/// Whether a command that is named by a path, and not looked up, exists.
fn is_there(program: &OsString) -> bool {
    let path = std::path::Path::new(program);
    path.components().count() > 1 && path.exists()
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
