//! Fields that do not all fit: each gets its share of the room, and no small value is the victim of
//! a big one.
//!
//! A value that needs no more than an equal share of the room is written whole; what it leaves of
//! its share is the others'. So only the largest values are cut, all of them to the same length. For
//! that the fields are shown twice, to be measured and to be written. It is the way of the rare
//! record that is too long: [`FieldEncoder`] alone writes all others.

use super::{Field, FieldEncoder};
use crate::limits::FIELD_COUNT_MAX;

/// Takes fields one by one, to measure or to write them.
#[derive(Debug)]
pub struct FairEncoder<'b> {
    out: &'b mut Vec<u8>,
    limit: usize,
    /// What each field needs; empty once the share is known.
    sizes: Vec<usize>,
    /// The most that a field may have; `None` = they are being measured.
    share: Option<usize>,
    count: u16,
    missing: usize,
}

/// Writes the fields that `show` shows, behind what `out` holds, which grows to at most `limit` bytes
/// in all. `show` is called twice and must show the same. Returns how many fields were written and
/// the bytes that the limit kept out.
///
/// ```
/// use fleetlog_protocol::record::{FieldName, put_fairly};
/// let mut out = Vec::new();
/// let (count, missing) = put_fairly(&mut out, 1000, |fair| {
///     fair.field(|field| field.str(FieldName::Index(0), &"x".repeat(5000)));
///     fair.field(|field| field.u64(FieldName::Index(1), 7));
/// });
/// assert_eq!((count, out.len()), (2, 1000));
/// assert!(missing > 4000);
/// ```
pub fn put_fairly(
    out: &mut Vec<u8>,
    limit: usize,
    mut show: impl FnMut(&mut FairEncoder<'_>),
) -> (u16, usize) {
    let room = limit.saturating_sub(out.len());
    let mut fair = FairEncoder { out, limit, sizes: Vec::new(), share: None, count: 0, missing: 0 };
    show(&mut fair);
    fair.share = Some(share(std::mem::take(&mut fair.sizes), room));
    show(&mut fair);
    (fair.count, fair.missing)
}

/// Writes the fields that `show` shows as long as there is room, whoever takes it.
pub(super) fn put_as_they_are(
    out: &mut Vec<u8>,
    limit: usize,
    show: &mut impl FnMut(&mut FairEncoder<'_>),
) -> (u16, usize) {
    let share = Some(usize::MAX);
    let mut fair = FairEncoder { out, limit, sizes: Vec::new(), share, count: 0, missing: 0 };
    show(&mut fair);
    (fair.count, fair.missing)
}

impl FairEncoder<'_> {
    /// Takes one field: `put` writes it, or as much of it as the encoder takes.
    pub fn field(&mut self, put: impl FnOnce(&mut FieldEncoder<'_>)) {
        let Some(share) = self.share else {
            if self.sizes.len() < FIELD_COUNT_MAX {
                self.sizes.push(measure(put));
            }
            return;
        };
        if usize::from(self.count) >= FIELD_COUNT_MAX {
            self.missing += measure(put);
            return;
        }
        let limit = self.limit.min(self.out.len().saturating_add(share));
        let mut fields = FieldEncoder::new(self.out, limit);
        put(&mut fields);
        let (count, missing) = (fields.count(), fields.missing());
        self.count += count;
        self.missing += missing;
    }
}

/// The bytes that a field needs: an encoder without any room counts them as missing.
fn measure(put: impl FnOnce(&mut FieldEncoder<'_>)) -> usize {
    let mut none = Vec::new();
    let mut fields = FieldEncoder::new(&mut none, 0);
    put(&mut fields);
    fields.missing()
}

/// The bytes that a decoded field needs.
pub(super) fn measure_value(field: &Field<'_>) -> usize {
    measure(|fields| fields.value(field.name, &field.value))
}

/// Writes decoded fields, none of them longer than its share. Returns how many were written, and the
/// bytes that are missing.
pub(super) fn put_shares<'a>(
    out: &mut Vec<u8>,
    share: usize,
    fields: impl Iterator<Item = Field<'a>>,
) -> (u16, usize) {
    let (limit, sizes) = (usize::MAX, Vec::new());
    let mut fair = FairEncoder { out, limit, sizes, share: Some(share), count: 0, missing: 0 };
    for field in fields {
        fair.field(|encoder| encoder.value(field.name, &field.value));
    }
    (fair.count, fair.missing)
}

/// The largest share with which everything fits into the room.
pub(super) fn share(mut sizes: Vec<usize>, mut room: usize) -> usize {
    sizes.sort_unstable();
    for (at, size) in sizes.iter().enumerate() {
        let share = room / (sizes.len() - at);
        if *size > share {
            return share;
        }
        room -= size;
    }
    usize::MAX
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn a_share_fits_and_nothing_larger_would() {
        for (sizes, room, expected) in [
            (vec![], 10, usize::MAX),
            (vec![4, 6], 10, usize::MAX),
            (vec![100, 1, 1], 10, 8),
            (vec![100, 1, 100], 11, 5),
            (vec![7, 7, 7], 9, 3),
        ] {
            assert_eq!(share(sizes.clone(), room), expected, "{sizes:?} in {room}");
        }
    }
}
