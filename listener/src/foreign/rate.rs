//! Rate: how much a foreign client may log, where somebody set a limit.
//!
//! A bucket holds `burst` tokens and fills up evenly within `interval`. A record takes one token
//! for each begun KiB of it, so that one number bounds records and bytes. The last eighth of a
//! bucket is kept for WARN and ERROR.
//!
//! Each process has a bucket, and all processes of a user together have one that is
//! [`PROCESSES_PER_UID`] times as large: a process that floods does not silence its siblings, and
//! a user gains nothing by forking.

use std::time::Duration;

use fleetlog_protocol::limits::RESERVED_SHARE;
use fleetlog_protocol::stamp::Stamp;

/// How many processes of one user may log at the full rate at the same time.
pub(super) const PROCESSES_PER_UID: u64 = 8;

/// What one token pays, in bytes.
const TOKEN: usize = 1024;

/// How much each foreign process may log: `burst` records of up to 1 KiB in each `interval`, or
/// accordingly fewer larger ones; what is beyond is left out and counted.
///
/// ```
/// use fleetlog::options::RateLimit;
/// use std::time::Duration;
/// let limit = RateLimit { burst: 10_000, interval: Duration::from_secs(30) };
/// assert_eq!(limit.burst, 10_000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Records in each interval.
    pub burst: u64,
    /// The interval.
    pub interval: Duration,
}

impl RateLimit {
    /// The interval unless told otherwise: long enough that a start's burst is one.
    pub const INTERVAL: Duration = Duration::from_secs(30);
}

/// Tokens, in billionths so that none is lost to rounding.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    size: u128,
    /// Billionths of tokens for each nanosecond.
    flow: u128,
    level: u128,
    filled: Stamp,
}

const WHOLE: u128 = 1_000_000_000;

impl Bucket {
    /// A full bucket for so many times the limit.
    pub(super) fn new(limit: RateLimit, times: u64, now: Stamp) -> Self {
        let size = u128::from(limit.burst.saturating_mul(times).max(1)) * WHOLE;
        let flow = size / limit.interval.as_nanos().max(1);
        Self { size, flow: flow.max(1), level: size, filled: now }
    }

    /// Whether a record of so many bytes may be logged; [`take`](Self::take) takes its tokens.
    pub(super) fn has_room(&mut self, bytes: usize, urgent: bool, now: Stamp) -> bool {
        let passed = u128::from(now.saturating_sub(self.filled));
        self.filled = self.filled.max(now);
        self.level = self.size.min(self.level + passed * self.flow);
        let reserved = if urgent { 0 } else { self.size / RESERVED_SHARE as u128 };
        // Whoever has a full bucket may log a record that costs more than that.
        let price = price(bytes).min(self.size - reserved);
        self.level >= price + reserved
    }

    pub(super) fn take(&mut self, bytes: usize) {
        self.level = self.level.saturating_sub(price(bytes));
    }
}

fn price(bytes: usize) -> u128 {
    bytes.div_ceil(TOKEN).max(1) as u128 * WHOLE
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn bucket(burst: u64) -> Bucket {
        Bucket::new(RateLimit { burst, interval: Duration::from_secs(10) }, 1, 0)
    }

    fn logs(bucket: &mut Bucket, bytes: usize, urgent: bool, now: u64) -> bool {
        let has_room = bucket.has_room(bytes, urgent, now);
        if has_room {
            bucket.take(bytes);
        }
        has_room
    }

    #[test]
    fn a_burst_is_let_through_and_then_the_rate() {
        let mut bucket = bucket(800);
        let burst = (0..1000).filter(|_| logs(&mut bucket, 100, false, 0)).count();
        assert_eq!(burst, 700, "the last eighth is reserved");
        let urgent = (0..1000).filter(|_| logs(&mut bucket, 100, true, 0)).count();
        assert_eq!(urgent, 100);
        let later = (0..1000).filter(|_| logs(&mut bucket, 100, true, SECOND)).count();
        assert_eq!(later, 80, "a tenth of the interval has passed");
        let much_later = (0..1000).filter(|_| logs(&mut bucket, 100, true, 100 * SECOND)).count();
        assert_eq!(much_later, 800, "no more than a bucket full");
    }

    #[test]
    fn large_records_cost_more_and_the_largest_passes_a_full_bucket() {
        let mut bucket = bucket(800);
        assert_eq!((0..1000).filter(|_| logs(&mut bucket, 10 << 10, false, 0)).count(), 70);
        let mut bucket = self::bucket(8);
        assert!(logs(&mut bucket, 1 << 20, false, 0));
        assert!(!logs(&mut bucket, 1, false, SECOND));
        assert!(logs(&mut bucket, 1, false, 3 * SECOND));
    }

    #[test]
    fn a_clock_that_goes_back_fills_nothing() {
        let mut bucket = bucket(8);
        assert_eq!((0..10).filter(|_| logs(&mut bucket, 1, true, 9 * SECOND)).count(), 8);
        assert!(!logs(&mut bucket, 1, true, 0));
        assert!(!logs(&mut bucket, 1, true, 9 * SECOND));
    }
}
