//! The writing half: an event becomes a record.

use super::decoder::spans_of;
use super::fields::{count_in, merge_fields, missing_in_block};
use super::{
    BLOCK_HEADER_LEN, FairEncoder, FieldEncoder, HEADER_LEN, HEADER_WORDS, floor_char_boundary,
    put_fairly,
};
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
    level: Level,
    limit: usize,
    spans: u16,
    missing: usize,
}

impl<'b> RecordEncoder<'b> {
    /// Clears `out` and starts a record of at most `limit` bytes.
    #[inline]
    pub fn new(out: &'b mut Vec<u8>, level: Level, limit: usize) -> Self {
        out.clear();
        out.extend_from_slice(&[0; HEADER_LEN]);
        Self { out, level, limit, spans: 0, missing: 0 }
    }

    /// Lets `add` add [spans](Self::span). The encoder of a record without any never has to be in
    /// memory, from which it would be read back before it has arrived there.
    #[inline]
    ///
    /// Spans may have half of the record: an event's own fields matter more than its context. Where
    /// they need more, `add` is called again, and their largest values are cut.
    #[must_use]
    pub fn with_spans(self, mut add: impl FnMut(&mut RecordEncoder<'_>)) -> Self {
        let Self { out, level, limit, spans, missing } = self;
        let mut lent = RecordEncoder { out: &mut *out, level, limit, spans, missing };
        add(&mut lent);
        let (mut spans, mut missing) = (lent.spans, lent.missing);
        if missing > 0 {
            (spans, missing) = put_spans_fairly(out, level, limit, add);
        }
        Self { out, level, limit, spans, missing }
    }

    /// Adds a span of the event's context, the outermost first, with the fields of some
    /// [blocks](super::put_block); a later block's fields follow an earlier one's. A span that has no
    /// room is left out.
    pub fn span(&mut self, name: &str, blocks: &[&[u8]]) {
        let name = floor_char_boundary(name, 255);
        let count: usize = blocks.iter().map(|block| count_in(block)).sum();
        if count > FIELD_COUNT_MAX {
            // A reader refuses more fields than that, and would lose the whole record with them.
            return self.span(name, &[&merge_fields(blocks, self.limit)]);
        }
        self.missing += blocks.iter().map(|block| missing_in_block(block)).sum::<usize>();
        let fields: usize =
            blocks.iter().map(|block| block.len().saturating_sub(BLOCK_HEADER_LEN)).sum();
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
            self.out.extend_from_slice(block.get(BLOCK_HEADER_LEN..).unwrap_or(&[]));
        }
    }

    /// The event's own fields. Call [`finish`](Self::finish) with the encoder's count and
    /// missing bytes.
    #[inline]
    pub const fn fields(&mut self) -> FieldEncoder<'_> {
        FieldEncoder::new(self.out, self.limit)
    }

    /// Writes the event's own fields anew where they did not fit as they are: the largest values are
    /// cut, and no small one. `show` shows each field, twice. Returns their count and missing bytes.
    #[cold]
    pub fn fields_fairly(&mut self, show: impl FnMut(&mut FairEncoder<'_>)) -> (u16, usize) {
        let spans = self.out.get(HEADER_LEN..).unwrap_or(&[]);
        let start = (0..self.spans).fold(0, |at, _| {
            let length = spans.get(at..).and_then(|rest| rest.first_chunk());
            at + length.map_or(0, |length| 4 + u32::from_le_bytes(*length) as usize)
        });
        self.out.truncate(HEADER_LEN + start);
        put_fairly(self.out, self.limit, show)
    }

    /// Completes the header.
    #[inline]
    pub fn finish(self, thread: u32, fields: u16, missing: usize) {
        let missing = self.missing + missing;
        let len = self.out.len();
        // `new` put the header there; one check of its length is all that is needed.
        let Some(header) = self.out.first_chunk_mut::<HEADER_LEN>() else { return };
        let original =
            if missing > 0 { u32::try_from(len + missing).unwrap_or(u32::MAX) } else { 0 };
        let counts = u64::from(self.spans) << 16 | u64::from(fields) << 32;
        // Whole words, because they are read as such: a load that covers several younger stores
        // waits until they have left the processor's core.
        put_word(header, 2, u64::from(thread));
        put_word(header, 3, u64::from(original) << 32);
        put_word(header, 4, self.level as u64 | counts);
    }

    /// Appends the callsite's definition to a finished record, for a callsite without a number.
    pub fn append_definition(record: &mut Vec<u8>, definition: &[u8]) {
        let at = u32::try_from(record.len()).unwrap_or(0);
        record[24..28].copy_from_slice(&at.to_le_bytes());
        record.extend_from_slice(definition);
    }
}

