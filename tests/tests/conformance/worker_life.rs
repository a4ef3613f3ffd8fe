//! How workers come and go: signals, programs of their own, closures, and listeners that come
//! later, end, and come again.

use std::collections::HashMap;
use std::fs;
use std::process::Command;

use fleetlog_tests::judge::{self, Line};
use fleetlog_tests::{Fixture, Program, wait};

use crate::fixture;

#[test]
fn an_alarm_every_millisecond_reaches_the_application_and_fails_nothing() {
    let fixture = fixture();
    let listener = fixture.listener().start();
    let output = fixture.workload(["signals", "--records", "20000"]).succeed();
    let figure = |name: &str| -> u64 {
        let word = output.split_whitespace().find_map(|word| word.strip_prefix(name));
        word.and_then(|word| word.strip_prefix('=')?.parse().ok()).expect("a figure")
    };
    assert_eq!(figure("tasks"), 1, "the worker has a thread that it did not start: {output}");
    assert_eq!(figure("astray"), 0, "an alarm rang in another thread: {output}");
    let receipt = listener.stop();
    assert!(receipt.is_complete(), "{receipt:?}");
    judge::judge(&fixture.log()).demand_exact(1, figure("records"));
}

/// A worker that is a program of its own, started as a supervisor would.
fn exec(fixture: &Fixture, name: &str, level: &str, records: u64) -> Program {
    let mut command = Command::new(crate::BINARIES.workload);
    command
        .args(["exec", "--source", name, "--records", &records.to_string()])
        .env("FLEETLOG_RUN_DIR", fixture.run_dir())
        .env("FLEETLOG_NAME", name)
        .env("FLEETLOG_LEVEL", level)
        .env("RUST_LOG", "off");
    fixture.start("exec", command)
}

