//! A distribution of times: how many lie in each bucket, and their exact sum. Integers alone; what becomes of them in a
//! text is not its affair.

/// Upper bounds of the buckets, inclusive: from within a zone (0.2 ms) over other regions (0.1 s) to the first byte of a
/// model that thinks (10 s). What is longer is above the last.
pub const BUCKETS_US: [u32; 10] = [
    200, 500, 1_000, 2_500, 10_000, 50_000, 100_000, 500_000, 2_000_000, 10_000_000,
];

/// Lines that one histogram has in the text: its buckets, the one without a bound, sum and count.
pub const HISTOGRAM_SERIES: usize = BUCKETS_US.len() + 3;

/// Times seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Not cumulative; the last has no upper bound.
    pub buckets: [u64; BUCKETS_US.len() + 1],
    /// Saturating: 2^64 microseconds are 584,000 years.
    pub sum_us: u64,
}

impl Histogram {
    pub fn observe(&mut self, us: u32) {
        let bucket = BUCKETS_US.partition_point(|bound| *bound < us);
        if let Some(count) = self.buckets.get_mut(bucket) {
            *count = count.saturating_add(1);
        }
        self.sum_us = self.sum_us.saturating_add(us.into());
    }

    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.buckets.iter_mut().zip(other.buckets) {
            *count = count.saturating_add(more);
        }
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
    }

    /// How many times were seen.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().fold(0, |sum, n| sum.saturating_add(*n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_in_its_own_bucket() {
        let cases = [
            (0, 0),
            (200, 0),
            (201, 1),
            (10_000, 4),
            (10_000_000, 9),
            (10_000_001, 10),
            (u32::MAX, 10),
        ];
        for (us, bucket) in cases {
            let mut histogram = Histogram::default();
            histogram.observe(us);
            assert_eq!(histogram.buckets[bucket], 1, "{us}");
            assert_eq!((histogram.count(), histogram.sum_us), (1, us.into()));
        }
    }
}
