//! Lanes over their life: many of them, none of them, idle ones, and what is left behind.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use fleetlog_protocol::message::WorkerAccount;
use fleetlog_tests::{Disk, Fixture, ListenerUnderTest, Program, binaries, judge, wait};
use nix::sys::signal::Signal;

/// The user who owns nothing.
const NOBODY: u32 = 65_534;

fn lanes() -> Fixture {
    Fixture::new(binaries!()).over("lanes")
}

/// Lets workers log, and demands that everything is in the file and nothing in the run directory.
fn storm(fixture: &Fixture, arguments: &[&str], sources: usize, records: u64) {
    let listener = fixture.listener().start();
    let records_text = records.to_string();
    let all = ["storm", "--records", &records_text];
    fixture.workload(all.iter().chain(arguments)).succeed();
    let receipt = listener.stop();
    assert!(receipt.is_complete(), "{receipt:?}");
    assert_eq!((receipt.died, receipt.offences), (0, 0), "{receipt:?}");
    assert_eq!(receipt.accounts.len() as u64, receipt.workers, "an account for each worker");
    let attempted: u64 = receipt.accounts.iter().map(WorkerAccount::attempted).sum();
    assert_eq!(attempted, receipt.written);
    judge::judge(&fixture.log()).demand_exact(sources, records);
    let left = fs::read_dir(fixture.run_dir().join("lanes")).expect("the folder of lanes");
    assert_eq!(left.count(), 0, "segments were left behind");
}

#[test]
fn five_hundred_workers_leave_nothing_behind() {
    storm(&lanes(), &["--workers", "500"], 500, 20);
}

#[test]
fn two_thousand_threads_of_one_worker_are_all_exact() {
    storm(&lanes(), &["--workers", "1", "--threads", "2000"], 2000, 20);
}

#[test]
fn workers_whose_run_directory_has_no_room_for_lanes_use_the_socket_and_say_so() {
    let fixture = lanes();
    let Some(_disk) = Disk::mount(&fixture.run_dir(), "2m") else { return };
    let listener = fixture.listener().start();
    let workers = ["storm", "--workers", "12", "--threads", "2", "--records", "500"];
    let mut fleet = fixture.workload(workers);
    assert_eq!(fleet.code(), 0, "{}", fleet.output());
    assert!(fleet.output().contains("go over the socket"), "{}", fleet.output());
    let fallbacks = listener.status().expect("a status")["totals"]["fallbacks"].as_u64();
    assert!(fallbacks > Some(0), "nobody says that it fell back");
    assert!(listener.program.output().contains("has no lanes"), "{}", listener.program.output());
    let receipt = listener.stop();
    assert!(receipt.is_complete(), "{receipt:?}");
    judge::judge(&fixture.log()).demand_exact(24, 500);
}

#[test]
fn lanes_of_the_configured_size_hold_what_is_logged_while_no_listener_lives() {
    let fixture = lanes();
    let config = fixture.path().join("fleetlog.toml");
    fs::write(&config, "[worker]\nlane_max = \"2M\"\n").expect("a file");
    let config = config.to_str().expect("UTF-8").to_owned();
    fixture.listener().with(["--config", &config]).start().stop();
    // Each of them logs more than a lane of the usual size holds, and none may wait.
    let workers = ["storm", "--workers", "3", "--records", "10000", "--stall", "0"];
    fixture.workload(workers).succeed();
    let listener = fixture.listener().with(["--config", &config]).start();
    let receipt = listener.stop();
    assert!(receipt.is_complete(), "{receipt:?}");
    judge::judge(&fixture.log()).demand_exact(3, 10_000);
    // A configuration that says nothing of workers takes it back.
    fixture.listener().start().stop();
    fixture.workload(["storm", "--workers", "1", "--records", "10000", "--stall", "0"]).succeed();
    let receipt = fixture.listener().start().stop();
    assert!(receipt.dropped.total() > 0, "{receipt:?}");
}

