//! The listener's end of lanes, as far as a test needs it.

use std::collections::BTreeMap;
use std::path::Path;

use fleetlog_protocol::callsite::Callsite;
use fleetlog_protocol::frame::{self, Kind};
use fleetlog_protocol::lane::Reader;
use fleetlog_protocol::message::{Drops, Gap, Name};
use fleetlog_protocol::record::{FieldName, Record, Span, Value};
use fleetlog_protocol::segment::{self, Description, FileName, ForeignSegment, MappedLane};

/// What a lane holds, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Entry {
    Line(Line),
    Gap { first_seq: u64, seq: u64, drops: Drops },
    Name(String),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) lane: usize,
    pub(crate) seq: u64,
    pub(crate) stamp: u64,
    pub(crate) thread: u32,
    pub(crate) target: String,
    pub(crate) is_cut: bool,
    pub(crate) len: usize,
    pub(crate) fields: BTreeMap<String, String>,
    /// As `name{a=1 b=2}`, the outermost first.
    pub(crate) spans: Vec<String>,
}

impl Line {
    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    pub(crate) fn number(&self, name: &str) -> u64 {
        self.field(name).parse().unwrap_or_else(|_| panic!("no number `{name}` in {self:?}"))
    }

    pub(crate) fn message(&self) -> &str {
        self.field("message")
    }
}

/// One process's segment.
pub(crate) struct Seen {
    pub(crate) name: FileName,
    pub(crate) described: Description,
    pub(crate) segment: ForeignSegment,
    pub(crate) readers: Vec<Reader<MappedLane>>,
    pub(crate) callsites: Vec<Callsite>,
    pub(crate) lanes: Vec<Vec<Entry>>,
}

/// All segments of a run directory, in the order of their names, with what was published.
pub(crate) fn read(run_dir: &Path) -> Vec<Seen> {
    let mut names = segment::scan(run_dir).expect("the folder of segments");
    names.sort();
    names.into_iter().map(|name| Seen::open(run_dir, name)).collect()
}

/// The one segment of a run directory.
pub(crate) fn read_one(run_dir: &Path) -> Seen {
    let mut all = read(run_dir);
    assert_eq!(all.len(), 1, "one process logged");
    all.remove(0)
}

/// The segment of a process.
pub(crate) fn read_of(run_dir: &Path, pid: u32) -> Seen {
    let mut mine: Vec<Seen> =
        read(run_dir).into_iter().filter(|seen| seen.described.pid == pid).collect();
    assert_eq!(mine.len(), 1, "segments of {pid}");
    mine.remove(0)
}

impl Seen {
    fn open(run_dir: &Path, name: FileName) -> Self {
        let segment = ForeignSegment::open(run_dir, name).expect("a segment");
        let described = segment.describe().expect("a complete header");
        let readers = (0..segment.claimed())
            .map(|lane| Reader::new(segment.lane(lane), segment.tail(lane)))
            .collect();
        let mut seen =
            Self { name, described, segment, readers, callsites: Vec::new(), lanes: Vec::new() };
        seen.take();
        seen
    }

    /// Takes what is there, without releasing it.
    fn take(&mut self) {
        for lane in 0..self.readers.len() {
            let mut bytes = Vec::new();
            self.readers[lane].look().expect("a head that can be");
            self.readers[lane].take(usize::MAX, &mut bytes);
            let mut table = Vec::new();
            self.segment.read_callsites(0, &mut table);
            self.callsites = decode_callsites(&table);
            let entries = self.decode(lane, &bytes);
            self.lanes.push(entries);
        }
    }

    /// Lets the writers have all the room again.
    pub(crate) fn release(&mut self) {
        for reader in &mut self.readers {
            reader.release(reader.taken());
        }
    }

    fn decode(&self, lane: usize, mut bytes: &[u8]) -> Vec<Entry> {
        let mut entries = Vec::new();
        while let Some(frame) = frame::take(bytes).expect("a frame") {
            entries.push(match frame.kind {
                Kind::Record => Entry::Line(self.line(lane, frame.body)),
                Kind::Gap => {
                    let Gap { first_seq, seq, drops, .. } = Gap::decode(frame.body).expect("a gap");
                    Entry::Gap { first_seq, seq, drops }
                }
                Kind::Name => {
                    Entry::Name(Name::decode(frame.body).expect("a name").name.to_owned())
                }
                other => panic!("a {other:?} in a lane"),
            });
            bytes = &bytes[frame.len..];
        }
        assert!(bytes.is_empty(), "a part of a frame was published");
        entries
    }

    fn line(&self, lane: usize, body: &[u8]) -> Line {
        let record = Record::decode(body).expect("a record");
        let inline = record.definition.map(|bytes| Callsite::decode(bytes).expect("a definition"));
        let callsite = match &inline {
            Some(callsite) => callsite,
            None => &self.callsites[record.callsite as usize - 1],
        };
        let fields = record.fields().map(|field| {
            let name = match field.name {
                FieldName::Index(at) => callsite.fields[usize::from(at)].clone(),
                FieldName::Inline(name) => name.to_owned(),
            };
            (name, text(&field.value))
        });
        Line {
            lane,
            seq: record.seq,
            stamp: record.stamp,
            thread: record.thread,
            target: callsite.target.clone(),
            is_cut: record.original_len.is_some(),
            len: body.len(),
            fields: fields.collect(),
            spans: record.spans().map(|span| shown(&span)).collect(),
        }
    }

    /// All lines, ordered by their stamps, as a listener writes them.
    pub(crate) fn lines(&self) -> Vec<Line> {
        let mut lines: Vec<Line> = self
            .lanes
            .iter()
            .flatten()
            .filter_map(|entry| match entry {
                Entry::Line(line) => Some(line.clone()),
                Entry::Gap { .. } | Entry::Name(_) => None,
            })
            .collect();
        lines.sort_by_key(|line| line.stamp);
        lines
    }

    pub(crate) fn messages(&self) -> Vec<String> {
        self.lines().iter().map(|line| line.message().to_owned()).collect()
    }

    /// Asserts that each lane's numbers go from 1 without a hole, gaps included.
    pub(crate) fn assert_unbroken(&self) {
        for (lane, entries) in self.lanes.iter().enumerate() {
            let mut next = 1;
            for entry in entries {
                match entry {
                    Entry::Line(line) => {
                        assert_eq!(line.seq, next, "lane {lane}");
                        next += 1;
                    }
                    Entry::Gap { first_seq, seq, .. } => {
                        assert_eq!(*first_seq, next, "lane {lane}");
                        next = seq + 1;
                    }
                    Entry::Name(_) => {}
                }
            }
        }
    }
}

fn decode_callsites(mut table: &[u8]) -> Vec<Callsite> {
    let mut callsites = Vec::new();
    while let Some((len, rest)) = table.split_first_chunk() {
        let (definition, rest) = rest.split_at(u32::from_le_bytes(*len) as usize);
        callsites.push(Callsite::decode(definition).expect("a definition"));
        table = rest;
    }
    callsites
}

fn shown(span: &Span<'_>) -> String {
    let fields = span.fields.map(|field| match field.name {
        FieldName::Inline(name) => format!("{name}={}", text(&field.value)),
        FieldName::Index(at) => panic!("a span's field without a name: {at}"),
    });
    format!("{}{{{}}}", span.name, fields.collect::<Vec<_>>().join(" "))
}

fn text(value: &Value<'_>) -> String {
    match value {
        Value::Str(text) | Value::Debug(text) => (*text).to_owned(),
        Value::U64(number) => number.to_string(),
        Value::I64(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        other => format!("{other:?}"),
    }
}
