//! P7 and P8: what a dead, stopped or slow listener costs a worker, and the count of what is lost.

use std::collections::HashMap;
use std::fs;

use fleetlog_protocol::message::Receipt;
use fleetlog_tests::judge::{self, Line};
use fleetlog_tests::{Fixture, Program, wait};
use nix::sys::signal::Signal;

use crate::fixture;

/// On top of a budget: what a loaded machine may add to the calls that it interrupts.
const SLACK_MS: u64 = 5000;

fn pressure(fixture: &Fixture, arguments: &[&str]) -> Program {
    let folder = fixture.path().to_str().expect("UTF-8");
    let mut program = fixture.workload(["pressure", "--folder", folder].iter().chain(arguments));
    await_step(fixture, &mut program, "ready");
    program
}

fn await_step(fixture: &Fixture, program: &mut Program, step: &str) {
    wait::until(step, || {
        assert!(program.is_running(), "the workload ended: {}", program.output());
        fixture.path().join(step).exists()
    });
}

fn allow(fixture: &Fixture, step: &str) {
    fs::write(fixture.path().join(step), "").expect("a file");
}

fn figure(output: &str, name: &str) -> u64 {
    let found = output.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    found.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no {name} in {output}"))
}

fn numbers(lines: &[Line], source: &str) -> Vec<u64> {
    let of_source = lines
        .iter()
        .filter(|line| line.seq > 0 && line.fields.get("source").is_some_and(|s| s == source));
    of_source.map(|line| line.fields["n"].as_u64().expect("a number")).collect()
}

/// `attempted = written + dropped`, in the file, in its notices, and in the receipt; and each
/// notice stands where the numbers are missing.
fn demand_account(fixture: &Fixture, receipt: &Receipt, attempted: u64) -> u64 {
    let lines = judge::lines(&fixture.log());
    let (mut written, mut told, mut position) = (0, 0, 0);
    for line in &lines {
        let message = line.fields["message"].as_str().unwrap_or_default();
        if line.seq > 0 {
            assert_eq!(line.seq, position + 1, "a hole that nobody explains before {line:?}");
            position = line.seq;
            written += 1;
        } else if message == "the worker dropped records here" {
            let field = |name: &str| line.fields[name].as_u64().expect("a number");
            assert_eq!(field("first_seq"), position + 1, "{line:?} stands elsewhere");
            assert_eq!(field("dropped"), field("last_seq") - position, "{line:?}");
            position = field("last_seq");
            told += field("dropped");
        } else {
            panic!("{line:?}");
        }
    }
    assert_eq!(written + told, attempted, "{written} written and {told} dropped in the file");
    let [account] = &receipt.accounts[..] else { panic!("{receipt:?}") };
    assert_eq!((account.written, account.dropped.total()), (written, told), "{receipt:?}");
    assert_eq!(account.attempted(), attempted, "{receipt:?}");
    assert_eq!((receipt.written, receipt.dropped.total()), (written, told), "{receipt:?}");
    assert_eq!(receipt.missing, 0, "{receipt:?}");
    told
}

/// Stops the listener, lets the workload log, wakes the listener, and judges.
fn stopped(arguments: &[&str]) -> (Fixture, Receipt, String) {
    let fixture = fixture();
    let listener = fixture.listener().start();
    let mut program = pressure(&fixture, arguments);
    listener.program.signal(Signal::SIGSTOP);
    allow(&fixture, "go");
    await_step(&fixture, &mut program, "logged");
    listener.program.signal(Signal::SIGCONT);
    allow(&fixture, "finish");
    let output = program.succeed();
    (fixture, listener.stop(), output)
}

fn demand_cost(output: &str, budget_ms: u64) {
    let (longest, slow) = (figure(output, "longest_ms"), figure(output, "slow_ms"));
    assert!(longest <= budget_ms + SLACK_MS, "one call took {longest} ms of {budget_ms}");
    assert!(slow <= budget_ms + SLACK_MS, "slow calls took {slow} ms of {budget_ms}");
}

#[test]
fn a_stopped_listener_costs_its_stall_budget_once_and_nothing_is_lost_while_the_window_holds_it() {
    let records = crate::HELD / 400;
    let (fixture, receipt, output) =
        stopped(&["--stall", "300", "--records", &records.to_string(), "--ballast", "300"]);
    if crate::TRANSPORT == "socket" {
        // The kernel's buffer was full, so that the budget was in fact asked for.
        assert!(figure(&output, "longest_ms") >= 300, "nothing waited: {output}");
    }
    demand_cost(&output, 300);
    assert!(receipt.is_complete(), "{receipt:?}");
    judge::judge(&fixture.log()).demand_exact(1, records);
}

