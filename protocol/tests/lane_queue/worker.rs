//! A worker's lanes in a folder of their own, and readers of them that a test steers.

use std::path::PathBuf;
use std::time::Duration;

use fleetlog_protocol::Level;
use fleetlog_protocol::callsite::{Callsite, Definition};
use fleetlog_protocol::frame::{self, Kind};
use fleetlog_protocol::lane::Reader;
use fleetlog_protocol::lane_queue::{LaneQueue, Lanes, LanesConfig, NotTaken};
use fleetlog_protocol::message::{DropReason, Drops, Gap, Name};
use fleetlog_protocol::record::{FieldName, Record, RecordEncoder, Value};
use fleetlog_protocol::segment::{ForeignSegment, MappedLane, scan};
use fleetlog_protocol::socket_queue::{CallsiteOf, LinkNumber, WhenFull};
use tempfile::TempDir;

pub struct Worker {
    pub lanes: Lanes,
    pub dir: TempDir,
}

impl Worker {
    /// Drops what finds no room.
    pub fn dropping() -> Self {
        Self::new(WhenFull::DropNewest)
    }

    /// Waits for room longer than any test.
    pub fn blocking() -> Self {
        Self::new(WhenFull::Block { stall_budget: Duration::from_secs(600) })
    }

    pub fn new(when_full: WhenFull) -> Self {
        Self::with_lanes_of(0, when_full)
    }

    /// A worker whose lanes may have so many bytes.
    pub fn with_lanes_of(lane_max: usize, when_full: WhenFull) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let config = LanesConfig {
            run_dir: dir.path().join("run"),
            socket: dir.path().join("socket"),
            when_full,
            lane_max,
            name: "first".to_owned(),
            link_number: Box::leak(Box::new(LinkNumber::new())),
            file_number: Box::leak(Box::new(LinkNumber::new())),
        };
        Self { lanes: Lanes::create(config).expect("there is room"), dir }
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("socket")
    }

    pub fn claim(&self) -> LaneQueue {
        self.lanes.claim().expect("there is room").expect("a lane is free")
    }

    pub fn foreign(&self) -> ForeignSegment {
        let names = scan(self.lanes.run_dir()).expect("the folder is there");
        ForeignSegment::open(self.lanes.run_dir(), names[0]).expect("its segment")
    }

    pub fn reader(&self, lane: usize) -> LaneReader {
        let foreign = self.foreign();
        let tail = foreign.tail(lane);
        LaneReader { reader: Reader::new(foreign.lane(lane), tail) }
    }

    /// The callsite table, decoded: the definition with number 1 first.
    pub fn callsites(&self) -> Vec<Callsite> {
        let mut table = Vec::new();
        let foreign = self.foreign();
        foreign.read_callsites(0, &mut table);
        let mut rest = table.as_slice();
        let mut callsites = Vec::new();
        while let Some((length, behind)) = rest.split_first_chunk() {
            let (definition, behind) = behind.split_at(u32::from_le_bytes(*length) as usize);
            callsites.push(Callsite::decode(definition).expect("a definition"));
            rest = behind;
        }
        assert!(rest.is_empty(), "the table ends with a definition");
        callsites
    }
}

/// A frame of a lane, decoded and owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Record { seq: u64, stamp: u64, callsite: u32, text: String, definition: Option<Callsite> },
    Name(String),
    Gap(Gap),
}

pub struct LaneReader {
    pub reader: Reader<MappedLane>,
}

impl LaneReader {
    /// Everything that has been published by now, which is then released.
    pub fn said(&mut self) -> Vec<Said> {
        let said = self.said_and_kept();
        self.release();
        said
    }

