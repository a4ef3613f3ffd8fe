//! Growth: what thousands of threads that logged once and stay cost those that log.

use std::fmt;
use std::io;
use std::time::Duration;

use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

use super::{Listen, Row, Table, heading};
use crate::options::Options;
use crate::peer::Peer;
use crate::trial::{Course, Trial};
use crate::workload;

/// How long records may take into the file.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug)]
pub(super) struct Growth {
    workers: u32,
    records: u32,
    rounds: u32,
    /// By peer and the processes and threads that idle.
    rows: Vec<Row<(Peer, Idle), Busy>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Idle {
    processes: u32,
    threads: u32,
}

const NO_IDLE: Idle = Idle { processes: 0, threads: 0 };

/// What the time of the busy ones took.
#[derive(Clone, Copy, Debug)]
struct Busy {
    /// From their start until everything is in the file.
    time: Duration,
    /// The listener's CPU time.
    listener: Duration,
}

impl Growth {
    pub(super) fn new(options: &Options) -> Self {
        let Options { workers, records, rounds, idle: (processes, threads), .. } = *options;
        let idle = Idle { processes, threads };
        let settings =
            options.fleetlog().flat_map(|peer| [NO_IDLE, idle].map(move |idle| (peer, idle)));
        Self { workers, records, rounds, rows: settings.map(Row::new).collect() }
    }

    fn alone(&self, peer: Peer) -> Option<&Row<(Peer, Idle), Busy>> {
        self.rows.iter().find(|row| row.setting == (peer, NO_IDLE))
    }
}

impl Table for Growth {
    fn round(&mut self, tell: Listen<'_>) -> io::Result<()> {
        for row in &mut self.rows {
            let (peer, idle) = row.setting;
            tell(&format!("growth of {peer}, {} processes idle", idle.processes));
            let (course, busy) = measure(peer, idle, self.workers, self.records)?;
            row.add(course, busy);
        }
        Ok(())
    }

    fn foreign(&self) -> Vec<f64> {
        self.rows.iter().flat_map(Row::foreign).collect()
    }
}

fn measure(peer: Peer, idle: Idle, workers: u32, records: u32) -> io::Result<(Course, Busy)> {
    let trial = Trial::begin(peer)?;
    let idlers = trial.fork(workers..workers + idle.processes, |_, leave, gate| {
        let end = gate.end()?;
        workload::log_and_stay(idle.threads, 1, end, || {
            // What they logged must not be drained in the time of the others.
            fleetlog_worker::sync(PATIENCE).map_err(io::Error::other)?;
            gate.wait()
        })?;
        leave();
        Ok(Vec::new())
    })?;
    let pool = trial.fork(0..workers, |_, leave, gate| {
        gate.wait()?;
        workload::log_all(0..records);
        fleetlog_worker::sync(PATIENCE).map_err(io::Error::other)?;
        leave();
        Ok(Vec::new())
    })?;
    idlers.open()?;
    let before = cpu_time(trial.listener()?)?;
    let (start, _) = pool.run()?;
    let busy = Busy { time: start.elapsed(), listener: cpu_time(trial.listener()?)? - before };
    idlers.finish()?;
    let mut expected = vec![records; workers as usize];
    expected.resize((workers + idle.processes) as usize, idle.threads);
    Ok((trial.end(start, &expected)?, busy))
}

/// The CPU time of a process that runs, to the nanosecond: `/proc` knows hundredths of a second.
fn cpu_time(process: Pid) -> io::Result<Duration> {
    Ok(clock_getcpuclockid(process)?.now()?.into())
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { workers, records, rounds, .. } = self;
        heading(
            f,
            &format!(
                "Growth: {workers} workers of one thread, {records} records each, beside threads \
                 that logged once and stay, {rounds} rounds"
            ),
            &[
                "peer",
                "idle threads",
                "listener's CPU per record",
                "against none idle",
                "records/s against none idle",
                "file",
            ],
        )?;
        let logged = f64::from(*workers) * f64::from(*records);
        for row in &self.rows {
            let (peer, idle) = row.setting;
            writeln!(
                f,
                "| {peer} | {} | {:.0} ns | {:.2} | {:.2} | {} |",
                idle.processes * idle.threads,
                row.spread(|_, busy| busy.listener.as_secs_f64() * 1e9 / logged),
                row.against(self.alone(peer), |_, busy| busy.listener.as_secs_f64()),
                row.against(self.alone(peer), |_, busy| 1.0 / busy.time.as_secs_f64()),
                row.verdict(),
            )?;
        }
        Ok(())
    }
}
