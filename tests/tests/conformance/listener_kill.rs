//! P4: a listener may be killed at any instruction. While the workers live, every record stands
//! in every file exactly once.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use fleetlog_tests::fixture::ListenerBuilder;
use fleetlog_tests::{Fixture, Random, Steady, Verdict, judge, wait};
use nix::sys::signal::Signal;

use crate::fixture;

fn kills() -> u64 {
    std::env::var("FLEETLOG_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(25)
}

#[test]
fn a_listener_that_is_killed_again_and_again_costs_no_record_and_doubles_none() {
    let fixture = fixture();
    let mut random = Random::seeded();
    let fleet = Steady::start(&fixture, 3, 2, &["--pause", "500"]);
    for kill in 0..kills() {
        // Every other listener may die at its start, in the middle of its recovery.
        let listener =
            if kill % 2 == 0 { fixture.listener().start() } else { fixture.listener().launch() };
        std::thread::sleep(Duration::from_micros(random.below(40_000)));
        listener.kill();
    }
    let listener = fixture.listener().start();
    let counts = fleet.finish();
    let receipt = listener.stop();
    assert!(receipt.is_complete(), "{receipt:?}");
    assert_eq!(receipt.died, 0, "everybody took leave: {receipt:?}");
    let verdict = judge::judge(&fixture.log());
    eprintln!("{} kills, {} records", kills(), verdict.records);
    verdict.demand_counts(&counts);
}

#[test]
fn a_fleet_of_large_records_survives_the_kills_of_its_listener() {
    let fixture = fixture();
    let mut random = Random::seeded();
    let arguments = ["--pause", "20000", "--burst", "4", "--ballast", "200000"];
    let fleet = Steady::start(&fixture, 2, 1, &arguments);
    for _ in 0..kills() / 3 {
        let listener = fixture.listener().start();
        std::thread::sleep(Duration::from_micros(random.below(60_000)));
        listener.kill();
    }
    let listener = fixture.listener().start();
    let counts = fleet.finish();
    assert!(listener.stop().is_complete());
    judge::judge(&fixture.log()).demand_counts(&counts);
}

/// The outputs of the listeners of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outputs {
    One,
    JsonAndText,
    PerWorker,
}

fn listener(fixture: &Fixture, outputs: Outputs) -> ListenerBuilder<'_> {
    let folder = fixture.path().to_str().expect("UTF-8");
    match outputs {
        Outputs::One => fixture.listener(),
        Outputs::JsonAndText => {
            let config = fixture.path().join("two.toml");
            let text = format!(
                "[[file]]\npath = \"{folder}/apps.log\"\nformat = \"json\"\n\
                 [[file]]\npath = \"{folder}/text.log\"\nformat = \"text\"\n"
            );
            fs::write(&config, text).expect("a file");
            fixture.listener().only_with(["--config", config.to_str().expect("UTF-8")])
        }
        Outputs::PerWorker => {
            let each = format!("{folder}/of {{worker}}.log");
            fixture.listener().with(["--file", &each])
        }
    }
}

fn judge_all(fixture: &Fixture, outputs: Outputs, counts: &HashMap<String, u64>) {
    judge::judge(&fixture.log()).demand_counts(counts);
    match outputs {
        Outputs::One => {}
        Outputs::JsonAndText => {
            judge::judge_text(&fixture.path().join("text.log")).demand_counts(counts);
        }
        Outputs::PerWorker => {
            let mut all = Verdict::default();
            for worker in 0..2 {
                let verdict = judge::judge(&fixture.path().join(format!("of worker {worker}.log")));
                let own = format!("\"{worker}.");
                assert!(verdict.sources.keys().all(|source| source.starts_with(&own)));
                all.add(verdict);
            }
            all.demand_counts(counts);
        }
    }
}

