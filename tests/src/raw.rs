//! A client that says what it likes: well-formed frames by hand, for tests of what a listener
//! does with senders that no SDK would make.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use fleetlog_protocol::Level;
use fleetlog_protocol::callsite::Definition;
use fleetlog_protocol::frame::{self, Kind, PREFACE};
use fleetlog_protocol::limits::RECORD_MAX;
use fleetlog_protocol::message::{
    Ack, Gap, Goodbye, Hello, Name, QueueId, Refusal, Request, Welcome,
};
use fleetlog_protocol::record::{FieldName, RecordEncoder, seal};

use crate::wait::{self, GENEROUS};

/// A connection to a listener.
#[derive(Debug)]
pub struct Raw {
    /// The stream itself.
    pub stream: UnixStream,
    inbox: Vec<u8>,
}

/// What the listener said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It takes the worker in; everything up to this number is in the files.
    Welcome(u64),
    /// Everything up to this number is in the files.
    Ack(u64),
    /// It does not want the client, and why.
    Refused(String),
    /// Something else.
    Other(Kind),
    /// It hung up.
    Gone,
}

impl Raw {
    /// Connects to the listener of a run directory.
    #[must_use]
    pub fn connect(run_dir: &Path) -> Self {
        Self::try_connect(run_dir).expect("a listener")
    }

    /// Connects if somebody listens.
    ///
    /// # Errors
    /// What `connect` said.
    pub fn try_connect(run_dir: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(run_dir.join("socket"))?;
        Ok(Self { stream, inbox: Vec::new() })
    }

    /// Connects and introduces itself as the worker of a queue.
    #[must_use]
    pub fn worker(run_dir: &Path, queue: u128, name: &str) -> Self {
        let mut raw = Self::connect(run_dir);
        raw.send(&hello(queue, 1, name));
        raw
    }

    /// Sends everything; a listener that hung up in the meantime is no failure.
    pub fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes);
    }

    /// Sends everything and tells whether the listener took it.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        // A listener that stalls must be a failure and not a stuck run.
        self.stream.set_write_timeout(Some(GENEROUS)).expect("a timeout");
        match self.stream.write_all(bytes) {
            Ok(()) => true,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
                ) =>
            {
                false
            }
            Err(error) => panic!("the listener took no bytes: {error}"),
        }
    }

    /// Waits for the listener's next words.
    pub fn hear(&mut self) -> Said {
        let deadline = Instant::now() + GENEROUS;
        self.stream.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
        loop {
            if let Some(frame) = frame::take(&self.inbox).expect("frames") {
                let said = match frame.kind {
                    Kind::Welcome => {
                        Said::Welcome(Welcome::decode(frame.body).expect("a welcome").acked)
                    }
                    Kind::Ack => Said::Ack(Ack::decode(frame.body).expect("an ack").seq),
                    Kind::Refused => {
                        let refusal = Refusal::decode(frame.body).expect("a refusal");
                        Said::Refused(refusal.text(usize::MAX))
                    }
                    kind => Said::Other(kind),
                };
                let len = frame.len;
                self.inbox.drain(..len);
                return said;
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Said::Gone,
                Ok(read) => self.inbox.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Said::Gone,
                Err(_) => assert!(Instant::now() < deadline, "the listener says nothing"),
            }
        }
    }

    /// Waits until everything up to `seq` is acknowledged.
    pub fn await_ack(&mut self, seq: u64) {
        wait::until("the acknowledgement", || match self.hear() {
            Said::Ack(acked) | Said::Welcome(acked) => acked >= seq,
            other => panic!("no acknowledgement but {other:?}"),
        });
    }

    /// Waits until the listener hangs up, and returns why it said it does.
    pub fn await_refusal(&mut self) -> String {
        let mut why = String::new();
        loop {
            match self.hear() {
                Said::Gone => return why,
                Said::Refused(said) => why = said,
                _ => {}
            }
        }
    }
}

/// One frame.
#[must_use]
pub fn framed(kind: Kind, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::put(kind, body, &mut bytes);
    bytes
}

/// The first bytes of a worker.
#[must_use]
pub fn hello(queue: u128, first_seq: u64, name: &str) -> Vec<u8> {
    let mut body = Vec::new();
    Hello { queue: QueueId(queue), pid: std::process::id(), first_seq, name, fallback: "" }
        .encode(&mut body);
    [&PREFACE[..], &framed(Kind::Hello, &body)].concat()
}

/// The first bytes of a command.
#[must_use]
pub fn request(request: &Request) -> Vec<u8> {
    let mut body = Vec::new();
    request.encode(&mut body);
    [&PREFACE[..], &framed(Kind::Request, &body)].concat()
}

/// The definition of a callsite.
#[must_use]
pub fn callsite(number: u32, target: &str, fields: &[&str]) -> Vec<u8> {
    let mut body = number.to_le_bytes().to_vec();
    let definition = Definition {
        level: Level::Info,
        target,
        name: "raw",
        file: None,
        line: None,
        module_path: None,
    };
    definition.encode(fields.iter().copied(), &mut body);
    framed(Kind::Callsite, &body)
}

/// A numbered record as a workload logs it, of a callsite that needs no field names.
#[must_use]
pub fn record(seq: u64, stamp: u64, callsite: u32, source: &str, n: u64) -> Vec<u8> {
    record_with(seq, stamp, callsite, |fields| {
        fields.str(FieldName::Inline("source"), source);
        fields.u64(FieldName::Inline("n"), n);
        fields.str(FieldName::Inline("message"), "by hand");
    })
}

/// A record with any fields.
#[must_use]
pub fn record_with(
    seq: u64,
    stamp: u64,
    callsite: u32,
    fill: impl FnOnce(&mut fleetlog_protocol::record::FieldEncoder<'_>),
) -> Vec<u8> {
    let mut body = Vec::new();
    let mut encoder = RecordEncoder::new(&mut body, Level::Info, RECORD_MAX);
    let mut fields = encoder.fields();
    fill(&mut fields);
    let (count, missing) = (fields.count(), fields.missing());
    encoder.finish(1, count, missing);
    seal(&mut body, seq, stamp, callsite);
    framed(Kind::Record, &body)
}

/// A sequenced frame with a body that nobody can decode.
#[must_use]
pub fn unreadable(seq: u64, stamp: u64) -> Vec<u8> {
    let body = [&seq.to_le_bytes()[..], &stamp.to_le_bytes(), &[0xff; 40]].concat();
    framed(Kind::Record, &body)
}

/// The report of dropped records, true or not.
#[must_use]
pub fn gap(gap: Gap) -> Vec<u8> {
    let mut body = Vec::new();
    gap.encode(&mut body);
    framed(Kind::Gap, &body)
}

/// Another name.
#[must_use]
pub fn name(name: &str) -> Vec<u8> {
    let mut body = Vec::new();
    Name { name }.encode(&mut body);
    framed(Kind::Name, &body)
}

/// Taking leave.
#[must_use]
pub fn goodbye(last_seq: u64) -> Vec<u8> {
    let mut body = Vec::new();
    Goodbye { last_seq }.encode(&mut body);
    framed(Kind::Goodbye, &body)
}
