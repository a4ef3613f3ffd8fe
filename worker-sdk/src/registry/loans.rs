//! Who holds a span's extensions, so that a forked child can tell a lock that nobody will ever release.
//!
//! Extensions stand behind the stock registry's lock, one per span. A thread that holds it when another thread forks
//! leaves it held in the child for ever. The lock can't be asked, so this word counts, beside it, the look-ups that may
//! hold it, stamped with the fork generation. A child that finds a count of its parent's threads gives the span fresh
//! extensions where the old lock could block it, and goes on reading the old ones where only readers were left behind.
//!
//! It promises that no extension lock of a dead thread is ever waited for. It never blocks.

use std::sync::atomic::{AtomicU64, Ordering};

use super::gate;

/// Readers of another generation were left behind: the lock may be read, but never be written again.
const TAINTED: u64 = 1 << 31;
const WRITER: u64 = 1 << 16;
const WRITERS: u64 = 0x7fff << 16;
const READERS: u64 = 0xffff;

/// fork generation (32 bits) | TAINTED | writers (15 bits) | readers (16 bits)
pub(super) struct Loans(AtomicU64);

/// How extensions are about to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Read,
    Write,
}

impl Use {
    fn unit(self) -> u64 {
        match self {
            Use::Read => 1,
            Use::Write => WRITER,
        }
    }

    fn count(self, word: u64) -> u64 {
        match self {
            Use::Read => word & READERS,
            Use::Write => (word & WRITERS) >> 16,
        }
    }
}

/// The answer to a loan.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Loan {
    /// The extensions are yours; hand this number to [`Loans::give_back`].
    Granted(u32),
    /// Their lock may be held by a thread that does not exist: replace them, then call [`Loans::forgive`] with this.
    Stuck(u64),
}

impl Loans {
    pub(super) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    pub(super) fn reset(&self) {
        // Relaxed: the slot is not published yet.
        self.0.store(u64::from(gate::fork_generation()) << 32, Ordering::Relaxed);
    }

    pub(super) fn borrow(&self, how: Use) -> Loan {
        let now = gate::fork_generation();
        let mut word = self.0.load(Ordering::Acquire);
        loop {
            let adopted = if word >> 32 == u64::from(now) { Some(word) } else { adopt(word, now) };
            let Some(adopted) = adopted else { return Loan::Stuck(word) };
            if how == Use::Write && adopted & TAINTED != 0 {
                return Loan::Stuck(word);
            }
            // A full counter stops counting; that costs certainty after a fork beside 32,767 look-ups, and nothing else.
            let full = how.count(adopted) == how.count(u64::MAX);
            let next = if full { adopted } else { adopted + how.unit() };
            match self.0.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Loan::Granted(now),
                Err(actual) => word = actual,
            }
        }
    }

    pub(super) fn give_back(&self, how: Use, generation: u32) {
        let fewer = |word: u64| {
            // Borrowed on the other side of a fork: that count was settled when this side adopted the word.
            let ours = word >> 32 == u64::from(generation) && how.count(word) != 0;
            ours.then(|| word - how.unit())
        };
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, fewer);
    }

    /// Starts afresh after the extensions were replaced.
    pub(super) fn forgive(&self, stuck: u64) {
        let fresh = u64::from(gate::fork_generation()) << 32;
        // Whoever failed here was overtaken by a thread that replaced the extensions as well.
        let _ = self.0.compare_exchange(stuck, fresh, Ordering::AcqRel, Ordering::Acquire);
    }
}

/// What a word of an older generation means in this one, or nothing when a writer may have been left behind.
fn adopt(word: u64, now: u32) -> Option<u64> {
    if word & WRITERS != 0 {
        return None;
    }
    let tainted = word & (TAINTED | READERS) != 0;
    Some((u64::from(now) << 32) | if tainted { TAINTED } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(generation: u32, rest: u64) -> Loans {
        Loans(AtomicU64::new((u64::from(generation) << 32) | rest))
    }

    // `u32::MAX` is a generation that this process is not in.
    const ELSEWHERE: u32 = u32::MAX;

    #[test]
    fn extensions_that_nobody_held_at_the_fork_are_adopted() {
        let loans = word(ELSEWHERE, 0);
        assert!(matches!(loans.borrow(Use::Write), Loan::Granted(_)));
    }

    #[test]
    fn readers_left_behind_allow_reading_and_forbid_writing() {
        let loans = word(ELSEWHERE, 2);
        let Loan::Granted(now) = loans.borrow(Use::Read) else { panic!("reading must go on") };
        loans.give_back(Use::Read, now);
        let Loan::Stuck(stuck) = loans.borrow(Use::Write) else { panic!("writing would hang") };
        loans.forgive(stuck);
        assert!(matches!(loans.borrow(Use::Write), Loan::Granted(_)));
    }

    #[test]
    fn a_writer_left_behind_forbids_both() {
        for how in [Use::Read, Use::Write] {
            assert!(matches!(word(ELSEWHERE, WRITER).borrow(how), Loan::Stuck(_)));
        }
    }

    #[test]
    fn a_loan_from_before_the_fork_is_not_given_back_twice() {
        let loans = word(gate::fork_generation(), 0);
        loans.give_back(Use::Read, ELSEWHERE);
        loans.give_back(Use::Read, gate::fork_generation());
        assert_eq!(loans.0.load(Ordering::SeqCst) & READERS, 0);
    }
}
