//! Isolation: single calls of quiet workers beside one that logs as fast as it can.
//!
//! Where workers share CPUs, any busy neighbour delays them. So there is a third row, beside a
//! process that computes and logs nothing: what the flood costs beyond that is the logger's.

use std::fmt;
use std::hint::black_box;
use std::io;

use super::{Listen, Row, Table, heading};
use crate::options::Options;
use crate::peer::{Leave, Peer};
use crate::pool::Gate;
use crate::trial::{Course, Trial};
use crate::workload::{self, BURST, Calls};

/// Steps between two looks for the end, about as long as the flood's.
const STEPS: u64 = 100_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Neighbour {
    None,
    Computes,
    Floods,
}

impl fmt::Display for Neighbour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "nobody",
            Self::Computes => "one that computes",
            Self::Floods => "one that floods",
        })
    }
}

/// What the quiet workers saw, and the records that their neighbour logged meanwhile.
#[derive(Debug)]
struct Beside {
    calls: Calls,
    flood: u32,
}

#[derive(Debug)]
pub(super) struct Isolation {
    /// Quiet workers.
    quiet: u32,
    bursts: u32,
    rounds: u32,
    rows: Vec<Row<(Peer, Neighbour), Beside>>,
}

impl Isolation {
    pub(super) fn new(options: &Options) -> Self {
        let neighbours = [Neighbour::None, Neighbour::Computes, Neighbour::Floods];
        let settings =
            options.fleetlog().flat_map(|peer| neighbours.map(move |neighbour| (peer, neighbour)));
        Self {
            quiet: options.workers.saturating_sub(1).max(1),
            bursts: options.bursts.max(1),
            rounds: options.rounds,
            rows: settings.map(Row::new).collect(),
        }
    }

    fn alone(&self, peer: Peer) -> Option<&Row<(Peer, Neighbour), Beside>> {
        self.rows.iter().find(|row| row.setting == (peer, Neighbour::None))
    }
}

impl Table for Isolation {
    fn round(&mut self, tell: Listen<'_>) -> io::Result<()> {
        for row in &mut self.rows {
            let (peer, neighbour) = row.setting;
            tell(&format!("calls of {peer} beside {neighbour}"));
            let (course, beside) = measure(peer, neighbour, self.quiet, self.bursts)?;
            row.add(course, beside);
        }
        Ok(())
    }

    fn foreign(&self) -> Vec<f64> {
        self.rows.iter().flat_map(Row::foreign).collect()
    }
}

fn measure(
    peer: Peer,
    neighbour: Neighbour,
    quiet: u32,
    bursts: u32,
) -> io::Result<(Course, Beside)> {
    let trial = Trial::begin(peer)?;
    let neighbours = u32::from(neighbour != Neighbour::None);
    let mut beside = trial.fork(quiet..quiet + neighbours, |_, leave, gate| {
        gate.wait()?;
        disturb(neighbour, leave, gate)
    })?;
    let pool = trial.fork(0..quiet, |_, leave, gate| {
        workload::warm_up();
        gate.wait()?;
        let calls = workload::log_in_bursts(bursts);
        leave();
        Ok(calls.encode())
    })?;
    beside.open()?;
    beside.meet()?;
    let (start, results) = pool.run()?;
    let flood = beside.finish()?.first().and_then(|bytes| bytes.as_slice().try_into().ok());
    let flood = flood.map_or(0, u32::from_le_bytes);
    let mut records = vec![workload::records_of_bursts(bursts); quiet as usize];
    records.push(flood);
    let course = trial.end(start, &records)?;
    Ok((course, Beside { calls: Calls::of(&results)?, flood }))
}

/// The neighbour's life: it is under way before the quiet ones start, and ends after them.
/// Returns how many records it logged.
fn disturb(neighbour: Neighbour, leave: Leave, gate: &mut Gate) -> io::Result<Vec<u8>> {
    let end = gate.end()?;
    let flood = if neighbour == Neighbour::Floods {
        workload::flood(&end, || gate.arrive())?
    } else {
        gate.arrive()?;
        while !end.is_here()? {
            black_box((0..STEPS).fold(0, |sum, step| black_box(sum ^ step)));
        }
        0
    };
    leave();
    Ok(flood.to_le_bytes().to_vec())
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { quiet, bursts, rounds, .. } = self;
        heading(
            f,
            &format!(
                "Isolation: single calls of {quiet} workers, {BURST} records every millisecond, \
                 {bursts} bursts a worker, {rounds} rounds"
            ),
            &[
                "peer",
                "beside",
                "p50 µs",
                "p99 µs",
                "p99 against beside nobody",
                "the neighbour's records",
                "file",
            ],
        )?;
        for row in &self.rows {
            let (peer, neighbour) = row.setting;
            writeln!(
                f,
                "| {peer} | {neighbour} | {:.3} | {:.2} | {:.2} | {:.0} | {} |",
                row.spread(|_, beside| beside.calls.micros(5000)),
                row.spread(|_, beside| beside.calls.micros(9900)),
                row.against(self.alone(peer), |_, beside| beside.calls.micros(9900)),
                row.spread(|_, beside| f64::from(beside.flood)),
                row.verdict(),
            )?;
        }
        Ok(())
    }
}
