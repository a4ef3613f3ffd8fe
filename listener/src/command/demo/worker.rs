//! A worker of the demo: it works on its items, logs each, and takes leave.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fleetlog_protocol::callsite::Definition;
use fleetlog_protocol::lane_queue::{LaneQueue, Lanes, LanesConfig};
use fleetlog_protocol::limits::{LANE_RECORD_MAX, WINDOW_DEFAULT};
use fleetlog_protocol::record::{FieldName, RecordEncoder};
use fleetlog_protocol::socket_queue::{
    CallsiteOf, Config, LinkNumber, SocketQueue, WhenFull, pause,
};
use fleetlog_protocol::{Level, run_dir};

/// The target of every record, by which the proof knows them.
pub(super) const TARGET: &str = "fleetlog::demo";

/// Above so many items, working on them would only take time.
const ITEMS_WORKED_ON: u32 = 100;

static LINK: LinkNumber = LinkNumber::new();
static FILE: LinkNumber = LinkNumber::new();

/// The way that the records take: lanes, or the socket where there is no room for lanes.
enum Way {
    Lanes(Box<Lanes>, LaneQueue),
    Socket(Box<SocketQueue>),
}

impl Way {
    fn new(run_dir: &Path, socket: PathBuf, name: String) -> Self {
        let when_full = WhenFull::Block { stall_budget: super::STALL_BUDGET };
        let lanes = Lanes::create(LanesConfig {
            run_dir: run_dir.to_owned(),
            socket: socket.clone(),
            when_full,
            lane_max: 0,
            name: name.clone(),
            link_number: &LINK,
            file_number: &FILE,
        });
        let fallback = match lanes.map(|lanes| (lanes.claim(), lanes)) {
            Ok((Ok(Some(queue)), lanes)) => return Self::Lanes(Box::new(lanes), queue),
            Ok((Ok(None), _)) => String::new(),
            Ok((Err(error), _)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        Self::Socket(Box::new(SocketQueue::new(Config {
            socket,
            window: WINDOW_DEFAULT,
            when_full,
            name,
            fallback,
            link_number: &LINK,
        })))
    }

    fn record(&mut self, record: &mut Vec<u8>, urgent: bool, callsite: CallsiteOf<'_>) -> bool {
        match self {
            Self::Lanes(lanes, queue) => queue.record(lanes, record, urgent, callsite).is_ok(),
            Self::Socket(queue) => queue.record(record, urgent, callsite).is_ok(),
        }
    }

    fn goodbye(self) {
        match self {
            Self::Lanes(lanes, queue) => {
                lanes.release(queue);
                lanes.goodbye();
            }
            Self::Socket(mut queue) => queue.goodbye(),
        }
    }
}

/// The life of a worker's process; returns its exit code.
pub(super) fn run(run_dir: &Path, number: u32, items: u32) -> i32 {
    let Ok(socket) = run_dir::socket_path(run_dir) else { return 1 };
    let mut worker = Worker {
        number,
        way: Way::new(run_dir, socket, name(number)),
        dropped: 0,
        record: Vec::new(),
        message: String::new(),
        chance: u64::from(number).wrapping_add(1),
    };
    for item in 0..items {
        let start = Instant::now();
        if items <= ITEMS_WORKED_ON {
            pause(worker.work());
        }
        worker.log(item, start.elapsed());
    }
    let dropped = worker.dropped;
    worker.way.goodbye();
    i32::from(dropped > 0)
}

/// The name of a worker.
pub(super) fn name(number: u32) -> String {
    format!("worker {number}")
}

/// What a record is about, by its item.
#[derive(Clone, Copy)]
struct Subject {
    level: Level,
    text: &'static str,
    line: u32,
}

const SUBJECTS: [Subject; 4] = [
    Subject { level: Level::Info, text: "working on item", line: line!() },
    Subject { level: Level::Debug, text: "item was cached:", line: line!() },
    Subject { level: Level::Warn, text: "trying again, item", line: line!() },
    Subject { level: Level::Error, text: "giving up on item", line: line!() },
];

impl Subject {
    /// Mostly good news, in another order for each worker.
    const fn of(worker: u32, item: u32) -> &'static Self {
        match item.wrapping_add(worker) % 10 {
            3 => &SUBJECTS[1],
            6 => &SUBJECTS[2],
            8 => &SUBJECTS[3],
            _ => &SUBJECTS[0],
        }
    }
}

struct Worker {
    number: u32,
    way: Way,
    dropped: u64,
    record: Vec<u8>,
    message: String,
    chance: u64,
}

impl Worker {
    /// How long the next item takes: a few milliseconds, other ones for each worker.
    const fn work(&mut self) -> Duration {
        // Xorshift: any numbers will do.
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        Duration::from_micros(1_000 + self.chance % 4_000)
    }

    fn log(&mut self, item: u32, took: Duration) {
        use std::fmt::Write as _;
        let subject = Subject::of(self.number, item);
        self.message.clear();
        let _ = write!(self.message, "{} {item}", subject.text);

        let mut encoder = RecordEncoder::new(&mut self.record, subject.level, LANE_RECORD_MAX);
        let mut fields = encoder.fields();
        fields.str(FieldName::Index(0), &self.message);
        fields.u64(FieldName::Index(1), item.into());
        fields.u64(FieldName::Index(2), u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        let (count, missing) = (fields.count(), fields.missing());
        encoder.finish(std::process::id(), count, missing);

        let define = |out: &mut Vec<u8>| {
            let definition = Definition {
                level: subject.level,
                target: TARGET,
                name: "item",
                file: Some(file!()),
                line: Some(subject.line),
                module_path: Some(module_path!()),
            };
            definition.encode(["message", "item", "took_us"].into_iter(), out);
        };
        let callsite = CallsiteOf::Static(std::ptr::from_ref(subject).addr(), &define);
        // A drop is counted by the queue and makes this worker fail.
        let taken = self.way.record(&mut self.record, subject.level.is_urgent(), callsite);
        self.dropped += u64::from(!taken);
    }
}
