//! JSON, one object a message: the loggers of every language write it, each with its own keys.
//!
//! What is known of the loggers' keys stands in the tables of [`keys`]: a key that has a place in
//! an entry and a value that makes sense there takes the place, and of several that compete for
//! one the first in the table. Every other key is a field, under its path (`http.status`) and in
//! the order of the line. Nothing is dropped but what the limits keep out, and that is counted.
//!
//! - A level that says more than our five (`fatal`) is kept as the field `level` as well; a word
//!   that nobody knows is only a field, and the level is then `INFO`.
//! - A time without an offset is no claim, for nobody can tell what it means.
//! - `tracing`'s `fields` are the event's: of those, only `message` has a place.
//! - A key that stands twice takes its place with the last value; the other one stays a field.
//!
//! What is no JSON object is nobody's record here, and so is one with half a surrogate pair: the
//! caller keeps it as text, with every byte.

mod flat;
mod keys;
mod level;
mod record;
mod spans;

#[cfg(test)]
mod tests;

use self::record::Record;
use self::spans::Spans;
use super::owned;
use crate::foreign::entry::Entry;

/// Decodes an object; `None` = it is none, and the caller takes it as text.
pub(crate) fn decode(line: &[u8]) -> Option<Entry<'_>> {
    // Most of what is no JSON is told by its first byte.
    if !line.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    match str::from_utf8(line) {
        Ok(line) => object(line),
        Err(_) => object(&String::from_utf8_lossy(line)).map(owned::entry),
    }
}

fn object(line: &str) -> Option<Entry<'_>> {
    let mut record = Record::new();
    let mut spans = Spans::default();
    flat::entries(line, |key, raw| match (&*key, raw.as_bytes().first()?) {
        ("fields", b'{') => flat::entries(raw, |key, raw| {
            flat::leaves(key, raw, 1, &mut |path, raw| record.event_leaf(path, raw))
        }),
        // Of keys that stand twice, the first ones are tracing's and the others fields.
        ("span", b'{') if spans.innermost.is_none() => {
            spans.innermost = Some(raw);
            Some(())
        }
        ("spans", b'[') if spans.all.is_none() => {
            spans.all = Some(raw);
            Some(())
        }
        _ => flat::leaves(key, raw, 1, &mut |path, raw| record.leaf(path, raw)),
    })?;
    record.spans(spans)?;
    record.finish()
}
