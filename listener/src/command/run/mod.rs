//! `fleetlog run`: a job under watch. What it prints becomes records, and how it went stands in
//! the log too.
//!
//! The job is a process group of its own where that is possible, this process is the parent of
//! whatever the job leaves behind, and ends as the job did. A [`home::Home`] is the listener that
//! takes the records, somebody else's or one in this process; a [`journal::Journal`] is the queue
//! to it; [`job::Job`] is the process tree, [`streams::Streams`] what it prints, and
//! [`signals`] what it is told. One loop turns them all and never waits for any single one, so
//! that neither a silent job nor a listener that went away can hold up the others.
//!
//! It never kills the job, not even when nothing can be logged any more.

mod events;
mod home;
mod job;
mod journal;
mod quote;
mod signals;
mod streams;
mod watch;

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use fleetlog_protocol::Level;

use super::diagnostics::Diagnostics;
use super::exit::Failure;
use super::flags::{Common, examples};
use super::outputs::Outputs;
use super::pipe::level;
use super::receipt;
use super::screen::Screen;
use crate::config;
use crate::listener::ListenError;
use home::Home;
use journal::Journal;
use watch::Watch;

/// Run a job and log what it prints, line by line, and how it ended
///
/// Each line of its standard output and standard error is a record; its start and its end, with
/// status, duration and resources used, are records too. The code is the job's own, or 128 + the
/// signal that killed it; 127 = the command was not found, 126 = it can't be executed.
///
/// Where a listener lives in the run directory, the records go to it. Otherwise this command owns
/// the log files itself, until the job and everything that it left behind has ended.
#[derive(clap::Args, Debug)]
#[command(after_help = examples(&[
    ("All that a line in a crontab needs",
     "fleetlog run --file nightly.log --max-size 10M --max-files 7 --compress zstd -- ./nightly.sh"),
    ("Into the log of the fleet whose listener lives in /run/apps",
     "fleetlog run --run-dir /run/apps --name backup -- tar cf /backup/home.tar /home"),
    ("What it prints, on the terminal as well", "fleetlog run --file build.log --tee -- make -j8"),
]))]
pub(super) struct Run {
    /// The job's name in the log [default: the file name of CMD]
    #[arg(long)]
    name: Option<String>,

    /// The level of lines from standard output
    #[arg(long, default_value = "info", value_parser = level())]
    level: Level,

    /// The level of lines from standard error; many programs write their progress there
    #[arg(long, default_value = "info", value_parser = level())]
    stderr_level: Level,

    /// Copy what the job prints to this command's own outputs too, byte for byte; a copy that can't
    /// be written is told of, and a job that succeeded then ends with code 1, as tee does
    #[arg(long)]
    tee: bool,

    /// The longest wait for a listener: while the queue is full the job is held up so long, then
    /// lines are dropped and counted; and again at the end, until everything is acknowledged
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = config::duration)]
    timeout: Duration,

    #[command(flatten)]
    outputs: Outputs,

    /// The job: a command and its arguments, behind --
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
    #[arg(value_hint = clap::ValueHint::CommandWithArguments)]
    command: Vec<OsString>,
}

impl Run {
    /// Returns the code with which this process ends.
    pub(super) fn run(&self, common: &Common, screen: &mut Screen) -> Result<u8, Failure> {
        let settings = common.settings(self.outputs.settings())?;
        // A job that goes well is silent, or else cron sends a mail each night.
        let quiet = common.quiet || common.verbose == 0;
        let quietly = Common { quiet, ..common.clone() };
        Diagnostics { common: &quietly, folder: settings.diagnostics_dir.as_deref() }.start()?;
        let home = Home::settle(settings, self.timeout, screen)?;
        let name = self.job_name();
        let journal = Journal::new(
            home.socket()?,
            name.clone(),
            [self.level, self.stderr_level],
            self.timeout,
        );
        let outcome = Watch::new(&self.command, &name, self.tee, home, journal).run(screen)?;
        let mut code = outcome.code;
        if let Some(why) = &outcome.unwritten {
            screen.failure(&Failure::failed("run", why));
            code = code.max(1);
        }
        if let Some(why) = &outcome.uncopied {
            screen.failure(&Failure::failed("run --tee", why));
            code = code.max(1);
        }
        match outcome.receipt {
            None => {}
            Some(Ok(receipt)) if common.verbose > 0 => {
                screen.note(receipt::table(&receipt, common.verbose > 1));
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                screen.failure(&failure(&error));
                code = code.max(1);
            }
        }
        Ok(code)
    }

    fn job_name(&self) -> String {
        self.name.clone().unwrap_or_else(|| {
            let command = self.command.first().map(Path::new);
            let file = command.and_then(|path| path.file_name().or(Some(path.as_os_str())));
            file.unwrap_or_default().to_string_lossy().into_owned()
        })
    }
}

/// What a listener of this process says that could not live.
fn failure(error: &ListenError) -> Failure {
    Failure::failed("run", error)
}
