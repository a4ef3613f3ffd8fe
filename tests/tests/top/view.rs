use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use fleetlog_tests::binaries;
use fleetlog_tests::fixture::{Fixture, Program};
use fleetlog_tests::wait;
use nix::sys::signal::Signal;

use crate::terminal::Terminal;

const SMALL: (u16, u16) = (80, 24);

fn top(fixture: &Fixture, size: (u16, u16)) -> Terminal {
    let run_dir = fixture.run_dir();
    let run_dir = run_dir.to_str().expect("UTF-8");
    let arguments = ["top", "--run-dir", run_dir, "--interval", "250ms"];
    Terminal::start(binaries!().fleetlog, &arguments, size)
}

/// A fleet that logs until the file is there.
fn fleet(fixture: &Fixture, workers: u32) -> (Program, std::path::PathBuf) {
    let until = fixture.path().join("end");
    let workers = workers.to_string();
    let path = until.to_str().expect("UTF-8");
    let arguments = ["steady", "--workers", &workers, "--threads", "1", "--burst", "2"];
    let program =
        fixture.workload(arguments.into_iter().chain(["--pause", "20000", "--until", path]));
    (program, until)
}

fn end(mut fleet: Program, until: &Path) {
    std::fs::write(until, "").expect("a file");
    assert!(fleet.wait().success(), "{}", fleet.output());
}

#[test]
fn the_fleet_is_shown_sorted_found_and_the_terminal_given_back() {
    let fixture = Fixture::new(binaries!());
    let listener = fixture.listener().start();
    let (fleet, until) = fleet(&fixture, 12);
    let mut top = top(&fixture, SMALL);
    let pid = format!("pid {}", listener.program.pid());
    top.until("the fleet", |text| {
        text.contains(&pid) && text.contains("12 of 12 workers") && text.contains("of 12 ")
    });
    assert!(top.is_taken());
    // By name, up and down.
    let first = |text: &str| {
        let mut lines = text.lines().skip_while(|line| !line.starts_with("WORKER"));
        lines.nth(1).unwrap_or_default().split("  ").next().unwrap_or_default().to_owned()
    };
    top.press("1");
    top.until("sorted by name", |text| first(text) == "worker 0");
    top.press("r");
    top.until("the other way round", |text| first(text) == "worker 11");
    // The arrows, as a terminal sends them.
    top.press("\x1b[B");
    top.until_shows("2 of 12");
    top.press("/er 1\r");
    top.until("those that fit", |text| text.contains("of 3 (of 12)") && first(text) == "worker 11");
    top.press("?");
    top.until_shows("turn the order round");
    top.press("q");
    assert_eq!(top.wait().code(), Some(0));
    top.demand_restored();
    end(fleet, &until);
    listener.stop();
}

#[test]
fn another_size_is_another_picture() {
    let fixture = Fixture::new(binaries!());
    let listener = fixture.listener().start();
    let (fleet, until) = fleet(&fixture, 3);
    let mut top = top(&fixture, SMALL);
    top.until("the usual columns", |text| text.contains("REC/S") && !text.contains("BYTES/S"));
    top.resize((200, 60));
    top.until("all columns", |text| text.contains("BYTES/S") && text.contains("LAST ERROR"));
    top.until("the footer at the bottom", |text| {
        text.lines().nth(59).is_some_and(|line| line.contains("q end"))
    });
    for size in [(1, 1), (39, 7), (500, 3), (2, 100)] {
        top.resize(size);
        top.press(" ");
    }
    top.until("that it is too small", |text| text.contains('t'));
    top.resize(SMALL);
    top.until("the usual columns again", |text| {
        text.contains("worker 2") && text.contains("REC/S") && !text.contains("BYTES/S")
    });
    top.press("\x03");
    assert_eq!(top.wait().code(), Some(0));
    top.demand_restored();
    end(fleet, &until);
    listener.stop();
}

#[test]
fn a_listener_that_is_killed_and_started_again_is_found_again() {
    let fixture = Fixture::new(binaries!());
    let mut top = top(&fixture, SMALL);
    top.until_shows("no listener, looking again");
    let listener = fixture.listener().start();
    let (fleet, until) = fleet(&fixture, 3);
    top.until("the fleet", |text| text.contains("3 of 3 workers") && text.contains("worker 2"));
    top.press("1\x1b[B\r");
    top.until_shows("worker 1[");
    listener.kill();
    top.until("that it is gone, and the last picture", |text| {
        text.contains("no listener, looking again") && text.contains("worker 1[")
    });
    let listener = fixture.listener().start();
    let pid = format!("pid {}", listener.program.pid());
    top.until("the new one", |text| {
        text.contains(&pid) && !text.contains("looking again") && text.contains("worker 1[")
    });
    assert!(!top.text().contains("-1"), "no rate is negative:\n{}", top.text());
    top.press("q");
    assert_eq!(top.wait().code(), Some(0));
    top.demand_restored();
    end(fleet, &until);
    listener.stop();
}

