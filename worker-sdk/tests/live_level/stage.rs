//! What the tests of the live level stand on: a process for each, a run directory in which the test
//! plays the listener, and layers that count.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fleetlog_protocol::level_control::{
    CONTROL, Change, Changes, LEVEL, LevelControl, WorkerPattern, clock,
};
use tracing_core::{Event, Interest, Metadata, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, Layer};

const ALONE: &str = "FLEETLOG_TEST_ALONE";

/// Long enough for anything that happens at all.
const GENEROUS: Duration = Duration::from_secs(100);

/// Runs a test in a process and a run directory of its own. Returns what the process said, where
/// this is not it.
#[track_caller]
pub(crate) fn alone(name: &str, test: impl FnOnce()) -> Option<String> {
    if std::env::var_os(ALONE).is_some() {
        test();
        return None;
    }
    let folder = tempfile::Builder::new().prefix("fl").tempdir().expect("a folder");
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", name, "--nocapture", "--test-threads", "1"])
        .env(ALONE, "1")
        .env("FLEETLOG_RUN_DIR", folder.path())
        .env_remove("FLEETLOG_LEVEL")
        .env_remove("FLEETLOG_LIVE_LEVEL")
        .env_remove("RUST_LOG")
        .output()
        .expect("this program runs");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{name} ended with {}:\n{said}", output.status);
    assert!(said.contains("1 passed"), "{name} did not run:\n{said}");
    Some(said)
}

pub(crate) fn run_dir() -> PathBuf {
    std::env::var_os("FLEETLOG_RUN_DIR").expect("a run directory").into()
}

/// Puts changes in force, as a listener does that starts, and ends at once.
pub(crate) fn set(changes: &[(&str, Option<&str>)]) {
    let mut all = Changes::default();
    for (directives, worker) in changes {
        let directives = directives.parse().expect("directives");
        let worker = worker.map(WorkerPattern::parse);
        all.put(Change { directives, worker, deadline: None }).expect("a few changes");
    }
    control().put_in_force(&all).expect("a run directory of our own");
}

/// Puts a change in force for a while.
pub(crate) fn set_for(directives: &str, lasting: Duration) -> LevelControl {
    let mut all = Changes::default();
    let directives = directives.parse().expect("directives");
    let deadline = Some(clock::now() + lasting);
    all.put(Change { directives, worker: None, deadline }).expect("one change");
    let mut control = control();
    control.put_in_force(&all).expect("a run directory of our own");
    control
}

fn control() -> LevelControl {
    LevelControl::claim(&run_dir(), 0o600).expect("a run directory of our own")
}

/// Writes something else where the changes stand.
pub(crate) fn garble() {
    let path = run_dir().join(LEVEL);
    fs::write(&path, "app=trace\n").expect("garbage");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("ours");
}

pub(crate) fn cut_page() {
    let file = OpenOptions::new().write(true).open(run_dir().join(CONTROL)).expect("the page");
    file.set_len(0).expect("ours");
}

pub(crate) fn remove_page() {
    fs::remove_file(run_dir().join(CONTROL)).expect("the page");
}

/// Waits until a condition holds.
#[track_caller]
pub(crate) fn until(what: &str, holds: impl FnMut() -> bool) {
    assert!(comes_true(holds), "waited in vain: {what}");
}

pub(crate) fn comes_true(mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + GENEROUS;
    while !holds() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

/// How many threads of this process have a name.
pub(crate) fn threads(name: &str) -> usize {
    let tasks = fs::read_dir("/proc/self/task").expect("proc");
    let names = tasks.flatten().map(|task| fs::read_to_string(task.path().join("comm")));
    names.flatten().filter(|comm| comm.trim_end() == name).count()
}

/// Counts the events that pass all filters, by target.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<HashMap<String, u64>>>);

impl Seen {
    pub(crate) fn count(&self, target: &str) -> u64 {
        self.0.lock().expect("no panic").get(target).copied().unwrap_or(0)
    }

    /// Counts on from another number.
    pub(crate) fn forget(&self, target: &str, count: u64) {
        self.0.lock().expect("no panic").insert(target.to_owned(), count);
    }
}

impl<S: Subscriber> Layer<S> for Seen {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let target = event.metadata().target().to_owned();
        *self.0.lock().expect("no panic").entry(target).or_default() += 1;
    }
}

/// A filter by level that counts how often it is asked for a single event.
pub(crate) struct Counting {
    level: LevelFilter,
    pub(crate) asked: Arc<AtomicU64>,
}

impl Counting {
    pub(crate) fn new(level: LevelFilter) -> Self {
        Self { level, asked: Arc::default() }
    }
}

impl<S: Subscriber> Layer<S> for Counting {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.level >= *metadata.level() { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.level >= *metadata.level()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }
}

/// A filter with a bug that shows when interests are computed anew.
pub(crate) struct PanicsInTheWatcher;

impl<S: Subscriber> Layer<S> for PanicsInTheWatcher {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        assert!(!is_watcher(), "a bug of the program's own filter");
        Interest::always()
    }
}

/// What [`LocksInTheWatcher`] holds, and whether it does.
pub(crate) static LOCK: Mutex<()> = Mutex::new(());
pub(crate) static INSIDE: AtomicBool = AtomicBool::new(false);

/// A filter with a lock of its own, which it holds for long enough to be caught.
pub(crate) struct LocksInTheWatcher;

impl<S: Subscriber> Layer<S> for LocksInTheWatcher {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        if is_watcher() {
            let _held = LOCK.lock().expect("no panic");
            INSIDE.store(true, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(100));
            INSIDE.store(false, Ordering::SeqCst);
        }
        Interest::always()
    }
}

fn is_watcher() -> bool {
    let name = fs::read_to_string("/proc/thread-self/comm").unwrap_or_default();
    name.trim_end() == "fleetlog-level"
}
