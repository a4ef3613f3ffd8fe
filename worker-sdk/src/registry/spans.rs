//! The layer's way to the spans: the bytes it keeps with each, and the scope of an event.
//!
//! Apart from `LookupSpan`, so that the layer needs no bound that other registries could not meet, and pays for nothing that
//! it doesn't use. It promises no allocation in [`Spans::for_each_in_scope`] while contexts are merged in time.

use tracing_core::{Metadata, Subscriber, span::Id};

use super::{Registry, current, store::Store};

/// How many spans of a scope are shown: the innermost ones.
pub(crate) const SCOPE_DEPTH_MAX: usize = 64;

/// The spans of one registry. A layer takes this in `on_layer` and keeps it.
#[derive(Clone, Copy)]
pub(crate) struct Spans {
    store: &'static Store,
    number: u32,
}

/// Called with each span of a scope: its id, its metadata, and a layer's blocks of bytes, oldest first.
pub(crate) type Visit<'f> = dyn FnMut(&Id, &'static Metadata<'static>, &[&[u8]]) + 'f;

#[allow(dead_code, reason = "the layer is the caller, and a crate without it still builds")]
impl Spans {
    /// The spans of the registry at the root of `subscriber`, if it is one of ours.
    pub(crate) fn of(subscriber: &dyn Subscriber) -> Option<Self> {
        let registry = subscriber.downcast_ref::<Registry>()?;
        Some(Self { store: registry.store, number: registry.number })
    }

    /// Whether some layer of `subscriber`, if its registry is one of ours, has a filter of its own by now.
    pub(crate) fn is_filtered(subscriber: &dyn Subscriber) -> bool {
        subscriber.downcast_ref::<Registry>().is_some_and(|registry| registry.cells.is_filtered())
    }

    /// Adds a layer's block of bytes to a span; returns how many the layer has there now, 0 if there is no such span. Above
    /// [`CONTEXT_BLOCKS_MAX`](super::CONTEXT_BLOCKS_MAX) they should be merged.
    pub(crate) fn push_context(self, span: &Id, layer: u32, bytes: Box<[u8]>) -> usize {
        // The overflow span stands for many: what one of them says must not be said of the others.
        if span.into_u64() == super::store::OVERFLOW_ID {
            return 0;
        }
        self.store
            .pin(self.number, span.into_u64())
            .map_or(0, |span| span.push_context(layer, bytes))
    }

    /// Shows all blocks that a layer has in a span, oldest first.
    pub(crate) fn read_context<R>(
        self,
        span: &Id,
        layer: u32,
        read: impl FnOnce(&[&[u8]]) -> R,
    ) -> Option<R> {
        self.store.pin(self.number, span.into_u64()).map(|span| span.read_context(layer, read))
    }

    /// Replaces all blocks that a layer has in a span by one that `merge` makes of them, oldest first. Returns false, having changed nothing,
    /// when there is no such span or another thread added a block meanwhile.
    pub(crate) fn merge_context(
        self,
        span: &Id,
        layer: u32,
        merge: impl FnOnce(&[&[u8]]) -> Box<[u8]>,
    ) -> bool {
        let span = self.store.pin(self.number, span.into_u64());
        span.is_some_and(|span| span.merge_context(layer, merge))
    }

    /// The span that this thread is in.
    pub(crate) fn current(self) -> Option<Id> {
        current::nth(self.number, 0).map(Id::from_u64)
    }

    /// Visits a span and its ancestors, outermost first, with what a layer has there: the innermost [`SCOPE_DEPTH_MAX`] of
    /// them.
    pub(crate) fn for_each_in_scope(self, leaf: &Id, layer: u32, visit: &mut Visit<'_>) {
        self.visit(leaf.into_u64(), layer, SCOPE_DEPTH_MAX, visit);
    }

    fn visit(self, id: u64, layer: u32, depth: usize, visit: &mut Visit<'_>) {
        if depth == 0 {
            return;
        }
        let Some(span) = self.store.pin(self.number, id) else { return };
        // By recursion: at most 64 small frames, and the pin of a child held while its ancestors are shown.
        if let Some(parent) = span.parent() {
            self.visit(parent, layer, depth - 1, visit);
        }
        span.read_context(layer, |blocks| visit(&Id::from_u64(id), span.metadata(), blocks));
    }
}
