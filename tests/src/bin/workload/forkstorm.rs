//! The fork storm: threads log, open spans and start short threads while the main thread forks
//! children that do the same. A watchdog kills children that hang, by pid, and counts them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

use crate::arguments::Arguments;
use crate::setup::{Returned, Setup};

/// What each child logs from its own thread, and from the one that it starts.
const FROM_CHILD: u64 = 10;
const FROM_ITS_THREAD: u64 = 3;

pub(crate) struct ForkStorm {
    setup: Setup,
    forks: u64,
    threads: u64,
    /// How a child starts its thread: `pthread`, `std` or `none`. The standard library takes a
    /// process-wide lock when a thread starts, which is not ours to make safe.
    child_thread: String,
    /// Milliseconds after which a child counts as hung.
    patience: u64,
    /// Whether to stop at the first child that hangs.
    until_hang: bool,
    folder: PathBuf,
}

impl From<&mut Arguments> for ForkStorm {
    fn from(arguments: &mut Arguments) -> Self {
        Self {
            setup: Setup::from(&mut *arguments),
            forks: arguments.take("forks", 500),
            threads: arguments.take("threads", 4),
            child_thread: arguments.take("child-thread", "pthread".to_owned()),
            patience: arguments.take("patience", 60_000),
            until_hang: arguments.take("until-hang", false),
            folder: arguments.take("folder", PathBuf::new()),
        }
    }
}

pub(crate) fn run(storm: &ForkStorm) {
    storm.setup.install();
    let started = Instant::now();
    let done = AtomicBool::new(false);
    let mut hung = Vec::new();
    std::thread::scope(|scope| {
        for thread in 0..storm.threads {
            let (folder, done) = (&storm.folder, &done);
            scope.spawn(move || make_noise(thread, folder, done));
        }
        for number in 0..storm.forks {
            if !child_ends(storm, number) {
                hung.push(number);
                if storm.until_hang {
                    tell(&hung, started);
                    // SAFETY: the process ends here. What hangs a child may hang its parent too.
                    unsafe { libc::_exit(0) }
                }
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    tell(&hung, started);
}

fn tell(hung: &[u64], started: Instant) {
    let seconds = started.elapsed().as_secs_f64();
    writeln!(std::io::stdout(), "hung={} at={hung:?} seconds={seconds:.1}", hung.len())
        .expect("standard output");
}

/// Logs in spans and from short threads until the storm is over.
fn make_noise(thread: u64, folder: &Path, done: &AtomicBool) {
    let source = format!("noise{thread}");
    let short_source = format!("short{thread}");
    let (returned, short_returned) =
        (Returned::new(folder, &source), Returned::new(folder, &short_source));
    let mut n = 0;
    while !done.load(Ordering::Relaxed) {
        let _outer = tracing::info_span!("noise", thread).entered();
        for _ in 0..4 {
            let _inner = tracing::info_span!("inner", n).entered();
            tracing::info!(source, n, "noise");
            n += 1;
            returned.note(n);
        }
        let at = n / 4 - 1;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _span = tracing::info_span!("short", at).entered();
                tracing::info!(source = short_source, n = at, "from a short thread");
            });
        });
        short_returned.note(at + 1);
    }
}

/// Forks a child and waits for it. Returns false if it hung and had to be killed.
fn child_ends(storm: &ForkStorm, number: u64) -> bool {
    // SAFETY: the child logs, starts a thread and ends; that this works is what is tested.
    let pid = match unsafe { fork() }.expect("a fork") {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            be_a_child(storm, number);
            // SAFETY: the child ends here.
            unsafe { libc::_exit(0) }
        }
    };
    let deadline = Instant::now() + Duration::from_millis(storm.patience);
    loop {
        match waitpid(pid, Some(WaitPidFlag::WNOHANG)).expect("a child") {
            WaitStatus::StillAlive if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_micros(100));
            }
            WaitStatus::StillAlive => {
                tell_where(pid, number);
                kill(pid, Signal::SIGKILL).expect("the child is there");
                waitpid(pid, None).expect("a child");
                return false;
            }
            WaitStatus::Exited(_, 0) => return true,
            other => panic!("child {number} ended with {other:?}"),
        }
    }
}

/// Says what the threads of a hung child wait for.
fn tell_where(pid: Pid, number: u64) {
    let folder = format!("/proc/{pid}/task");
    for task in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let waits = std::fs::read_to_string(task.path().join("wchan")).unwrap_or_default();
        let call = std::fs::read_to_string(task.path().join("syscall")).unwrap_or_default();
        writeln!(std::io::stdout(), "child {number} [{pid}] hangs: {waits} {}", call.trim())
            .expect("standard output");
    }
}

fn be_a_child(storm: &ForkStorm, number: u64) {
    fleetlog_worker::set_name(&format!("child {number}"));
    let source = format!("child{number}");
    let _outer = tracing::info_span!("child", number).entered();
    for n in 0..FROM_CHILD {
        let _inner = tracing::info_span!("item", n).entered();
        tracing::info!(source, n, "from a child");
    }
    match storm.child_thread.as_str() {
        "pthread" => run_in_pthread(number),
        "std" => std::thread::spawn(move || be_its_thread(number)).join().expect("a thread"),
        _ => {}
    }
    fleetlog_worker::goodbye();
}

fn be_its_thread(number: u64) {
    let source = format!("thread{number}");
    for n in 0..FROM_ITS_THREAD {
        let _span = tracing::info_span!("item of a thread", n).entered();
        tracing::info!(source, n, "from a thread of a child");
    }
}

fn run_in_pthread(number: u64) {
    extern "C" fn start(number: *mut libc::c_void) -> *mut libc::c_void {
        be_its_thread(number.addr() as u64);
        std::ptr::null_mut()
    }
    let mut thread = 0;
    let argument = std::ptr::without_provenance_mut(usize::try_from(number).expect("a number"));
    // SAFETY: `start` takes any argument, and the thread is joined below.
    let failed =
        unsafe { libc::pthread_create(&raw mut thread, std::ptr::null(), start, argument) };
    assert_eq!(failed, 0, "no thread");
    // SAFETY: the thread was created above and is joined once.
    let failed = unsafe { libc::pthread_join(thread, std::ptr::null_mut()) };
    assert_eq!(failed, 0, "no join");
}
