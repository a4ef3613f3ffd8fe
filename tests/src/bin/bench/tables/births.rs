//! Births: processes that are forked, log one record and exit.
//!
//! One process sets the peer up and is the parent of all others, which log through what they
//! inherit. They end by `exit`, as a program does: handlers run, and fleetlog takes leave.

use std::fmt;
use std::io;
use std::process;

use nix::unistd::ForkResult;

use super::{Listen, Row, Table, heading};
use crate::options::Options;
use crate::peer::Peer;
use crate::pool::{fork_here, wait_for_any};
use crate::trial::{Course, Trial};
use crate::workload;

/// Processes that may live at a time: one after the other, as a shell's, or a few, as a server's.
const AT_ONCE: [u32; 2] = [1, 8];

#[derive(Debug)]
pub(super) struct Births {
    processes: u32,
    rounds: u32,
    /// By the number that live at a time and peer.
    rows: Vec<Row<(u32, Peer)>>,
}

impl Births {
    pub(super) fn new(options: &Options) -> Self {
        let peers = || {
            let peers = options.peers.iter().copied();
            // The appender's thread does not survive a fork; the others are compared elsewhere.
            peers.filter(|peer| *peer == Peer::Append || peer.is_fleetlog())
        };
        let settings = AT_ONCE.into_iter().flat_map(|alive| peers().map(move |peer| (alive, peer)));
        Self {
            processes: options.births,
            rounds: options.rounds,
            rows: settings.map(Row::new).collect(),
        }
    }

    fn append(&self, alive: u32) -> Option<&Row<(u32, Peer)>> {
        self.rows.iter().find(|row| row.setting == (alive, Peer::Append))
    }
}

impl Table for Births {
    fn round(&mut self, tell: Listen<'_>) -> io::Result<()> {
        for row in &mut self.rows {
            let (alive, peer) = row.setting;
            tell(&format!("births of {peer}, {alive} at a time"));
            row.add(measure(peer, alive, self.processes)?, ());
        }
        Ok(())
    }

    fn foreign(&self) -> Vec<f64> {
        self.rows.iter().flat_map(Row::foreign).collect()
    }
}

fn measure(peer: Peer, alive: u32, processes: u32) -> io::Result<Course> {
    let trial = Trial::begin(peer)?;
    let pool = trial.fork(0..1, |_, leave, gate| {
        gate.wait()?;
        bear(alive, processes)?;
        leave();
        Ok(Vec::new())
    })?;
    let (start, _) = pool.run()?;
    trial.end(start, &[processes])
}

fn bear(alive: u32, processes: u32) -> io::Result<()> {
    for item in 0..processes {
        if item >= alive {
            wait_for_any(None)?;
        }
        if let ForkResult::Child = fork_here()? {
            workload::log_all(item..item + 1);
            process::exit(0);
        }
    }
    for _ in 0..alive.min(processes) {
        wait_for_any(None)?;
    }
    Ok(())
}

impl fmt::Display for Births {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { processes, rounds, .. } = self;
        heading(
            f,
            &format!(
                "Births: {processes} processes that are forked, log one record and exit, \
                 {rounds} rounds"
            ),
            &[
                "at a time",
                "peer",
                "time per process, until all are in the file",
                "against the append",
                "file",
            ],
        )?;
        for row in &self.rows {
            let (alive, peer) = row.setting;
            let time = |course: &Course, (): &()| course.time.as_secs_f64() * 1e6;
            writeln!(
                f,
                "| {alive} | {peer} | {:.0} µs | {:.2} | {} |",
                row.spread(|course, none| time(course, none) / f64::from(*processes)),
                row.against(self.append(alive), time),
                row.verdict(),
            )?;
        }
        Ok(())
    }
}
