//! Where a host goes: other folders, other roots, other users; and what becomes of the run directory
//! meanwhile. Only root can do most of it.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::process::Command;

use fleetlog_tests::{Fixture, Program, binaries, judge, wait};
use nix::sys::signal::Signal;

use super::{
    OF_CALLSITES, RECORDS, demand_everything, demand_own_files_unchanged, fixture, folder, host,
    told_lost,
};

/// The user who owns nothing.
const NOBODY: u32 = 65_534;

/// Records of a child.
const OF_CHILD: u64 = 200;

fn is_root() -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        eprintln!("SKIPPED: only root can do this");
    }
    is_root
}

/// Starts the workload in the fixture's folder, with a run directory that is relative to it.
fn start_with_a_relative_run_dir(
    fixture: &Fixture,
    transport: &str,
    arguments: &[String],
) -> Program {
    let mut command = Command::new(binaries!().workload);
    command
        .args(arguments)
        .current_dir(fixture.path())
        .env("FLEETLOG_RUN_DIR", "run")
        .env("FLEETLOG_TRANSPORT", transport)
        .env_remove("FLEETLOG_NAME");
    fixture.start("workload", command)
}

#[test]
fn a_relative_run_directory_stays_the_same_where_the_host_goes() {
    for transport in ["lanes", "socket"] {
        let fixture = fixture(transport);
        let listener = fixture.listener().start();
        let arguments = host(&fixture, "chdir");
        let output = start_with_a_relative_run_dir(&fixture, transport, &arguments).succeed();
        demand_everything(&fixture, listener, &output);
    }
}

#[test]
fn a_fleet_and_the_programs_that_it_executes_find_the_listener_wherever_they_are() {
    for transport in ["lanes", "socket"] {
        let fixture = fixture(transport);
        let listener = fixture.listener().start();
        let arguments = ["hostfleet", "--records", "100"].map(str::to_owned);
        start_with_a_relative_run_dir(&fixture, transport, &arguments).succeed();
        let receipt = listener.stop();
        assert!(receipt.is_complete(), "{receipt:?}");
        let verdict = judge::judge(&fixture.log());
        verdict.demand_exact(2, 100);
        let lines = judge::lines(&fixture.log());
        let of = |source: &str| {
            let mine = lines.iter().filter(|line| {
                line.fields.get("source").is_some_and(|found| found.as_str() == Some(source))
            });
            mine.map(|line| line.worker.clone()).collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(of("forked").into_iter().collect::<Vec<_>>(), ["worker 0"]);
        assert_eq!(of("executed").into_iter().collect::<Vec<_>>(), ["worker 1"]);
    }
}

/// A host that has logged goes on as before, and a child that finds neither lanes nor a listener
/// says how many records end with it.
fn a_child_says_what_is_lost(deed: &str, prepare: impl Fn(&Fixture)) {
    for transport in ["lanes", "socket"] {
        let fixture = fixture(transport);
        let listener = fixture.listener().start();
        let mut arguments = host(&fixture, deed);
        arguments.extend(["--stall", "2000", "--child-records"].map(str::to_owned));
        arguments.push(OF_CHILD.to_string());
        prepare(&fixture);
        let output = fixture.workload(arguments).succeed();
        assert_eq!(told_lost(&output), OF_CHILD, "{output}");
        demand_own_files_unchanged(&folder(&fixture));
        let receipt = listener.stop();
        assert!(receipt.is_complete() && receipt.offences == 0, "{receipt:?}");
        judge::judge(&fixture.log()).demand_exact(5, RECORDS);
        assert!(receipt.written >= 5 * RECORDS + OF_CALLSITES, "{receipt:?}");
    }
}

#[test]
fn a_host_that_changes_its_root_logs_on_and_its_children_say_what_they_lose() {
    if is_root() {
        a_child_says_what_is_lost("chroot", |_| ());
    }
}

#[test]
fn what_a_host_logs_in_another_root_is_found_by_the_next_listener() {
    if !is_root() {
        return;
    }
    let fixture = fixture("lanes");
    let listener = fixture.listener().start();
    let mut arguments = host(&fixture, "chroot");
    arguments.extend(["--waits", "true"].map(str::to_owned));
    let program = fixture.workload(arguments);
    wait::until("it has another root", || folder(&fixture).join("done").exists());
    listener.kill();
    let listener = fixture.listener().start();
    fs::write(folder(&fixture).join("go"), "").expect("a file");
    let output = program.succeed();
    assert!(!output.contains("lost"), "{output}");
    demand_own_files_unchanged(&folder(&fixture));
    let receipt = listener.stop();
    assert!(receipt.is_complete() && receipt.offences == 0, "{receipt:?}");
    judge::judge(&fixture.log()).demand_exact(5, RECORDS);
}

#[test]
fn a_host_that_mounts_over_the_run_directory_logs_on_and_its_children_say_what_they_lose() {
    if is_root() {
        a_child_says_what_is_lost("unshare and mount over it", |_| ());
    }
}

#[test]
fn a_host_that_becomes_another_user_logs_on_and_its_children_say_what_they_lose() {
    if !is_root() {
        return;
    }
    a_child_says_what_is_lost("setuid", |fixture| {
        // The host's own folder is its own; the run directory is root's alone.
        fs::set_permissions(fixture.path(), fs::Permissions::from_mode(0o711)).expect("a mode");
        chown(folder(fixture), Some(NOBODY), Some(NOBODY)).expect("root");
    });
}

#[test]
fn a_child_that_may_use_neither_lanes_nor_the_socket_does_not_say_that_it_does() {
    if !is_root() {
        return;
    }
    let fixture = fixture("auto");
    fs::set_permissions(fixture.path(), fs::Permissions::from_mode(0o711)).expect("a mode");
    let listener = fixture.listener().start();
    let mut arguments = host(&fixture, "setuid");
    chown(folder(&fixture), Some(NOBODY), Some(NOBODY)).expect("root");
    arguments.extend(["--stall", "2000", "--child-records"].map(str::to_owned));
    arguments.push(OF_CHILD.to_string());
    let output = fixture.workload(arguments).succeed();
    assert!(!output.contains("go over the socket"), "{output}");
    assert!(output.contains("neither lanes nor the socket can be used"), "{output}");
    assert!(output.contains("Permission denied"), "{output}");
    assert_eq!(told_lost(&output), OF_CHILD, "{output}");
    drop(listener);
}

/// The lines that tell of a worker's death.
fn deaths(fixture: &Fixture) -> usize {
    let verdict = judge::judge(&fixture.log());
    verdict.notices.iter().filter(|(message, _)| message.contains("without taking leave")).count()
}

#[test]
fn a_host_that_became_another_user_is_known_to_the_next_listener() {
    if !is_root() {
        return;
    }
    let fixture = fixture("auto");
    fs::create_dir(fixture.run_dir()).expect("the run directory");
    for folder in [fixture.path().to_owned(), fixture.run_dir()] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o711)).expect("its mode");
    }
    let listener = fixture.listener().with(["--socket-mode", "0666"]).start();
    let mut arguments = host(&fixture, "setuid");
    arguments.extend(["--waits", "true"].map(str::to_owned));
    chown(folder(&fixture), Some(NOBODY), Some(NOBODY)).expect("root");
    let program = fixture.workload(arguments);
    wait::until("it is another user", || folder(&fixture).join("done").exists());
    listener.kill();
    let listener = fixture.listener().with(["--socket-mode", "0666"]).start();
    fs::write(folder(&fixture).join("go"), "").expect("a file");
    let output = program.succeed();
    assert!(!output.contains("refuses") && !output.contains("lost"), "{output}");
    demand_own_files_unchanged(&folder(&fixture));
    let receipt = listener.stop();
    assert!(receipt.is_complete() && receipt.offences == 0, "{receipt:?}");
    judge::judge(&fixture.log()).demand_exact(5, RECORDS);
    assert_eq!(deaths(&fixture), 0, "it took leave");
}