#[test]
fn programs_that_only_call_init_take_name_and_level_from_the_environment() {
    let fixture = fixture();
    let listener = fixture.listener().start();
    let quiet: Vec<Program> =
        (0..3).map(|number| exec(&fixture, &format!("exec {number}"), "info", 500)).collect();
    let verbose = exec(&fixture, "verbose", "workload=debug", 500);
    let silent = exec(&fixture, "silent", "error", 500);
    quiet.into_iter().chain([verbose, silent]).for_each(|program| drop(program.succeed()));
    let receipt = listener.stop();
    assert!(receipt.is_complete(), "{receipt:?}");

    let mut counts: HashMap<(String, String), u64> = HashMap::new();
    let mut sources: HashMap<String, Vec<u64>> = HashMap::new();
    for line in judge::lines(&fixture.log()) {
        if let Some(source) = line.fields.get("source") {
            assert_eq!(*source, line.worker, "{line:?}");
            sources
                .entry(line.worker.clone())
                .or_default()
                .push(line.fields["n"].as_u64().expect("a number"));
        }
        *counts.entry((line.worker, line.level)).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort();
    let expected = [
        (("exec 0", "INFO"), 500),
        (("exec 1", "INFO"), 500),
        (("exec 2", "INFO"), 500),
        (("verbose", "DEBUG"), 500),
        (("verbose", "INFO"), 500),
    ];
    let expected =
        expected.map(|((name, level), count)| ((name.to_owned(), level.to_owned()), count));
    assert_eq!(counts, expected);
    assert!(sources.values().all(|numbers| numbers.iter().copied().eq(0..500)), "{sources:?}");
}

#[test]
fn a_level_that_is_none_is_refused_with_its_variable_and_its_text() {
    let fixture = fixture();
    let mut program = exec(&fixture, "mistaken", "workload=loudly=so", 1);
    assert_eq!(program.code(), 101);
    let said = program.output();
    assert!(said.contains("$FLEETLOG_LEVEL") && said.contains("workload=loudly=so"), "{said}");
}

#[test]
fn closures_take_along_what_they_captured_and_the_report_tells_how_each_ended() {
    let fixture = fixture();
    let listener = fixture.listener().start();
    let folder = fixture.path().to_str().expect("UTF-8");
    // The workload itself compares the report.
    fixture.workload(["closures", "--folder", folder]).succeed();
    let receipt = listener.stop();
    assert!(receipt.is_complete(), "{receipt:?}");
    let moved = fs::read_to_string(fixture.path().join("moved")).expect("the file");
    assert_eq!(moved, "written by the worker");

    let lines = judge::lines(&fixture.log());
    let of = |worker: &str, message: &str| -> &Line {
        let mut found =
            lines.iter().filter(|line| line.worker == worker && line.fields["message"] == message);
        let line = found.next().unwrap_or_else(|| panic!("{worker}: no `{message}`"));
        assert!(found.next().is_none(), "{worker}: `{message}` stands twice");
        line
    };
    assert_eq!(of("string", "took along").fields["text"], "captured");
    assert_eq!(of("vec", "took along").fields["numbers"], "[1, 2, 3]");
    assert_eq!(of("arc", "took along").fields["number"], 42);
    of("file", "took along");
    let failed = of("error", "the work failed");
    assert_eq!(
        (failed.level.as_str(), &failed.fields["error"]),
        ("ERROR", &"no such table".into())
    );
    of("panic", "out of \u{1b}[31m luck");
    of("panic", "the work failed");
    of("signal", "the worker ended without taking leave");

    let endings: Vec<(&str, &str)> = lines
        .iter()
        .filter(|line| line.target == "fleet" && line.fields.contains_key("member"))
        .map(|line| (line.fields["message"].as_str().expect("a text"), line.level.as_str()))
        .collect();
    let expected = [
        ("string exited with code 0", "INFO"),
        ("vec exited with code 0", "INFO"),
        ("arc exited with code 0", "INFO"),
        ("file exited with code 0", "INFO"),
        ("error exited with code 1", "WARN"),
        ("panic exited with code 101", "WARN"),
        ("code exited with code 7", "WARN"),
        ("signal was ended by SIGTERM", "WARN"),
    ];
    assert_eq!(endings, expected);
}

/// A fleet that logs until `finish`.
struct Steady {
    program: Program,
    sources: Vec<String>,
}

fn steady(fixture: &Fixture) -> Steady {
    let until = fixture.path().join("until");
    let program = fixture.workload([
        "steady",
        "--workers",
        "3",
        "--threads",
        "2",
        "--until",
        until.to_str().expect("UTF-8"),
    ]);
    let sources = (0..6).map(|source| format!("{}.{}", source / 2, source % 2)).collect();
    Steady { program, sources }
}

impl Steady {
    fn finish(self, fixture: &Fixture) -> HashMap<String, u64> {
        fs::write(fixture.path().join("until"), "").expect("a file");
        self.program.succeed();
        let count = |source: &String| {
            let path = fixture.path().join(format!("until.{source}"));
            let text = fs::read_to_string(path).expect("a count");
            (format!("{source:?}"), text.parse().expect("a number"))
        };
        self.sources.iter().map(count).collect()
    }
}

fn written(fixture: &Fixture) -> u64 {
    fs::metadata(fixture.log()).map_or(0, |file| file.len())
}

#[test]
fn workers_that_start_before_their_listener_are_written_in_full() {
    let fixture = fixture();
    let mut storm = fixture.workload(["storm", "--workers", "4", "--records", "3000"]);
    // Some of them wait for a listener by now, or will.
    wait::until("the workload forked", || {
        assert!(storm.is_running(), "it ended without a listener: {}", storm.output());
        let path = format!("/proc/{0}/task/{0}/children", storm.pid());
        fs::read_to_string(path).is_ok_and(|pids| pids.split_whitespace().count() == 4)
    });
    let listener = fixture.listener().start();
    storm.succeed();
    let receipt = listener.stop();
    assert!(receipt.is_complete(), "{receipt:?}");
    judge::judge(&fixture.log()).demand_exact(4, 3000);
}

#[test]
fn workers_go_on_while_the_sentinel_ends_listener_after_listener() {
    let fixture = fixture();
    let mut fleet = steady(&fixture);
    let mut written_in_all = 0;
    for _ in 0..6 {
        let listener = fixture.listener().start();
        let before = written(&fixture);
        wait::until("the listener writes", || {
            assert!(fleet.program.is_running(), "{}", fleet.program.output());
            written(&fixture) > before
        });
        let receipt = listener.stop();
        assert!(receipt.is_complete(), "{receipt:?}");
        written_in_all += receipt.written;
    }
    let listener = fixture.listener().start();
    let counts = fleet.finish(&fixture);
    let receipt = listener.stop();
    assert!(receipt.is_complete(), "{receipt:?}");
    written_in_all += receipt.written;
    judge::judge(&fixture.log()).demand_counts(&counts);
    // The parent logged how its three workers ended.
    assert_eq!(written_in_all, counts.values().sum::<u64>() + 3, "the receipts' sum");
}