#[test]
fn what_a_window_can_not_hold_is_counted_where_it_is_missing() {
    let (fixture, receipt, output) =
        stopped(&["--stall", "200", "--window", "65536", "--records", "20000", "--ballast", "100"]);
    demand_cost(&output, 200);
    let dropped = demand_account(&fixture, &receipt, figure(&output, "attempted"));
    assert!(dropped > 0, "the window held everything: {output}");
}

#[test]
fn an_alarm_every_millisecond_shortens_no_wait_and_lengthens_none() {
    let (fixture, receipt, output) = stopped(&[
        "--stall",
        "500",
        "--window",
        "65536",
        "--records",
        "10000",
        "--ballast",
        "100",
        "--alarm",
        "true",
    ]);
    assert!(figure(&output, "rings") > 50, "{output}");
    assert!(figure(&output, "longest_ms") >= 500, "a signal cut the wait short: {output}");
    demand_cost(&output, 500);
    demand_account(&fixture, &receipt, figure(&output, "attempted"));
}

#[test]
fn drop_newest_waits_for_nobody_and_counts_what_a_stopped_listener_costs() {
    let (fixture, receipt, output) = stopped(&[
        "--stall",
        "0",
        "--window",
        "16384",
        "--records",
        "20000",
        "--urgent",
        "6",
        "--ballast",
        "100",
    ]);
    demand_cost(&output, 0);
    let dropped = demand_account(&fixture, &receipt, figure(&output, "attempted"));
    assert!(dropped > 0, "nothing was dropped: {output}");
    demand_urgent(&fixture);
}

/// INFO was dropped, and WARN and ERROR behind it were not.
fn demand_urgent(fixture: &Fixture) {
    let lines = judge::lines(&fixture.log());
    assert_eq!(numbers(&lines, "urgent"), [0, 1, 2, 3, 4, 5]);
    let infos = numbers(&lines, "info");
    assert!(infos.is_sorted() && infos[0] == 0, "{infos:?}");
}

#[test]
fn drop_newest_without_a_listener_keeps_room_for_warnings_and_counts_the_rest() {
    let fixture = fixture();
    let mut program = pressure(
        &fixture,
        &[
            "--stall",
            "0",
            "--window",
            "16384",
            "--records",
            "20000",
            "--urgent",
            "6",
            "--warm",
            "false",
        ],
    );
    allow(&fixture, "go");
    await_step(&fixture, &mut program, "logged");
    let listener = fixture.listener().start();
    allow(&fixture, "finish");
    let output = program.succeed();
    let receipt = listener.stop();
    demand_cost(&output, 0);
    let dropped = demand_account(&fixture, &receipt, 20_006);
    assert!(dropped > 4000, "the queue held {}", 20_006 - dropped);
    demand_urgent(&fixture);
}

#[test]
fn a_worker_that_never_waits_leaves_nothing_behind_when_it_ends() {
    // The queue holds them, over a socket the kernel's buffer does not. Without waiting for the
    // files: the end alone has to hand over what the queue still holds.
    let records = (crate::HELD / 2200).to_string();
    let (fixture, receipt, output) =
        stopped(&["--stall", "0", "--records", &records, "--ballast", "2000", "--sync", "false"]);
    assert_eq!(receipt.died, 0, "the worker took no leave: {receipt:?}");
    let dropped = demand_account(&fixture, &receipt, figure(&output, "attempted"));
    assert_eq!(dropped, 0, "{receipt:?}");
}

#[test]
fn a_listener_that_never_comes_costs_a_worker_its_budget_and_no_more() {
    let fixture = fixture();
    let program = pressure(
        &fixture,
        &[
            "--stall",
            "300",
            "--window",
            "16384",
            "--records",
            "20000",
            "--warm",
            "false",
            "--sync",
            "false",
        ],
    );
    allow(&fixture, "go");
    allow(&fixture, "finish");
    let output = program.succeed();
    demand_cost(&output, 300);
    assert!(figure(&output, "longest_ms") >= 250, "`block` did not wait: {output}");
}

#[test]
fn one_flooding_worker_costs_another_one_nothing() {
    let fixture = fixture();
    let listener = fixture.listener().start();
    let mut flood = fixture.workload([
        "storm",
        "--workers",
        "3",
        "--records",
        "60000",
        "--stall",
        "0",
        "--first",
        "10",
    ]);
    fixture.workload(["storm", "--workers", "1", "--records", "3000"]).succeed();
    assert_eq!(flood.code(), 0, "{}", flood.output());
    listener.stop();
    let verdict = judge::judge(&fixture.log());
    let quiet: HashMap<_, _> =
        verdict.sources.iter().filter(|(source, _)| *source == "\"0.0\"").collect();
    assert_eq!(quiet.values().map(|numbers| numbers.len()).sum::<usize>(), 3000);
}
