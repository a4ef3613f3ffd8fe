//! A log-linear histogram of nanoseconds: exact to one part in 64, and mergeable.

/// Buckets of each power of two.
const PARTS: u64 = 64;
const PARTS_LOG: u32 = PARTS.ilog2();
const BUCKETS: usize = 64 * 64;

/// Counts of values, and the exact largest one.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], max: 0 }
    }
}

impl Histogram {
    pub(crate) fn add(&mut self, value: u64) {
        self.counts[bucket(value)] += 1;
        self.max = self.max.max(value);
    }

    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The smallest value that at least `share` of ten thousand values do not exceed, rounded up
    /// to its bucket's end.
    pub(crate) fn quantile(&self, share: u64) -> u64 {
        let rank = (self.count() * share).div_ceil(10_000);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return last_of_bucket(index).min(self.max);
            }
        }
        self.max
    }

    /// Appends the largest value and pairs of bucket and count.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.max.to_le_bytes());
        for (index, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            out.extend_from_slice(&(index as u64).to_le_bytes());
            out.extend_from_slice(&count.to_le_bytes());
        }
    }

    /// Adds an encoded histogram.
    pub(crate) fn merge(&mut self, bytes: &[u8]) -> Option<()> {
        let (max, mut rest) = bytes.split_first_chunk()?;
        self.max = self.max.max(u64::from_le_bytes(*max));
        while let Some((index, tail)) = rest.split_first_chunk() {
            let (count, tail) = tail.split_first_chunk()?;
            let index = usize::try_from(u64::from_le_bytes(*index)).ok()?;
            *self.counts.get_mut(index)? += u64::from_le_bytes(*count);
            rest = tail;
        }
        Some(())
    }
}

fn bucket(value: u64) -> usize {
    let shift = value.max(1).ilog2().saturating_sub(PARTS_LOG);
    let index = u64::from(shift) * PARTS + (value >> shift);
    usize::try_from(index).unwrap_or(BUCKETS - 1)
}

fn last_of_bucket(index: usize) -> u64 {
    let index = index as u64;
    let shift = (index / PARTS).saturating_sub(1);
    let part = index - shift * PARTS;
    ((part + 1) << shift).wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_exact_to_a_64th() {
        let mut histogram = Histogram::default();
        for value in 1..=100_000 {
            histogram.add(value);
        }
        for (share, exact) in [(5000, 50_000), (9900, 99_000), (9999, 99_990), (10_000, 100_000)] {
            let found = histogram.quantile(share);
            assert!(found >= exact && found <= exact + exact / 64, "{share}: {found}");
        }
    }

    #[test]
    fn every_value_lies_in_its_bucket() {
        for value in (0..70_000).chain([u64::MAX / 3, u64::MAX]) {
            let index = bucket(value);
            assert!(index < BUCKETS);
            assert!(value <= last_of_bucket(index), "{value}");
            assert!(index == 0 || value > last_of_bucket(index - 1), "{value}");
        }
    }

    #[test]
    fn merging_adds_counts_and_keeps_the_largest() {
        let (mut first, mut second) = (Histogram::default(), Histogram::default());
        first.add(10);
        second.add(5000);
        let mut bytes = Vec::new();
        second.encode(&mut bytes);
        assert_eq!(first.merge(&bytes), Some(()));
        assert_eq!((first.count(), first.quantile(10_000)), (2, 5000));
        assert_eq!(first.merge(&bytes[..20]), None);
    }
}
