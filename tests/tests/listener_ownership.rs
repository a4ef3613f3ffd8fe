//! One listener a run directory, one socket, and no instant at which either could be mistaken.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use fleetlog_tests::{Fixture, binaries, judge};

fn demand_refusal(fixture: &Fixture, run_dir: &Path, why: &str) {
    let mut refused =
        fixture.listener().with(["--run-dir", run_dir.to_str().expect("UTF-8")]).launch();
    let code = refused.program.code();
    let output = refused.program.output();
    assert!((1..=2).contains(&code), "{code}: {output}");
    assert!(output.contains(why), "{why:?} is not in {output}");
}

#[test]
fn a_second_listener_is_refused_with_code_3_and_told_the_owners_pid() {
    let fixture = Fixture::new(binaries!());
    let first = fixture.listener().start();
    let mut second = fixture.listener().launch();
    assert_eq!(second.program.code(), 3, "{}", second.program.output());
    let pid = first.program.pid().to_string();
    assert!(second.program.output().contains(&pid), "{}", second.program.output());
    fixture.workload(["storm", "--workers", "2", "--records", "1000"]).succeed();
    assert!(first.stop().is_complete());
    judge::judge(&fixture.log()).demand_exact(2, 1000);
}

#[test]
fn listeners_that_race_for_a_run_directory_leave_exactly_one_owner() {
    for _ in 0..5 {
        let fixture = Fixture::new(binaries!());
        let mut racers: Vec<_> = (0..6).map(|_| fixture.listener().launch()).collect();
        fixture.workload(["storm", "--workers", "2", "--records", "200"]).succeed();
        let mut owners = 0;
        for racer in &mut racers {
            if racer.program.is_running() {
                // It may still be on its way to its refusal; the owner never ends by itself.
                let pid = racer.program.pid();
                let owns = racer.status().expect("a status")["listener"]["pid"] == u64::from(pid);
                if owns {
                    owners += 1;
                    continue;
                }
            }
            assert_eq!(racer.program.code(), 3, "{}", racer.program.output());
        }
        assert_eq!(owners, 1);
        let owner =
            racers.into_iter().find_map(|mut racer| racer.program.is_running().then_some(racer));
        assert!(owner.expect("the owner").stop().is_complete());
        judge::judge(&fixture.log()).demand_exact(2, 200);
    }
}

#[test]
fn the_socket_of_a_killed_listener_is_replaced() {
    let fixture = Fixture::new(binaries!());
    fixture.listener().start().kill();
    let socket = fixture.run_dir().join("socket");
    let stale = fs::symlink_metadata(&socket).expect("a stale socket").ino();
    let next = fixture.listener().start();
    assert_ne!(fs::symlink_metadata(&socket).expect("a new socket").ino(), stale);
    fixture.workload(["storm", "--workers", "2", "--records", "1000"]).succeed();
    assert!(next.stop().is_complete());
    assert!(!socket.exists(), "a listener that ends takes its socket along");
    judge::judge(&fixture.log()).demand_exact(2, 1000);
}

#[test]
fn anything_named_socket_that_is_no_socket_is_never_removed() {
    let fixture = Fixture::new(binaries!());
    drop(fixture.listener().start().stop());
    let socket = fixture.run_dir().join("socket");
    fs::write(&socket, "precious").expect("a file");
    demand_refusal(&fixture, &fixture.run_dir(), "not a socket");
    assert_eq!(fs::read_to_string(&socket).expect("still there"), "precious");
    fs::remove_file(&socket).expect("a file");
    let elsewhere = fixture.path().join("elsewhere");
    drop(UnixListener::bind(&elsewhere).expect("a socket"));
    symlink(&elsewhere, &socket).expect("a link");
    demand_refusal(&fixture, &fixture.run_dir(), "not a socket");
    assert!(fs::symlink_metadata(&elsewhere).is_ok(), "what the link names is somebody else's");
}

