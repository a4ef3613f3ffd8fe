//! `fleetlog level`: what living workers log, changed from outside.

use std::collections::BTreeMap;
use std::time::Duration;

use fleetlog_protocol::client;
use fleetlog_protocol::level_control::WorkerPattern;
use fleetlog_protocol::limits::{DIRECTIVES_MAX, WORKER_PATTERN_MAX};
use fleetlog_protocol::message::{LevelChange, Reply, Request};
use jiff::{SignedDuration, Zoned};
use serde::Deserialize;

use super::exit::{Code, Failure};
use super::flags::{Common, examples};
use super::screen::{BOLD, DIM, Screen};
use super::status::terminal_safe;
use super::table::{Align, Cell, Table, escape, span, things};
use crate::config;
use crate::route::Directives;

/// Change what living workers log: within a second, also in silent ones and those started later
///
/// The directives are laid over the filter that a worker was started with: a target that they name
/// is theirs, a bare level is for every target, and everything else stays as it was. `off` silences.
/// A later change for the same workers takes the place of the former; one for named workers comes
/// before one for all. Workers that have not logged yet heed it as well, but are not counted. Those
/// that are not fleetlog's own, over syslog or as JSON, have no level that could be changed here.
#[derive(clap::Args, Debug)]
#[command(after_help = examples(&[
    ("Look into one worker for five minutes", "fleetlog level app=debug --worker 'worker 7' --for 5m"),
    ("Silence a chatty library everywhere", "fleetlog level hyper=off"),
    ("What is in force", "fleetlog level --show"),
    ("Everybody logs again what it was started with", "fleetlog level --reset"),
]))]
#[command(group(clap::ArgGroup::new("what").required(true).args(["directives", "show", "reset"])))]
pub(super) struct Level {
    /// Levels and targets: warn, app=debug, app::job=off
    #[arg(value_name = "DIRECTIVES", value_parser = directives)]
    directives: Option<String>,

    /// Only these workers: a name with or without * and ?, a pid, or NAME[PID]
    #[arg(short, long, value_name = "WORKER", value_parser = worker, conflicts_with = "show")]
    worker: Option<String>,

    /// How long; by itself it then is as before. Without it, until --reset
    #[arg(long = "for", value_name = "TIME", value_parser = lasting)]
    #[arg(conflicts_with_all = ["show", "reset"])]
    lasting: Option<Duration>,

    /// Show the changes that are in force
    #[arg(long)]
    show: bool,

    /// With --show: print JSON
    #[arg(long, requires = "show")]
    json: bool,

    /// Take back the change for --worker, named as when it was made, or all changes
    #[arg(long)]
    reset: bool,

    /// The longest wait for an answer
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = config::duration)]
    timeout: Duration,
}

/// What a listener would refuse is refused before one is asked.
fn directives(text: &str) -> Result<String, String> {
    let read: Directives = text.parse().map_err(|error| format!("{error}"))?;
    if text.len().max(read.to_string().len()) > DIRECTIVES_MAX {
        return Err(format!("they are too long: give at most {DIRECTIVES_MAX} bytes"));
    }
    Ok(text.to_owned())
}

fn worker(text: &str) -> Result<String, String> {
    match text.len() {
        0 => Err("it is empty: give a name, a pid, or NAME[PID]".to_owned()),
        1..=WORKER_PATTERN_MAX => Ok(text.to_owned()),
        _ => Err(format!("it is too long: give at most {WORKER_PATTERN_MAX} bytes")),
    }
}

fn lasting(text: &str) -> Result<Duration, String> {
    let lasting = config::duration(text).map_err(|refused| refused.to_string())?;
    match lasting.as_secs() {
        0 => Err("it is too short: give at least 1s".to_owned()),
        1..=31_622_400 => Ok(lasting),
        _ => Err("it is too long: give at most 366d, or no --for".to_owned()),
    }
}

