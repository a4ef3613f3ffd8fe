//! The reading half: a record that somebody sent becomes values.
//!
//! [`Record::decode`] walks the whole record once and refuses it if any part is wrong; the
//! iterators behind it therefore only ever meet bytes that were already checked, and look at them
//! with as little ado as possible: they are the innermost loop of a listener.

use super::{FieldName, HEADER_LEN, NAME_INLINE, Type};
use crate::decode::{Cursor, DecodeError, check_count};
use crate::level::Level;
use crate::limits::{ERROR_CHAIN_MAX, FIELD_COUNT_MAX, SPAN_DEPTH_MAX};
use crate::stamp::Stamp;

/// A decoded record, borrowed from its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The sequence number in its queue, from 1.
    pub seq: u64,
    /// When the record was made.
    pub stamp: Stamp,
    /// The thread that made it.
    pub thread: u32,
    /// The callsite's number; 0 where [`definition`](Self::definition) holds it.
    pub callsite: u32,
    /// The level.
    pub level: Level,
    /// The bytes that the record would have had, if it was truncated.
    pub original_len: Option<u32>,
    /// The callsite's definition, where it has no number.
    pub definition: Option<&'a [u8]>,
    spans: Spans<'a>,
    fields: Fields<'a>,
}

impl<'a> Record<'a> {
    /// Decodes and checks a record.
    ///
    /// # Errors
    /// Any [`DecodeError`]: the bytes are not a record.
    #[inline]
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (header, behind) =
            bytes.split_first_chunk().ok_or(DecodeError::Truncated("a record's header"))?;
        let Header {
            seq,
            stamp,
            thread,
            callsite,
            definition_at,
            original_len,
            level,
            spans,
            fields,
        } = Header::of(header);
        let level =
            Level::from_byte(level).ok_or(DecodeError::Unknown { what: "level", found: level })?;
        check_count("a record's span count", usize::from(spans), SPAN_DEPTH_MAX)?;
        check_count("a record's field count", usize::from(fields), FIELD_COUNT_MAX)?;

        let (body, definition) = if definition_at == 0 {
            (behind, None)
        } else {
            let at = (definition_at as usize)
                .checked_sub(HEADER_LEN)
                .ok_or(DecodeError::Truncated("a record's header"))?;
            let (body, definition) = behind
                .split_at_checked(at)
                .ok_or(DecodeError::Truncated("a record's definition"))?;
            (body, Some(definition))
        };
        let mut cursor = Cursor::new(body);
        let spans = Spans::check(&mut cursor, spans)?;
        let fields = Fields::check(&mut cursor, fields)?;
        cursor.end("a record")?;
        Ok(Self {
            seq,
            stamp,
            thread,
            callsite,
            level,
            original_len: (original_len != 0).then_some(original_len),
            definition,
            spans,
            fields,
        })
    }

    /// The spans that were entered, the outermost first.
    pub fn spans(&self) -> impl ExactSizeIterator<Item = Span<'a>> + use<'a> {
        self.spans
    }

    /// The event's fields in the order of the call.
    #[must_use]
    pub const fn fields(&self) -> Fields<'a> {
        self.fields
    }
}

/// The numbers of a record's first bytes.
struct Header {
    seq: u64,
    stamp: Stamp,
    thread: u32,
    callsite: u32,
    definition_at: u32,
    original_len: u32,
    level: u8,
    spans: u16,
    fields: u16,
}

impl Header {
    #[inline]
    fn of(bytes: &[u8; HEADER_LEN]) -> Self {
        let two = |at| u16::from_le_bytes(part(bytes, at));
        let four = |at| u32::from_le_bytes(part(bytes, at));
        let eight = |at| u64::from_le_bytes(part(bytes, at));
        Self {
            seq: eight(0),
            stamp: eight(8),
            thread: four(16),
            callsite: four(20),
            definition_at: four(24),
            original_len: four(28),
            level: bytes[32],
            spans: two(34),
            fields: two(36),
        }
    }
}

/// The bytes of the header from `at` on.
#[inline]
fn part<const N: usize>(header: &[u8; HEADER_LEN], at: usize) -> [u8; N] {
    std::array::from_fn(|byte| header[at + byte])
}