#[test]
fn workers_of_other_users_have_lanes_where_root_listens_to_everybody() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: only root can log as somebody else");
        return;
    }
    let fixture = lanes();
    fs::create_dir(fixture.run_dir()).expect("the run directory");
    for folder in [fixture.path().to_owned(), fixture.run_dir()] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o711)).expect("its mode");
    }
    let listener = fixture.listener().with(["--socket-mode", "0666"]).start();
    let mut command = Command::new(binaries!().workload);
    command
        .args(["storm", "--workers", "3", "--records", "100"])
        .env("FLEETLOG_RUN_DIR", fixture.run_dir())
        .env("FLEETLOG_TRANSPORT", "lanes")
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY);
    fixture.start("nobody", command).succeed();
    let fallbacks = listener.status().expect("a status")["totals"]["fallbacks"].as_u64();
    assert_eq!(fallbacks, Some(0), "somebody had no lanes: {}", fixture.report());
    let receipt = listener.stop();
    assert!(receipt.is_complete() && receipt.offences == 0, "{receipt:?}");
    judge::judge(&fixture.log()).demand_exact(3, 100);
    assert_eq!(fs::read_dir(fixture.run_dir().join("lanes")).expect("a folder").count(), 0);
}

/// What the kernel counts of a process: ticks of CPU time, and times that it was woken.
fn figures(listener: &ListenerUnderTest) -> (u64, u64) {
    let path = |name: &str| format!("/proc/{}/{name}", listener.program.pid());
    let stat = fs::read_to_string(path("stat")).expect("a stat");
    let fields: Vec<&str> = stat[stat.rfind(')').expect("a name") + 2..].split(' ').collect();
    let ticks = |at: usize| fields[at].parse::<u64>().expect("a number");
    let status = fs::read_to_string(path("status")).expect("a status");
    let switches = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    (ticks(11) + ticks(12), switches.expect("a count").trim().parse().expect("a number"))
}

/// `FLEETLOG_IDLE=60` for a run by hand.
fn idle_seconds() -> u64 {
    std::env::var("FLEETLOG_IDLE").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(4)
}

fn idle_worker(fixture: &Fixture) -> Program {
    let folder = fixture.path().to_str().expect("UTF-8").to_owned();
    let program = fixture.workload(["pressure", "--folder", &folder, "--records", "0"]);
    wait::until("the worker has logged", || fixture.path().join("ready").exists());
    program
}

#[test]
fn a_listener_whose_workers_log_nothing_sleeps() {
    let fixture = lanes();
    let listener = fixture.listener().start();
    let worker = idle_worker(&fixture);
    // Until its lanes are left alone: two looks in a row that find the same count of wake-ups
    // half a second apart.
    wait::until("the listener falls asleep", || {
        let before = figures(&listener).1;
        std::thread::sleep(Duration::from_millis(500));
        figures(&listener).1 <= before + 1
    });
    let (start, (ticks, wakes)) = (Instant::now(), figures(&listener));
    std::thread::sleep(Duration::from_secs(idle_seconds()));
    let (ticks, wakes) = (figures(&listener).0 - ticks, figures(&listener).1 - wakes);
    let seconds = start.elapsed().as_secs_f64();
    eprintln!("{wakes} wake-ups and {ticks} ticks in {seconds:.1} s");
    assert!((wakes as f64) <= seconds + 1.0, "{wakes} wake-ups in {seconds} s");
    assert!(ticks <= 1, "{ticks} ticks of CPU time in {seconds} s");
    // It still hears who logs.
    fs::write(fixture.path().join("go"), "").expect("a file");
    fs::write(fixture.path().join("finish"), "").expect("a file");
    worker.succeed();
    let receipt = listener.stop();
    assert_eq!(receipt.written, 1, "{receipt:?}");
}

#[test]
fn a_segment_goes_when_its_worker_goes_and_not_before() {
    let fixture = lanes();
    let listener = fixture.listener().start();
    let worker = idle_worker(&fixture);
    let count = || fs::read_dir(fixture.run_dir().join("lanes")).expect("a folder").count();
    assert_eq!(count(), 1);
    worker.signal(Signal::SIGKILL);
    drop(worker);
    wait::until("the segment is removed", || count() == 0);
    let receipt = listener.stop();
    assert_eq!((receipt.written, receipt.died), (1, 1), "{receipt:?}");
}
