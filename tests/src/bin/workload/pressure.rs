//! Pressure: a worker that logs while nobody drains it, and measures what its calls cost.
//!
//! It goes in steps that the test allows by making files in `--folder`: `go`, then `finish`; it
//! announces `ready` and `logged`.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::arguments::Arguments;
use crate::setup::{PATIENCE, Setup, announce, wait_for};
use crate::signals;

/// A call that takes this long has waited, or lost the processor for very long.
const SLOW: Duration = Duration::from_millis(50);

pub(crate) struct Pressure {
    setup: Setup,
    /// Records at INFO, and as many at WARN and ERROR together.
    records: u64,
    urgent: u64,
    ballast: usize,
    /// Whether a record is in the file before the test begins.
    warm: bool,
    /// Whether to wait for the files at the end.
    sync: bool,
    /// Whether an alarm rings every millisecond.
    alarm: bool,
    folder: PathBuf,
}

impl From<&mut Arguments> for Pressure {
    fn from(arguments: &mut Arguments) -> Self {
        Self {
            setup: Setup::from(&mut *arguments),
            records: arguments.take("records", 1000),
            urgent: arguments.take("urgent", 0),
            ballast: arguments.take("ballast", 0),
            warm: arguments.take("warm", true),
            sync: arguments.take("sync", true),
            alarm: arguments.take("alarm", false),
            folder: arguments.take("folder", PathBuf::new()),
        }
    }
}

pub(crate) fn run(pressure: &Pressure) {
    pressure.setup.install();
    if pressure.warm {
        tracing::info!("warm");
        fleetlog_worker::sync(PATIENCE).expect("a listener");
    }
    announce(&pressure.folder, "ready");
    wait_for(&pressure.folder, "go");
    if pressure.alarm {
        signals::ring_every_millisecond();
    }
    let ballast = "x".repeat(pressure.ballast);
    let (mut longest, mut slow) = (Duration::ZERO, Duration::ZERO);
    let mut attempted = u64::from(pressure.warm);
    for n in 0..pressure.records + pressure.urgent {
        let begin = Instant::now();
        match n.checked_sub(pressure.records) {
            None => tracing::info!(source = "info", n, ballast, "not urgent"),
            Some(n) if n % 2 == 0 => tracing::warn!(source = "urgent", n, "urgent"),
            Some(n) => tracing::error!(source = "urgent", n, "urgent"),
        }
        let took = begin.elapsed();
        attempted += 1;
        longest = longest.max(took);
        if took > SLOW {
            slow += took;
        }
    }
    let rings = signals::rings();
    let mut out = std::io::stdout();
    writeln!(out, "attempted={attempted}").expect("standard output");
    writeln!(out, "longest_ms={}", longest.as_millis()).expect("standard output");
    writeln!(out, "slow_ms={}", slow.as_millis()).expect("standard output");
    writeln!(out, "rings={rings}").expect("standard output");
    announce(&pressure.folder, "logged");
    wait_for(&pressure.folder, "finish");
    if pressure.sync {
        fleetlog_worker::sync(PATIENCE).expect("everything that was kept is in the file");
    }
}
