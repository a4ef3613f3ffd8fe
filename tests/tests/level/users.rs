//! Who may change the level, and who follows, where others may log.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use fleetlog_tests::fixture::Program;
use fleetlog_tests::{Fixture, binaries, programs};

use crate::fixture;

/// A user that nobody is.
const STRANGER: u32 = 54_323;

/// A copy that everybody may run. Another process makes it: a descriptor of ours to write to it could be
/// inherited by whatever another test starts meanwhile, and nobody can run a file that is written to.
fn copy(fixture: &Fixture, program: &str, name: &str) -> PathBuf {
    let copy = fixture.path().join(name);
    let copied = Command::new("cp").arg(program).arg(&copy).status();
    assert!(copied.is_ok_and(|status| status.success()), "{program} can't be copied");
    copy
}

fn as_stranger(fixture: &Fixture, program: &Path, arguments: &[&str]) -> Program {
    let mut command = Command::new(program);
    command.args(arguments).uid(STRANGER).gid(STRANGER).current_dir("/");
    command.env("FLEETLOG_RUN_DIR", fixture.run_dir());
    fixture.start("stranger", command)
}

#[test]
fn what_a_worker_said_is_in_the_status_for_those_only_who_may_read_the_log() {
    if !nix::unistd::geteuid().is_root() {
        let _: Option<()> = programs::missing("another user", "run this as root");
        return;
    }
    let fixture = fixture();
    fs::set_permissions(fixture.path(), fs::Permissions::from_mode(0o711)).expect("ours");
    let listener = fixture.listener().with(["--socket-mode", "0666"]).start();
    let arguments = ["chorus", "--workers", "1", "--records", "1000000", "--pause", "1000"];
    let _chorus = fixture.workload(arguments);
    fleetlog_tests::wait::until("an error is told to its owner", || {
        listener.status().expect("a status").to_string().contains("on my own")
    });
    let command = copy(&fixture, binaries!().fleetlog, "fleetlog");
    let mut stranger = as_stranger(&fixture, &command, &["status", "--json"]);
    assert_eq!(stranger.code(), 0, "{}", stranger.output());
    let said = stranger.output();
    assert!(said.contains("\"written\"") && !said.contains("on my own"), "{said}");
}

#[test]
fn another_user_who_may_log_follows_the_level_and_may_look_but_changes_nothing() {
    if !nix::unistd::geteuid().is_root() {
        let _: Option<()> = programs::missing("another user", "run this as root");
        return;
    }
    let fixture = fixture();
    fs::set_permissions(fixture.path(), fs::Permissions::from_mode(0o711)).expect("ours");
    let listener = fixture.listener().with(["--socket-mode", "0666"]).start();
    let command = copy(&fixture, binaries!().fleetlog, "fleetlog");
    let workload = copy(&fixture, binaries!().workload, "workload");
    let theirs = fixture.path().join("theirs");
    fs::create_dir(&theirs).expect("a folder");
    std::os::unix::fs::chown(&theirs, Some(STRANGER), Some(STRANGER)).expect("root");

    for arguments in
        [&["level", "off"][..], &["level", "--reset"], &["stop"], &["rotate"], &["reopen"]]
    {
        let mut refused = as_stranger(&fixture, &command, arguments);
        assert_eq!(refused.code(), 1, "{arguments:?}: {}", refused.output());
        let said = refused.output();
        assert!(said.contains("root and the listener's own user"), "{arguments:?}: {said}");
    }
    for arguments in [&["level", "--show"][..], &["status"], &["sync"]] {
        let mut asked = as_stranger(&fixture, &command, arguments);
        assert_eq!(asked.code(), 0, "{arguments:?}: {}", asked.output());
    }
    let status = listener.status().expect("it was not stopped");
    assert_eq!(status["clients"]["offences"]["not_allowed"], 5, "{status:#}");

    let folder = theirs.to_str().expect("UTF-8");
    let mut stranger = as_stranger(&fixture, &workload, &["level", "--folder", folder]);
    let at = |level: &str| {
        fleetlog_tests::wait::until(&format!("all are at {level}"), || {
            (0..4).all(|worker| {
                let notes = fs::read_to_string(theirs.join(format!("level.{worker}")));
                let notes = notes.unwrap_or_default();
                notes.lines().last().is_some_and(|last| last.starts_with(level))
            })
        });
    };
    at("info");
    fixture.command(["level", "app=debug"]).succeed();
    at("debug");
    fixture.command(["level", "--reset"]).succeed();
    at("info");
    fs::write(theirs.join("end"), "").expect("a file");
    assert_eq!(stranger.code(), 0, "{}", stranger.output());
    assert!(listener.stop().is_complete());
}
