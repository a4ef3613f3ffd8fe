//! What `logs -f` and `--cursor-file` take, refuse and say.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use fleetlog_tests::{Fixture, binaries, wait};

use crate::{Follower, bytes, demand_same, fixture, listener, log};

fn command(fixture: &Fixture, arguments: &[&str]) -> Command {
    let mut command = Command::new(binaries!().fleetlog);
    command.arg("logs").args(arguments).env("FLEETLOG_RUN_DIR", fixture.run_dir());
    command.env("TZ", "UTC").env_remove("FLEETLOG_CONFIG").stdin(Stdio::null());
    command
}

fn line(second: u32, level: &str, message: &str) -> String {
    format!("2026-11-22T10:00:{second:02}.000000Z {level:>5} w[1] app: {message}\n")
}

fn append(path: &Path, text: &str) {
    let file = fs::OpenOptions::new().create(true).append(true).open(path);
    file.expect("a log").write_all(text.as_bytes()).expect("a log");
}

#[test]
fn history_comes_first_as_asked_and_then_what_is_wanted_of_the_new_lines() {
    let fixture = fixture();
    let history: Vec<String> = (0..30).map(|second| line(second, "INFO", "old")).collect();
    append(&log(&fixture), &history.concat());
    let new = [line(40, "INFO", "new"), line(41, "ERROR", "bad"), line(42, "INFO", "end")];
    for (name, arguments, shown) in [
        ("default", &["-f"][..], [&history[20..], &new].concat()),
        ("none", &["-f", "-n", "0"], new.to_vec()),
        ("three", &["-f", "-n", "3"], [&history[27..], &new].concat()),
        ("since", &["-f", "-S", "2026-11-22 10:00:25"], [&history[25..], &new].concat()),
        ("level", &["-f", "-n", "5", "-p", "error"], vec![new[1].clone()]),
        ("both", &["-f", "-n", "2", "-g", "10:00:0"], [&history[8..10], &[]].concat()),
    ] {
        let mut follower = Follower::start(&fixture, name, arguments);
        let expected = shown.concat();
        let of_history = shown.iter().filter(|line| history.contains(line)).count();
        let of_history: usize = shown[..of_history].iter().map(String::len).sum();
        follower.wait_for(of_history as u64);
        // Its place is at the end before anything new is written: it is asleep.
        let asleep = || {
            let at = format!("/proc/{}/wchan", follower.pid());
            let stat = fs::read_to_string(format!("/proc/{}/stat", follower.pid()));
            stat.is_ok_and(|stat| stat.contains(") S ")) && Path::new(&at).exists()
        };
        wait::until("the follower sleeps", asleep);
        let before = fs::metadata(log(&fixture)).expect("a log").len();
        append(&log(&fixture), &new.concat());
        follower.wait_for(expected.len() as u64);
        demand_same(&follower.output(), expected.as_bytes(), name);
        follower.end();
        fs::OpenOptions::new()
            .write(true)
            .open(log(&fixture))
            .expect("a log")
            .set_len(before)
            .expect("cut");
    }
}

#[test]
fn a_log_that_is_not_there_yet_is_awaited_and_said_once() {
    let fixture = fixture();
    let mut follower = Follower::start(&fixture, "early", &["-f"]);
    wait::until("it says so", || follower.errors().contains("is not there yet; waiting for it"));
    append(&log(&fixture), &line(1, "INFO", "first"));
    follower.wait_for(10);
    assert_eq!(follower.output(), line(1, "INFO", "first").as_bytes());
    assert_eq!(follower.end().lines().count(), 1);
    // Nobody has named it, and nobody lives who could write it.
    let said = command(&fixture, &["-f"]).output().expect("the command");
    assert_eq!(said.status.code(), Some(2), "{said:?}");
    let missing = fixture.path().join("missing.log");
    let missing = missing.to_str().expect("UTF-8");
    let cursor = fixture.path().join("cursor");
    let arguments = ["--cursor-file", cursor.to_str().expect("UTF-8"), "--file", missing];
    let said = command(&fixture, &arguments).output().expect("the command");
    assert_eq!(said.status.code(), Some(1), "{said:?}");
}

#[test]
fn a_reader_that_leaves_ends_a_follower_that_finds_nothing() {
    let fixture = fixture();
    append(&log(&fixture), &line(1, "INFO", "one"));
    let path = log(&fixture);
    let arguments = ["-f", "--file", path.to_str().expect("UTF-8")];
    let mut child = command(&fixture, &arguments).stdout(Stdio::piped()).spawn().expect("it");
    let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut first = String::new();
    output.read_line(&mut first).expect("a line");
    assert_eq!(first, line(1, "INFO", "one"));
    drop(output);
    assert!(child.wait().expect("a child").success());
}

