//! The pace of a counter: how much it grew in each of the last seconds.
//!
//! Nothing wakes up to measure. The first round of the drain in a new second closes the second of
//! the round before it: whatever was counted since then was counted in that second, because any
//! round in between would have closed it. Seconds without a round are seconds without a record.

/// The seconds that are remembered.
pub(crate) const SECONDS: usize = 32;

/// What was counted in each of the last whole seconds, the oldest first.
pub(crate) type Seconds = [u64; SECONDS];

/// The seconds over which a rate is told: long enough to be read, short enough to be true.
const RATE_SECONDS: usize = 5;

/// How much a counter grew in each of the last seconds.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    grown: [u32; SECONDS],
    /// The second that was closed last, since the host's clock began.
    last: u64,
    /// The counter at that time.
    counter: u64,
}

impl Pace {
    /// The pace of a counter that stands at `counter`.
    pub(crate) const fn starting_at(counter: u64) -> Self {
        Self { grown: [0; SECONDS], last: 0, counter }
    }

    /// Closes a second, at whose end the counter stood at `counter`.
    pub(crate) fn close(&mut self, second: u64, counter: u64) {
        let grown = counter.saturating_sub(self.counter);
        if grown == 0 {
            return;
        }
        let skipped = second.saturating_sub(self.last).min(SECONDS as u64);
        for step in 0..skipped {
            self.grown[slot(second - step)] = 0;
        }
        let grown = u32::try_from(grown).unwrap_or(u32::MAX);
        let bucket = &mut self.grown[slot(second)];
        *bucket = bucket.saturating_add(grown);
        self.last = self.last.max(second);
        self.counter = counter;
    }

    /// Adds what was counted in each of the seconds before `now` to `seconds`.
    pub(crate) fn add_to(&self, now: u64, seconds: &mut Seconds) {
        for (back, sum) in (1..=SECONDS as u64).zip(seconds.iter_mut().rev()) {
            let Some(second) = now.checked_sub(back) else { return };
            if second <= self.last && second + SECONDS as u64 > self.last {
                *sum += u64::from(self.grown[slot(second)]);
            }
        }
    }
}

/// The mean of the last seconds.
pub(crate) fn rate(seconds: &Seconds) -> f64 {
    let sum: u64 = seconds[SECONDS - RATE_SECONDS..].iter().sum();
    sum as f64 / RATE_SECONDS as f64
}

fn slot(second: u64) -> usize {
    usize::try_from(second % SECONDS as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(pace: &Pace, now: u64) -> Vec<u64> {
        let mut seconds = [0; SECONDS];
        pace.add_to(now, &mut seconds);
        seconds.to_vec()
    }

    #[test]
    fn each_second_has_what_was_counted_in_it() {
        let mut pace = Pace::starting_at(100);
        pace.close(1000, 103);
        pace.close(1001, 103);
        pace.close(1002, 110);
        let found = seconds(&pace, 1003);
        assert_eq!(found[SECONDS - 4..], [0, 3, 0, 7]);
        assert_eq!(found.iter().sum::<u64>(), 10);
        assert!((rate(&found.try_into().unwrap()) - 2.0).abs() < 1e-9);
    }

    #[test]
    fn a_second_that_is_closed_twice_has_both() {
        let mut pace = Pace::starting_at(0);
        pace.close(7, 1);
        pace.close(7, 3);
        assert_eq!(seconds(&pace, 8).last(), Some(&3));
    }

    #[test]
    fn what_is_long_ago_is_forgotten_also_without_a_record_since() {
        let mut pace = Pace::starting_at(0);
        for second in 1..=40 {
            pace.close(second, second * second);
        }
        let all = |now| seconds(&pace, now);
        let odd = |second: u64| 2 * second - 1;
        assert_eq!(all(41), (9..=40).map(odd).collect::<Vec<_>>());
        assert_eq!(all(51)[..22], (19..=40).map(odd).collect::<Vec<_>>());
        assert_eq!(all(51)[22..], [0; 10]);
        assert_eq!(all(72).iter().sum::<u64>(), odd(40));
        assert_eq!(all(73), [0; SECONDS].to_vec());
        assert_eq!(all(400), [0; SECONDS].to_vec());
    }

    #[test]
    fn a_long_silence_leaves_nothing_of_the_round_before() {
        let mut pace = Pace::starting_at(0);
        pace.close(10, 5);
        pace.close(42, 6);
        assert_eq!(seconds(&pace, 43).iter().sum::<u64>(), 1, "second 10 shares the place of 42");
        pace.close(1_000_000, 8);
        assert_eq!(seconds(&pace, 1_000_001).iter().sum::<u64>(), 2);
    }
}
