//! Threads: each has a lane, and gives it back.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Barrier;

use fleetlog_protocol::limits::LANES_MAX;

use crate::reader;
use crate::stage::play;
use crate::{Roles, allocator, install_plainly};

pub(crate) const ROLES: Roles = &[
    ("one_after_another", one_after_another),
    ("all_at_once", all_at_once),
    ("late", late),
    ("nested", nested),
    ("warm", warm),
];

#[test]
fn threads_one_after_another_use_the_same_lane() {
    let left = play("one_after_another");
    let seen = reader::read_one(&left.run_dir);
    seen.assert_unbroken();
    assert_eq!(seen.messages().len(), 200);
    let lanes: BTreeSet<usize> = seen.lines().iter().map(|line| line.lane).collect();
    assert_eq!(lanes, BTreeSet::from([0]), "never the shared one, never a second one");
    let threads: BTreeSet<u32> = seen.lines().iter().map(|line| line.thread).collect();
    assert!(threads.len() > 1, "a record says which thread made it");
}

fn one_after_another() {
    install_plainly();
    for n in 0..200 {
        std::thread::spawn(move || tracing::info!(n, "short life")).join().expect("a thread");
    }
}

const THREADS: usize = 100;
const RECORDS: u64 = 50;

#[test]
fn threads_beyond_the_last_lane_share_one() {
    let left = play("all_at_once");
    let seen = reader::read_one(&left.run_dir);
    seen.assert_unbroken();
    let mut threads: BTreeMap<u64, (BTreeSet<usize>, Vec<u64>)> = BTreeMap::new();
    for line in seen.lines() {
        let (lanes, numbers) = threads.entry(line.number("thread")).or_default();
        lanes.insert(line.lane);
        numbers.push(line.number("n"));
    }
    assert_eq!(threads.len(), THREADS);
    for (thread, (lanes, numbers)) in &threads {
        assert_eq!(*numbers, (0..RECORDS).collect::<Vec<_>>(), "thread {thread}");
        assert_eq!(lanes.len(), 1, "thread {thread}");
    }
    let shared = threads.values().filter(|(lanes, _)| lanes.contains(&(LANES_MAX - 1))).count();
    assert_eq!(shared, THREADS - (LANES_MAX - 1));
    assert_eq!(seen.readers.len(), LANES_MAX);
}

fn all_at_once() {
    install_plainly();
    let barrier = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let barrier = &barrier;
            scope.spawn(move || {
                tracing::info!(thread, n = 0, "at once");
                barrier.wait();
                for n in 1..RECORDS {
                    tracing::info!(thread, n, "at once");
                }
            });
        }
    });
}

#[test]
fn a_destructor_that_logs_behind_ours_uses_the_shared_lane() {
    let left = play("late");
    let seen = reader::read_one(&left.run_dir);
    seen.assert_unbroken();
    assert_eq!(seen.messages(), ["alive", "dropping", "dropping", "main"]);
    let lanes: Vec<usize> = seen.lines().iter().map(|line| line.lane).collect();
    // Destructors run in the reverse order of the first uses: one before ours, one behind it.
    // The lane that was given back is shared from then on, and the main thread has the next.
    assert_eq!(lanes, [0, 0, 0, 1]);
}

struct LogsOnDrop;

impl Drop for LogsOnDrop {
    fn drop(&mut self) {
        tracing::info!("dropping");
    }
}

fn late() {
    thread_local! {
        static FIRST: LogsOnDrop = const { LogsOnDrop };
        static LAST: LogsOnDrop = const { LogsOnDrop };
    }
    install_plainly();
    std::thread::spawn(|| {
        FIRST.with(|_| ());
        tracing::info!("alive");
        LAST.with(|_| ());
    })
    .join()
    .expect("a thread");
    tracing::info!("main");
}

#[test]
fn a_debug_that_logs_stands_before_the_record_that_it_is_part_of() {
    let left = play("nested");
    let seen = reader::read_one(&left.run_dir);
    seen.assert_unbroken();
    assert_eq!(seen.messages(), ["inner", "outer", "inner", "a value that logs"]);
    assert!(seen.lines().iter().all(|line| line.lane == 0));
}

struct Chatty;

impl fmt::Debug for Chatty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        tracing::info!("inner");
        f.write_str("a value that logs")
    }
}

fn nested() {
    install_plainly();
    tracing::info!(value = ?Chatty, "outer");
    tracing::info!("{:?}", Chatty);
}

#[test]
fn a_record_of_a_thread_that_has_logged_before_allocates_nothing() {
    let left = play("warm");
    assert_eq!(reader::read_one(&left.run_dir).messages(), vec!["warm"; 12]);
}

fn warm() {
    install_plainly();
    let log = |n: u64| tracing::info!(n, text = "some text", value = ?n, "warm");
    // The second record finds a lane that has told its name and looked at its tail.
    log(0);
    log(1);
    const SOME: u32 = 1000;
    allocator::arm(SOME);
    for n in 2..12 {
        log(n);
    }
    assert_eq!(allocator::disarm(), SOME, "an allocation");
}
