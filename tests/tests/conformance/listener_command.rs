//! The commands as scripts use them: receipts, exit codes, and numbers that agree.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Stdio};

use fleetlog_tests::{Fixture, Program, Steady, judge, wait};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::fixture;

fn json(program: Program) -> Value {
    let text = program.succeed();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The command under test with pipes for input and output.
fn piped(fixture: &Fixture, arguments: &[&str]) -> Command {
    let mut command = Command::new(crate::BINARIES.fleetlog);
    command.args(arguments).env("FLEETLOG_RUN_DIR", fixture.run_dir());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn stop_drains_prints_a_receipt_and_ends_with_0_and_then_there_is_no_listener() {
    let fixture = fixture();
    let mut listener = fixture.listener().start();
    fixture.workload(["storm", "--workers", "3", "--records", "2000"]).succeed();
    let receipt = json(fixture.command(["stop", "--json"]));
    assert_eq!(listener.program.code(), 0, "{}", listener.program.output());
    // Each worker, and their parent, who tells how they ended.
    assert_eq!(receipt["written"], 3 * 2000 + 3, "{receipt}");
    assert_eq!(receipt["complete"], true, "{receipt}");
    judge::judge(&fixture.log()).demand_exact(3, 2000);
    for arguments in [&["stop"][..], &["status"], &["sync"]] {
        let mut nobody = fixture.command(arguments);
        assert_eq!(nobody.code(), 3, "{}", nobody.output());
    }
}

#[test]
fn term_and_int_drain_what_was_logged_and_end_with_0() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let fixture = fixture();
        let mut listener = fixture.listener().start();
        fixture.workload(["storm", "--workers", "3", "--records", "2000"]).succeed();
        listener.program.signal(signal);
        assert_eq!(listener.program.code(), 0, "{}", listener.program.output());
        judge::judge(&fixture.log()).demand_exact(3, 2000);
    }
}

#[test]
fn a_second_term_ends_a_listener_that_can_not_drain() {
    let fixture = fixture();
    // Nobody reads its standard output, so that the drain stands still in a write.
    let mut child = piped(&fixture, &["listen", "--file", "-"]).spawn().expect("a listener");
    wait::until("the socket is there", || fixture.run_dir().join("socket").exists());
    let steady = Steady::start(&fixture, 2, 1, &["--ballast", "2000"]);
    let stdout = child.stdout.take().expect("a pipe");
    wait::until("the pipe is full", || {
        let mut waiting = 0;
        // SAFETY: the call writes one int through a pointer that is valid for it.
        let asked = unsafe {
            nix::libc::ioctl(
                std::os::fd::AsRawFd::as_raw_fd(&stdout),
                nix::libc::FIONREAD,
                &raw mut waiting,
            )
        };
        asked == 0 && waiting >= 60_000
    });
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    wait::until("the second signal ends it", || {
        let _ = nix::sys::signal::kill(pid, Signal::SIGTERM);
        matches!(child.try_wait(), Ok(Some(status)) if status.code() == Some(1))
    });
    drop(steady);
}

#[test]
fn a_listener_told_so_ends_with_its_last_worker() {
    let fixture = fixture();
    let mut listener = fixture.listener().with(["--exit-with-last-worker"]).start();
    fixture.workload(["storm", "--workers", "3", "--records", "2000"]).succeed();
    assert_eq!(listener.program.code(), 0, "{}", listener.program.output());
    judge::judge(&fixture.log()).demand_exact(3, 2000);
}

#[test]
fn sync_returns_when_everything_logged_before_is_in_the_file() {
    let fixture = fixture();
    let listener = fixture.listener().start();
    fixture.workload(["storm", "--workers", "3", "--records", "2000"]).succeed();
    fixture.command(["sync"]).succeed();
    judge::judge(&fixture.log()).demand_exact(3, 2000);
    assert!(listener.stop().is_complete());
}

#[test]
fn status_receipt_and_file_agree_and_each_worker_is_accounted_for() {
    let fixture = fixture();
    let listener = fixture.listener().start();
    let steady = Steady::start(&fixture, 2, 1, &[]);
    // A worker that drops instead of waiting; its storm is too fast for its window.
    let droppers = [
        "storm",
        "--first",
        "50",
        "--workers",
        "2",
        "--records",
        "30000",
        "--ballast",
        "1500",
        "--stall",
        "0",
    ];
    fixture.workload(droppers).succeed();
    steady.tell_to_end();
    wait::until("the workers have left", || {
        listener.status().expect("a status")["totals"]["connected"] == 0
    });
    let _ = steady.finish();
    fixture.command(["sync"]).succeed();
    let status = json(fixture.command(["status", "--json"]));
    let lines = judge::lines(&fixture.log());
    let records = lines.iter().filter(|line| line.seq > 0).count() as u64;
    let bytes = fs::metadata(fixture.log()).expect("the log").len();
    let totals = &status["totals"];
    assert_eq!(totals["written"], records, "{status}");
    assert_eq!(totals["lines"], lines.len(), "{status}");
    assert_eq!(totals["bytes"], bytes, "{status}");
    let receipt = listener.stop();
    assert_eq!(
        (receipt.written, receipt.lines, receipt.bytes),
        (records, lines.len() as u64, bytes)
    );
    assert_eq!(totals["workers"], receipt.workers);
    for account in receipt.accounts.iter().filter(|account| account.name.starts_with("worker 5")) {
        assert_eq!(account.attempted(), 30_000, "{account:?}");
        let own = lines.iter().filter(|line| line.seq > 0 && line.worker == account.name);
        assert_eq!(account.written, own.count() as u64, "{account:?}");
        let told = lines.iter().filter(|line| line.seq == 0 && line.worker == account.name);
        let told: u64 = told.filter_map(|line| line.fields.get("dropped")?.as_u64()).sum();
        assert_eq!(account.dropped.total(), told, "{account:?}");
    }
    assert_eq!(receipt.missing, 0, "{receipt:?}");
}

