//! A worker around one queue, which logs short texts.

use std::time::Duration;

use fleetlog_protocol::Level;
use fleetlog_protocol::callsite::Definition;
use fleetlog_protocol::frame::HEADER_LEN;
use fleetlog_protocol::limits::WINDOW_MIN;
use fleetlog_protocol::message::DropReason;
use fleetlog_protocol::record::{FieldName, RecordEncoder};
use fleetlog_protocol::socket_queue::{
    CallsiteOf, Config, LinkNumber, SharedQueue, SocketQueue, WhenFull,
};

use super::listener::{Meeting, until};

pub struct Worker {
    pub queue: SocketQueue,
}

/// The settings of a worker that is being made.
pub struct Builder {
    window: usize,
    when_full: WhenFull,
}

impl Builder {
    pub const fn window(mut self, window: usize) -> Self {
        self.window = window;
        self
    }

    pub const fn block(mut self, stall_budget: Duration) -> Self {
        self.when_full = WhenFull::Block { stall_budget };
        self
    }

    pub fn start(self, meeting: &Meeting) -> Worker {
        Worker { queue: SocketQueue::new(self.config(meeting)) }
    }

    /// The queue of several threads.
    pub fn share(self, meeting: &Meeting) -> SharedQueue {
        SharedQueue::new(self.config(meeting))
    }

    fn config(self, meeting: &Meeting) -> Config {
        Config {
            socket: meeting.socket(),
            window: self.window,
            when_full: self.when_full,
            name: "first".to_owned(),
            fallback: String::new(),
            link_number: Box::leak(Box::new(LinkNumber::new())),
        }
    }
}

impl Worker {
    pub const fn builder() -> Builder {
        Builder { window: WINDOW_MIN, when_full: WhenFull::DropNewest }
    }

    pub fn log(&mut self, text: &str) -> Result<(), DropReason> {
        self.log_at(Level::Info, 1, text)
    }

    pub fn log_at(&mut self, level: Level, callsite: usize, text: &str) -> Result<(), DropReason> {
        let mut record = record_of(level, text);
        let define = move |out: &mut Vec<u8>| define(level, out);
        self.queue.record(&mut record, level.is_urgent(), CallsiteOf::Static(callsite, &define))
    }

    /// Logs until one record is refused, and tells how many were taken.
    pub fn fill(&mut self, level: Level) -> u64 {
        let text = "x".repeat(100);
        let mut taken = 0;
        while self.log_at(level, 1, &text).is_ok() {
            taken += 1;
        }
        taken
    }

    /// Logs ERROR records into a fresh window until fewer bytes are left than any frame has, with
    /// nothing dropped, and tells how many there are.
    pub fn fill_to_the_last_byte(&mut self) -> u64 {
        let empty = record_of(Level::Error, "").len() + HEADER_LEN;
        let mut definition = Vec::new();
        define(Level::Error, &mut definition);
        let mut left = WINDOW_MIN - HEADER_LEN - 4 - definition.len();
        let mut taken = 0;
        while left >= empty + HEADER_LEN {
            // A record asks for room for a definition's header as well.
            let length = match left - empty - HEADER_LEN {
                // Leave enough for one more, or nothing.
                room if room > 300 => 100,
                room if room > 150 => room / 2,
                room => room,
            };
            self.log_at(Level::Error, 1, &"x".repeat(length)).expect("there is room");
            left -= empty + length;
            taken += 1;
        }
        taken
    }

    /// Pumps until the queue has heard that everything up to there is written.
    #[track_caller]
    pub fn hear(&mut self, seq: u64) {
        until("the acknowledgement", || {
            self.queue.pump();
            (self.queue.acked() >= seq).then_some(())
        });
    }

    #[track_caller]
    pub fn connect(&mut self) {
        until("a connection", || {
            self.queue.pump();
            self.queue.is_connected().then_some(())
        });
    }
}

/// Logs into the queue of several threads.
pub fn log_shared(queue: &SharedQueue, text: &str) -> Result<(), DropReason> {
    let define = |out: &mut Vec<u8>| define(Level::Info, out);
    queue.record(&mut record_of(Level::Info, text), false, CallsiteOf::Static(1, &define))
}

pub fn record_of(level: Level, text: &str) -> Vec<u8> {
    let mut record = Vec::new();
    let mut encoder = RecordEncoder::new(&mut record, level, usize::MAX);
    let mut fields = encoder.fields();
    fields.str(FieldName::Index(0), text);
    let (count, missing) = (fields.count(), fields.missing());
    encoder.finish(1, count, missing);
    record
}

fn define(level: Level, out: &mut Vec<u8>) {
    Definition { level, target: "t", name: "n", file: None, line: None, module_path: None }
        .encode(["message"].into_iter(), out);
}
