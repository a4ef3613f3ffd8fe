//! The text layout, that of `tracing_subscriber::fmt` with `worker[pid]` behind the level, and
//! the parts of it that templates use as well.

use fleetlog_protocol::callsite::Callsite;
use fleetlog_protocol::record::Fields;

use super::Line;
use super::clock::Clock;
use super::escape::put_bare;
use super::head::Heads;
use super::name::Name;
use super::number::put_u64;
use super::repeats;
use super::value::{put_field, put_plain};

/// Appends a line without its newline.
pub(super) fn write(line: &Line<'_>, clock: &mut Clock, heads: &mut Heads, out: &mut Vec<u8>) {
    clock.put(line.time, out);
    let head = heads.of(line);
    if line.record.spans().len() == 0 {
        out.extend_from_slice(head.whole());
    } else {
        out.extend_from_slice(head.worker());
        put_spans(line, out);
        out.extend_from_slice(b": ");
        out.extend_from_slice(head.target());
    }
    put_event(line, out);
    put_truncation(line, out);
    repeats::put_text(line, out);
}

/// Appends the message and the other fields behind it.
fn put_event(line: &Line<'_>, out: &mut Vec<u8>) {
    let mut fields = line.record.fields();
    let Some(first) = fields.next() else { return };
    let name = Name::new(first.name, line.callsite);
    if name.is_message() {
        // `tracing` puts the message first, so that one pass is nearly always enough.
        put_plain(name, &first.value, out);
        for field in fields {
            out.push(b' ');
            put_field(Name::new(field.name, line.callsite), &field.value, out);
        }
    } else {
        let message = put_message(line, out);
        put_fields(line, message, out);
    }
}

/// Appends the event's message, the first field of that name; tells whether there is one.
pub(super) fn put_message(line: &Line<'_>, out: &mut Vec<u8>) -> bool {
    for field in line.record.fields() {
        let name = Name::new(field.name, line.callsite);
        if name.is_message() {
            put_plain(name, &field.value, out);
            return true;
        }
    }
    false
}

/// Appends the event's fields but for its message, a space between any two of them, and a space
/// in front of the first where `separate` asks for it.
pub(super) fn put_fields(line: &Line<'_>, mut separate: bool, out: &mut Vec<u8>) {
    let mut message = false;
    for field in line.record.fields() {
        let name = Name::new(field.name, line.callsite);
        // A second message is no message any more, but it must not vanish either.
        if !message && name.is_message() {
            message = true;
            continue;
        }
        if separate {
            out.push(b' ');
        }
        separate = true;
        put_field(name, &field.value, out);
    }
}

/// Appends the spans, outermost first, as `a{x=1}:b{y=2}`; tells whether there are any.
pub(super) fn put_spans(line: &Line<'_>, out: &mut Vec<u8>) -> bool {
    let mut any = false;
    for span in line.record.spans() {
        if any {
            out.push(b':');
        }
        any = true;
        put_bare(span.name, out);
        let bare = out.len();
        out.push(b'{');
        put_span_fields(span.fields, line.callsite, out);
        if out.len() > bare + 1 {
            out.push(b'}');
        } else {
            out.truncate(bare);
        }
    }
    any
}

/// In a span a message has no place of its own: it stands among the fields, without its name.
fn put_span_fields(fields: Fields<'_>, callsite: &Callsite, out: &mut Vec<u8>) {
    let mut separate = false;
    for field in fields {
        if separate {
            out.push(b' ');
        }
        separate = true;
        let name = Name::new(field.name, callsite);
        if name.is_message() {
            put_plain(name, &field.value, out);
        } else {
            put_field(name, &field.value, out);
        }
    }
}

/// Says that the record's worker had to cut it, and how long it would have been.
pub(super) fn put_truncation(line: &Line<'_>, out: &mut Vec<u8>) {
    if let Some(length) = line.record.original_len {
        out.extend_from_slice(b" (truncated from ");
        put_u64(u64::from(length), out);
        out.extend_from_slice(b" bytes)");
    }
}
