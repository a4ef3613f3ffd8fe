//! The bell: who looks away is rung, once, by whoever publishes next.

use std::io::Read as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use fleetlog_protocol::frame::{self, Kind, PREFACE};
use fleetlog_protocol::message::{Attach, Refusal, RefusalReason};
use fleetlog_protocol::segment::scan;

use super::worker::{Worker, log};

struct Door {
    listener: UnixListener,
}

impl Door {
    fn open(worker: &Worker) -> Self {
        let listener = UnixListener::bind(worker.socket()).expect("a socket");
        listener.set_nonblocking(true).expect("a mode");
        Self { listener }
    }

    /// The connection that a call which has returned made, with what it said by then.
    fn visitor(&self) -> Option<(UnixStream, Vec<u8>)> {
        let (stream, _) = self.listener.accept().ok()?;
        let said = said(&stream);
        Some((stream, said))
    }
}

/// What a call that has returned said: it is there, or it never comes.
fn said(mut stream: &UnixStream) -> Vec<u8> {
    stream.set_nonblocking(true).expect("a mode");
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    said
}

fn ring() -> Vec<u8> {
    frame::header(Kind::Ring, 0).to_vec()
}

#[test]
fn the_first_record_of_a_worker_introduces_its_segment() {
    let worker = Worker::dropping();
    let door = Door::open(&worker);
    assert!(door.visitor().is_none(), "a worker that logs nothing needs no listener");
    let mut queue = worker.claim();
    log(&worker.lanes, &mut queue, "one").expect("there is room");
    let (stream, greeting) = door.visitor().expect("it has come");
    let mut expected = PREFACE.to_vec();
    let segment = scan(worker.lanes.run_dir()).expect("a folder")[0];
    let mut body = Vec::new();
    Attach { pid: std::process::id(), segment }.encode(&mut body);
    frame::put(Kind::Attach, &body, &mut expected);
    assert_eq!(greeting, expected);
    assert_eq!(worker.foreign().take_active(), 0b1);

    // Nobody looks away: nobody rings.
    for text in ["two", "three"] {
        log(&worker.lanes, &mut queue, text).expect("there is room");
    }
    assert_eq!((said(&stream), worker.foreign().take_active()), (Vec::new(), 0));
}

#[test]
fn a_lane_that_is_looked_away_from_rings_once() {
    let worker = Worker::dropping();
    let door = Door::open(&worker);
    let mut queue = worker.claim();
    log(&worker.lanes, &mut queue, "one").expect("there is room");
    let (stream, _) = door.visitor().expect("it has come");
    let foreign = worker.foreign();
    let _ = foreign.take_active();
    let mut reader = worker.reader(0);
    for _ in 0..3 {
        reader.said();
        assert!(!reader.reader.look_away().expect("an honest head"));
        for text in ["rings", "does not", "does not"] {
            log(&worker.lanes, &mut queue, text).expect("there is room");
        }
        assert_eq!((said(&stream), foreign.take_active()), (ring(), 0b1));
    }
    assert!(reader.reader.look_away().expect("an honest head"), "there is news");
    log(&worker.lanes, &mut queue, "is looked at").expect("there is room");
    assert!(said(&stream).is_empty());
}

#[test]
fn a_lane_that_fills_up_rings_although_it_is_looked_at() {
    let worker = Worker::dropping();
    let door = Door::open(&worker);
    let mut queue = worker.claim();
    log(&worker.lanes, &mut queue, "one").expect("there is room");
    let (stream, _) = door.visitor().expect("it has come");
    while log(&worker.lanes, &mut queue, &"x".repeat(1000)).is_ok() {}
    let rings = said(&stream);
    assert!(rings.starts_with(&ring()), "the listener may nap");
    assert!(rings.len() <= 4 * ring().len(), "but is not shouted at: {} bytes", rings.len());
}

