//! Waking the drain from a signal or another thread: one byte on a pair of sockets, and a wish.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signal_hook::consts::{SIGALRM, SIGHUP, SIGINT, SIGTERM, SIGUSR1};

/// The exit code of a listener that was told twice to end.
const EXIT_NOW: i32 = 1;

/// What somebody wants of the drain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    /// The sentinel.
    pub(crate) stop: bool,
    /// The sentinel, because every process that this listener was spawned for is gone.
    pub(crate) alone: bool,
    /// Open the log files anew: somebody may have moved them.
    pub(crate) reopen: bool,
    /// Rotate the log files.
    pub(crate) rotate: bool,
}

/// The wishes of signals and other threads.
#[derive(Debug, Default)]
struct Board {
    stop: Arc<AtomicBool>,
    reopen: Arc<AtomicBool>,
    rotate: Arc<AtomicBool>,
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
    wishes: Arc<Board>,
}

impl Wake {
    pub(crate) fn new() -> io::Result<Self> {
        let (bell, rope) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        rope.set_nonblocking(true)?;
        let handle = WakeHandle { rope: Arc::new(rope), wishes: Arc::default() };
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

    /// TERM and INT send the sentinel, and a second one ends the process at once; HUP and USR1
    /// open the files anew, ALRM rotates them.
    pub(crate) fn follow_signals(&self) -> io::Result<()> {
        self.follow_ends(&[SIGTERM, SIGINT])?;
        self.follow_files()
    }

    /// These send the sentinel; a second one ends the process at once.
    pub(crate) fn follow_ends(&self, signals: &[i32]) -> io::Result<()> {
        for &signal in signals {
            // The order matters: the first signal must not find the flag set that it sets.
            let stop = Arc::clone(&self.handle.wishes.stop);
            signal_hook::flag::register_conditional_shutdown(signal, EXIT_NOW, stop)?;
            self.follow(signal, &self.handle.wishes.stop)?;
        }
        Ok(())
    }

    /// The signals that mean the log files.
    pub(crate) fn follow_files(&self) -> io::Result<()> {
        self.follow(SIGHUP, &self.handle.wishes.reopen)?;
        self.follow(SIGUSR1, &self.handle.wishes.reopen)?;
        self.follow(SIGALRM, &self.handle.wishes.rotate)
    }

    fn follow(&self, signal: i32, wish: &Arc<AtomicBool>) -> io::Result<()> {
        signal_hook::flag::register(signal, Arc::clone(wish))?;
        signal_hook::low_level::pipe::register(signal, self.handle.rope.try_clone()?)?;
        Ok(())
    }

    /// What to watch for a wake-up.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(self.bell.as_fd()).chain(self.lifeline.as_ref().map(|line| line.as_fd()))
    }

    /// What is wished for, after a wake-up. The sentinel stands: whoever asks for the end twice
    /// still wants it. What is wished for the files is done once.
    pub(crate) fn take(&self) -> Wishes {
        let mut rings = [0; 64];
        while (&self.bell).read(&mut rings).is_ok_and(|rings| rings > 0) {}
        let alone =
            self.lifeline.as_ref().is_some_and(|mut line| matches!(line.read(&mut rings), Ok(0)));
        let board = &self.handle.wishes;
        Wishes {
            stop: board.stop.load(Ordering::Acquire),
            alone,
            reopen: board.reopen.swap(false, Ordering::AcqRel),
            rotate: board.rotate.swap(false, Ordering::AcqRel),
        }
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
        self.wishes.stop.store(true, Ordering::Release);
        self.ring();
    }

    /// Wakes the drain without a wish: there is something for it to find.
    pub(crate) fn ring(&self) {
        // A full pair of sockets has woken the drain already.
        let _ = (&*self.rope).write(&[1]);
    }
}
