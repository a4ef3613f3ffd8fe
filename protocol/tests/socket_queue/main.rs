//! The socket queue against a listener that a test steers: order, reconnects, gaps, pressure,
//! and listeners that mean harm.
#![allow(missing_docs, unreachable_pub, reason = "a test has no users")]

mod hostile;
mod listener;
mod pressure;
mod worker;

use std::time::Duration;

use fleetlog_protocol::Level;
use fleetlog_protocol::limits::CALLSITES_MAX;
use fleetlog_protocol::message::{DropReason, Drops};
use listener::{Meeting, Said, until};
use worker::Worker;

/// The texts of the records, without the frames between them.
fn texts(said: &[Said]) -> Vec<&str> {
    said.iter()
        .filter_map(|said| match said {
            Said::Record { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

/// Checks that sequence numbers and stamps are unbroken from `first` on, gaps included, and
/// tells the records and the drops.
#[track_caller]
fn check_unbroken(said: &[Said], first: u64) -> (u64, Drops) {
    let (mut next, mut last_stamp, mut records) = (first, 0, 0);
    let mut drops = Drops::default();
    for frame in said {
        let stamp = match frame {
            Said::Record { seq, stamp, .. } => {
                assert_eq!(*seq, next, "a record's number");
                records += 1;
                *stamp
            }
            Said::Gap(gap) => {
                assert_eq!(gap.first_seq, next, "a gap begins where the last record ended");
                drops.add(gap.drops);
                gap.stamp
            }
            _ => continue,
        };
        assert!(stamp >= last_stamp, "stamps never fall on one connection");
        (next, last_stamp) = (frame.seq().expect("it has one") + 1, stamp);
    }
    (records, drops)
}

#[test]
fn records_arrive_numbered_without_holes_behind_their_callsites() {
    let meeting = Meeting::new();
    let listener = meeting.listen();
    let mut worker = Worker::builder().window(1 << 20).start(&meeting);
    for number in 0..300_usize {
        worker.log_at(Level::Info, number % 3, &number.to_string()).expect("there is room");
    }
    let (mut peer, greeting) = listener.greet();
    assert_eq!((greeting.first_seq, greeting.name.as_str()), (1, "first"));
    assert_eq!(greeting.pid, std::process::id());

    let said = peer.said();
    assert_eq!(check_unbroken(&said, 1), (300, Drops::default()));
    let mut known = Vec::new();
    for frame in &said {
        match frame {
            Said::Callsite(number) => known.push(*number),
            Said::Record { callsite, .. } => assert!(known.contains(callsite)),
            other => panic!("unexpected {other:?}"),
        }
    }
    // The first stands in the prelude of the connection as well as in the window.
    assert_eq!(known, [1, 1, 2, 3]);
}

#[test]
fn a_record_whose_call_has_returned_is_in_the_socket() {
    let meeting = Meeting::new();
    let listener = meeting.listen();
    let mut worker = Worker::builder().start(&meeting);
    worker.log("one").expect("there is room");
    drop(worker);
    let (mut peer, _) = listener.greet();
    assert_eq!(texts(&peer.said()), ["one"], "the worker is gone, its record is not");
    assert_eq!(peer.next(), None);
}

#[test]
fn a_worker_may_log_before_a_listener_exists() {
    let meeting = Meeting::new();
    let mut worker = Worker::builder().start(&meeting);
    for text in ["one", "two"] {
        worker.log(text).expect("the window has room");
    }
    let listener = meeting.listen();
    worker.connect();
    let (mut peer, greeting) = listener.greet();
    assert_eq!(greeting.first_seq, 1);
    assert_eq!(texts(&peer.said()), ["one", "two"]);
}

#[test]
fn a_reconnect_sends_exactly_what_was_not_acknowledged() {
    let meeting = Meeting::new();
    let listener = meeting.listen();
    let mut worker = Worker::builder().start(&meeting);
    for number in 1..=10 {
        worker.log(&number.to_string()).expect("there is room");
    }
    let (mut peer, first) = listener.greet();
    peer.ack(4);
    worker.hear(4);
    drop((peer, listener));

    let listener = meeting.listen();
    until("a second connection", || {
        worker.queue.pump();
        worker.queue.is_connected().then_some(())
    });
    worker.log("11").expect("there is room");
    let (mut peer, second) = listener.greet();
    assert_eq!((second.first_seq, second.queue), (5, first.queue));
    let said = peer.said();
    assert_eq!(said[0], Said::Callsite(1), "definitions come again");
    assert_eq!(texts(&said), ["5", "6", "7", "8", "9", "10", "11"]);
    check_unbroken(&said, 5);
}

#[test]
fn what_a_dying_listener_acknowledged_last_is_not_sent_again() {
    let meeting = Meeting::new();
    let listener = meeting.listen();
    let mut worker = Worker::builder().start(&meeting);
    for text in ["one", "two", "three"] {
        worker.log(text).expect("there is room");
    }
    let (mut peer, _) = listener.greet();
    peer.ack(2);
    drop((peer, listener));
    let listener = meeting.listen();
    // The first sign of the end is a send that fails; the acknowledgement was never asked for.
    worker.log("four").expect("there is room");
    worker.connect();
    let (mut peer, greeting) = listener.greet();
    assert_eq!(greeting.first_seq, 3);
    assert_eq!(texts(&peer.said()), ["three", "four"]);
}

#[test]
fn acknowledgements_make_room() {
    let meeting = Meeting::new();
    let listener = meeting.listen();
    let mut worker = Worker::builder().start(&meeting);
    let text = "x".repeat(1000);
    worker.log(&text).expect("there is room");
    let (mut peer, _) = listener.greet();
    // Ten windows' worth: without room from acknowledgements most of it would be dropped.
    for seq in 2..=160 {
        peer.ack(seq - 1);
        worker.log(&text).expect("an acknowledgement made room");
    }
    assert_eq!(worker.queue.account().dropped.total(), 0);
    assert_eq!(check_unbroken(&peer.said(), 1).0, 160);
}

#[test]
fn a_name_set_before_the_first_record_is_in_the_hello() {
    let meeting = Meeting::new();
    let listener = meeting.listen();
    let mut worker = Worker::builder().start(&meeting);
    worker.queue.set_name("worker 3");
    worker.log("one").expect("there is room");
    let (mut peer, greeting) = listener.greet();
    assert_eq!(greeting.name, "worker 3");
    let said = peer.said();
    assert_eq!(texts(&said), ["one"]);
    assert!(!said.iter().any(|said| matches!(said, Said::Name(_))), "once is enough: {said:?}");
}

#[test]
fn a_name_set_on_a_silent_connection_does_not_keep_its_record_back() {
    let meeting = Meeting::new();
    let listener = meeting.listen();
    let mut worker = Worker::builder().start(&meeting);
    worker.queue.pump();
    let (mut silent, greeting) = listener.greet();
    assert_eq!(greeting.name, "first");
    worker.queue.set_name("worker 3");
    worker.log("one").expect("there is room");
    // No further call into the queue: the record must have left with its own.
    let (mut peer, greeting) = listener.greet();
    assert_eq!(greeting.name, "worker 3");
    assert_eq!(texts(&peer.said()), ["one"]);
    assert_eq!(silent.next(), None);
}

#[test]
fn a_name_survives_reconnects_at_its_place() {
    let meeting = Meeting::new();
    let listener = meeting.listen();
    let mut worker = Worker::builder().start(&meeting);
    worker.log("a").expect("there is room");
    worker.queue.set_name("second");
    worker.log("b").expect("there is room");
    worker.queue.set_name("third");
    let (peer, _) = listener.greet();
    drop((peer, listener));

    let listener = meeting.listen();
    worker.connect();
    let (mut peer, greeting) = listener.greet();
    assert_eq!(greeting.name, "first", "the name at the window's start");
    let told: Vec<_> = peer.said().into_iter().filter(|said| !is_callsite(said)).collect();
    assert_eq!(texts(&told), ["a", "b"]);
    assert_eq!(told[1], Said::Name("second".to_owned()));
    assert_eq!(told[3], Said::Name("third".to_owned()));
    peer.ack(2);
    worker.hear(2);
    drop((peer, listener));

    let listener = meeting.listen();
    worker.connect();
    worker.log("c").expect("there is room");
    let (mut peer, greeting) = listener.greet();
    assert_eq!((greeting.name.as_str(), greeting.first_seq), ("second", 3));
    let told: Vec<_> = peer.said().into_iter().filter(|said| !is_callsite(said)).collect();
    assert_eq!(told[0], Said::Name("third".to_owned()));
    assert_eq!(texts(&told), ["c"]);
}

fn is_callsite(said: &Said) -> bool {
    matches!(said, Said::Callsite(_))
}

#[test]
fn a_name_without_room_waits_for_the_next_record() {
    let meeting = Meeting::new();
    let mut worker = Worker::builder().start(&meeting);
    let taken = worker.fill_to_the_last_byte();
    worker.queue.set_name("second");
    let listener = meeting.listen();
    worker.connect();
    let (mut peer, _) = listener.greet();
    let before = peer.said();
    assert!(!before.contains(&Said::Name("second".to_owned())), "it did not fit");
    peer.ack(taken);
    worker.hear(taken);
    worker.log("named").expect("there is room");
    let after = peer.said();
    let name = after.iter().position(|said| *said == Said::Name("second".to_owned()));
    let record = after.iter().position(|said| matches!(said, Said::Record { .. }));
    assert!(name.is_some() && name < record, "{after:?}");
}

#[test]
fn callsites_beyond_the_limit_travel_inside_their_records() {
    let meeting = Meeting::new();
    let mut worker = Worker::builder().window(8 << 20).start(&meeting);
    let count = CALLSITES_MAX + 3;
    for callsite in 1..=count {
        worker.log_at(Level::Info, callsite, "text").expect("the window has room");
    }
    // Known ones keep their numbers.
    worker.log_at(Level::Info, 1, "text").expect("the window has room");

    for _ in 0..2 {
        let listener = meeting.listen();
        let reader = std::thread::spawn(move || {
            let (mut peer, _) = listener.greet();
            let mut said = Vec::new();
            while said.last().and_then(Said::seq) != Some(count as u64 + 1) {
                said.push(peer.next().expect("the worker goes on"));
            }
            said
        });
        until("the whole window", || {
            worker.queue.pump();
            reader.is_finished().then_some(())
        });
        let mut known = vec![false; CALLSITES_MAX + 1];
        let mut inline = 0;
        for said in reader.join().expect("the listener read everything") {
            match said {
                Said::Callsite(number) => known[number as usize] = true,
                Said::Record { callsite: 0, has_definition, .. } => {
                    assert!(has_definition);
                    inline += 1;
                }
                Said::Record { callsite, .. } => assert!(known[callsite as usize]),
                other => panic!("unexpected {other:?}"),
            }
        }
        assert_eq!(inline, 3);
    }
}

#[test]
fn a_callsite_whose_record_was_dropped_is_defined_with_the_next() {
    let meeting = Meeting::new();
    let mut worker = Worker::builder().start(&meeting);
    let taken = worker.fill(Level::Info);
    worker.log_at(Level::Info, 2, &"x".repeat(100)).expect_err("the window is full");
    let listener = meeting.listen();
    worker.connect();
    let (mut peer, _) = listener.greet();
    peer.ack(taken);
    worker.hear(taken);
    worker.log_at(Level::Info, 2, "defined").expect("there is room");
    let said = peer.said();
    let Some(Said::Record { callsite, .. }) = said.last() else { panic!("{said:?}") };
    assert!(said.contains(&Said::Callsite(*callsite)), "{said:?}");
}

#[test]
fn goodbye_is_the_last_word_and_names_the_last_number() {
    let meeting = Meeting::new();
    let listener = meeting.listen();
    let mut worker = Worker::builder().start(&meeting);
    worker.log("one").expect("there is room");
    worker.queue.count_lost(DropReason::Reentrant, 2);
    worker.queue.goodbye();
    let (mut peer, _) = listener.greet();
    let said = peer.said();
    assert_eq!(check_unbroken(&said, 1), (1, Drops([0, 0, 2, 0])), "the last gap is reported");
    assert_eq!(said.last(), Some(&Said::Goodbye(3)));
}

#[test]
fn goodbye_waits_for_a_slow_listener() {
    let meeting = Meeting::new();
    let listener = meeting.listen();
    let mut worker =
        Worker::builder().window(8 << 20).block(Duration::from_secs(60)).start(&meeting);
    let reader = std::thread::spawn(move || {
        let (mut peer, _) = listener.greet();
        let mut last = None;
        while let Some(said) = peer.next() {
            if let Some(seq) = said.seq() {
                peer.ack(seq);
            }
            last = Some(said);
        }
        last
    });
    for _ in 0..4 {
        worker.log(&"x".repeat(1_000_000)).expect("there is room");
    }
    worker.queue.goodbye();
    drop(worker);
    assert_eq!(reader.join().expect("the listener lives"), Some(Said::Goodbye(4)));
}

#[test]
fn goodbye_gives_to_the_next_listener_what_a_dead_one_took_along() {
    let meeting = Meeting::new();
    let listener = meeting.listen();
    let mut worker = Worker::builder().block(Duration::from_secs(60)).start(&meeting);
    worker.log("one").expect("there is room");
    let (mut peer, _) = listener.greet();
    assert_eq!(peer.said().iter().filter_map(Said::seq).collect::<Vec<_>>(), [1]);
    // It dies with the record unwritten, and the worker has nothing more to say but goodbye.
    drop((peer, listener));
    let next = meeting.listen();
    let reader = std::thread::spawn(move || {
        let (mut peer, _) = next.greet();
        let mut said = Vec::new();
        while let Some(word) = peer.next() {
            if let Some(seq) = word.seq() {
                peer.ack(seq);
            }
            said.push(word);
        }
        said
    });
    worker.queue.goodbye();
    drop(worker);
    let said = reader.join().expect("the listener lives");
    assert_eq!(said.iter().filter_map(Said::seq).collect::<Vec<_>>(), [1]);
    assert_eq!(said.last(), Some(&Said::Goodbye(1)));
}

#[test]
fn goodbye_waits_for_nobody_when_everything_was_acknowledged() {
    let meeting = Meeting::new();
    let listener = meeting.listen();
    // A wait would outlast every patience.
    let mut worker = Worker::builder().block(Duration::from_secs(100_000)).start(&meeting);
    worker.log("one").expect("there is room");
    let (mut peer, _) = listener.greet();
    peer.ack(1);
    drop((peer, listener));
    worker.queue.goodbye();
    assert_eq!(worker.queue.acked(), 1);
}

#[test]
fn what_is_logged_behind_a_goodbye_brings_its_own() {
    let meeting = Meeting::new();
    let listener = meeting.listen();
    let mut worker = Worker::builder().block(Duration::from_millis(20)).start(&meeting);
    worker.log("one").expect("there is room");
    let (mut peer, _) = listener.greet();
    worker.queue.goodbye();
    worker.log("two").expect("there is room");
    let said = peer.said();
    assert_eq!(said.iter().filter_map(Said::seq).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(said.last(), Some(&Said::Goodbye(2)));
}

#[test]
fn goodbye_without_a_listener_returns() {
    let meeting = Meeting::new();
    let mut worker = Worker::builder().block(Duration::from_millis(20)).start(&meeting);
    worker.log("one").expect("there is room");
    worker.queue.goodbye();
    assert!(!worker.queue.is_connected());
}

#[test]
fn a_queue_that_never_logged_says_goodbye_only_where_it_said_hello() {
    let meeting = Meeting::new();
    let listener = meeting.listen();
    let mut silent = Worker::builder().start(&meeting);
    silent.queue.goodbye();
    assert!(!silent.queue.is_connected());
    let mut worker = Worker::builder().start(&meeting);
    worker.queue.pump();
    worker.queue.goodbye();
    let (mut peer, _) = listener.greet();
    assert_eq!(peer.said(), [Said::Goodbye(0)], "or its end would look like a crash");
}