#[test]
fn the_details_show_the_lines_of_their_worker_as_they_are_written() {
    let fixture = Fixture::new(binaries!());
    let listener = fixture.listener().start();
    let pipe = |name: &str| {
        let mut command = std::process::Command::new(binaries!().fleetlog);
        command.args(["pipe", "--name", name, "--level", "error"]);
        command.env("FLEETLOG_RUN_DIR", fixture.run_dir()).stdin(Stdio::piped());
        command.spawn().expect("a pipe")
    };
    let (mut one, mut other) = (pipe("one"), pipe("other"));
    let mut say = |text: &str| {
        for pipe in [&mut one, &mut other] {
            writeln!(pipe.stdin.as_mut().expect("an input"), "{text}").expect("a pipe");
        }
    };
    say("before \x1b[2J\u{9b}31m all");
    let mut top = top(&fixture, (120, 30));
    top.until("both, and the last error", |text| text.contains("other  "));
    top.press("/one\r\r");
    top.until("the line that was there", |text| {
        text.contains("one[") && text.matches("before").count() >= 2
    });
    say("later");
    top.until("the line that comes", |text| {
        text.lines().any(|line| line.contains("ERROR") && line.ends_with("later"))
    });
    let lines = top.text();
    let later: Vec<_> = lines.lines().filter(|line| line.ends_with("later")).collect();
    assert!(!later.iter().any(|line| line.contains("other")), "{later:?}");
    top.press("\x1bq");
    assert_eq!(top.wait().code(), Some(0));
    top.demand_restored();
    // No terminal got to see the sequence that the record held.
    let bytes = top.bytes();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("\\x1b[2J") && !text.contains('\u{9b}'), "{text:?}");
    drop(one.stdin.take());
    drop(other.stdin.take());
    assert!(one.wait().expect("a child").success() && other.wait().expect("a child").success());
    listener.stop();
}

#[test]
fn a_listener_that_is_stopped_holds_up_no_key() {
    let fixture = Fixture::new(binaries!());
    let listener = fixture.listener().start();
    let mut top = top(&fixture, SMALL);
    top.until_shows("No worker is there.");
    listener.program.signal(Signal::SIGSTOP);
    top.press("?");
    top.until_shows("turn the order round");
    top.press("\x1b[A");
    top.until_shows("No worker is there.");
    top.until_shows("the listener does not answer");
    listener.program.signal(Signal::SIGCONT);
    top.until("that it answers", |text| !text.contains("does not answer"));
    top.press("q");
    assert_eq!(top.wait().code(), Some(0));
    top.demand_restored();
    listener.stop();
}

#[test]
fn a_signal_ends_it_with_the_terminal_given_back() {
    let fixture = Fixture::new(binaries!());
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
        let mut top = top(&fixture, SMALL);
        top.until_shows("looking again");
        assert!(top.is_taken());
        top.signal(signal);
        assert_eq!(top.wait().code(), Some(0), "{signal}");
        top.demand_restored();
    }
}

#[test]
fn it_is_stopped_and_continued_as_any_program() {
    let fixture = Fixture::new(binaries!());
    let listener = fixture.listener().start();
    let mut top = top(&fixture, SMALL);
    top.until_shows("No worker is there.");
    for stop in [None, Some(Signal::SIGTSTP)] {
        match stop {
            None => top.press("\x1a"),
            Some(signal) => top.signal(signal),
        }
        wait::until("it is stopped", || top.state() == 'T');
        top.demand_restored();
        top.signal(Signal::SIGCONT);
        wait::until("it has the terminal", || top.is_taken());
        top.until_shows("No worker is there.");
    }
    // Whatever has happened to the terminal: Ctrl-L draws it anew.
    top.press("\x0c?");
    top.until_shows("turn the order round");
    top.press("q");
    assert_eq!(top.wait().code(), Some(0));
    top.demand_restored();
    listener.stop();
}

#[test]
fn where_there_is_no_terminal_it_is_refused_with_a_hint() {
    let fixture = Fixture::new(binaries!());
    let mut program = fixture.command(["top"]);
    assert_eq!(program.code(), 2);
    assert!(
        program.output().contains("must be a terminal; `fleetlog status`"),
        "{}",
        program.output()
    );
    let mut dumb = Terminal::start_as(binaries!().fleetlog, &["top"], SMALL, &[("TERM", "dumb")]);
    assert_eq!(dumb.wait().code(), Some(2));
    wait::until("the hint", || String::from_utf8_lossy(&dumb.bytes()).contains("fleetlog status"));
    assert!(!String::from_utf8_lossy(&dumb.bytes()).contains("?1049h"));
}

#[test]
fn colors_are_there_as_they_are_wanted() {
    let fixture = Fixture::new(binaries!());
    let run_dir = fixture.run_dir();
    let run_dir = run_dir.to_str().expect("UTF-8");
    for (arguments, environment, expected) in [
        (&[][..], &[][..], true),
        (&[], &[("NO_COLOR", "1")], false),
        (&["--color", "never"], &[], false),
        (&["--color", "always"], &[("NO_COLOR", "1")], true),
    ] {
        let mut all = vec!["top", "--run-dir", run_dir];
        all.extend_from_slice(arguments);
        let mut with_terminal = vec![("TERM", "xterm-256color")];
        with_terminal.extend_from_slice(environment);
        let mut top = Terminal::start_as(binaries!().fleetlog, &all, SMALL, &with_terminal);
        top.until_shows("looking again");
        let bytes = top.bytes();
        let text = String::from_utf8_lossy(&bytes);
        let red = text.contains("38;5;1") || text.contains("[31m") || text.contains(";31");
        assert_eq!(red, expected, "{arguments:?} {environment:?} {text:?}");
        top.press("q");
        assert_eq!(top.wait().code(), Some(0));
    }
}
