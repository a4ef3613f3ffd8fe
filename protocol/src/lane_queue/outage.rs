//! Outages: how long full lanes may hold up a process, over all of its threads.
//!
//! The budget is the process's: whichever thread waits spends it, and when it is spent nobody
//! waits until a lane has room again. Threads that wait at the same time share their time, so
//! that a pool of them is not held up less than one thread would be.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::socket_queue::WhenFull;

#[derive(Debug)]
pub(super) struct Outage {
    budget: u64,
    /// Nanoseconds that are left.
    left: AtomicU64,
    /// Threads that wait.
    waiting: AtomicU64,
}

/// A part of the budget that a thread waits through.
#[derive(Debug)]
pub(super) struct Slice<'a> {
    outage: &'a Outage,
    len: Duration,
    start: Instant,
}

// Relaxed throughout: the numbers guard nothing but themselves, and a wait that is a slice too
// long or too short breaks no promise.
impl Outage {
    pub(super) fn new(when_full: WhenFull) -> Self {
        let budget = match when_full {
            WhenFull::Block { stall_budget } => {
                u64::try_from(stall_budget.as_nanos()).unwrap_or(u64::MAX)
            }
            WhenFull::DropNewest => 0,
        };
        Self { budget, left: AtomicU64::new(budget), waiting: AtomicU64::new(0) }
    }

    pub(super) fn is_spent(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }

    /// There is room: the outage, if it was one, is over.
    pub(super) fn end(&self) {
        if self.left.load(Ordering::Relaxed) != self.budget {
            self.left.store(self.budget, Ordering::Relaxed);
        }
    }

    /// The next wait, at most so long; `None` = the budget is spent.
    pub(super) fn slice(&self, at_most: Duration) -> Option<Slice<'_>> {
        let left = Duration::from_nanos(self.left.load(Ordering::Relaxed));
        if left.is_zero() {
            return None;
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Some(Slice { outage: self, len: left.min(at_most), start: Instant::now() })
    }
}

impl Slice<'_> {
    pub(super) const fn len(&self) -> Duration {
        self.len
    }

    /// Takes the time that was waited off the budget.
    pub(super) fn end(self) {
        let waiting = self.outage.waiting.fetch_sub(1, Ordering::Relaxed).max(1);
        let waited = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let share = waited / waiting + 1;
        let spend = |left: u64| Some(left.saturating_sub(share));
        let _ = self.outage.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_never_waits_has_no_slices() {
        let outage = Outage::new(WhenFull::DropNewest);
        assert!(outage.is_spent() && outage.slice(Duration::MAX).is_none());
    }

    #[test]
    fn a_budget_is_spent_once_and_comes_back_with_room() {
        let outage = Outage::new(WhenFull::Block { stall_budget: Duration::from_nanos(1) });
        outage.slice(Duration::MAX).expect("a budget").end();
        assert!(outage.is_spent(), "time passed between the two calls");
        outage.end();
        assert!(!outage.is_spent());
    }
}
