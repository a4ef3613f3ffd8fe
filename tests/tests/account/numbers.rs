//! Numbers that nobody can have used: they spoil no sum, and their sender is named.

use std::fs;

use fleetlog_protocol::message::{Drops, Gap};
use fleetlog_protocol::stamp;
use fleetlog_tests::raw::{self, Raw};
use fleetlog_tests::wait;

use crate::fixture;

/// More than any process can have tried to log.
const INCREDIBLE: u64 = 1 << 60;

#[test]
fn a_number_that_nobody_can_have_reached_spoils_no_sum_and_its_sender_is_named() {
    let fixture = fixture();
    let listener = fixture.listener().start();
    let mut liar = Raw::worker(&fixture.run_dir(), 1, "liar");
    liar.send(&raw::callsite(1, "raw", &[]));
    liar.send(&raw::record(1, stamp::now(), 1, "1/1", 0));
    liar.send(&raw::record(u64::MAX, stamp::now(), 1, "1/1", 1));
    let mut boaster = Raw::worker(&fixture.run_dir(), 2, "boaster");
    let drops = Drops([INCREDIBLE, 0, 0, 0]);
    let gap = Gap { seq: INCREDIBLE, stamp: stamp::now(), first_seq: 1, drops };
    boaster.send(&raw::gap(gap));
    for enemy in [&mut liar, &mut boaster] {
        let why = enemy.await_refusal();
        assert!(why.contains("can't have"), "the reason is not told: {why:?}");
    }
    // A loss that is no lie is seen all the same.
    let mut honest = Raw::worker(&fixture.run_dir(), 3, "honest");
    honest.send(&raw::callsite(1, "raw", &[]));
    honest.send(&raw::record(4, stamp::now(), 1, "3/1", 0));
    honest.await_ack(4);
    let status = listener.status().expect("the listener lives");
    assert_eq!(status["totals"]["missing"], 3, "{status}");
    assert_eq!(status["totals"]["dropped"], serde_json::json!({}), "{status}");
    assert_eq!(status["clients"]["offences"]["incredible"], 2, "{status}");
    drop((liar, boaster, honest));
    let receipt = listener.stop();
    assert_eq!((receipt.missing, receipt.dropped.total()), (3, 0), "{receipt:?}");
    assert!(!receipt.is_complete());
    let log = fs::read_to_string(fixture.log()).expect("a log");
    for name in ["liar", "boaster"] {
        let told = |line: &str| line.contains(name) && line.contains("\"incredible\":1");
        assert!(log.lines().any(told), "the log does not name {name}: {log}");
    }
}

#[test]
fn sums_of_what_workers_claim_end_at_the_largest_number_and_kill_nobody() {
    let fixture = fixture();
    let listener = fixture.listener().start();
    for queue in 0..20 {
        let mut liar = Raw::worker(&fixture.run_dir(), queue + 1, "liar");
        liar.send(&raw::callsite(1, "raw", &[]));
        liar.send(&raw::record(u64::MAX, stamp::now(), 1, "1/1", 0));
        liar.send(&raw::goodbye(u64::MAX));
        drop(liar);
    }
    wait::until("all of them were heard", || {
        let status = listener.status().expect("the listener lives");
        status["totals"]["workers"] == 20 && status["totals"]["connected"] == 0
    });
    listener.stop();
}
