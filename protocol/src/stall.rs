//! Stalls: how long a full queue may hold up the calls of its process.
//!
//! Two bounds hold at the same time, over lanes and over the socket alike:
//!
//! - **A call** waits at most the stall budget in all, whatever else happens: however many other
//!   calls wait, whichever queue they wait for, and whatever a listener releases meanwhile. What it
//!   spends on a lock belongs to it: no lock is held during a wait ([`Access`]), and the wait for a
//!   lock ends with the call's time ([`Call::lock_until`]).
//! - **An outage** costs the process one budget in all. The time in which at least one call waits
//!   is spent; when the budget is spent, no call waits. While it is not spent, bytes that a listener
//!   releases show that this is no outage, and it begins anew. A budget that is spent comes back only
//!   after a listener released bytes *and* no call waits: otherwise calls that come one after the
//!   other could wait for ever at a listener that moves a little now and then.
//!
//! The clock is a parameter, so that a test can count the waits that are asked for.

use std::cell::OnceCell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::message::{DropReason, Drops};

/// What a call spends on a lock at most where the policy is never to wait for room. A lock is held
/// for microseconds; a call that does not get it in this time has a holder that does not run.
const LOCK_PATIENCE: Duration = Duration::from_millis(100);

/// What a full queue does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// Wait for room, at most for the stall budget, then drop and count.
    Block {
        /// What one call may wait, and what an outage may cost the process in all.
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

/// Tells the time.
pub(crate) trait Clock {
    fn now(&self) -> Instant;
}

/// The clock of the system.
#[derive(Debug, Default)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }
}

/// The stalls of one process at one queue, or at all of its lanes.
#[derive(Debug)]
pub(crate) struct Stall<C = SystemClock> {
    clock: C,
    budget: Duration,
    /// Whether no call waits and the whole budget is left: then a release changes nothing, which a
    /// call that sees one finds out without the lock.
    is_calm: AtomicBool,
    outage: Mutex<Outage>,
}

#[derive(Debug)]
struct Outage {
    /// What is left of the budget; while calls wait, what was left at `since`.
    left: Duration,
    /// Since when at least one call waits, or the last release.
    since: Instant,
    /// Calls that wait.
    waiting: u32,
    /// Whether a listener released bytes while calls waited.
    released: bool,
}

impl Stall {
    pub(crate) fn new(when_full: WhenFull) -> Self {
        Self::with_clock(when_full, SystemClock)
    }
}

impl<C: Clock> Stall<C> {
    pub(crate) fn with_clock(when_full: WhenFull, clock: C) -> Self {
        let budget = when_full.budget();
        let since = clock.now();
        let outage = Outage { left: budget, since, waiting: 0, released: false };
        Self { clock, budget, is_calm: AtomicBool::new(true), outage: Mutex::new(outage) }
    }

    /// Whether no call waits at all.
    pub(crate) const fn never_waits(&self) -> bool {
        self.budget.is_zero()
    }

    /// Whether a call that begins now would not wait.
    pub(crate) fn is_spent(&self) -> bool {
        let outage = self.outage();
        outage.left_at(self.clock.now()).is_zero()
    }

    /// A listener released bytes.
    pub(crate) fn released(&self) {
        // Relaxed: a call that begins to wait at this moment may miss this release. A listener that
        // lives makes another one.
        if self.is_calm.load(Ordering::Relaxed) {
            return;
        }
        let mut outage = self.outage();
        if outage.waiting == 0 {
            outage.left = self.budget;
            self.is_calm.store(true, Ordering::Relaxed);
            return;
        }
        outage.released = true;
        let now = self.clock.now();
        if !outage.left_at(now).is_zero() {
            (outage.left, outage.since) = (self.budget, now);
        }
    }

