//! P10, the full disk: the drain pauses, says so once, answers meanwhile, and goes on by itself
//! with nothing lost, doubled or out of order.

use fleetlog_protocol::stamp;
use fleetlog_tests::raw::{self, Raw};
use fleetlog_tests::{Disk, Fixture, ListenerUnderTest, Steady, judge, wait};
use serde_json::Value;

use crate::fixture;

fn listener(fixture: &Fixture, disk: &Disk) -> ListenerUnderTest {
    let log = disk.path().join("apps.log");
    let arguments = ["--format", "json", "--file", log.to_str().expect("UTF-8")];
    fixture.listener().only_with(arguments).start()
}

fn await_pause(listener: &ListenerUnderTest) {
    wait::until("the drain pauses", || {
        let status = listener.status().expect("a paused listener answers");
        status["listener"]["paused"].is_string() && status["sinks"][0]["error"].is_string()
    });
}

#[test]
fn a_full_disk_pauses_the_drain_which_goes_on_by_itself_with_nothing_lost() {
    let fixture = fixture();
    let Some(disk) = Disk::mount(&fixture.path().join("disk"), "256k") else { return };
    let listener = listener(&fixture, &disk);
    let steady = Steady::start(&fixture, 2, 2, &[]);
    await_pause(&listener);
    // Whoever comes now waits, and so do those who go: a sync is not answered before it is true.
    let late = fixture.workload(["storm", "--first", "10", "--workers", "4", "--records", "500"]);
    let mut sync = fixture.command(["sync", "--timeout", "1s"]);
    assert_eq!(sync.code(), 4, "{}", sync.output());
    await_pause(&listener);
    disk.grow("512m");
    late.succeed();
    let mut counts = steady.finish();
    counts.extend((10..14).map(|worker| (format!("\"{worker}.0\""), 500)));
    let said = listener.program.output();
    let receipt = listener.stop();
    assert!(receipt.is_complete(), "{receipt:?}");
    assert_eq!(said.matches("a sink fails").count(), 1, "said once: {said}");
    assert_eq!(said.matches("the sinks work again").count(), 1, "said once: {said}");
    judge::judge(&disk.path().join("apps.log")).demand_counts(&counts);
}

#[test]
fn a_listener_that_is_killed_while_the_disk_is_full_doubles_nothing() {
    let fixture = fixture();
    let Some(disk) = Disk::mount(&fixture.path().join("disk"), "256k") else { return };
    let steady = Steady::start(&fixture, 2, 2, &[]);
    for _ in 0..4 {
        let listener = listener(&fixture, &disk);
        await_pause(&listener);
        // So many queues that the checkpoint grows while a batch is half written.
        let crowd: Vec<_> = (0..300)
            .map(|number| Raw::worker(&fixture.run_dir(), 1000 + number, "crowd"))
            .collect();
        wait::until("the crowd is taken in", || {
            listener.status().expect("a status")["totals"]["connected"].as_u64() >= Some(302)
        });
        listener.kill();
        drop(crowd);
    }
    disk.grow("512m");
    let listener = listener(&fixture, &disk);
    let counts = steady.finish();
    assert!(listener.stop().is_complete());
    judge::judge(&disk.path().join("apps.log")).demand_counts(&counts);
}

#[test]
fn a_worker_that_leaves_and_comes_back_while_the_disk_is_full_stalls_nobody() {
    let fixture = fixture();
    let Some(disk) = Disk::mount(&fixture.path().join("disk"), "256k") else { return };
    let listener = listener(&fixture, &disk);
    let ballast = "z".repeat(300 << 10);
    let mut raw = Raw::worker(&fixture.run_dir(), 9, "comes back");
    let site = raw::callsite(1, "enemy", &[]);
    let large = raw::record_with(1, stamp::now(), 1, |fields| {
        fields.str(fleetlog_protocol::record::FieldName::Inline("message"), &ballast);
    });
    // One send, so that one round sees the record, the leave and the end.
    raw.send(&[site.as_slice(), &large, &raw::goodbye(1)].concat());
    drop(raw);
    await_pause(&listener);
    let mut back = Raw::worker(&fixture.run_dir(), 9, "comes back");
    back.send(&[site.as_slice(), &raw::record(2, stamp::now(), 1, "back", 0)].concat());
    disk.grow("512m");
    back.await_ack(2);
    fixture.workload(["storm", "--workers", "2", "--records", "500"]).succeed();
    assert!(listener.stop().is_complete());
}

#[test]
fn no_effect_stands_before_its_cause_behind_a_full_disk() {
    let fixture = fixture();
    let Some(disk) = Disk::mount(&fixture.path().join("disk"), "256k") else { return };
    let listener = listener(&fixture, &disk);
    let steps = 20_000;
    let chain = fixture.workload(["chain", "--workers", "3", "--threads", "2", "--steps", "20000"]);
    await_pause(&listener);
    disk.grow("512m");
    chain.succeed();
    assert!(listener.stop().is_complete());
    let lines = judge::lines(&disk.path().join("apps.log"));
    let found: Vec<u64> = lines
        .iter()
        .filter(|line| line.fields.get("source").and_then(Value::as_str) == Some("chain"))
        .map(|line| line.fields["n"].as_u64().expect("a number"))
        .collect();
    let wrong = found.iter().zip(0..).find(|(found, expected)| *found != expected);
    assert_eq!((found.len(), wrong), (steps, None), "an effect before its cause");
}

#[test]
fn a_stop_that_is_sent_while_the_disk_is_full_is_refused_and_costs_no_record() {
    let fixture = fixture();
    let Some(disk) = Disk::mount(&fixture.path().join("disk"), "256k") else { return };
    let mut first = listener(&fixture, &disk);
    let steady = Steady::start(&fixture, 2, 1, &[]);
    await_pause(&first);
    let mut stop = fixture.command(["stop"]);
    assert_eq!(stop.code(), 1, "{}", stop.output());
    assert_eq!(first.program.code(), 1, "{}", first.program.output());
    disk.grow("512m");
    let second = listener(&fixture, &disk);
    let counts = steady.finish();
    assert!(second.stop().is_complete());
    judge::judge(&disk.path().join("apps.log")).demand_counts(&counts);
}