/// A span of a record's context.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    /// The span's name.
    pub name: &'a str,
    /// Its fields; a field that was recorded again stands again.
    pub fields: Fields<'a>,
}

#[derive(Clone, Copy, Debug)]
struct Spans<'a> {
    left: u16,
    cursor: Cursor<'a>,
}

impl<'a> Spans<'a> {
    #[inline]
    fn check(cursor: &mut Cursor<'a>, count: u16) -> Result<Self, DecodeError> {
        let spans = Self { left: count, cursor: *cursor };
        for _ in 0..count {
            read_span(cursor)?;
        }
        Ok(spans)
    }
}

impl<'a> Iterator for Spans<'a> {
    type Item = Span<'a>;

    #[inline]
    fn next(&mut self) -> Option<Span<'a>> {
        self.left = self.left.checked_sub(1)?;
        read_span(&mut self.cursor).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::from(self.left), Some(usize::from(self.left)))
    }
}

impl ExactSizeIterator for Spans<'_> {}

/// The spans that bytes hold, one behind the other, as an encoder writes them.
pub(super) fn spans_of<'a>(bytes: &'a [u8]) -> impl Iterator<Item = Span<'a>> + use<'a> {
    let mut cursor = Cursor::new(bytes);
    std::iter::from_fn(move || read_span(&mut cursor).ok())
}

#[inline(never)]
fn read_span<'a>(cursor: &mut Cursor<'a>) -> Result<Span<'a>, DecodeError> {
    let mut body = Cursor::new(cursor.long_bytes("a span")?);
    let name = body.short_text("a span's name")?;
    let count = body.u16("a span's field count")?;
    check_count("a span's field count", usize::from(count), FIELD_COUNT_MAX)?;
    let fields = Fields::check(&mut body, count)?;
    body.end("a span")?;
    Ok(Span { name, fields })
}

/// An iterator over fields.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    left: u16,
    names: u16,
    cursor: Cursor<'a>,
}

impl<'a> Fields<'a> {
    #[inline]
    fn check(cursor: &mut Cursor<'a>, count: u16) -> Result<Self, DecodeError> {
        let mut fields = Self { left: count, names: 0, cursor: *cursor };
        for _ in 0..count {
            if let Some((index, rest)) = pass_plain_field(cursor.rest()) {
                fields.names = fields.names.max(index + 1);
                *cursor = Cursor::new(rest);
            } else if let FieldName::Index(index) = read_field(cursor)?.name {
                fields.names = fields.names.max(index.saturating_add(1));
            }
        }
        Ok(fields)
    }

    /// How many names the callsite must have, so that each index among the fields has one.
    #[must_use]
    pub const fn names(&self) -> u16 {
        self.names
    }
}

/// The fields of a [block](super::put_block). Ends early where the bytes do.
pub fn fields_of_block<'a>(block: &'a [u8]) -> impl Iterator<Item = Field<'a>> + use<'a> {
    let mut cursor = Cursor::new(block);
    let count = cursor.u16("a block's field count").unwrap_or(0);
    let _ = cursor.u32("what is missing in a block");
    (0..count).map_while(move |_| read_field(&mut cursor).ok())
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    // A field that is returned through memory is written in parts and read as a whole, for which
    // processors wait: a tenth of a listener's time.
    #[inline(always)]
    fn next(&mut self) -> Option<Field<'a>> {
        self.left = self.left.checked_sub(1)?;
        let (field, rest) = read_checked_field(self.cursor.rest())?;
        self.cursor = Cursor::new(rest);
        Some(field)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(usize::from(self.left)))
    }
}

/// A named value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field<'a> {
    /// The name, or the index of it in the callsite.
    pub name: FieldName<'a>,
    /// The value.
    pub value: Value<'a>,
}

