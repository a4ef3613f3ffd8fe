//! Sequence numbers: what a log of JSON lines tells of records that are not in it.
//!
//! The records of a queue are numbered from 1 on, and a queue is told by pid and lane. A process
//! may have several queues of one lane (it called `exec`, it holds two connections, its pid came
//! again), so that each pid and lane has chains: a record goes on with the chain that it follows,
//! or begins one. A number that no chain leads to is missing, unless a line of the listener's
//! accounts for it.
//!
//! Retention may have taken the beginning of any chain: the first number that is seen is as good
//! as 1. Memory grows with the number of queues, not with that of records.
#![deny(clippy::arithmetic_side_effects, reason = "these numbers come from anybody")]

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use crate::reading::Explained;

/// Chains of one pid and lane that are told apart.
const CHAINS_MAX: usize = 8;
/// Ranges of a chain that are remembered as missing.
const HOLES_MAX: usize = 16;
/// Accounts of one pid that wait for their gap.
const EXPLAINED_MAX: usize = 1 << 14;

/// A record's place in its queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbered {
    pub(super) pid: u32,
    pub(super) lane: u32,
    pub(super) seq: u64,
    pub(super) time: Timestamp,
    /// A hash of its line.
    pub(super) print: u64,
}

/// What a record's number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing is wrong with it.
    Fine,
    /// These numbers are missing before it.
    Missing { first: u64, last: u64 },
    /// It stands in the log twice.
    Doubled,
    /// It stands behind this number, which comes after it.
    Behind { last: u64 },
}

#[derive(Clone, Debug)]
struct Chain {
    first: u64,
    first_print: u64,
    last: u64,
    last_print: u64,
    last_time: Timestamp,
    holes: Vec<(u64, u64)>,
    era: u32,
}

/// The numbers of one log.
#[derive(Debug, Default)]
pub(super) struct Sequences {
    /// A filter left records out: gaps say nothing.
    is_filtered: bool,
    /// The chain that was used last stands last.
    chains: HashMap<(u32, u32), Vec<Chain>>,
    explained: HashMap<u32, Vec<Explained>>,
    /// How often files were removed while the log was read.
    era: u32,
    /// Chains that did not begin with 1.
    pub(super) beheaded: u64,
}

impl Sequences {
    pub(super) fn new(is_filtered: bool) -> Self {
        Self { is_filtered, ..Self::default() }
    }

    /// Files were removed between what was read and what comes.
    pub(super) fn skip(&mut self) {
        self.era = self.era.saturating_add(1);
    }

    /// A line of the listener's about numbers that are not there.
    pub(super) fn explain(&mut self, pid: u32, explained: Explained) {
        let list = self.explained.entry(pid).or_default();
        if list.len() >= EXPLAINED_MAX {
            list.remove(0);
        }
        list.push(explained);
    }

    /// Takes a record in.
    pub(super) fn take(&mut self, record: &Numbered) -> Verdict {
        let Self { is_filtered, chains, explained, era, beheaded } = self;
        let Numbered { pid, lane, seq, time, print } = *record;
        let chains = chains.entry((pid, lane)).or_default();
        let again = |chain: &Chain| {
            (chain.last, chain.last_print) == (seq, print)
                || (chain.first, chain.first_print) == (seq, print)
        };
        if chains.iter().any(again) {
            return Verdict::Doubled;
        }
        // The first number that was seen has its predecessor behind it.
        let precedes = |chain: &&Chain| follows(seq, chain.first) && time <= chain.last_time;
        if let Some(chain) = chains.iter().find(precedes) {
            return Verdict::Behind { last: chain.last };
        }
        let follows = chains.iter().rposition(|chain| follows(chain.last, seq));
        let is_new = seq == 1 || chains.is_empty();
        // A queue's times do not go back: an earlier number at a later time is another queue's.
        let is_earlier = |chain: &&Chain| chain.last < seq;
        let behind = chains.iter().rev().find(|chain| chain.last >= seq);
        let is_later = behind.is_some_and(|chain| time > chain.last_time);
        let (at, missing) = if let Some(at) = follows {
            (at, None)
        } else if is_new {
            let explained = explained.entry(pid).or_default();
            let is_beheaded = seq > 1 && !is_explained(explained, 1, before(seq));
            *beheaded = beheaded.saturating_add(u64::from(is_beheaded));
            (begin(chains, record, *era), None)
        } else if let Some(at) = chains.iter().rposition(|chain| is_earlier(&chain)) {
            (at, Some((after(chains[at].last), before(seq))))
        } else if is_later {
            (begin(chains, record, *era), Some((1, before(seq))))
        } else {
            let chain = behind.map_or(&chains[0], |chain| chain);
            let was_missed =
                chain.holes.iter().any(|(first, last)| (*first..=*last).contains(&seq));
            let was_there = seq >= chain.first && !was_missed;
            let last = chain.last;
            return if was_there && !*is_filtered {
                Verdict::Doubled
            } else {
                Verdict::Behind { last }
            };
        };
        let mut chain = chains.remove(at);
        let is_loose = *is_filtered || chain.era < *era;
        let unexplained = missing.filter(|_| !is_loose).and_then(|(first, last)| {
            let explained = explained.entry(pid).or_default();
            (!is_explained(explained, first, last)).then_some((first, last))
        });
        if let Some(hole) = unexplained
            && chain.holes.len() < HOLES_MAX
        {
            chain.holes.push(hole);
        }
        chain.last = seq;
        chain.last_print = print;
        chain.last_time = time;
        chain.era = *era;
        chains.push(chain);
        unexplained.map_or(Verdict::Fine, |(first, last)| Verdict::Missing { first, last })
    }

