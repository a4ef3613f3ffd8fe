//! The life of a worker: its first record, its name, its end.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::time::Duration;

use fleetlog_protocol::limits::LANE_RECORD_MAX;
use fleetlog_worker::{BuildError, Transport};
use nix::sys::signal::Signal;

use crate::reader::{self, Entry};
use crate::stage::{self, Play, play};
use crate::{Roles, install, install_plainly};

pub(crate) const ROLES: Roles = &[
    ("plain", plain),
    ("aborts", aborts),
    ("renamed", renamed),
    ("long", long),
    ("waits_for_the_files", waits_for_the_files),
    ("builds", builds),
    ("two_workers", two_workers),
    ("inits", inits),
];

#[test]
fn records_without_a_listener_stand_in_a_segment() {
    let left = play("plain");
    let seen = reader::read_of(&left.run_dir, left.pid);
    assert_eq!(seen.described.name, "plain");
    assert!(seen.segment.has_left(), "it returned from main");
    seen.assert_unbroken();
    let lines = seen.lines();
    let numbers: Vec<u64> = lines.iter().map(|line| line.number("n")).collect();
    assert_eq!(numbers, (0..100).collect::<Vec<_>>());
    assert!(lines.iter().all(|line| line.message() == "plain" && line.target == "lanes::life"));
    let defined = seen.callsites.iter().filter(|callsite| callsite.target == "lanes::life");
    assert_eq!(defined.count(), 1, "a callsite is defined once");
    assert_eq!(left.stderr, "");
}

fn plain() {
    install_plainly();
    for n in 0..100 {
        tracing::info!(n, "plain");
    }
}

#[test]
fn records_survive_the_abort_of_their_process() {
    let left = Play::start("aborts").end();
    assert_eq!(left.status.signal(), Some(Signal::SIGABRT as i32));
    let seen = reader::read_one(&left.run_dir);
    assert_eq!(seen.lines().last().expect("lines").number("n"), 99);
    assert!(!seen.segment.has_left());
    assert!(fleetlog_protocol::segment::is_dead(&left.run_dir, seen.name));
}

fn aborts() {
    install_plainly();
    for n in 0..100 {
        tracing::info!(n, "last words");
    }
    std::process::abort();
}

#[test]
fn a_name_stands_before_the_first_record_that_it_is_for() {
    let left = play("renamed");
    let seen = reader::read_one(&left.run_dir);
    let story: Vec<String> = seen
        .lanes
        .iter()
        .flatten()
        .map(|entry| match entry {
            Entry::Line(line) => line.message().to_owned(),
            Entry::Name(name) => format!("I am {name}"),
            Entry::Gap { .. } => "a gap".to_owned(),
        })
        .collect();
    assert_eq!(story, ["I am renamed", "one", "I am somebody else", "two", "three"]);
}

fn renamed() {
    install_plainly();
    tracing::info!("one");
    fleetlog_worker::set_name("somebody else");
    tracing::info!("two");
    tracing::info!("three");
}

#[test]
fn a_long_record_is_cut_so_that_it_fits_a_lane_with_its_definition() {
    let left = play("long");
    let seen = reader::read_one(&left.run_dir);
    seen.assert_unbroken();
    let lines = seen.lines();
    let sources: Vec<&str> = lines.iter().map(|line| line.target.as_str()).collect();
    assert_eq!(sources, ["lanes::life", "a::logger", "panic"]);
    for line in &lines {
        assert!(line.is_cut, "{}", line.target);
        assert!(
            (LANE_RECORD_MAX - 100..LANE_RECORD_MAX + 1000).contains(&line.len),
            "{}",
            line.len
        );
    }
}

fn long() {
    install(|builder| builder.record_max(1 << 20));
    let text = "ä".repeat(1 << 20);
    tracing::info!("{text}");
    #[cfg(feature = "log")]
    {
        // Another crate of the build may have set it with the subscriber.
        let _ = tracing_log::LogTracer::init();
        log::info!(target: "a::logger", "{text}");
    }
    std::panic::set_hook(Box::new(|_| ()));
    fleetlog_worker::install_panic_hook();
    std::panic::catch_unwind(|| panic!("{text}")).expect_err("a panic");
}

