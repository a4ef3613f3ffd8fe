//! A full lane: what is dropped is counted twice, in band at its place and in the segment's
//! header, and urgent records have room of their own.

use std::os::unix::fs::MetadataExt as _;
use std::thread;
use std::time::Duration;

use fleetlog_protocol::Level;
use fleetlog_protocol::lane_queue::LaneQueue;
use fleetlog_protocol::limits::{LANE_CAPACITY, LANE_RECORD_MAX, RESERVED_SHARE};
use fleetlog_protocol::message::{DropReason, Drops, Gap};
use fleetlog_protocol::socket_queue::WhenFull;

use super::worker::{Said, Worker, check_unbroken, log, log_at, log_shared, texts};

/// Logs until one is dropped; tells how many were taken, and why the last was not.
fn fill(worker: &Worker, queue: &mut LaneQueue, level: Level) -> (u64, DropReason) {
    let text = "x".repeat(500);
    let mut taken = 0;
    loop {
        match log_at(&worker.lanes, queue, level, 8, &text) {
            Ok(()) => taken += 1,
            Err(reason) => return (taken, reason),
        }
    }
}

fn gaps(said: &[Said]) -> Vec<Gap> {
    said.iter()
        .filter_map(|said| if let Said::Gap(gap) = said { Some(*gap) } else { None })
        .collect()
}

#[test]
fn a_gap_stands_where_the_records_are_missing() {
    let worker = Worker::dropping();
    let mut queue = worker.claim();
    let mut reader = worker.reader(0);
    let mut said = Vec::new();
    let (mut taken, mut dropped) = (0, 0);
    for round in 1..=3_u64 {
        let (more, reason) = fill(&worker, &mut queue, Level::Info);
        assert_eq!(reason, DropReason::NoListener);
        for _ in 1..round {
            log(&worker.lanes, &mut queue, &"x".repeat(500)).expect_err("it is full");
        }
        said.extend(reader.said());
        taken += more + 1;
        dropped += round;
        assert_eq!(worker.foreign().drops(), Drops([0, dropped, 0, 0]), "counted at once");
        assert_eq!(gaps(&said).len() as u64, round - 1, "reported with the next record");
        log(&worker.lanes, &mut queue, &format!("after gap {round}")).expect("there is room");
        let after = reader.said();
        let [Said::Gap(gap), Said::Record { seq, .. }] = after.as_slice() else {
            panic!("{after:?}")
        };
        assert_eq!((gap.drops, *seq), (Drops([0, round, 0, 0]), gap.seq + 1));
        said.extend(after);
    }
    assert_eq!(check_unbroken(&said), (taken, Drops([0, dropped, 0, 0])));
}

#[test]
fn the_last_eighth_is_for_urgent_records() {
    let worker = Worker::dropping();
    let mut queue = worker.claim();
    let (ordinary, _) = fill(&worker, &mut queue, Level::Info);
    let (urgent, _) = fill(&worker, &mut queue, Level::Error);
    log_at(&worker.lanes, &mut queue, Level::Debug, 8, "short").expect_err("not for this one");
    let reader = &mut worker.reader(0);
    let said = reader.said();
    let used = reader.reader.taken();
    let open = (LANE_CAPACITY - LANE_CAPACITY / RESERVED_SHARE) as u64;
    let each = used / (ordinary + urgent);
    assert!(ordinary * each <= open && (ordinary + 2) * each > open, "{ordinary} of {each} bytes");
    assert!(used <= LANE_CAPACITY as u64 && used + 2 * each > LANE_CAPACITY as u64);
    // A gap stands between them: one ordinary record had been dropped.
    assert_eq!(check_unbroken(&said), (ordinary + urgent, Drops([0, 1, 0, 0])));
    let at = said.iter().position(|said| matches!(said, Said::Gap(_))).expect("a gap");
    assert_eq!(texts(&said[..at]).len() as u64, ordinary);
}

