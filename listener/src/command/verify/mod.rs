//! `fleetlog verify`: the proof that a log is what was written.
//!
//! Reads everything and changes nothing. A listener may live and write, rotate, compress and
//! remove all the while.
#![deny(clippy::arithmetic_side_effects, reason = "these numbers come from anybody")]

mod check;
mod findings;
mod sequence;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::exit::{Code, Failure};
use super::flags::{Common, examples};
use super::logs::sources::{Living, Source, Sources, unreadable};
use super::screen::Screen;
use super::table::{bytes, things};
use crate::checkpoint::Said;
use crate::reading::Layout;
use crate::route::Directives;
use check::{Checked, Expected, check, size};
use findings::{Kind, Report};

/// Between two words about how far it is.
const PROGRESS: Duration = Duration::from_millis(100);

/// Prove that the log is whole: every line, every sequence number, every old file
///
/// Reads the current file and the old ones, of a living listener too. Every line must end and be
/// of its layout; in JSON, each worker's numbers must be unbroken, or the log must say why not;
/// compressed files must be intact; and without a listener the checkpoint must agree. Ends with 0
/// if everything holds, with 1 if there is damage.
#[derive(clap::Args, Debug)]
#[command(after_help = examples(&[
    ("The log of the listener in the run directory", "fleetlog verify"),
    ("A log by its name", "fleetlog verify --file /backup/apps.log"),
    ("For programs", "fleetlog verify --json | jq '.findings[]'"),
    ("A log that was to have warnings and errors only",
     "fleetlog verify --file apps.log --filter warn"),
]))]
pub(super) struct Verify {
    #[command(flatten)]
    sources: Sources,

    /// The filter of the log, as it was given to its listener: what it leaves out is not missed
    /// [default: what the configuration or the listener says, else none]
    #[arg(long, value_name = "DIRECTIVES")]
    filter: Option<Directives>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(super) fn run(&self, common: &Common, screen: &mut Screen) -> Result<Code, Failure> {
        let run_dir = common.run_dir()?;
        let living = Living::ask(&run_dir);
        let mut sources = self.sources.find("verify", common, &living)?;
        if let Some(filter) = &self.filter {
            sources.iter_mut().for_each(|source| source.filter = Some(filter.clone()));
        }
        // That of a living listener is ahead or behind at any moment.
        let read = || {
            Said::read(&run_dir)
                .map_err(|error| Failure::failed("verify: the checkpoint can't be read", error))
        };
        let checkpoint = if living.is_there { None } else { read()? };
        let mut progress = Progress::new(&sources);
        let mut report = Report::default();
        for source in &sources {
            report.add(verify(source, &living, checkpoint.as_ref(), &mut progress, screen)?);
        }
        screen.line(if self.json { report.to_json() } else { report.to_text() });
        Ok(if report.is_whole() { Code::Done } else { Code::Failed })
    }
}

/// Reads the logs of one source.
fn verify(
    source: &Source,
    living: &Living,
    checkpoint: Option<&Said>,
    progress: &mut Progress,
    screen: &mut Screen,
) -> Result<Report, Failure> {
    let layout = |format: &String| match format.as_str() {
        "json" => Layout::Json,
        "text" => Layout::Text,
        _ => Layout::Unknown,
    };
    let expected = Expected {
        layout: source.format.as_ref().map(layout),
        is_filtered: source.is_filtered(),
        is_live: living.is_there,
        paused: living.paused.clone(),
        checkpoint: checkpoint.cloned(),
    };
    let mut report = Report::default();
    // In how many of the logs each process has records.
    let mut spread: HashMap<u32, u32> = HashMap::new();
    for log in &source.logs {
        let mut read = || -> Result<Checked, Failure> {
            let mut tell = |done: u64| progress.tell(done, screen);
            check(log, &expected, &mut tell).map_err(|error| unreadable("verify", log, &error))
        };
        let mut checked = read()?;
        // A listener that starts undoes what the last one left, under the eyes of whoever reads.
        if living.is_there && !checked.report.is_whole() {
            checked = read()?;
        }
        for pid in checked.sequences.pids() {
            let logs = spread.entry(pid).or_default();
            *logs = u32::saturating_add(*logs, 1);
        }
        report.add(checked.report);
        progress.next(log);
    }
    if source.is_per_worker() {
        let was_renamed = |pid: u32| spread.get(&pid).is_some_and(|logs| *logs > 1);
        report.take_back(|finding| {
            finding.kind == Kind::Missing && finding.pid.is_some_and(was_renamed)
        });
        let renamed = spread.values().filter(|logs| **logs > 1).count() as u64;
        if renamed > 0 {
            let workers = things(renamed, "worker");
            report.note(format!(
                "the records of {workers} stand in several files because of a new name; missing \
                 ones of these can't be seen"
            ));
        }
    }
    Ok(report)
}

/// How far the command is.
struct Progress {
    total: u64,
    files: usize,
    /// Bytes and logs that are done.
    done: u64,
    logs: usize,
    told: Option<Instant>,
}

impl Progress {
    fn new(sources: &[Source]) -> Self {
        let logs: Vec<_> = sources.iter().flat_map(|source| &source.logs).collect();
        let total = logs.iter().map(|log| size(log)).sum();
        Self { total, files: logs.len(), done: 0, logs: 0, told: None }
    }

    fn tell(&mut self, done: u64, screen: &mut Screen) {
        if self.told.is_some_and(|told| told.elapsed() < PROGRESS) {
            return;
        }
        self.told = Some(Instant::now());
        let done = self.done.saturating_add(done).min(self.total);
        let percent = done.saturating_mul(100).checked_div(self.total).unwrap_or(100);
        let (log, logs) = (self.logs.saturating_add(1), self.files);
        let (done, total) = (bytes(done), bytes(self.total));
        screen.progress(format_args!(
            "verifying: {percent} %, {done} of {total}, log {log} of {logs}"
        ));
    }

    fn next(&mut self, log: &std::path::Path) {
        self.done = self.done.saturating_add(size(log));
        self.logs = self.logs.saturating_add(1);
    }
}