#[test]
fn a_sync_counts_the_records_that_are_not_in_the_files() {
    let mut play = Play::start("waits_for_the_files");
    assert_eq!(
        play.wait_for("unheard"),
        "5 records were not in the files in time; they are kept and sent on"
    );
    let mut seen = reader::read_one(&play.run_dir());
    seen.release();
    play.go();
    play.wait_for("written");
    play.go();
    play.end_well();
}

fn waits_for_the_files() {
    install_plainly();
    fleetlog_worker::sync(Duration::ZERO).expect("there is nothing to wait for");
    for n in 0..3 {
        tracing::info!(n, "not yet");
    }
    std::thread::spawn(|| {
        tracing::info!("from elsewhere");
        tracing::info!("from elsewhere");
    })
    .join()
    .expect("a thread");
    let error = fleetlog_worker::sync(Duration::from_millis(20)).expect_err("nobody listens");
    stage::cue("unheard", error);
    stage::wait();
    fleetlog_worker::sync(Duration::from_secs(60)).expect("everything is in the files");
    stage::cue("written", "");
    stage::wait();
}

#[test]
fn the_environment_names_the_transport_unless_the_program_does() {
    let value = |value: &str| {
        let mut play = Play::start_in(stage::folder(), "builds", &[("FLEETLOG_TRANSPORT", value)]);
        let said = play.wait_for("built");
        (said, reader::read(&play.end_well().run_dir).len())
    };
    let known = "give auto, lanes or socket";
    for (given, expected, segments) in [
        ("", "default: ok, lanes: ok".to_owned(), 2),
        ("auto", "default: ok, lanes: ok".to_owned(), 2),
        ("lanes", "default: ok, lanes: ok".to_owned(), 2),
        ("socket", "default: ok, lanes: ok".to_owned(), 1),
        (
            "pigeon",
            format!(
                "default: $FLEETLOG_TRANSPORT is `pigeon`, which is no transport: {known}, lanes: ok"
            ),
            1,
        ),
    ] {
        assert_eq!(value(given), (expected, segments), "{given}");
    }
}

fn builds() {
    let mut said = Vec::new();
    for (name, transport) in [("default", None), ("lanes", Some(Transport::Lanes))] {
        let mut builder = fleetlog_worker::Layer::builder();
        if let Some(transport) = transport {
            builder = builder.transport(transport);
        }
        said.push(match builder.build() {
            Ok(layer) => {
                log_once(layer);
                format!("{name}: ok")
            }
            Err(error @ BuildError::UnknownTransport(_)) => format!("{name}: {error}"),
            Err(error) => panic!("{error}"),
        });
    }
    stage::cue("built", said.join(", "));
}

fn log_once(layer: fleetlog_worker::Layer) {
    use tracing_subscriber::layer::SubscriberExt as _;
    let subscriber = fleetlog_worker::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || tracing::info!("once"));
}

#[test]
fn init_heeds_the_environment() {
    let variables = [("FLEETLOG_TRANSPORT", "socket")];
    let left = Play::start_in(stage::folder(), "inits", &variables).end_well();
    assert!(reader::read(&left.run_dir).is_empty());
    let left = Play::start("inits").end_well();
    assert_eq!(reader::read_one(&left.run_dir).messages(), ["set up"]);
}

fn inits() {
    fleetlog_worker::init().expect("no subscriber yet");
    tracing::info!("set up");
}

#[test]
fn two_workers_in_one_program_have_lanes_of_their_own() {
    let left = play("two_workers");
    for (run_dir, name) in [("run", "first"), ("other", "second")] {
        let run_dir = left.run_dir.parent().expect("a folder").join(run_dir);
        let seen = reader::read_one(&run_dir);
        assert_eq!(seen.described.name, name);
        seen.assert_unbroken();
        let numbers: Vec<u64> = seen.lines().iter().map(|line| line.number("n")).collect();
        assert_eq!(numbers, (0..10).collect::<Vec<_>>());
        assert_eq!(seen.lanes[0].len(), 11, "its name and its records, in the thread's lane");
    }
}

fn two_workers() {
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::util::SubscriberInitExt as _;
    let layer = |run_dir: &Path, name: &str| {
        fleetlog_worker::Layer::builder().run_dir(run_dir).name(name).build().expect("a layer")
    };
    let run_dir = stage::run_dir();
    fleetlog_worker::registry()
        .with(layer(&run_dir, "first"))
        .with(layer(&run_dir.with_file_name("other"), "second"))
        .init();
    for n in 0..10 {
        tracing::info!(n, "to both");
    }
}
