//! Lane queues with their reader in the same process: order, numbers, names, callsites, pressure,
//! and the bell.
#![allow(missing_docs, unreachable_pub, reason = "a test has no users")]

#[path = "lane_queue/bell.rs"]
mod bell;
#[path = "lane_queue/callsites.rs"]
mod callsites;
#[path = "lane_queue/pressure.rs"]
mod pressure;
#[path = "lane_queue/worker.rs"]
mod worker;

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use fleetlog_protocol::Level;
use fleetlog_protocol::limits::{LANES_MAX, NAME_MAX};
use fleetlog_protocol::message::{DropReason, Drops};
use worker::{Said, Worker, check_unbroken, log, log_shared, texts};

#[test]
fn records_arrive_numbered_in_order_behind_the_name() {
    let worker = Worker::dropping();
    let mut queue = worker.claim();
    for number in 0..300 {
        log(&worker.lanes, &mut queue, &number.to_string()).expect("there is room");
    }
    let said = worker.reader(0).said();
    assert_eq!(said[0], Said::Name("first".to_owned()));
    assert_eq!(said.iter().filter(|said| matches!(said, Said::Name(_))).count(), 1);
    assert_eq!(check_unbroken(&said), (300, Drops::default()));
    let expected: Vec<String> = (0..300).map(|number| number.to_string()).collect();
    assert_eq!(texts(&said), expected);
}

#[test]
fn a_record_is_in_the_lane_when_its_call_returns() {
    let worker = Worker::dropping();
    let mut queue = worker.claim();
    let mut reader = worker.reader(0);
    for text in ["one", "two", "three"] {
        log(&worker.lanes, &mut queue, text).expect("there is room");
        assert_eq!(texts(&reader.said()), [text]);
    }
}

#[test]
fn each_lane_tells_a_new_name_before_its_next_record() {
    let worker = Worker::dropping();
    let mut queues = [worker.claim(), worker.claim()];
    let mut readers = [worker.reader(0), worker.reader(1)];
    let name = |name: &str| Said::Name(name.to_owned());
    for (queue, reader) in queues.iter_mut().zip(&mut readers) {
        log(&worker.lanes, queue, "a").expect("there is room");
        assert_eq!(reader.said()[0], name("first"));
    }
    worker.lanes.set_name("second");
    worker.lanes.set_name("third");
    let long = "é".repeat(NAME_MAX);
    for (queue, reader) in queues.iter_mut().zip(&mut readers) {
        log(&worker.lanes, queue, "b").expect("there is room");
        let said = reader.said();
        assert_eq!((said.len(), &said[0]), (2, &name("third")), "the last one is enough");
    }
    worker.lanes.set_name(&long);
    for (queue, reader) in queues.iter_mut().zip(&mut readers) {
        log(&worker.lanes, queue, "c").expect("there is room");
        assert_eq!(reader.said()[0], name(&"é".repeat(NAME_MAX / 2)));
        log(&worker.lanes, queue, "d").expect("there is room");
        assert_eq!(reader.said().len(), 1, "it is told once");
    }
}

#[test]
fn a_lane_that_was_given_back_goes_on_where_it_stopped() {
    let worker = Worker::dropping();
    let mut queue = worker.claim();
    log(&worker.lanes, &mut queue, "one").expect("there is room");
    worker.lanes.release(queue);
    let mut queue = worker.claim();
    log(&worker.lanes, &mut queue, "two").expect("there is room");
    let said = worker.reader(0).said();
    assert_eq!(texts(&said), ["one", "two"]);
    assert_eq!(check_unbroken(&said), (2, Drops::default()));
    assert_eq!(worker.foreign().claimed(), 1, "this one");
}

