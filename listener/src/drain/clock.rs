//! From stamps to wall-clock time.
//!
//! Stamps come from the host's monotonic clock. The distance to the wall clock is measured with
//! each drain, and kept while it stays within a millisecond, so that the noise of the measuring
//! does not show up as time that runs backwards; a step of the wall clock shows from the next
//! drain on.

use std::time::{Duration, Instant};

use fleetlog_protocol::stamp::{self, Stamp};

const NOISE: u64 = 1_000_000;

#[derive(Debug)]
pub(crate) struct WallClock {
    offset: u64,
}

impl WallClock {
    pub(crate) fn new() -> Self {
        Self { offset: measure() }
    }

    pub(crate) fn refresh(&mut self) {
        let offset = measure();
        if offset.abs_diff(self.offset) > NOISE {
            self.offset = offset;
        }
    }

    /// Nanoseconds since the Unix epoch.
    pub(crate) const fn time(&self, stamp: Stamp) -> u64 {
        stamp.wrapping_add(self.offset)
    }
}

/// The time so long after another one, as far as there are times.
pub(super) fn after(time: Instant, wait: Duration) -> Instant {
    time.checked_add(wait).unwrap_or(time)
}

fn measure() -> u64 {
    stamp::wall_now().wrapping_sub(stamp::now())
}
