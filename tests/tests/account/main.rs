//! The true account: whatever way a record is lost, the receipt, the status, the metrics, the log and
//! `verify` tell the same, and nobody says "Nothing was lost" who can't know it.

mod numbers;
mod permission;
mod reasons;
mod views;

use fleetlog_tests::{Fixture, binaries};

fn fixture() -> Fixture {
    Fixture::new(binaries!())
}
