//! Throughput: workers log as fast as they can, until every line is in the file.

use std::fmt;
use std::io;

use super::{Listen, Row, Table, heading, share};
use crate::options::Options;
use crate::peer::Peer;
use crate::trial::{Course, Trial};
use crate::workload;

#[derive(Debug)]
pub(super) struct Throughput {
    workers: u32,
    records: u32,
    rounds: u32,
    rows: Vec<Row<Peer>>,
}

impl Throughput {
    pub(super) fn new(options: &Options) -> Self {
        let Options { workers, records, rounds, .. } = *options;
        let rows = options.peers.iter().copied().map(Row::new).collect();
        Self { workers, records, rounds, rows }
    }
}

impl Table for Throughput {
    fn round(&mut self, tell: Listen<'_>) -> io::Result<()> {
        for row in &mut self.rows {
            tell(&format!("throughput of {}", row.setting));
            row.add(measure(row.setting, self.workers, self.records)?, ());
        }
        Ok(())
    }

    fn foreign(&self) -> Vec<f64> {
        self.rows.iter().flat_map(Row::foreign).collect()
    }
}

fn measure(peer: Peer, workers: u32, records: u32) -> io::Result<Course> {
    let trial = Trial::begin(peer)?;
    let pool = trial.fork(0..workers, |_, leave, gate| {
        gate.wait()?;
        workload::log_all(0..records);
        leave();
        Ok(Vec::new())
    })?;
    let (start, _) = pool.run()?;
    trial.end(start, &vec![records; workers as usize])
}

impl fmt::Display for Throughput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { workers, records, rounds, .. } = self;
        heading(
            f,
            &format!("Throughput: {workers} workers, {records} records each, {rounds} rounds"),
            &[
                "peer",
                "records/s, until all are in the file",
                "against the first",
                "CPU per record, all processes",
                "against the first",
                "workers' share of it",
                "lines out of order",
                "file",
            ],
        )?;
        let first = self.rows.first();
        for row in &self.rows {
            let verdict = row.verdict();
            let order = verdict.0.map(|verdict| share(verdict.late, verdict.lines));
            writeln!(
                f,
                "| {} | {:.0} | {:.2} | {:.2} µs | {:.2} | {:.2} µs | {} | {verdict} |",
                row.setting,
                row.spread(rate),
                row.against(first, rate),
                row.spread(cost),
                row.against(first, cost),
                row.spread(|course, ()| course.workers.as_secs_f64() * 1e6 / course.records()),
                order.as_deref().unwrap_or("-"),
            )?;
        }
        Ok(())
    }
}

fn rate(course: &Course, (): &()) -> f64 {
    course.records() / course.time.as_secs_f64()
}

/// Microseconds of CPU time for each record, of all processes.
fn cost(course: &Course, (): &()) -> f64 {
    (course.workers + course.consumer).as_secs_f64() * 1e6 / course.records()
}
