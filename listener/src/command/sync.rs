//! `fleetlog sync`: wait until what was logged is durable.

use std::time::Duration;

use fleetlog_protocol::client;
use fleetlog_protocol::message::{Reply, Request};

use super::exit::{Code, Failure};
use super::flags::{Common, examples};
use super::screen::Screen;
use super::table::things;
use crate::config;

/// Wait until everything logged so far is in the files and durable
#[derive(clap::Args, Debug)]
#[command(after_help = examples(&[
    ("Before the files are copied", "fleetlog sync && cp apps.log /backup/"),
    ("Give up after five seconds (exit code 4)", "fleetlog sync --timeout 5s"),
]))]
pub(super) struct Sync {
    /// The longest wait; the listener goes on after it
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = config::duration)]
    timeout: Duration,
}

impl Sync {
    pub(super) fn run(&self, common: &Common, screen: &mut Screen) -> Result<Code, Failure> {
        let run_dir = common.run_dir()?;
        let mut written = 0;
        let answer = client::request(&run_dir, Request::Sync, self.timeout, |so_far| {
            written = so_far;
            screen.progress(format_args!("syncing: {} written", things(written, "record")));
        });
        match answer.map_err(|error| Failure::request("sync", &error, written))? {
            Reply::Synced { written } if !common.quiet => screen.line(format_args!(
                "Durable: {} written since the listener began.",
                things(written, "record")
            )),
            Reply::Synced { .. } => {}
            _ => return Err(Failure::unexpected_answer("sync")),
        }
        Ok(Code::Done)
    }
}