#[test]
fn each_line_of_a_pipe_is_a_record_whatever_its_bytes() {
    let fixture = fixture();
    let listener = fixture.listener().start();
    let arguments = ["pipe", "--name", "batch", "--level", "warn", "--target", "job"];
    let mut child = piped(&fixture, &arguments).spawn().expect("a pipe");
    let mut input = Vec::new();
    for n in 0..10_000 {
        input.extend_from_slice(format!("line {n}\n").as_bytes());
    }
    input.extend_from_slice(b"not \xff UTF-8\n\nlast, without an end");
    child.stdin.take().expect("its input").write_all(&input).expect("it reads");
    let output = child.wait_with_output().expect("its end");
    assert!(output.status.success(), "{output:?}");
    let receipt = listener.stop();
    assert!(receipt.is_complete(), "{receipt:?}");
    let lines = judge::lines(&fixture.log());
    let messages: Vec<&str> =
        lines.iter().map(|line| line.fields["message"].as_str().expect("text")).collect();
    for (n, message) in messages[..10_000].iter().enumerate() {
        assert_eq!(*message, format!("line {n}"));
    }
    assert_eq!(messages[10_000], "not \u{fffd} UTF-8");
    assert_eq!(messages.last(), Some(&"last, without an end"));
    assert!(
        lines
            .iter()
            .all(|line| line.worker == "batch" && line.level == "WARN" && line.target == "job")
    );
}

#[test]
fn the_lines_of_a_pipe_survive_the_kills_of_its_listener() {
    let fixture = fixture();
    let mut child = piped(&fixture, &["pipe", "--name", "batch"]).spawn().expect("a pipe");
    let mut input = child.stdin.take().expect("its input");
    for part in 0..5 {
        let listener = fixture.listener().start();
        for n in part * 2000..(part + 1) * 2000 {
            writeln!(input, "line {n}").expect("it reads");
        }
        listener.kill();
    }
    let listener = fixture.listener().start();
    drop(input);
    let output = child.wait_with_output().expect("its end");
    assert!(output.status.success(), "{output:?}");
    assert!(listener.stop().is_complete());
    let lines = judge::lines(&fixture.log());
    assert_eq!(lines.len(), 10_000);
    for (n, line) in lines.iter().enumerate() {
        assert_eq!(line.fields["message"], Value::from(format!("line {n}")));
    }
}

#[test]
fn the_demo_ends_with_0_and_proves_its_file() {
    let fixture = fixture();
    let log = fixture.path().join("demo.log");
    let arguments =
        ["demo", "--workers", "4", "--items", "500", "--file", log.to_str().expect("UTF-8")];
    let output = fixture.command(arguments).succeed();
    let text = fs::read_to_string(&log).expect("its log");
    assert!(text.lines().count() >= 2000, "{output}");
}

#[test]
fn format_and_filter_shape_what_goes_to_standard_output() {
    let fixture = fixture();
    let arguments =
        ["listen", "--file", "-", "--filter", "warn", "--format", "{level}|{worker}|{message}"];
    let mut child = piped(&fixture, &arguments).spawn().expect("a listener");
    wait::until("the socket is there", || fixture.run_dir().join("socket").exists());
    for (level, line) in [("info", "unseen"), ("warn", "seen"), ("error", "seen\u{1b}[2J too")] {
        let mut pipe =
            piped(&fixture, &["pipe", "--name", "w", "--level", level]).spawn().expect("a pipe");
        writeln!(pipe.stdin.take().expect("its input"), "{line}").expect("it reads");
        assert!(pipe.wait_with_output().expect("its end").status.success());
    }
    fixture.command(["stop"]).succeed();
    let mut text = String::new();
    child.stdout.take().expect("its output").read_to_string(&mut text).expect("text");
    assert!(child.wait().expect("its end").success());
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text:?}");
    assert_eq!(lines[0], "WARN|w|seen");
    assert!(lines[1].starts_with("ERROR|w|seen") && !lines[1].contains('\u{1b}'), "{text:?}");
}

#[test]
fn a_listener_whose_reader_went_away_ends_with_a_reason_and_not_by_a_signal() {
    let fixture = fixture();
    let mut child = piped(&fixture, &["listen", "--file", "-"]).spawn().expect("a listener");
    wait::until("the socket is there", || fixture.run_dir().join("socket").exists());
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let steady = Steady::start(&fixture, 1, 1, &[]);
    stdout.read_line(&mut String::new()).expect("a line");
    drop(stdout);
    let output = child.wait_with_output().expect("its end");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("nobody reads standard output"), "{said}");
    // What was not read waits with its workers for the next listener.
    let listener = fixture.listener().start();
    let counts = steady.finish();
    assert!(listener.stop().missing == 0);
    let verdict = judge::judge(&fixture.log());
    let (source, count) = counts.iter().next().expect("a source");
    assert_eq!(verdict.sources[source].last(), Some(&(count - 1)), "up to the end");
}
