//! Stalls: the longest call of a worker with hundreds of threads, while its listener is healthy,
//! stopped, or stutters.
//!
//! The stall budget bounds every call, however many others wait; what is beyond it here is the time
//! that a thread waits for a CPU. More is logged than a lane or the window holds, so that a listener
//! that does not read costs records: whether each is written or told is looked at.

use std::fmt;
use std::io;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Listen, Spread, Table, heading};
use crate::consumer::Consumer;
use crate::options::Options;
use crate::peer::{Peer, set_up_fleetlog};
use crate::place::Place;
use crate::pool::Pool;
use crate::workload;

/// The stall budget that a worker has unless it is told otherwise.
const BUDGET: Duration = Duration::from_secs(1);

/// How long a listener that goes on may take to write what waits.
const PATIENCE: Duration = Duration::from_secs(60);

/// A listener that stutters runs for the first of these times, then it is stopped for the second.
const STUTTER: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(300));

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Healthy,
    Stopped,
    Stutters,
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Healthy => "is healthy",
            Self::Stopped => "is stopped",
            Self::Stutters => "stutters",
        })
    }
}

/// What one round showed.
#[derive(Debug)]
struct Outcome {
    longest: Duration,
    written: u64,
    dropped: u64,
}

#[derive(Debug)]
struct StallRow {
    peer: Peer,
    health: Health,
    rounds: Vec<Outcome>,
}

#[derive(Debug)]
pub(super) struct Stalls {
    threads: u32,
    /// Records of each thread.
    records: u32,
    rounds: u32,
    rows: Vec<StallRow>,
}

impl Stalls {
    pub(super) fn new(options: &Options) -> Self {
        let healths = [Health::Healthy, Health::Stopped, Health::Stutters];
        let rows = options
            .fleetlog()
            .flat_map(|peer| healths.map(|health| StallRow { peer, health, rounds: Vec::new() }));
        let (threads, records) = options.stalls;
        Self { threads, records, rounds: options.rounds, rows: rows.collect() }
    }
}

impl Table for Stalls {
    fn round(&mut self, tell: Listen<'_>) -> io::Result<()> {
        for row in &mut self.rows {
            tell(&format!("calls of {} while the listener {}", row.peer, row.health));
            row.rounds.push(measure(row.peer, row.health, self.threads, self.records)?);
        }
        Ok(())
    }

    fn foreign(&self) -> Vec<f64> {
        Vec::new()
    }
}

fn measure(peer: Peer, health: Health, threads: u32, records: u32) -> io::Result<Outcome> {
    let place = Place::new()?;
    let consumer = Consumer::fleetlog(&place)?;
    let listener = consumer.listener()?;
    let stutterers = u32::from(health == Health::Stutters);
    let beside = Pool::fork(0..stutterers, |_, gate| {
        gate.wait()?;
        let end = gate.end()?;
        while !end.is_here()? {
            stutter(listener)?;
        }
        Ok(Vec::new())
    })?;
    let mut pool = Pool::fork(0..1, |_, gate| {
        let transport = peer.transport().unwrap_or_default();
        let leave = set_up_fleetlog("worker".to_owned(), transport, &place, BUDGET)?;
        workload::warm_up();
        gate.wait()?;
        let longest = workload::longest_call(threads, records)?;
        gate.arrive()?;
        gate.end()?.wait()?;
        // A leave waits no longer than what an outage has left of the budget: nothing here.
        let _ = fleetlog_worker::sync(PATIENCE);
        leave();
        let nanoseconds = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
        Ok(nanoseconds.to_le_bytes().to_vec())
    })?;
    beside.open()?;
    if health == Health::Stopped {
        kill(listener, Signal::SIGSTOP)?;
    }
    pool.open()?;
    pool.meet()?;
    beside.finish()?;
    // What a worker's window holds is lost with the worker if nobody takes it before.
    kill(listener, Signal::SIGCONT)?;
    let results = pool.finish()?;
    let (written, dropped) = consumer.end_with_losses(&place)?;
    let nanoseconds = results.first().and_then(|bytes| bytes.as_slice().try_into().ok());
    let longest = Duration::from_nanos(nanoseconds.map_or(0, u64::from_le_bytes));
    Ok(Outcome { longest, written, dropped })
}

fn stutter(listener: Pid) -> io::Result<()> {
    thread::sleep(STUTTER.0);
    kill(listener, Signal::SIGSTOP)?;
    thread::sleep(STUTTER.1);
    kill(listener, Signal::SIGCONT)?;
    Ok(())
}

impl fmt::Display for Stalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { threads, records, rounds, .. } = self;
        heading(
            f,
            &format!(
                "Stalls: the longest call of {threads} threads of one worker, {records} records \
                 each, a stall budget of {} s, {rounds} rounds",
                BUDGET.as_secs()
            ),
            &["peer", "the listener", "longest call, ms", "dropped and told", "account"],
        )?;
        let attempted = u64::from(workload::records_of_stalls(*threads, *records));
        for StallRow { peer, health, rounds } in &self.rows {
            let told = |outcome: &Outcome| outcome.written + outcome.dropped == attempted;
            writeln!(
                f,
                "| {peer} | {health} | {:.0} | {:.0} | {} |",
                Spread::of(rounds.iter().map(|outcome| outcome.longest.as_secs_f64() * 1e3)),
                Spread::of(rounds.iter().map(|outcome| outcome.dropped as f64)),
                if rounds.iter().all(told) { "complete" } else { "INCOMPLETE" },
            )?;
        }
        Ok(())
    }
}
