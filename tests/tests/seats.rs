//! Seats: workers for whose connection the listener has no room lose nothing by that. Their lanes
//! are read without a connection, and who waits for a seat is no offender.

use std::fs;
use std::io::{ErrorKind, Read as _};
use std::time::Duration;

use fleetlog_protocol::limits::CONNECTIONS_PER_UID_MAX;
use fleetlog_tests::raw::{self, Raw, Said};
use fleetlog_tests::{Fixture, ListenerUnderTest, Program, binaries, judge, wait};
use nix::sys::signal::Signal;

fn lanes() -> Fixture {
    Fixture::new(binaries!()).over("auto")
}

/// Takes all seats that this user may have.
fn crowd(fixture: &Fixture) -> Vec<Raw> {
    let seats = 0..CONNECTIONS_PER_UID_MAX as u128;
    let mut held: Vec<Raw> =
        seats.map(|number| Raw::worker(&fixture.run_dir(), 5000 + number, "one of many")).collect();
    for raw in &mut held {
        assert_eq!(raw.hear(), Said::Welcome(0));
    }
    held
}

fn segments(fixture: &Fixture) -> usize {
    fs::read_dir(fixture.run_dir().join("lanes")).expect("the folder of lanes").count()
}

/// Lets the crowd go, ends the listener, and demands that every record whose call returned is there.
fn demand_all(fixture: &Fixture, listener: ListenerUnderTest, crowd: Vec<Raw>) {
    wait::until("the segments are drained", || segments(fixture) == 0);
    drop(crowd);
    wait::until("there is room for a command", || listener.status().is_some());
    let status = listener.status().expect("a status");
    assert_eq!(status["totals"]["fallbacks"].as_u64(), Some(0), "somebody left its lanes");
    assert_eq!(status["totals"]["offences"].as_u64(), Some(0), "{status:#}");
    let receipt = listener.stop();
    assert_eq!((receipt.dropped.total(), receipt.missing), (0, 0), "{receipt:?}");
    let returned = judge::returned_calls(fixture.path());
    assert!(!returned.is_empty());
    judge::judge(&fixture.log()).demand_prefixes(&returned);
}

fn ends(fixture: &Fixture, how: &str, workers: &str, records: &str) -> Program {
    let folder = fixture.path().to_str().expect("UTF-8");
    let all = ["ends", "--how", how, "--workers", workers, "--records", records];
    fixture.workload(all.into_iter().chain(["--folder", folder]))
}

#[test]
fn workers_that_find_no_seat_keep_their_lanes_and_lose_nothing() {
    for how in ["exit", "kill"] {
        let fixture = lanes();
        let listener = fixture.listener().start();
        let crowd = crowd(&fixture);
        ends(&fixture, how, "40", "4000").succeed();
        demand_all(&fixture, listener, crowd);
    }
}

#[test]
fn a_worker_without_a_seat_is_heard_while_it_lives_and_gets_the_next_free_seat() {
    let fixture = lanes();
    let listener = fixture.listener().start();
    let crowd = crowd(&fixture);
    let folder = fixture.path().to_str().expect("UTF-8").to_owned();
    // A pause after each record is longer than the listener looks at lanes without news.
    let slow = ["--burst", "1", "--pause", "200000", "--threads", "1", "--stall", "0"];
    let all = ["lone", "--number", "7", "--folder", &folder];
    let mut worker = fixture.workload(all.into_iter().chain(slow));
    wait::until("its records come while it has no seat", || {
        assert!(worker.is_running(), "{}", worker.output());
        fs::read_to_string(fixture.log()).is_ok_and(|log| log.matches("\"7.0\"").count() > 5)
    });
    drop(crowd);
    wait::until("its bell has a seat, beside the command that asks", || {
        let status = listener.status();
        status.is_some_and(|status| status["clients"]["connections"].as_u64() == Some(2))
    });
    worker.signal(Signal::SIGKILL);
    worker.wait();
    demand_all(&fixture, listener, Vec::new());
}

#[test]
fn a_listener_with_few_descriptors_costs_no_worker_its_lanes() {
    for how in ["exit", "kill"] {
        let fixture = lanes();
        let listener = fixture.listener().under_limit("-n 64").start();
        ends(&fixture, how, "120", "2000").succeed();
        demand_all(&fixture, listener, Vec::new());
    }
}

