//! `fleetlog status`: the state of a living fleet.
//!
//! On a terminal the tables have the columns that fit its width, everywhere else all of them. No
//! text of the answer reaches a terminal as it is.

pub(super) mod answer;
pub(super) mod columns;
#[cfg(test)]
mod tests;
mod text;

use std::io::IsTerminal as _;
use std::path::Path;
use std::time::Duration;

use fleetlog_protocol::client;
use fleetlog_protocol::message::{Reply, Request};

use super::exit::{Code, Failure};
use super::flags::{Common, examples};
use super::screen::Screen;
use super::table::is_unsafe;
use crate::config;
use answer::Fleet;
#[cfg(feature = "top")]
pub(super) use text::{losses, reasons};

/// Tell the state of the fleet: workers, files, what was written and what was lost
#[derive(clap::Args, Debug)]
#[command(after_help = examples(&[
    ("The fleet of a run directory", "fleetlog status --run-dir /run/fleetlog"),
    ("For programs", "fleetlog status --json | jq '.workers[] | select(.connected)'"),
]))]
pub(super) struct Status {
    /// Print JSON
    #[arg(long)]
    json: bool,

    /// The longest wait for an answer
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = config::duration)]
    timeout: Duration,
}

impl Status {
    pub(super) fn run(&self, common: &Common, screen: &mut Screen) -> Result<Code, Failure> {
        let run_dir = common.run_dir()?;
        let json = ask("status", &run_dir, self.timeout)?;
        if self.json {
            screen.line(terminal_safe(&json));
            return Ok(Code::Done);
        }
        let fleet = read("status", &json)?;
        screen.line(text::of(&fleet, terminal_columns()));
        Ok(Code::Done)
    }
}

/// The answer of the listener of a run directory, as JSON.
pub(super) fn ask(what: &str, run_dir: &Path, timeout: Duration) -> Result<String, Failure> {
    match client::request(run_dir, Request::Status, timeout, |_| ()) {
        Ok(Reply::Status(json)) => Ok(json),
        Ok(_) => Err(Failure::unexpected_answer(what)),
        Err(error) => Err(Failure::request(what, &error, 0)),
    }
}

/// Reads that answer.
pub(super) fn read(what: &str, json: &str) -> Result<Fleet, Failure> {
    Fleet::parse(json).map_err(|error| {
        Failure::failed(
            format_args!("{what}: the listener's answer can't be read"),
            format_args!("{error}; is it of the same version? `status --json` shows it as it is"),
        )
    })
}

/// The width of the terminal on which the result is shown, if it is one.
fn terminal_columns() -> Option<usize> {
    let out = std::io::stdout();
    if !out.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(&out).ok()?;
    (size.ws_col > 0).then(|| size.ws_col.into())
}

/// The same JSON without a character that a terminal would obey: they stand in texts only, and
/// JSON has an escape for each.
pub(super) fn terminal_safe(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.trim_end().chars() {
        if is_unsafe(c) && c != '\n' {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                safe.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            safe.push(c);
        }
    }
    safe
}