impl Level {
    pub(super) fn run(&self, common: &Common, screen: &mut Screen) -> Result<Code, Failure> {
        let run_dir = common.run_dir()?;
        let request = match &self.directives {
            Some(directives) => Request::SetLevel(LevelChange {
                directives: directives.clone(),
                worker: self.worker.clone(),
                // No shorter than asked.
                for_seconds: self
                    .lasting
                    .map(|time| time.as_millis().div_ceil(1000))
                    .map(|s| u64::try_from(s).unwrap_or(u64::MAX - 1)),
            }),
            None if self.reset => Request::ResetLevel { worker: self.worker.clone() },
            None => Request::Levels,
        };
        let answer = client::request(&run_dir, request, self.timeout, |_| ());
        let Reply::Levels(json) = answer.map_err(|error| Failure::request("level", &error, 0))?
        else {
            return Err(Failure::unexpected_answer("level"));
        };
        if self.json {
            screen.line(terminal_safe(&json));
            return Ok(Code::Done);
        }
        if common.quiet && !self.show {
            return Ok(Code::Done);
        }
        let answer: Answer = serde_json::from_str(&json).map_err(|error| {
            Failure::failed(
                "level: the listener's answer can't be read",
                format_args!("{error}; is it of the same version?"),
            )
        })?;
        if self.show {
            screen.line(answer.to_table());
        } else if self.reset {
            screen.line(self.told_of_reset());
        } else {
            let is_this = |set: &&Set| set.worker == self.worker;
            if let Some(set) = answer.levels.iter().find(is_this) {
                screen.line(format_args!(
                    "{} for {}, {}",
                    escape(&set.directives),
                    set.whom(),
                    set.until()
                ));
            }
            // The change is made, whether the listener tells of its workers or not.
            if let Ok(Reply::Status(json)) =
                client::request(&run_dir, Request::Status, self.timeout, |_| ())
                && let Ok(fleet) = serde_json::from_str::<Fleet>(&json)
            {
                screen.line(fleet.reached(self.worker.as_deref()));
            }
        }
        Ok(Code::Done)
    }

    fn told_of_reset(&self) -> String {
        match &self.worker {
            None => "Every worker logs what it was started with.".to_owned(),
            Some(worker) => format!("The change for {} is taken back.", escape(worker)),
        }
    }
}

#[derive(Debug, Deserialize)]
struct Answer {
    levels: Vec<Set>,
}

/// A change that is in force.
#[derive(Debug, Deserialize)]
struct Set {
    directives: String,
    #[serde(default)]
    worker: Option<String>,
    #[serde(default)]
    seconds_left: Option<f64>,
}

impl Set {
    fn whom(&self) -> String {
        self.worker.as_deref().map_or_else(|| "all workers".to_owned(), escape)
    }

