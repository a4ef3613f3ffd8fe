//! Tests: real pickles of CPython, hostile ones, and broken ones.

mod hostile;
mod mapping;
mod mutation;
mod real;

use super::super::super::entry::{Entry, Value};
use super::limits::{ALWAYS_BYTES, SHOWN_BYTES, TEXT_PER_BYTE};
use super::machine::Machine;
use super::{Refused, decode};

/// A pickle of protocol 2 whose dictionary has a message, and whatever `pairs` adds to it.
fn record_with(pairs: &[u8]) -> Vec<u8> {
    let mut body = b"\x80\x02}q\0(X\x03\0\0\0msgX\x05\0\0\0hello".to_vec();
    body.extend(pairs);
    body.extend(b"u.");
    body
}

/// Like [`record_with`], with one extra field.
fn record_with_extra(value: &[u8]) -> Vec<u8> {
    record_with(&[b"X\x05\0\0\0extra".as_slice(), value].concat())
}

fn extra<'e>(entry: &'e Entry<'_>) -> &'e Value<'e> {
    &entry.fields.iter().find(|field| field.name == "extra").expect("an extra field").value
}

fn shown_extra(value: &[u8]) -> String {
    let body = record_with_extra(value);
    let entry = decode(&body).expect("a record");
    match extra(&entry) {
        Value::Shown(text) => text.clone().into_owned(),
        other => panic!("{other:?} is not shown"),
    }
}

/// Decodes on a stack on which any recursion would overflow, and holds the memory against the
/// pickle's length.
fn decode_in_a_corner(body: &[u8]) -> Result<(), Refused> {
    let worker = |body: &[u8]| {
        let mut machine = Machine::new(body);
        let _ = machine.run();
        let memory = machine.memory();
        assert!(memory <= 200 * body.len() + 4096, "{memory} for {} bytes", body.len());
        let entry = decode(body)?;
        let text = text_bytes(&entry);
        let most = TEXT_PER_BYTE * body.len() + ALWAYS_BYTES + SHOWN_BYTES + 3 * entry.fields.len();
        assert!(text <= most, "{text} bytes of text for {} bytes", body.len());
        Ok(())
    };
    std::thread::scope(|scope| {
        let corner = std::thread::Builder::new().stack_size(128 * 1024);
        let handle = corner.spawn_scoped(scope, || worker(body)).expect("a thread");
        handle.join().expect("the decoder must not panic")
    })
}

/// The bytes that whoever writes the entry down must write.
fn text_bytes(entry: &Entry<'_>) -> usize {
    let of_value = |value: &Value<'_>| match value {
        Value::Str(text) | Value::Shown(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        _ => 8,
    };
    let fields = entry.fields.iter().map(|field| field.name.len() + of_value(&field.value));
    entry.message.len() + entry.target.len() + fields.sum::<usize>()
}
