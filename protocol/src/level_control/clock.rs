//! The clock by which a change of level ends: it goes on while the host sleeps, nobody can set it,
//! and all processes of a host read the same. It begins anew at each boot, so that a time belongs
//! to a boot.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Where the kernel tells which boot this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Which boot of the host this is; 0 = this process can't find out.
#[must_use]
pub fn boot() -> u128 {
    let text = std::fs::read_to_string(BOOT_ID).unwrap_or_default();
    u128::from_str_radix(&text.trim().replace('-', ""), 16).unwrap_or(0)
}

/// The time since the host was booted.
#[must_use]
pub fn now() -> Duration {
    // The clock is older than every kernel that runs this.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}
