//! The pace of a tail: how much of a log a page gets in a second.
//!
//! Nobody reads five hundred lines a second, and a browser that has to show more does nothing
//! else. What is beyond is counted and becomes a mark at the end of its second.

use std::time::{Duration, Instant};

/// What a page gets in a second: so many lines of less than a KiB; a longer line counts for more.
pub(super) const LINES_PER_SECOND: usize = 500;

const SECOND: Duration = Duration::from_secs(1);

/// What is left of the current second.
#[derive(Debug)]
pub(super) struct Pace {
    ends: Instant,
    left: usize,
    passed: u64,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { ends: now + SECOND, left: LINES_PER_SECOND, passed: 0 }
    }

    /// Whether there is room for a line of so many bytes; one that has none is counted.
    pub(super) fn takes(&mut self, bytes: usize) -> bool {
        // Once one had no room, the rest of its second has none either: what is left out is
        // left out in one piece, and the mark stands where it is.
        let cost = 1 + bytes / 1024;
        if self.passed > 0 || self.left < cost {
            self.passed += 1;
            return false;
        }
        self.left -= cost;
        true
    }

    /// Begins another second if it is time, and tells how many lines had no room in the last one.
    pub(super) fn turn(&mut self, now: Instant) -> u64 {
        if now < self.ends {
            return 0;
        }
        self.ends = now + SECOND;
        self.left = LINES_PER_SECOND;
        std::mem::take(&mut self.passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_its_lines_and_the_others_are_counted() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        assert_eq!((0..5000).filter(|_| pace.takes(100)).count(), LINES_PER_SECOND);
        assert_eq!(pace.turn(start + SECOND / 2), 0, "its second is not over");
        assert_eq!(pace.turn(start + SECOND), 4500);
        assert_eq!((0..700).filter(|_| pace.takes(100)).count(), LINES_PER_SECOND);
        assert_eq!(pace.turn(start + 2 * SECOND), 200);
        assert_eq!(pace.turn(start + 3 * SECOND), 0);
    }

    #[test]
    fn long_lines_count_for_more_and_nothing_stands_behind_a_gap() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.turn(start + SECOND);
        assert_eq!((0..200).filter(|_| pace.takes(8 << 10)).count(), LINES_PER_SECOND / 9);
        assert!(!pace.takes(1), "a short line that follows a gap waits for the mark");
    }
}
