//! Listeners that refuse, lie, talk without end, or hang up.

use std::io::Write as _;
use std::thread;
use std::time::Duration;

use fleetlog_protocol::Level;
use fleetlog_protocol::frame::{self, Kind};
use fleetlog_protocol::limits::{FRAME_MAX, REFUSAL_MAX};
use fleetlog_protocol::message::{DropReason, Reply};

use super::listener::{Meeting, Said, until};
use super::pressure::must_return;
use super::worker::Worker;
use super::{check_unbroken, texts};

#[test]
fn a_refusal_is_heard_and_its_records_wait_for_another_listener() {
    let meeting = Meeting::new();
    let listener = meeting.listen();
    let mut worker = Worker::builder().start(&meeting);
    worker.log("one").expect("there is room");
    let (mut peer, _) = listener.greet();
    peer.refuse("too many workers");
    drop(peer);
    // The first sign of it is a send that fails.
    worker.log("two").expect("there is room");
    assert_eq!(worker.queue.refused(), Some("too many workers"));
    assert!(!worker.queue.is_connected(), "it does not come back at once");
    worker.connect();
    let (mut peer, greeting) = listener.greet();
    assert_eq!(greeting.first_seq, 1);
    assert_eq!(texts(&peer.said()), ["one", "two"]);
}

#[test]
fn a_refusal_of_a_megabyte_is_kept_as_a_sentence() {
    let meeting = Meeting::new();
    let listener = meeting.listen();
    let mut worker = Worker::builder().start(&meeting);
    worker.log("one").expect("there is room");
    let (mut peer, _) = listener.greet();
    // Bytes that are no text grow when they are made one.
    let mut refusal = Vec::new();
    frame::put(Kind::Refused, &vec![0xff; FRAME_MAX - 1], &mut refusal);
    let speaker = thread::spawn(move || peer.stream.write_all(&refusal));
    until("the refusal", || {
        worker.queue.pump();
        worker.queue.refused().map(|why| assert!(why.len() <= 3 * REFUSAL_MAX))
    });
    let _ = speaker.join().expect("the listener lives");
}

#[test]
fn an_acknowledgement_of_everything_releases_only_what_was_sent() {
    let meeting = Meeting::new();
    let listener = meeting.listen();
    let mut worker = Worker::builder().start(&meeting);
    worker.log("one").expect("there is room");
    let (mut peer, _) = listener.greet();
    peer.ack(u64::MAX);
    worker.hear(1);
    assert_eq!(worker.queue.acked(), 1, "never beyond the last number");
    worker.log("two").expect("there is room");
    worker.queue.pump();
    assert_eq!(worker.queue.acked(), 1, "what came later was not acknowledged");
    drop((peer, listener));
    let listener = meeting.listen();
    worker.connect();
    let (mut peer, greeting) = listener.greet();
    assert_eq!((greeting.first_seq, texts(&peer.said())), (2, vec!["two"]));
}

#[test]
fn a_welcome_counts_for_what_is_sent_again_behind_it() {
    let meeting = Meeting::new();
    let mut worker = Worker::builder().window(8 << 20).start(&meeting);
    for _ in 0..4 {
        // Far more than a socket holds, so that most of it is sent after the welcome came.
        worker.log(&"x".repeat(900_000)).expect("there is room");
    }
    let listener = meeting.listen();
    worker.connect();
    let (mut peer, _) = listener.greet();
    peer.welcome(4);
    until("the acknowledgement", || {
        worker.queue.pump();
        peer.said();
        (worker.queue.acked() == 4).then_some(())
    });
}

#[test]
fn a_listener_that_never_stops_talking_holds_up_nobody() {
    must_return("a worker beside a chatterer", || {
        let meeting = Meeting::new();
        let listener = meeting.listen();
        let mut worker = Worker::builder().start(&meeting);
        worker.log("one").expect("there is room");
        let (peer, _) = listener.greet();
        // Several, so that there is always something more; each send is whole frames.
        let mouths = [(); 3].map(|()| {
            let mut mouth = peer.stream.try_clone().expect("a copy");
            thread::spawn(move || {
                let (mut body, mut chatter) = (Vec::new(), Vec::new());
                Reply::Pending { written: 1 }.encode(&mut body);
                for _ in 0..1000 {
                    frame::put(Kind::Reply, &body, &mut chatter);
                }
                while mouth.write_all(&chatter).is_ok() {}
            })
        });
        for _ in 0..500 {
            worker.queue.pump();
        }
        assert!(worker.queue.is_connected(), "it talked all the while");
        drop((worker, peer));
        mouths.into_iter().for_each(|mouth| mouth.join().expect("it falls silent"));
    });
}

#[test]
fn a_listener_that_talks_nonsense_is_left() {
    for nonsense in
        [&[0xff; 64][..], &[0; 64], b"HTTP/1.1 400 Bad Request\r\n\r\n", &[2, 0, 0, 0, 17, 0]]
    {
        let meeting = Meeting::new();
        let listener = meeting.listen();
        let mut worker = Worker::builder().start(&meeting);
        worker.log("one").expect("there is room");
        let (mut peer, _) = listener.greet();
        peer.stream.write_all(nonsense).expect("the worker takes it");
        until("the worker's leave", || {
            worker.queue.pump();
            peer.is_left().then_some(())
        });
        worker.connect();
        let (mut peer, greeting) = listener.greet();
        assert_eq!((greeting.first_seq, texts(&peer.said())), (1, vec!["one"]));
    }
}

#[test]
fn a_listener_that_always_hangs_up_costs_a_worker_its_budget_only() {
    must_return("a worker beside a listener that always hangs up", || {
        let meeting = Meeting::new();
        let listener = meeting.listen();
        let mut worker =
            Worker::builder().window(1 << 20).block(Duration::from_millis(200)).start(&meeting);
        thread::spawn(move || {
            loop {
                // Reads a part and ends, as one that crashes over a record.
                let _ = listener.accept().fill(100_000);
            }
        });
        let taken = worker.fill(Level::Info);
        assert!(taken > 0);
        let account = worker.queue.account();
        assert_eq!((account.accepted, account.dropped.total()), (taken, 1));
    });
}

#[test]
fn a_gap_at_the_start_of_the_window_begins_with_its_first_number() {
    let meeting = Meeting::new();
    let listener = meeting.listen();
    let mut worker = Worker::builder().start(&meeting);
    worker.log("one").expect("there is room");
    worker.queue.count_lost(DropReason::Reentrant, 5);
    worker.log("seven").expect("there is room");
    let (mut peer, _) = listener.greet();
    peer.ack(1);
    worker.hear(1);
    drop((peer, listener));
    let listener = meeting.listen();
    worker.connect();
    let (mut peer, greeting) = listener.greet();
    assert_eq!(greeting.first_seq, 2, "not the gap's last");
    let said: Vec<Said> = peer.said();
    check_unbroken(&said, 2);
}

#[test]
fn a_full_backlog_is_waited_out() {
    let meeting = Meeting::new();
    let listener = meeting.listen();
    listener.take_at_most(3);
    let mut crowd: Vec<Worker> = Vec::new();
    let mut late = loop {
        let mut worker = Worker::builder().start(&meeting);
        worker.log("one").expect("there is room");
        if !worker.queue.is_connected() {
            break worker;
        }
        crowd.push(worker);
        assert!(crowd.len() < 100, "the backlog has an end");
    };
    assert_eq!(late.queue.account().accepted, 1);
    for _ in &crowd {
        assert_eq!(texts(&listener.greet().0.said()), ["one"]);
    }
    late.connect();
    assert_eq!(texts(&listener.greet().0.said()), ["one"]);
}
