//! The storm: workers x threads x records.

use std::time::Duration;

use fleetlog_worker::{Fleet, Layer, WhenFull};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::arguments::Arguments;

/// What is logged by whom.
pub(crate) struct Storm {
    workers: u64,
    threads: u64,
    records: u64,
    /// Bytes of ballast in each record.
    ballast: usize,
    /// Milliseconds; 0 = `drop_newest`.
    stall: u64,
    /// Added to the workers' numbers, so that two storms can share a log.
    first: u64,
}

impl From<&mut Arguments> for Storm {
    fn from(arguments: &mut Arguments) -> Self {
        Self {
            workers: arguments.take("workers", 8),
            threads: arguments.take("threads", 1),
            records: arguments.take("records", 1000),
            ballast: arguments.take("ballast", 0),
            stall: arguments.take("stall", 60_000),
            first: arguments.take("first", 0),
        }
    }
}

pub(crate) fn run(storm: &Storm) {
    let run_dir = std::env::var_os("FLEETLOG_RUN_DIR").expect("FLEETLOG_RUN_DIR");
    let when_full = match storm.stall {
        0 => WhenFull::DropNewest,
        milliseconds => WhenFull::Block { stall_budget: Duration::from_millis(milliseconds) },
    };
    let layer = Layer::builder().run_dir(&run_dir).when_full(when_full).build().expect("a layer");
    fleetlog_worker::registry().with(layer).init();
    let mut fleet = Fleet::new(run_dir).expect("a fleet");
    for worker in storm.first..storm.first + storm.workers {
        fleet.spawn(format!("worker {worker}"), || work(storm, worker)).expect("a fork");
    }
    let report = fleet.join().expect("all workers");
    assert!(report.is_success(), "{report:?}");
}

fn work(storm: &Storm, worker: u64) {
    let ballast = "x".repeat(storm.ballast);
    std::thread::scope(|scope| {
        for thread in 0..storm.threads {
            let ballast = &ballast;
            scope.spawn(move || {
                let source = format!("{worker}.{thread}");
                for n in 0..storm.records {
                    if ballast.is_empty() {
                        tracing::info!(source, n, "finished working on item {n}");
                    } else {
                        tracing::info!(source, n, ballast, "finished working on item {n}");
                    }
                }
            });
        }
    });
}
