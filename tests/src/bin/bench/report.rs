//! The tables, in Markdown: medians over the rounds, with the least and the most.

use std::fmt;

use crate::completeness::Verdict;
use crate::host::{self, Machine};
use crate::options::Options;
use crate::peer::Peer;
use crate::trial::Course;
use crate::workload::{BURST, Calls};

/// Everything that was measured.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) options: Options,
    pub(crate) machine: Machine,
    pub(crate) throughput: Vec<ThroughputRow>,
    pub(crate) calls: Vec<CallRow>,
}

/// One peer's throughput, round by round.
#[derive(Debug)]
pub(crate) struct ThroughputRow {
    pub(crate) peer: Peer,
    courses: Vec<Course>,
}

/// One peer's single calls with a number of workers, round by round.
#[derive(Debug)]
pub(crate) struct CallRow {
    pub(crate) peer: Peer,
    pub(crate) workers: u32,
    rounds: Vec<(Course, Calls)>,
}

impl ThroughputRow {
    pub(crate) const fn new(peer: Peer) -> Self {
        Self { peer, courses: Vec::new() }
    }

    pub(crate) fn add(&mut self, course: Course) {
        self.courses.push(course);
    }

    fn rates(&self) -> Vec<f64> {
        self.figures(|course| records(course) / course.time.as_secs_f64())
    }

    /// Microseconds of CPU time for each record, of all processes.
    fn costs(&self) -> Vec<f64> {
        self.figures(|course| micros_per_record(course, course.workers + course.listener))
    }

    fn figures(&self, figure: impl Fn(&Course) -> f64) -> Vec<f64> {
        self.courses.iter().map(figure).collect()
    }
}

impl CallRow {
    pub(crate) const fn new(peer: Peer, workers: u32) -> Self {
        Self { peer, workers, rounds: Vec::new() }
    }

    pub(crate) fn add(&mut self, round: (Course, Calls)) {
        self.rounds.push(round);
    }

    fn figures(&self, figure: impl Fn(&Calls) -> u64) -> Spread {
        let nanoseconds = self.rounds.iter().map(|(_, calls)| figure(calls));
        // Every time in a table is exact as an `f64`: they are below 2^53 nanoseconds.
        Spread::of(nanoseconds.map(|time| time as f64 / 1000.0).collect())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.options.quick {
            writeln!(
                f,
                "A quick run: it shows that the benchmark works. Its figures mean nothing.\n"
            )?;
        }
        self.write_throughput(f)?;
        self.write_calls(f)?;
        self.write_circumstances(f)
    }
}

impl Report {
    fn write_throughput(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Options { workers, records, rounds, .. } = self.options;
        writeln!(
            f,
            "### Throughput: {workers} workers, {records} records each, {rounds} rounds\n"
        )?;
        f.write_str(
            "| peer | records/s, until all are in the file | against the first | CPU per record, \
             all processes | workers' share of it | lines out of order | file |\n\
             |---|---|---|---|---|---|---|\n",
        )?;
        for row in &self.throughput {
            let mut verdict = Verdict::default();
            row.courses.iter().for_each(|course| verdict.add(course.verdict));
            writeln!(
                f,
                "| {} | {:.0} | {:.2} | {:.2} µs | {:.2} µs | {} | {verdict} |",
                row.peer,
                Spread::of(row.rates()),
                self.ratios(row),
                Spread::of(row.costs()),
                Spread::of(row.figures(|course| micros_per_record(course, course.workers))),
                share(verdict.late, verdict.lines),
            )?;
        }
        f.write_str("\n")
    }

    /// Compares within each round: what disturbed a round disturbed its peers alike.
    fn ratios(&self, row: &ThroughputRow) -> Spread {
        let first = self.throughput.first().map(ThroughputRow::rates).unwrap_or_default();
        Spread::of(row.rates().iter().zip(first).map(|(rate, first)| rate / first).collect())
    }

    fn write_calls(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.calls.is_empty() {
            return Ok(());
        }
        let Options { bursts, rounds, .. } = self.options;
        writeln!(
            f,
            "### Single calls: {BURST} records every millisecond, {bursts} bursts a worker, \
             {rounds} rounds\n"
        )?;
        f.write_str(
            "| workers | peer | calls | p50 µs | p99 µs | p99.9 µs | max µs | late bursts | file \
             |\n|---|---|---|---|---|---|---|---|---|\n",
        )?;
        for row in &self.calls {
            let (mut verdict, mut calls, mut late) = (Verdict::default(), 0, 0);
            for (course, round) in &row.rounds {
                verdict.add(course.verdict);
                calls += round.times.count();
                late += round.late;
            }
            writeln!(
                f,
                "| {} | {} | {calls} | {:.2} | {:.2} | {:.1} | {:.0} | {} | {verdict} |",
                row.workers,
                row.peer,
                row.figures(|calls| calls.times.quantile(500)),
                row.figures(|calls| calls.times.quantile(990)),
                row.figures(|calls| calls.times.quantile(999)),
                row.figures(|calls| calls.times.max()),
                share(late, calls / u64::from(BURST)),
            )?;
        }
        f.write_str("\n")
    }

    fn write_circumstances(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let courses = self.throughput.iter().flat_map(|row| &row.courses);
        let rounds = self.calls.iter().flat_map(|row| &row.rounds);
        let foreign = courses.chain(rounds.clone().map(|(course, _)| course));
        let foreign = Spread::of(foreign.map(|course| course.foreign).collect());
        let Machine { cpus, kernel, load_before } = &self.machine;
        write!(
            f,
            "Median (least to most) of the rounds. {cpus} CPUs, Linux {kernel}; load average \
             {load_before} before and {} after; other processes had {foreign:.0} % of the CPUs",
            host::load()
        )?;
        let clock = rounds.map(|(_, calls)| calls.clock).max();
        if let Some(clock) = clock {
            write!(f, "; {clock} ns of each call are the clock's own and taken off")?;
        }
        f.write_str(".\n")
    }
}

/// The median of some figures, the least and the most.
#[derive(Clone, Copy, Debug)]
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    fn of(mut figures: Vec<f64>) -> Self {
        figures.sort_by(f64::total_cmp);
        let at = |index: usize| figures.get(index).copied().unwrap_or(f64::NAN);
        let last = figures.len().saturating_sub(1);
        let median = f64::midpoint(at(last / 2), at(last.div_ceil(2)));
        Self { median, least: at(0), most: at(last) }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        write!(f, "{:.digits$} ({:.digits$} to {:.digits$})", self.median, self.least, self.most)
    }
}

/// A record that is lost was no work done.
fn records(course: &Course) -> f64 {
    course.verdict.kept().max(1) as f64
}

fn micros_per_record(course: &Course, time: std::time::Duration) -> f64 {
    time.as_secs_f64() * 1e6 / records(course)
}

fn share(part: u64, whole: u64) -> String {
    match part {
        0 => "none".to_owned(),
        part => format!("{:.2} %", 100.0 * part as f64 / whole.max(1) as f64),
    }
}
