//! `fleetlog status`: the state of a living fleet.

use std::collections::BTreeMap;
use std::time::Duration;

use fleetlog_protocol::client;
use fleetlog_protocol::message::{Reply, Request};
use serde::Deserialize;

use super::exit::{Code, Failure};
use super::flags::{Common, examples};
use super::screen::{BAD, BOLD, DIM, Screen, WARNING};
use super::table::{Align, Cell, Table, bytes, count, escape, is_unsafe, span, things};
use crate::config;

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
        let answer = client::request(&run_dir, Request::Status, self.timeout, |_| ());
        let Reply::Status(json) = answer.map_err(|error| Failure::request("status", &error, 0))?
        else {
            return Err(Failure::unexpected_answer("status"));
        };
        if self.json {
            screen.line(terminal_safe(&json));
            return Ok(Code::Done);
        }
        let fleet: Fleet = serde_json::from_str(&json).map_err(|error| {
            Failure::failed(
                "status: the listener's answer can't be read",
                format_args!("{error}; is it of the same version? --json shows it as it is"),
            )
        })?;
        screen.line(fleet.to_text());
        Ok(Code::Done)
    }
}

/// The same JSON without a character that a terminal would obey: they stand in texts only, and
/// JSON has an escape for each.
fn terminal_safe(json: &str) -> String {
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

#[derive(Debug, Deserialize)]
struct Fleet {
    listener: Listener,
    totals: Totals,
    workers: Vec<Worker>,
    sinks: Vec<Sink>,
    #[serde(default)]
    clients: Clients,
}

#[derive(Debug, Deserialize)]
struct Listener {
    pid: u32,
    uptime_seconds: f64,
    run_dir: String,
    version: String,
    /// Why nothing can be written at the moment.
    #[serde(default)]
    paused: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Totals {
    workers: u64,
    connected: u64,
    died: u64,
    written: u64,
    lines: u64,
    bytes: u64,
    dropped: BTreeMap<String, u64>,
    missing: u64,
    truncated: u64,
    doubles: u64,
    offences: u64,
    fallbacks: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Worker {
    name: String,
    pid: u32,
    uid: u32,
    connected: bool,
    transport: String,
    /// Why it does not use lanes, although it would.
    fallback: Option<String>,
    attempted: u64,
    written: u64,
    dropped: BTreeMap<String, u64>,
    missing: u64,
    seconds_since_last: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Sink {
    target: String,
    format: String,
    filter: String,
    lines: u64,
    bytes: u64,
    error: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Clients {
    connections: u64,
    offences: BTreeMap<String, u64>,
}

impl Fleet {
    fn to_text(&self) -> String {
        let mut parts = vec![self.summary()];
        if self.workers.is_empty() {
            parts.push(format!("{DIM}No worker is there.{DIM:#}"));
        } else {
            parts.push(self.worker_table().to_string());
            parts.extend(self.fallbacks());
        }
        parts.push(self.sink_table().to_string());
        parts.join("\n\n")
    }

    fn summary(&self) -> String {
        let Listener { pid, uptime_seconds, run_dir, version, paused } = &self.listener;
        let Totals { workers, connected, died, written, lines, .. } = &self.totals;
        let Totals { missing, truncated, doubles, offences, .. } = &self.totals;
        let mut table = Table::new(&[Align::Left, Align::Left], 0);
        let mut fact = |name: &str, value: Cell| {
            table.row(vec![Cell::text(name).styled(BOLD), value]);
        };
        fact(
            "listener",
            Cell::text(&format!("pid {pid}, up {}, fleetlog {version}", time(*uptime_seconds))),
        );
        if let Some(why) = paused {
            fact("paused", Cell::text(why).styled(BAD));
        }
        fact("run directory", Cell::text(run_dir));
        fact(
            "workers",
            Cell::text(&format!(
                "{} connected, {} seen, {} ended without a goodbye",
                count(*connected),
                count(*workers),
                count(*died)
            )),
        );
        fact(
            "written",
            Cell::text(&format!(
                "{}, {}, {}",
                things(*written, "record"),
                things(*lines, "line"),
                bytes(self.totals.bytes)
            )),
        );
        let dropped = total(&self.totals.dropped);
        let lost = format!(
            "{} dropped{}, {} missing, {} truncated",
            count(dropped),
            reasons(&self.totals.dropped),
            count(*missing),
            count(*truncated)
        );
        fact("lost", warn_if(dropped + missing + truncated > 0, Cell::text(&lost)));
        let offences_text = format!(
            "{}, {}{}, {} left out",
            things(self.clients.connections, "connection"),
            things(*offences, "offence"),
            reasons(&self.clients.offences),
            things(*doubles, "double")
        );
        fact("clients", warn_if(*offences > 0, Cell::text(&offences_text)));
        table.to_string()
    }

    fn worker_table(&self) -> Table {
        let mut table = Table::with_headline(
            &[
                ("WORKER", Align::Left),
                ("PID", Align::Right),
                ("UID", Align::Right),
                ("STATE", Align::Left),
                ("VIA", Align::Left),
                ("ATTEMPTED", Align::Right),
                ("WRITTEN", Align::Right),
                ("DROPPED", Align::Right),
                ("MISSING", Align::Right),
                ("LAST", Align::Right),
            ],
            0,
        );
        for worker in &self.workers {
            let state = if worker.connected { "connected" } else { "gone" };
            let dropped = total(&worker.dropped);
            let last = worker.seconds_since_last.map_or_else(|| "-".to_owned(), time);
            table.row(vec![
                Cell::text(&worker.name),
                Cell::text(&worker.pid.to_string()),
                Cell::text(&worker.uid.to_string()),
                Cell::text(state).styled(if worker.connected { GOOD_STATE } else { DIM }),
                Cell::text(&worker.transport),
                Cell::count(worker.attempted),
                Cell::count(worker.written),
                warn_if(dropped > 0, Cell::count(dropped)),
                warn_if(worker.missing > 0, Cell::count(worker.missing)),
                Cell::text(&last),
            ]);
        }
        table
    }

    /// Tells once for each reason why workers use the socket although they would use lanes.
    fn fallbacks(&self) -> Option<String> {
        let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
        for reason in self.workers.iter().filter_map(|worker| worker.fallback.as_deref()) {
            *reasons.entry(reason).or_default() += 1;
        }
        let lines: Vec<String> = reasons
            .into_iter()
            .map(|(reason, number)| {
                let workers = things(number, "worker");
                format!("{WARNING}{workers} over the socket: {}{WARNING:#}", escape(reason))
            })
            .collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    fn sink_table(&self) -> Table {
        let mut table = Table::with_headline(
            &[
                ("FILE", Align::Left),
                ("FORMAT", Align::Left),
                ("FILTER", Align::Left),
                ("LINES", Align::Right),
                ("BYTES", Align::Right),
                ("ERROR", Align::Left),
            ],
            0,
        );
        for sink in &self.sinks {
            table.row(vec![
                Cell::text(&sink.target),
                Cell::text(&sink.format),
                Cell::text(&sink.filter),
                Cell::count(sink.lines),
                Cell::text(&bytes(sink.bytes)),
                Cell::text(sink.error.as_deref().unwrap_or("-")).styled(match sink.error {
                    Some(_) => BAD,
                    None => DIM,
                }),
            ]);
        }
        table
    }
}

const GOOD_STATE: anstyle::Style = anstyle::AnsiColor::Green.on_default();

fn warn_if(bad: bool, cell: Cell) -> Cell {
    if bad { cell.styled(WARNING) } else { cell }
}

fn time(seconds: f64) -> String {
    Duration::try_from_secs_f64(seconds).map_or_else(|_| "?".to_owned(), span)
}

fn total(numbers: &BTreeMap<String, u64>) -> u64 {
    numbers.values().fold(0, |sum, number| sum.saturating_add(*number))
}

/// ` (full 3, no listener 4)`, or nothing.
fn reasons(numbers: &BTreeMap<String, u64>) -> String {
    let each = numbers.iter().filter(|(_, number)| **number > 0);
    let each: Vec<_> = each
        .map(|(reason, number)| format!("{} {}", escape(reason).replace('_', " "), count(*number)))
        .collect();
    if each.is_empty() { String::new() } else { format!(" ({})", each.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{
        "listener": {"pid": 7, "uptime_seconds": 61.5, "run_dir": "/run/x", "version": "0.1.0"},
        "totals": {"workers": 3, "connected": 1, "died": 0, "written": 1000, "lines": 2000, "bytes": 4096, "dropped": {"full": 3},
                   "missing": 0, "truncated": 0, "doubles": 1, "offences": 2},
        "workers": [{"name": "evil\u001b[2J", "pid": 8, "uid": 1000, "connected": true,
                     "transport": "socket", "attempted": 1003, "written": 1000,
                     "dropped": {"full": 3}, "missing": 0, "seconds_since_last": 2.25}],
        "sinks": [{"target": "/a.log", "format": "text", "filter": "all", "lines": 2000,
                   "bytes": 4096, "error": null}],
        "clients": {"connections": 1, "offences": {"garbage": 2}}
    }"#;

    fn plain(json: &str) -> String {
        let fleet: Fleet = serde_json::from_str(json).unwrap();
        anstream::adapter::strip_str(&fleet.to_text()).to_string()
    }

    #[test]
    fn the_numbers_of_the_answer_stand_in_the_table() {
        let text = plain(ANSWER);
        for part in [
            "pid 7, up 1m 1s",
            "1 connected, 3 seen",
            "/run/x",
            "3 dropped (full 3)",
            "2 offences (garbage 2)",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(text.contains("evil\\u{1b}[2J") && !text.contains('\u{1b}'), "{text}");
        assert!(text.contains("1,003    1,000        3"), "{text}");
    }

    #[test]
    fn a_fleet_without_workers_or_with_a_full_disk_says_so() {
        let mut answer: serde_json::Value = serde_json::from_str(ANSWER).unwrap();
        answer["workers"] = serde_json::json!([]);
        answer["listener"]["paused"] = "no room".into();
        let text = plain(&answer.to_string());
        assert!(text.contains("No worker is there.") && text.contains("paused         no room"));
    }

    #[test]
    fn json_for_programs_is_the_same_value_and_safe_on_a_terminal() {
        let hostile = "{\"name\":\"a\u{9b}31m\u{202e}\u{7f}é\"}";
        let safe = terminal_safe(hostile);
        assert!(!safe.chars().any(is_unsafe), "{safe:?}");
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&safe), value(hostile));
    }
}
