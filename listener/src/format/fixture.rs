//! Records for tests.

use fleetlog_protocol::Level;
use fleetlog_protocol::callsite::Callsite;
use fleetlog_protocol::record::{FieldEncoder, Record, RecordEncoder, seal};

use super::{Format, Formatter, Line, Origin, Repeat};

/// 2026-11-22T10:00:00.123456789Z
pub(super) const TIME: u64 = 1_795_341_600_123_456_789;

/// A record under construction.
pub(super) struct Event {
    level: Level,
    spans: Vec<(String, Vec<u8>)>,
    block: Vec<u8>,
    count: u16,
    limit: usize,
    missing: usize,
    pub(super) callsite: Callsite,
    pub(super) worker: String,
    repeats: Vec<Repeat>,
    pub(super) origin: Origin,
}

impl Event {
    /// An event of `my_app::job` whose callsite knows some field names.
    pub(super) fn new(level: Level, names: &[&str]) -> Self {
        Self {
            level,
            spans: Vec::new(),
            block: Vec::new(),
            count: 0,
            limit: 1 << 20,
            missing: 0,
            callsite: Callsite {
                level,
                target: "my_app::job".to_owned(),
                name: "event src/job.rs:7".to_owned(),
                file: Some("src/job.rs".to_owned()),
                line: Some(7),
                module_path: Some("my_app::job".to_owned()),
                fields: names.iter().map(|name| (*name).to_owned()).collect(),
            },
            worker: "worker 3".to_owned(),
            repeats: Vec::new(),
            origin: Origin::Client,
        }
    }

    pub(super) fn span(mut self, name: &str, fill: impl FnOnce(&mut FieldEncoder<'_>)) -> Self {
        let mut block = vec![0; 6];
        let mut fields = FieldEncoder::new(&mut block, 1 << 20);
        fill(&mut fields);
        let count = fields.count().to_le_bytes();
        block[..2].copy_from_slice(&count);
        self.spans.push((name.to_owned(), block));
        self
    }

    pub(super) fn fields(mut self, fill: impl FnOnce(&mut FieldEncoder<'_>)) -> Self {
        let mut fields = FieldEncoder::new(&mut self.block, self.limit);
        fill(&mut fields);
        (self.count, self.missing) = (fields.count(), fields.missing());
        self
    }

    /// Equal records of other workers: name, pid, lane and number of each.
    pub(super) fn repeats(mut self, repeats: &[(&str, u32, u32, u64)]) -> Self {
        let repeat = |&(worker, pid, lane, seq): &(&str, u32, u32, u64)| Repeat {
            worker: worker.into(),
            pid,
            lane,
            seq,
        };
        self.repeats = repeats.iter().map(repeat).collect();
        self
    }

    pub(super) const fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = RecordEncoder::new(&mut bytes, self.level, 1 << 21);
        for (name, block) in &self.spans {
            encoder.span(name, &[block]);
        }
        encoder.finish(77, self.count, self.missing);
        bytes.extend_from_slice(&self.block);
        seal(&mut bytes, 17, 1, 3);
        bytes
    }

    /// The line in a format, without its newline.
    pub(super) fn line(&self, format: &Format) -> String {
        let bytes = self.bytes();
        let record = Record::decode(&bytes).unwrap();
        let line = Line {
            record: &record,
            callsite: &self.callsite,
            worker: &self.worker,
            pid: 1234,
            lane: 2,
            time: TIME,
            repeats: &self.repeats,
            origin: self.origin,
        };
        let mut out = b"what was there before stays\n".to_vec();
        Formatter::new(format).write(&line, &mut out);
        let out = String::from_utf8(out).unwrap();
        let line = out.strip_prefix("what was there before stays\n").unwrap();
        line.strip_suffix('\n').unwrap().to_owned()
    }
}
