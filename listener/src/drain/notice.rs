//! Notices: the listener's own lines in the log, for what no worker could write.
//!
//! A notice is a record like any other, under the worker that it is about, with the target
//! `fleetlog`. It has no sequence number (0): it is nobody's call.

use fleetlog_protocol::Level;
use fleetlog_protocol::callsite::Callsite;
use fleetlog_protocol::message::Drops;
use fleetlog_protocol::record::{FieldEncoder, FieldName, Record, RecordEncoder, seal};
use fleetlog_protocol::stamp::Stamp;

/// Enough for every notice.
const NOTICE_MAX: usize = 4096;

/// What happened.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Notice {
    /// A worker's process ended without taking leave.
    Died { records: u64 },
    /// A worker dropped records here and counted them; 0 = it did not live to number them.
    Dropped { first_seq: u64, last_seq: u64, drops: Drops },
    /// Sequence numbers are missing here and nobody said why.
    Missing { first_seq: u64, last_seq: u64 },
    /// A worker sent a record that can't be read; it is left out.
    Unreadable { seq: u64 },
    /// A worker's lane can't be read from here on.
    PutAside { lane: u32 },
}

/// Encodes notices.
#[derive(Debug)]
pub(crate) struct Notices {
    pub(crate) callsite: Callsite,
    bytes: Vec<u8>,
}

impl Notices {
    pub(crate) fn new() -> Self {
        Self {
            callsite: Callsite {
                level: Level::Warn,
                target: "fleetlog".to_owned(),
                name: "notice".to_owned(),
                file: None,
                line: None,
                module_path: None,
                fields: Vec::new(),
            },
            bytes: Vec::new(),
        }
    }

    /// The notice as a record.
    pub(crate) fn record(&mut self, notice: &Notice, stamp: Stamp) -> Option<Record<'_>> {
        let mut encoder = RecordEncoder::new(&mut self.bytes, Level::Warn, NOTICE_MAX);
        let mut fields = encoder.fields();
        encode(notice, &mut fields);
        let (count, missing) = (fields.count(), fields.missing());
        encoder.finish(0, count, missing);
        seal(&mut self.bytes, 0, stamp, 0);
        Record::decode(&self.bytes).ok()
    }
}

fn encode(notice: &Notice, fields: &mut FieldEncoder<'_>) {
    let message = FieldName::Inline("message");
    let mut number = |name, value| fields.u64(FieldName::Inline(name), value);
    match notice {
        Notice::Died { records } => {
            number("records", *records);
            fields.str(message, "the worker ended without taking leave");
        }
        Notice::Dropped { first_seq, last_seq, drops } => {
            number("dropped", drops.total());
            for (reason, count) in drops.by_reason() {
                number(reason.as_str(), count);
            }
            if *first_seq > 0 {
                number("first_seq", *first_seq);
                number("last_seq", *last_seq);
            }
            fields.str(message, "the worker dropped records here");
        }
        Notice::Missing { first_seq, last_seq } => {
            number("missing", last_seq.saturating_sub(*first_seq).saturating_add(1));
            number("first_seq", *first_seq);
            number("last_seq", *last_seq);
            fields.str(message, "records are missing here");
        }
        Notice::Unreadable { seq } => {
            number("unreadable_seq", *seq);
            fields.str(message, "the worker sent a record that can't be read");
        }
        Notice::PutAside { lane } => {
            number("lane", u64::from(*lane));
            fields.str(message, "the worker's lane can't be read from here on");
        }
    }
}
