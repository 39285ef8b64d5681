//! The arithmetic of measurements: medians, orders that differ from round to round and never from run to run.

use std::time::Duration;

/// Returns the middle value; of an even count, the mean of the middle two.
pub(crate) fn median(values: &[Duration]) -> Duration {
    let mut sorted = values.to_vec();
    sorted.sort();
    let middle = sorted.len() / 2;
    match sorted.as_slice() {
        [] => Duration::ZERO,
        _ if sorted.len() % 2 == 1 => sorted[middle],
        _ => (sorted[middle - 1] + sorted[middle]) / 2,
    }
}

/// Writes milliseconds with two decimals.
pub(crate) fn milliseconds(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1000.0)
}

/// xorshift: the same seed gives the same numbers everywhere.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Returns a number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = end as u64;
        usize::try_from(self.next() % end).unwrap_or(0)
    }

    pub(crate) fn shuffle<T>(&mut self, values: &mut [T]) {
        for end in (1..values.len()).rev() {
            values.swap(end, self.below(end + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_in_the_middle() {
        let ms = |values: &[u64]| {
            values
                .iter()
                .map(|value| Duration::from_millis(*value))
                .collect::<Vec<_>>()
        };
        for (values, middle) in [(&[][..], 0), (&[7], 7), (&[9, 1, 5], 5), (&[8, 2, 4, 6], 5)] {
            assert_eq!(median(&ms(values)), Duration::from_millis(middle));
        }
    }

    #[test]
    fn shuffling_loses_nothing_and_repeats() {
        let shuffled = |seed| {
            let mut values: Vec<u32> = (0..20).collect();
            Random::new(seed).shuffle(&mut values);
            values
        };
        assert_eq!(shuffled(1), shuffled(1));
        assert_ne!(shuffled(1), shuffled(2));
        let mut sorted = shuffled(3);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..20).collect::<Vec<_>>());
    }
}
