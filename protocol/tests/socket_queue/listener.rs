//! A listener that does only what a test tells it to, on std's sockets.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fleetlog_protocol::frame::{self, Kind, PREFACE};
use fleetlog_protocol::message::{Ack, Gap, Goodbye, Hello, Name, Refusal, RefusalReason, Welcome};
use fleetlog_protocol::record::{Record, Value};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::Backlog;
use tempfile::TempDir;

/// Long enough for any machine; only a broken queue ever waits so long.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The place where worker and listener meet, with or without a listener in it.
pub struct Meeting {
    dir: TempDir,
}

impl Meeting {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary folder") }
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("socket")
    }

    pub fn listen(&self) -> Listener {
        Listener::bind(&self.socket())
    }
}

pub struct Listener(UnixListener);

impl Listener {
    /// Takes the place of a listener that is gone.
    pub fn bind(path: &Path) -> Self {
        let _ = std::fs::remove_file(path);
        Self(UnixListener::bind(path).expect("the socket can be bound"))
    }

    /// Shortens the queue of connections that were not accepted yet.
    pub fn take_at_most(&self, connections: i32) {
        let backlog = Backlog::new(connections).expect("a backlog");
        nix::sys::socket::listen(&self.0, backlog).expect("it listens");
    }

    /// The next connection, which may already stand in the backlog. It has not been read from.
    pub fn accept(&self) -> Peer {
        let mut on = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(PATIENCE).expect("it fits");
        assert_eq!(poll(&mut on, timeout).expect("poll"), 1, "nobody connected");
        let (stream, _) = self.0.accept().expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        Peer { stream, inbox: Vec::new() }
    }

    /// The next connection and what it said first.
    pub fn greet(&self) -> (Peer, Greeting) {
        let mut peer = self.accept();
        let greeting = peer.greeting();
        (peer, greeting)
    }
}

/// A hello, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    pub queue: u128,
    pub pid: u32,
    pub first_seq: u64,
    pub name: String,
}

/// A frame from a worker, decoded and owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Record { seq: u64, stamp: u64, callsite: u32, text: String, has_definition: bool },
    Callsite(u32),
    Name(String),
    Gap(Gap),
    Goodbye(u64),
}

impl Said {
    pub fn seq(&self) -> Option<u64> {
        match self {
            Self::Record { seq, .. } => Some(*seq),
            Self::Gap(gap) => Some(gap.seq),
            _ => None,
        }
    }

    fn decode(kind: Kind, body: &[u8]) -> Self {
        match kind {
            Kind::Record => {
                let record = Record::decode(body).expect("a whole record");
                let text = match record.fields().next().map(|field| field.value) {
                    Some(Value::Str(text)) => text.to_owned(),
                    other => panic!("{other:?} is not the text that was logged"),
                };
                Self::Record {
                    seq: record.seq,
                    stamp: record.stamp,
                    callsite: record.callsite,
                    text,
                    has_definition: record.definition.is_some(),
                }
            }
            Kind::Callsite => {
                Self::Callsite(u32::from_le_bytes(*body.first_chunk().expect("a number")))
            }
            Kind::Name => Self::Name(Name::decode(body).expect("a name").name.to_owned()),
            Kind::Gap => Self::Gap(Gap::decode(body).expect("a gap")),
            Kind::Goodbye => Self::Goodbye(Goodbye::decode(body).expect("a goodbye").last_seq),
            other => panic!("a worker said {other:?}"),
        }
    }
}

pub struct Peer {
    pub stream: UnixStream,
    inbox: Vec<u8>,
}

impl Peer {
    fn greeting(&mut self) -> Greeting {
        while self.inbox.len() < PREFACE.len() {
            assert!(self.fill(1 << 16).expect("a preface") > 0, "the worker hung up");
        }
        assert_eq!(self.inbox[..PREFACE.len()], PREFACE);
        self.inbox.drain(..PREFACE.len());
        let (kind, body) = self.frame().expect("a hello");
        assert_eq!(kind, Kind::Hello);
        let hello = Hello::decode(&body).expect("a hello");
        Greeting {
            queue: hello.queue.0,
            pid: hello.pid,
            first_seq: hello.first_seq,
            name: hello.name.to_owned(),
        }
    }

    /// Reads once, at most so many bytes.
    pub fn fill(&mut self, at_most: usize) -> io::Result<usize> {
        let mut buffer = vec![0; at_most];
        let read = match self.stream.read(&mut buffer) {
            // A worker that leaves acknowledgements unread ends its stream so.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            read => read?,
        };
        self.inbox.extend_from_slice(&buffer[..read]);
        Ok(read)
    }

    fn take(&mut self) -> Option<(Kind, Vec<u8>)> {
        let frame = frame::take(&self.inbox).expect("whole frames")?;
        let taken = (frame.kind, frame.body.to_vec());
        let len = frame.len;
        self.inbox.drain(..len);
        Some(taken)
    }

    fn frame(&mut self) -> Option<(Kind, Vec<u8>)> {
        loop {
            if let Some(frame) = self.take() {
                return Some(frame);
            }
            match self.fill(1 << 16) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) => panic!("the worker said nothing: {error}"),
            }
        }
    }

    /// The next frame; `None` where the worker has hung up.
    pub fn next(&mut self) -> Option<Said> {
        self.frame().map(|(kind, body)| Said::decode(kind, &body))
    }

    /// Everything that the worker has sent by now. What a `send` that has returned sent is here.
    pub fn said(&mut self) -> Vec<Said> {
        self.stream.set_nonblocking(true).expect("a mode");
        loop {
            match self.fill(1 << 16) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("the socket failed: {error}"),
            }
        }
        self.stream.set_nonblocking(false).expect("a mode");
        self.buffered()
    }

    /// What was read already.
    pub fn buffered(&mut self) -> Vec<Said> {
        std::iter::from_fn(|| self.take()).map(|(kind, body)| Said::decode(kind, &body)).collect()
    }

    /// Whether the worker has hung up; what it said before is lost.
    pub fn is_left(&mut self) -> bool {
        self.stream.set_nonblocking(true).expect("a mode");
        match self.stream.read(&mut [0; 4096]) {
            Ok(read) => read == 0,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        }
    }

    pub fn ack(&mut self, seq: u64) {
        self.send(Kind::Ack, |out| Ack { seq }.encode(out));
    }

    pub fn welcome(&mut self, acked: u64) {
        self.send(Kind::Welcome, |out| Welcome { acked }.encode(out));
    }

    pub fn refuse(&mut self, why: &str) {
        self.send(Kind::Refused, |out| Refusal::new(RefusalReason::Unfit, why).encode(out));
    }

    fn send(&mut self, kind: Kind, encode: impl FnOnce(&mut Vec<u8>)) {
        let (mut body, mut bytes) = (Vec::new(), Vec::new());
        encode(&mut body);
        frame::put(kind, &body, &mut bytes);
        match self.stream.write_all(&bytes) {
            // A worker may leave while its acknowledgement is under way.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            sent => sent.expect("the worker takes it"),
        }
    }
}

/// Repeats a step until it gives something.
#[track_caller]
pub fn until<T>(what: &str, mut step: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = step() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "{what} did not happen within {PATIENCE:?}");
        // Others need the processor to get there.
        std::thread::sleep(Duration::from_micros(200));
    }
}
