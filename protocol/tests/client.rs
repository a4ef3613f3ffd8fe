//! The client of a listener: its answers, its deadline, and listeners that mean harm.
#![allow(missing_docs, reason = "a test has no users")]

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fleetlog_protocol::client::{self, ClientError};
use fleetlog_protocol::frame::{self, Kind, PREFACE};
use fleetlog_protocol::message::{Reply, Request};

/// Long enough for any machine; only a broken client ever waits so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// Answers one client as it is told.
fn listen(run_dir: &Path, answer: impl FnOnce(UnixStream) + Send + 'static) -> JoinHandle<Vec<u8>> {
    let listener = UnixListener::bind(run_dir.join("socket")).expect("the socket can be bound");
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut asked = vec![0; PREFACE.len() + frame::HEADER_LEN + 1];
        stream.read_exact(&mut asked).expect("a request");
        answer(stream);
        asked
    })
}

fn reply(reply: &Reply) -> Vec<u8> {
    let (mut body, mut bytes) = (Vec::new(), Vec::new());
    reply.encode(&mut body);
    frame::put(Kind::Reply, &body, &mut bytes);
    bytes
}

#[test]
fn a_client_hears_how_it_goes_until_the_last_answer() {
    let dir = tempfile::tempdir().expect("a folder");
    let listener = listen(dir.path(), |mut stream| {
        let mut bytes = reply(&Reply::Pending { written: 7 });
        bytes.extend(reply(&Reply::Pending { written: 9 }));
        bytes.extend(reply(&Reply::Synced { written: 10 }));
        for byte in bytes {
            // One by one, so that every frame arrives in parts.
            stream.write_all(&[byte]).expect("the client listens");
        }
    });
    let mut pending = Vec::new();
    let last =
        client::request(dir.path(), Request::Sync, PATIENCE, |written| pending.push(written));
    assert_eq!(last.expect("an answer"), Reply::Synced { written: 10 });
    assert_eq!(pending, [7, 9]);
    let mut expected = PREFACE.to_vec();
    frame::put(Kind::Request, &[2], &mut expected);
    assert_eq!(listener.join().expect("the listener lives"), expected);
}

#[test]
fn a_listener_that_answers_without_end_does_not_keep_its_client() {
    let dir = tempfile::tempdir().expect("a folder");
    let listener = listen(dir.path(), |stream| {
        // Several, so that there is always something more; each send is whole frames.
        let mouths = [(); 3].map(|()| {
            let mut mouth = stream.try_clone().expect("a copy");
            let chatter = reply(&Reply::Pending { written: 1 }).repeat(1000);
            thread::spawn(move || while mouth.write_all(&chatter).is_ok() {})
        });
        mouths.into_iter().for_each(|mouth| mouth.join().expect("it falls silent"));
    });
    let (done, result) = mpsc::channel();
    thread::spawn(move || {
        let timeout = Duration::from_millis(50);
        // A client slower than its listener always finds the next answer waiting.
        let slow = |_| thread::sleep(Duration::from_micros(100));
        done.send(client::request(dir.path(), Request::Stop, timeout, slow))
    });
    let answer = result.recv_timeout(PATIENCE).expect("the client returns");
    assert!(answer.expect_err("it never ends").is_timed_out());
    listener.join().expect("the listener lives");
}

#[test]
fn a_silent_listener_times_out() {
    let dir = tempfile::tempdir().expect("a folder");
    let (keep, kept) = mpsc::channel();
    let listener = listen(dir.path(), move |stream| keep.send(stream).expect("the test lives"));
    let answer = client::request(dir.path(), Request::Status, Duration::from_millis(50), |_| ());
    assert!(answer.expect_err("nobody speaks").is_timed_out());
    drop(kept);
    listener.join().expect("the listener lives");
}

#[test]
fn every_end_without_an_answer_has_its_own_error() {
    let dir = tempfile::tempdir().expect("a folder");
    let answer = client::request(dir.path(), Request::Status, PATIENCE, |_| ());
    assert!(answer.expect_err("nobody listens").is_no_listener());

    let ask = |answer: &'static [u8]| {
        let dir = tempfile::tempdir().expect("a folder");
        let listener = listen(dir.path(), |mut stream| {
            stream.write_all(answer).expect("the client listens");
        });
        let answer = client::request(dir.path(), Request::Status, Duration::MAX, |_| ());
        listener.join().expect("the listener lives");
        answer.expect_err("no answer")
    };
    assert!(matches!(ask(&[]), ClientError::Ended));
    assert!(matches!(ask(&[10, 0, 0, 0, 33, 1]), ClientError::Ended));
    assert!(matches!(ask(&[0xff; 8]), ClientError::Malformed(_)));
    assert!(matches!(ask(&[2, 0, 0, 0, 33, 99]), ClientError::Malformed(_)));
    assert!(matches!(ask(&[3, 0, 0, 0, 33, 5, b'x']), ClientError::Refused(why) if why == "x"));
    assert!(matches!(ask(&[1, 0, 0, 0, 18]), ClientError::Malformed(_)));
    assert!(matches!(ask(&[3, 0, 0, 0, 18, 1, b'y']), ClientError::Refused(why) if why == "y"));
}
