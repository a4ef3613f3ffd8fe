//! A log-linear histogram of nanoseconds: exact to one part in 64, and mergeable.

/// Buckets of each power of two.
const PARTS: u64 = 64;
const PARTS_LOG: u32 = PARTS.ilog2();
const BUCKETS: usize = 64 * 64;

/// Values that are told as one.
struct Bin {
    middle: f64,
    width: f64,
    count: f64,
}

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

    /// The value that `share` of ten thousand values do not exceed. The clock's steps are taken for
    /// what they are: a value stands for the `step` nanoseconds around it, or for its bucket where
    /// that is wider, and the figure lies within them in proportion.
    pub(crate) fn quantile(&self, share: u64, step: u64) -> f64 {
        // Counts and nanoseconds are exact as an `f64`: they are below 2^53.
        let rank = self.count() as f64 * share as f64 / 10_000.0;
        let mut seen = 0.0;
        for Bin { middle, width, count } in self.bins(step) {
            if seen + count >= rank {
                let within = middle - width / 2.0 + width * (rank - seen) / count;
                return within.clamp(0.0, self.max as f64);
            }
            seen += count;
        }
        self.max as f64
    }

    /// Whether nearly all values are multiples of a step, give or take one.
    pub(crate) fn is_in_steps_of(&self, step: u64) -> bool {
        let is_near = |index: usize| last_of_bucket(index).wrapping_add(1) % step <= 2;
        let counts = self.counts.iter().enumerate();
        let near: u64 = counts.filter(|(index, _)| is_near(*index)).map(|(_, count)| count).sum();
        near * 10 >= self.count() * 9
    }

    /// What is there, in order, in bins that are no finer than the clock.
    fn bins(&self, step: u64) -> Vec<Bin> {
        let mut bins: Vec<Bin> = Vec::new();
        for (index, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let before = index.checked_sub(1).map_or(-1.0, |before| last_of_bucket(before) as f64);
            let last = last_of_bucket(index) as f64;
            let (mut middle, mut width) = (f64::midpoint(before + 1.0, last), last - before);
            if width < step as f64 {
                width = step as f64;
                middle = (middle / width).round() * width;
            }
            let count = *count as f64;
            match bins.last_mut() {
                Some(bin) if bin.middle >= middle => bin.count += count,
                _ => bins.push(Bin { middle, width, count }),
            }
        }
        bins
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
        for (share, exact) in [(5000, 50e3), (9900, 99e3), (9999, 99_990.0), (10_000, 1e5)] {
            let found = histogram.quantile(share, 1);
            assert!((found - exact).abs() <= exact / 64.0, "{share}: {found}");
        }
    }

    #[test]
    fn a_median_is_finer_than_the_steps_of_the_clock() {
        for time in 40..80 {
            let mut histogram = Histogram::default();
            // A clock that steps by ten shows a constant time as the multiple below or above.
            (0..10).for_each(|phase| histogram.add((phase + time) / 10 * 10));
            let found = histogram.quantile(5000, 10);
            assert!((found - time as f64).abs() < 1.5, "{time}: {found}");
            assert!(histogram.is_in_steps_of(10));
        }
        let mut fine = Histogram::default();
        (0..100).for_each(|value| fine.add(value));
        assert!(!fine.is_in_steps_of(10));
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
        assert_eq!((first.count(), first.max), (2, 5000));
        assert_eq!(first.merge(&bytes[..20]), None);
    }
}