#[test]
fn a_record_of_the_limit_fits_into_an_empty_lane_beside_all_that_is_due() {
    let worker = Worker::dropping();
    let mut queue = worker.claim();
    let long = "x".repeat(LANE_RECORD_MAX - 100);
    fill(&worker, &mut queue, Level::Info);
    let mut reader = worker.reader(0);
    reader.said();
    worker.lanes.set_name(&"n".repeat(200));
    log(&worker.lanes, &mut queue, &long).expect("a name, a gap and the longest record");
    assert_eq!(reader.said().len(), 3);
    for _ in 0..3 {
        log(&worker.lanes, &mut queue, &long).expect("three of them fit");
    }
}

#[test]
fn a_record_longer_than_the_lane_is_dropped_and_counted_not_waited_for() {
    // A wait would outlast every patience.
    let worker = Worker::blocking();
    let mut queue = worker.claim();
    let reason = log(&worker.lanes, &mut queue, &"x".repeat(LANE_CAPACITY));
    assert_eq!(reason, Err(DropReason::Full));
    log(&worker.lanes, &mut queue, "short").expect("there is room");
    assert_eq!(check_unbroken(&worker.reader(0).said()), (1, Drops([1, 0, 0, 0])));
}

#[test]
fn a_full_lane_waits_until_its_reader_makes_room() {
    let worker = Worker::blocking();
    let mut reader = worker.reader(0);
    let said = thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut queue = worker.claim();
            // Five lanes' worth.
            for number in 0..2000 {
                let text = format!("{number} {}", "x".repeat(600));
                log(&worker.lanes, &mut queue, &text).expect("the reader makes room");
            }
        });
        let mut said = Vec::new();
        while texts(&said).len() < 2000 {
            said.extend(reader.said());
            thread::sleep(Duration::from_millis(1));
        }
        writing.join().expect("it logs");
        said
    });
    assert_eq!(check_unbroken(&said), (2000, Drops::default()));
    assert_eq!(worker.foreign().drops(), Drops::default());
}

#[test]
fn a_call_that_waits_for_the_shared_lane_holds_up_no_other() {
    // A wait would outlast every patience.
    let worker = Worker::blocking();
    worker.lanes.share().expect("room");
    let text = "x".repeat(500);
    let open = (LANE_CAPACITY - LANE_CAPACITY / RESERVED_SHARE) as u64;
    let mut reader = worker.reader(0);
    let said = thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            for _ in 0..1000 {
                log_shared(&worker.lanes, Level::Info, &text).expect("the reader makes room");
            }
        });
        while worker.lanes.heads()[0].1 + 600 < open {
            thread::yield_now();
        }
        // Room is kept for it; the lock was held during the wait once, and then it hung here.
        for _ in 0..10 {
            log_shared(&worker.lanes, Level::Error, "at once").expect("room is kept");
        }
        let mut said = Vec::new();
        while !waiting.is_finished() {
            said.extend(reader.said());
            thread::yield_now();
        }
        said.extend(reader.said());
        said
    });
    assert_eq!(check_unbroken(&said), (1010, Drops::default()));
}

