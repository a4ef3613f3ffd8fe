//! The way to the layers above: by which they learn of a span that closes.
//!
//! A span closes where its last reference goes, on any thread and with any default dispatcher, or none. The layers hear of it
//! through the dispatcher of their whole stack, which tells itself to the registry when it is made. One that is hidden behind an
//! `Arc`, or a subscriber that doesn't hand this on, tells nothing: then the registry notes the default dispatcher with which
//! a span is entered, if it leads here. Where no way is known, the layers hear of the span from those who called, as over the
//! stock registry; of its ancestors, which close with it, they hear nothing, as there.
//!
//! It promises that nothing here is ever waited for: what another thread holds, in this process or in the parent of a fork,
//! is done without.

use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

use tracing_core::Dispatch;
use tracing_core::dispatcher::{self, WeakDispatch};

use super::Registry;

/// How often somebody else's lock is tried: it is held for some nanoseconds.
const TRIES: usize = 64;

/// What a registry knows of the stack on it.
pub(super) struct Stack {
    /// Set when the stack is complete and only looked at after that, which is an atomic load: a child never waits for it.
    told: OnceLock<WeakDispatch>,
    /// Noted when a span was entered, where nobody told. Tried, never waited for.
    noted: Mutex<Option<WeakDispatch>>,
    /// A span that closed when no stack was known, 0 = none: its callers tell the layers, after which nobody says that they
    /// have. It ends when the next one comes.
    untold: AtomicU64,
}

impl Stack {
    pub(super) const fn new() -> Self {
        Self { told: OnceLock::new(), noted: Mutex::new(None), untold: AtomicU64::new(0) }
    }

    pub(super) fn tell(&self, dispatch: &Dispatch) {
        if self.told.get().is_none() {
            let _ = self.told.set(dispatch.downgrade());
        }
    }

    /// Notes the default dispatcher, if it leads to `registry` and no other one that lives is known.
    #[inline]
    pub(super) fn note(&self, registry: &Registry) {
        if self.told.get().is_none() {
            self.note_default(registry);
        }
    }

    #[cold]
    fn note_default(&self, registry: &Registry) {
        let Ok(mut noted) = self.noted.try_lock() else { return };
        if noted.as_ref().and_then(WeakDispatch::upgrade).is_none() {
            *noted = default_of(registry).as_ref().map(Dispatch::downgrade);
        }
    }

    /// The dispatcher of the whole stack.
    pub(super) fn find(&self, registry: &Registry) -> Option<Dispatch> {
        // The usual global default costs no reference count; it is asked first.
        default_of(registry)
            .or_else(|| self.told.get()?.upgrade())
            .or_else(|| (0..TRIES).find_map(|_| self.noted.try_lock().ok())?.as_ref()?.upgrade())
    }

    /// Puts a span aside that its callers will tell of, and returns the one that was there.
    pub(super) fn put_aside(&self, id: u64) -> Option<u64> {
        Some(self.untold.swap(id, Ordering::AcqRel)).filter(|id| *id != 0)
    }
}

/// The default dispatcher, if the registry at its root is this one.
fn default_of(registry: &Registry) -> Option<Dispatch> {
    let default = dispatcher::get_default(Dispatch::clone);
    let is_ours = default.downcast_ref::<Registry>().is_some_and(|root| ptr::eq(root, registry));
    is_ours.then_some(default)
}
