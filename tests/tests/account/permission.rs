//! Who may not ask: that is no word about whether a listener lives.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use fleetlog_tests::{Fixture, programs};

use crate::fixture;

/// A user that nobody is.
const STRANGER: u32 = 54_323;

/// What each command says as another user, with its code.
fn as_stranger(fixture: &Fixture) -> Option<Vec<(&'static str, i32, String)>> {
    if !nix::unistd::geteuid().is_root() {
        return programs::missing("another user", "run this as root");
    }
    fs::set_permissions(fixture.path(), fs::Permissions::from_mode(0o711)).expect("its owner");
    let program = fixture.path().join("fleetlog");
    // By another process: nobody can run a file to which a child of ours may still write.
    let mut copy = Command::new("cp");
    copy.arg(env!("CARGO_BIN_EXE_fleetlog-under-test")).arg(&program);
    assert!(copy.status().is_ok_and(|status| status.success()), "it can't be copied");
    let commands: [&[&str]; 7] = [
        &["status"],
        &["sync"],
        &["stop"],
        &["logs"],
        &["verify"],
        &["pipe", "--timeout", "1s"],
        &["run", "--", "true"],
    ];
    let all = commands.map(|arguments| {
        let mut command = Command::new(&program);
        command.args(arguments).uid(STRANGER).gid(STRANGER).current_dir("/");
        command.env("FLEETLOG_RUN_DIR", fixture.run_dir()).stdin(std::process::Stdio::null());
        let output = command.output().expect("the command");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        (arguments[0], output.status.code().expect("a code"), said)
    });
    Some(all.to_vec())
}

fn demand(fixture: &Fixture, way_out: &str) {
    let Some(all) = as_stranger(fixture) else { return };
    for (command, code, said) in all {
        assert!(!said.contains("no listener liv"), "{command} takes it for absence: {said}");
        let is_told = said.contains(&format!("uid {STRANGER}, gid {STRANGER} may not use"));
        assert!(is_told && said.contains("run this as root or as uid 0"), "{command}: {said}");
        assert!(said.contains(way_out), "{command} names no way out: {said}");
        assert!(code == 1 || code == 2, "{command} ends with {code}: {said}");
    }
}

#[test]
fn who_may_not_ask_hears_who_may_and_not_that_no_listener_lives() {
    let fixture = fixture();
    let listener = fixture.listener().start();
    demand(&fixture, "--allow-uid 54323");
    // Its folder lets everybody pass, its socket does not.
    fs::set_permissions(fixture.run_dir(), fs::Permissions::from_mode(0o755)).expect("its owner");
    demand(&fixture, "--socket-mode 0660");
    listener.stop();
}

#[test]
fn a_folder_above_that_lets_nobody_pass_is_named() {
    let fixture = fixture();
    let listener = fixture.listener().start();
    let Some(all) = as_stranger(&fixture) else { return };
    drop(all);
    let inner = fixture.run_dir().join("inner");
    fs::create_dir(&inner).expect("a folder");
    let mut command = Command::new(fixture.path().join("fleetlog"));
    command.arg("status").uid(STRANGER).gid(STRANGER).current_dir("/");
    let output = command.env("FLEETLOG_RUN_DIR", &inner).output().expect("the command");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let blocker = fixture.run_dir();
    assert!(said.contains(&format!("chmod o+x {}", blocker.display())), "{said}");
    assert!(!said.contains("no listener liv"), "{said}");
    listener.stop();
}
