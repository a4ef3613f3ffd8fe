//! `fleetlog stop`: the sentinel.

use std::time::Duration;

use fleetlog_protocol::client;
use fleetlog_protocol::message::{Reply, Request};

use super::exit::{Code, Failure};
use super::flags::{Common, examples};
use super::receipt;
use super::screen::Screen;
use super::table::things;
use crate::config;

/// End the listener: drain everything, sync, give a receipt
///
/// What was logged before is written; what is logged later waits for the next listener.
#[derive(clap::Args, Debug)]
#[command(after_help = examples(&[
    ("End the listener of the default run directory", "fleetlog stop"),
    ("Wait up to five minutes for a slow disk", "fleetlog stop --timeout 5m"),
    ("Was anything lost? For scripts", "fleetlog stop --json | jq .complete"),
]))]
pub(super) struct Stop {
    /// The longest wait; the listener goes on draining after it
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = config::duration)]
    timeout: Duration,

    /// Print the receipt as JSON
    #[arg(long)]
    json: bool,
}

impl Stop {
    pub(super) fn run(&self, common: &Common, screen: &mut Screen) -> Result<Code, Failure> {
        let run_dir = common.run_dir()?;
        let mut written = 0;
        let answer = client::request(&run_dir, Request::Stop, self.timeout, |so_far| {
            written = so_far;
            screen.progress(format_args!("draining: {} written", things(written, "record")));
        });
        let reply = answer.map_err(|error| Failure::request("stop", &error, written))?;
        let code = match &reply {
            Reply::Stopped(receipt) => receipt::code(receipt),
            _ => Code::Done,
        };
        match reply {
            Reply::Stopped(receipt) if self.json => screen.line(receipt::to_json(&receipt)),
            Reply::Stopped(_) if common.quiet => {}
            Reply::Stopped(receipt) => screen.line(receipt::table(&receipt, common.verbose > 0)),
            _ => return Err(Failure::unexpected_answer("stop")),
        }
        Ok(code)
    }
}
