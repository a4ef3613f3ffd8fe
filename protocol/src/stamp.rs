//! Stamps: the host-wide clock that orders records.
//!
//! A stamp is a reading of `CLOCK_MONOTONIC` in nanoseconds. Every process of a host reads the
//! same clock, it never steps, and a listener maps it to wall-clock time when it formats. It
//! says nothing across a reboot.

#![allow(unsafe_code, reason = "nix copies what the clock says before it has arrived in memory")]

use nix::libc;

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
    nanoseconds(libc::CLOCK_MONOTONIC)
}

/// The wall clock in nanoseconds since the Unix epoch; the other half of the mapping.
#[must_use]
pub fn wall_now() -> u64 {
    nanoseconds(libc::CLOCK_REALTIME)
}

/// A clock that the kernel always has can't fail; a clock before its epoch reads as zero.
///
/// `nix` moves the two words as one, which a processor can only do when both have left for the
/// cache: that alone is a tenth of a record's time.
#[inline]
fn nanoseconds(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a whole `timespec` of this function's own.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.wrapping_mul(1_000_000_000).wrapping_add(nanos)
}