#[test]
fn clients_that_wait_for_a_seat_are_served_in_their_turn_and_are_no_offenders() {
    let fixture = lanes();
    let listener = fixture.listener().start();
    let mut crowd = crowd(&fixture);
    let more = (0..300_u128).map(|number| {
        let mut raw = Raw::worker(&fixture.run_dir(), 90_000 + number, "who waits");
        let site = raw::callsite(1, "app", &["source", "n", "message"]);
        let stamp = fleetlog_protocol::stamp::now();
        let record = raw::record(1, stamp, 1, &format!("waiting {number}"), 0);
        raw.send(&[site, record, raw::goodbye(1)].concat());
        raw
    });
    let mut waiting: Vec<Raw> = more.collect();
    let first = &mut waiting[0].stream;
    first.set_read_timeout(Some(Duration::from_secs(1))).expect("a timeout");
    let heard = first.read(&mut [0; 64]);
    assert_eq!(heard.map_err(|error| error.kind()), Err(ErrorKind::WouldBlock), "it waits");
    for raw in &mut waiting {
        // Each leaves a seat to the next one.
        crowd.pop();
        raw.await_ack(1);
    }
    drop((crowd, waiting));
    wait::until("there is room for a command", || listener.status().is_some());
    let receipt = listener.stop();
    assert_eq!((receipt.offences, receipt.missing), (0, 0), "{receipt:?}");
    let verdict = judge::judge(&fixture.log());
    assert_eq!(verdict.sources.len(), 300);
}

/// As many as a listener under [`TIGHT`] can't map at once.
const MANY: &str = "150";

/// Address space for about forty segments beside the listener's own.
const TIGHT: &str = "-v 1300000";

/// Lets workers die while nobody listens.
fn leave_segments(fixture: &Fixture) {
    ends(fixture, "kill", MANY, "20").succeed();
    // Their parent, who says how each ended, has one as well.
    assert!(segments(fixture) > 150, "{}", segments(fixture));
}

fn demand_all_returned(fixture: &Fixture) {
    let returned = judge::returned_calls(fixture.path());
    assert_eq!(returned.len(), 150);
    judge::judge(&fixture.log()).demand_prefixes(&returned);
    assert_eq!(segments(fixture), 0, "segments were left behind");
}

#[test]
fn stop_takes_in_more_segments_than_can_be_mapped_at_once() {
    let fixture = lanes();
    leave_segments(&fixture);
    let listener = fixture.listener().under_limit(TIGHT).start();
    let receipt = listener.stop();
    assert!(receipt.is_complete(), "{receipt:?}");
    demand_all_returned(&fixture);
}

#[test]
fn a_signal_takes_in_what_a_command_does() {
    let fixture = lanes();
    leave_segments(&fixture);
    let mut listener = fixture.listener().under_limit(TIGHT).start();
    listener.program.signal(Signal::SIGTERM);
    assert_eq!(listener.program.code(), 0, "{}", listener.program.output());
    demand_all_returned(&fixture);
}

#[test]
fn a_listener_that_ends_with_the_last_worker_ends_when_all_had_ended_before_it_started() {
    let fixture = lanes();
    leave_segments(&fixture);
    let mut listener =
        fixture.listener().under_limit(TIGHT).with(["--exit-with-last-worker"]).launch();
    assert_eq!(listener.program.code(), 0, "{}", listener.program.output());
    demand_all_returned(&fixture);
}

#[test]
fn living_workers_whose_segments_find_no_room_are_drained_at_the_end_as_well() {
    let fixture = lanes();
    let folder = fixture.path().to_str().expect("UTF-8").to_owned();
    // They log once and live on.
    let workers: Vec<Program> = (0..90)
        .map(|number| {
            let number = number.to_string();
            let slow = ["--threads", "1", "--burst", "1", "--pause", "600000000"];
            let all = ["lone", "--number", &number, "--folder", &folder];
            fixture.workload(all.into_iter().chain(slow))
        })
        .collect();
    wait::until("each has logged", || judge::returned_calls(fixture.path()).len() == 90);
    let listener = fixture.listener().under_limit(TIGHT).start();
    let receipt = listener.stop();
    assert!(receipt.is_complete(), "{receipt:?}");
    judge::judge(&fixture.log()).demand_prefixes(&judge::returned_calls(fixture.path()));
    assert_eq!(segments(&fixture), 90, "they live");
    drop(workers);
}

#[test]
fn what_stop_has_to_leave_is_named_and_the_code_is_five() {
    let fixture = lanes();
    ends(&fixture, "kill", "2", "20").succeed();
    // A segment of some later version.
    let name = "4194000.17.0";
    let later = fixture.run_dir().join("lanes").join(name);
    let mut bytes = b"a later version".to_vec();
    bytes.resize(2 << 20, 0);
    fs::write(&later, &bytes).expect("a file");
    let mut listener = fixture.listener().start();
    let mut stop = fixture.command(["stop"]);
    assert_eq!(stop.code(), 5, "{}", stop.output());
    assert!(stop.output().contains(name), "{}", stop.output());
    assert!(!stop.output().contains("Nothing was lost"), "{}", stop.output());
    assert_eq!(listener.program.code(), 5, "{}", listener.program.output());
    assert!(listener.program.output().contains(name), "{}", listener.program.output());
    assert_eq!(fs::read(&later).expect("it is there"), bytes, "it is left as it was");
    judge::judge(&fixture.log()).demand_prefixes(&judge::returned_calls(fixture.path()));
}
