//! The floor: what any layer pays that looks at an event at all.
//!
//! It visits the fields and formats the message into a buffer of its thread. There is no time,
//! no order between processes and no way out: what a peer takes beyond this is its own.

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::hint::black_box;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

thread_local! {
    static MESSAGE: RefCell<String> = const { RefCell::new(String::new()) };
}

pub(super) struct Floor;

impl<S: Subscriber> Layer<S> for Floor {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        MESSAGE.with_borrow_mut(|message| {
            message.clear();
            event.record(&mut Fields { message });
            black_box(message.as_str());
        });
    }
}

struct Fields<'m> {
    message: &'m mut String,
}

impl Visit for Fields<'_> {
    fn record_u64(&mut self, field: &Field, value: u64) {
        black_box((field.index(), value));
    }

    fn record_debug(&mut self, _field: &Field, value: &dyn fmt::Debug) {
        // The workload's only field that is no number is the message. A `String` takes anything.
        let _ = write!(self.message, "{value:?}");
    }
}
