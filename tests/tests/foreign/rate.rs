//! The rate limit, over a stream and over datagrams.

use std::process::Command;

use fleetlog_tests::{judge, programs};
use serde_json::Value;

use crate::judgement::{self, counts};
use crate::{Senders, account, account_of, end, fixture, python_command, sync};

#[test]
fn who_floods_is_limited_and_told_of_and_its_errors_go_last() {
    limits_floods(usize::MAX);
}

/// Lets a client of each kind flood; `lines` may tell of what was left out of it.
pub(crate) fn limits_floods(lines_max: usize) {
    for how in ["stream", "dgram"] {
        let Some(python) = programs::python(&[]) else { return };
        let fixture = fixture();
        let limit = ["--rate-limit-burst", "1000", "--rate-limit-interval", "60s"];
        let listener = fixture.listener().with(limit).start();
        let mut modest = Senders::new(&fixture, python.clone());
        modest.start("python", "failure", 400, 0.001).start("json-dgram", "failure", 400, 0.001);
        let mut command: Command = python_command(&python, "flood.py");
        command.arg(how).arg(fixture.run_dir()).arg("flood").arg(fixture.path());
        command.args(["20000", "50", "0"]);
        let flood = fixture.start("flood", command);
        let pid = flood.pid();
        assert_eq!(account(&fixture, "flood").attempted, 20_050);
        let accounts = modest.finish();
        sync(&fixture);
        let status = listener.status().expect("a status");
        end(&fixture);
        flood.succeed();
        let [attempted, written, dropped] = account_of(&status, pid);
        eprintln!("{how}: {written} written and {dropped} dropped of {attempted}");
        assert_eq!(attempted, 20_050, "{status:#}");
        assert_eq!(written + dropped, attempted, "{status:#}");
        let limited = status["totals"]["dropped"]["rate_limited"].as_u64();
        assert_eq!(limited, Some(dropped), "{status:#}");
        // The last eighth is kept for errors; the bucket has filled up by less than another one.
        assert!((925..1500).contains(&written), "{written}");
        let receipt = listener.stop();
        let account = receipt.accounts.iter().find(|account| account.pid == pid).expect("its own");
        assert_eq!((account.written, account.dropped.total()), (written, dropped), "{receipt:?}");
        assert_eq!(receipt.dropped.total(), dropped, "nobody else lost anything: {receipt:?}");
        let lines = judge::lines(&fixture.log());
        let own = || lines.iter().filter(|line| line.pid == pid);
        assert_eq!(own().filter(|line| line.seq > 0).count() as u64, written);
        assert_eq!(own().filter(|line| line.level == "ERROR" && line.seq > 0).count(), 50);
        let told: u64 = own()
            .filter(|line| line.seq == 0)
            .filter_map(|line| {
                line.fields.get("rate_limited").or(line.fields.get("dropped.rate_limited"))
            })
            .map(|count| count.as_u64().expect("a count"))
            .sum();
        let count = own().filter(|line| line.seq == 0).count();
        eprintln!("{how}: {count} lines tell of what was dropped");
        // Or a limit would not limit what a flood writes.
        assert!(count < lines_max, "{how}: {count} lines tell of {dropped} dropped records");
        let notices = || own().filter(|line| line.seq == 0).take(3).collect::<Vec<_>>();
        assert_eq!(told, dropped, "{:?}", notices());
        let sources = accounts.iter().map(|(source, _)| source.clone());
        let verdict = judgement::judge(&fixture.log());
        for (source, count) in counts(sources, 400) {
            let found = &verdict.sources[&source];
            assert!(found.iter().copied().eq(0..count), "{source}: {} of 400", found.len());
        }
    }
}

/// The status tells of a limit in the words in which the receipt does.
#[test]
fn without_a_limit_nobody_is_limited() {
    let Some(python) = programs::python(&[]) else { return };
    let fixture = fixture();
    let listener = fixture.listener().start();
    let mut command = python_command(&python, "flood.py");
    command.arg("stream").arg(fixture.run_dir()).arg("flood").arg(fixture.path());
    command.args(["20000", "50", "0"]);
    end(&fixture);
    fixture.start("flood", command).succeed();
    sync(&fixture);
    let status = listener.status().expect("a status");
    assert_eq!(status["totals"]["dropped"], Value::Object(serde_json::Map::new()), "{status:#}");
    assert_eq!(listener.stop().written, 20_050);
}

#[test]
fn few_lines_tell_of_what_a_limit_left_out() {
    limits_floods(500);
}
