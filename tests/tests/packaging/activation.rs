//! The socket that a service manager binds and hands down.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use fleetlog_tests::raw::{Raw, Said};
use fleetlog_tests::{Fixture, binaries, judge, programs, wait};
use nix::sys::signal::Signal;

use crate::manager::{Manager, Service, bind};

fn copy(socket: &UnixListener) -> UnixListener {
    socket.try_clone().expect("a descriptor")
}

#[test]
fn workers_that_came_before_the_listener_are_served_and_the_socket_stays() {
    for transport in ["lanes", "socket"] {
        let fixture = Fixture::new(binaries!()).over(transport);
        let manager = Manager::new(&fixture);
        let socket = bind(&fixture.run_dir());
        let path = fixture.run_dir().join("socket");
        fs::set_permissions(&path, PermissionsExt::from_mode(0o660)).expect("its mode");
        let inode = fs::symlink_metadata(&path).expect("the socket").ino();
        for round in 0..3 {
            let mut early = Raw::worker(&fixture.run_dir(), 7 + round, "early");
            let first = (round * 2).to_string();
            let arguments = ["storm", "--first", &first, "--workers", "2", "--records", "300"];
            let storm = fixture.workload(arguments);
            let mut listener = Service::new(&fixture).start_on(copy(&socket), 1);
            manager.await_line("READY=1");
            assert!(matches!(early.hear(), Said::Welcome(_)), "it waited in the backlog");
            storm.succeed();
            listener.signal(Signal::SIGTERM);
            assert_eq!(listener.code(), 0, "{}", listener.output());
            let found = fs::symlink_metadata(&path).expect("the socket is still there");
            assert_eq!((found.ino(), found.mode() & 0o777), (inode, 0o660));
            UnixStream::connect(&path).expect("the service manager still listens");
        }
        judge::judge(&fixture.log()).demand_exact(6, 300);
    }
}

#[test]
fn a_listener_that_is_killed_on_a_handed_down_socket_is_followed_by_the_next() {
    let fixture = Fixture::new(binaries!());
    let manager = Manager::new(&fixture);
    let socket = bind(&fixture.run_dir());
    let storm = fixture.workload(["storm", "--workers", "2", "--records", "20000"]);
    for _ in 0..4 {
        let mut listener = Service::new(&fixture).start_on(copy(&socket), 1);
        manager.await_line("READY=1");
        std::thread::sleep(Duration::from_millis(10));
        listener.signal(Signal::SIGKILL);
        listener.code();
    }
    let mut last = Service::new(&fixture).start_on(copy(&socket), 1);
    storm.succeed();
    fixture.command(["stop"]).succeed();
    assert_eq!(last.code(), 0, "{}", last.output());
    judge::judge(&fixture.log()).demand_exact(2, 20000);
}

#[test]
fn a_socket_of_another_path_is_refused_and_both_are_named() {
    let fixture = Fixture::new(binaries!());
    let manager = Manager::new(&fixture);
    let elsewhere = fixture.path().join("elsewhere");
    let socket = UnixListener::bind(&elsewhere).expect("a socket");
    let mut refused = Service::new(&fixture).start_on(copy(&socket), 1);
    assert_eq!(refused.code(), 2, "{}", refused.output());
    let (said, wanted) = (refused.output(), fixture.run_dir().join("socket"));
    for part in [elsewhere.to_str(), wanted.to_str(), Some("ListenStream=")] {
        assert!(said.contains(part.expect("UTF-8")), "{part:?} is not in {said}");
    }
    assert!(!wanted.exists() && elsewhere.exists());
    assert!(manager.hear(Duration::from_millis(100)).is_none(), "it was never ready");
}

