//! Values in text and templates.

use std::io::Write as _;

use fleetlog_protocol::record::{ErrorChain, Value};

use super::escape::{put_bare, put_hex, put_quoted};
use super::name::Name;
use super::number::{put_i64, put_u64};

/// Appends `name=value` as `tracing_subscriber::fmt` does: strings in quotes.
#[inline]
pub(super) fn put_field(name: Name<'_>, value: &Value<'_>, out: &mut Vec<u8>) {
    name.put_bare(out);
    out.push(b'=');
    match value {
        Value::Str(text) => put_quoted(text, out),
        value => put_plain(name, value, out),
    }
}

/// Appends a value as a message is printed: strings without quotes. An error's sources follow
/// under `name`.
#[inline]
pub(super) fn put_plain(name: Name<'_>, value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::U64(number) => put_u64(*number, out),
        Value::I64(number) => put_i64(*number, out),
        Value::U128(number) => put_printed(format_args!("{number}"), out),
        Value::I128(number) => put_printed(format_args!("{number}"), out),
        Value::F64(number) => put_printed(format_args!("{number:?}"), out),
        Value::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Value::Str(text) | Value::Debug(text) => put_bare(text, out),
        Value::Bytes(bytes) => put_bytes(bytes, out),
        Value::Error(chain) => put_error(name, chain, out),
    }
}

fn put_printed(value: std::fmt::Arguments<'_>, out: &mut Vec<u8>) {
    // Writing to a vector does not fail.
    let _ = out.write_fmt(value);
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'[');
    for (at, byte) in bytes.iter().enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        put_hex(u32::from(*byte), 2, out);
    }
    out.push(b']');
}

fn put_error(name: Name<'_>, chain: &ErrorChain<'_>, out: &mut Vec<u8>) {
    for (at, error) in chain.iter().enumerate() {
        match at {
            0 => {}
            1 => {
                out.push(b' ');
                name.put_bare(out);
                out.extend_from_slice(b".sources=[");
            }
            _ => out.extend_from_slice(b", "),
        }
        put_bare(error, out);
    }
    if chain.iter().nth(1).is_some() {
        out.push(b']');
    }
}