#[test]
fn a_thread_beyond_the_last_lane_gets_none_until_one_is_given_back() {
    let worker = Worker::dropping();
    let mut queues: Vec<_> = (1..LANES_MAX).map(|_| worker.claim()).collect();
    assert!(worker.lanes.claim().expect("no error").is_none());
    assert_eq!(worker.foreign().claimed(), LANES_MAX - 1);
    for (number, queue) in queues.iter_mut().enumerate() {
        log(&worker.lanes, queue, &number.to_string()).expect("there is room");
    }
    for lane in 1..LANES_MAX {
        assert_eq!(texts(&worker.reader(lane - 1).said()), [(lane - 1).to_string()]);
    }
    worker.lanes.release(queues.swap_remove(20));
    assert!(worker.lanes.claim().expect("no error").is_some());
    assert!(worker.lanes.claim().expect("no error").is_none());
}

#[test]
fn the_shared_lane_keeps_numbers_and_stamps_in_order_under_contention() {
    const THREADS: usize = 6;
    const EACH: usize = 2000;
    let worker = Worker::blocking();
    let mut reader = worker.reader(0);
    let start = Barrier::new(THREADS);
    let are_done = AtomicBool::new(false);
    let said = thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut said = Vec::new();
            loop {
                let is_last = are_done.load(Ordering::Acquire);
                said.extend(reader.said());
                if is_last {
                    return said;
                }
            }
        });
        worker.lanes.share().expect("room");
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (worker, start) = (&worker, &start);
                scope.spawn(move || {
                    start.wait();
                    for number in 0..EACH {
                        let text = format!("{thread} {number}");
                        log_shared(&worker.lanes, Level::Info, &text)
                            .expect("the reader makes room");
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().expect("it logs"));
        are_done.store(true, Ordering::Release);
        reading.join().expect("it reads")
    });
    assert_eq!(check_unbroken(&said), ((THREADS * EACH) as u64, Drops::default()));
    for thread in 0..THREADS {
        let its = texts(&said)
            .into_iter()
            .filter_map(|text| text.strip_prefix(&format!("{thread} ")).map(str::parse::<usize>));
        assert!(its.eq((0..EACH).map(Ok)), "thread {thread} is in the order of its calls");
    }
}

#[test]
fn what_is_not_released_is_not_written() {
    let worker = Worker::dropping();
    let mut queue = worker.claim();
    for text in ["one", "two", "three"] {
        log(&worker.lanes, &mut queue, text).expect("there is room");
    }
    let heads = worker.lanes.heads();
    assert_eq!(heads.len(), 1);
    let (lane, head) = heads[0];
    assert_eq!(worker.lanes.unwritten(lane, head), 3, "the name is no record");
    assert!(!worker.lanes.is_written(lane, head));
    let mut reader = worker.reader(0);
    assert_eq!(reader.said_and_kept().len(), 4);
    assert!(!worker.lanes.is_written(lane, head), "taken is not yet written");
    reader.release();
    assert!(worker.lanes.is_written(lane, head));
    assert_eq!(worker.lanes.unwritten(lane, head), 0);
    log(&worker.lanes, &mut queue, "later").expect("there is room");
    assert!(worker.lanes.is_written(lane, head), "what comes later is not asked for");
}

#[test]
fn a_goodbye_reports_what_is_due_and_notes_the_leave() {
    let worker = Worker::dropping();
    let mut queue = worker.claim();
    log(&worker.lanes, &mut queue, "one").expect("there is room");
    queue.count_lost(&worker.lanes, DropReason::Reentrant, 2);
    worker.lanes.release(queue);
    worker.lanes.share().expect("room");
    worker.lanes.count_lost_shared(DropReason::Reentrant, 3);
    assert!(!worker.foreign().has_left());
    worker.lanes.goodbye();
    assert!(worker.foreign().has_left());
    assert_eq!(worker.foreign().drops(), Drops([0, 0, 5, 0]));
    // The lane that was given back is the one that is shared.
    assert_eq!(check_unbroken(&worker.reader(0).said()), (1, Drops([0, 0, 5, 0])));
}
