//! Where lanes can't be used, or are not wanted: the socket, with the reason.

use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use fleetlog_protocol::frame::{self, Kind};
use fleetlog_protocol::limits::LANE_CAPACITY;
use fleetlog_protocol::message::{Ack, Attach, Hello, Refusal, RefusalReason, Welcome};
use fleetlog_worker::Transport;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigHandler, Signal, signal};
use tempfile::TempDir;

use crate::reader;
use crate::stage::{self, Play};
use crate::{Roles, install, install_plainly};

pub(crate) const ROLES: Roles = &[
    ("logs_ten", logs_ten),
    ("told_to", told_to),
    ("no_room", no_room),
    ("refused", refused),
    ("refused_and_stubborn", refused_and_stubborn),
    ("refused_and_welcome", refused_and_welcome),
];

/// The listener's end of a connection.
struct Heard {
    stream: UnixStream,
    bytes: Vec<u8>,
}

/// How long a role may take before it counts as hung. It needs milliseconds.
const PATIENCE_MS: u16 = 60_000;

fn listen(folder: &TempDir) -> UnixListener {
    UnixListener::bind(folder.path().join("run/socket")).expect("a socket")
}

impl Heard {
    fn accept(listener: &UnixListener) -> Self {
        let mut asked = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        let answers = poll(&mut asked, PollTimeout::from(PATIENCE_MS)).expect("to wait");
        assert_eq!(answers, 1, "no worker came");
        let (mut stream, _) = listener.accept().expect("a connection");
        let patience = Duration::from_millis(PATIENCE_MS.into());
        stream.set_read_timeout(Some(patience)).expect("a timeout");
        let mut preface = [0; frame::PREFACE.len()];
        stream.read_exact(&mut preface).expect("a preface");
        assert_eq!(preface, frame::PREFACE);
        Self { stream, bytes: Vec::new() }
    }

    /// The next frame; `None` = the connection has ended.
    fn next(&mut self) -> Option<(Kind, Vec<u8>)> {
        loop {
            if let Some(frame) = frame::take(&self.bytes).expect("a frame") {
                let (kind, body, len) = (frame.kind, frame.body.to_vec(), frame.len);
                self.bytes.drain(..len);
                return Some((kind, body));
            }
            let mut more = [0; 4096];
            match self.stream.read(&mut more).expect("the stream") {
                0 => return None,
                read => self.bytes.extend_from_slice(&more[..read]),
            }
        }
    }

    /// Reads the hello; returns the reason for which this is no attach.
    fn hello(&mut self) -> String {
        let (kind, body) = self.next().expect("a hello");
        assert_eq!(kind, Kind::Hello);
        Hello::decode(&body).expect("a hello").fallback.to_owned()
    }

    /// Reads so many records.
    fn records(&mut self, count: u64) {
        let mut records = 0;
        while records < count {
            records += u64::from(self.next().expect("a record").0 == Kind::Record);
        }
    }

    fn acknowledge(&mut self, seq: u64) {
        let (mut body, mut ack) = (Vec::new(), Vec::new());
        Ack { seq }.encode(&mut body);
        frame::put(Kind::Ack, &body, &mut ack);
        self.stream.write_all(&ack).expect("the worker lives");
    }

    /// Counts records until the worker says goodbye, and acknowledges them.
    fn records_until_goodbye(&mut self) -> u64 {
        let mut records = 0;
        loop {
            match self.next().expect("a goodbye").0 {
                Kind::Record => records += 1,
                Kind::Goodbye => return records,
                _ => {}
            }
            let (mut body, mut ack) = (Vec::new(), Vec::new());
            Ack { seq: records }.encode(&mut body);
            frame::put(Kind::Ack, &body, &mut ack);
            // A worker that has heard enough may be gone.
            let _ = self.stream.write_all(&ack);
        }
    }
}

const NO_WAY: &str =
    "fleetlog: records reach no listener, because neither lanes nor the socket can be used: ";
const NOTICE: &str = "fleetlog: records go over the socket, because lanes can't be used: ";

fn logs_ten() {
    install_plainly();
    for n in 0..10 {
        tracing::info!(n, "over something");
    }
}

#[test]
fn a_process_that_can_make_no_lanes_uses_the_socket_and_says_why() {
    for transport in ["auto", "lanes"] {
        let folder = stage::folder();
        std::fs::write(folder.path().join("run/lanes"), "no folder").expect("a file");
        let listener = listen(&folder);
        let play = Play::start_in(folder, "logs_ten", &[("FLEETLOG_TRANSPORT", transport)]);
        let mut heard = Heard::accept(&listener);
        let why = heard.hello();
        assert!(why.contains("lanes is not a folder") || why.contains("run directory"), "{why}");
        assert_eq!(heard.records_until_goodbye(), 10);
        let left = play.end_well();
        assert_eq!(left.stderr.matches(NOTICE).count(), 1, "{}", left.stderr);
        assert!(left.stderr.contains("is not a folder"), "{}", left.stderr);
    }
}