/// More than the spans of any record need.
const SPANS_LIMIT: usize = usize::MAX / 4;

/// Writes the spans that `add` adds into half of a record whose spans don't fit there as they are, or
/// of which something is missing already. Returns how many there are, and what is missing.
#[cold]
fn put_spans_fairly(
    out: &mut Vec<u8>,
    level: Level,
    limit: usize,
    mut add: impl FnMut(&mut RecordEncoder<'_>),
) -> (u16, usize) {
    let mut whole = Vec::new();
    let mut encoder = RecordEncoder::new(&mut whole, level, SPANS_LIMIT);
    add(&mut encoder);
    let mut missing = encoder.missing;
    let spans = || spans_of(whole.get(HEADER_LEN..).unwrap_or(&[]));
    // What stands around the fields: a length, a name behind its length, a count.
    let frame = |name: &str| 4 + 1 + name.len() + 2;
    let frames: usize = spans().map(|span| frame(span.name)).sum();
    let mut fields = Vec::new();
    let room = (limit / 2).saturating_sub(HEADER_LEN + frames);
    // The share is that of a field among the fields of all spans.
    let mut measured = Vec::new();
    spans().for_each(|span| {
        measured.extend(span.fields.map(|field| super::fair::measure_value(&field)));
    });
    let share = super::fair::share(measured, room);
    out.truncate(HEADER_LEN);
    let mut count = 0;
    for span in spans() {
        fields.clear();
        let (written, cut) = super::fair::put_shares(&mut fields, share, span.fields);
        let length = 1 + span.name.len() + 2 + fields.len();
        if out.len() + 4 + length > limit / 2 {
            missing += 4 + length + cut;
            continue;
        }
        count += 1;
        missing += cut;
        out.extend_from_slice(&u32::try_from(length).unwrap_or(0).to_le_bytes());
        out.push(u8::try_from(span.name.len()).unwrap_or(0));
        out.extend_from_slice(span.name.as_bytes());
        out.extend_from_slice(&written.to_le_bytes());
        out.extend_from_slice(&fields);
    }
    (count, missing)
}

/// Fills in what the queue knows: sequence number, stamp, and callsite number (0 where the
/// record carries its definition).
///
/// Does nothing to bytes that are too few for a record, which [`RecordEncoder`] never makes.
#[inline]
pub fn seal(record: &mut [u8], seq: u64, stamp: Stamp, callsite: u32) {
    let Some(header) = record.first_chunk_mut::<HEADER_LEN>() else { return };
    for (place, word) in sealed(header, seq, stamp, callsite).into_iter().enumerate() {
        put_word(header, place, word);
    }
}

/// The header that [`seal`] makes, in words, for whoever stores it elsewhere.
#[inline]
pub(crate) fn sealed(
    header: &[u8; HEADER_LEN],
    seq: u64,
    stamp: Stamp,
    callsite: u32,
) -> [u64; HEADER_WORDS] {
    let thread = word(header, 2) & u64::from(u32::MAX);
    [seq, stamp, thread | u64::from(callsite) << 32, word(header, 3), word(header, 4)]
}

#[inline]
fn word(header: &[u8; HEADER_LEN], place: usize) -> u64 {
    header.as_chunks().0.get(place).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[inline]
fn put_word(header: &mut [u8; HEADER_LEN], place: usize, word: u64) {
    if let Some(bytes) = header.as_chunks_mut().0.get_mut(place) {
        *bytes = word.to_le_bytes();
    }
}

/// The sequence number and stamp with which every sequenced body begins.
#[must_use]
pub fn stamp_of(body: &[u8]) -> Option<(u64, Stamp)> {
    let (seq, rest) = body.split_first_chunk()?;
    let stamp = rest.first_chunk()?;
    Some((u64::from_le_bytes(*seq), u64::from_le_bytes(*stamp)))
}
