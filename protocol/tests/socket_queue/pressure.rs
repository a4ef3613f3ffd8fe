//! Full windows, slow listeners, large records, and signals.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use fleetlog_protocol::Level;
use fleetlog_protocol::limits::{RECORD_MAX, WINDOW_MIN, record_max_for};
use fleetlog_protocol::message::{DropReason, Drops};
use nix::sys::pthread::{Pthread, pthread_kill, pthread_self};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use super::listener::{Listener, Meeting, PATIENCE, Said, until};
use super::worker::{Worker, log_shared, record_of};
use super::{check_unbroken, texts};

/// Runs something that must not hang, on a thread of its own.
#[track_caller]
pub fn must_return<T: Send + 'static>(
    what: &str,
    action: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (done, result) = mpsc::channel();
    thread::spawn(move || done.send(action()));
    match result.recv_timeout(PATIENCE) {
        Ok(value) => value,
        Err(error) => panic!("{what} did not return: {error}"),
    }
}

#[test]
fn a_full_window_drops_the_newest_and_reports_the_gap_at_its_place() {
    let meeting = Meeting::new();
    let mut worker = Worker::builder().start(&meeting);
    let taken = worker.fill(Level::Info);
    let text = "x".repeat(100);
    for _ in 0..9 {
        assert_eq!(worker.log(&text), Err(DropReason::NoListener));
    }
    let listener = meeting.listen();
    worker.connect();
    let (mut peer, _) = listener.greet();
    // A listener lives, but has acknowledged nothing.
    for _ in 0..5 {
        assert_eq!(worker.log(&text), Err(DropReason::Full));
    }
    let mut said = peer.said();
    peer.ack(taken);
    worker.hear(taken);
    worker.log("after").expect("there is room");

    said.extend(peer.said());
    let drops = Drops([5, 10, 0, 0]);
    assert_eq!(check_unbroken(&said, 1), (taken + 1, drops));
    let gap = said.iter().position(|said| matches!(said, Said::Gap(_))).expect("a gap");
    let Said::Record { seq, .. } = &said[gap - 1] else { panic!("a record stands before it") };
    assert_eq!(*seq, taken);
    assert_eq!(texts(&said).last(), Some(&"after"));
    let account = worker.queue.account();
    assert_eq!((account.accepted, account.dropped), (taken + 1, drops));
    assert_eq!(worker.queue.last_seq(), taken + 1 + 15, "attempted = accepted + dropped");
}

#[test]
fn a_listener_that_reads_nothing_costs_its_budget_and_no_more() {
    let (taken, drops) = must_return("a stalled worker", || {
        let meeting = Meeting::new();
        let listener = meeting.listen();
        let mut worker =
            Worker::builder().window(1 << 20).block(Duration::from_millis(50)).start(&meeting);
        let taken = worker.fill(Level::Info);
        // At a budget per record these would take a quarter of an hour.
        let text = "x".repeat(100);
        for _ in 0..20_000 {
            assert_eq!(worker.log(&text), Err(DropReason::Full));
        }
        // It wakes up, and nothing but what was counted is missing.
        let (mut peer, _) = listener.greet();
        let mut said = Vec::new();
        until("the whole window", || {
            worker.queue.pump();
            said.extend(peer.said());
            (said.last()?.seq()? >= taken).then_some(())
        });
        peer.ack(taken);
        worker.hear(taken);
        worker.log("after").expect("there is room");
        said.extend(peer.said());
        let (records, drops) = check_unbroken(&said, 1);
        assert_eq!(drops, worker.queue.account().dropped);
        assert_eq!(records, worker.queue.account().accepted);
        (taken, drops)
    });
    assert!(taken > 1000);
    assert_eq!(drops, Drops([20_001, 0, 0, 0]));
}

#[test]
fn four_hundred_calls_that_do_not_get_the_queue_return_and_are_counted_in_it() {
    must_return("four hundred threads", || {
        let meeting = Meeting::new();
        let queue = Worker::builder().block(Duration::from_millis(20)).share(&meeting);
        // A holder that does not let go before all of them have returned.
        queue.with(|_| {
            thread::scope(|scope| {
                for _ in 0..400 {
                    scope.spawn(|| {
                        assert_eq!(log_shared(&queue, "dropped"), Err(DropReason::Full));
                    });
                }
                queue.count_lost(DropReason::Reentrant, 3);
                queue.set_name("second");
            });
        });
        log_shared(&queue, "after").expect("there is room");
        let listener = meeting.listen();
        until("a connection", || {
            queue.with(|queue| {
                queue.pump();
                queue.is_connected().then_some(())
            })?
        });
        let (mut peer, greeting) = listener.greet();
        let said = peer.said();
        assert_eq!(check_unbroken(&said, 1), (1, Drops([400, 0, 3, 0])));
        let name = said.iter().position(|said| *said == Said::Name("second".to_owned()));
        let gap = said.iter().position(|said| matches!(said, Said::Gap(_)));
        assert!(gap.is_some() && gap < name, "{said:?} after {greeting:?}");
    });
}