#[test]
fn a_full_shared_lane_costs_four_hundred_threads_one_budget_and_no_count() {
    let worker = Worker::new(WhenFull::Block { stall_budget: Duration::from_millis(20) });
    worker.lanes.share().expect("room");
    let text = "x".repeat(500);
    let taken: u64 = thread::scope(|scope| {
        let threads: Vec<_> = (0..400)
            .map(|_| {
                scope.spawn(|| {
                    // At a budget for each drop these would take more than five minutes.
                    let log = |_: &u64| log_shared(&worker.lanes, Level::Info, &text).is_ok();
                    (0..50_u64).filter(log).count() as u64
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("it logs")).sum()
    });
    let dropped = worker.foreign().drops();
    assert_eq!(taken + dropped.total(), 400 * 50);
    // A call that did not even get the lane in time can't tell whether a listener lives.
    let reasons =
        [DropReason::NoListener, DropReason::Full].map(|reason| dropped.0[reason as usize]);
    assert!(taken > 0 && reasons.iter().sum::<u64>() == dropped.total(), "{taken}, {dropped:?}");
    worker.lanes.goodbye();
    assert_eq!(check_unbroken(&worker.reader(0).said()), (taken, dropped));
}

#[test]
fn a_lane_holds_what_was_asked_for_and_takes_its_space_as_it_fills_up() {
    // Not a power of two: the next one counts.
    let worker = Worker::with_lanes_of(1_000_000, WhenFull::DropNewest);
    let path = worker.lanes.run_dir().join("lanes");
    let space = || {
        let entries = std::fs::read_dir(&path).expect("a folder").flatten();
        entries.map(|entry| entry.metadata().expect("a file").blocks() * 512).sum::<u64>()
    };
    let mut queue = worker.claim();
    log(&worker.lanes, &mut queue, "one").expect("there is room");
    assert!(space() < 128 << 10, "{} bytes for one record", space());
    let (taken, _) = fill(&worker, &mut queue, Level::Info);
    let open = (1 << 20) - (1 << 20) / RESERVED_SHARE as u64;
    let mut reader = worker.reader(0);
    let said = reader.said();
    let used = reader.reader.taken();
    assert!(used <= open && used + 2 * (used / taken) > open, "{used} of {open} bytes");
    assert!(space() > used && space() < (1 << 20) + (256 << 10), "{} bytes", space());
    assert_eq!(check_unbroken(&said), (taken + 1, Drops::default()));
    // It goes around its end as any lane does.
    log(&worker.lanes, &mut queue, "after").expect("there is room");
    let (more, _) = fill(&worker, &mut queue, Level::Info);
    assert!(more + 2 >= taken, "{more} after {taken}");
    let mut said = said;
    said.extend(reader.said());
    assert_eq!(check_unbroken(&said).0, taken + more + 2);
}

#[test]
fn a_lane_grows_where_the_run_directory_can_not_be_looked_at_any_more() {
    let worker = Worker::with_lanes_of(1 << 20, WhenFull::DropNewest);
    let mut queue = worker.claim();
    log(&worker.lanes, &mut queue, "one").expect("there is room");
    let reader = worker.foreign();
    let elsewhere = worker.lanes.run_dir().with_file_name("elsewhere");
    std::fs::rename(worker.lanes.run_dir(), &elsewhere).expect("another name");
    let (taken, _) = fill(&worker, &mut queue, Level::Info);
    assert!(taken * 500 > 700 << 10, "{taken} records of 500 bytes in a lane of 1 MiB");
    assert_eq!(reader.drops().total(), 1);
}

/// Few enough for the room that is kept for them.
const WARNINGS: u32 = 200;

#[test]
fn an_outage_costs_its_budget_once_and_ends_with_room() {
    let budget = Duration::from_millis(30);
    let worker = Worker::new(WhenFull::Block { stall_budget: budget });
    let mut queue = worker.claim();
    for round in 1..=2 {
        let start = std::time::Instant::now();
        let (_, reason) = fill(&worker, &mut queue, Level::Info);
        assert_eq!(reason, DropReason::NoListener);
        assert!(start.elapsed() >= budget, "round {round}: it waits before it drops");
        // Were each of them to wait, the test would take minutes.
        for _ in 0..20_000 {
            log(&worker.lanes, &mut queue, &"x".repeat(500)).expect_err("the budget is spent");
        }
        // Room that is kept for warnings is no sign of a listener.
        let start = std::time::Instant::now();
        for _ in 0..WARNINGS {
            log_at(&worker.lanes, &mut queue, Level::Warn, 8, "w").expect("room is kept for it");
            log(&worker.lanes, &mut queue, &"x".repeat(500)).expect_err("the budget is spent");
        }
        assert!(start.elapsed() < WARNINGS * budget / 2, "round {round}: the budget came back");
        worker.reader(0).said();
        log(&worker.lanes, &mut queue, "room").expect("there is room");
    }
    assert_eq!(worker.foreign().drops().total(), 2 * (20_001 + u64::from(WARNINGS)));
}
