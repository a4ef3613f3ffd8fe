//! Panics as records.
//!
//! The record goes straight to every worker's queue, not through `tracing`: a panic inside of a
//! subscriber, or one that a filter would hide, is worth a line all the same.

use std::panic::PanicHookInfo;

use fleetlog_protocol::Level;
use fleetlog_protocol::record::{FieldEncoder, FieldName};

use crate::notice;

/// Makes every panic an ERROR record with its message, location and thread, before the hook that
/// was there runs. With `panic = "abort"` the record is with the listener before the process is
/// gone.
///
/// ```no_run
/// # fn main() -> Result<(), fleetlog_worker::InitError> {
/// fleetlog_worker::init()?;
/// fleetlog_worker::install_panic_hook();
/// # Ok(())
/// # }
/// ```
pub fn install_panic_hook() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        record(info);
        before(info);
    }));
}

fn record(info: &PanicHookInfo<'_>) {
    let location = info.location();
    let place = notice::Place {
        target: "panic",
        file: location.map(std::panic::Location::file),
        line: location.map(std::panic::Location::line),
    };
    notice::send(Level::Error, place, |fields: &mut FieldEncoder<'_>| {
        let payload = info.payload();
        let message = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("a panic without a text");
        if let Some(place) = location {
            fields.debug(FieldName::Inline("location"), &format_args!("{place}"));
        }
        if let Some(name) = std::thread::current().name() {
            fields.str(FieldName::Inline("thread"), name);
        }
        fields.str(FieldName::Inline("message"), message);
    });
}
