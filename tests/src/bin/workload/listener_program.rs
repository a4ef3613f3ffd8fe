//! Programs that bring a listener of their own: as a process, or inside of themselves.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fleetlog::Listener;
use fleetlog::format::Format;
use fleetlog_protocol::client;
use fleetlog_protocol::message::{LevelChange, Request};
use fleetlog_worker::{Fleet, Layer};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::arguments::Arguments;
use crate::listener_steady::{PATIENCE, fleet, leave};

pub(crate) fn run(arguments: &mut Arguments) {
    let shape: String = arguments.take("shape", String::new());
    let log: PathBuf = arguments.take("log", PathBuf::new());
    let until: PathBuf = arguments.take("until", PathBuf::new());
    let records: u64 = arguments.take("records", 1000);
    match shape.as_str() {
        "spawned" => spawned(&log, records),
        "abandoned" => abandoned(&log, &until, records),
        "embedded" => embedded(&log, records),
        "refused" => refused(&log),
        other => panic!("no shape `{other}`"),
    }
}

fn run_dir() -> PathBuf {
    std::env::var_os("FLEETLOG_RUN_DIR").expect("FLEETLOG_RUN_DIR").into()
}

fn builder(log: &PathBuf) -> fleetlog::Builder {
    Listener::builder().run_dir(run_dir()).file(log).format(Format::json())
}

fn log_as(source: &str, records: u64) {
    for n in 0..records {
        tracing::info!(source, n, "from a program");
    }
}

fn log_in_children(fleet: &mut Fleet, records: u64) {
    for worker in 0..4 {
        let work = move || {
            log_as(&format!("{worker}.0"), records);
            fleetlog_worker::sync(PATIENCE)
        };
        fleet.spawn(format!("worker {worker}"), work).expect("a fork");
    }
}

/// Python's example: a listener process, a pool of workers, the sentinel.
fn spawned(log: &PathBuf, records: u64) {
    let listener = builder(log).spawn().expect("a listener");
    let mut fleet = fleet();
    log_in_children(&mut fleet, records);
    assert!(fleet.join().expect("all workers").is_success());
    let receipt = listener.stop(PATIENCE).expect("a receipt");
    assert!(receipt.is_complete(), "{receipt:?}");
    // Each worker, and this process, which logs how they ended.
    assert_eq!(receipt.written, 4 * records + 4, "{receipt:?}");
    assert_eq!(receipt.workers, 5, "{receipt:?}");
}

/// Spawns a listener, logs, leaves its pid beside `until`, and waits to be killed.
fn abandoned(log: &PathBuf, until: &std::path::Path, records: u64) {
    let listener = builder(log).spawn().expect("a listener");
    let _fleet = fleet();
    log_as("parent", records);
    fleetlog_worker::sync(PATIENCE).expect("everything is in the file");
    leave(until, &[("pid".to_owned(), u64::from(listener.pid()))]).expect("a file");
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// Counts what the listener says about itself.
#[derive(Clone, Default)]
struct Diagnostics(Arc<AtomicU64>);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Diagnostics {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let is_listeners = event.metadata().file().is_some_and(|file| file.contains("drain"));
        self.0.fetch_add(u64::from(is_listeners), Ordering::SeqCst);
    }
}

/// A listener in this process drains this process, and does not drain itself.
fn embedded(log: &PathBuf, records: u64) {
    let diagnostics = Diagnostics::default();
    let layer = Layer::builder().run_dir(run_dir()).build().expect("a layer");
    fleetlog_worker::registry().with(layer).with(diagnostics.clone()).init();
    let listener = builder(log).start().expect("a listener");
    let second = builder(log).start().expect_err("one listener a run directory");
    assert!(second.is_already_owned(), "{second}");
    assert!(second.to_string().contains(&std::process::id().to_string()), "{second}");
    log_as("self", records);
    tracing::error!(target: "fleetlog", "of a crate with the listener's name");
    tracing::error!(target: "fleetlog::drain", "of a crate with the listener's name");
    tracing::error!(name: "a diagnostic of the listener", "of an event with the listener's name");
    // The drain tells of this in its own thread.
    let change = LevelChange { directives: "trace".to_owned(), worker: None, for_seconds: None };
    client::request(&run_dir(), Request::SetLevel(change), PATIENCE, |_| ()).expect("an answer");
    fleetlog_worker::sync(PATIENCE).expect("everything is in the file");
    let receipt = listener.stop().expect("a receipt");
    assert!(receipt.is_complete(), "{receipt:?}");
    assert!(diagnostics.0.load(Ordering::SeqCst) > 0, "the listener said nothing");
    assert_eq!(receipt.written, records + 3, "{receipt:?}");
}

/// Another process owns the run directory.
fn refused(log: &PathBuf) {
    let started = builder(log).start().expect_err("an owner is there");
    assert!(started.is_already_owned(), "{started}");
    let spawned = builder(log).spawn().expect_err("an owner is there");
    assert!(spawned.to_string().contains("owns the run directory"), "{spawned}");
    assert!(spawned.is_already_owned(), "spawn does not tell who is at fault: {spawned:?}");
}
