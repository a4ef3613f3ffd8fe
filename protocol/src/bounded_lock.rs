//! A lock whose waits end: for what several threads of a process use in turn.
//!
//! It is held for the steps of one call, and never while a call waits for a listener. All the same a
//! thread may wait for many others, or for one that does not run. So a use has a deadline, and a
//! call that does not get the lock by then goes on without it. Nothing here promises a turn: a thread
//! that asks just when the lock is free passes those that sleep.

use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// Looks before a thread sleeps: most uses end within a microsecond.
const LOOKS: u32 = 100;

/// The longest sleep without a look: a thread that ended inside of a use wakes nobody.
const SLICE: Duration = Duration::from_millis(10);

/// A value that one thread at a time can use.
#[derive(Debug)]
pub(crate) struct BoundedLock<T> {
    value: Mutex<T>,
    /// Threads that sleep, or are about to.
    waiting: AtomicU32,
    /// Held for a look and for a call that wakes, never during a use.
    gate: Mutex<()>,
    freed: Condvar,
}

impl<T> BoundedLock<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            value: Mutex::new(value),
            waiting: AtomicU32::new(0),
            gate: Mutex::new(()),
            freed: Condvar::new(),
        }
    }

    /// Uses the value, as soon as nobody else does. `None` = the time came first; for a time
    /// that is past the value is looked at once. A deadline that is `None` never comes.
    pub(crate) fn with<R>(
        &self,
        until: impl FnOnce() -> Option<Instant>,
        use_it: impl FnOnce(&mut T) -> R,
    ) -> Option<R> {
        let mut value = match self.try_lock() {
            Some(value) => value,
            None => self.wait(until())?,
        };
        let result = use_it(&mut value);
        drop(value);
        self.wake_one();
        Some(result)
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.value.try_lock() {
            Ok(value) => Some(value),
            // What it guards stays usable.
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    #[cold]
    fn wait(&self, until: Option<Instant>) -> Option<MutexGuard<'_, T>> {
        for _ in 0..LOOKS {
            std::hint::spin_loop();
            if let Some(value) = self.try_lock() {
                return Some(value);
            }
        }
        // Sync point L: `waiting` before the look at the lock, as whoever lets go of the lock does
        // so before it looks at `waiting`. The two can't both miss.
        self.waiting.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let found = loop {
            if let Some(value) = self.try_lock() {
                break Some(value);
            }
            let left = until.map_or(SLICE, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                break None;
            }
            let woken = self.freed.wait_timeout(gate, left.min(SLICE));
            gate = woken.unwrap_or_else(PoisonError::into_inner).0;
        };
        drop(gate);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        found
    }

    fn wake_one(&self) {
        // Sync point L.
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::Relaxed) > 0 {
            // A thread that has looked and does not sleep yet holds the gate.
            drop(self.gate.lock().unwrap_or_else(PoisonError::into_inner));
            self.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_use_that_does_not_get_the_lock_in_time_goes_without() {
        let lock = BoundedLock::new(1);
        let other = || {
            let past = Instant::now();
            lock.with(|| Some(past), |value| *value)
        };
        let seen =
            lock.with(|| None, |_| thread::scope(|scope| scope.spawn(other).join().unwrap()));
        assert_eq!(seen, Some(None));
        assert_eq!(other(), Some(1), "it is free again");
    }

    #[test]
    fn no_two_threads_use_the_value_at_once_and_each_gets_its_turn() {
        let lock = BoundedLock::new((0_u64, 0_u64));
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let used = lock.with(
                            || None,
                            |(one, other)| {
                                *one += 1;
                                thread::yield_now();
                                *other += 1;
                                assert_eq!(one, other);
                            },
                        );
                        used.expect("no deadline");
                    }
                });
            }
        });
        assert_eq!(lock.with(|| None, |value| *value), Some((8000, 8000)));
        assert_eq!(lock.waiting.load(Ordering::Relaxed), 0);
    }
}
