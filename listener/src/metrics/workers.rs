//! Workers as labels: by name, and no more of them than a monitoring system can keep.
//!
//! A series for each process would grow for ever, so that workers of one name are one series, and
//! only the names get one whose past the listener keeps. The others stand together under `other`. A
//! name keeps its series as long as the listener lives: a counter must not go back.
#![deny(clippy::arithmetic_side_effects, reason = "these numbers come from anybody")]

use std::collections::BTreeMap;

use super::families::{Ended, Worker};

/// The series of all workers that have none.
pub(super) const OTHER: &str = "other";

/// What all workers of a name did.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sum {
    pub(super) written: u64,
    pub(super) dropped: BTreeMap<String, u64>,
    pub(super) missing: u64,
    pub(super) queued_bytes: u64,
    pub(super) lag_seconds: f64,
}

/// Adds workers up by name. `ended` has an entry for each name with a series of its own.
pub(super) fn sums(workers: &[Worker], ended: &[Ended]) -> BTreeMap<String, Sum> {
    let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
    for past in ended {
        let name = if past.name.is_empty() { OTHER } else { &past.name };
        let sum = sums.entry(name.to_owned()).or_default();
        sum.add(past.written, &past.dropped, past.missing);
    }
    let has_series = |name: &str| ended.iter().any(|past| past.name == name && !name.is_empty());
    for worker in workers {
        let name = if has_series(&worker.name) { &worker.name } else { OTHER };
        let sum = sums.entry(name.to_owned()).or_default();
        sum.add(worker.written, &worker.dropped, worker.missing);
        sum.queued_bytes = sum.queued_bytes.saturating_add(worker.queued_bytes);
        sum.lag_seconds = sum.lag_seconds.max(worker.lag_seconds);
    }
    sums
}

impl Sum {
    fn add(&mut self, written: u64, dropped: &BTreeMap<String, u64>, missing: u64) {
        self.written = self.written.saturating_add(written);
        self.missing = self.missing.saturating_add(missing);
        for (reason, count) in dropped {
            let sum = self.dropped.entry(reason.clone()).or_default();
            *sum = sum.saturating_add(*count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(name: &str, written: u64) -> Worker {
        Worker { name: name.to_owned(), written, ..Worker::default() }
    }

    fn past(name: &str, written: u64) -> Ended {
        Ended { name: name.to_owned(), written, ..Ended::default() }
    }

    #[test]
    fn workers_of_a_name_are_one_series_with_those_that_ended() {
        let ended = [past("w", 5), past("v", 0)];
        let sums = sums(&[worker("w", 1), worker("w", 2), worker("v", 4)], &ended);
        assert_eq!(sums["w"].written, 8);
        assert_eq!(sums["v"].written, 4);
        assert_eq!(sums.len(), 2);
    }

    #[test]
    fn names_without_a_past_of_their_own_are_one_series_before_and_behind_their_end() {
        let before = sums(&[worker("w", 1), worker("late", 3)], &[past("w", 0), past("", 7)]);
        assert_eq!((before["w"].written, before[OTHER].written), (1, 10));
        let behind = sums(&[], &[past("w", 1), past("", 10)]);
        assert_eq!((behind["w"].written, behind[OTHER].written), (1, 10));
    }
}
