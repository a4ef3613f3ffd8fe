//! What a worker logs, and how its calls are timed.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::histogram::Histogram;
use crate::pool::Call;

/// Records of one burst.
pub(crate) const BURST: u32 = 100;

/// From the start of one burst to the start of the next.
const PERIOD: Duration = Duration::from_millis(1);

/// Records before the first burst: the connection, the callsite, the buffers.
const WARM_UP: u32 = 100;

/// Records between two looks for the end of a flood: a look is a system call.
const FLOOD: u32 = 1000;

/// The nanoseconds by which the clock of many virtual machines goes on.
const COARSE_STEP: u64 = 10;

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

/// Logs records as fast as it goes.
pub(crate) fn log_all(items: Range<u32>) {
    items.for_each(record);
}

/// Logs as fast as it goes until the end; calls `begun` when it is under way. Returns how many
/// records it logged.
pub(crate) fn flood(end: &Call, begun: impl FnOnce() -> io::Result<()>) -> io::Result<u32> {
    log_all(0..FLOOD);
    begun()?;
    let mut items = FLOOD;
    while !end.is_here()? {
        log_all(items..items + FLOOD);
        items += FLOOD;
    }
    Ok(items)
}

/// Lets each of some threads log its part of `threads * records` records and stay until the end.
/// Calls `logged` when all have logged.
pub(crate) fn log_and_stay(
    threads: u32,
    records: u32,
    end: Call,
    logged: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    let (end, (done, all_done)) = (Arc::new(end), mpsc::channel());
    let mut handles = Vec::new();
    for number in 0..threads {
        let (end, done) = (Arc::clone(&end), done.clone());
        // Not a scope: it would wait for those that stay when one of them can't be started.
        handles.push(thread::Builder::new().spawn(move || {
            log_all(number * records..(number + 1) * records);
            // The receiver is gone only with the whole process.
            let _ = done.send(());
            drop(done);
            end.wait()
        })?);
    }
    drop(done);
    if all_done.iter().count() != handles.len() {
        return Err(io::Error::other("a thread could not log"));
    }
    logged()?;
    for handle in handles {
        handle.join().map_err(|_| io::Error::other("a thread panicked"))??;
    }
    Ok(())
}

/// Lets each of some threads log so many records, all at once, and returns the time of the longest
/// call.
pub(crate) fn longest_call(threads: u32, records: u32) -> io::Result<Duration> {
    let start = Arc::new(Barrier::new(threads as usize));
    let mut handles = Vec::new();
    for number in 0..threads {
        let start = Arc::clone(&start);
        handles.push(thread::Builder::new().spawn(move || {
            start.wait();
            let mut longest = Duration::ZERO;
            for item in number * records..(number + 1) * records {
                let begun = Instant::now();
                record(item);
                longest = longest.max(begun.elapsed());
            }
            longest
        })?);
    }
    let mut longest = Duration::ZERO;
    for handle in handles {
        let of_thread = handle.join().map_err(|_| io::Error::other("a thread panicked"))?;
        longest = longest.max(of_thread);
    }
    Ok(longest)
}

/// The records of a worker that [warmed up](warm_up) and then had its [`longest_call`].
pub(crate) const fn records_of_stalls(threads: u32, records: u32) -> u32 {
    WARM_UP + threads * records
}

/// The records that one worker logs in [`log_in_bursts`].
pub(crate) const fn records_of_bursts(bursts: u32) -> u32 {
    WARM_UP + bursts * BURST
}

/// The times of single calls.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    /// With the clock's own cost.
    times: Histogram,
    /// What empty measurements show.
    clock: Histogram,
    /// Bursts that began a period late or more, because the one before them took too long.
    pub(crate) late: u64,
}

/// Makes the connection and fills the caches, untimed.
pub(crate) fn warm_up() {
    log_all(0..WARM_UP);
}

/// Logs a burst each period and times each call on its own.
pub(crate) fn log_in_bursts(bursts: u32) -> Calls {
    let mut calls = Calls { clock: empty_measurements(), ..Calls::default() };
    let mut item = WARM_UP;
    let mut due = Instant::now();
    for _ in 0..bursts {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        for _ in 0..BURST {
            let start = Instant::now();
            record(item);
            calls.times.add(nanoseconds(start.elapsed()));
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

fn empty_measurements() -> Histogram {
    let mut times = Histogram::default();
    for _ in 0..CLOCK_PAIRS {
        times.add(nanoseconds(Instant::now().elapsed()));
    }
    times
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Calls {
    /// What all workers sent, together.
    pub(crate) fn of(results: &[Vec<u8>]) -> io::Result<Self> {
        let mut calls = Self::default();
        for result in results {
            calls
                .merge(result)
                .ok_or_else(|| io::Error::other("a worker sent half of its times"))?;
        }
        Ok(calls)
    }

    /// How many calls were timed.
    pub(crate) fn count(&self) -> u64 {
        self.times.count()
    }

    /// The microseconds that `share` of ten thousand calls did not exceed, without the clock's.
    pub(crate) fn micros(&self, share: u64) -> f64 {
        let time = self.times.quantile(share, self.step()) - self.clock();
        // Nothing is faster than no time, but what is taken off is a median itself.
        time.max(0.0) / 1000.0
    }

    /// The clock's own cost in nanoseconds.
    pub(crate) fn clock(&self) -> f64 {
        self.clock.quantile(5000, self.step())
    }

    fn step(&self) -> u64 {
        if self.clock.is_in_steps_of(COARSE_STEP) { COARSE_STEP } else { 1 }
    }

    /// The bytes for the pipe to the parent.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut clock = Vec::new();
        self.clock.encode(&mut clock);
        let mut bytes = Vec::new();
        for number in [self.late, clock.len() as u64] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&clock);
        self.times.encode(&mut bytes);
        bytes
    }

    /// Adds what another worker sent.
    fn merge(&mut self, bytes: &[u8]) -> Option<()> {
        let (late, rest) = bytes.split_first_chunk()?;
        let (clock_len, rest) = rest.split_first_chunk()?;
        let clock_len = usize::try_from(u64::from_le_bytes(*clock_len)).ok()?;
        let (clock, times) = rest.split_at_checked(clock_len)?;
        self.late += u64::from_le_bytes(*late);
        self.clock.merge(clock)?;
        self.times.merge(times)
    }
}
