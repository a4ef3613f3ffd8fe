//! Workers and listeners that come and go while a change is in force.

use crate::{Fleet, await_level, fixture, notes};

#[test]
fn workers_forked_later_or_started_anew_have_the_change_from_their_first_call() {
    let fixture = fixture();
    let listener = fixture.listener().start();
    let fleet = Fleet::start(&fixture, 0, 2);
    fixture.command(["level", "debug"]).succeed();
    await_level(&fixture, 0..2, "debug");
    fleet.fork(2);
    let another = Fleet::start(&fixture, 10, 2);
    for worker in [2, 10, 11] {
        assert_eq!(notes(&fixture, worker)[0].0, "debug", "worker {worker}");
    }
    fixture.command(["level", "--reset"]).succeed();
    await_level(&fixture, [0, 1, 2, 10, 11], "info");
    another.end();
    // The file that ends the one program ends the other.
    fleet.end();
    assert!(listener.stop().is_complete());
}

#[test]
fn a_change_outlives_listeners_that_are_stopped_or_killed_and_the_next_one_takes_it_back() {
    let fixture = fixture();
    let listener = fixture.listener().start();
    let fleet = Fleet::start(&fixture, 0, 2);
    fixture.command(["level", "app=trace", "--for", "1h", "-w", "worker *"]).succeed();
    await_level(&fixture, 0..2, "trace");
    assert!(listener.stop().is_complete());
    fleet.fork(2);
    fixture.listener().start().kill();
    fleet.fork(3);
    let listener = fixture.listener().start();
    await_level(&fixture, 0..4, "trace");
    let shown = fixture.command(["level", "--show"]).succeed();
    assert!(shown.contains("app=trace") && shown.contains("worker *"), "{shown}");
    fixture.command(["level", "--reset", "-w", "worker *"]).succeed();
    await_level(&fixture, 0..4, "info");
    let shown = fixture.command(["level", "--show"]).succeed();
    assert!(shown.contains("No change"), "{shown}");
    fleet.end();
    assert!(listener.stop().is_complete());
}

#[test]
fn a_change_ends_by_itself_when_its_listener_was_killed() {
    let fixture = fixture();
    let listener = fixture.listener().start();
    let fleet = Fleet::start(&fixture, 0, 4);
    fixture.command(["level", "debug", "--for", "2s"]).succeed();
    listener.kill();
    await_level(&fixture, 0..4, "debug");
    await_level(&fixture, 0..4, "info");
    // What is over is no longer there for the next listener and its workers.
    let listener = fixture.listener().start();
    assert!(fixture.command(["level", "--show"]).succeed().contains("No change"));
    fleet.end();
    assert!(listener.stop().is_complete());
}

#[test]
fn workers_that_were_there_before_the_run_directory_follow_its_first_listener() {
    let fixture = fixture();
    let fleet = Fleet::start(&fixture, 0, 2);
    await_level(&fixture, 0..2, "info");
    let listener = fixture.listener().start();
    fixture.command(["level", "debug"]).succeed();
    await_level(&fixture, 0..2, "debug");
    fleet.end();
    assert!(listener.stop().is_complete());
}
