//! What a worker logs, and how its calls are timed.

use std::time::{Duration, Instant};

use crate::histogram::Histogram;

/// Records of one burst.
pub(crate) const BURST: u32 = 100;

/// From the start of one burst to the start of the next.
const PERIOD: Duration = Duration::from_millis(1);

/// Records before the first burst: the connection, the callsite, the buffers.
const WARM_UP: u32 = 100;

/// Pairs of readings from which the clock's own cost is taken.
const CLOCK_PAIRS: usize = 10_000;

/// The one event of the benchmark: a formatted message and two integers.
#[inline(never)]
fn record(item: u32) {
    let size = size_of_item(item);
    tracing::info!(target: "app::job", item, size, "finished working on item {item}");
}

/// The second integer, made from the first so that a line that was mixed from two is noticed.
pub(crate) const fn size_of_item(item: u32) -> u32 {
    item.wrapping_mul(2_654_435_761) >> 12
}

/// Logs `records` records as fast as it goes.
pub(crate) fn log_all(records: u32) {
    for item in 0..records {
        record(item);
    }
}

/// The records that one worker logs in [`log_in_bursts`].
pub(crate) const fn records_of_bursts(bursts: u32) -> u32 {
    WARM_UP + bursts * BURST
}

/// The times of single calls.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    pub(crate) times: Histogram,
    /// The clock's own cost in nanoseconds, which is taken off every time.
    pub(crate) clock: u64,
    /// Bursts that began a period late or more, because the one before them took too long.
    pub(crate) late: u64,
}

/// Makes the connection and fills the caches, untimed.
pub(crate) fn warm_up() {
    log_all(WARM_UP);
}

/// Logs a burst each period and times each call on its own.
pub(crate) fn log_in_bursts(bursts: u32) -> Calls {
    let mut calls = Calls { clock: cost_of_clock(), ..Calls::default() };
    let mut item = WARM_UP;
    let mut due = Instant::now();
    for _ in 0..bursts {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        for _ in 0..BURST {
            let start = Instant::now();
            record(item);
            let time = nanoseconds(start.elapsed());
            calls.times.add(time.saturating_sub(calls.clock));
            item += 1;
        }
        due += PERIOD;
        let now = Instant::now();
        if now >= due + PERIOD {
            // What is missed is not made up for: it would change the load that is measured.
            calls.late += 1;
            due = now;
        }
    }
    calls
}

/// The median of what an empty measurement shows.
fn cost_of_clock() -> u64 {
    let mut pairs = Vec::with_capacity(CLOCK_PAIRS);
    for _ in 0..CLOCK_PAIRS {
        pairs.push(nanoseconds(Instant::now().elapsed()));
    }
    pairs.sort_unstable();
    pairs[CLOCK_PAIRS / 2]
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Calls {
    /// The bytes for the pipe to the parent.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in [self.clock, self.late] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        self.times.encode(&mut bytes);
        bytes
    }

    /// Adds what another worker sent.
    pub(crate) fn merge(&mut self, bytes: &[u8]) -> Option<()> {
        let (clock, rest) = bytes.split_first_chunk()?;
        let (late, rest) = rest.split_first_chunk()?;
        self.clock = self.clock.max(u64::from_le_bytes(*clock));
        self.late += u64::from_le_bytes(*late);
        self.times.merge(rest)
    }
}
