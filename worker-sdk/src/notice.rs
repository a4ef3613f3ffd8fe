//! Records of the SDK's own: panics, and how the members of a fleet ended.

use fleetlog_protocol::Level;
use fleetlog_protocol::callsite::Definition;
use fleetlog_protocol::record::{FieldEncoder, RecordEncoder};
use fleetlog_protocol::socket_queue::CallsiteOf;

use crate::thread::{self, Caller};
use crate::worker::Worker;

/// Where a notice comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) target: &'a str,
    pub(crate) file: Option<&'a str>,
    pub(crate) line: Option<u32>,
}

/// Sends a record to every worker's queue.
pub(crate) fn send(level: Level, place: Place<'_>, fill: impl Fn(&mut FieldEncoder<'_>)) {
    for worker in Worker::all() {
        send_to(worker, level, place, &fill);
    }
}

/// Sends a record to one worker's queue.
pub(crate) fn send_to(
    worker: &'static Worker,
    level: Level,
    place: Place<'_>,
    fill: impl Fn(&mut FieldEncoder<'_>),
) {
    let mut record = Vec::new();
    thread::with(|thread| {
        let mut encoder = RecordEncoder::new(&mut record, level, worker.record_max());
        let mut fields = encoder.fields();
        fill(&mut fields);
        let (count, missing) = (fields.count(), fields.missing());
        let caller = Caller::now(thread);
        encoder.finish(caller.thread_number(), count, missing);
        RecordEncoder::append_definition(&mut record, &define(level, place));
        worker.send(caller, &mut record, level.is_urgent(), CallsiteOf::Inline);
    });
}

fn define(level: Level, place: Place<'_>) -> Vec<u8> {
    let described = Definition {
        level,
        target: place.target,
        name: "notice",
        file: place.file,
        line: place.line,
        module_path: None,
    };
    let mut definition = Vec::new();
    described.encode(std::iter::empty(), &mut definition);
    definition
}