#[test]
fn a_planted_run_directory_is_refused_and_the_reason_told() {
    let fixture = Fixture::new(binaries!());
    let open = fixture.path().join("open");
    fs::create_dir(&open).expect("a folder");
    for mode in [0o777, 0o770, 0o702, 0o1777] {
        fs::set_permissions(&open, Permissions::from_mode(mode)).expect("its mode");
        demand_refusal(&fixture, &open, "chmod go-w");
    }
    let link = fixture.path().join("link");
    fs::create_dir(fixture.path().join("real")).expect("a folder");
    symlink(fixture.path().join("real"), &link).expect("a link");
    demand_refusal(&fixture, &link, "not a folder");
    let file = fixture.path().join("file");
    fs::write(&file, "").expect("a file");
    demand_refusal(&fixture, &file, "not a folder");
    let foreign = fixture.path().join("foreign");
    fs::create_dir(&foreign).expect("a folder");
    match chown(&foreign, Some(65534), None) {
        Ok(()) => demand_refusal(&fixture, &foreign, "uid 65534"),
        Err(error) => eprintln!("SKIPPED: a folder of another uid can't be made here: {error}"),
    }
    assert_eq!(fs::read_dir(&foreign).expect("the folder").count(), 0, "nothing was left there");
}

#[test]
fn the_socket_is_never_wider_than_asked_not_for_an_instant() {
    for mode in [0o600, 0o660] {
        let fixture = Fixture::new(binaries!());
        let socket = fixture.run_dir().join("socket");
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let seen = scope.spawn(|| {
                let (mut seen, mut widest) = (0_u64, 0);
                while !over.load(Ordering::Relaxed) {
                    if let Ok(found) = fs::symlink_metadata(&socket) {
                        seen += 1;
                        widest |= found.mode() & 0o777;
                    }
                }
                (seen, widest)
            });
            let mode_text = format!("{mode:o}");
            for _ in 0..25 {
                let mut command = Command::new("sh");
                // The widest umask there is.
                command.args(["-c", "umask 000; exec \"$0\" \"$@\"", binaries!().fleetlog]);
                command.args(["listen", "--socket-mode", &mode_text, "--run-dir"]);
                command.arg(fixture.run_dir());
                let before = fs::symlink_metadata(&socket).ok();
                let before = before.map(|found| (found.ino(), found.ctime_nsec()));
                let mut program = fixture.start("listener", command);
                fleetlog_tests::wait::until("the socket is there", || {
                    assert!(program.is_running(), "{}", program.output());
                    fs::symlink_metadata(&socket)
                        .is_ok_and(|found| Some((found.ino(), found.ctime_nsec())) != before)
                });
                program.signal(nix::sys::signal::Signal::SIGKILL);
                program.wait();
            }
            over.store(true, Ordering::Relaxed);
            let (seen, widest) = seen.join().expect("the watcher");
            assert!(seen > 0);
            assert_eq!(widest, mode, "{widest:o} after {seen} looks");
        });
        // Others may pass to what is for them, and can put nothing there.
        let folder = fs::metadata(fixture.run_dir()).expect("the folder").mode() & 0o777;
        assert_eq!(folder, 0o700 | (mode & 0o022) >> 1);
    }
}

#[test]
fn a_file_has_the_mode_that_was_asked_for_under_any_umask() {
    for (umask, mode) in [("077", 0o644), ("000", 0o600), ("027", 0o666)] {
        let fixture = Fixture::new(binaries!());
        let mut command = Command::new("sh");
        command.args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\""), binaries!().fleetlog]);
        command.args(["listen", "--file-mode", &format!("{mode:o}"), "--run-dir"]);
        command.arg(fixture.run_dir()).arg("--file").arg(fixture.log());
        let mut program = fixture.start("listener", command);
        fleetlog_tests::wait::until("the socket is there", || {
            assert!(program.is_running(), "{}", program.output());
            fixture.run_dir().join("socket").exists()
        });
        // Whoever answers has opened its files.
        fixture.command(["status"]).succeed();
        let found = fs::metadata(fixture.log()).expect("the log").mode() & 0o777;
        assert_eq!(found, mode, "{found:o} under umask {umask}");
    }
}
