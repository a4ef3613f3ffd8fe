//! P6: a fork at any moment, in any company of threads.

use std::fs;

use fleetlog_tests::{Fixture, judge};

use crate::fixture;

/// Forks of one storm; `FLEETLOG_FORKS=10000` for a run by hand.
fn forks() -> u64 {
    let given = std::env::var("FLEETLOG_FORKS").ok().and_then(|forks| forks.parse().ok());
    given.unwrap_or(250)
}

/// Threads that log beside the forks; `FLEETLOG_THREADS=64` for a run by hand.
fn threads() -> String {
    std::env::var("FLEETLOG_THREADS").unwrap_or_else(|_| "4".to_owned())
}

fn storm(more: &[&str]) -> Fixture {
    let fixture = fixture();
    let listener = fixture.listener().start();
    let forks = forks();
    let (text, folder) = (forks.to_string(), fixture.path().to_str().expect("UTF-8"));
    let threads = threads();
    let mut arguments = vec!["forkstorm", "--forks", &text, "--folder", folder];
    arguments.extend(["--threads", &threads, "--until-hang", "true"]);
    let said = fixture.workload(arguments.iter().chain(more)).succeed();
    eprintln!("{said}");
    assert!(said.contains("hung=0 "), "a child hung: {said}");
    let receipt = listener.stop();
    assert!(receipt.is_complete(), "{receipt:?}");
    assert_eq!(receipt.died, 0, "{receipt:?}");

    let mut counts = judge::returned_calls(fixture.path());
    for fork in 0..forks {
        counts.insert(format!("\"child{fork}\""), 10);
        counts.insert(format!("\"thread{fork}\""), 3);
    }
    let verdict = judge::judge(&fixture.log());
    verdict.demand_counts(&counts);
    demand_own_names(&fixture);
    fixture
}

/// Each process speaks under its own name and its own pid.
fn demand_own_names(fixture: &Fixture) {
    let mut pids = std::collections::HashMap::new();
    for line in judge::lines(&fixture.log()) {
        let source = line.fields["source"].as_str().expect("a source");
        let number = source.strip_prefix("child").or_else(|| source.strip_prefix("thread"));
        let expected = number.map_or("workload".to_owned(), |number| format!("child {number}"));
        assert_eq!(line.worker, expected, "{source}");
        let pid = pids.entry(expected).or_insert(line.pid);
        assert_eq!(*pid, line.pid, "{source}");
    }
}

#[test]
fn children_forked_amid_threads_log_as_themselves_and_none_hangs() {
    storm(&[]);
}

#[test]
fn children_forked_amid_threads_log_beside_fmt_and_a_filter_and_none_hangs() {
    let folder = tempfile::tempdir().expect("a folder");
    let fmt = folder.path().join("fmt.log");
    let fixture = storm(&["--with", "fmt", "--fmt-file", fmt.to_str().expect("UTF-8")]);
    // `fmt` told the same.
    let ours = judge::lines(&fixture.log()).len();
    let theirs = fs::read_to_string(&fmt).expect("a log").lines().count();
    assert_eq!(ours, theirs, "lines of ours and of fmt");
}
