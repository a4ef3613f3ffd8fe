//! P3: a record whose call has returned is in the file, however its process ended.

use std::collections::HashMap;

use fleetlog_protocol::message::Receipt;
use fleetlog_tests::Fixture;
use fleetlog_tests::judge::{self, Line};

use crate::fixture;

const GONE: &str = "the worker ended without taking leave";

fn workers_end(how: &str, workers: usize, records: u64) -> (Fixture, Receipt) {
    let fixture = fixture();
    let listener = fixture.listener().start();
    let (workers, records) = (workers.to_string(), records.to_string());
    let folder = fixture.path().to_str().expect("UTF-8");
    let arguments =
        ["ends", "--how", how, "--workers", &workers, "--records", &records, "--folder", folder];
    fixture.workload(arguments).succeed();
    let receipt = listener.stop();
    assert!(receipt.is_complete(), "{receipt:?}");
    (fixture, receipt)
}

/// Every record whose call returned is there, and nothing else: the worker ended right behind
/// its last call.
fn demand_all(fixture: &Fixture, workers: usize) {
    let returned = judge::returned_calls(fixture.path());
    assert_eq!(returned.len(), workers);
    judge::judge(&fixture.log()).demand_counts(&returned);
}

/// Each worker's end stands in the log, behind its records, with their number.
fn demand_notices(fixture: &Fixture, receipt: &Receipt, workers: usize) {
    assert_eq!(receipt.died, workers as u64, "{receipt:?}");
    let mut records: HashMap<u32, (String, u64)> = HashMap::new();
    let mut told = 0;
    for line in judge::lines(&fixture.log()) {
        if line.seq > 0 {
            let (name, count) = records.entry(line.pid).or_default();
            name.clone_from(&line.worker);
            *count += 1;
        } else if message(&line) == GONE {
            let (name, count) = records.remove(&line.pid).expect("a worker that logged");
            assert_eq!((&line.worker, line.level.as_str()), (&name, "WARN"));
            assert_eq!(line.fields["records"], count, "{line:?}");
            told += 1;
        }
    }
    assert_eq!(told, workers, "notices");
}

fn message(line: &Line) -> &str {
    line.fields["message"].as_str().expect("a message")
}

fn survives(how: &str) {
    let (fixture, receipt) = workers_end(how, 4, 500);
    demand_all(&fixture, 4);
    demand_notices(&fixture, &receipt, 4);
}

#[test]
fn a_worker_that_kills_itself_loses_nothing_and_its_end_is_told() {
    survives("kill");
}

#[test]
fn a_worker_that_aborts_loses_nothing_and_its_end_is_told() {
    survives("abort");
}

#[test]
fn a_worker_that_leaves_by_underscore_exit_loses_nothing_and_its_end_is_told() {
    survives("exit");
}

#[test]
fn a_worker_that_crashes_loses_nothing_and_its_end_is_told() {
    survives("segfault");
}

#[test]
fn a_hundred_workers_that_die_after_their_first_call_lose_nothing() {
    let (fixture, receipt) = workers_end("kill", 100, 1);
    demand_all(&fixture, 100);
    demand_notices(&fixture, &receipt, 100);
}

#[test]
fn a_worker_that_is_killed_at_any_moment_loses_no_record_whose_call_returned() {
    let (fixture, receipt) = workers_end("killed", 8, 300);
    let returned = judge::returned_calls(fixture.path());
    assert!(returned.values().all(|count| *count >= 300), "{returned:?}");
    let verdict = judge::judge(&fixture.log());
    verdict.demand_prefixes(&returned);
    // The killed call may have sent its record without having returned, and not more than that.
    for (source, numbers) in &verdict.sources {
        assert!(numbers.len() as u64 <= returned[source] + 1, "{source}: {}", numbers.len());
    }
    demand_notices(&fixture, &receipt, 8);
}

#[test]
fn a_panic_that_aborts_is_a_record_with_its_place() {
    let (fixture, receipt) = workers_end("panic", 4, 100);
    demand_all(&fixture, 4);
    demand_notices(&fixture, &receipt, 4);
    let mut panics: Vec<Line> =
        judge::lines(&fixture.log()).into_iter().filter(|line| line.target == "panic").collect();
    panics.sort_by(|left, right| left.worker.cmp(&right.worker));
    assert_eq!(panics.len(), 4);
    for (worker, line) in panics.iter().enumerate() {
        assert_eq!(line.level, "ERROR");
        assert_eq!(line.worker, format!("worker {worker}"));
        assert_eq!(message(line), format!("worker {worker} gives up"));
        let location = line.fields["location"].as_str().expect("a location");
        assert!(location.contains("workload/ends.rs:"), "{location}");
    }
}

#[test]
fn a_panic_of_a_thread_names_the_thread_and_takes_no_other_with_it() {
    let (fixture, receipt) = workers_end("thread-panic", 3, 100);
    assert_eq!(receipt.died, 0, "{receipt:?}");
    demand_all(&fixture, 3);
    let mut threads: Vec<String> = judge::lines(&fixture.log())
        .into_iter()
        .filter(|line| line.target == "panic" && line.level == "ERROR")
        .map(|line| line.fields["thread"].as_str().expect("a name").to_owned())
        .collect();
    threads.sort();
    assert_eq!(threads, ["thread of 0", "thread of 1", "thread of 2"]);
}

#[test]
fn a_worker_that_exits_while_its_threads_log_takes_leave_and_loses_nothing() {
    let (fixture, receipt) = workers_end("leave", 4, 300);
    assert_eq!(receipt.died, 0, "{receipt:?}");
    let returned = judge::returned_calls(fixture.path());
    assert_eq!(returned.len(), 12, "{returned:?}");
    judge::judge(&fixture.log()).demand_prefixes(&returned);
}
