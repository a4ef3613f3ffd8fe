//! Waiting: how long a queue may hold up its worker, and on what.
//!
//! An outage has one budget. Waiting spends it, a sign of life from the listener refills it, and
//! once it is spent nothing waits until then. A signal that interrupts a wait shortens nothing
//! and fails nothing: the wait goes on until its time is over.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::limits::STALL_BUDGET_DEFAULT;

/// What a full queue does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// Wait for room, at most so long per outage, then drop and count.
    Block {
        /// What an outage may cost the worker in all.
        stall_budget: Duration,
    },
    /// Never wait: drop and count.
    DropNewest,
}

impl WhenFull {
    const fn budget(self) -> Duration {
        match self {
            Self::Block { stall_budget } => stall_budget,
            Self::DropNewest => Duration::ZERO,
        }
    }
}

#[derive(Debug)]
pub(super) struct Stall {
    when_full: WhenFull,
    left: Duration,
}

impl Stall {
    pub(super) const fn new(when_full: WhenFull) -> Self {
        Self { when_full, left: when_full.budget() }
    }

    /// The listener lives: the outage, if it was one, is over.
    pub(super) const fn refill(&mut self) {
        self.left = self.when_full.budget();
    }

    pub(super) const fn is_spent(&self) -> bool {
        self.left.is_zero()
    }

    /// Lets a policy that never waits do so while its worker takes leave from a listener that is
    /// there. Returns the policy for [`end_farewell`](Self::end_farewell).
    pub(super) fn begin_farewell(&mut self, listener_is_there: bool) -> WhenFull {
        let policy = self.when_full;
        if listener_is_there && policy.budget().is_zero() {
            self.when_full = WhenFull::Block { stall_budget: STALL_BUDGET_DEFAULT };
            self.refill();
        }
        policy
    }

    /// Goes back to the policy from before the leave.
    pub(super) fn end_farewell(&mut self, policy: WhenFull) {
        if self.when_full != policy {
            self.when_full = policy;
            self.refill();
        }
    }

    /// Waits for the descriptor, or just for time to pass, at most `at_most` and what is left of
    /// the budget.
    pub(super) fn wait(&mut self, on: Option<(BorrowedFd<'_>, PollFlags)>, at_most: Duration) {
        let start = Instant::now();
        wait_until(on, after(start, at_most.min(self.left)));
        self.left = self.left.saturating_sub(start.elapsed());
    }
}

/// A time from now on. A clock can't show the end of an endless budget: its waits end after a
/// day, and their loops begin the next.
pub(crate) fn after(start: Instant, time: Duration) -> Instant {
    start.checked_add(time).unwrap_or(start + Duration::from_secs(86_400))
}

/// Waits until the descriptor is ready or the time has come, whatever signals arrive.
pub(crate) fn wait_until(on: Option<(BorrowedFd<'_>, PollFlags)>, deadline: Instant) {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // Rounded up: a wait of nothing would spin through the last millisecond.
        let milliseconds = left.as_nanos().div_ceil(1_000_000);
        let timeout = PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX);
        let ready = match on {
            Some((descriptor, flags)) => poll(&mut [PollFd::new(descriptor, flags)], timeout),
            None => poll(&mut [], timeout),
        };
        if !matches!(ready, Err(nix::errno::Errno::EINTR)) || left.is_zero() {
            return;
        }
    }
}
