//! The writing half: an event becomes a record.

use super::fields::merge_and_count;
use super::{FieldEncoder, HEADER_LEN, floor_char_boundary};
use crate::level::Level;
use crate::limits::{FIELD_COUNT_MAX, SPAN_DEPTH_MAX};
use crate::stamp::Stamp;

/// Encodes one record into a buffer: spans first, then fields, then [`finish`](Self::finish).
///
/// Sequence number, stamp and callsite number are not known yet while an event is encoded; the
/// queue fills them in with [`seal`].
///
/// ```
/// use fleetlog_protocol::{Level, record::{self, FieldName, Record, RecordEncoder}};
/// let mut bytes = Vec::new();
/// let mut encoder = RecordEncoder::new(&mut bytes, Level::Info, 1024);
/// let mut fields = encoder.fields();
/// fields.u64(FieldName::Index(0), 7);
/// let (count, missing) = (fields.count(), fields.missing());
/// encoder.finish(1, count, missing);
/// record::seal(&mut bytes, 1, 1_000, 3);
/// let record = Record::decode(&bytes).unwrap();
/// assert_eq!((record.seq, record.callsite), (1, 3));
/// ```
#[derive(Debug)]
pub struct RecordEncoder<'b> {
    out: &'b mut Vec<u8>,
    limit: usize,
    spans: u16,
    missing: usize,
}

impl<'b> RecordEncoder<'b> {
    /// Clears `out` and starts a record of at most `limit` bytes.
    pub fn new(out: &'b mut Vec<u8>, level: Level, limit: usize) -> Self {
        out.clear();
        out.resize(HEADER_LEN, 0);
        out[32] = level as u8;
        Self { out, limit, spans: 0, missing: 0 }
    }

    /// Adds a span of the event's context, the outermost first. Each block is a count (u16) and
    /// that many fields with inline names; a later block's fields follow an earlier one's.
    ///
    /// A span that does not fit into half of the record is left out: an event's own fields
    /// matter more than its context.
    pub fn span(&mut self, name: &str, blocks: &[&[u8]]) {
        let name = floor_char_boundary(name, 255);
        let count: usize = blocks
            .iter()
            .filter_map(|block| block.first_chunk().map(|count| u16::from_le_bytes(*count)))
            .map(usize::from)
            .sum();
        if count > FIELD_COUNT_MAX {
            // A reader refuses more fields than that, and would lose the whole record with them.
            let (merged, missing) = merge_and_count(blocks, self.limit);
            self.missing += missing;
            return self.span(name, &[&merged]);
        }
        let fields: usize = blocks.iter().map(|block| block.len().saturating_sub(2)).sum();
        let length = 1 + name.len() + 2 + fields;
        if usize::from(self.spans) >= SPAN_DEPTH_MAX || self.out.len() + 4 + length > self.limit / 2
        {
            self.missing += 4 + length;
            return;
        }
        self.spans += 1;
        self.out.extend_from_slice(&u32::try_from(length).unwrap_or(0).to_le_bytes());
        self.out.push(u8::try_from(name.len()).unwrap_or(0));
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(&u16::try_from(count).unwrap_or(0).to_le_bytes());
        for block in blocks {
            self.out.extend_from_slice(block.get(2..).unwrap_or(&[]));
        }
    }

    /// The event's own fields. Call [`finish`](Self::finish) with the encoder's count and
    /// missing bytes.
    pub const fn fields(&mut self) -> FieldEncoder<'_> {
        FieldEncoder::new(self.out, self.limit)
    }

    /// Completes the header.
    pub fn finish(self, thread: u32, fields: u16, missing: usize) {
        let missing = self.missing + missing;
        if missing > 0 {
            let original = u32::try_from(self.out.len() + missing).unwrap_or(u32::MAX);
            self.out[28..32].copy_from_slice(&original.to_le_bytes());
        }
        self.out[16..20].copy_from_slice(&thread.to_le_bytes());
        self.out[34..36].copy_from_slice(&self.spans.to_le_bytes());
        self.out[36..38].copy_from_slice(&fields.to_le_bytes());
    }

    /// Appends the callsite's definition to a finished record, for a callsite without a number.
    pub fn append_definition(record: &mut Vec<u8>, definition: &[u8]) {
        let at = u32::try_from(record.len()).unwrap_or(0);
        record[24..28].copy_from_slice(&at.to_le_bytes());
        record.extend_from_slice(definition);
    }
}

/// Fills in what the queue knows: sequence number, stamp, and callsite number (0 where the
/// record carries its definition).
///
/// # Panics
/// Never for a record that was made by [`RecordEncoder`]; a shorter buffer is a programming
/// error of this workspace.
pub fn seal(record: &mut [u8], seq: u64, stamp: Stamp, callsite: u32) {
    record[0..8].copy_from_slice(&seq.to_le_bytes());
    record[8..16].copy_from_slice(&stamp.to_le_bytes());
    record[20..24].copy_from_slice(&callsite.to_le_bytes());
}

/// The sequence number and stamp with which every sequenced body begins.
#[must_use]
pub fn stamp_of(body: &[u8]) -> Option<(u64, Stamp)> {
    let (seq, rest) = body.split_first_chunk()?;
    let stamp = rest.first_chunk()?;
    Some((u64::from_le_bytes(*seq), u64::from_le_bytes(*stamp)))
}