/// A field's value in its type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// An unsigned integer.
    U64(u64),
    /// A signed integer.
    I64(i64),
    /// A large unsigned integer.
    U128(u128),
    /// A large signed integer.
    I128(i128),
    /// A floating-point number.
    F64(f64),
    /// A boolean.
    Bool(bool),
    /// A string.
    Str(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// What a value's `Debug` printed.
    Debug(&'a str),
    /// An error and its sources.
    Error(ErrorChain<'a>),
}

/// An error and its sources, outermost first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorChain<'a> {
    count: u16,
    bytes: &'a [u8],
}

impl<'a> ErrorChain<'a> {
    /// What each error prints, outermost first.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let mut cursor = Cursor::new(self.bytes);
        (0..self.count).map_while(move |_| cursor.long_text("an error").ok())
    }
}

/// Reads a field that [`read_field`] has read before.
#[inline(always)]
fn read_checked_field(bytes: &[u8]) -> Option<(Field<'_>, &[u8])> {
    let ([of, low, high], rest) = bytes.split_first_chunk()?;
    let index = u16::from_le_bytes([*low, *high]);
    let (name, rest) = if index == NAME_INLINE {
        let (length, rest) = rest.split_first()?;
        let (name, rest) = rest.split_at_checked(usize::from(*length))?;
        (FieldName::Inline(checked_text(name)), rest)
    } else {
        (FieldName::Index(index), rest)
    };
    macro_rules! fixed {
        ($value:ident => $made:expr) => {{
            let ($value, rest) = rest.split_first_chunk()?;
            ($made, rest)
        }};
    }
    let (value, rest) = match *of {
        of if of == Type::Str as u8 => {
            let (text, rest) = split_long(rest)?;
            (Value::Str(checked_text(text)), rest)
        }
        of if of == Type::Debug as u8 => {
            let (text, rest) = split_long(rest)?;
            (Value::Debug(checked_text(text)), rest)
        }
        of if of == Type::U64 as u8 => fixed!(value => Value::U64(u64::from_le_bytes(*value))),
        of if of == Type::I64 as u8 => fixed!(value => Value::I64(i64::from_le_bytes(*value))),
        of if of == Type::F64 as u8 => {
            fixed!(value => Value::F64(f64::from_bits(u64::from_le_bytes(*value))))
        }
        of if of == Type::Bool as u8 => fixed!(value => Value::Bool(*value != [0])),
        of if of == Type::U128 as u8 => fixed!(value => Value::U128(u128::from_le_bytes(*value))),
        of if of == Type::I128 as u8 => fixed!(value => Value::I128(i128::from_le_bytes(*value))),
        of if of == Type::Bytes as u8 => {
            let (bytes, rest) = split_long(rest)?;
            (Value::Bytes(bytes), rest)
        }
        _ => {
            let mut cursor = Cursor::new(rest);
            let chain = read_error_chain(&mut cursor).ok()?;
            (Value::Error(chain), cursor.rest())
        }
    };
    Some((Field { name, value }, rest))
}

/// The index of a field's name, and the bytes behind the field: for those whose name has an index,
/// whose value is of a usual type, and whose text is ASCII. These are nearly all, and need no more
/// than a look at their length; [`read_field`] judges the others.
#[inline]
fn pass_plain_field(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let ([of, low, high], rest) = bytes.split_first_chunk()?;
    let index = u16::from_le_bytes([*low, *high]);
    if index == NAME_INLINE {
        return None;
    }
    let rest = match *of {
        of if of == Type::Str as u8 || of == Type::Debug as u8 => {
            let (text, rest) = split_long(rest)?;
            if !is_ascii(text) {
                return None;
            }
            rest
        }
        of if of == Type::U64 as u8 || of == Type::I64 as u8 || of == Type::F64 as u8 => {
            rest.get(8..)?
        }
        of if of == Type::Bool as u8 => rest.get(1..)?,
        _ => return None,
    };
    Some((index, rest))
}

/// Whether all bytes are ASCII. The last sixteen are looked at as one, even where some of them
/// were looked at before: most texts are too short for a loop over the rest.
#[inline]
fn is_ascii(bytes: &[u8]) -> bool {
    let (chunks, _) = bytes.as_chunks::<16>();
    let Some(last) = bytes.last_chunk::<16>() else { return is_short_ascii(bytes) };
    chunks.iter().all(is_ascii_chunk) && is_ascii_chunk(last)
}

