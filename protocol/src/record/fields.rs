//! Fields: typed values under a name, the part that events and spans have in common.
//!
//! A field is a type byte, a name and a value. The name is an index into the callsite's fields,
//! or, behind the index 65535, the text itself: spans always spell it out, so that their bytes
//! can be copied into any record. The encoder never grows its output beyond the limit that it
//! was given and counts what it left out.

use std::error::Error;
use std::fmt::{self, Write as _};

use super::decoder::fields_of_block;
use super::{NAME_INLINE, Type, Value, floor_char_boundary};
use crate::limits::{ERROR_CHAIN_MAX, FIELD_COUNT_MAX};

/// How a field says its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldName<'a> {
    /// The position among the callsite's fields.
    Index(u16),
    /// The name itself, at most 255 bytes of it.
    Inline(&'a str),
}

impl FieldName<'_> {
    fn len(self) -> usize {
        match self {
            FieldName::Index(_) => 2,
            FieldName::Inline(name) => 3 + floor_char_boundary(name, 255).len(),
        }
    }
}

/// Appends fields to a buffer, up to a limit.
///
/// ```
/// use fleetlog_protocol::record::{FieldEncoder, FieldName};
/// let mut block = Vec::new();
/// let mut fields = FieldEncoder::new(&mut block, 1024);
/// fields.u64(FieldName::Inline("id"), 7);
/// fields.str(FieldName::Inline("user"), "ann");
/// assert_eq!(fields.count(), 2);
/// ```
#[derive(Debug)]
pub struct FieldEncoder<'b> {
    out: &'b mut Vec<u8>,
    limit: usize,
    count: u16,
    missing: usize,
}

impl<'b> FieldEncoder<'b> {
    /// Appends to `out`, which grows to at most `limit` bytes in all.
    pub const fn new(out: &'b mut Vec<u8>, limit: usize) -> Self {
        Self { out, limit, count: 0, missing: 0 }
    }

    /// The fields written so far.
    #[must_use]
    pub const fn count(&self) -> u16 {
        self.count
    }

    /// The bytes that the limit kept out so far.
    #[must_use]
    pub const fn missing(&self) -> usize {
        self.missing
    }

    /// An unsigned integer.
    pub fn u64(&mut self, name: FieldName<'_>, value: u64) {
        self.fixed(Type::U64, name, &value.to_le_bytes());
    }

    /// A signed integer.
    pub fn i64(&mut self, name: FieldName<'_>, value: i64) {
        self.fixed(Type::I64, name, &value.to_le_bytes());
    }

    /// A large unsigned integer.
    pub fn u128(&mut self, name: FieldName<'_>, value: u128) {
        self.fixed(Type::U128, name, &value.to_le_bytes());
    }

    /// A large signed integer.
    pub fn i128(&mut self, name: FieldName<'_>, value: i128) {
        self.fixed(Type::I128, name, &value.to_le_bytes());
    }

    /// A floating-point number, also a NaN or an infinity.
    pub fn f64(&mut self, name: FieldName<'_>, value: f64) {
        self.fixed(Type::F64, name, &value.to_bits().to_le_bytes());
    }

    /// A boolean.
    pub fn bool(&mut self, name: FieldName<'_>, value: bool) {
        self.fixed(Type::Bool, name, &[u8::from(value)]);
    }

    /// A string.
    pub fn str(&mut self, name: FieldName<'_>, value: &str) {
        if let Some(room) = self.start(Type::Str, name, 4, value.len()) {
            let kept = floor_char_boundary(value, room);
            self.missing += value.len() - kept.len();
            self.long(kept.as_bytes());
        }
    }

    /// Bytes, of any content.
    pub fn bytes(&mut self, name: FieldName<'_>, value: &[u8]) {
        if let Some(room) = self.start(Type::Bytes, name, 4, value.len()) {
            let kept = &value[..value.len().min(room)];
            self.missing += value.len() - kept.len();
            self.long(kept);
        }
    }

    /// What a value's `Debug` prints.
    pub fn debug(&mut self, name: FieldName<'_>, value: &dyn fmt::Debug) {
        if self.start(Type::Debug, name, 4, 0).is_some() {
            self.formatted(format_args!("{value:?}"));
        } else {
            self.missing += length_of(format_args!("{value:?}"));
        }
    }

