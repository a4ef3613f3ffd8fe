//! Records of the SDK's own: panics, and how the members of a fleet ended.

use fleetlog_protocol::Level;
use fleetlog_protocol::callsite::Definition;
use fleetlog_protocol::record::{FieldEncoder, RecordEncoder};
use fleetlog_protocol::socket_queue::CallsiteOf;

use crate::worker::{Worker, thread_number};

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
    let mut encoder = RecordEncoder::new(&mut record, level, worker.settings.record_max);
    let mut fields = encoder.fields();
    fill(&mut fields);
    let (count, missing) = (fields.count(), fields.missing());
    encoder.finish(thread_number(), count, missing);
    let mut definition = Vec::new();
    let described = Definition {
        level,
        target: place.target,
        name: "notice",
        file: place.file,
        line: place.line,
        module_path: None,
    };
    described.encode(std::iter::empty(), &mut definition);
    RecordEncoder::append_definition(&mut record, &definition);
    worker.send(&mut record, level.is_urgent(), CallsiteOf::Inline);
}