#[test]
fn lines_of_workers_with_files_of_their_own_are_followed_as_they_come() {
    let fixture = fixture();
    let template = fixture.path().join("logs").join("of-{worker}.log");
    let template = template.to_str().expect("UTF-8");
    let running = fixture.listener().only_with(["--format", "json", "--file", template]).start();
    let mut command = command(&fixture, &["-f", "-o", "cat", "-S", "@0"]);
    command.arg("--file").arg(template);
    let mut follower = Follower::start_command(&fixture, "workers", command);
    let mut expected = String::new();
    for name in ["one", "two", "three"] {
        let text = format!("a line of {name}\n");
        fixture.command_with_input(["pipe", "--name", name], &text).succeed();
        expected += &text;
        follower.wait_for(expected.len() as u64);
    }
    assert_eq!(String::from_utf8(follower.output()).expect("UTF-8"), expected);
    follower.end();
    assert!(running.stop().is_complete());
}

#[test]
fn a_place_is_kept_with_and_without_following_and_belongs_to_its_log() {
    let fixture = fixture();
    let path = log(&fixture);
    let path = path.to_str().expect("UTF-8");
    let cursor = fixture.path().join("cursor");
    let cursor = cursor.to_str().expect("UTF-8");
    let lines: Vec<String> = (0..6).map(|second| line(second, "INFO", "x")).collect();
    let run = |arguments: &[&str]| {
        let mut all = vec!["--file", path, "--cursor-file", cursor];
        all.extend(arguments);
        let said = command(&fixture, &all).output().expect("the command");
        (said.status.code(), String::from_utf8(said.stdout).expect("UTF-8"), said.stderr)
    };
    append(log(&fixture).as_path(), &lines[..3].concat());
    assert_eq!(run(&["-n", "2"]).1, lines[1..3].concat());
    assert_eq!(run(&[]).1, "");
    append(log(&fixture).as_path(), &lines[3..5].concat());
    fs::rename(path, fixture.path().join("logs/apps.2026-11-22T10-00-00Z.log")).expect("rotated");
    append(log(&fixture).as_path(), &lines[5]);
    let (code, shown, said) = run(&[]);
    assert_eq!((code, shown), (Some(0), lines[3..].concat()), "{}", String::from_utf8_lossy(&said));
    assert_eq!(run(&["-n", "5"]).1, "", "a place that is known comes before a number of lines");
    // Retention has taken what was not read.
    append(log(&fixture).as_path(), &lines[0]);
    fs::rename(path, fixture.path().join("logs/apps.2026-11-22T11-00-00Z.log")).expect("rotated");
    append(log(&fixture).as_path(), &lines[1]);
    fs::remove_file(fixture.path().join("logs/apps.2026-11-22T11-00-00Z.log")).expect("removed");
    let (code, shown, said) = run(&[]);
    assert_eq!((code, shown), (Some(0), lines[1].clone()));
    let said = String::from_utf8(said).expect("UTF-8");
    assert!(said.contains("records may be missing here"), "{said}");
    let other = fixture.path().join("other.log");
    append(&other, &lines[0]);
    let other = other.to_str().expect("UTF-8");
    let said = command(&fixture, &["--file", other, "--cursor-file", cursor]).output().expect("it");
    assert_eq!(said.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&said.stderr).contains("it is the cursor of"), "{said:?}");
    fs::write(cursor, "damage").expect("a file");
    assert_eq!(run(&[]).0, Some(2));
}

#[test]
fn flags_that_contradict_each_other_are_refused() {
    let fixture = fixture();
    for arguments in [
        &["-f", "-r"][..],
        &["-f", "-U", "now"],
        &["--cursor-file", "x", "-r"],
        &["--cursor-file", "x", "-U", "now"],
        &["-o", "shrt"],
        &["-o", "{mesage}"],
    ] {
        let said = command(&fixture, arguments).output().expect("the command");
        assert_eq!(said.status.code(), Some(2), "{arguments:?} {said:?}");
    }
}

/// The place is in a file that is packed while nobody follows.
#[test]
fn a_follower_goes_on_behind_its_place_in_a_file_that_was_packed_meanwhile() {
    let fixture = fixture();
    let cursor = fixture.path().join("cursor");
    let arguments = ["--cursor-file", cursor.to_str().expect("UTF-8")];
    let running = listener(&fixture, &["--compress", "zstd"]).start();
    let storm = |first: &str| {
        fixture
            .workload(["storm", "--first", first, "--workers", "2", "--records", "300"])
            .succeed();
    };
    let follow = || {
        let mut follower = Follower::start(&fixture, "packed", &arguments);
        assert!(follower.child.wait().expect("a child").success());
        follower.errors()
    };
    storm("0");
    follow();
    storm("10");
    fixture.command(["rotate"]).succeed();
    storm("20");
    fixture.command(["rotate"]).succeed();
    wait::until("both old files are packed", || {
        let archives = fleetlog_tests::chapters::archives(&log(&fixture));
        archives.len() == 2
            && archives.iter().all(|path| path.extension().is_some_and(|e| e == "zst"))
    });
    let said = follow();
    assert!(!said.contains("missing"), "{said}");
    assert!(running.stop().is_complete());
    follow();
    let output = fs::read(fixture.path().join("packed.followed")).expect("the output");
    demand_same(&output, &bytes(&log(&fixture)), "the output");
}