#[test]
fn a_run_directory_that_can_not_be_made_fails_nothing() {
    let folder = stage::folder();
    let file = folder.path().join("file");
    std::fs::write(&file, "no folder").expect("a file");
    let run_dir = file.join("run");
    let run_dir = run_dir.to_str().expect("a path");
    let left = Play::start_in(folder, "logs_ten", &[("FLEETLOG_RUN_DIR", run_dir)]).end_well();
    // No socket can ever be there either.
    assert_eq!(left.stderr.matches(NOTICE).count(), 0, "{}", left.stderr);
    assert_eq!(left.stderr.matches(NO_WAY).count(), 1, "{}", left.stderr);
    assert_eq!(
        left.stderr.matches("fleetlog: 10 records of process").count(),
        1,
        "{}",
        left.stderr
    );
    assert!(left.stderr.contains("Not a directory"), "{}", left.stderr);
}

#[test]
fn a_program_that_wants_the_socket_gives_no_reason() {
    let folder = stage::folder();
    let listener = listen(&folder);
    // What the program says beats the environment.
    let play = Play::start_in(folder, "told_to", &[("FLEETLOG_TRANSPORT", "lanes")]);
    let mut heard = Heard::accept(&listener);
    assert_eq!(heard.hello(), "");
    assert_eq!(heard.records_until_goodbye(), 10);
    let left = play.end_well();
    assert_eq!(left.stderr, "");
    assert!(reader::read(&left.run_dir).is_empty());
}

fn told_to() {
    install(|builder| builder.transport(Transport::Socket));
    for n in 0..10 {
        tracing::info!(n, "over the socket");
    }
}

#[test]
fn a_thread_without_room_for_a_lane_uses_the_socket_and_the_others_their_lanes() {
    let folder = stage::folder();
    let listener = listen(&folder);
    let mut play = Play::start_in(folder, "no_room", &[]);
    let mut bell = Heard::accept(&listener);
    assert_eq!(bell.next().expect("an attach").0, Kind::Attach);
    let mut heard = Heard::accept(&listener);
    let why = heard.hello();
    assert!(why.starts_with("File too large"), "{why}");
    play.wait_for("logged");
    let seen = reader::read_one(&play.run_dir());
    play.go();
    assert_eq!(heard.records_until_goodbye(), 20);
    let left = play.end_well();
    assert_eq!(seen.messages(), ["before", "in spite of it"]);
    assert_eq!(left.stderr.matches(NOTICE).count(), 1, "{}", left.stderr);
}

/// Where the lanes' bytes begin (`docs/segment-format.md`), and the space of a lane at first.
const ROOM: u64 = 1_077_248 + (16 << 10);

fn no_room() {
    // The segment has room for a part of its first lane. A file's limit stands in for a full disk.
    // SAFETY: to ignore a signal takes no handler.
    unsafe { signal(Signal::SIGXFSZ, SigHandler::SigIgn) }.expect("to ignore it");
    setrlimit(Resource::RLIMIT_FSIZE, ROOM, ROOM).expect("a limit");
    install_plainly();
    tracing::info!("before");
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..10).for_each(|n| tracing::info!(n, "over the socket")));
        }
    });
    tracing::info!("in spite of it");
    stage::cue("logged", "");
    stage::wait();
}

/// More than half a lane, so that the bell rings and hears.
const MUCH: u64 = LANE_CAPACITY as u64 / 2 / 100 + 1;

/// Answers an attach as a listener does that does not want it.
fn refuse(mut bell: Heard) {
    let (kind, body) = bell.next().expect("an attach");
    assert_eq!(kind, Kind::Attach);
    Attach::decode(&body).expect("an attach");
    let mut refusal = Vec::new();
    let mut body = Vec::new();
    Refusal::new(RefusalReason::Unfit, "no lanes here").encode(&mut body);
    frame::put(Kind::Refused, &body, &mut refusal);
    bell.stream.write_all(&refusal).expect("to refuse");
}

#[test]
fn refused_lanes_are_left_for_the_socket_with_nothing_lost() {
    let folder = stage::folder();
    let listener = listen(&folder);
    let mut play = Play::start_in(folder, "refused", &[]);
    play.wait_for("first");
    refuse(Heard::accept(&listener));
    play.go();
    let mut heard = Heard::accept(&listener);
    assert_eq!(heard.hello(), "no lanes here");
    let over_socket = heard.records_until_goodbye();
    let left = play.end_well();
    let seen = reader::read_one(&left.run_dir);
    seen.assert_unbroken();
    assert_eq!(seen.segment.drops().total(), 0);
    assert_eq!(seen.messages().len() as u64 + over_socket, 2 * MUCH + 3);
    assert!(over_socket >= MUCH + 2, "the other thread as well");
    assert_eq!(left.stderr.matches("refuses this worker: no lanes here").count(), 1);
}

