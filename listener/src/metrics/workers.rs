//! Workers as labels: by name, and no more of them than a monitoring system can keep.
//!
//! A series for each process would grow for ever, so that workers of one name are one series, and
//! only the first names get one. The others stand together under `other`. A name keeps its series
//! as long as the listener lives: a counter must not go back.

use std::collections::{BTreeMap, BTreeSet};

use super::families::{Ended, Worker};

/// Names with a series of their own.
const NAMES_MAX: usize = 100;

/// The series of all workers that have none.
pub(super) const OTHER: &str = "other";

/// The names with a series of their own.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeSet<String>);

/// What all workers of a name did.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sum {
    pub(super) written: u64,
    pub(super) dropped: BTreeMap<String, u64>,
    pub(super) missing: u64,
    pub(super) queued_bytes: u64,
    pub(super) lag_seconds: f64,
}

impl Names {
    /// Adds workers up by name.
    pub(super) fn sums(&mut self, workers: &[Worker], ended: &[Ended]) -> BTreeMap<String, Sum> {
        let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
        for past in ended {
            let sum = sums.entry(self.label(&past.name)).or_default();
            sum.add(past.written, &past.dropped, past.missing);
        }
        for worker in workers {
            let sum = sums.entry(self.label(&worker.name)).or_default();
            sum.add(worker.written, &worker.dropped, worker.missing);
            sum.queued_bytes += worker.queued_bytes;
            sum.lag_seconds = sum.lag_seconds.max(worker.lag_seconds);
        }
        sums
    }

    fn label(&mut self, name: &str) -> String {
        if !self.0.contains(name) {
            if self.0.len() >= NAMES_MAX || name.is_empty() {
                return OTHER.to_owned();
            }
            self.0.insert(name.to_owned());
        }
        name.to_owned()
    }
}

impl Sum {
    fn add(&mut self, written: u64, dropped: &BTreeMap<String, u64>, missing: u64) {
        self.written += written;
        self.missing += missing;
        for (reason, count) in dropped {
            *self.dropped.entry(reason.clone()).or_default() += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(name: &str, written: u64) -> Worker {
        Worker { name: name.to_owned(), written, ..Worker::default() }
    }

    #[test]
    fn workers_of_a_name_are_one_series_with_those_that_ended() {
        let ended = [Ended { name: "w".to_owned(), written: 5, ..Ended::default() }];
        let sums = Names::default().sums(&[worker("w", 1), worker("w", 2), worker("v", 4)], &ended);
        assert_eq!(sums["w"].written, 8);
        assert_eq!(sums["v"].written, 4);
    }

    #[test]
    fn the_number_of_series_is_bounded_and_a_name_keeps_its_own() {
        let mut names = Names::default();
        let many: Vec<Worker> = (0..500).map(|number| worker(&format!("w{number}"), 1)).collect();
        let sums = names.sums(&many, &[]);
        assert_eq!(sums.len(), NAMES_MAX + 1);
        assert_eq!(sums[OTHER].written, 400);
        let sums = names.sums(&[worker("w7", 2), worker("late", 3)], &[]);
        assert_eq!((sums["w7"].written, sums[OTHER].written), (2, 3));
    }
}
