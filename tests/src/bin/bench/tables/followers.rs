//! Followers: throughput while other processes follow the log.
//!
//! Stopped ones cost nothing but what the system does to ring them. Running ones read every line, on
//! the CPUs that the workers log on: what they cost there is not the drain's.

use std::fmt;
use std::fs;
use std::io;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Listen, Row, Table, heading};
use crate::options::Options;
use crate::peer::Peer;
use crate::trial::{Course, Trial};
use crate::workload;

/// The command that this program runs as a follower.
pub(crate) const FOLLOW: &str = "logs";

/// How long a follower may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    Nobody,
    Running(usize),
    Stopped(usize),
}

impl fmt::Display for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str("nobody"),
            Self::Running(count) => write!(f, "{count} that run"),
            Self::Stopped(count) => write!(f, "{count} that are stopped"),
        }
    }
}

#[derive(Debug)]
pub(super) struct Followers {
    workers: u32,
    records: u32,
    rounds: u32,
    rows: Vec<Row<(Peer, Beside)>>,
}

impl Followers {
    pub(super) fn new(options: &Options) -> Self {
        let sides = [Beside::Nobody, Beside::Stopped(50), Beside::Running(3)];
        let settings = options.fleetlog().flat_map(|peer| sides.map(move |beside| (peer, beside)));
        let Options { workers, records, rounds, .. } = *options;
        Self { workers, records, rounds, rows: settings.map(Row::new).collect() }
    }

    fn alone(&self, peer: Peer) -> Option<&Row<(Peer, Beside)>> {
        self.rows.iter().find(|row| row.setting == (peer, Beside::Nobody))
    }
}

impl Table for Followers {
    fn round(&mut self, tell: Listen<'_>) -> io::Result<()> {
        for row in &mut self.rows {
            let (peer, beside) = row.setting;
            tell(&format!("throughput of {peer}, followed by {beside}"));
            row.add(measure(peer, beside, self.workers, self.records)?, ());
        }
        Ok(())
    }

    fn foreign(&self) -> Vec<f64> {
        self.rows.iter().flat_map(Row::foreign).collect()
    }
}

fn measure(peer: Peer, beside: Beside, workers: u32, records: u32) -> io::Result<Course> {
    let trial = Trial::begin(peer)?;
    let count = match beside {
        Beside::Nobody => 0,
        Beside::Running(count) | Beside::Stopped(count) => count,
    };
    let followers: Vec<_> =
        (0..count).map(|_| Follower::start(&trial)).collect::<Result<_, _>>()?;
    for follower in &followers {
        follower.await_state('S')?;
        if matches!(beside, Beside::Stopped(_)) {
            kill(follower.pid(), Signal::SIGSTOP)?;
            follower.await_state('T')?;
        }
    }
    let pool = trial.fork(0..workers, |_, leave, gate| {
        gate.wait()?;
        workload::log_all(0..records);
        leave();
        Ok(Vec::new())
    })?;
    let (start, _) = pool.run()?;
    // The followers are waited for behind the account of the trial's own processes.
    let course = trial.end(start, &vec![records; workers as usize]);
    drop(followers);
    course
}

/// A process that follows the log of a trial; it is killed when this is dropped.
struct Follower(Child);

impl Follower {
    fn start(trial: &Trial) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([FOLLOW, "-f", "-n", "0", "-o", "raw", "--file"]).arg(trial.place().file());
        command.arg("--run-dir").arg(trial.place().run_dir());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(command.spawn()?))
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.0.id().cast_signed())
    }

    /// Waits until the process has its file open and is in a state, as the kernel names it.
    fn await_state(&self, state: char) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let of = |name: &str| format!("/proc/{}/{name}", self.0.id());
        loop {
            let stat = fs::read_to_string(of("stat"))?;
            let is_so = stat.contains(&format!(") {state} "));
            let has_log = fs::read_dir(of("fd"))?.flatten().any(|entry| {
                fs::read_link(entry.path()).is_ok_and(|path| path.ends_with("apps.log"))
            });
            if is_so && has_log {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(io::Error::other(format!("a follower never came to state {state}")));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // Both fail for one that has ended by itself, and nothing is left to do then.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl fmt::Display for Followers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { workers, records, rounds, .. } = self;
        heading(
            f,
            &format!(
                "Followers: {workers} workers, {records} records each, while others follow the \
                 log, {rounds} rounds"
            ),
            &[
                "peer",
                "followed by",
                "records/s, until all are in the file",
                "against nobody",
                "CPU per record, workers and listener",
                "file",
            ],
        )?;
        for row in &self.rows {
            let (peer, beside) = row.setting;
            writeln!(
                f,
                "| {peer} | {beside} | {:.0} | {:.2} | {:.2} µs | {} |",
                row.spread(rate),
                row.against(self.alone(peer), rate),
                row.spread(|course, ()| {
                    (course.workers + course.consumer).as_secs_f64() * 1e6 / course.records()
                }),
                row.verdict(),
            )?;
        }
        Ok(())
    }
}

fn rate(course: &Course, (): &()) -> f64 {
    course.records() / course.time.as_secs_f64()
}