    /// The processes that have a record here.
    pub(super) fn pids(&self) -> HashSet<u32> {
        self.chains.keys().map(|(pid, _)| *pid).collect()
    }

    /// The last number of a pid and lane that the log has or accounts for; `None` = it has none.
    pub(super) fn last(&self, pid: u32, lane: u32) -> Option<u64> {
        let chains = self.chains.get(&(pid, lane))?;
        let mut last = chains.iter().map(|chain| chain.last).max()?;
        let explained = self.explained.get(&pid).map_or(&[][..], Vec::as_slice);
        while let Some(next) = explained.iter().find(|e| e.first <= after(last) && e.last > last) {
            last = next.last;
        }
        Some(last)
    }
}

/// The numbers beside one. A line may claim the largest of all, which nothing follows.
const fn after(seq: u64) -> u64 {
    seq.saturating_add(1)
}

const fn before(seq: u64) -> u64 {
    seq.saturating_sub(1)
}

/// Whether a number is the next one of another.
fn follows(one: u64, next: u64) -> bool {
    one.checked_add(1) == Some(next)
}

/// Adds a chain; returns its place.
fn begin(chains: &mut Vec<Chain>, record: &Numbered, era: u32) -> usize {
    if chains.len() >= CHAINS_MAX {
        chains.remove(0);
    }
    let Numbered { seq, time, print, .. } = *record;
    let (first, first_print, last, last_print) = (seq, print, seq, print);
    let holes = Vec::new();
    chains.push(Chain { first, first_print, last, last_print, last_time: time, holes, era });
    chains.len().saturating_sub(1)
}