#[test]
fn a_listener_that_never_reads_costs_no_waiting() {
    let worker = Worker::dropping();
    let door = Door::open(&worker);
    let mut queue = worker.claim();
    let mut reader = worker.reader(0);
    for _ in 0..50_000 {
        reader.said();
        reader.reader.look_away().expect("an honest head");
        log(&worker.lanes, &mut queue, "one").expect("there is room");
    }
    let (stream, greeting) = door.visitor().expect("one connection is enough");
    let rings = &greeting[PREFACE.len()..];
    assert!(frame::take(rings).expect("frames").is_some());
    assert!(door.visitor().is_none(), "a buffer full of rings is no reason to come again");
    drop(stream);
}

#[test]
fn a_listener_that_restarts_is_rung_at_once() {
    let worker = Worker::dropping();
    let mut queue = worker.claim();
    let mut reader = worker.reader(0);
    for _ in 0..5 {
        let door = Door::open(&worker);
        reader.said();
        assert!(!reader.reader.look_away().expect("an honest head"));
        log(&worker.lanes, &mut queue, "text").expect("there is room");
        let (_, greeting) = door.visitor().expect("it has come");
        assert!(greeting.starts_with(&PREFACE));
        drop(door);
        std::fs::remove_file(worker.socket()).expect("it is there");
    }
}

/// The listener that comes up within the pause after a failed connection: its scan finds the
/// segment, it reads what is there, looks away, and sleeps. The next record must wake it, or it
/// stays unseen until something else does.
#[test]
fn a_listener_that_starts_right_after_a_failed_ring_is_rung() {
    for _ in 0..20 {
        let worker = Worker::dropping();
        let mut queue = worker.claim();
        log(&worker.lanes, &mut queue, "nobody hears it").expect("there is room");
        let door = Door::open(&worker);
        let mut reader = worker.reader(0);
        reader.said();
        assert!(!reader.reader.look_away().expect("an honest head"));
        log(&worker.lanes, &mut queue, "must be heard").expect("there is room");
        assert!(door.visitor().is_some(), "the listener sleeps on a record");
    }
}

#[test]
fn a_refusal_is_heard_and_told() {
    let worker = Worker::dropping();
    let door = Door::open(&worker);
    let mut queue = worker.claim();
    log(&worker.lanes, &mut queue, "one").expect("there is room");
    let (mut stream, _) = door.visitor().expect("it has come");
    assert!(!worker.lanes.is_refused() && worker.lanes.refused().is_none());
    let mut refusal = Vec::new();
    let mut body = Vec::new();
    Refusal::new(RefusalReason::Unfit, "not yours").encode(&mut body);
    frame::put(Kind::Refused, &body, &mut refusal);
    std::io::Write::write_all(&mut stream, &refusal).expect("it takes it");
    drop(stream);
    worker.lanes.ring();
    assert!(worker.lanes.is_refused());
    assert_eq!(worker.lanes.refused().as_deref(), Some("not yours"));
    log(&worker.lanes, &mut queue, "two").expect("the lane is there all the same");
}

#[test]
fn a_bell_that_finds_no_seat_keeps_the_lanes_and_rings_until_it_is_heard() {
    for reason in RefusalReason::ALL.into_iter().filter(|reason| reason.is_temporary()) {
        let worker = Worker::dropping();
        let door = Door::open(&worker);
        let mut queue = worker.claim();
        log(&worker.lanes, &mut queue, "one").expect("there is room");
        let (mut stream, _) = door.visitor().expect("it has come");
        let (mut body, mut refusal) = (Vec::new(), Vec::new());
        Refusal::new(reason, "come again").encode(&mut body);
        frame::put(Kind::Refused, &body, &mut refusal);
        std::io::Write::write_all(&mut stream, &refusal).expect("it takes it");
        drop(stream);
        assert!(worker.lanes.ring(), "a listener lives");
        assert!(!worker.lanes.is_refused() && worker.lanes.refused().is_none());
        // The listener reads the lane without a bell, and looks away from it.
        let mut reader = worker.reader(0);
        reader.said();
        assert!(!reader.reader.look_away().expect("an honest head"));
        // What it does not see must ring until somebody hears it.
        let deadline = Instant::now() + Duration::from_secs(60);
        while door.visitor().is_none() {
            assert!(Instant::now() < deadline, "nobody rings any more");
            log(&worker.lanes, &mut queue, "two").expect("there is room");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