#[test]
fn what_four_hundred_threads_attempt_is_written_or_told_whatever_the_listener_does() {
    const EACH: u64 = 50;
    /// Whether the listener acknowledges a frame of this number.
    type Acks = fn(u64) -> bool;
    let listeners: [(&'static str, Option<Acks>); 3] = [
        ("healthy", Some(|_| true)),
        ("stuttering", Some(|seq| seq % 500 == 0)),
        ("stopped", None),
    ];
    for (name, acks) in listeners {
        let (told, account) = must_return(name, move || {
            let meeting = Meeting::new();
            let listener = meeting.listen();
            let builder = Worker::builder().window(64 << 10).block(Duration::from_millis(20));
            let queue = builder.share(&meeting);
            let (done, all) = mpsc::channel::<()>();
            let reader = thread::spawn(move || {
                let (mut peer, _) = listener.greet();
                let mut said = Vec::new();
                if acks.is_none() {
                    // It reads nothing before all threads have gone.
                    let _ = all.recv();
                }
                while let Some(frame) = peer.next() {
                    if let Some(seq) = frame.seq()
                        && acks.is_none_or(|acks| acks(seq) || seq == 400 * EACH)
                    {
                        peer.ack(seq);
                    }
                    said.push(frame);
                }
                check_unbroken(&said, 1)
            });
            thread::scope(|scope| {
                for _ in 0..400 {
                    scope.spawn(|| {
                        for _ in 0..EACH {
                            // The account tells what became of it.
                            let _ = log_shared(&queue, &"x".repeat(100));
                        }
                    });
                }
            });
            drop(done);
            let account = queue.with(|queue| queue.account()).expect("it is free");
            until("the last report is sent", || {
                queue.goodbye(PATIENCE);
                (queue.with(|queue| queue.acked()) == Some(400 * EACH)).then_some(())
            });
            drop(queue);
            (reader.join().expect("the listener lives"), account)
        });
        assert_eq!(told, (account.accepted, account.dropped), "{name}");
        assert_eq!(account.accepted + account.dropped.total(), 400 * EACH, "{name}");
        assert!(account.accepted > 0, "{name}");
    }
}

#[test]
fn a_blocked_worker_goes_on_when_the_listener_acknowledges() {
    let meeting = Meeting::new();
    let listener = meeting.listen();
    let mut worker = Worker::builder().block(PATIENCE).start(&meeting);
    let slow = thread::spawn(move || {
        let (mut peer, _) = listener.greet();
        let mut said = Vec::new();
        while let Some(frame) = peer.next() {
            if let Some(seq) = frame.seq().filter(|seq| seq % 50 == 0) {
                peer.ack(seq);
            }
            said.push(frame);
        }
        said
    });
    let text = "x".repeat(100);
    for _ in 0..2000 {
        worker.log(&text).expect("the listener makes room");
    }
    drop(worker);
    let said = slow.join().expect("the listener lives");
    assert_eq!(check_unbroken(&said, 1), (2000, Drops::default()));
}

#[test]
fn an_endless_budget_is_no_overflow() {
    must_return("a worker with an endless budget", || {
        let meeting = Meeting::new();
        let mut worker = Worker::builder().block(Duration::MAX).start(&meeting);
        let text = "x".repeat(100);
        let (started, start) = mpsc::channel();
        let socket = meeting.socket();
        let listener = thread::spawn(move || {
            start.recv().expect("the worker lives");
            let listener = Listener::bind(&socket);
            let (mut peer, _) = listener.greet();
            while let Some(said) = peer.next() {
                if let Some(seq) = said.seq() {
                    peer.ack(seq);
                }
            }
        });
        for number in 0..300 {
            if number == 80 {
                // From here on it fills the window and waits for a listener to come.
                started.send(()).expect("the listener lives");
            }
            worker.log(&text).expect("it waits");
        }
        drop(worker);
        listener.join().expect("the listener lives");
    });
}

#[test]
fn urgent_records_have_room_of_their_own() {
    let meeting = Meeting::new();
    let mut worker = Worker::builder().start(&meeting);
    let info = worker.fill(Level::Info);
    let warn = worker.fill(Level::Warn);
    assert!(warn >= info / 10, "a share is kept: {warn} beside {info}");
    worker.log_at(Level::Error, 1, &"x".repeat(100)).expect_err("now it is full as well");
    let listener = meeting.listen();
    worker.connect();
    let (mut peer, _) = listener.greet();
    peer.ack(info + 1 + warn);
    worker.hear(info + 1 + warn);
    worker.log("after").expect("there is room");
    let said = peer.said();
    // One drop ended each filling, one was the error: two gaps, each at its place.
    assert_eq!(check_unbroken(&said, 1), (info + warn + 1, Drops([0, 3, 0, 0])));
    let gap = said.iter().position(|said| matches!(said, Said::Gap(_))).expect("a gap");
    assert_eq!(said[gap].seq(), Some(info + 1));
}

#[test]
fn a_window_filled_to_its_last_byte_still_reports_its_last_gap() {
    let meeting = Meeting::new();
    let mut worker = Worker::builder().start(&meeting);
    let taken = worker.fill_to_the_last_byte();
    for _ in 0..3 {
        // Only the first report has room of its own; the others wait, and overrun nothing.
        worker.log_at(Level::Error, 1, "dropped").expect_err("it is full");
        worker.queue.goodbye();
    }
    let listener = meeting.listen();
    worker.connect();
    let (mut peer, _) = listener.greet();
    peer.ack(taken);
    worker.hear(taken);
    worker.log("after").expect("there is room");
    let said = peer.said();
    assert_eq!(check_unbroken(&said, 1), (taken + 1, Drops([0, 3, 0, 0])));
    let gap = said.iter().find(|said| matches!(said, Said::Gap(_))).expect("a gap");
    assert_eq!(gap.seq(), Some(taken + 1), "the first report stood in the full window");
}

#[test]
fn the_report_of_a_gap_counts_against_the_room() {
    let meeting = Meeting::new();
    let mut worker = Worker::builder().start(&meeting);
    worker.fill_to_the_last_byte();
    worker.log_at(Level::Error, 1, "dropped").expect_err("it is full");
    let listener = meeting.listen();
    // Without pumping, which would report the gap as soon as there is room for it alone.
    until("a connection", || {
        let _ = worker.log_at(Level::Error, 1, "dropped as well");
        worker.queue.is_connected().then_some(())
    });
    let (mut peer, _) = listener.greet();
    peer.ack(1);
    // The first record had a text of 100 bytes, but nothing had been dropped before it.
    worker.log_at(Level::Error, 1, &"x".repeat(100)).expect_err("the report must fit as well");
    worker.log_at(Level::Error, 1, &"x".repeat(50)).expect("both fit");
    let said = peer.said();
    let (records, drops) = check_unbroken(&said, 1);
    let account = worker.queue.account();
    assert_eq!((records, drops), (account.accepted, account.dropped));
}

#[test]
fn a_record_that_can_never_fit_is_dropped_at_once() {
    let dropped = must_return("a record larger than the window", || {
        let meeting = Meeting::new();
        let _listener = meeting.listen();
        let mut worker = Worker::builder().block(Duration::from_secs(3600)).start(&meeting);
        worker.log("one").expect("there is room");
        worker.log(&"x".repeat(WINDOW_MIN)).expect_err("no wait can make room for it")
    });
    assert_eq!(dropped, DropReason::Full);
}

#[test]
fn a_record_of_the_limit_fits_beside_a_gap_report() {
    for window in [WINDOW_MIN, 4 << 20] {
        let meeting = Meeting::new();
        let mut worker = Worker::builder().window(window).start(&meeting);
        worker.queue.count_lost(DropReason::Reentrant, 1);
        let frame = record_of(Level::Info, "").len();
        worker.log(&"x".repeat(record_max_for(window) - frame)).expect("it fits");
    }
}

#[test]
fn the_largest_records_are_in_the_socket_when_their_calls_return() {
    let meeting = Meeting::new();
    let listener = meeting.listen();
    let mut worker = Worker::builder().window(8 << 20).block(PATIENCE).start(&meeting);
    let reader = thread::spawn(move || {
        let (mut peer, _) = listener.greet();
        let mut lengths = Vec::new();
        // Odd bites, so that frames and reads never end together.
        loop {
            for said in peer.buffered() {
                if let Said::Record { text, .. } = said {
                    lengths.push(text.len());
                }
            }
            if peer.fill(33_333).expect("the worker goes on") == 0 {
                return lengths;
            }
            // Slower than a worker that would not wait.
            thread::sleep(Duration::from_millis(1));
        }
    });
    let largest = RECORD_MAX - record_of(Level::Info, "").len();
    for _ in 0..6 {
        worker.log(&"x".repeat(largest)).expect("there is room");
    }
    // Gone without a goodbye, as a killed worker would be.
    drop(worker);
    assert_eq!(reader.join().expect("the listener lives"), [largest; 6]);
}

#[test]
fn a_listener_that_ends_in_mid_frame_loses_nothing() {
    let meeting = Meeting::new();
    let listener = meeting.listen();
    let mut worker = Worker::builder().window(8 << 20).start(&meeting);
    let text = "x".repeat(900_000);
    for _ in 0..3 {
        worker.log(&text).expect("there is room");
    }
    let mut peer = listener.accept();
    peer.fill(1000).expect("a part of a frame");
    drop((peer, listener));

    let listener = meeting.listen();
    let reader = thread::spawn(move || {
        let (mut peer, greeting) = listener.greet();
        let mut said = Vec::new();
        while said.last().and_then(Said::seq) != Some(4) {
            said.push(peer.next().expect("the worker goes on"));
        }
        (greeting.first_seq, said)
    });
    worker.connect();
    worker.log("last").expect("there is room");
    // A queue that drops never waits, so the rest is sent by pumping.
    until("the whole window", || {
        worker.queue.pump();
        reader.is_finished().then_some(())
    });
    drop(worker);
    let (first_seq, said) = reader.join().expect("the listener lives");
    assert_eq!(first_seq, 1);
    assert_eq!(check_unbroken(&said, 1), (4, Drops::default()));
    assert_eq!(texts(&said).last(), Some(&"last"));
}

static SIGNALS: AtomicU64 = AtomicU64::new(0);

extern "C" fn count_signal(_: i32) {
    SIGNALS.fetch_add(1, Ordering::Relaxed);
}

#[test]
fn signals_in_the_middle_of_every_call_change_nothing() {
    let action =
        SigAction::new(SigHandler::Handler(count_signal), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does one atomic addition, which is safe in a signal handler.
    unsafe { sigaction(Signal::SIGALRM, &action) }.expect("a handler");

    let meeting = Meeting::new();
    let listener = meeting.listen();
    let slow = thread::spawn(move || {
        let (mut peer, _) = listener.greet();
        let mut said = Vec::new();
        while let Some(frame) = peer.next() {
            if let Some(seq) = frame.seq() {
                peer.ack(seq);
            }
            said.push(frame);
        }
        said
    });

    let (tell, told) = mpsc::channel::<Pthread>();
    let (finish, finished) = mpsc::channel::<()>();
    let logging = thread::spawn(move || {
        // Room for two records: most calls wait.
        let mut worker = Worker::builder().window(300_000).block(PATIENCE).start(&meeting);
        tell.send(pthread_self()).expect("the test lives");
        let text = "x".repeat(100_000);
        let mut logged = 0;
        // Goes on until it has been hit often enough, and lives on until nobody will hit it.
        while finished.try_recv().is_err() {
            worker.log(&text).expect("the listener makes room");
            logged += 1;
        }
        worker.queue.goodbye();
        (logged, worker.queue.account())
    });
    let target = told.recv().expect("the worker lives");
    until("300 signals", || {
        pthread_kill(target, Signal::SIGALRM).expect("the thread lives");
        thread::sleep(Duration::from_micros(500));
        (SIGNALS.load(Ordering::Relaxed) >= 300).then_some(())
    });
    finish.send(()).expect("the worker lives");
    let (logged, account) = logging.join().expect("the worker lives");
    let said = slow.join().expect("the listener lives");
    assert_eq!((account.accepted, account.dropped), (logged, Drops::default()));
    assert_eq!(check_unbroken(&said, 1), (logged, Drops::default()));
    assert_eq!(said.last(), Some(&Said::Goodbye(logged)));
}
