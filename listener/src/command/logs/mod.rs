//! `fleetlog logs`: the lines of a log, its old files included.
//!
//! Reads what is there and ends, or follows what comes; a listener need not live, and one that does
//! is not disturbed: its files are read, and nobody asks it anything but how they are called.

mod cursor;
mod cursor_file;
mod follow;
mod layout;
mod merge;
mod output;
mod output_file;
mod print;
pub(crate) mod sources;
mod when;

use std::collections::VecDeque;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::exit::{Code, Failure};
use super::flags::{Common, examples};
use super::screen::Screen;
use super::table::things;
use crate::archive::Snapshot;
use crate::reading::Converter;
use crate::tail::{Filter, Grep, Levels, Worker};
use cursor::{Cursor, Reading, Way};
use layout::Output;
use merge::Merge;
use print::Printer;
use sources::{Living, Sources, unreadable};

/// Read the log: the current file and the old ones, compressed or not, in order
///
/// Times without a zone are local. Patterns without a capital letter take capitals for small
/// letters. On a terminal the lines go through $FLEETLOG_PAGER, $PAGER or less.
#[derive(clap::Args, Debug)]
#[command(after_help = examples(&[
    ("The last ten lines of the fleet's log", "fleetlog logs -n 10"),
    ("Warnings and errors of an hour", "fleetlog logs -p warn -S '2 hours ago' -U '1 hour ago'"),
    ("One worker, by name or by pid", "fleetlog logs -w 'worker 3' -w 4711"),
    ("What a module says of a request, in a file of its own",
     "fleetlog logs --file apps.log -t my_app::db -g 'id=17' -o raw > found.log"),
    ("Live, errors only", "fleetlog logs -f -n 0 -p error"),
    ("Into a file, each line once, whatever is killed meanwhile",
     "fleetlog logs -f --cursor-file place -o raw >> copy.log"),
    ("For programs", "fleetlog logs -o json -S today | jq .fields.message"),
]))]
pub(super) struct Logs {
    #[command(flatten)]
    sources: Sources,

    /// The last lines only
    #[arg(short = 'n', long, value_name = "COUNT")]
    lines: Option<usize>,

    /// Not before this time: '2026-11-22 10:00:00', 10:00, yesterday, 1h, '2 days ago', @EPOCH
    #[arg(short = 'S', long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<String>,

    /// Not after this time
    #[arg(short = 'U', long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,

    /// This level and the more severe ones, or a range such as warn..error
    #[arg(short = 'p', long, value_name = "LEVEL", value_parser = Levels::parse)]
    priority: Option<Levels>,

    /// A worker: a name, with * and ? if you like, a pid, or NAME[PID]; may be given several times
    #[arg(short = 'w', long, value_name = "WORKER", value_parser = Worker::parse)]
    worker: Vec<Worker>,

    /// A target and what lies below it, such as my_app::db; may be given several times
    #[arg(short = 't', long, value_name = "TARGET")]
    target: Vec<String>,

    /// Lines whose text fits this regular expression
    #[arg(short = 'g', long, value_name = "REGEX")]
    grep: Option<String>,

    /// The layout: short (text), short-iso (with local times), json, json-pretty, cat (message and
    /// fields), raw (lines as they stand), or a template such as '{time} {worker} {message}'
    #[arg(short = 'o', long, value_parser = Output::parser(), value_name = "LAYOUT")]
    #[arg(default_value = "short", hide_possible_values = true)]
    output: Output,

    /// Go on with new lines as they come: the last ten lines first, or as -n and -S say. Follows
    /// rotation, compression and restarts of the listener
    #[arg(short = 'f', long, conflicts_with_all = ["until", "reverse"])]
    follow: bool,

    /// Keep the place in this file, and go on there the next time: each line once, also when this
    /// command is killed, if standard output is a file of its own. Without the file: from the oldest
    /// line on
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    #[arg(conflicts_with_all = ["until", "reverse"])]
    cursor_file: Option<PathBuf>,