#[inline]
fn is_ascii_chunk(chunk: &[u8; 16]) -> bool {
    chunk.iter().fold(0, |all, byte| all | byte) < 0x80
}

#[inline]
fn is_short_ascii(bytes: &[u8]) -> bool {
    let all = match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => u64::from_le_bytes(*first) | u64::from_le_bytes(*last),
        _ => bytes.iter().fold(0, |all, byte| all | u64::from(*byte)),
    };
    all & 0x8080_8080_8080_8080 == 0
}

#[inline]
fn split_long(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

/// Text that was found to be UTF-8 when its record was decoded.
#[inline]
#[allow(unsafe_code, reason = "checking every text twice is a tenth of a listener's time")]
fn checked_text(bytes: &[u8]) -> &str {
    // SAFETY: `Fields` are only made by `Fields::check`, which walks the same bytes in the same
    // way and refuses a text that is neither ASCII (`pass_plain_field`) nor other UTF-8
    // (`read_field`); the bytes are borrowed since.
    unsafe { std::str::from_utf8_unchecked(bytes) }
}

#[inline(never)]
fn read_field<'a>(cursor: &mut Cursor<'a>) -> Result<Field<'a>, DecodeError> {
    let of = cursor.u8("a field's type")?;
    let index = cursor.u16("a field's name")?;
    let name = if index == NAME_INLINE {
        FieldName::Inline(cursor.short_text("a field's name")?)
    } else {
        FieldName::Index(index)
    };
    let value = match of {
        of if of == Type::U64 as u8 => Value::U64(cursor.u64("a u64 field")?),
        of if of == Type::I64 as u8 => Value::I64(cursor.i64("an i64 field")?),
        of if of == Type::U128 as u8 => Value::U128(cursor.u128("a u128 field")?),
        of if of == Type::I128 as u8 => Value::I128(cursor.i128("an i128 field")?),
        of if of == Type::F64 as u8 => Value::F64(f64::from_bits(cursor.u64("an f64 field")?)),
        of if of == Type::Bool as u8 => Value::Bool(cursor.u8("a bool field")? != 0),
        of if of == Type::Str as u8 => Value::Str(cursor.long_text("a string field")?),
        of if of == Type::Bytes as u8 => Value::Bytes(cursor.long_bytes("a bytes field")?),
        of if of == Type::Debug as u8 => Value::Debug(cursor.long_text("a debug field")?),
        of if of == Type::Error as u8 => Value::Error(read_error_chain(cursor)?),
        found => return Err(DecodeError::Unknown { what: "field type", found }),
    };
    Ok(Field { name, value })
}

fn read_error_chain<'a>(cursor: &mut Cursor<'a>) -> Result<ErrorChain<'a>, DecodeError> {
    let count = cursor.u16("an error chain's length")?;
    check_count("an error chain's length", usize::from(count), ERROR_CHAIN_MAX)?;
    let start = cursor.rest();
    for _ in 0..count {
        cursor.long_text("an error of a chain")?;
    }
    Ok(ErrorChain { count, bytes: &start[..start.len() - cursor.rest().len()] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_no_utf8_is_refused_at_every_place_and_other_text_is_read() {
        let decoded = |text: &[u8]| {
            let mut field = vec![Type::Str as u8, 0, 0];
            field.extend_from_slice(&u32::try_from(text.len()).unwrap().to_le_bytes());
            field.extend_from_slice(text);
            let mut cursor = Cursor::new(&field);
            let mut fields = Fields::check(&mut cursor, 1)?;
            assert_eq!(cursor.end("a field"), Ok(()));
            let Some(Field { value: Value::Str(read), .. }) = fields.next() else {
                panic!("a string was checked")
            };
            assert_eq!(read.as_bytes(), text);
            Ok::<_, DecodeError>(())
        };
        for length in 0..70 {
            assert_eq!(decoded("x".repeat(length).as_bytes()), Ok(()));
            for at in 0..length {
                let mut text = vec![b'x'; length];
                text[at] = 0xff;
                assert_eq!(decoded(&text), Err(DecodeError::NotUtf8("a string field")));
                text.splice(at..=at, "é".bytes());
                assert_eq!(decoded(&text), Ok(()));
            }
        }
    }
}
