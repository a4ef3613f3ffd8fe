//! A record with other values: for whoever must change what a record says before it is shown.

use super::{FieldEncoder, FieldName, HEADER_LEN, Record, RecordEncoder, Value, put_block, seal};

/// Rewritten records have no limit of their own: what replaces a value is short.
const LIMIT: usize = usize::MAX / 4;

/// The spans and fields of an encoded record, as they stand in its bytes. Two records of equal
/// callsites say the same if these are equal.
///
/// ```
/// use fleetlog_protocol::{Level, record::{self, FieldName, RecordEncoder}};
/// let mut bytes = Vec::new();
/// let encoder = RecordEncoder::new(&mut bytes, Level::Info, 1024);
/// encoder.finish(1, 0, 0);
/// assert!(record::content_of(&bytes).is_empty());
/// ```
#[must_use]
pub fn content_of(bytes: &[u8]) -> &[u8] {
    let definition_at = bytes.get(24..28).and_then(|at| at.first_chunk());
    let end = definition_at.map_or(0, |at| u32::from_le_bytes(*at) as usize);
    let end = if end == 0 { bytes.len() } else { end };
    bytes.get(HEADER_LEN..end).unwrap_or(&[])
}

/// Writes a copy of a record to `out`, field by field: `put` is called with each of them and writes
/// what shall stand there. The copy has no definition of its callsite.
///
/// ```
/// use fleetlog_protocol::{Level, record::{self, FieldName, Record, RecordEncoder, Value}};
/// # let mut bytes = Vec::new();
/// # let mut encoder = RecordEncoder::new(&mut bytes, Level::Info, 1024);
/// # let mut fields = encoder.fields();
/// # fields.str(FieldName::Index(0), "secret");
/// # let (count, missing) = (fields.count(), fields.missing());
/// # encoder.finish(1, count, missing);
/// let record = Record::decode(&bytes).unwrap();
/// let mut copy = Vec::new();
/// record::rewrite(&record, &mut copy, |fields, name, _| fields.str(name, "*"));
/// let copy = Record::decode(&copy).unwrap();
/// assert_eq!(copy.fields().next().unwrap().value, Value::Str("*"));
/// ```
pub fn rewrite(
    record: &Record<'_>,
    out: &mut Vec<u8>,
    mut put: impl FnMut(&mut FieldEncoder<'_>, FieldName<'_>, &Value<'_>),
) {
    let encoder = RecordEncoder::new(out, record.level, LIMIT);
    let mut block = Vec::new();
    let mut encoder = encoder.with_spans(|encoder| {
        for span in record.spans() {
            put_block(&mut block, LIMIT, |fair| {
                for field in span.fields {
                    fair.field(|fields| put(fields, field.name, &field.value));
                }
            });
            encoder.span(span.name, &[&block]);
        }
    });
    let mut fields = encoder.fields();
    for field in record.fields() {
        put(&mut fields, field.name, &field.value);
    }
    let count = fields.count();
    encoder.finish(record.thread, count, 0);
    seal(out, record.seq, record.stamp, record.callsite);
    if let (Some(original), Some(place)) = (record.original_len, out.get_mut(28..32)) {
        place.copy_from_slice(&original.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::Level;

    #[test]
    fn a_copy_says_what_the_record_said() {
        let mut block = Vec::new();
        put_block(&mut block, LIMIT, |fair| {
            fair.field(|fields| fields.i64(FieldName::Inline("id"), -7));
        });
        let mut bytes = Vec::new();
        let encoder = RecordEncoder::new(&mut bytes, Level::Warn, 4096);
        let mut encoder = encoder.with_spans(|encoder| encoder.span("request", &[&block]));
        let mut fields = encoder.fields();
        fields.str(FieldName::Index(0), "finished");
        fields.bytes(FieldName::Inline("raw"), b"\0\x01");
        fields.error(FieldName::Index(1), &std::io::Error::other("it broke"));
        let count = fields.count();
        encoder.finish(9, count, 100);
        seal(&mut bytes, 5, 1_000, 3);
        let record = Record::decode(&bytes).unwrap();
        let mut copy = Vec::new();
        rewrite(&record, &mut copy, |fields, name, value| {
            fields.value(name, value);
        });
        assert_eq!(copy, bytes);
        assert_eq!(content_of(&copy), &copy[HEADER_LEN..]);
    }
}
