//! A value that is replaced now and then while others read it, without a lock, and freed.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// A value that may be there, read by many and replaced by one at a time.
///
/// A reader counts itself before it loads the pointer, and who replaces looks at the count behind
/// the exchange; all four are SeqCst. So either the reader's count is seen, and nothing is freed, or
/// the reader loads the new pointer. With acquire and release alone both could miss each other. Where
/// there is no value a reader counts nothing: one load is all it costs.
#[derive(Debug)]
pub(crate) struct Published<T: 'static> {
    value: AtomicPtr<T>,
    /// Threads that read at the moment. A child inherits the count, with threads that it doesn't
    /// have: then it frees nothing any more.
    readers: AtomicU32,
}

/// A value that was replaced and that somebody may still read. Dropping it frees nothing.
#[derive(Debug)]
#[must_use = "it is freed by `Published::free`"]
pub(crate) struct Retired<T: 'static>(*mut T);

// SAFETY: it is a box that nobody but its holder may free, like a `Box<T>`.
unsafe impl<T: Send + Sync> Send for Retired<T> {}

struct Reading<'a>(&'a AtomicU32);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl<T: Send + Sync + 'static> Published<T> {
    pub(crate) const fn empty() -> Self {
        Self { value: AtomicPtr::new(ptr::null_mut()), readers: AtomicU32::new(0) }
    }

    /// Reads the value.
    #[inline]
    pub(crate) fn read<R>(&self, read: impl FnOnce(Option<&T>) -> R) -> R {
        // Relaxed: a pointer that is not null is loaded again.
        if self.value.load(Ordering::Relaxed).is_null() {
            return read(None);
        }
        self.readers.fetch_add(1, Ordering::SeqCst);
        let _reading = Reading(&self.readers);
        let value = self.value.load(Ordering::SeqCst);
        // SAFETY: the pointer is null or a published box, which is not freed while the count that
        // was taken before it was loaded stands.
        read(unsafe { value.as_ref() })
    }

    /// Puts another value in place.
    pub(crate) fn replace(&self, value: Option<T>) -> Retired<T> {
        let value = value.map_or(ptr::null_mut(), |value| Box::into_raw(Box::new(value)));
        Retired(self.value.swap(value, Ordering::SeqCst))
    }

    /// Frees what was replaced here, if nobody reads; what can't be freed stays in the list.
    pub(crate) fn free(&self, retired: &mut Vec<Retired<T>>) {
        if self.readers.load(Ordering::SeqCst) > 0 {
            return;
        }
        for Retired(value) in retired.drain(..).filter(|retired| !retired.0.is_null()) {
            // SAFETY: it was exchanged before the count was seen to be zero, so that no reader has
            // it, and each exchange gives a pointer to one holder only.
            drop(unsafe { Box::from_raw(value) });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU64};

    use super::*;

    const ALIVE: u64 = 0x1234_5678_9abc_def0;

    /// Shows whether it was freed, as far as freed memory shows anything.
    struct Value {
        mark: AtomicU64,
        _counted: Arc<()>,
    }

    impl Value {
        fn is_alive(&self) -> bool {
            self.mark.load(Ordering::SeqCst) == ALIVE
        }
    }

    impl Drop for Value {
        fn drop(&mut self) {
            self.mark.store(0, Ordering::SeqCst);
        }
    }

    #[test]
    fn nothing_is_freed_under_a_reader_and_everything_in_the_end() {
        static PUBLISHED: Published<Value> = Published::empty();
        let (counted, done) = (Arc::new(()), AtomicBool::new(false));
        let mut retired = Vec::new();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        PUBLISHED.read(|value| {
                            let Some(value) = value else { return };
                            assert!(value.is_alive(), "freed before it was read");
                            std::thread::yield_now();
                            assert!(value.is_alive(), "freed while it was read");
                        });
                    }
                });
            }
            for number in 0..20_000 {
                let value = (number % 5 > 0)
                    .then(|| Value { mark: AtomicU64::new(ALIVE), _counted: Arc::clone(&counted) });
                retired.push(PUBLISHED.replace(value));
                PUBLISHED.free(&mut retired);
                if number % 16 == 0 {
                    std::thread::yield_now();
                }
            }
            done.store(true, Ordering::Relaxed);
        });
        retired.push(PUBLISHED.replace(None));
        PUBLISHED.free(&mut retired);
        assert!(retired.is_empty());
        assert_eq!(Arc::strong_count(&counted), 1, "values that were never freed");
    }
}
