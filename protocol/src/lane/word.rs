//! Words: the atomics of a lane, and the one ordering that both handshakes need.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// An atomic word.
///
/// [`publish`](Self::publish) and [`observe`](Self::observe) are the store and the load of a
/// handshake: of two sides that each publish a word of their own and then observe the other's,
/// at least one sees what the other published. Release and acquire alone do not give that: a
/// processor may let the load pass the store, and then both miss.
pub trait Word {
    /// An ordinary load.
    fn load(&self, order: Ordering) -> u64;
    /// An ordinary store.
    fn store(&self, value: u64, order: Ordering);
    /// A store that no later [`observe`](Self::observe) of this thread can pass; it releases.
    fn publish(&self, value: u64);
    /// A load that no earlier [`publish`](Self::publish) of this thread can pass; it acquires.
    fn observe(&self) -> u64;
}

impl Word for AtomicU64 {
    #[inline]
    fn load(&self, order: Ordering) -> u64 {
        self.load(order)
    }

    #[inline]
    fn store(&self, value: u64, order: Ordering) {
        self.store(value, order);
    }

    #[inline]
    fn publish(&self, value: u64) {
        // A store would do; compilers make the same exchange of it, and older ones a slower fence.
        self.swap(value, Ordering::SeqCst);
    }

    #[inline]
    fn observe(&self) -> u64 {
        self.load(Ordering::SeqCst)
    }
}

impl Word for AtomicU32 {
    #[inline]
    fn load(&self, order: Ordering) -> u64 {
        u64::from(self.load(order))
    }

    #[inline]
    fn store(&self, value: u64, order: Ordering) {
        self.store(u32::from(value != 0), order);
    }

    #[inline]
    fn publish(&self, value: u64) {
        self.swap(u32::from(value != 0), Ordering::SeqCst);
    }

    #[inline]
    fn observe(&self) -> u64 {
        u64::from(self.load(Ordering::SeqCst))
    }
}