    /// The newest line first
    #[arg(short = 'r', long)]
    reverse: bool,

    /// Take times without a zone for UTC
    #[arg(long)]
    utc: bool,

    /// Never start a pager
    #[arg(long)]
    no_pager: bool,
}

impl Logs {
    pub(super) fn run(&self, common: &Common, screen: &mut Screen) -> Result<Code, Failure> {
        let filter = self.filter()?;
        let living = Living::ask(&common.run_dir()?);
        if self.follow || self.cursor_file.is_some() {
            return follow::run(self, &filter, &living, common, screen);
        }
        let sources = self.sources.find("logs", common, &living)?;
        let mut snapshots = Vec::new();
        for log in sources.iter().flat_map(|source| &source.logs) {
            snapshots.push(snapshot(log)?);
        }
        let mut reading = Reading {
            needs_head: filter.needs_head() || filter.grep.is_some() || snapshots.len() > 1,
            filter: &filter,
            converter: Converter::new(),
            problems: Vec::new(),
            unknown: 0,
            watch: None,
        };
        let way = if self.reverse || self.lines.is_some() { Way::Backward } else { Way::Forward };
        let cursors = snapshots.into_iter().map(|log| Cursor::new(log, way, &filter)).collect();
        self.print(cursors, way, &mut reading)?;
        note_unknown(reading.unknown, screen);
        if reading.problems.is_empty() {
            return Ok(Code::Done);
        }
        Err(Failure::new(Code::Failed, reading.problems.join("\n")))
    }

    fn print(
        &self,
        cursors: Vec<Cursor>,
        way: Way,
        reading: &mut Reading<'_>,
    ) -> Result<(), Failure> {
        let mut printer = self.printer();
        let wants_pager = !self.no_pager && self.lines.is_none();
        let mut output = output::Output::open(wants_pager)
            .map_err(|error| Failure::failed("standard output can't be written", error))?;
        reading.watch = output.watch();
        let mut merge = Merge::new(cursors, way, reading);
        let mut left = self.lines.unwrap_or(usize::MAX);
        let mut kept = VecDeque::new();
        while left > 0 && output.is_wanted() {
            let Some(found) = merge.next(reading) else { break };
            left -= 1;
            if way == Way::Forward || self.reverse {
                if !output.write(printer.print(&found.line, found.layout)) {
                    break;
                }
            } else {
                kept.push_front(found);
            }
        }
        for found in &kept {
            if !output.write(printer.print(&found.line, found.layout)) {
                break;
            }
        }
        reading.watch = None;
        output.finish()
    }

    fn printer(&self) -> Printer {
        let is_terminal = io::stdout().is_terminal();
        let colors = anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never;
        Printer::new(self.output.clone(), is_terminal, colors, self.utc)
    }

    fn filter(&self) -> Result<Filter, Failure> {
        let zone = if self.utc { TimeZone::UTC } else { TimeZone::system() };
        let now: Zoned = Timestamp::now().to_zoned(zone);
        let time = |flag: &str, text: &Option<String>| {
            let time = text.as_deref().map(|text| when::parse(text, &now)).transpose();
            time.map_err(|error| Failure::usage(format_args!("logs: {flag}"), error))
        };
        let grep = self.grep.as_deref().map(Grep::parse).transpose();
        Ok(Filter {
            since: time("--since", &self.since)?,
            until: time("--until", &self.until)?,
            levels: self.priority,
            workers: self.worker.clone(),
            targets: self.target.clone(),
            grep: grep.map_err(|error| Failure::usage("logs: --grep", error))?,
        })
    }
}

fn note_unknown(unknown: u64, screen: &mut Screen) {
    if unknown > 0 {
        let lines = things(unknown, "line");
        screen.note(format_args!("fleetlog: {lines} of no known layout left out; -g finds them"));
    }
}

fn snapshot(log: &Path) -> Result<Snapshot, Failure> {
    Snapshot::take(log).map_err(|error| unreadable("logs", log, &error))
}
