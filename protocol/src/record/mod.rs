//! Records: one encoded event each.
//!
//! A record is self-contained but for its callsite: the fields of its spans are copied into it,
//! so that no state can be lost and no order matters. Its layout, all integers little-endian:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | sequence number in its queue, from 1 |
//! | 8 | 8 | stamp ([`crate::stamp`]) |
//! | 16 | 4 | thread (the kernel's id of it) |
//! | 20 | 4 | callsite number, 0 = the definition stands at the record's end |
//! | 24 | 4 | offset of that definition, 0 = none |
//! | 28 | 4 | bytes the record would have had, 0 = it is whole |
//! | 32 | 1 | level |
//! | 33 | 1 | reserved, 0 |
//! | 34 | 2 | number of spans |
//! | 36 | 2 | number of fields |
//! | 38 | 2 | reserved, 0 |
//! | 40 | | spans, outermost first, then fields, then the definition |
//!
//! The writing half is [`RecordEncoder`], the reading half [`Record`]. A record that would grow
//! beyond its limit is cut: the largest values at a character boundary, none that is smaller than its
//! share of the room ([`put_fairly`]). It says how long it would have been.

mod decoder;
mod encoder;
mod fair;
mod fields;
mod rewrite;

pub use decoder::{ErrorChain, Field, Fields, Record, Span, Value, fields_of_block};
pub(crate) use encoder::sealed;
pub use encoder::{RecordEncoder, seal, stamp_of};
pub use fair::{FairEncoder, put_fairly};
pub use fields::{FieldEncoder, FieldName, merge_fields, missing_in_block, put_block};
pub use rewrite::{content_of, rewrite};

/// The bytes of a record before its spans.
pub const HEADER_LEN: usize = 40;

/// The same in words of eight bytes.
pub(crate) const HEADER_WORDS: usize = HEADER_LEN / 8;

/// The bytes of a block before its fields: their number (u16), and the bytes that a limit kept out of
/// the block (u32).
const BLOCK_HEADER_LEN: usize = 6;

/// A field's name is spelled out behind this index.
const NAME_INLINE: u16 = u16::MAX;

/// The type byte of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Type {
    U64 = 1,
    I64 = 2,
    U128 = 3,
    I128 = 4,
    F64 = 5,
    Bool = 6,
    Str = 7,
    Bytes = 8,
    Debug = 9,
    Error = 10,
}

/// The longest prefix of `text` of at most `limit` bytes that ends between two characters.
#[inline]
pub(crate) fn floor_char_boundary(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    let mut end = limit;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
