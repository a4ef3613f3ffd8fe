//! Fields: typed values under a name, the part that events and spans have in common.
//!
//! A field is a type byte, a name and a value. The name is an index into the callsite's fields,
//! or, behind the index 65535, the text itself: spans always spell it out, so that their bytes
//! can be copied into any record. The encoder never grows its output beyond the limit that it
//! was given and counts what it left out.

use std::error::Error;
use std::fmt::{self, Write as _};

use super::decoder::fields_of_block;
use super::fair::put_as_they_are;
use super::{
    BLOCK_HEADER_LEN, FairEncoder, NAME_INLINE, Type, Value, floor_char_boundary, put_fairly,
};
use crate::limits::{ERROR_CHAIN_MAX, FIELD_COUNT_MAX};

/// How a field says its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldName<'a> {
    /// The position among the callsite's fields.
    Index(u16),
    /// The name itself, at most 255 bytes of it.
    Inline(&'a str),
}

/// The bytes of a value's length.
const LENGTH: usize = 4;

/// The longest value of a fixed length.
const VALUE_MAX: usize = 16;

impl FieldName<'_> {
    #[inline]
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
    #[inline]
    pub const fn new(out: &'b mut Vec<u8>, limit: usize) -> Self {
        Self { out, limit, count: 0, missing: 0 }
    }

    /// The fields written so far.
    #[inline]
    #[must_use]
    pub const fn count(&self) -> u16 {
        self.count
    }

    /// The bytes that the limit kept out so far.
    #[inline]
    #[must_use]
    pub const fn missing(&self) -> usize {
        self.missing
    }

    /// An unsigned integer.
    #[inline]
    pub fn u64(&mut self, name: FieldName<'_>, value: u64) {
        self.put(Type::U64, name, value.to_le_bytes());
    }

    /// A signed integer.
    #[inline]
    pub fn i64(&mut self, name: FieldName<'_>, value: i64) {
        self.put(Type::I64, name, value.to_le_bytes());
    }

    /// A large unsigned integer.
    #[inline]
    pub fn u128(&mut self, name: FieldName<'_>, value: u128) {
        self.put(Type::U128, name, value.to_le_bytes());
    }

    /// A large signed integer.
    #[inline]
    pub fn i128(&mut self, name: FieldName<'_>, value: i128) {
        self.put(Type::I128, name, value.to_le_bytes());
    }

    /// A floating-point number, also a NaN or an infinity.
    #[inline]
    pub fn f64(&mut self, name: FieldName<'_>, value: f64) {
        self.put(Type::F64, name, value.to_bits().to_le_bytes());
    }

    /// A boolean.
    #[inline]
    pub fn bool(&mut self, name: FieldName<'_>, value: bool) {
        self.put(Type::Bool, name, [u8::from(value)]);
    }

    /// A string.
    #[inline]
    pub fn str(&mut self, name: FieldName<'_>, value: &str) {
        let kept = floor_char_boundary(value, self.room(name));
        self.long(Type::Str, name, kept.as_bytes(), value.len());
    }

    /// Bytes, of any content.
    #[inline]
    pub fn bytes(&mut self, name: FieldName<'_>, value: &[u8]) {
        let kept = &value[..value.len().min(self.room(name))];
        self.long(Type::Bytes, name, kept, value.len());
    }

    /// What a value's `Debug` prints.
    #[inline]
    pub fn debug(&mut self, name: FieldName<'_>, value: &dyn fmt::Debug) {
        if self.put(Type::Debug, name, [0; LENGTH]) {
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
        let count_at = self.put(Type::Error, name, [0; 2]).then(|| self.out.len() - 2);
        let mut count = 0_u16;
        for error in errors {
            // A cut text leaves less room than the next length needs, so nothing follows it.
            if count_at.is_some() && self.out.len() + LENGTH <= self.limit {
                self.out.extend_from_slice(&[0; LENGTH]);
                self.formatted(format_args!("{error}"));
                count += 1;
            } else {
                self.missing += LENGTH + length_of(format_args!("{error}"));
            }
        }
        if let Some(at) = count_at {
            self.out[at..at + 2].copy_from_slice(&count.to_le_bytes());
        }
    }

    /// Writes type, name and the first bytes of the value if all of them fit, and returns whether
    /// they did.
    #[inline]
    fn put<const N: usize>(&mut self, of: Type, name: FieldName<'_>, value: [u8; N]) -> bool {
        let FieldName::Index(index) = name else { return self.put_named(of, name, &value) };
        if self.out.len() + 3 + N > self.limit || usize::from(self.count) >= FIELD_COUNT_MAX {
            self.missing += 3 + N;
            return false;
        }
        self.count += 1;
        // One copy of a length that the compiler knows is a few stores; three are three calls.
        let index = index.to_le_bytes();
        let mut bytes = [0; 3 + VALUE_MAX];
        bytes[0] = of as u8;
        bytes[1] = index[0];
        bytes[2] = index[1];
        bytes[3..3 + N].copy_from_slice(&value);
        self.out.extend_from_slice(&bytes[..3 + N]);
        true
    }

    fn put_named(&mut self, of: Type, name: FieldName<'_>, value: &[u8]) -> bool {
        let needed = 1 + name.len() + value.len();
        if self.out.len() + needed > self.limit || usize::from(self.count) >= FIELD_COUNT_MAX {
            self.missing += needed;
            return false;
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
        self.out.extend_from_slice(value);
        true
    }

    /// The room that is left for a value behind its name and its length.
    #[inline]
    fn room(&self, name: FieldName<'_>) -> usize {
        self.limit.saturating_sub(self.out.len() + 1 + name.len() + LENGTH)
    }

    /// Writes what is kept of a value that has `wanted` bytes.
    #[inline]
    fn long(&mut self, of: Type, name: FieldName<'_>, kept: &[u8], wanted: usize) {
        let length = u32::try_from(kept.len()).unwrap_or(0);
        if self.put(of, name, length.to_le_bytes()) {
            self.out.extend_from_slice(kept);
            self.missing += wanted - kept.len();
        } else {
            self.missing += wanted;
        }
    }

    /// Writes formatted text behind its length, for which there is room already. An error that a
    /// `fmt` method returns ends the text where it stands: what was written until then is worth
    /// keeping.
    #[inline]
    fn formatted(&mut self, text: fmt::Arguments<'_>) {
        let start = self.out.len();
        let room = self.limit.saturating_sub(start);
        let mut writer = Bounded { out: self.out, room, missing: 0 };
        let _ = writer.write_fmt(text);
        self.missing += writer.missing;
        let length = u32::try_from(self.out.len() - start).unwrap_or(0);
        if let Some(place) = self.out.get_mut(start - LENGTH..start) {
            place.copy_from_slice(&length.to_le_bytes());
        }
    }
}

/// The length of a text that has no room at all.
#[cold]
fn length_of(text: fmt::Arguments<'_>) -> usize {
    let mut counter = Bounded { out: &mut Vec::new(), room: 0, missing: 0 };
    let _ = counter.write_fmt(text);
    counter.missing
}

/// A `fmt::Write` that keeps a prefix and counts the rest, so that no `Debug` of a huge value
/// costs memory.
struct Bounded<'b> {
    out: &'b mut Vec<u8>,
    room: usize,
    missing: usize,
}

