//! A listener from a program: as a process of its own, or in a thread.

use std::fs;

use fleetlog_tests::{Fixture, Program, judge, wait};
use nix::sys::signal::Signal;

use crate::fixture;

fn program(fixture: &Fixture, shape: &str) -> Program {
    let (log, until) = (fixture.log(), fixture.path().join("until"));
    fixture.workload([
        "program",
        "--shape",
        shape,
        "--records",
        "5000",
        "--log",
        log.to_str().expect("UTF-8"),
        "--until",
        until.to_str().expect("UTF-8"),
    ])
}

/// Whether a process runs; one that nobody has waited for yet does not.
fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    behind_name.split_whitespace().next().is_some_and(|state| state != "Z" && state != "X")
}

#[test]
fn a_program_that_spawns_its_listener_gets_every_record_and_a_receipt() {
    let fixture = fixture();
    program(&fixture, "spawned").succeed();
    judge::judge(&fixture.log()).demand_exact(4, 5000);
}

#[test]
fn a_spawned_listener_ends_by_itself_when_its_program_was_killed() {
    let fixture = fixture();
    let parent = program(&fixture, "abandoned");
    let note = fixture.path().join("until.pid");
    wait::until("the program has logged", || {
        fs::read_to_string(&note).is_ok_and(|text| !text.is_empty())
    });
    let pid: u32 = fs::read_to_string(&note).expect("a note").parse().expect("a pid");
    assert!(lives(pid));
    parent.signal(Signal::SIGKILL);
    drop(parent);
    wait::until("the listener has ended", || !lives(pid));
    let verdict = judge::judge(&fixture.log());
    verdict.demand_exact(1, 5000);
    assert!(verdict.notices.iter().any(|(message, _)| message.contains("without taking leave")));
    assert!(!fixture.run_dir().join("socket").exists(), "it ended in order");
    // And whoever comes next owns the run directory.
    drop(fixture.listener().start());
}

#[test]
fn a_spawned_listener_that_gets_a_term_drains_and_ends_in_order() {
    let fixture = fixture();
    let parent = program(&fixture, "abandoned");
    let note = fixture.path().join("until.pid");
    wait::until("the program has logged", || {
        fs::read_to_string(&note).is_ok_and(|text| !text.is_empty())
    });
    let pid: u32 = fs::read_to_string(&note).expect("a note").parse().expect("a pid");
    let listener = nix::unistd::Pid::from_raw(pid.try_into().expect("a pid"));
    nix::sys::signal::kill(listener, Signal::SIGTERM).expect("the listener is there");
    wait::until("the listener has ended", || !lives(pid));
    assert!(!fixture.run_dir().join("socket").exists(), "it ended in order");
    judge::judge(&fixture.log()).demand_exact(1, 5000);
    drop(parent);
}

#[test]
fn a_listener_inside_of_a_program_drains_that_program_and_never_itself() {
    let fixture = fixture();
    program(&fixture, "embedded").succeed();
    let lines = judge::lines(&fixture.log());
    let message = |line: &judge::Line| line.fields["message"].as_str().map(str::to_owned);
    let named: Vec<_> = lines
        .iter()
        .filter_map(|line| Some((line.target.clone(), message(line)?)))
        .filter(|(_, message)| message.ends_with("with the listener's name"))
        .collect();
    assert_eq!(named.len(), 3, "a client may have any target: {named:?}");
    assert_eq!(named[0].0, "fleetlog");
    assert_eq!(named[1].0, "fleetlog::drain");
    assert_eq!(lines.len(), 5000 + named.len(), "the listener drained itself");
    judge::judge(&fixture.log()).demand_exact(1, 5000);
}

#[test]
fn a_program_whose_run_directory_is_owned_learns_that_from_start_and_from_spawn() {
    let fixture = fixture();
    let listener = fixture.listener().start();
    program(&fixture, "refused").succeed();
    assert!(listener.stop().is_complete());
}
