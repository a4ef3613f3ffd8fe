//! Notices: the listener's own lines in the log, for what no worker could write.
//!
//! A notice is a record like any other, under the worker that it is about, with the target
//! `fleetlog` and the mark of [`Origin::Listener`](crate::format::Origin), which no client can
//! make. It has no sequence number (0): it is nobody's call.

use fleetlog_protocol::Level;
use fleetlog_protocol::callsite::Callsite;
use fleetlog_protocol::record::{FieldEncoder, FieldName, Record, RecordEncoder, seal};
use fleetlog_protocol::stamp::Stamp;

use super::loss::LossEvent;

/// Enough for every notice.
const NOTICE_MAX: usize = 4096;

/// What happened.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Notice {
    /// A worker's process ended without taking leave.
    Died { records: u64 },
    /// Records are lost.
    Lost(LossEvent),
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
    match notice {
        Notice::Died { records } => {
            fields.u64(FieldName::Inline("records"), *records);
            fields.str(FieldName::Inline("message"), "the worker ended without taking leave");
        }
        Notice::Lost(event) => event.encode(fields),
    }
}
