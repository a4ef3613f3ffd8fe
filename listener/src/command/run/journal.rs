//! The records of a job, and the queue to whoever writes them.
//!
//! The queue itself never waits. Its user asks [`has_room`](Journal::has_room) before it reads
//! more from the job, so that a full queue holds up the job and nothing else; when a listener has
//! given no sign of life for the longest wait there is room again, and what does not fit is
//! dropped and counted.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use fleetlog_protocol::Level;
use fleetlog_protocol::callsite::Definition;
use fleetlog_protocol::limits::{RECORD_MAX, record_max_for};
use fleetlog_protocol::record::{FieldName, RecordEncoder, Value};
use fleetlog_protocol::socket_queue::{
    CallsiteOf, Config, LinkNumber, SocketQueue, WhenFull, pause,
};

use super::super::table::{count, span, things};
use super::streams::Which;

/// What is kept at most until it is acknowledged, in bytes. The job is held up long before, at
/// [`HIGH_WATER`]; the rest is for what one reading can add.
const WINDOW: usize = 16 << 20;

/// The most that is read from the job at once, in bytes.
pub(super) const CHUNK: usize = 16 << 10;

/// The bytes of a record that are not its line: header, frame, stream and pid.
const OVERHEAD: usize = 128;

/// The longest line; a longer one is cut.
pub(super) const LINE_MAX: usize = record_max_for(WINDOW) - OVERHEAD;

/// Nothing more is read while so many bytes are not acknowledged.
const HIGH_WATER: usize = 4 << 20;

const _: () = assert!(
    HIGH_WATER + 2 * (CHUNK * OVERHEAD + RECORD_MAX) < WINDOW - WINDOW / 8,
    "what one reading adds must fit: of each stream the end of a long line and a chunk of empty ones"
);

static LINK: LinkNumber = LinkNumber::new();

/// The queue of a job.
#[derive(Debug)]
pub(super) struct Journal {
    queue: SocketQueue,
    levels: [Level; 2],
    lines: [u64; 2],
    record: Vec<u8>,
    /// Sequence numbers up to which so many bytes are held.
    held: VecDeque<(u64, usize)>,
    held_bytes: usize,
    patience: Duration,
    /// When the listener last gave a sign of life, or owed none.
    heard_at: Instant,
    acked: u64,
}

impl Journal {
    /// A queue to the listener behind a socket. `levels` are those of lines from standard output
    /// and standard error.
    pub(super) fn new(
        socket: PathBuf,
        name: String,
        levels: [Level; 2],
        patience: Duration,
    ) -> Self {
        let queue = SocketQueue::new(Config {
            socket,
            window: WINDOW,
            when_full: WhenFull::DropNewest,
            name,
            fallback: String::new(),
            link_number: &LINK,
        });
        Self {
            queue,
            levels,
            lines: [0; 2],
            record: Vec::new(),
            held: VecDeque::new(),
            held_bytes: 0,
            patience,
            heard_at: Instant::now(),
            acked: 0,
        }
    }

    /// Logs a line of the job, of which `missing` bytes were left out.
    pub(super) fn line(&mut self, which: Which, pid: u64, line: &[u8], missing: usize) {
        self.lines[which as usize] += 1;
        let text = String::from_utf8_lossy(line);
        // Replaced bytes are longer than what they replace.
        let kept = text.floor_char_boundary(LINE_MAX);
        let fields = [
            ("message", Value::Str(&text[..kept])),
            ("stream", Value::Str(which.name())),
            ("pid", Value::U64(pid)),
        ];
        let level = self.levels[which as usize];
        self.log(1 + which as usize, level, "job", &fields, missing + text.len() - kept);
    }

    /// Logs what happened to the job. Each `number` is a kind of event with the same fields.
    pub(super) fn event(
        &mut self,
        number: usize,
        level: Level,
        message: &str,
        fields: &[(&'static str, Value<'_>)],
    ) {
        let mut all = vec![("message", Value::Str(message))];
        all.extend_from_slice(fields);
        self.log(10 + number, level, "fleetlog::run", &all, 0);
    }

