//! Ends: workers that leave without a word, each in its way, right after a call returned.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fleetlog_worker::Fleet;
use nix::sys::signal::{Signal, kill, raise};
use nix::unistd::Pid;

use crate::arguments::Arguments;
use crate::setup::{Returned, Setup, run_dir};

pub(crate) struct Ends {
    setup: Setup,
    /// `exit`, `abort`, `panic`, `thread-panic`, `segfault`, `kill` (by itself) or `killed` (by
    /// its parent, at any moment). `leave`: the process exits while its threads log.
    how: String,
    workers: u64,
    records: u64,
    folder: PathBuf,
}

impl From<&mut Arguments> for Ends {
    fn from(arguments: &mut Arguments) -> Self {
        Self {
            setup: Setup::from(&mut *arguments),
            how: arguments.take("how", String::new()),
            workers: arguments.take("workers", 4),
            records: arguments.take("records", 100),
            folder: arguments.take("folder", PathBuf::new()),
        }
    }
}

pub(crate) fn run(ends: &Ends) {
    ends.setup.install();
    let mut fleet = Fleet::new(run_dir()).expect("a fleet");
    let mut pids = Vec::new();
    for worker in 0..ends.workers {
        pids.push(fleet.spawn(format!("worker {worker}"), || work(ends, worker)).expect("a fork"));
    }
    if ends.how == "killed" {
        kill_all(&ends.folder, &pids, ends.records);
    }
    let report = fleet.join().expect("all workers");
    let as_wanted = report.workers.iter().all(|(_, _, ending)| is_wanted(&ends.how, *ending));
    assert!(as_wanted, "{report:?}");
}

fn is_wanted(how: &str, ending: fleetlog_worker::Ending) -> bool {
    use fleetlog_worker::Ending::{Exited, Signalled};
    match how {
        "exit" => ending == Exited(3),
        "thread-panic" | "leave" => ending == Exited(0),
        "segfault" => ending == Signalled(Signal::SIGSEGV),
        "kill" | "killed" => ending == Signalled(Signal::SIGKILL),
        _ => ending == Signalled(Signal::SIGABRT),
    }
}

fn work(ends: &Ends, worker: u64) {
    if ends.how == "leave" {
        leave_amid_threads(ends, worker);
    }
    let source = format!("{worker}.0");
    let returned = Returned::new(&ends.folder, &source);
    if ends.how.ends_with("panic") {
        if ends.how == "panic" {
            // What `panic = "abort"` does once the hooks have run.
            std::panic::set_hook(Box::new(|_| std::process::abort()));
        }
        fleetlog_worker::install_panic_hook();
    }
    // A worker that its parent kills logs until then.
    let records = if ends.how == "killed" { u64::MAX } else { ends.records + worker };
    for n in 0..records {
        tracing::info!(source, n, "finished working on item {n}");
        returned.note(n + 1);
    }
    match ends.how.as_str() {
        // SAFETY: the process ends here; that nothing else of it runs is what is tested.
        "exit" => unsafe { libc::_exit(3) },
        "abort" => std::process::abort(),
        "panic" => panic!("worker {worker} gives up"),
        "thread-panic" => {
            let name = format!("thread of {worker}");
            let thread = std::thread::Builder::new().name(name);
            let panicked = thread.spawn(move || panic!("a thread of {worker} gives up"));
            assert!(panicked.expect("a thread").join().is_err());
        }
        // Rust's own handler takes the first one, and gives way to the second.
        "segfault" => loop {
            raise(Signal::SIGSEGV).expect("a signal");
        },
        "kill" => raise(Signal::SIGKILL).expect("a signal"),
        other => panic!("no end `{other}`"),
    }
}

/// Exits as a program does that returns from `main` while its threads are at work.
fn leave_amid_threads(ends: &Ends, worker: u64) -> ! {
    for thread in 0..3 {
        let source = format!("{worker}.{thread}");
        let returned = Returned::new(&ends.folder, &source);
        std::thread::spawn(move || {
            for n in 0.. {
                tracing::info!(source, n, "finished working on item {n}");
                returned.note(n + 1);
            }
        });
    }
    let path = ends.folder.join(format!("returned.{worker}.2"));
    while read_count(&path) < ends.records {
        std::thread::sleep(Duration::from_micros(100));
    }
    std::process::exit(0);
}

fn read_count(path: &Path) -> u64 {
    let bytes = std::fs::read(path).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, u64::from_le_bytes)
}

/// Kills each worker at a moment of its own, once it has logged its `records`.
fn kill_all(folder: &Path, pids: &[u32], records: u64) {
    for (worker, pid) in pids.iter().enumerate() {
        let path = folder.join(format!("returned.{worker}.0"));
        while read_count(&path) < records {
            std::thread::sleep(Duration::from_micros(100 + 37 * worker as u64));
        }
        let pid = Pid::from_raw(i32::try_from(*pid).expect("a pid"));
        kill(pid, Signal::SIGKILL).expect("the worker is there");
    }
}
