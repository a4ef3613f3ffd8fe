//! What a look-up returns: one span, pinned, seen through `tracing_subscriber`'s eyes.
//!
//! It promises that the span stays readable while the value lives, also after it closed. A cell is made, held and
//! counted as lent only when extensions are asked for.

use std::{cell::OnceCell, fmt};

use tracing_core::{Metadata, span::Id};
use tracing_subscriber::{
    filter::FilterId,
    registry::{Extensions, ExtensionsMut, SpanData},
};

use super::{
    Registry,
    cells::StockSpan,
    current,
    loans::{Loan, Use},
    slot::{Cell, Pinned, Slot},
    store::OVERFLOW_ID,
};

/// Stored data associated with a span of a [`Registry`].
pub struct Data<'a> {
    registry: &'a Registry,
    own: View<'a>,
    /// Whether the span was looked up as the thread's current one.
    as_current: bool,
    /// The span that stands for `own` since a filter turned that one down.
    instead: OnceCell<Box<View<'a>>>,
}

/// One span, and what of its cell is in use.
struct View<'a> {
    // Dropped before the pin: a cell is closed at the latest with its span.
    read: OnceCell<Lent<'a>>,
    write: OnceCell<Lent<'a>>,
    parent: Option<Id>,
    pinned: Pinned,
}

/// A cell, held and counted as lent.
struct Lent<'a> {
    cell: StockSpan<'a>,
    count: Option<(&'static Slot, Use, u32)>,
}

impl<'a> Data<'a> {
    pub(super) fn new(registry: &'a Registry, pinned: Pinned, as_current: bool) -> Self {
        Self { registry, own: View::new(pinned), as_current, instead: OnceCell::new() }
    }

    fn view(&self) -> &View<'a> {
        self.instead.get().map_or(&self.own, |instead| instead)
    }

    /// Finds the innermost span that this thread is in and that passed the filter.
    fn find_enabled(&self, filter: FilterId) -> Option<View<'a>> {
        (0..)
            .map_while(|depth| current::nth(self.registry.number, depth))
            .filter_map(|id| self.registry.store.pin(self.registry.number, id))
            .map(View::new)
            .find(|view| view.passed(self.registry, filter))
    }
}

impl<'a> SpanData<'a> for Data<'a> {
    fn id(&self) -> Id {
        Id::from_u64(self.view().pinned.id())
    }

    fn metadata(&self) -> &'static Metadata<'static> {
        self.view().pinned.metadata()
    }

    fn parent(&self) -> Option<&Id> {
        self.view().parent.as_ref()
    }

    fn extensions(&self) -> Extensions<'_> {
        self.view().lent(self.registry, Use::Read).extensions()
    }

    fn extensions_mut(&self) -> ExtensionsMut<'_> {
        self.view().lent(self.registry, Use::Write).extensions_mut()
    }

    fn is_enabled_for(&self, filter: FilterId) -> bool {
        if !self.registry.cells.is_filtered() || self.view().passed(self.registry, filter) {
            return true;
        }
        // `Context::lookup_current` asks for the current span, then whether it passed the filter, and if not walks the
        // stock registry's private stack for one that did. It can't see our stack, and without that walk an event inside
        // a disabled span would lose its whole scope. So the walk is done here, and its result takes this span's place.
        if !self.as_current || self.instead.get().is_some() {
            return false;
        }
        let Some(found) = self.find_enabled(filter) else { return false };
        self.instead.set(Box::new(found)).is_ok()
    }
}

impl fmt::Debug for Data<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Data")
            .field("id", &self.id())
            .field("name", &self.metadata().name())
            .finish_non_exhaustive()
    }
}

impl<'a> View<'a> {
    fn new(pinned: Pinned) -> Self {
        let parent = pinned.parent().map(Id::from_u64);
        Self { pinned, parent, read: OnceCell::new(), write: OnceCell::new() }
    }

    fn passed(&self, registry: &Registry, filter: FilterId) -> bool {
        match self.pinned.cell() {
            Cell::Some(cell) => registry.cells.passed(cell, filter),
            Cell::None | Cell::Sealed => true,
        }
    }

    fn lent(&self, registry: &'a Registry, how: Use) -> &StockSpan<'a> {
        let place = match how {
            Use::Read => &self.read,
            Use::Write => &self.write,
        };
        &place.get_or_init(|| self.lend(registry, how)).cell
    }

    fn lend(&self, registry: &'a Registry, how: Use) -> Lent<'a> {
        if self.pinned.id() == OVERFLOW_ID {
            return Lent::spare(registry);
        }
        let slot = self.pinned.slot();
        let count = loop {
            match slot.loans.borrow(how) {
                Loan::Granted(generation) => break Some((slot, how, generation)),
                Loan::Stuck(word) => {
                    self.replace_stuck(registry);
                    slot.loans.forgive(word);
                }
            }
        };
        // Every turn either returns or was overtaken by another thread's step of the cell's life, of which there are few.
        loop {
            match self.pinned.cell() {
                Cell::Some(cell) => match registry.cells.get(cell) {
                    Some(cell) => return Lent { cell, count },
                    // It was sealed and closed since.
                    None if self.pinned.cell() == Cell::Some(cell) => return Lent::spare(registry),
                    None => {}
                },
                Cell::None => {
                    let Some(made) = registry.cells.make_plain(self.pinned.metadata()) else {
                        return Lent::spare(registry);
                    };
                    if !self.pinned.replace_cell(Cell::None, Some(made)) {
                        registry.cells.close(made);
                    }
                }
                Cell::Sealed => {
                    // The span is closed and this look-up outlived it: a cell that goes with the look-up.
                    let Some(made) = registry.cells.make_plain(self.pinned.metadata()) else {
                        return Lent::spare(registry);
                    };
                    let held = registry.cells.get(made);
                    registry.cells.close(made);
                    return held.map_or_else(|| Lent::spare(registry), |cell| Lent { cell, count });
                }
            }
        }
    }

    /// Gives the span new extensions, as the old ones are locked by a thread that the fork left behind.
    fn replace_stuck(&self, registry: &Registry) {
        let old = self.pinned.cell();
        if let Cell::Some(stuck) = old
            && self.pinned.replace_cell(old, None)
        {
            // Closing a cell takes no lock; what it held is leaked if its holder is gone.
            registry.cells.close(stuck);
        }
    }
}

impl<'a> Lent<'a> {
    #[expect(clippy::expect_used, reason = "the trait offers no way to say no")]
    fn spare(registry: &'a Registry) -> Self {
        let cell = registry.cells.spare().expect("the spare extensions are made with the registry");
        Self { cell, count: None }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some((slot, how, generation)) = self.count {
            slot.loans.give_back(how, generation);
        }
    }
}
