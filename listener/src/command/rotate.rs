//! `fleetlog rotate` and `fleetlog reopen`: what is done to the files of a live listener.

use std::time::Duration;

use fleetlog_protocol::client;
use fleetlog_protocol::message::{Reply, Request};

use super::exit::{Code, Failure};
use super::flags::{Common, examples};
use super::screen::Screen;
use super::table::things;
use crate::config;

/// Make every log's file an archive, and begin another one
///
/// What was logged before the command is in the archives. A log that is empty is left alone.
#[derive(clap::Args, Debug)]
#[command(after_help = examples(&[
    ("Before a release, so that its log begins with a fresh file", "fleetlog rotate"),
    ("The same without waiting for it", "kill -ALRM $(pidof fleetlog)"),
]))]
pub(super) struct Rotate {
    /// The longest wait; the listener goes on after it
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = config::duration)]
    timeout: Duration,
}

/// Go on with the files that the paths name now, after somebody moved the old ones
///
/// The listener notices a file that was moved or removed by itself within a second; this waits for
/// it. Everything that was logged before the command is in the old files.
#[derive(clap::Args, Debug)]
#[command(after_help = examples(&[
    ("In logrotate's postrotate", "fleetlog reopen --run-dir /run/fleetlog"),
    ("By hand", "mv apps.log apps.log.1 && fleetlog reopen && gzip apps.log.1"),
]))]
pub(super) struct Reopen {
    /// The longest wait; the listener goes on after it
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = config::duration)]
    timeout: Duration,
}

impl Rotate {
    pub(super) fn run(&self, common: &Common, screen: &mut Screen) -> Result<Code, Failure> {
        match ask(common, screen, "rotate", Request::Rotate, self.timeout)? {
            Reply::Rotated { logs } if !common.quiet => {
                screen.line(format_args!("Rotated: {}.", things(logs, "log")));
            }
            Reply::Rotated { .. } => {}
            _ => return Err(Failure::unexpected_answer("rotate")),
        }
        Ok(Code::Done)
    }
}

impl Reopen {
    pub(super) fn run(&self, common: &Common, screen: &mut Screen) -> Result<Code, Failure> {
        match ask(common, screen, "reopen", Request::Reopen, self.timeout)? {
            Reply::Reopened { logs } if !common.quiet => {
                let opened = things(logs, "log");
                screen
                    .line(format_args!("Every log is written at its path; {opened} opened anew."));
            }
            Reply::Reopened { .. } => {}
            _ => return Err(Failure::unexpected_answer("reopen")),
        }
        Ok(Code::Done)
    }
}

fn ask(
    common: &Common,
    screen: &mut Screen,
    what: &str,
    request: Request,
    timeout: Duration,
) -> Result<Reply, Failure> {
    let run_dir = common.run_dir()?;
    let mut written = 0;
    let answer = client::request(&run_dir, request, timeout, |so_far| {
        written = so_far;
        screen.progress(format_args!("{what}: {} written first", things(written, "record")));
    });
    answer.map_err(|error| Failure::request(what, &error, written))
}
