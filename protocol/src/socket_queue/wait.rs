//! Waiting: for a socket to become ready, and for time to pass.
//!
//! A signal that interrupts a wait shortens nothing and fails nothing: the wait goes on until its
//! time is over.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::descriptor::Kept;
use crate::stall::Call;

/// The longest sleep without a look at the queue: another thread may have read what made room.
const SLICE: Duration = Duration::from_millis(10);

/// What a call has to wait for, without the queue's lock.
#[derive(Debug)]
pub(super) struct Ahead {
    /// The connection, kept open by this, and what it is to become ready for; `None` = there is none,
    /// and time has to pass until the next attempt to connect.
    pub(super) on: Option<(Arc<Kept>, PollFlags)>,
    pub(super) at_most: Duration,
}

impl Ahead {
    /// Waits a moment. `false` = the call may wait no longer.
    pub(super) fn wait(&self, call: &Call<'_>) -> bool {
        let Some(wait) = call.wait(self.at_most.min(SLICE)) else { return false };
        let until = after(Instant::now(), wait.length());
        match &self.on {
            Some((socket, flags)) => {
                // The host may have closed it, which the next attempt finds out.
                if let Some(socket) = socket.get() {
                    wait_until(Some((socket, *flags)), until);
                }
            }
            None => wait_until(None, until),
        }
        true
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