    /// `until 10:05:00 (in 5m)`
    fn until(&self) -> String {
        let Some(left) = self.seconds_left else { return "until it is reset".to_owned() };
        // The answer took a moment; five minutes are not to read `4m 59s`.
        let left = Duration::try_from_secs_f64(left.round()).unwrap_or_default();
        let end = SignedDuration::try_from(left)
            .ok()
            .and_then(|left| Zoned::now().checked_add(left).ok());
        let is_near = left < Duration::from_secs(12 * 60 * 60);
        let format = if is_near { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
        let end = end.map_or_else(|| "?".to_owned(), |end| end.strftime(format).to_string());
        format!("until {end} (in {})", span(left))
    }
}

impl Answer {
    fn to_table(&self) -> String {
        if self.levels.is_empty() {
            return format!("{DIM}No change: every worker logs what it was started with.{DIM:#}");
        }
        let columns =
            [("DIRECTIVES", Align::Left), ("WORKERS", Align::Left), ("UNTIL", Align::Left)];
        let mut table = Table::with_headline(&columns, 0);
        for set in &self.levels {
            let until = set.until();
            table.row(vec![
                Cell::text(&set.directives).styled(BOLD),
                Cell::text(set.worker.as_deref().unwrap_or("all")),
                Cell::text(until.strip_prefix("until ").unwrap_or(&until)),
            ]);
        }
        table.to_string()
    }
}

/// What the status tells of those who are to heed a change.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Fleet {
    workers: Vec<Worker>,
    workers_left_out: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Worker {
    name: String,
    pid: u32,
    connected: bool,
    transport: String,
}

impl Worker {
    /// Only fleetlog's own workers have a filter that is known here.
    fn is_foreign(&self) -> bool {
        !matches!(self.transport.as_str(), "lanes" | "socket")
    }
}

impl Fleet {
    fn reached(&self, worker: Option<&str>) -> String {
        let pattern = worker.map(WorkerPattern::parse);
        let connected: Vec<&Worker> =
            self.workers.iter().filter(|worker| worker.connected).collect();
        let fits = |worker: &&&Worker| {
            pattern.as_ref().is_none_or(|pattern| pattern.fits(&worker.name, worker.pid))
        };
        let (foreign, own): (Vec<&Worker>, Vec<&Worker>) =
            connected.iter().filter(fits).partition(|worker| worker.is_foreign());
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let all = things(number(connected.len()), "connected worker");
        let mut text = match own.len() {
            0 => format!("None of {all} heeds it; others do once they are there, or log."),
            1 => format!("1 of {all} heeds it."),
            heeding => format!("{heeding} of {all} heed it."),
        };
        if self.workers_left_out > 0 {
            let others = things(self.workers_left_out, "more worker");
            text += &format!(" The status leaves out {others}.");
        }
        let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
        for worker in &foreign {
            *kinds.entry(&worker.transport).or_default() += 1;
        }
        if !kinds.is_empty() {
            let kinds = kinds.iter().map(|(kind, count)| format!("{} {count}", escape(kind)));
            let kinds = kinds.collect::<Vec<_>>().join(", ");
            let clients = things(number(foreign.len()), "foreign client");
            text += &format!("\n{clients} ({kinds}): no level that could be changed from here.");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet() -> Fleet {
        let json = r#"{"workers":[
            {"name":"worker 7","pid":70,"connected":true,"transport":"lanes"},
            {"name":"worker 8","pid":80,"connected":true,"transport":"socket"},
            {"name":"worker 9","pid":90,"connected":false,"transport":"lanes"},
            {"name":"worker p","pid":10,"connected":true,"transport":"json\u001b[2J"},
            {"name":"nginx","pid":11,"connected":true,"transport":"syslog"}]}"#;
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn it_is_told_how_many_heed_and_that_foreigners_can_not() {
        let all = fleet().reached(None);
        assert!(all.starts_with("2 of 4 connected workers heed it.\n2 foreign clients"), "{all}");
        assert!(all.contains("syslog 1") && !all.contains('\u{1b}'), "{all}");
        let one = fleet().reached(Some("worker 7"));
        assert_eq!(one, "1 of 4 connected workers heeds it.");
        let none = fleet().reached(Some("nobody"));
        assert!(none.starts_with("None of 4 connected workers"), "{none}");
        let foreign = fleet().reached(Some("11"));
        assert!(foreign.contains("1 foreign client (syslog 1)"), "{foreign}");
    }

    #[test]
    fn an_end_is_told_as_a_time_and_from_now() {
        let set = |seconds_left| Set { directives: "debug".to_owned(), worker: None, seconds_left };
        assert_eq!(set(None).until(), "until it is reset");
        let soon = set(Some(299.98)).until();
        assert!(
            soon.ends_with("(in 5m)") && soon.len() == "until 10:05:00 (in 5m)".len(),
            "{soon}"
        );
        let late = set(Some(86_400.0 * 30.0)).until();
        assert!(late.starts_with("until 20") && late.ends_with("(in 30d)"), "{late}");
    }

    #[test]
    fn what_others_chose_reaches_no_terminal_as_it_is() {
        let hostile = Set {
            directives: "a\u{1b}[2J=debug".to_owned(),
            worker: Some("w\u{9b}31m".to_owned()),
            seconds_left: None,
        };
        assert!(!hostile.whom().contains('\u{9b}'));
        let table = Answer { levels: vec![hostile] }.to_table();
        let plain = anstream::adapter::strip_str(&table).to_string();
        assert!(plain.contains("a\\u{1b}[2J=debug") && plain.contains("\\u{9b}31m"), "{plain}");
    }

    #[test]
    fn values_that_a_listener_would_refuse_are_refused_before() {
        assert!(directives("inof").unwrap_err().contains("`info`"));
        assert!(directives(&"a,".repeat(DIRECTIVES_MAX)).unwrap_err().contains("too long"));
        assert!(worker("").is_err() && worker(&"w".repeat(257)).is_err());
        assert!(lasting("500ms").unwrap_err().contains("at least 1s"));
        assert!(lasting("400d").unwrap_err().contains("366d"));
        assert_eq!(lasting("1h30m"), Ok(Duration::from_secs(5400)));
    }
}
