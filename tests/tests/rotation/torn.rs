//! A last line without an end, as a loss of power leaves it: whatever comes next, no other line is
//! harmed by it.

use std::fs;
use std::time::{Duration, SystemTime};

use fleetlog_tests::{Fixture, chapters, judge, wait};

use crate::{fixture, listener, log, storm};

const TORN: &str = "{\"timestamp\":\"2026-11-22T10:00:00Z\",\"lev";

/// Leaves a log whose last line has no end.
fn tear(fixture: &Fixture, bytes: usize) {
    let text = format!("{}\n{TORN}", "x".repeat(bytes));
    fs::write(log(fixture), text).expect("a log");
}

/// The file with the torn line is an archive, the line is its last one, and everything else is exact.
fn demand_ended(fixture: &Fixture, records: u64) {
    let archives = chapters::archives(&log(fixture));
    let text = String::from_utf8(chapters::read(&archives[0])).expect("UTF-8");
    assert!(text.trim_end_matches('\n').ends_with(TORN), "the torn line is the last one: {text:?}");
    fs::remove_file(&archives[0]).expect("the archive");
    judge::judge(&log(fixture)).demand_exact(1, records);
}

#[test]
fn a_torn_line_harms_no_other_one_when_its_file_is_rotated_on_command() {
    let fixture = fixture();
    tear(&fixture, 100);
    let mut running = listener(&fixture, &[]).start();
    let said = fixture.command(["rotate"]).succeed();
    assert!(running.program.is_running(), "{said}: {}", running.program.output());
    storm(&fixture, 0, 1, 50);
    assert!(running.stop().is_complete());
    demand_ended(&fixture, 50);
}

#[test]
fn a_torn_line_harms_no_other_one_when_its_file_is_rotated_for_its_size() {
    let fixture = fixture();
    tear(&fixture, 10_000);
    let mut running = listener(&fixture, &["--max-size", "10000"]).start();
    storm(&fixture, 0, 1, 50);
    assert!(running.program.is_running(), "{}", running.program.output());
    assert!(running.stop().is_complete());
    demand_ended(&fixture, 50);
}

#[test]
fn a_torn_line_harms_no_other_one_when_its_file_is_rotated_for_its_time() {
    let fixture = fixture();
    tear(&fixture, 100);
    let old = SystemTime::now() - Duration::from_secs(7200);
    let file = fs::OpenOptions::new().write(true).open(log(&fixture)).expect("the log");
    file.set_modified(old).expect("another time");
    let mut running = listener(&fixture, &["--rotation", "hourly"]).start();
    storm(&fixture, 0, 1, 50);
    assert!(running.program.is_running(), "{}", running.program.output());
    wait::until("the old file is rotated", || !chapters::archives(&log(&fixture)).is_empty());
    assert!(running.stop().is_complete());
    demand_ended(&fixture, 50);
}