    fn log(
        &mut self,
        callsite: usize,
        level: Level,
        target: &str,
        fields: &[(&'static str, Value<'_>)],
        missing: usize,
    ) {
        let mut encoder = RecordEncoder::new(&mut self.record, level, record_max_for(WINDOW));
        let mut encoded = encoder.fields();
        for ((_, value), index) in fields.iter().zip(0..) {
            encoded.value(FieldName::Index(index), value);
        }
        let (number, cut) = (encoded.count(), encoded.missing());
        encoder.finish(std::process::id(), number, cut + missing);
        let define = |out: &mut Vec<u8>| {
            let name = "line";
            let definition =
                Definition { level, target, name, file: None, line: None, module_path: None };
            definition.encode(fields.iter().map(|(name, _)| *name), out);
        };
        let length = self.record.len() + OVERHEAD;
        let callsite = CallsiteOf::Static(callsite, &define);
        // A drop is counted by the queue, reported in the log at its place, and told at the end.
        if self.queue.record(&mut self.record, level.is_urgent(), callsite).is_ok() {
            self.held.push_back((self.queue.last_seq(), length));
            self.held_bytes += length;
        }
    }

    /// Sends what waits and hears what is acknowledged; never waits.
    pub(super) fn pump(&mut self) {
        self.queue.pump();
        let acked = self.queue.acked();
        while let Some((_, length)) = self.held.pop_front_if(|(seq, _)| *seq <= acked) {
            self.held_bytes -= length;
        }
        if acked > self.acked || !self.owes() {
            self.acked = acked;
            self.give_time();
        }
    }

    /// Begins the longest wait anew.
    pub(super) fn give_time(&mut self) {
        self.heard_at = Instant::now();
    }

    /// Whether more may be read from the job.
    pub(super) fn has_room(&self) -> bool {
        self.held_bytes < HIGH_WATER || self.is_out_of_time()
    }

    /// Whether the listener has been silent for longer than anybody wants to wait.
    pub(super) fn is_out_of_time(&self) -> bool {
        self.heard_at.elapsed() >= self.patience
    }

    /// Whether something is not acknowledged.
    pub(super) const fn owes(&self) -> bool {
        self.queue.acked() < self.queue.last_seq()
    }

    /// Whether a listener is connected.
    pub(super) const fn is_connected(&self) -> bool {
        self.queue.is_connected()
    }

    /// The lines so far, of standard output and standard error.
    pub(super) const fn lines(&self) -> [u64; 2] {
        self.lines
    }

    /// Takes leave from a listener that has everything.
    pub(super) fn take_leave(&mut self) {
        if !self.owes() && self.queue.is_connected() {
            self.queue.goodbye();
        }
    }

    /// What is not in the files, if anything.
    pub(super) fn unwritten(&self) -> Option<String> {
        let account = self.queue.account();
        let dropped = account.dropped.total();
        let left = (self.queue.last_seq() - self.queue.acked()).min(account.accepted);
        let mut parts = Vec::new();
        if left > 0 {
            parts.push(format!("{} not acknowledged", count(left)));
        }
        if dropped > 0 {
            parts.push(format!("{} dropped", count(dropped)));
        }
        if parts.is_empty() {
            return None;
        }
        let all = things(account.accepted + dropped, "record");
        let why = match self.queue.refused() {
            Some(why) => format!("the listener refused: {why}"),
            None => {
                format!("nobody took them for {}; wait longer with --timeout", span(self.patience))
            }
        };
        Some(format!("{} of {all}: {why}", parts.join(" and ")))
    }

    /// A moment between two looks.
    pub(super) fn rest() {
        pause(Duration::from_millis(2));
    }
}
