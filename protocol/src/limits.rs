//! Every limit of the protocol in one place, with its reason; their relations are asserted at
//! compile time.

use std::time::Duration;

/// The version of the bytes. A listener refuses a worker that speaks another one.
pub const PROTOCOL_VERSION: u16 = 1;

/// The longest record over the socket, in bytes. A longer one is truncated by its worker: large
/// enough for a stack trace or a request body, small enough that a listener can hold one from
/// every connection.
pub const RECORD_MAX: usize = 1 << 20;

/// The longest frame, in bytes: a record with its kind byte, or a callsite.
pub const FRAME_MAX: usize = RECORD_MAX + 1;

/// The smallest configurable record limit: a record's header and a short message.
pub const RECORD_MIN: usize = 512;

/// Fields of one event or span. `tracing` itself stops at 32 per callsite.
pub const FIELD_COUNT_MAX: usize = 256;

/// Spans of one record's context. Deeper scopes keep their innermost spans.
pub const SPAN_DEPTH_MAX: usize = 64;

/// Sources of one error chain; a cyclic `source` must not run for ever.
pub const ERROR_CHAIN_MAX: usize = 32;

/// The longest worker name, in bytes. Longer ones are cut at a character boundary.
pub const NAME_MAX: usize = 128;

/// The longest string of a callsite (target, file, module path, field name), in bytes.
pub const CALLSITE_TEXT_MAX: usize = 1024;

/// Callsites that one process defines; later ones travel inside their records.
pub const CALLSITES_MAX: usize = 16_384;

/// The longest control message, in bytes.
pub const CONTROL_MAX: usize = 64 << 10;

/// The longest handshake, preface and hello together, in bytes: what a listener holds for a
/// connection that has not yet said who it is.
pub const HANDSHAKE_MAX: usize = 512;

/// The longest request of a command with its preface, in bytes: what a listener holds for a
/// connection that has begun one.
pub const REQUEST_MAX: usize = 8 << 10;

/// The filter directives of one change of level, in bytes: some hundred targets.
pub const DIRECTIVES_MAX: usize = 4 << 10;

/// The longest choice of workers, in bytes: a name and a pid.
pub const WORKER_PATTERN_MAX: usize = 256;

/// Changes of level that are in force at once. Each is looked at for every callsite of a worker.
pub const LEVEL_CHANGES_MAX: usize = 64;

/// The longest reason of a refusal that a worker keeps, in bytes: a few sentences.
pub const REFUSAL_MAX: usize = 1024;

/// The records that a worker keeps until the listener has acknowledged them, in bytes, unless
/// configured otherwise. At 150 bytes a record it covers 28,000 records of an outage.
pub const WINDOW_DEFAULT: usize = 4 << 20;

/// The smallest window: the last eighth is reserved, and one record of the limit must fit into
/// the rest.
pub const WINDOW_MIN: usize = 16 << 10;

/// The bytes of a lane. At 100 bytes a record it covers 2,600 records between two looks of the
/// listener, and a worker with eight logging threads stays at 2 MiB.
pub const LANE_CAPACITY: usize = 256 << 10;

/// The largest lane that can be asked for, in bytes. Worker and listener have addresses for all lanes
/// of a segment, 1 GiB with this.
pub const LANE_CAPACITY_MAX: usize = 16 << 20;

/// The share of its file system that the lanes of a run directory may take: one part in this many.
/// A folder that is full of lanes would keep the programs out that it is shared with, and a tmpfs is
/// memory.
pub const RUN_DIR_SHARE: u64 = 2;

/// Lanes of one segment: threads that have a lane to themselves, and one that all others share. One word tells which of them the listener must look at.
pub const LANES_MAX: usize = 64;

/// The longest record over lanes, in bytes, unless configured lower: three of them fit into the
/// part of a lane that is open to every level.
pub const LANE_RECORD_MAX: usize = 64 << 10;

/// The callsite table of a segment, in bytes. Callsites that find no room in it travel inside of
/// their records.
pub const CALLSITE_TABLE_MAX: usize = 1 << 20;

/// How long an outage may hold up a worker in all, unless configured otherwise.
pub const STALL_BUDGET_DEFAULT: Duration = Duration::from_secs(1);

/// The share of a queue that is kept for WARN and ERROR: one part in this many.
pub const RESERVED_SHARE: usize = 8;

/// The lines of one write of the listener, in bytes.
pub const BATCH_MAX: usize = 1 << 20;

/// Workers that one status names one by one: 512 bytes each fit into a frame.
pub const CONTROL_REPLY_WORKERS_MAX: usize = 2048;

/// Connections that a listener holds at once.
pub const CONNECTIONS_MAX: usize = 4096;

/// Connections that one uid may hold at once, so that one user cannot lock out the others.
pub const CONNECTIONS_PER_UID_MAX: usize = 1024;

const _: () = assert!(FRAME_MAX > RECORD_MAX);
const _: () = assert!(FRAME_MAX <= u32::MAX as usize, "a frame's length is a u32");
const _: () = assert!(SPAN_DEPTH_MAX <= u16::MAX as usize, "a record counts its spans in a u16");
const _: () = assert!(FIELD_COUNT_MAX <= u16::MAX as usize, "a record counts its fields in a u16");
const _: () = assert!(NAME_MAX <= u8::MAX as usize, "a name's length is a byte");
const _: () =
    assert!(CALLSITE_TEXT_MAX <= u16::MAX as usize, "a callsite's strings have u16 lengths");
const _: () = assert!(HANDSHAKE_MAX > 64 + 2 * NAME_MAX, "a hello with the longest texts must fit");
const _: () = assert!(
    REQUEST_MAX > DIRECTIVES_MAX + WORKER_PATTERN_MAX + 64,
    "a request with the longest texts must fit"
);
const _: () = assert!(WORKER_PATTERN_MAX > NAME_MAX + 12, "a name with its pid must fit");
const _: () = assert!(DIRECTIVES_MAX <= u16::MAX as usize, "a change's texts have u16 lengths");
const _: () = assert!(WINDOW_MIN - WINDOW_MIN / RESERVED_SHARE > 2 * RECORD_MIN);
const _: () = assert!(WINDOW_DEFAULT - WINDOW_DEFAULT / RESERVED_SHARE > 2 * FRAME_MAX);
const _: () = assert!(CONNECTIONS_PER_UID_MAX < CONNECTIONS_MAX);
const _: () = assert!(
    LANE_CAPACITY.is_power_of_two() && LANE_CAPACITY_MAX.is_power_of_two(),
    "a counter's place in a lane is found by a mask"
);
const _: () = assert!(LANE_CAPACITY <= LANE_CAPACITY_MAX);
const _: () = assert!(
    LANE_CAPACITY - LANE_CAPACITY / RESERVED_SHARE > 2 * LANE_RECORD_MAX + 2 * NAME_MAX + 256,
    "a lane holds a record of the limit, another one, a gap report and a name"
);
const _: () = assert!(LANE_RECORD_MAX <= RECORD_MAX, "a frame of the one is a frame of the other");

/// The record limit that fits a window: a record of the limit must fit beside a gap report into
/// the part of the window that is open to every level.
#[must_use]
pub const fn record_max_for(window: usize) -> usize {
    let open = window - window / RESERVED_SHARE;
    if open / 2 < RECORD_MAX { open / 2 } else { RECORD_MAX }
}