    /// A call that may have to wait. Its time counts from the first moment that it has to, for
    /// a lock or for room: one that finds both asks for no time.
    pub(crate) const fn call(&self) -> Call<'_, C> {
        Call { stall: self, until: OnceCell::new() }
    }

    fn outage(&self) -> MutexGuard<'_, Outage> {
        // Nothing in here can panic while the lock is held.
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outage {
    fn left_at(&self, now: Instant) -> Duration {
        if self.waiting == 0 {
            return self.left;
        }
        self.left.saturating_sub(now.saturating_duration_since(self.since))
    }
}

/// One call that waits for room, perhaps several times.
#[derive(Debug)]
pub(crate) struct Call<'a, C = SystemClock> {
    stall: &'a Stall<C>,
    /// Since it had to wait: until when it may; `None` = for ever.
    until: OnceCell<Option<Instant>>,
}

impl<'a, C: Clock> Call<'a, C> {
    fn until(&self) -> Option<Instant> {
        // A clock can't show the end of an endless budget.
        *self.until.get_or_init(|| self.stall.clock.now().checked_add(self.stall.budget))
    }

    /// Until when this call may wait for a lock; `None` = for ever.
    pub(crate) fn lock_until(&self) -> Option<Instant> {
        if self.stall.never_waits() {
            return self.until()?.checked_add(LOCK_PATIENCE);
        }
        self.until()
    }

    /// The next wait, at most `at_most`; `None` = this call has waited as long as it may, or the
    /// outage has cost the process what it may.
    pub(crate) fn wait(&self, at_most: Duration) -> Option<Wait<'a, C>> {
        let until = self.until();
        let mut outage = self.stall.outage();
        let now = self.stall.clock.now();
        let of_call = until.map_or(Duration::MAX, |until| until.saturating_duration_since(now));
        let left = outage.left_at(now).min(of_call);
        if left.is_zero() {
            return None;
        }
        if outage.waiting == 0 {
            outage.since = now;
            self.stall.is_calm.store(false, Ordering::Relaxed);
        }
        outage.waiting = outage.waiting.saturating_add(1);
        Some(Wait { stall: self.stall, length: left.min(at_most) })
    }
}

/// A wait that was granted. The caller sleeps at most its length, without any lock, and drops it.
#[derive(Debug)]
pub(crate) struct Wait<'a, C: Clock = SystemClock> {
    stall: &'a Stall<C>,
    length: Duration,
}

impl<C: Clock> Wait<'_, C> {
    pub(crate) const fn length(&self) -> Duration {
        self.length
    }
}

impl<C: Clock> Drop for Wait<'_, C> {
    fn drop(&mut self) {
        let mut outage = self.stall.outage();
        let left = outage.left_at(self.stall.clock.now());
        outage.waiting = outage.waiting.saturating_sub(1);
        if outage.waiting == 0 {
            let over = std::mem::take(&mut outage.released);
            outage.left = if over { self.stall.budget } else { left };
            self.stall.is_calm.store(over, Ordering::Relaxed);
        }
    }
}

/// A queue that several threads may use, between two uses of which a thread can wait.
pub(crate) trait Access<Q> {
    /// Uses the queue. `None` = it can't be had, or not in time.
    fn with<T>(&mut self, use_it: impl FnOnce(&mut Q) -> T) -> Option<T>;
}

/// The only user of a queue.
pub(crate) struct Own<'q, Q>(pub(crate) &'q mut Q);

impl<Q> Access<Q> for Own<'_, Q> {
    fn with<T>(&mut self, use_it: impl FnOnce(&mut Q) -> T) -> Option<T> {
        Some(use_it(self.0))
    }
}

/// Drops of calls that did not get a queue in time. The next use of the queue counts them, so that
/// the gap is reported before its next record.
#[derive(Debug, Default)]
pub(crate) struct Missed([AtomicU64; DropReason::ALL.len()]);

impl Missed {
    pub(crate) fn add(&self, reason: DropReason, count: u64) {
        // Relaxed: a count that publishes nothing.
        self.0[reason as usize].fetch_add(count, Ordering::Relaxed);
    }

