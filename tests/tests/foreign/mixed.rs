//! Everybody at once: workers, Python, syslog, JSON, and two who mean no good.

use std::process::Command;

use fleetlog_tests::{Fixture, binaries, judge, programs, wait};

use crate::judgement::{self, counts, demand_sent};
use crate::{Senders, account, account_of, end, fixture, python_command, stop, sync};

#[test]
fn honest_clients_lose_nothing_beside_garbage_and_floods() {
    let Some(python) = programs::python(&[]) else { return };
    let fixture = fixture();
    let listener = fixture.listener().start();
    let hostile = |name: &str, arguments: &[&str]| {
        let mut command = python_command(&python, name);
        command.args(arguments);
        fixture.start(name, command)
    };
    let folders = [fixture.run_dir(), fixture.path().to_owned()];
    let [run_dir, folder] = folders.each_ref().map(|path| path.to_str().expect("UTF-8"));
    let garbage = hostile("garbage.py", &[run_dir, folder]);
    let floods = ["stream", "dgram"].map(|how| {
        let name = format!("flood-{how}");
        let flood = hostile("flood.py", &[how, run_dir, &name, folder, "60000", "0", "100"]);
        (name, flood.pid(), flood)
    });
    let mut senders = Senders::new(&fixture, python.clone());
    for how in ["python", "python", "syslog-dgram", "syslog-stream", "json", "json-dgram"] {
        senders.start(how, "failure", 2000, 0.0);
    }
    let workers = ["lanes", "socket"].map(|transport| storm(&fixture, transport));
    for storm in workers {
        storm.succeed();
    }
    let accounts = senders.finish();
    let floods = floods.map(|(name, pid, flood)| (pid, account(&fixture, &name).attempted, flood));
    sync(&fixture);
    let flooded = listener.status().expect("a status");
    end(&fixture);
    let garbage_pid = garbage.pid();
    garbage.succeed();
    sync(&fixture);
    let status = listener.status().expect("a status");
    let floods = floods.map(|(pid, sent, flood)| {
        flood.succeed();
        (pid, sent)
    });
    for (pid, sent) in floods {
        let [attempted, written, dropped] = account_of(&flooded, pid);
        eprintln!("flood: {written} written and {dropped} dropped of {attempted}");
        assert_eq!((attempted, written + dropped), (sent, sent), "{flooded:#}");
    }
    let said = listener.program.output();
    let offences = status["totals"]["offences"].as_u64().expect("a count");
    eprintln!("garbage: {offences} offences");
    assert!(offences >= 7, "{status:#}");
    let named = said.lines().filter(|line| line.contains(&format!("pid={garbage_pid}")));
    assert!(named.count() >= 1, "{said}");
    for (pid, _) in floods {
        assert!(!said.contains(&format!("pid={pid} ")), "a flood is no offence: {said}");
    }
    wait::until("the listener answers", || listener.status().is_some());
    let receipt = listener.stop();
    assert_eq!(receipt.missing, 0, "{receipt:?}");
    let verdict = judgement::judge(&fixture.log());
    assert!(verdict.faults.is_empty(), "{:?}", verdict.faults);
    let senders = accounts.iter().map(|(source, _)| source.clone());
    let mut expected = counts(senders, 2000);
    expected.extend(counts(["1.0", "2.0", "11.0", "12.0"], 2000));
    for (source, count) in &expected {
        let found = verdict.sources.get(source).map_or(&[][..], Vec::as_slice);
        let wrong = found.iter().zip(0..).find(|(found, n)| *found != n);
        assert!(
            found.iter().copied().eq(0..*count),
            "{source}: {} of {count}, first wrong: {wrong:?}",
            found.len()
        );
    }
    assert!(accounts.iter().all(|(_, account)| account.sent.len() == 2000));
    let lines = judge::lines(&fixture.log());
    assert!(lines.iter().all(|line| line.seq == 0 || line.pid > 0));
}

/// Two workers of fleetlog's own.
fn storm(fixture: &Fixture, transport: &str) -> fleetlog_tests::Program {
    let first = if transport == "lanes" { "1" } else { "11" };
    let mut command = Command::new(binaries!().workload);
    command.args(["storm", "--first", first, "--workers", "2", "--records", "2000"]);
    command.env("FLEETLOG_RUN_DIR", fixture.run_dir()).env("FLEETLOG_TRANSPORT", transport);
    fixture.start(transport, command)
}

#[test]
fn clients_of_one_record_each_time_are_never_refused() {
    let Some(python) = programs::python(&[]) else { return };
    let fixture = fixture();
    let listener = fixture.listener().start();
    let mut senders = Senders::new(&fixture, python);
    for _ in 0..4 {
        senders.start("brief", "failure", 3000, 0.0);
    }
    let accounts = senders.finish();
    let receipt = stop(listener, &fixture);
    assert_eq!(receipt.offences, 0, "{receipt:?}");
    demand_sent(&fixture.log(), &accounts);
}
