//! Waking the drain from a signal or another thread: one byte on a pair of sockets, and a wish.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signal_hook::consts::{SIGINT, SIGTERM};

/// The exit code of a listener that was told twice to end.
const EXIT_NOW: i32 = 1;

/// What somebody wants of the drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// The sentinel.
    Stop,
    /// The sentinel, because every process that this listener was spawned for is gone.
    Alone,
}

/// The drain's end.
#[derive(Debug)]
pub(crate) struct Wake {
    bell: UnixStream,
    lifeline: Option<UnixStream>,
    handle: WakeHandle,
}

/// The other end; any thread may hold one.
#[derive(Clone, Debug)]
pub(crate) struct WakeHandle {
    rope: Arc<UnixStream>,
    stop: Arc<AtomicBool>,
}

impl Wake {
    pub(crate) fn new() -> io::Result<Self> {
        let (bell, rope) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        rope.set_nonblocking(true)?;
        let handle = WakeHandle { rope: Arc::new(rope), stop: Arc::new(AtomicBool::new(false)) };
        Ok(Self { bell, lifeline: None, handle })
    }

    pub(crate) fn handle(&self) -> WakeHandle {
        self.handle.clone()
    }

    /// A wake that also rings, and wishes for the end, when the other end of `lifeline` is gone.
    pub(crate) fn with_lifeline(lifeline: UnixStream) -> io::Result<Self> {
        lifeline.set_nonblocking(true)?;
        Ok(Self { lifeline: Some(lifeline), ..Self::new()? })
    }

    /// TERM and INT send the sentinel; a second one ends the process at once.
    pub(crate) fn follow_signals(&self) -> io::Result<()> {
        self.follow(&[SIGTERM, SIGINT])
    }

    /// As [`follow_signals`](Self::follow_signals), some of them.
    pub(crate) fn follow(&self, signals: &[i32]) -> io::Result<()> {
        for &signal in signals {
            // The order matters: the first signal must not find the flag set that it sets.
            let stop = Arc::clone(&self.handle.stop);
            signal_hook::flag::register_conditional_shutdown(signal, EXIT_NOW, Arc::clone(&stop))?;
            signal_hook::flag::register(signal, stop)?;
            signal_hook::low_level::pipe::register(signal, self.handle.rope.try_clone()?)?;
        }
        Ok(())
    }

    /// What to watch for a wake-up.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(self.bell.as_fd()).chain(self.lifeline.as_ref().map(|line| line.as_fd()))
    }

    /// What is wished for, after a wake-up. The wish stands: whoever asks for the end twice
    /// still wants it.
    pub(crate) fn take(&self) -> Option<Wish> {
        let mut rings = [0; 64];
        while (&self.bell).read(&mut rings).is_ok_and(|rings| rings > 0) {}
        let alone =
            self.lifeline.as_ref().is_some_and(|mut line| matches!(line.read(&mut rings), Ok(0)));
        if alone {
            return Some(Wish::Alone);
        }
        self.handle.stop.load(Ordering::Acquire).then_some(Wish::Stop)
    }

    /// Waits for a wake-up or the time.
    pub(crate) fn wait_until(&self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        // An interrupted wait is a short one; the caller looks at the clock.
        let _ = poll(&mut [PollFd::new(self.bell.as_fd(), PollFlags::POLLIN)], timeout);
    }
}

impl WakeHandle {
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        // A full pair of sockets has woken the drain already.
        let _ = (&*self.rope).write(&[1]);
    }
}