    /// What was missed since the last call.
    pub(crate) fn take(&self) -> Drops {
        let mut drops = Drops::default();
        for (missed, drops) in self.0.iter().zip(&mut drops.0) {
            // Most often there is nothing to take.
            if missed.load(Ordering::Relaxed) > 0 {
                *drops = missed.swap(0, Ordering::Relaxed);
            }
        }
        drops
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const BUDGET: Duration = Duration::from_millis(1000);
    const SLICE: Duration = Duration::from_millis(50);
    const BLOCK: WhenFull = WhenFull::Block { stall_budget: BUDGET };

    /// A clock that stands still until a test moves it, in milliseconds.
    #[derive(Clone)]
    struct TestClock(Instant, Arc<AtomicU64>);

    impl TestClock {
        fn new() -> Self {
            Self(Instant::now(), Arc::default())
        }

        fn advance(&self, milliseconds: u64) {
            self.1.fetch_add(milliseconds, Ordering::SeqCst);
        }
    }

    impl Clock for TestClock {
        fn now(&self) -> Instant {
            self.0 + Duration::from_millis(self.1.load(Ordering::SeqCst))
        }
    }

    /// What a listener does for one millisecond.
    type Listener = fn(u64) -> u64;

    struct Caller<'a> {
        call: Call<'a, TestClock>,
        wait: Option<(Wait<'a, TestClock>, u64)>,
        asked: Duration,
        began: u64,
    }

    struct Outcome {
        longest: Duration,
        longest_in_time: u64,
        written: u64,
        dropped: u64,
    }

    /// Threads that log without a pause into one full queue, for some time, a millisecond a step.
    /// `listener` tells the records that are released in each millisecond.
    fn simulate(threads: usize, milliseconds: u64, listener: Listener) -> Outcome {
        let clock = TestClock::new();
        let stall = Stall::with_clock(BLOCK, clock.clone());
        let begin =
            |now| Caller { call: stall.call(), wait: None, asked: Duration::ZERO, began: now };
        let mut callers: Vec<_> = (0..threads).map(|_| begin(0)).collect();
        let mut outcome =
            Outcome { longest: Duration::ZERO, longest_in_time: 0, written: 0, dropped: 0 };
        for now in 0..milliseconds {
            let mut room = listener(now);
            if room > 0 {
                stall.released();
            }
            // Another thread is the first each time.
            let first = usize::try_from(now).unwrap() * 7 % threads;
            for index in (first..threads).chain(0..first) {
                let caller = &mut callers[index];
                let sleeps = caller.wait.as_ref().is_some_and(|(_, until)| *until > now);
                if room == 0 && sleeps {
                    continue;
                }
                caller.wait = None;
                let ended = if room > 0 {
                    room -= 1;
                    outcome.written += 1;
                    true
                } else if let Some(wait) = caller.call.wait(SLICE) {
                    caller.asked += wait.length();
                    let length = u64::try_from(wait.length().as_millis()).unwrap().max(1);
                    caller.wait = Some((wait, now + length));
                    false
                } else {
                    outcome.dropped += 1;
                    true
                };
                if ended {
                    outcome.longest = outcome.longest.max(caller.asked);
                    outcome.longest_in_time = outcome.longest_in_time.max(now - caller.began);
                    *caller = begin(now + 1);
                }
            }
            clock.advance(1);
        }
        outcome
    }

    #[test]
    fn no_call_of_four_hundred_waits_longer_than_its_budget_whatever_the_listener_does() {
        let listeners: [(&str, Listener); 5] = [
            ("healthy", |_| 500),
            ("slow", |_| 3),
            ("stuttering", |now| u64::from(now % 300 == 0)),
            ("stopped", |_| 0),
            ("stopped after a while", |now| if now < 2500 { 1 } else { 0 }),
        ];
        for (name, listener) in listeners {
            for threads in [1, 2, 400] {
                let outcome = simulate(threads, 10_000, listener);
                assert!(
                    outcome.longest <= BUDGET && outcome.longest_in_time <= 1000,
                    "{name}, {threads} threads: {:?} asked for, {} ms",
                    outcome.longest,
                    outcome.longest_in_time,
                );
            }
        }
    }

    #[test]
    fn a_stopped_listener_costs_the_process_one_budget_and_then_nothing() {
        let clock = TestClock::new();
        let stall = Stall::with_clock(BLOCK, clock.clone());
        let mut asked = Duration::ZERO;
        for _ in 0..1000 {
            let call = stall.call();
            while let Some(wait) = call.wait(SLICE) {
                asked += wait.length();
                clock.advance(u64::try_from(wait.length().as_millis()).unwrap());
            }
        }
        assert_eq!(asked, BUDGET);
        assert!(stall.is_spent());
    }

    #[test]
    fn a_listener_that_makes_room_in_time_costs_no_record() {
        // Each of the threads waits at most 400 ms for its turn.
        let outcome = simulate(400, 10_000, |_| 2);
        assert_eq!((outcome.dropped, outcome.written), (0, 20_000));
    }

    #[test]
    fn a_spent_budget_comes_back_after_a_release_once_nobody_waits() {
        let clock = TestClock::new();
        let stall = Stall::with_clock(BLOCK, clock.clone());
        let (one, other) = (stall.call(), stall.call());
        let (wait, still) = (one.wait(BUDGET).expect("a budget"), other.wait(BUDGET));
        clock.advance(1000);
        drop(wait);
        assert!(stall.is_spent());
        stall.released();
        assert!(stall.is_spent(), "a call waits still");
        assert!(stall.call().wait(SLICE).is_none());
        drop(still);
        assert!(!stall.is_spent(), "a listener released bytes, and no call waits");
    }

    #[test]
    fn a_budget_that_is_spent_stays_so_without_a_release() {
        let clock = TestClock::new();
        let stall = Stall::with_clock(BLOCK, clock.clone());
        let wait = stall.call().wait(BUDGET);
        clock.advance(2000);
        drop(wait);
        clock.advance(1_000_000);
        assert!(stall.is_spent());
        stall.released();
        assert_eq!(stall.call().wait(BUDGET).expect("it is back").length(), BUDGET);
    }

    #[test]
    fn time_in_which_no_call_waits_is_not_spent() {
        let clock = TestClock::new();
        let stall = Stall::with_clock(BLOCK, clock.clone());
        let wait = stall.call().wait(BUDGET);
        clock.advance(400);
        drop(wait);
        clock.advance(5000);
        assert_eq!(stall.call().wait(Duration::MAX).expect("a rest").length().as_millis(), 600);
    }

    #[test]
    fn what_a_call_spends_on_a_lock_belongs_to_its_budget() {
        let clock = TestClock::new();
        let stall = Stall::with_clock(BLOCK, clock.clone());
        let call = stall.call();
        clock.advance(5000);
        let until = call.lock_until().expect("an end");
        assert_eq!(until, clock.now() + BUDGET, "its time begins when it has to wait");
        clock.advance(400);
        assert_eq!(call.lock_until(), Some(until), "the next lock is no new beginning");
        assert_eq!(call.wait(Duration::MAX).expect("a rest").length().as_millis(), 600);
        clock.advance(600);
        assert!(call.wait(SLICE).is_none() && call.lock_until() == Some(clock.now()));
        let never = Stall::with_clock(WhenFull::DropNewest, clock.clone());
        assert_eq!(never.call().lock_until(), Some(clock.now() + LOCK_PATIENCE));
    }

    #[test]
    fn a_policy_that_never_waits_has_no_waits_and_an_endless_one_has_no_end() {
        let clock = TestClock::new();
        let never = Stall::with_clock(WhenFull::DropNewest, clock.clone());
        assert!(never.never_waits() && never.is_spent() && never.call().wait(SLICE).is_none());
        never.released();
        assert!(never.call().wait(SLICE).is_none());
        let endless = WhenFull::Block { stall_budget: Duration::MAX };
        let endless = Stall::with_clock(endless, clock.clone());
        let call = endless.call();
        clock.advance(1_000_000_000);
        assert_eq!(call.wait(SLICE).expect("a wait").length(), SLICE);
    }
}
