//! The loop: reads what the job prints, reaps what has ended, and keeps the queue going.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fleetlog_protocol::message::Receipt;
use fleetlog_protocol::run_dir;
use signal_hook::consts::SIGCHLD;

use super::super::exit::Failure;
use super::super::screen::Screen;
use super::events::StartFailure;
use super::home::Home;
use super::job::{End, Job, Target};
use super::journal::Journal;
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

/// What belongs together may come apart by so much: the end of a process and that of its output,
/// a signal that ended the job and its arrival here.
const GRACE: Duration = Duration::from_secs(1);

/// How it all ended.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The job's code.
    pub(super) code: u8,
    /// What is not in the files.
    pub(super) unwritten: Option<String>,
    /// What `--tee` did not copy.
    pub(super) uncopied: Option<String>,
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
    /// Something of it holds its output. So many orphans had ended before; when the end of the
    /// rest was first seen, it was marked what they may have printed.
    Outlived {
        orphans: u64,
        marked_at: Option<Instant>,
    },
}

impl Phase {
    const fn is_about_to_end(&self) -> bool {
        matches!(self, Self::Outlived { marked_at: Some(_), .. })
    }
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
        let mut uncopied = None;
        let code = match Job::start(self.command, &self.variables(), &target) {
            Ok((job, stdout, stderr)) => {
                let mut streams = Streams::new(stdout, stderr, self.tee);
                self.journal.started(self.command, job.pid());
                let watched = self.attend(job, &mut streams, &bell, begun, screen);
                uncopied = streams.uncopied();
                watched.map_err(|error| Failure::failed("the job can't be watched", error))?
            }
            Err(error) => self.fail(&error, screen),
        };
        self.settle(&target, screen);
        let Self { journal, home, .. } = self;
        let unwritten = journal.unwritten();
        // A listener that still sees the connection would take its end for a crash.
        drop(journal);
        Ok(Outcome { code, unwritten, uncopied, receipt: home.close() })
    }

    /// What lets a worker inside of the job find the way by itself.
    fn variables(&self) -> Vec<(&'static str, OsString)> {
        let mut variables = vec![(run_dir::VARIABLE, self.home.run_dir().into())];
        if std::env::var_os(NAME).is_none_or(|name| name.is_empty()) {
            variables.push((NAME, self.name.into()));
        }
        variables
    }

    /// Turns the loop until the job has ended and has nothing more to say; returns its code.
    fn attend(
        &mut self,
        mut job: Job,
        streams: &mut Streams,
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
                        self.journal.ended(end, pid, begun.elapsed());
                        return Ok(code);
                    }
                    self.journal.ended(end, pid, begun.elapsed());
                    phase = Phase::Outlived { orphans: job.orphans(), marked_at: None };
                    continue;
                }
                Phase::Ended(_) => {}
                Phase::Outlived { orphans, marked_at } => {
                    if marked_at.is_none() && (job.is_alone() || streams.are_closed()) {
                        // The last orphan may have printed something just before its end.
                        streams.mark();
                        *marked_at = Some(Instant::now());
                    }
                    // A process lets go of the output before its parent can see its end.
                    let is_over =
                        job.is_alone() || marked_at.is_some_and(|at| at.elapsed() > GRACE);
                    if is_over && streams.have_reached_mark() && marked_at.is_some() {
                        streams.close(pid, &mut self.journal);
                        let orphans = job.orphans() - *orphans;
                        self.journal.outlived(orphans, job.is_alone(), begun.elapsed());
                        return Ok(code);
                    }
                }
            }
            let paused = !self.journal.has_room() && !self.home.is_hopeless();
            let patience = if paused {
                HELD_UP
            } else if !streams.have_reached_mark() {
                0
            } else if self.journal.owes() || phase.is_about_to_end() {
                HEARING
            } else {
                IDLE
            };
            streams.turn(bell.as_fd(), paused, patience.into(), pid, &mut self.journal)?;
            while (&*bell).read(&mut [0; 64]).is_ok_and(|rings| rings > 0) {}
        }
    }

    /// Says why the job could not be started, in the log as well, and returns its code.
    fn fail(&mut self, error: &io::Error, screen: &mut Screen) -> u8 {
        let failure = StartFailure::of(self.command, error);
        screen.failure(&Failure::failed(failure.program.display(), &failure.why));
        self.journal.not_started(self.command, &failure);
        failure.code
    }

    /// Waits until everything is acknowledged, as long as there is hope and nobody is in a hurry.
    fn settle(&mut self, target: &Target, screen: &mut Screen) {
        target.job_is_over();
        self.journal.give_time();
        let begun = Instant::now();
        while self.journal.owes() && !self.home.is_hopeless() {
            self.tend(screen);
            // The signal that ended the job is no hurry yet.
            let is_in_a_hurry = target.is_in_a_hurry() && begun.elapsed() >= GRACE;
            if is_in_a_hurry || self.journal.is_out_of_time() {
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
