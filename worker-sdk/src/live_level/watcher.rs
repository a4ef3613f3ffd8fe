//! The watcher: the thread that wakes when the level changes.
//!
//! It sleeps on the run directory's page. It is woken by a change, by the end of one, and every ten
//! seconds to see whether the run directory is another one by now; while there is no page it looks
//! for one twice a second. It holds nothing while it sleeps: no lock, no descriptor. Where it can't
//! be started, the level of this process can't be changed, and everything else is as always.

use std::time::Duration;

use super::gate;
use super::state::Live;
use crate::fork::{Errand, start_thread};

/// The least time between two looks. Everybody who may read the page can wake its sleepers, who
/// then look fifty times a second and not more.
const REST: Duration = Duration::from_millis(20);

impl Errand for Live {
    const NAME: &'static std::ffi::CStr = c"fleetlog-level";

    fn run(&'static self) {
        let mut watch = self.watch();
        while !self.has_ended() {
            let Some(next) = gate::look(|| self.look(&mut watch)) else {
                // The program forks and forks; it has the right of way.
                std::thread::sleep(REST);
                continue;
            };
            std::thread::sleep(REST.min(next.at_most));
            watch.wait(next.seen, next.at_most.saturating_sub(REST));
        }
    }
}

/// Starts the watcher of a filter, if the system lets us.
pub(super) fn start(live: &'static Live) {
    start_thread(live);
}