/// Whether accounts of one process cover a gap without a rest; those that do are used up.
fn is_explained(explained: &mut Vec<Explained>, first: u64, last: u64) -> bool {
    let mut used = Vec::new();
    let mut next = first;
    while next <= last {
        let covers = |e: &Explained| e.first <= next && next <= e.last && e.last <= last;
        let found = explained.iter().enumerate().filter(|(_, e)| covers(e));
        // Another lane's account may cover it by chance; one that begins here is meant.
        let Some((at, range)) = found.max_by_key(|(_, e)| e.first) else { return false };
        used.push(at);
        let Some(rest) = range.last.checked_add(1) else { break };
        next = rest;
    }
    used.sort_unstable();
    for at in used.into_iter().rev() {
        explained.remove(at);
    }
    true
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "the numbers of a test are known")]

    use super::*;
    use Verdict::{Behind, Doubled, Fine, Missing};

    /// Takes records of one pid and lane, one a second; the print is of number and second.
    struct Log(Sequences, i64);

    impl Log {
        fn new() -> Self {
            Self(Sequences::new(false), 0)
        }

        fn take(&mut self, seq: u64) -> Verdict {
            self.1 += 1;
            self.take_at(seq, self.1)
        }

        fn take_at(&mut self, seq: u64, second: i64) -> Verdict {
            let time = Timestamp::from_second(second).unwrap();
            let print = seq * 1000 + u64::try_from(second).unwrap();
            self.0.take(&Numbered { pid: 7, lane: 1, seq, time, print })
        }

        fn all(&mut self, seqs: impl IntoIterator<Item = u64>) {
            for seq in seqs {
                assert_eq!(self.take(seq), Fine, "{seq}");
            }
        }
    }

    #[test]
    fn a_sequence_may_begin_anywhere_and_goes_on_by_one() {
        let mut log = Log::new();
        log.all(41..100);
        assert_eq!(log.0.beheaded, 1);
        assert_eq!(log.take(102), Missing { first: 100, last: 101 });
        log.all(103..110);
    }

    #[test]
    fn a_line_that_stands_twice_is_doubled_wherever_the_second_one_stands() {
        let mut log = Log::new();
        log.all(1..10);
        assert_eq!(log.take_at(9, 9), Doubled);
        assert_eq!(log.take_at(1, 1), Doubled, "also the first one of all");
        assert_eq!(log.take_at(5, 5), Doubled);
        log.all(10..12);
    }

    #[test]
    fn lines_that_changed_places_are_told_from_doubles() {
        let mut log = Log::new();
        log.all(1..5);
        assert_eq!(log.take_at(6, 6), Missing { first: 5, last: 5 });
        assert_eq!(log.take_at(5, 5), Behind { last: 6 });
        log.1 = 6;
        log.all(7..9);
        let mut log = Log::new();
        assert_eq!(log.take_at(2, 2), Fine);
        assert_eq!(log.take_at(1, 1), Behind { last: 2 }, "also the first two of all");
        log.1 = 2;
        log.all(3..9);
    }

    #[test]
    fn another_process_of_the_same_pid_begins_with_1() {
        let mut log = Log::new();
        log.all(1..10);
        log.all(1..20);
        assert_eq!(log.take(3), Missing { first: 1, last: 2 }, "a third one without its beginning");
        log.all(4..6);
        assert_eq!(log.take(7), Missing { first: 6, last: 6 });
    }

    #[test]
    fn two_queues_of_one_process_may_take_turns() {
        let mut log = Log::new();
        for seq in 1..50 {
            assert_eq!(log.take(seq), Fine);
            assert_eq!(log.take(seq), Fine);
        }
        assert_eq!(log.take(50), Fine);
        assert_eq!(log.take(51), Fine);
        assert_eq!(log.take(51), Missing { first: 50, last: 50 });
    }

    #[test]
    fn a_gap_that_is_told_of_is_no_finding_and_covers_no_other_one() {
        let mut log = Log::new();
        log.all(1..10);
        log.0.explain(7, Explained { first: 10, last: 14 });
        log.0.explain(7, Explained { first: 15, last: 15 });
        log.0.explain(8, Explained { first: 20, last: 20 });
        log.all([16]);
        assert_eq!(log.take(18), Missing { first: 17, last: 17 });
        log.all([19]);
        assert_eq!(log.take(21), Missing { first: 20, last: 20 }, "it was another process's");
        log.0.explain(7, Explained { first: 22, last: 23 });
        assert_eq!(log.take(25), Missing { first: 22, last: 24 }, "half of it is not enough");
    }

    #[test]
    fn what_a_filter_leaves_out_is_not_missed_but_doubles_are() {
        let mut log = Log::new();
        log.0 = Sequences::new(true);
        log.all([3, 7, 8, 20]);
        assert_eq!(log.take_at(20, 4), Doubled);
        assert_eq!(log.take_at(8, 3), Behind { last: 20 });
        log.all([5]);
    }

    #[test]
    fn behind_files_that_were_removed_every_sequence_may_go_on_anywhere() {
        let mut log = Log::new();
        log.all(1..10);
        log.0.skip();
        log.all(50..60);
        assert_eq!(log.take(61), Missing { first: 60, last: 60 });
    }

    #[test]
    fn the_largest_number_is_one_like_any_other() {
        let mut log = Log::new();
        let mut take = |seq: u64, second: i64| {
            let time = Timestamp::from_second(second).unwrap();
            let print = seq % 1000;
            log.0.take(&Numbered { pid: 7, lane: 1, seq, time, print })
        };
        assert_eq!(take(1, 1), Fine);
        assert_eq!(take(u64::MAX, 2), Missing { first: 2, last: u64::MAX - 1 });
        assert_eq!(take(u64::MAX, 3), Doubled);
        assert_eq!(take(2, 2), Behind { last: u64::MAX });
        log.0.explain(7, Explained { first: 2, last: u64::MAX });
        assert_eq!(log.0.last(7, 1), Some(u64::MAX));
    }

    #[test]
    fn the_last_number_counts_what_was_accounted_for() {
        let mut log = Log::new();
        assert_eq!(log.0.last(7, 1), None);
        log.all(1..10);
        log.0.explain(7, Explained { first: 10, last: 12 });
        assert_eq!(log.0.last(7, 1), Some(12));
        assert_eq!(log.0.last(7, 2), None);
    }

    #[test]
    fn records_that_share_the_line_of_another_are_not_missed_at_the_beginning_either() {
        let mut log = Log::new();
        for seq in [1, 2, 5, 7] {
            log.0.explain(7, Explained { first: seq, last: seq });
        }
        log.all([3, 4, 6]);
        assert_eq!(log.0.beheaded, 0);
        assert_eq!(log.0.last(7, 1), Some(7));
        assert_eq!(log.take(8), Fine);
        assert_eq!(log.take(10), Missing { first: 9, last: 9 });
    }
}
