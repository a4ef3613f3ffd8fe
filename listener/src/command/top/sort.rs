//! The order of the workers in the table.

use std::cmp::Ordering;

use crate::command::status::answer::{Worker, by_name};

/// What workers are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Key {
    Name,
    Pid,
    #[default]
    Rate,
    Bytes,
    Queued,
    Lag,
    Written,
    Lost,
    Errors,
}

impl Key {
    /// In the order of the columns.
    pub(super) const ALL: [Self; 9] = [
        Self::Name,
        Self::Pid,
        Self::Rate,
        Self::Bytes,
        Self::Queued,
        Self::Lag,
        Self::Written,
        Self::Lost,
        Self::Errors,
    ];

    /// The column of which it is the order.
    pub(super) const fn column(self) -> &'static str {
        match self {
            Self::Name => "WORKER",
            Self::Pid => "PID",
            Self::Rate => "REC/S",
            Self::Bytes => "BYTES/S",
            Self::Queued => "QUEUED",
            Self::Lag => "LAG",
            Self::Written => "WRITTEN",
            Self::Lost => "LOST",
            Self::Errors => "ERRORS",
        }
    }

    /// Names and pids go up, of everything else the most is looked for.
    const fn goes_up(self) -> bool {
        matches!(self, Self::Name | Self::Pid)
    }

    fn compare(self, one: &Worker, other: &Worker) -> Ordering {
        match self {
            Self::Name => by_name(&one.name, &other.name),
            Self::Pid => one.pid.cmp(&other.pid),
            Self::Rate => one.records_per_second.total_cmp(&other.records_per_second),
            Self::Bytes => one.bytes_per_second.total_cmp(&other.bytes_per_second),
            Self::Queued => one.queued_bytes.cmp(&other.queued_bytes),
            Self::Lag => one.lag_seconds.total_cmp(&other.lag_seconds),
            Self::Written => one.written.cmp(&other.written),
            Self::Lost => one.lost().cmp(&other.lost()),
            Self::Errors => one.errors.cmp(&other.errors),
        }
    }
}

/// A key, and whether its usual direction is turned round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sort {
    pub(super) key: Key,
    pub(super) is_reversed: bool,
}

impl Sort {
    /// The key so many columns to the right.
    pub(super) fn step(&mut self, by: isize) {
        let all = Key::ALL.len();
        let at = Key::ALL.iter().position(|key| *key == self.key).unwrap_or(0);
        let at = at.saturating_add(all).saturating_add_signed(by) % all;
        *self = Self { key: Key::ALL[at], is_reversed: false };
    }

    pub(super) const fn goes_up(self) -> bool {
        self.key.goes_up() != self.is_reversed
    }

    /// Workers that are equal stand by name and pid, so that no row jumps without a reason.
    pub(super) fn compare(self, one: &Worker, other: &Worker) -> Ordering {
        let order = self.key.compare(one, other);
        let order = if self.goes_up() { order } else { order.reverse() };
        order.then_with(|| by_name(&one.name, &other.name)).then_with(|| one.pid.cmp(&other.pid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_column_and_is_reached_both_ways() {
        let columns = &crate::command::status::columns::WORKER;
        let mut sort = Sort { key: Key::Name, is_reversed: false };
        for key in Key::ALL {
            assert!(columns.iter().any(|column| column.name == key.column()), "{key:?}");
            assert_eq!(sort.key, key);
            sort.step(1);
        }
        assert_eq!(sort.key, Key::Name);
        sort.step(-1);
        assert_eq!(sort.key, Key::Errors);
    }

    #[test]
    fn the_most_stands_above_and_equals_by_name() {
        let worker = |name: &str, rate| Worker {
            name: name.to_owned(),
            records_per_second: rate,
            ..Worker::default()
        };
        let mut workers = [worker("b 10", 1.0), worker("b 9", 1.0), worker("c", 5.0)];
        let mut sort = Sort::default();
        workers.sort_by(|one, other| sort.compare(one, other));
        assert_eq!(workers.each_ref().map(|worker| &*worker.name), ["c", "b 9", "b 10"]);
        sort.is_reversed = true;
        workers.sort_by(|one, other| sort.compare(one, other));
        assert_eq!(workers.each_ref().map(|worker| &*worker.name), ["b 9", "b 10", "c"]);
    }
}
