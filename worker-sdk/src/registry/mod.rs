//! A registry of spans that survives `fork`.
//!
//! The stock registry keeps span storage and span stacks by thread ids that two crates hand out under process-wide
//! mutexes, at a thread's first use and at its exit. A child forked while another thread holds one waits for it for ever.
//! This one keeps spans in a lock-free static store and the current spans in plain thread-locals:
//!
//! ```text
//! store    slots for all spans of the process, lock-free      current  the spans this thread is in
//! slot     one span: its life, references and pins            context  the bytes our layer keeps with it
//! spans    the layer's way to all that                        data     everybody else's way: `LookupSpan`
//! cells    stock spans, for extensions and per-layer filters, made only when some layer wants them
//! gate     keeps `fork` apart from the lock behind cells      loans    tells extension locks of threads left behind
//! marker   lets the stock `Layered` treat us as a registry
//! stack    how the layers learn of a span that closes
//! ```
//!
//! It promises: no lock and no lazily initialised state on any path of a span without a cell; no lock of a thread that
//! a fork left behind is waited for, with cells either; ids of another process's, of closed and of unknown spans are
//! ignored, never a panic. It never records anything itself.

mod cells;
mod context;
mod current;
mod data;
mod gate;
mod loans;
mod marker;
mod slot;
mod spans;
mod stack;
mod store;
#[cfg(test)]
mod tests;

use std::{
    any::TypeId,
    fmt, ptr,
    sync::atomic::{AtomicU32, Ordering},
};

use tracing_core::{
    Dispatch, Event, Interest, LevelFilter, Metadata, Subscriber,
    span::{self, Current, Id},
};
use tracing_subscriber::{filter::FilterId, registry::LookupSpan};

use cells::Cells;
use marker::Marker;
use slot::{Pinned, Released};
use stack::Stack;
use store::{OVERFLOW_ID, STORE, Store};

#[allow(unused_imports, reason = "for the layer")]
pub(crate) use {
    context::CONTEXT_BLOCKS_MAX,
    spans::{SCOPE_DEPTH_MAX, Spans, Visit},
};

/// Makes a registry for layers to stand on that survives `fork`, in place of `tracing_subscriber::registry()`.
///
/// Call it before the process forks or starts threads that do: it registers fork handlers.
///
/// ```
/// use tracing_subscriber::{Layer, filter::LevelFilter, layer::SubscriberExt};
///
/// let subscriber = fleetlog_worker::registry()
///     .with(tracing_subscriber::fmt::layer().with_writer(std::io::sink).with_filter(LevelFilter::INFO));
/// tracing::subscriber::with_default(subscriber, || {
///     let span = tracing::info_span!("request", id = 7);
///     let _inside = span.enter();
///     tracing::info!("handled");
/// });
/// ```
#[must_use]
pub fn registry() -> Registry {
    Registry::with_store(&STORE)
}

/// A subscriber that stores spans and does nothing else, like `tracing_subscriber::Registry`, but safe to use in processes
/// that `fork` while they have several threads.
///
/// It is made by [`registry()`]. Layers, filters and `fmt` compose with it unchanged. What differs:
///
/// - A child forked at any moment can open, enter and close spans, its own and those that were open at the fork, and log in
///   them. If another thread of the parent was just *changing* the extensions of a shared span (`Span::record` with
///   `fmt`), the child finds that span's extensions empty instead of locked for ever.
/// - Ids that name no open span are ignored where the stock registry panics.
/// - At most 4,194,240 spans can be open in a process; more share one placeholder, named `span store full`.
/// - A layer with locks of its own is as safe as it was. `EnvFilter` is with directives by target
///   and level; with directives by span or field (`[request{id=7}]=debug`) it takes locks that a
///   child may inherit locked. So does `fmt` with a writer behind a `Mutex`, or to `io::stdout`.
/// - The Rust standard library itself takes a process-wide lock when a thread starts or ends: a
///   forked child that uses `std::thread` can hang there, whatever it logs with.
pub struct Registry {
    store: &'static Store,
    /// Tells this registry's spans from those of others in the same store.
    number: u32,
    cells: Cells,
    marker: Marker,
    stack: Stack,
}

