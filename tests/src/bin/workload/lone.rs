//! A lone worker: a process that forks nobody and logs until somebody kills it, with the count of
//! the calls that returned in files that outlive it.

use std::path::PathBuf;
use std::time::Duration;

use crate::arguments::Arguments;
use crate::setup::{Returned, Setup};

pub(crate) struct Lone {
    setup: Setup,
    /// The number that its sources begin with.
    number: u64,
    threads: u64,
    /// Records between two pauses, and how long those are, in microseconds.
    burst: u64,
    pause: u64,
    ballast: usize,
    folder: PathBuf,
}

impl From<&mut Arguments> for Lone {
    fn from(arguments: &mut Arguments) -> Self {
        Self {
            setup: Setup::from(&mut *arguments),
            number: arguments.take("number", 0),
            threads: arguments.take("threads", 2),
            burst: arguments.take("burst", 10),
            pause: arguments.take("pause", 300),
            ballast: arguments.take("ballast", 0),
            folder: arguments.take("folder", PathBuf::new()),
        }
    }
}

pub(crate) fn run(lone: &Lone) {
    // A test that fails must not leave it behind.
    // SAFETY: the call takes plain numbers and changes nothing but a flag of this process.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    lone.setup.install();
    let ballast = "x".repeat(lone.ballast);
    std::thread::scope(|scope| {
        for thread in 0..lone.threads {
            let (source, ballast) = (format!("{}.{thread}", lone.number), &ballast);
            scope.spawn(move || {
                let returned = Returned::new(&lone.folder, &source);
                for n in 0.. {
                    tracing::info!(source, n, ballast, "finished working on item {n}");
                    returned.note(n + 1);
                    if n % lone.burst == 0 {
                        std::thread::sleep(Duration::from_micros(lone.pause));
                    }
                }
            });
        }
    });
}