#[test]
fn what_is_no_socket_to_listen_on_is_refused() {
    let fixture = Fixture::new(binaries!());
    let socket = bind(&fixture.run_dir());
    let mut two = Service::new(&fixture).start_on(copy(&socket), 2);
    assert_eq!(two.code(), 1, "{}", two.output());
    assert!(two.output().contains("hands down 2 sockets"), "{}", two.output());
    let no_socket = fs::File::open("/dev/null").expect("a device");
    let mut file = Service::new(&fixture).start_on(no_socket, 1);
    assert_eq!(file.code(), 2, "{}", file.output());
    assert!(file.output().contains("no Unix socket"), "{}", file.output());
    fs::remove_file(fixture.run_dir().join("socket")).expect("the socket");
    let mut gone = Service::new(&fixture).start_on(copy(&socket), 1);
    assert_eq!(gone.code(), 1, "{}", gone.output());
    assert!(gone.output().contains("restart the socket unit"), "{}", gone.output());
}

#[test]
fn a_socket_that_was_handed_to_another_process_is_not_taken() {
    let fixture = Fixture::new(binaries!());
    let elsewhere = UnixListener::bind(fixture.path().join("elsewhere")).expect("a socket");
    let inherited = Service::new(&fixture).variable("LISTEN_FDS", "1").variable("LISTEN_PID", "1");
    let mut listener = inherited.start();
    wait::until("the listener answers", || {
        assert!(listener.is_running(), "{}", listener.output());
        fixture.command(["status"]).code() == 0
    });
    listener.signal(Signal::SIGTERM);
    assert_eq!(listener.code(), 0, "{}", listener.output());
    assert!(!fixture.run_dir().join("socket").exists(), "the socket was its own");
    drop(elsewhere);
}

/// Where another uid connects, its lanes are as welcome as its connection: the mode that counts is
/// that of the socket that was handed down.
#[test]
fn the_folder_of_lanes_is_as_open_as_the_socket_that_was_handed_down() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: only root's listener opens the folder of lanes");
        return;
    }
    let fixture = Fixture::new(binaries!());
    let manager = Manager::new(&fixture);
    let socket = bind(&fixture.run_dir());
    let path = fixture.run_dir().join("socket");
    fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).expect("its mode");
    let mut listener = Service::new(&fixture).start_on(copy(&socket), 1);
    manager.await_line("READY=1");
    let mode = fs::metadata(fixture.run_dir().join("lanes")).expect("the folder").mode() & 0o7777;
    listener.signal(Signal::SIGTERM);
    assert_eq!(listener.code(), 0, "{}", listener.output());
    assert_eq!(mode, 0o1733, "{mode:o}");
}

#[test]
fn systemd_s_own_tool_can_hand_the_socket_down() {
    let fixture = Fixture::new(binaries!());
    fs::create_dir(fixture.run_dir()).expect("the run directory");
    fs::set_permissions(fixture.run_dir(), PermissionsExt::from_mode(0o700)).expect("its mode");
    let path = fixture.run_dir().join("socket");
    let mut command = std::process::Command::new("systemd-socket-activate");
    let probe = command.arg("--version").output();
    if probe.is_err() {
        let program = "systemd-socket-activate";
        return programs::missing(program, "apt-get install systemd").unwrap_or(());
    }
    let mut command = std::process::Command::new("systemd-socket-activate");
    let variable = format!("FLEETLOG_RUN_DIR={}", fixture.run_dir().display());
    command.arg("--listen").arg(&path).arg("--setenv").arg(variable);
    command.arg(binaries!().fleetlog).args(["listen", "--format", "json", "--file"]);
    command.arg(fixture.log());
    let mut activated = fixture.start("activate", command);
    wait::until("the tool listens", || path.exists());
    // The first connection starts the listener.
    fixture.workload(["storm", "--workers", "2", "--records", "500"]).succeed();
    fixture.command(["stop"]).succeed();
    assert_eq!(activated.code(), 0, "{}", activated.output());
    assert!(path.exists(), "it is the tool's");
    judge::judge(&fixture.log()).demand_exact(2, 500);
}
