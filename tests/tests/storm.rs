//! Storms: many workers, many records, one file.

use fleetlog_tests::{Fixture, binaries, judge};

fn storm(arguments: &[&str], sources: usize, records: u64) {
    let fixture = Fixture::new(binaries!());
    let listener = fixture.listener().start();
    fixture.workload(["storm"].iter().chain(arguments)).succeed();
    let receipt = listener.stop();
    assert!(receipt.is_complete(), "{receipt:?}");
    judge::judge(&fixture.log()).demand_exact(sources, records);
}

#[test]
fn eight_workers_log_a_hundred_thousand_records_each() {
    storm(&["--workers", "8", "--records", "100000"], 8, 100_000);
}
