//! CPU time: of the processes of a trial, and of everybody else meanwhile.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

/// The kernel counts the CPUs' time in hundredths of a second, whatever its own tick is.
const USER_HZ: u64 = 100;

/// User and system time of every process that was waited for so far.
pub(crate) fn of_children() -> Duration {
    of(UsageWho::RUSAGE_CHILDREN)
}

/// The time that all CPUs of this machine were busy, and the time that went by on all of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cpus {
    busy: Duration,
    all: Duration,
    ours: Duration,
}

impl Cpus {
    pub(crate) fn now() -> Self {
        let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let line = text.lines().next().unwrap_or_default();
        let ticks: Vec<u64> =
            line.split_ascii_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
        // user nice system idle iowait irq softirq steal; guests are in user already.
        let all: u64 = ticks.iter().take(8).sum();
        let idle: u64 = ticks.iter().skip(3).take(2).sum();
        Self {
            busy: of_ticks(all - idle),
            all: of_ticks(all),
            ours: of_children() + of(UsageWho::RUSAGE_SELF),
        }
    }

    /// The share of the CPUs that went to others since `before`, in percent.
    pub(crate) fn foreign_since(&self, before: Self) -> f64 {
        let busy = self.busy.saturating_sub(before.busy);
        let ours = self.ours.saturating_sub(before.ours);
        let all = self.all.saturating_sub(before.all).as_secs_f64().max(0.01);
        100.0 * busy.saturating_sub(ours).as_secs_f64() / all
    }
}

fn of(who: UsageWho) -> Duration {
    getrusage(who)
        .map_or(Duration::ZERO, |usage| duration(usage.user_time()) + duration(usage.system_time()))
}

fn duration(time: TimeVal) -> Duration {
    let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
    let micros = u64::try_from(time.tv_usec()).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(micros)
}

const fn of_ticks(ticks: u64) -> Duration {
    Duration::from_millis(ticks * (1000 / USER_HZ))
}
