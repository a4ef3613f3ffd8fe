//! Single calls: how long a worker that logs in bursts is held up by one record.

use std::fmt;
use std::io;

use super::{Listen, Row, Spread, Table, heading, share};
use crate::options::Options;
use crate::peer::Peer;
use crate::trial::{Course, Trial};
use crate::workload::{self, BURST, Calls};

#[derive(Debug)]
pub(super) struct CallTable {
    bursts: u32,
    rounds: u32,
    /// By workers and peer.
    rows: Vec<Row<(u32, Peer), Calls>>,
}

impl CallTable {
    pub(super) fn new(options: &Options) -> Self {
        let workers = options.call_workers();
        let rows = workers
            .flat_map(|workers| options.peers.iter().map(move |peer| Row::new((workers, *peer))));
        Self { bursts: options.bursts, rounds: options.rounds, rows: rows.collect() }
    }

    /// The floor with a number of workers.
    fn floor(&self, workers: u32) -> Option<&Row<(u32, Peer), Calls>> {
        self.rows.iter().find(|row| row.setting == (workers, Peer::Floor))
    }
}

impl Table for CallTable {
    fn round(&mut self, tell: Listen<'_>) -> io::Result<()> {
        for row in &mut self.rows {
            let (workers, peer) = row.setting;
            tell(&format!("calls of {peer}, {workers} workers"));
            let (course, calls) = measure(peer, workers, self.bursts)?;
            row.add(course, calls);
        }
        Ok(())
    }

    fn foreign(&self) -> Vec<f64> {
        self.rows.iter().flat_map(Row::foreign).collect()
    }
}

fn measure(peer: Peer, workers: u32, bursts: u32) -> io::Result<(Course, Calls)> {
    let trial = Trial::begin(peer)?;
    let pool = trial.fork(0..workers, |_, leave, gate| {
        workload::warm_up();
        gate.wait()?;
        let calls = workload::log_in_bursts(bursts);
        leave();
        Ok(calls.encode())
    })?;
    let (start, results) = pool.run()?;
    let records = vec![workload::records_of_bursts(bursts); workers as usize];
    Ok((trial.end(start, &records)?, Calls::of(&results)?))
}

impl fmt::Display for CallTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bursts, rounds, .. } = self;
        heading(
            f,
            &format!(
                "Single calls: {BURST} records every millisecond, {bursts} bursts a worker, \
                 {rounds} rounds"
            ),
            &[
                "workers",
                "peer",
                "calls",
                "p50 µs",
                "p50 against the floor's",
                "p99 µs",
                "p99 against its p50",
                "p99.9 µs",
                "p99.99 µs",
                "late bursts",
                "file",
            ],
        )?;
        for row in &self.rows {
            let (workers, peer) = row.setting;
            let calls: u64 = row.measured().map(Calls::count).sum();
            let late: u64 = row.measured().map(|calls| calls.late).sum();
            writeln!(
                f,
                "| {workers} | {peer} | {calls} | {:.3} | {:.2} | {:.2} | {:.1} | {:.1} | {:.0} \
                 | {} | {} |",
                row.spread(|_, calls| calls.micros(5000)),
                row.against(self.floor(workers), |_, calls| calls.micros(5000)),
                row.spread(|_, calls| calls.micros(9900)),
                row.spread(|_, calls| calls.micros(9900) / calls.micros(5000)),
                row.spread(|_, calls| calls.micros(9990)),
                row.spread(|_, calls| calls.micros(9999)),
                share(late, calls / u64::from(BURST)),
                row.verdict(),
            )?;
        }
        let clock = Spread::of(self.rows.iter().flat_map(Row::measured).map(Calls::clock));
        writeln!(f, "\n{clock:.0} ns of each call are the clock's own and taken off.")
    }
}
