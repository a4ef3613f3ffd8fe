//! Waiting on conditions. The deadlines are far beyond what a loaded machine needs; they exist so
//! that a hang is a failure and not a stuck run.

use std::time::{Duration, Instant};

/// Long enough for anything that happens at all.
pub const GENEROUS: Duration = Duration::from_secs(120);

/// Waits until a condition holds and panics, naming it, when it never does.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + GENEROUS;
    while !holds() {
        assert!(Instant::now() < deadline, "waited {GENEROUS:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
