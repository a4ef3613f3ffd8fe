//! A histogram with fixed bounds, as OpenMetrics has them.

/// How often values fell between fixed bounds.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    /// The upper bound of each bucket but the last, which has none; ascending.
    bounds: &'static [f64],
    /// Values in each bucket, not those of the buckets before it.
    counts: Vec<u64>,
    sum: f64,
}

/// From the time of a write that stays in memory to that of a disk that hangs.
const SECONDS: &[f64] = &[
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025,
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// From one short line to the longest batch.
const BYTES: &[f64] =
    &[128.0, 512.0, 2048.0, 8192.0, 32_768.0, 131_072.0, 524_288.0, 1_048_576.0, 2_097_152.0];

impl Histogram {
    /// Of times in seconds.
    pub(crate) fn of_seconds() -> Self {
        Self::new(SECONDS)
    }

    /// Of sizes in bytes.
    pub(crate) fn of_bytes() -> Self {
        Self::new(BYTES)
    }

    fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    /// Notes a value.
    pub(crate) fn note(&mut self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.sum += value;
    }

    /// How many values were noted.
    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// As it stands in the status.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "bounds": self.bounds,
            "counts": self.counts,
            "sum": self.sum,
            "count": self.count(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_falls_into_the_bucket_whose_bound_it_does_not_exceed() {
        let mut histogram = Histogram::new(&[1.0, 10.0]);
        for value in [0.0, 1.0, 1.5, 10.0, 11.0, 1e9] {
            histogram.note(value);
        }
        assert_eq!(histogram.counts, [2, 2, 2]);
        assert_eq!(histogram.count(), 6);
        assert!((histogram.sum - (1e9 + 23.5)).abs() < 1e-6);
    }

    #[test]
    fn the_bounds_ascend() {
        for bounds in [SECONDS, BYTES] {
            assert!(bounds.is_sorted());
        }
    }
}
