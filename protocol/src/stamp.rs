//! Stamps: the host-wide clock that orders records.
//!
//! A stamp is a reading of `CLOCK_MONOTONIC` in nanoseconds. Every process of a host reads the
//! same clock, it never steps, and a listener maps it to wall-clock time when it formats. It
//! says nothing across a reboot.

use nix::time::{ClockId, clock_gettime};

/// A reading of the host's monotonic clock, in nanoseconds.
pub type Stamp = u64;

/// Reads the clock. The kernel's vDSO answers, no system call is made.
///
/// ```
/// let first = fleetlog_protocol::stamp::now();
/// assert!(first <= fleetlog_protocol::stamp::now());
/// ```
#[inline]
#[must_use]
pub fn now() -> Stamp {
    nanoseconds(ClockId::CLOCK_MONOTONIC)
}

/// The wall clock in nanoseconds since the Unix epoch; the other half of the mapping.
#[must_use]
pub fn wall_now() -> u64 {
    nanoseconds(ClockId::CLOCK_REALTIME)
}

/// A clock that the kernel always has can't fail; a clock before its epoch reads as zero.
#[inline]
fn nanoseconds(clock: ClockId) -> u64 {
    clock_gettime(clock).map_or(0, |time| {
        let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
        let nanos = u64::try_from(time.tv_nsec()).unwrap_or(0);
        seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
    })
}
