//! Watching a fleet with other people's tools, and what they must not see: metrics, the dashboard
//! and its alerts, lnav, deduplication and redaction.

mod dedup;
mod lnav;
mod metrics;
mod redaction;
mod status;

use std::path::{Path, PathBuf};

use fleetlog_tests::{Fixture, binaries};

fn fixture() -> Fixture {
    Fixture::new(binaries!())
}

fn of_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}
