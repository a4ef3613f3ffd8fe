//! When a change takes effect, for whom, and when it ends.

use std::collections::HashMap;

use fleetlog_protocol::stamp;
use fleetlog_tests::{judge, wait};

use crate::{Fleet, await_level, fixture, level, notes};

/// How long the change lasts, in nanoseconds.
const LASTING: u64 = 4_000_000_000;

/// Workers; `FLEETLOG_WORKERS=500` for a run by hand.
fn workers() -> u64 {
    let given = std::env::var("FLEETLOG_WORKERS").ok().and_then(|workers| workers.parse().ok());
    given.unwrap_or(100)
}

fn tell(what: &str, mut nanoseconds: Vec<u64>) {
    nanoseconds.sort_unstable();
    let milliseconds = |at: usize| nanoseconds[at] as f64 / 1e6;
    let (count, last) = (nanoseconds.len(), nanoseconds.len() - 1);
    eprintln!(
        "{what}: {count} workers, median {:.1} ms, the slowest {:.1} ms",
        milliseconds(last / 2),
        milliseconds(last)
    );
}

#[test]
fn a_hundred_workers_half_of_them_silent_follow_a_change_and_are_back_after_its_time() {
    let fixture = fixture();
    let listener = fixture.listener().start();
    let workers = workers();
    let fleet = Fleet::start(&fixture, 0, workers);
    await_level(&fixture, 0..workers, "info");

    let before = stamp::now();
    let said = fixture.command(["level", "app=debug", "--for", "4s"]).succeed();
    assert!(said.contains("app=debug for all workers, until "), "{said}");
    await_level(&fixture, 0..workers, "debug");
    let at = |nth: usize| -> Vec<u64> {
        (0..workers).map(|worker| notes(&fixture, worker)[nth].1 - before).collect()
    };
    tell("until the level is changed, from the start of the command", at(1));
    await_level(&fixture, 0..workers, "info");
    let late = at(2);
    assert!(late.iter().all(|time| *time >= LASTING), "a worker was back too early: {late:?}");
    tell("until it is back, from the end of its time", late.iter().map(|t| t - LASTING).collect());
    fleet.end();
    assert!(listener.stop().is_complete());

    let mut debug: HashMap<u64, u64> = HashMap::new();
    for line in judge::lines(&fixture.log()).iter().filter(|line| line.level == "DEBUG") {
        assert_eq!(line.target, "app", "{line:?}");
        *debug.entry(line.fields["source"].as_u64().expect("a number")).or_default() += 1;
    }
    for worker in 0..workers {
        let count = debug.get(&worker).copied().unwrap_or(0);
        let is_silent = worker % 2 == 0;
        assert!(if is_silent { count == 1 } else { count >= 1 }, "worker {worker}: {count}");
    }
}

#[test]
fn a_change_for_one_worker_by_name_or_pid_is_for_that_one_alone() {
    let fixture = fixture();
    let listener = fixture.listener().start();
    let fleet = Fleet::start(&fixture, 0, 6);
    // A worker is there before it has logged for the first time.
    let pid = |name: &str| {
        let mut found = None;
        wait::until(&format!("{name} has logged"), || {
            let status = listener.status().expect("a status");
            let mut workers = status["workers"].as_array().expect("workers").iter();
            found =
                workers.find(|worker| worker["name"] == name).map(|worker| worker["pid"].clone());
            found.is_some()
        });
        found.expect("a pid").to_string()
    };
    for (pattern, who) in [
        ("worker 4".to_owned(), 4),
        (pid("worker 3"), 3),
        (format!("worker *[{}]", pid("worker 1")), 1),
        ("*2".to_owned(), 2),
    ] {
        let said = fixture.command(["level", "trace", "--worker", &pattern]).succeed();
        assert!(said.contains(&format!("trace for {pattern}, until it is reset")), "{said}");
        await_level(&fixture, [who], "trace");
        for other in (0..6).filter(|other| *other != who) {
            assert_eq!(level(&fixture, other).as_deref(), Some("info"), "{pattern}: {other}");
        }
        fixture.command(["level", "--reset", "--worker", &pattern]).succeed();
        await_level(&fixture, [who], "info");
    }
    // One for named workers comes before one for all, whichever was made first.
    fixture.command(["level", "debug", "-w", "worker 5"]).succeed();
    fixture.command(["level", "warn"]).succeed();
    await_level(&fixture, 0..5, "warn");
    await_level(&fixture, [5], "debug");
    fixture.command(["level", "--reset"]).succeed();
    await_level(&fixture, 0..6, "info");
    fleet.end();
    assert!(listener.stop().is_complete());
}