    /// Everything that has been published by now, which stays in the lane.
    pub fn said_and_kept(&mut self) -> Vec<Said> {
        let mut bytes = Vec::new();
        self.reader.look().expect("an honest head");
        self.reader.take(usize::MAX, &mut bytes);
        let mut rest = bytes.as_slice();
        let mut said = Vec::new();
        while let Some(frame) = frame::take(rest).expect("whole frames") {
            said.push(decode(frame.kind, frame.body));
            rest = &rest[frame.len..];
        }
        assert!(rest.is_empty(), "a head stands between two frames");
        said
    }

    pub fn release(&mut self) {
        self.reader.release(self.reader.taken());
    }
}

fn decode(kind: Kind, body: &[u8]) -> Said {
    match kind {
        Kind::Record => {
            let record = Record::decode(body).expect("a whole record");
            let text = match record.fields().next().map(|field| field.value) {
                Some(Value::Str(text)) => text.to_owned(),
                other => panic!("{other:?} is not the text that was logged"),
            };
            Said::Record {
                seq: record.seq,
                stamp: record.stamp,
                callsite: record.callsite,
                text,
                definition: record.definition.map(|bytes| Callsite::decode(bytes).expect("whole")),
            }
        }
        Kind::Name => Said::Name(Name::decode(body).expect("a name").name.to_owned()),
        Kind::Gap => Said::Gap(Gap::decode(body).expect("a gap")),
        other => panic!("{other:?} in a lane"),
    }
}

/// The texts of the records, without the frames between them.
pub fn texts(said: &[Said]) -> Vec<&str> {
    said.iter()
        .filter_map(|said| match said {
            Said::Record { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

/// Checks that sequence numbers are unbroken from 1 on and stamps never fall, gaps included, and
/// tells the records and the drops.
#[track_caller]
pub fn check_unbroken(said: &[Said]) -> (u64, Drops) {
    let (mut last, mut last_stamp, mut records) = (0, 0, 0);
    let mut drops = Drops::default();
    for frame in said {
        let (first, seq, stamp) = match frame {
            Said::Record { seq, stamp, .. } => {
                records += 1;
                (*seq, *seq, *stamp)
            }
            Said::Gap(gap) => {
                drops.add(gap.drops);
                (gap.first_seq, gap.seq, gap.stamp)
            }
            Said::Name(_) => continue,
        };
        assert_eq!(first, last + 1, "no number is missing and none comes twice");
        assert!(stamp >= last_stamp, "stamps never fall in a lane");
        (last, last_stamp) = (seq, stamp);
    }
    (records, drops)
}

/// Logs at level INFO from a callsite that all such records share.
pub fn log(lanes: &Lanes, queue: &mut LaneQueue, text: &str) -> Result<(), DropReason> {
    log_at(lanes, queue, Level::Info, 8, text)
}

/// Logs from the callsite at an address that the test made up.
pub fn log_at(
    lanes: &Lanes,
    queue: &mut LaneQueue,
    level: Level,
    callsite: usize,
    text: &str,
) -> Result<(), DropReason> {
    let define = |out: &mut Vec<u8>| define(&callsite.to_string(), &["message"], out);
    let callsite = CallsiteOf::Static(callsite, &define);
    reason_of(queue.record(lanes, &mut record_of(level, text), level.is_urgent(), callsite))
}

/// Logs into the lane that all threads share.
pub fn log_shared(lanes: &Lanes, level: Level, text: &str) -> Result<(), DropReason> {
    let define = |out: &mut Vec<u8>| define("8", &["message"], out);
    let callsite = CallsiteOf::Static(8, &define);
    reason_of(lanes.record_shared(&mut record_of(level, text), level.is_urgent(), callsite))
}

fn reason_of(taken: Result<(), NotTaken>) -> Result<(), DropReason> {
    taken.map_err(|error| match error {
        NotTaken::Dropped(reason) => reason,
        NotTaken::NoSpace(error) => panic!("{error}"),
    })
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

pub fn define(name: &str, fields: &[&str], out: &mut Vec<u8>) {
    Definition { level: Level::Info, target: "t", name, file: None, line: None, module_path: None }
        .encode(fields.iter().copied(), out);
}