#[test]
fn a_host_that_became_another_user_dies_once() {
    if !is_root() {
        return;
    }
    let fixture = fixture("auto");
    fs::create_dir(fixture.run_dir()).expect("the run directory");
    for folder in [fixture.path().to_owned(), fixture.run_dir()] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o711)).expect("its mode");
    }
    fixture.listener().with(["--socket-mode", "0666"]).start().kill();
    let mut arguments = host(&fixture, "setuid");
    arguments.extend(["--waits", "true", "--sync", "false"].map(str::to_owned));
    chown(folder(&fixture), Some(NOBODY), Some(NOBODY)).expect("root");
    let mut program = fixture.workload(arguments);
    wait::until("it is another user", || folder(&fixture).join("done").exists());
    let listener = fixture.listener().with(["--socket-mode", "0666"]).start();
    program.signal(Signal::SIGKILL);
    program.wait();
    let receipt = listener.stop();
    assert_eq!((receipt.written, receipt.died, receipt.offences), (RECORDS, 1, 0), "{receipt:?}");
    assert_eq!(deaths(&fixture), 1);
}

#[test]
fn what_stands_in_a_run_directory_that_was_removed_is_told_by_its_worker() {
    let fixture = fixture("auto");
    let listener = fixture.listener().start();
    let mut arguments = host(&fixture, "nothing");
    // A budget that is soon spent: some records are dropped as well.
    arguments.extend(["--waits", "true", "--sync", "false", "--stall", "300"].map(str::to_owned));
    let program = fixture.workload(arguments);
    wait::until("it has logged", || folder(&fixture).join("done").exists());
    let receipt = listener.stop();
    assert_eq!(receipt.written, RECORDS, "{receipt:?}");
    fs::remove_dir_all(fixture.run_dir()).expect("the run directory");
    let listener = fixture.listener().start();
    fs::write(folder(&fixture).join("go"), "").expect("a file");
    let output = program.succeed();
    demand_own_files_unchanged(&folder(&fixture));
    let after = listener.stop();
    let attempted = 5 * RECORDS + OF_CALLSITES;
    let written = receipt.written + after.written;
    assert_eq!(written + told_lost(&output), attempted, "{after:?}\n{output}");
}

#[test]
fn a_program_without_a_listener_and_without_a_folder_says_what_is_lost() {
    for transport in ["lanes", "socket"] {
        let fixture = fixture(transport);
        // No folder can be made where a file is.
        fs::write(fixture.run_dir(), "a file").expect("a file");
        let mut arguments = host(&fixture, "nothing");
        arguments.extend(
            ["--sync", "false", "--records", "10", "--stall", "50", "--child-records", "7"]
                .map(str::to_owned),
        );
        let output = fixture.workload(arguments).succeed();
        assert_eq!(told_lost(&output), 5 * 10 + OF_CALLSITES + 7, "{output}");
    }
}

#[test]
fn nobody_says_anything_into_a_file_of_the_host() {
    let fixture = fixture("socket");
    let mut arguments = host(&fixture, "daemonise twice");
    arguments.extend(["--sync", "false", "--records", "10", "--stall", "50"].map(str::to_owned));
    let output = fixture.workload(arguments).succeed();
    wait::until("the host has ended", || folder(&fixture).join("lives").exists());
    demand_own_files_unchanged(&folder(&fixture));
    assert_eq!(told_lost(&output), 0, "its standard error is gone: {output}");
}
