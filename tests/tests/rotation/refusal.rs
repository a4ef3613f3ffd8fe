//! A folder that can't be written to: the files in it are, and no line waits for a rotation that
//! nobody permits.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};

use fleetlog_tests::{Fixture, ListenerUnderTest, chapters, judge, wait};
use nix::unistd::Uid;

use crate::{fixture, listener, log, logs, storm};

/// `nobody`, who may not write where it is forbidden.
const USER: u32 = 65_534;

/// A listener of a user to whom permissions mean something. `None`, said loudly, where the tests
/// can't become another one.
fn start(fixture: &Fixture, more: &[&str]) -> Option<ListenerUnderTest> {
    if !Uid::effective().is_root() {
        eprintln!("SKIPPED: only root can start a listener as another user");
        return None;
    }
    chown(logs(fixture), Some(USER), Some(USER)).expect("root");
    Some(listener(fixture, more).as_user(USER).start())
}

fn allow(fixture: &Fixture, mode: u32) {
    fs::set_permissions(logs(fixture), Permissions::from_mode(mode)).expect("the folder");
}

#[test]
fn a_rotation_that_the_folder_forbids_costs_no_line_and_is_said_once() {
    let fixture = fixture();
    let Some(running) = start(&fixture, &["--max-size", "20000"]) else { return };
    allow(&fixture, 0o555);
    storm(&fixture, 0, 2, 1000);
    fixture.command(["sync"]).succeed();
    let mut rotate = fixture.command(["rotate"]);
    assert_eq!(rotate.code(), 1, "{}", rotate.output());
    assert!(rotate.output().to_lowercase().contains("permission"), "{}", rotate.output());
    let said = running.program.output();
    assert_eq!(said.matches("grows on").count(), 1, "{said}");
    assert_eq!(said.matches("a sink fails").count(), 0, "it does not: {said}");
    assert!(chapters::archives(&log(&fixture)).is_empty());
    // Whoever permits it again and asks for it gets it.
    allow(&fixture, 0o755);
    fixture.command(["rotate"]).succeed();
    assert_eq!(chapters::archives(&log(&fixture)).len(), 1);
    storm(&fixture, 2, 1, 1000);
    assert!(running.stop().is_complete());
    judge::judge(&log(&fixture)).demand_exact(3, 1000);
}

#[test]
fn archives_that_are_too_many_or_too_old_but_can_not_be_removed_cost_no_line() {
    for bound in [["--max-files", "1"], ["--max-age", "1h"]] {
        let fixture = fixture();
        for day in 1..4 {
            let name = format!("apps.2020-01-0{day}T00-00-00Z.log");
            fs::write(logs(&fixture).join(name), "old\n").expect("a file");
        }
        fs::write(log(&fixture), "").expect("a file");
        if Uid::effective().is_root() {
            chown(log(&fixture), Some(USER), Some(USER)).expect("root");
        }
        allow(&fixture, 0o555);
        let Some(running) = start(&fixture, &bound) else { return };
        storm(&fixture, 0, 1, 100);
        let mut sync = fixture.command(["sync", "--timeout", "5s"]);
        assert_eq!(sync.code(), 0, "{bound:?}: {}{}", sync.output(), running.program.output());
        let said = running.program.output();
        assert_eq!(said.matches("a sink fails").count(), 0, "the sink works: {said}");
        allow(&fixture, 0o755);
        wait::until("they go when they can", || {
            storm(&fixture, 1, 1, 10);
            chapters::archives(&log(&fixture)).len() <= 1
        });
        assert!(running.stop().is_complete());
    }
}