impl fmt::Write for Bounded<'_> {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.len() <= self.room {
            self.room -= text.len();
            self.out.extend_from_slice(text.as_bytes());
        } else {
            self.cut(text);
        }
        Ok(())
    }
}

impl Bounded<'_> {
    #[cold]
    fn cut(&mut self, text: &str) {
        let kept = floor_char_boundary(text, self.room);
        self.out.extend_from_slice(kept.as_bytes());
        self.missing += text.len() - kept.len();
        // Nothing may follow a cut: the kept text is a prefix, not a text with holes.
        self.room = 0;
    }
}

/// Makes a block of `out`: the fields of a span with inline names, at most `limit` bytes of them,
/// behind their number and the bytes that the limit kept out. `show` shows each field, and again
/// where they don't fit as they are.
///
/// ```
/// use fleetlog_protocol::record::{FieldName, put_block};
/// let mut block = Vec::new();
/// put_block(&mut block, 1024, |fair| {
///     fair.field(|field| field.u64(FieldName::Inline("id"), 7));
/// });
/// assert_eq!(block[..6], [1, 0, 0, 0, 0, 0]);
/// ```
pub fn put_block(out: &mut Vec<u8>, limit: usize, mut show: impl FnMut(&mut FairEncoder<'_>)) {
    out.clear();
    out.extend_from_slice(&[0; BLOCK_HEADER_LEN]);
    let limit = limit.saturating_add(BLOCK_HEADER_LEN);
    let (count, missing) = put_as_they_are(out, limit, &mut show);
    if missing == 0 {
        return close_block(out, count, 0);
    }
    out.truncate(BLOCK_HEADER_LEN);
    let (count, missing) = put_fairly(out, limit, show);
    close_block(out, count, missing);
}

fn close_block(block: &mut [u8], count: u16, missing: usize) {
    let missing = u32::try_from(missing).unwrap_or(u32::MAX);
    block[..2].copy_from_slice(&count.to_le_bytes());
    block[2..BLOCK_HEADER_LEN].copy_from_slice(&missing.to_le_bytes());
}

/// Joins [blocks](put_block) into one in which each name stands once, with its last value, at the
/// place of its first. What was missing in one of them is missing in it.
///
/// A span whose fields are recorded again and again stays as small as its distinct names.
#[must_use]
pub fn merge_fields(blocks: &[&[u8]], limit: usize) -> Vec<u8> {
    let mut merged: Vec<(&str, Value<'_>)> = Vec::new();
    for field in blocks.iter().flat_map(|block| fields_of_block(block)) {
        let FieldName::Inline(name) = field.name else { continue };
        match merged.iter_mut().find(|(known, _)| *known == name) {
            Some(known) => known.1 = field.value,
            None => merged.push((name, field.value)),
        }
    }
    let mut out = vec![0; BLOCK_HEADER_LEN];
    let limit = limit.saturating_add(BLOCK_HEADER_LEN);
    let (count, missing) = put_fairly(&mut out, limit, |fair| {
        for (name, value) in &merged {
            fair.field(|field| field.value(FieldName::Inline(name), value));
        }
    });
    let before: usize = blocks.iter().map(|block| missing_in_block(block)).sum();
    close_block(&mut out, count, missing + before);
    out
}

/// How many fields a block has.
pub(super) fn count_in(block: &[u8]) -> usize {
    block.first_chunk().map_or(0, |count| usize::from(u16::from_le_bytes(*count)))
}

/// The bytes that a limit kept out of a [block](put_block).
#[must_use]
pub fn missing_in_block(block: &[u8]) -> usize {
    let missing = block.get(2..).and_then(|rest| rest.first_chunk());
    missing.map_or(0, |missing| u32::from_le_bytes(*missing) as usize)
}