fn refused() {
    install_plainly();
    let (go, told) = std::sync::mpsc::channel();
    let other = std::thread::spawn(move || {
        tracing::info!("the other's first");
        told.recv().expect("a word");
        tracing::info!("the other's second");
    });
    tracing::info!("first");
    stage::cue("first", "");
    stage::wait();
    for n in 0..2 * MUCH {
        tracing::info!(n, "01234567890123456789012345678901234567890123456789");
    }
    go.send(()).expect("the other");
    other.join().expect("a thread");
}

#[test]
fn a_program_that_wants_lanes_keeps_them_when_they_are_refused() {
    let folder = stage::folder();
    let listener = listen(&folder);
    let mut play = Play::start_in(folder, "refused_and_stubborn", &[]);
    play.wait_for("first");
    refuse(Heard::accept(&listener));
    play.go();
    let left = play.end_well();
    let seen = reader::read_one(&left.run_dir);
    assert_eq!(seen.messages().len() as u64, 1 + MUCH + 10);
    assert_eq!(left.stderr.matches("refuses this worker: no lanes here").count(), 1);
}

fn refused_and_stubborn() {
    install(|builder| builder.transport(Transport::Lanes));
    tracing::info!("first");
    stage::cue("first", "");
    stage::wait();
    for n in 0..MUCH + 10 {
        tracing::info!(n, "01234567890123456789012345678901234567890123456789");
    }
}

#[test]
fn a_worker_goes_back_to_its_lanes_when_a_listener_takes_them_and_not_before_the_socket_is_empty() {
    let folder = stage::folder();
    let listener = listen(&folder);
    let mut play = Play::start_in(folder, "refused_and_welcome", &[]);
    play.wait_for("first");
    refuse(Heard::accept(&listener));
    play.go();
    play.wait_for("over the socket");
    let in_lane = reader::read_one(&play.run_dir()).messages().len() as u64;
    let over_socket = 1 + 2 * MUCH - in_lane;
    assert!(over_socket > MUCH, "{over_socket}");
    let mut heard = Heard::accept(&listener);
    heard.hello();
    heard.records(over_socket);
    heard.acknowledge(over_socket);
    // This listener ends, and the next one knows these lanes.
    drop(heard);
    play.go();
    play.wait_for("called");
    let mut heard = Heard::accept(&listener);
    heard.hello();
    heard.records(1);
    play.go();
    play.wait_for("asked");
    heard.records(1);
    let mut bell = Heard::accept(&listener);
    assert_eq!(bell.next().expect("an attach").0, Kind::Attach);
    let (mut body, mut welcome) = (Vec::new(), Vec::new());
    Welcome { acked: 0 }.encode(&mut body);
    frame::put(Kind::Welcome, &body, &mut welcome);
    bell.stream.write_all(&welcome).expect("the worker lives");
    play.go();
    play.wait_for("not yet");
    // What was sent over the socket is not in the files: a lane's record could overtake it.
    heard.records(1);
    heard.acknowledge(over_socket + 3);
    play.go();
    play.wait_for("back");
    let seen = reader::read_one(&play.run_dir());
    assert!(seen.messages().iter().any(|text| text == "in a lane again"));
    assert_eq!(seen.messages().len() as u64, in_lane + 2, "the other thread as well");
    heard.acknowledge(over_socket + 3);
    play.go();
    assert_eq!(heard.records_until_goodbye(), 0);
    play.end_well();
}

fn refused_and_welcome() {
    install_plainly();
    let (go, told) = std::sync::mpsc::channel();
    let (answer, done) = std::sync::mpsc::channel();
    let other = std::thread::spawn(move || {
        while told.recv().is_ok() {
            tracing::info!("the other thread");
            answer.send(()).expect("somebody waits");
        }
    });
    tracing::info!("first");
    stage::cue("first", "");
    stage::wait();
    for n in 1..2 * MUCH {
        tracing::info!(n, "01234567890123456789012345678901234567890123456789");
    }
    let the_other = || {
        go.send(()).expect("the other");
        done.recv().expect("it logs");
    };
    the_other();
    stage::cue("over the socket", "");
    stage::wait();
    for step in ["called", "asked", "not yet"] {
        tracing::info!("still over the socket");
        stage::cue(step, "");
        stage::wait();
    }
    the_other();
    tracing::info!("in a lane again");
    stage::cue("back", "");
    stage::wait();
    drop(go);
    other.join().expect("a thread");
}