/// Lets listener after listener die at a point, each a bit later than the one before, and twice
/// in its very first batch.
fn die_at(point: &str) {
    for outputs in [Outputs::One, Outputs::JsonAndText, Outputs::PerWorker] {
        let fixture = fixture();
        let fleet = Steady::start(&fixture, 2, 2, &[]);
        for count in [1, 1, 2, 3, 7, 1, 20] {
            let fault = format!("{point}:{count}");
            let mut dying = listener(&fixture, outputs).dying_at(&fault).launch();
            assert_eq!(
                dying.program.code(),
                128 + Signal::SIGKILL as i32,
                "{fault} {outputs:?}: {}",
                dying.program.output()
            );
        }
        let last = listener(&fixture, outputs).start();
        let counts = fleet.finish();
        let receipt = last.stop();
        assert!(receipt.is_complete(), "{point}, {outputs:?}: {receipt:?}");
        judge_all(&fixture, outputs, &counts);
    }
}

#[test]
fn a_listener_killed_before_its_intent_doubles_and_loses_nothing() {
    die_at("before-intent");
}

#[test]
fn a_listener_killed_behind_its_intent_doubles_and_loses_nothing() {
    die_at("after-intent");
}

#[test]
fn a_listener_killed_in_the_middle_of_a_write_leaves_no_torn_line_and_no_double() {
    die_at("in-write");
}

#[test]
fn a_listener_killed_behind_its_write_doubles_nothing() {
    die_at("after-write");
}

#[test]
fn a_listener_killed_behind_the_positions_doubles_nothing() {
    die_at("after-positions");
}

#[test]
fn a_listener_killed_behind_its_batch_loses_nothing() {
    die_at("after-clear");
}

#[test]
fn a_listener_killed_when_it_has_told_the_workers_of_its_batch_doubles_nothing() {
    die_at("after-release");
}

#[test]
fn listeners_that_all_die_in_their_first_batch_after_a_recovery_undo_each_others_half_work() {
    let fixture = fixture();
    let fleet = Steady::start(&fixture, 2, 2, &[]);
    let points =
        ["in-write", "after-intent", "in-write:2", "after-write", "in-write", "after-positions"];
    for round in 0..3 {
        for point in points {
            let mut dying = listener(&fixture, Outputs::JsonAndText).dying_at(point).launch();
            assert_eq!(dying.program.code(), 137, "{round}, {point}: {}", dying.program.output());
        }
    }
    let last = listener(&fixture, Outputs::JsonAndText).start();
    let counts = fleet.finish();
    assert!(last.stop().is_complete());
    judge_all(&fixture, Outputs::JsonAndText, &counts);
}

#[test]
fn a_worker_that_is_killed_together_with_its_listener_leaves_whole_lines_and_no_double() {
    let fixture = fixture();
    let steady = Steady::start(&fixture, 2, 1, &[]);
    let hasty = fixture.workload([
        "steady",
        "--first",
        "10",
        "--until",
        "/nonexistent",
        "--workers",
        "1",
        "--threads",
        "1",
    ]);
    let listener = fixture.listener().start();
    wait::until("the workers log", || {
        listener.status().is_some_and(|status| status["totals"]["written"].as_u64() > Some(1000))
    });
    // The parent's worker is a child of its own; it goes with its group of pids below.
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", hasty.pid()));
    let children = children.expect("the kernel lists children");
    // First the listener: it must not live to see the worker's end and tell of it.
    listener.program.signal(Signal::SIGKILL);
    hasty.signal(Signal::SIGKILL);
    for child in children.split_whitespace() {
        let pid = nix::unistd::Pid::from_raw(child.parse().expect("a pid"));
        nix::sys::signal::kill(pid, Signal::SIGKILL).expect("the child is there");
    }
    listener.kill();
    for child in children.split_whitespace() {
        // A process that was killed runs on for a moment, and counts as alive as long.
        let pid = child.parse().expect("a pid");
        wait::until("the worker is gone", || fleetlog_protocol::segment::start_time(pid).is_none());
    }
    let listener = fixture.listener().start();
    let counts = steady.finish();
    let receipt = listener.stop();
    assert_eq!(receipt.died, 1, "the killed worker is told: {receipt:?}");
    let mut verdict = judge::judge(&fixture.log());
    let torn = verdict.sources.remove("\"10.0\"").expect("its records");
    assert!(torn.iter().copied().eq(0..torn.len() as u64), "a prefix, in order, once each");
    verdict.demand_counts(&counts);
}
