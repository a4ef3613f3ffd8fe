//! Records of the `log` crate: the logger that [`init`](crate::init()) sets, and their key-values.
//!
//! A record goes the way of a `tracing` event, so that every filter and layer sees it; the bridge that
//! makes the event of it has no place for key-values, as an event's fields are static. So these go
//! beside it: encoded before, in a place of the thread's own, where the layer finds them with the event.
//!
//! It promises that key-values are only ever shown with their own record, also where a value's `Debug`
//! logs. It takes no lock.

use std::cell::RefCell;

use fleetlog_protocol::limits::RECORD_MAX;
use fleetlog_protocol::record::{
    FairEncoder, FieldName, Value as FieldValue, fields_of_block, missing_in_block, put_block,
};
use log::kv::{Error, Key, Value, VisitSource, VisitValue};
use tracing_core::{LevelFilter, dispatcher};
use tracing_log::AsTrace as _;

thread_local! {
    /// The key-values of the record that this thread hands over, as a block; empty = it has none.
    static VALUES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

struct Logger;

/// Makes the records of the `log` crate events. A program with a logger of its own keeps it; its
/// records then go where it sends them.
pub(crate) fn follow() {
    if log::set_logger(&Logger).is_ok() {
        log::set_max_level(log::LevelFilter::max());
    }
}

/// Shows the key-values that come with the event that this thread hands over, and returns how many of
/// their bytes were cut already.
pub(crate) fn show_values(show: &mut dyn FnMut(FieldName<'_>, &FieldValue<'_>)) -> usize {
    let shown = VALUES.try_with(|values| {
        let values = values.try_borrow().ok()?;
        fields_of_block(&values).for_each(|field| show(field.name, &field.value));
        Some(missing_in_block(&values))
    });
    shown.ok().flatten().unwrap_or(0)
}

impl log::Log for Logger {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level().as_trace() <= LevelFilter::current()
            && dispatcher::get_default(|dispatch| dispatch.enabled(&metadata.as_trace()))
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            let _restored = Beside::put(values_of(record));
            // It fails never, and has no other way to hand a record over.
            let _ = tracing_log::format_trace(record);
        }
    }

    fn flush(&self) {}
}

/// Puts the key-values of the record back that this thread was handing over before.
struct Beside(Vec<u8>);

impl Beside {
    fn put(values: Vec<u8>) -> Self {
        Self(replace(values))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        replace(std::mem::take(&mut self.0));
    }
}

fn replace(values: Vec<u8>) -> Vec<u8> {
    let replaced = VALUES.try_with(|place| {
        place.try_borrow_mut().map(|mut place| std::mem::replace(&mut *place, values))
    });
    replaced.ok().and_then(Result::ok).unwrap_or_default()
}

fn values_of(record: &log::Record<'_>) -> Vec<u8> {
    let values = record.key_values();
    let mut block = Vec::new();
    if values.count() > 0 {
        put_block(&mut block, RECORD_MAX, |fair| {
            let _ = values.visit(&mut Pairs(fair));
        });
    }
    block
}

struct Pairs<'f, 'b>(&'f mut FairEncoder<'b>);

impl<'kvs> VisitSource<'kvs> for Pairs<'_, '_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        value.visit(One { name: FieldName::Inline(key.as_str()), fair: self.0 })
    }
}

/// One value.
struct One<'n, 'f, 'b> {
    name: FieldName<'n>,
    fair: &'f mut FairEncoder<'b>,
}

macro_rules! visit {
    ($($method:ident($type:ty) => $encode:ident;)*) => {
        $(fn $method(&mut self, value: $type) -> Result<(), Error> {
            let name = self.name;
            self.fair.field(|field| field.$encode(name, value));
            Ok(())
        })*
    };
}

impl VisitValue<'_> for One<'_, '_, '_> {
    visit! {
        visit_u64(u64) => u64;
        visit_i64(i64) => i64;
        visit_u128(u128) => u128;
        visit_i128(i128) => i128;
        visit_f64(f64) => f64;
        visit_bool(bool) => bool;
        visit_str(&str) => str;
    }

    fn visit_any(&mut self, value: Value<'_>) -> Result<(), Error> {
        let name = self.name;
        self.fair.field(|field| field.debug(name, &format_args!("{value}")));
        Ok(())
    }
}
