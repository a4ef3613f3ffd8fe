//! Signals: an alarm every millisecond, which an application handles in its main thread.

use std::io::Write as _;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::gettid;

use crate::arguments::Arguments;
use crate::setup::{PATIENCE, Setup};

static RINGS: AtomicU64 = AtomicU64::new(0);
static ASTRAY: AtomicU64 = AtomicU64::new(0);
static MAIN: AtomicI32 = AtomicI32::new(0);

extern "C" fn count(_: libc::c_int) {
    RINGS.fetch_add(1, Ordering::Relaxed);
    if gettid().as_raw() != MAIN.load(Ordering::Relaxed) {
        ASTRAY.fetch_add(1, Ordering::Relaxed);
    }
}

/// Alarms that rang in this process so far.
pub(crate) fn rings() -> u64 {
    RINGS.load(Ordering::Relaxed)
}

pub(crate) fn ring_every_millisecond() {
    MAIN.store(gettid().as_raw(), Ordering::Relaxed);
    // Without SA_RESTART: every call that waits is interrupted.
    let action = SigAction::new(SigHandler::Handler(count), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler touches atomics and asks for a thread id, which a handler may do.
    unsafe { sigaction(Signal::SIGALRM, &action) }.expect("a handler");
    let millisecond = libc::timeval { tv_sec: 0, tv_usec: 1000 };
    let timer = libc::itimerval { it_interval: millisecond, it_value: millisecond };
    // SAFETY: the timer is a whole value, and nobody wants the old one.
    let failed =
        unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) };
    assert_eq!(failed, 0, "no timer");
}

pub(crate) fn run(arguments: &mut Arguments) {
    let setup = Setup::from(&mut *arguments);
    let records: u64 = arguments.take("records", 1000);
    setup.install();
    ring_every_millisecond();
    let mut n = 0;
    // Until enough was logged, and until the alarm rang often enough to have hit something.
    while n < records || rings() < 100 {
        tracing::info!(source = "main", n, "in spite of alarms");
        n += 1;
    }
    fleetlog_worker::sync(PATIENCE).expect("an alarm fails nothing");
    let tasks = std::fs::read_dir("/proc/self/task").expect("the tasks").count();
    let astray = ASTRAY.load(Ordering::Relaxed);
    writeln!(std::io::stdout(), "records={n} tasks={tasks} astray={astray} rings={}", rings())
        .expect("standard output");
}
