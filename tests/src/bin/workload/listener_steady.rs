//! The steady fleet: it logs until it is told to end, whatever happens to its listener, and then
//! waits until everything is in the files.
//!
//! It ends when the file `--until` exists. Each thread then leaves its count of records in a
//! file beside it, named `<until>.<source>`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fleetlog_worker::{Fleet, Layer, WhenFull};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::arguments::Arguments;

/// What is logged by whom.
pub(crate) struct Steady {
    workers: u64,
    threads: u64,
    until: PathBuf,
    /// The pause after each burst, in microseconds.
    pause: u64,
    /// The records of a burst.
    burst: u64,
    /// Bytes of ballast in each record.
    ballast: usize,
    /// Added to the workers' numbers.
    first: u64,
    /// Whether the workers end without taking leave, and without waiting for the files.
    hasty: bool,
}

impl From<&mut Arguments> for Steady {
    fn from(arguments: &mut Arguments) -> Self {
        Self {
            workers: arguments.take("workers", 2),
            threads: arguments.take("threads", 2),
            until: arguments.take("until", PathBuf::new()),
            pause: arguments.take("pause", 1000),
            burst: arguments.take("burst", 32),
            ballast: arguments.take("ballast", 0),
            first: arguments.take("first", 0),
            hasty: arguments.take("hasty", false),
        }
    }
}

/// Longer than any test lets an outage last.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) fn run(steady: &Steady) {
    let mut fleet = fleet();
    for worker in steady.first..steady.first + steady.workers {
        fleet.spawn(format!("worker {worker}"), || work(steady, worker)).expect("a fork");
    }
    let report = fleet.join().expect("all workers");
    assert!(report.is_success(), "{report:?}");
}

/// A fleet whose members never drop a record for want of a listener.
pub(crate) fn fleet() -> Fleet {
    let run_dir = std::env::var_os("FLEETLOG_RUN_DIR").expect("FLEETLOG_RUN_DIR");
    let when_full = WhenFull::Block { stall_budget: PATIENCE };
    let layer = Layer::builder().run_dir(&run_dir).when_full(when_full).build().expect("a layer");
    fleetlog_worker::registry().with(layer).init();
    Fleet::new(run_dir).expect("a fleet")
}

fn work(steady: &Steady, worker: u64) -> Result<(), String> {
    // A test that fails kills the parent alone.
    // SAFETY: the call takes plain numbers and changes nothing but a flag of this process.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let ballast = "x".repeat(steady.ballast);
    let counts: Vec<(String, u64)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..steady.threads)
            .map(|thread| {
                let (source, ballast) = (format!("{worker}.{thread}"), &ballast);
                scope.spawn(move || {
                    let count = log_until(steady, &source, ballast);
                    (source, count)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread")).collect()
    });
    if steady.hasty {
        leave(&steady.until, &counts)?;
        // SAFETY: the process ends at once, as one that is killed would.
        unsafe { libc::_exit(0) }
    }
    fleetlog_worker::sync(PATIENCE).map_err(|error| error.to_string())?;
    leave(&steady.until, &counts)
}

fn log_until(steady: &Steady, source: &str, ballast: &str) -> u64 {
    let mut n = 0;
    while !steady.until.exists() {
        for _ in 0..steady.burst {
            if ballast.is_empty() {
                tracing::info!(source, n, "finished working on item {n}");
            } else {
                tracing::info!(source, n, ballast, "finished working on item {n}");
            }
            n += 1;
        }
        std::thread::sleep(Duration::from_micros(steady.pause));
    }
    n
}

/// Leaves the counts where the test finds them.
pub(crate) fn leave(until: &Path, counts: &[(String, u64)]) -> Result<(), String> {
    for (source, count) in counts {
        let path = format!("{}.{source}", until.display());
        std::fs::write(path, count.to_string()).map_err(|error| error.to_string())?;
    }
    Ok(())
}
