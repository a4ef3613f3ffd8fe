//! A fleet of closures: each worker takes something of its own along, and ends in its own way.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use fleetlog_worker::{Ending, Fleet};
use nix::sys::signal::{Signal, raise};

use crate::arguments::Arguments;
use crate::setup::run_dir;

pub(crate) fn run(arguments: &mut Arguments) {
    let folder: PathBuf = arguments.take("folder", PathBuf::new());
    // The fleet sets the subscriber by itself.
    let mut fleet = Fleet::new(run_dir()).expect("a fleet");
    fleetlog_worker::install_panic_hook();

    let (text, numbers) = ("captured".to_owned(), vec![1, 2, 3]);
    let (shared, mut file) = (Arc::new(42), File::create(folder.join("moved")).expect("a file"));
    let also_shared = Arc::clone(&shared);
    fleet.spawn("string", move || tracing::info!(text, "took along")).expect("a fork");
    fleet.spawn("vec", move || tracing::info!(?numbers, "took along")).expect("a fork");
    fleet
        .spawn("arc", move || tracing::info!(number = *also_shared, "took along"))
        .expect("a fork");
    fleet
        .spawn("file", move || {
            tracing::info!("took along");
            file.write_all(b"written by the worker")
        })
        .expect("a fork");
    fleet.spawn("error", || Err::<(), _>("no such table")).expect("a fork");
    fleet.spawn("panic", run_out_of_luck).expect("a fork");
    fleet.spawn("code", leave_early).expect("a fork");
    fleet.spawn("signal", be_ended).expect("a fork");
    assert_eq!(*shared, 42);

    let report = fleet.join().expect("all workers");
    assert!(!report.is_success());
    let endings: Vec<(&str, Ending)> =
        report.workers.iter().map(|(name, _, ending)| (name.as_str(), *ending)).collect();
    let expected = [
        ("string", Ending::Exited(0)),
        ("vec", Ending::Exited(0)),
        ("arc", Ending::Exited(0)),
        ("file", Ending::Exited(0)),
        ("error", Ending::Exited(1)),
        ("panic", Ending::Exited(101)),
        ("code", Ending::Exited(7)),
        ("signal", Ending::Signalled(Signal::SIGTERM)),
    ];
    assert_eq!(endings, expected);
}

fn run_out_of_luck() {
    panic!("out of \u{1b}[31m luck");
}

fn leave_early() {
    std::process::exit(7);
}

fn be_ended() {
    tracing::info!("about to be ended");
    raise(Signal::SIGTERM).expect("a signal");
}
