//! Stock spans, which carry what only the stock registry can: typed extensions and per-layer filter bits.
//!
//! `tracing_subscriber` lets nobody else make its `Extensions`. So a span of ours that some layer wants extensions for gets
//! a stock span, its *cell*, on first use; with per-layer filters every span gets one when it opens, because only then
//! are the filters' verdicts at hand. A cell is always a root and never entered: the stock registry's own span stack, and the
//! process-wide lock behind it, are never touched. The other lock, of `sharded-slab`, is kept apart from forks by
//! [`gate`].
//!
//! It promises that a program whose layers use neither extensions nor per-layer filters runs none of this after
//! start-up.

use tracing_core::{Event, Interest, Metadata, Subscriber, field::ValueSet, span};
use tracing_subscriber::{
    filter::FilterId,
    layer::{Identity, Layered, SubscriberExt},
    registry::{LookupSpan, Registry as StockRegistry, SpanData},
};

use super::{gate, store::OVERFLOW_METADATA};

/// A stock span, held.
pub(super) type StockSpan<'a> = tracing_subscriber::registry::Data<'a>;

/// A stock registry of which only the span store is used.
#[derive(Debug)]
pub(super) struct Cells {
    /// With a layer that does nothing: only `Layered` clears a stock span when it closes.
    stock: Layered<Identity, StockRegistry>,
    filtered: bool,
    /// Extensions for whoever can't have any of their own: a span that found no room, or a thread that is nearly gone.
    spare: span::Id,
}

impl Cells {
    /// An empty registry, and the process ready to fork.
    pub(super) fn new() -> Self {
        gate::install();
        let stock = StockRegistry::default().with(Identity::new());
        let mut cells = Self { stock, filtered: false, spare: span::Id::from_u64(u64::MAX) };
        if cells.enter_thread() {
            cells.spare = cells.make(&OVERFLOW_METADATA);
        }
        cells
    }

    /// Whether some layer has a filter of its own.
    pub(super) fn is_filtered(&self) -> bool {
        self.filtered
    }

    pub(super) fn register_filter(&mut self) -> FilterId {
        self.filtered = true;
        self.stock.register_filter()
    }

    /// Makes a cell for a span that is being opened, with the verdicts that this thread's filters just gave.
    pub(super) fn make_filtered(&self, attributes: &span::Attributes<'_>) -> Option<u64> {
        self.enter_thread().then(|| {
            let root = span::Attributes::new_root(attributes.metadata(), attributes.values());
            self.stock.new_span(&root).into_u64()
        })
    }

    /// Makes a cell that all filters let pass.
    pub(super) fn make_plain(&self, metadata: &'static Metadata<'static>) -> Option<u64> {
        self.enter_thread().then(|| self.make(metadata).into_u64())
    }

    fn make(&self, metadata: &'static Metadata<'static>) -> span::Id {
        let fields = metadata.fields();
        let values: ValueSet<'_> = fields.value_set(&[]);
        self.stock.new_span(&span::Attributes::new_root(metadata, &values))
    }

    /// Ends a cell. Its extensions are dropped when nobody holds it any more.
    pub(super) fn close(&self, cell: u64) {
        self.enter_thread();
        self.stock.try_close(span::Id::from_u64(cell));
    }

    /// Holds a cell.
    pub(super) fn get(&self, cell: u64) -> Option<StockSpan<'_>> {
        // Letting go of the last hold clears the cell, which asks for this thread's id: register it by the gate first.
        self.enter_thread();
        self.stock.span_data(&span::Id::from_u64(cell))
    }

    /// Holds the cell that all those share who can't have one.
    pub(super) fn spare(&self) -> Option<StockSpan<'_>> {
        self.get(self.spare.into_u64())
    }

    fn enter_thread(&self) -> bool {
        gate::enter_thread(|| {
            let cell = self.make(&OVERFLOW_METADATA);
            self.stock.try_close(cell);
        })
    }

    // What per-layer filters need from the registry at the root. Without filters the answer is always yes.

    pub(super) fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        // Not through the `Layered`, which turns "never" into "sometimes" for the sake of its layer.
        match self.stock.downcast_ref::<StockRegistry>() {
            Some(stock) if self.filtered => stock.register_callsite(metadata),
            _ => Interest::always(),
        }
    }

    pub(super) fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        !self.filtered || self.stock.enabled(metadata)
    }

    pub(super) fn event_enabled(&self, event: &Event<'_>) -> bool {
        !self.filtered || self.stock.event_enabled(event)
    }

    /// Whether a span with this cell passed the filter when it was opened.
    pub(super) fn passed(&self, cell: u64, filter: FilterId) -> bool {
        self.get(cell).is_none_or(|cell| cell.is_enabled_for(filter))
    }
}
