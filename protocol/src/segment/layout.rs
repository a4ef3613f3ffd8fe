//! Where everything is in a segment. Offsets in bytes; all integers little-endian.
//!
//! | offset | bytes | what | written by |
//! |---|---|---|---|
//! | 0 | 8 | magic, stored last: a segment that has it is complete | worker |
//! | 8 | 4, 4 | version; lanes | worker |
//! | 16 | 8 | bytes of a lane: a power of two, 256 KiB to 16 MiB | worker |
//! | 24 | 8 | bytes of the callsite table | worker |
//! | 32 | 16 | identity | worker |
//! | 48 | 4 | pid, in the worker's own pid namespace | worker |
//! | 56 | 8 | start time of the process, in the kernel's ticks since boot | worker |
//! | 128 | 8 | lanes that were ever claimed, from the first | worker |
//! | 136 | 8 | 1 = the worker left on purpose | worker |
//! | 256 | 8 | one bit per lane that was published to while the listener looked away | both |
//! | 384 | 4 x 8 | dropped records, by reason | worker |
//! | 448 | 4 x 8 | of these, reported in the files | listener |
//! | 512 | 8 | bytes of the callsite table that are complete | worker |
//! | 1024 | 1 + 128 | the worker's name when it made the segment | worker |
//! | 4096 | 64 x 384 | lanes' words: head at 0, tail at 128, quiet at 256, waiting at 260 | both |
//! | 28672 | 1 MiB | callsite table: length (u32) and definition, each | worker |
//! | 1077248 | 64 times the bytes of a lane | the lanes' bytes | worker |

use crate::limits::{CALLSITE_TABLE_MAX, LANE_CAPACITY, LANE_CAPACITY_MAX, LANES_MAX, NAME_MAX};

/// "fleetseg" as a number.
pub(super) const MAGIC: u64 = u64::from_le_bytes(*b"fleetseg");
/// The version of this layout.
pub(super) const VERSION: u32 = 1;

/// The bytes that share a cache line, twice: processors fetch lines in pairs.
const LINE: usize = 128;
/// What space is taken by.
pub(super) const PAGE: usize = 4096;

pub(super) const LANE_BYTES: usize = 16;
pub(super) const TABLE_BYTES: usize = 24;
pub(super) const IDENTITY: usize = 32;
pub(super) const PID: usize = 48;
pub(super) const START_TIME: usize = 56;
pub(super) const CLAIMED: usize = LINE;
pub(super) const LEFT: usize = LINE + 8;
pub(super) const ACTIVE: usize = 2 * LINE;
pub(super) const DROPS: usize = 3 * LINE;
pub(super) const REPORTED: usize = DROPS + LINE / 2;
pub(super) const COMMITTED: usize = 4 * LINE;
pub(super) const NAME: usize = 8 * LINE;

const CONTROLS: usize = PAGE;
const CONTROL_BYTES: usize = 3 * LINE;
/// Where the callsite table begins.
pub(super) const TABLE: usize = CONTROLS + LANES_MAX * CONTROL_BYTES;
const LANES: usize = TABLE + CALLSITE_TABLE_MAX;
/// The bytes of a segment whose lanes are all claimed, by the size of a lane.
pub(super) const fn segment_bytes(lane_bytes: usize) -> usize {
    LANES + LANES_MAX * lane_bytes
}

/// Where a lane's words begin.
pub(super) const fn control(lane: usize) -> usize {
    CONTROLS + lane * CONTROL_BYTES
}

pub(super) const HEAD: usize = 0;
pub(super) const TAIL: usize = LINE;
pub(super) const QUIET: usize = 2 * LINE;
pub(super) const WAITING: usize = 2 * LINE + 4;

/// Where a lane's bytes begin.
pub(super) const fn lane(lane: usize, lane_bytes: usize) -> usize {
    LANES + lane * lane_bytes
}

/// The size of a lane as a header tells it; `None` = no lane has that size.
pub(super) fn lane_size(told: u64) -> Option<usize> {
    let size = usize::try_from(told).ok()?;
    (size.is_power_of_two() && (LANE_CAPACITY..=LANE_CAPACITY_MAX).contains(&size)).then_some(size)
}

const _: () = assert!(NAME + 1 + NAME_MAX <= CONTROLS);
const _: () = assert!(
    TABLE.is_multiple_of(PAGE) && LANES.is_multiple_of(PAGE),
    "parts are allocated by pages"
);
const _: () = assert!(LANE_CAPACITY.is_multiple_of(PAGE));
const _: () = assert!(LANES_MAX == 64, "the active lanes are the bits of one word");
