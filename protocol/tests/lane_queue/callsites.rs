//! Callsites: one number each, in the order of the table, and inside of their records where the
//! table takes no more.

use std::collections::HashMap;
use std::sync::Barrier;
use std::thread;

use fleetlog_protocol::Level;
use fleetlog_protocol::lane_queue::LaneQueue;
use fleetlog_protocol::limits::CALLSITES_MAX;
use fleetlog_protocol::message::Drops;
use fleetlog_protocol::socket_queue::CallsiteOf;

use super::worker::{Said, Worker, check_unbroken, define, log_at, record_of};

/// The callsite's number, its definition's name if the record has one, and the text.
fn numbers(said: &[Said]) -> Vec<(u32, Option<&str>, &str)> {
    said.iter()
        .filter_map(|said| match said {
            Said::Record { callsite, text, definition, .. } => {
                let name = definition.as_ref().map(|definition| definition.name.as_str());
                Some((*callsite, name, text.as_str()))
            }
            _ => None,
        })
        .collect()
}

#[test]
fn a_thousand_callsites_are_numbered_in_the_order_of_their_first_records() {
    let worker = Worker::dropping();
    let mut queue = worker.claim();
    // Addresses of static data, as far apart as linkers put them.
    let address = |callsite: usize| 0x5555_0000 + 24 * callsite;
    for _ in 0..2 {
        for callsite in 1..=1000 {
            let text = address(callsite).to_string();
            log_at(&worker.lanes, &mut queue, Level::Info, address(callsite), &text)
                .expect("there is room");
        }
    }
    let said = worker.reader(0).said();
    let expected = (1..=1000).chain(1..=1000);
    for ((number, definition, _), expected) in numbers(&said).into_iter().zip(expected) {
        assert_eq!((number, definition), (expected, None));
    }
    let names: Vec<String> = worker.callsites().into_iter().map(|callsite| callsite.name).collect();
    let expected: Vec<String> = (1..=1000).map(|callsite| address(callsite).to_string()).collect();
    assert_eq!(names, expected);
}

#[test]
fn a_definition_is_there_before_the_first_record_that_names_it() {
    let worker = Worker::dropping();
    let mut queue = worker.claim();
    let mut reader = worker.reader(0);
    for callsite in 1..100 {
        log_at(&worker.lanes, &mut queue, Level::Info, callsite, "text").expect("there is room");
        let number = numbers(&reader.said())[0].0 as usize;
        let known = worker.callsites();
        assert_eq!(known[number - 1].name, callsite.to_string());
    }
}

#[test]
fn threads_that_meet_a_callsite_at_once_give_it_one_number() {
    const THREADS: usize = 4;
    const CALLSITES: usize = 700;
    let worker = Worker::dropping();
    let start = Barrier::new(THREADS);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut queue = worker.claim();
                for callsite in 1..=CALLSITES {
                    // All of them meet each callsite at the same time.
                    start.wait();
                    let text = callsite.to_string();
                    log_at(&worker.lanes, &mut queue, Level::Info, 8 * callsite, &text)
                        .expect("there is room");
                }
            });
        }
    });
    let table = worker.callsites();
    assert_eq!(table.len(), CALLSITES, "each is defined once");
    let mut known = HashMap::new();
    for lane in 0..THREADS {
        let said = worker.reader(lane).said();
        assert_eq!(check_unbroken(&said), (CALLSITES as u64, Drops::default()));
        for (number, _, text) in numbers(&said) {
            assert_eq!(*known.entry(text.to_owned()).or_insert(number), number);
            let key: usize = 8 * text.parse::<usize>().expect("a number");
            assert_eq!(table[number as usize - 1].name, key.to_string());
        }
    }
    assert_eq!(known.len(), CALLSITES);
}

/// Logs from a callsite with a long definition.
fn log_long(worker: &Worker, queue: &mut LaneQueue, callsite: usize) {
    let field = "x".repeat(1000);
    let fields = vec![field.as_str(); 60];
    let define = |out: &mut Vec<u8>| define(&callsite.to_string(), &fields, out);
    let mut record = record_of(Level::Info, &callsite.to_string());
    queue
        .record(&worker.lanes, &mut record, false, CallsiteOf::Static(8 * callsite, &define))
        .expect("there is room");
}

#[test]
fn callsites_that_find_no_room_in_the_table_travel_inside_their_records() {
    let worker = Worker::dropping();
    let mut queue = worker.claim();
    let mut reader = worker.reader(0);
    let (mut defined, mut inline) = (0, 0);
    // Twice: what is known stays known, what is not comes along again.
    for _ in 0..2 {
        for callsite in 1..=25_usize {
            log_long(&worker, &mut queue, callsite);
            let said = reader.said();
            let expected = callsite.to_string();
            match numbers(&said)[0] {
                (0, Some(name), text) => {
                    assert_eq!((name, text), (expected.as_str(), expected.as_str()));
                    inline += 1;
                }
                (number, None, _) => {
                    assert_eq!(number as usize, callsite);
                    defined += 1;
                }
                other => panic!("{other:?} has no definition"),
            }
        }
    }
    let table = worker.callsites();
    assert_eq!((defined, inline), (2 * table.len(), 2 * (25 - table.len())));
    assert_eq!(table.len(), 17, "60 kB each, in a table of 1 MiB");
}

#[test]
fn callsites_beyond_the_limit_travel_inside_their_records() {
    let worker = Worker::dropping();
    let mut queue = worker.claim();
    let mut reader = worker.reader(0);
    // Beyond the limit, and beyond what the process remembers at all.
    let count = CALLSITES_MAX + 3000;
    for round in 0..2 {
        for callsite in 1..=count {
            log_at(&worker.lanes, &mut queue, Level::Info, 8 * callsite, "text")
                .expect("there is room");
            if callsite % 500 != 0 && callsite != count {
                continue;
            }
            let first = (callsite - 1) / 500 * 500 + 1;
            let said = reader.said();
            for (callsite, (number, definition, _)) in (first..).zip(numbers(&said)) {
                if callsite <= CALLSITES_MAX {
                    assert_eq!((number as usize, definition), (callsite, None), "round {round}");
                } else {
                    let name = (8 * callsite).to_string();
                    assert_eq!((number, definition), (0, Some(name.as_str())), "round {round}");
                }
            }
        }
    }
    assert_eq!(worker.callsites().len(), CALLSITES_MAX);
}

#[test]
fn a_record_that_brings_its_own_definition_keeps_it() {
    let worker = Worker::dropping();
    let mut queue = worker.claim();
    let mut record = record_of(Level::Info, "text");
    let mut definition = Vec::new();
    define("its own", &["message"], &mut definition);
    fleetlog_protocol::record::RecordEncoder::append_definition(&mut record, &definition);
    queue.record(&worker.lanes, &mut record, false, CallsiteOf::Inline).expect("there is room");
    assert_eq!(numbers(&worker.reader(0).said()), [(0, Some("its own"), "text")]);
    assert!(worker.callsites().is_empty());
}