impl Registry {
    fn with_store(store: &'static Store) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        Self {
            store,
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            cells: Cells::new(),
            marker: Marker::new(),
            stack: Stack::new(),
        }
    }

    fn pin(&self, id: u64) -> Option<Pinned> {
        self.store.pin(self.number, id)
    }

    /// Takes a reference to a span that is to be a parent.
    fn retain(&self, id: u64) -> Option<u64> {
        self.pin(id)?.retain().then_some(id)
    }

    /// Closes a span whose last reference is gone, and then every ancestor that it alone kept open: in a loop, as a chain of
    /// parents may be longer than the stack is deep. Returns whether the caller has to tell the layers of the first one.
    fn close(&self, last: Pinned) -> bool {
        let Some(stack) = self.stack.find(self) else {
            let before = self.stack.put_aside(last.id());
            if let Some(next) = before.and_then(|id| self.pin(id)).and_then(|span| self.end(span)) {
                self.close(next);
            }
            return true;
        };
        let mut next = Some(last);
        while let Some(span) = next.take() {
            // Comes back here as a nested `try_close`, which says yes, so that each layer's `on_close` runs while the span can
            // still be looked up.
            stack.try_close(Id::from_u64(span.id()));
            next = self.end(span);
        }
        false
    }

    /// Ends a span that every layer was told of, and returns its parent if this was the last that kept it open.
    fn end(&self, span: Pinned) -> Option<Pinned> {
        let parent = span.parent();
        if let Some(cell) = span.seal_cell() {
            self.cells.close(cell);
        }
        span.close();
        let parent = parent.and_then(|id| self.pin(id))?;
        (parent.release() == Released::Last).then_some(parent)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let mut next = self.stack.put_aside(0).and_then(|id| self.pin(id));
        while let Some(span) = next.take() {
            next = self.end(span);
        }
    }
}

impl Subscriber for Registry {
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        self.stack.tell(dispatch);
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        self.cells.register_callsite(metadata)
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.cells.enabled(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.marker.max_level_hint()
    }

    fn new_span(&self, attributes: &span::Attributes<'_>) -> Id {
        let parent = if attributes.is_root() {
            None
        } else if attributes.is_contextual() {
            current::nth(self.number, 0)
        } else {
            attributes.parent().map(Id::into_u64)
        };
        let parent = parent.and_then(|id| self.retain(id));
        let Some(id) = self.store.open(self.number, attributes.metadata(), parent) else {
            if let Some(parent) = parent {
                self.try_close(Id::from_u64(parent));
            }
            return Id::from_u64(OVERFLOW_ID);
        };
        if self.cells.is_filtered()
            && let Some(cell) = self.cells.make_filtered(attributes)
            && let Some(span) = self.pin(id)
        {
            span.replace_cell(slot::Cell::None, Some(cell));
        }
        Id::from_u64(id)
    }

    /// Values are for the layers.
    fn record(&self, _: &Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event_enabled(&self, event: &Event<'_>) -> bool {
        self.cells.event_enabled(event)
    }

    /// Events are for the layers.
    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, id: &Id) {
        self.stack.note(self);
        current::enter(self.number, id.into_u64());
    }

    fn exit(&self, id: &Id) {
        current::exit(self.number, id.into_u64());
    }

    fn clone_span(&self, id: &Id) -> Id {
        self.retain(id.into_u64());
        id.clone()
    }

    fn current_span(&self) -> Current {
        let Some(span) = current::nth(self.number, 0).and_then(|id| self.pin(id)) else {
            return Current::none();
        };
        current::note_asked(span.id());
        Current::new(Id::from_u64(span.id()), span.metadata())
    }

    /// Gives a reference back. Returns true inside the nested call that tells the layers, and where no dispatcher is known that
    /// leads to all of them; otherwise the span is gone when the outer call, which returns false, is done.
    fn try_close(&self, id: Id) -> bool {
        if id.into_u64() == OVERFLOW_ID {
            return false;
        }
        let Some(span) = self.pin(id.into_u64()) else { return false };
        match span.release() {
            Released::Held => false,
            Released::Telling => true,
            Released::Last => self.close(span),
        }
    }

    #[doc(hidden)]
    #[allow(
        unsafe_code,
        reason = "the trait says so; the pointer is to a value of the type that was asked for"
    )]
    unsafe fn downcast_raw(&self, asked: TypeId) -> Option<*const ()> {
        if asked == TypeId::of::<Self>() {
            return Some(ptr::from_ref(self).cast());
        }
        self.marker.answer(asked)
    }
}

impl<'a> LookupSpan<'a> for Registry {
    type Data = data::Data<'a>;

    fn span_data(&'a self, id: &Id) -> Option<Self::Data> {
        let id = id.into_u64();
        let as_current = self.cells.is_filtered() && current::take_asked(id);
        Some(data::Data::new(self, self.pin(id)?, as_current))
    }

    fn register_filter(&mut self) -> FilterId {
        self.cells.register_filter()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("number", &self.number).finish_non_exhaustive()
    }
}