    /// An error with its sources, at most 32 of them.
    pub fn error(&mut self, name: FieldName<'_>, value: &(dyn Error + 'static)) {
        let chain = std::iter::successors(Some(value), |&error| error.source());
        self.chain(name, chain.take(ERROR_CHAIN_MAX));
    }

    /// A value that was decoded from another record.
    pub fn value(&mut self, name: FieldName<'_>, value: &Value<'_>) {
        match value {
            Value::U64(value) => self.u64(name, *value),
            Value::I64(value) => self.i64(name, *value),
            Value::U128(value) => self.u128(name, *value),
            Value::I128(value) => self.i128(name, *value),
            Value::F64(value) => self.f64(name, *value),
            Value::Bool(value) => self.bool(name, *value),
            Value::Str(value) => self.str(name, value),
            Value::Bytes(value) => self.bytes(name, value),
            Value::Debug(value) => self.debug(name, &format_args!("{value}")),
            Value::Error(chain) => self.chain(name, chain.iter()),
        }
    }

    /// Writes the errors that fit behind their count; the last of them may be cut.
    fn chain(&mut self, name: FieldName<'_>, errors: impl Iterator<Item = impl fmt::Display>) {
        let count_at = self.start(Type::Error, name, 2, 0).map(|_| self.out.len());
        if count_at.is_some() {
            self.out.extend_from_slice(&[0; 2]);
        }
        let mut count = 0_u16;
        for error in errors {
            // A cut text leaves less room than the next length needs, so nothing follows it.
            if count_at.is_some() && self.out.len() + 4 <= self.limit {
                self.formatted(format_args!("{error}"));
                count += 1;
            } else {
                self.missing += 4 + length_of(format_args!("{error}"));
            }
        }
        if let Some(at) = count_at {
            self.out[at..at + 2].copy_from_slice(&count.to_le_bytes());
        }
    }

    /// Writes type and name if they, a length of `length` bytes and nothing else fit. Returns
    /// the room for the value that is left behind them.
    fn start(
        &mut self,
        of: Type,
        name: FieldName<'_>,
        length: usize,
        wanted: usize,
    ) -> Option<usize> {
        let needed = 1 + name.len() + length;
        let room = self.limit.checked_sub(self.out.len() + needed);
        if room.is_none() || usize::from(self.count) >= FIELD_COUNT_MAX {
            self.missing += needed + wanted;
            return None;
        }
        self.count += 1;
        self.out.push(of as u8);
        match name {
            FieldName::Index(index) => self.out.extend_from_slice(&index.to_le_bytes()),
            FieldName::Inline(name) => {
                let name = floor_char_boundary(name, 255);
                self.out.extend_from_slice(&NAME_INLINE.to_le_bytes());
                self.out.push(u8::try_from(name.len()).unwrap_or(0));
                self.out.extend_from_slice(name.as_bytes());
            }
        }
        room
    }

    fn fixed(&mut self, of: Type, name: FieldName<'_>, value: &[u8]) {
        if self.start(of, name, value.len(), 0).is_some() {
            self.out.extend_from_slice(value);
        }
    }

    fn long(&mut self, value: &[u8]) {
        let length = u32::try_from(value.len()).unwrap_or(0);
        self.out.extend_from_slice(&length.to_le_bytes());
        self.out.extend_from_slice(value);
    }

    /// Writes formatted text behind its length. An error that a `fmt` method returns ends the
    /// text where it stands: what was written until then is worth keeping.
    fn formatted(&mut self, text: fmt::Arguments<'_>) {
        let length_at = self.out.len();
        self.out.extend_from_slice(&[0; 4]);
        let mut writer = Bounded { out: self.out, limit: self.limit, missing: 0 };
        let _ = writer.write_fmt(text);
        self.missing += writer.missing;
        let length = u32::try_from(self.out.len() - length_at - 4).unwrap_or(0);
        self.out[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
    }
}

/// The length of a text that has no room at all.
fn length_of(text: fmt::Arguments<'_>) -> usize {
    let mut counter = Bounded { out: &mut Vec::new(), limit: 0, missing: 0 };
    let _ = counter.write_fmt(text);
    counter.missing
}

/// A `fmt::Write` that keeps a prefix and counts the rest, so that no `Debug` of a huge value
/// costs memory.
struct Bounded<'b> {
    out: &'b mut Vec<u8>,
    limit: usize,
    missing: usize,
}

impl fmt::Write for Bounded<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Nothing may follow a cut: the kept text is a prefix, not a text with holes.
        let room = if self.missing == 0 { self.limit.saturating_sub(self.out.len()) } else { 0 };
        let kept = floor_char_boundary(text, room);
        self.out.extend_from_slice(kept.as_bytes());
        self.missing += text.len() - kept.len();
        Ok(())
    }
}

/// Joins blocks of fields, each a count (u16) and that many fields with inline names, into one
/// block in which each name stands once, with its last value, at the place of its first.
///
/// A span whose fields are recorded again and again stays as small as its distinct names.
#[must_use]
pub fn merge_fields(blocks: &[&[u8]], limit: usize) -> Vec<u8> {
    merge_and_count(blocks, limit).0
}

/// [`merge_fields`], and the bytes that the limits kept out.
pub(super) fn merge_and_count(blocks: &[&[u8]], limit: usize) -> (Vec<u8>, usize) {
    let mut merged: Vec<(&str, Value<'_>)> = Vec::new();
    for field in blocks.iter().flat_map(|block| fields_of_block(block)) {
        let FieldName::Inline(name) = field.name else { continue };
        match merged.iter_mut().find(|(known, _)| *known == name) {
            Some(known) => known.1 = field.value,
            None => merged.push((name, field.value)),
        }
    }
    let mut out = vec![0; 2];
    let mut fields = FieldEncoder::new(&mut out, limit);
    for (name, value) in &merged {
        fields.value(FieldName::Inline(name), value);
    }
    let (count, missing) = (fields.count(), fields.missing());
    out[..2].copy_from_slice(&count.to_le_bytes());
    (out, missing)
}
