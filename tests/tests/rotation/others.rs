//! What belongs to others: another listener's log, another user's file, what an administrator put
//! beside the archives. None of it is written to, rotated or removed, and none of it stops the fleet.

use std::fs;
use std::os::unix::fs::{chown, symlink};

use fleetlog_tests::{chapters, judge};
use nix::sys::stat::Mode;
use nix::unistd::{Uid, mkfifo};

use crate::{fixture, listener, log, logs, storm};

#[test]
fn a_log_that_another_listener_writes_is_refused_and_its_pid_is_named() {
    let fixture = fixture();
    let first = listener(&fixture, &["--max-size", "20000"]).start();
    let run_dir = fixture.path().join("other");
    let mut second = fixture.command([
        "listen".as_ref(),
        "--run-dir".as_ref(),
        run_dir.as_os_str(),
        "--file".as_ref(),
        log(&fixture).as_os_str(),
    ]);
    assert_eq!(second.code(), 1, "{}", second.output());
    let pid = format!("the listener with pid {} writes this log", first.program.pid());
    assert!(second.output().contains(&pid), "{}", second.output());
    // Rotated files are claimed too, the current one before it has its name.
    storm(&fixture, 0, 2, 500);
    fixture.command(["rotate"]).succeed();
    let mut third = fixture.command([
        "listen".as_ref(),
        "--run-dir".as_ref(),
        run_dir.as_os_str(),
        "--file".as_ref(),
        log(&fixture).as_os_str(),
    ]);
    assert_eq!(third.code(), 1, "{}", third.output());
    assert!(first.stop().is_complete());
    judge::judge(&log(&fixture)).demand_exact(2, 500);
}

#[test]
fn a_log_that_is_a_pipe_without_a_reader_is_an_error_and_no_wait() {
    let fixture = fixture();
    let pipe = fixture.path().join("pipe");
    mkfifo(&pipe, Mode::S_IRWXU).expect("a pipe");
    let mut listener = fixture.command(["listen".as_ref(), "--file".as_ref(), pipe.as_os_str()]);
    assert_eq!(listener.code(), 1, "{}", listener.output());
    assert!(listener.output().contains("can't open"), "{}", listener.output());
}

#[test]
fn a_worker_whose_name_leads_to_another_users_file_gets_another_file() {
    if !Uid::effective().is_root() {
        eprintln!("SKIPPED: only root can make a file of another user");
        return;
    }
    let fixture = fixture();
    let foreign = logs(&fixture).join("auth.log");
    fs::write(&foreign, "Accepted publickey for root\n").expect("a file");
    chown(&foreign, Some(65_534), None).expect("root");
    let pattern = logs(&fixture).join("{worker}.log");
    let pattern = pattern.to_str().expect("UTF-8");
    let running = fixture.listener().only_with(["--file", pattern, "--max-size", "1000"]).start();
    let lines: String = (0..50).map(|number| format!("line {number} of a worker\n")).collect();
    fixture.command_with_input(["pipe", "--name", "auth"], &lines).succeed();
    assert!(running.stop().is_complete());
    let untouched = fs::read_to_string(&foreign).expect("the file");
    assert_eq!(untouched, "Accepted publickey for root\n");
    assert!(chapters::archives(&foreign).is_empty(), "nobody rotates it");
    let other = chapters::of(&logs(&fixture).join("auth_.log"));
    let written: usize =
        other.iter().map(|file| chapters::read(file).split(|b| *b == b'\n').count() - 1).sum();
    assert_eq!(written, 50);
}

#[test]
fn a_link_that_is_named_like_an_archive_neither_counts_nor_goes() {
    let fixture = fixture();
    let elsewhere = fixture.path().join("large");
    fs::write(&elsewhere, vec![b'x'; 1 << 20]).expect("a file");
    let old = log(&fixture).with_file_name("apps.2026-01-01T00-00-00Z.log");
    fs::write(&old, "").expect("a file");
    let link = log(&fixture).with_file_name("apps.2026-01-02T00-00-00Z.log");
    symlink(&elsewhere, &link).expect("a link");
    let running =
        listener(&fixture, &["--max-size", "20000", "--max-total-size", "900000"]).start();
    storm(&fixture, 0, 2, 500);
    let status = running.status().expect("a status");
    assert!(status["sinks"][0]["total_bytes"].as_u64() < Some(900_000), "{status}");
    assert!(running.stop().is_complete());
    assert!(old.exists(), "there was room for it");
    assert!(link.is_symlink() && elsewhere.exists());
}
