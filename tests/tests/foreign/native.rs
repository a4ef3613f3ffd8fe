//! `logger(1)`, and `syslog(3)` of the C library.

use std::collections::HashMap;
use std::fs;
use std::process::Command;

use fleetlog_tests::{judge, programs};

use crate::judgement::{self, message};
use crate::{datagrams, fixture, script, socket, stop};

/// Each priority that a test uses, and the level that it means.
const PRIORITIES: [(&str, &str); 5] = [
    ("user.debug", "DEBUG"),
    ("local0.info", "INFO"),
    ("daemon.warning", "WARN"),
    ("mail.err", "ERROR"),
    ("auth.crit", "ERROR"),
];

#[test]
fn every_call_of_logger_arrives_with_its_pid_tag_and_level() {
    let Some(logger) = programs::find("logger") else { return };
    let fixture = fixture();
    let listener = fixture.listener().start();
    let (datagrams, socket) = (datagrams(&fixture), socket(&fixture));
    let ways: [(_, &[&str]); 6] = [
        (&datagrams, &["--rfc5424"]),
        (&datagrams, &["--rfc3164", "--id"]),
        (&datagrams, &[]),
        (&socket, &["--rfc5424"]),
        (&socket, &["--rfc3164", "-i"]),
        (&socket, &["--rfc5424", "--octet-count"]),
    ];
    let calls: Vec<_> = (0..200)
        .map(|number: usize| {
            let (path, options) = ways[number % ways.len()];
            let (priority, level) = PRIORITIES[number % PRIORITIES.len()];
            let mut command = Command::new(&logger);
            command.arg("-u").arg(path).args(options).args(["-p", priority]);
            command.args(["-t", &format!("tag{number}"), &format!("call {number} of logger")]);
            (fixture.start("logger", command), number, level)
        })
        .collect();
    let mut expected = HashMap::new();
    for (call, number, level) in calls {
        let pid = call.pid();
        call.succeed();
        expected.insert(format!("call {number} of logger"), (pid, format!("tag{number}"), level));
    }
    let status = listener.status().expect("a status");
    let workers = status["workers"].as_array().expect("workers");
    assert!(workers.iter().all(|worker| worker["uid"] == nix::unistd::getuid().as_raw()));
    let receipt = stop(listener, &fixture);
    assert_eq!((receipt.written, receipt.offences), (200, 0), "{receipt:?}");
    for line in judge::lines(&fixture.log()).iter().filter(|line| line.seq > 0) {
        let (pid, tag, level) = expected.remove(message(line)).expect("once");
        assert_eq!((line.pid, &line.target, &*line.level), (pid, &tag, level), "{line:?}");
    }
    assert!(expected.is_empty(), "these did not arrive: {expected:?}");
}

#[test]
fn the_c_librarys_syslog_loses_nothing() {
    let Some(compiler) = programs::find("cc") else { return };
    let Some(mut command) = in_name_space() else { return };
    let fixture = fixture();
    let program = fixture.path().join("native");
    let mut build = Command::new(compiler);
    build.args(["-Wall", "-Werror", "-o"]).arg(&program).arg(script("native.c"));
    fixture.start("cc", build).succeed();
    let listener = fixture.listener().start();
    let steps = "mount -t tmpfs tmpfs /dev; ln -s \"$0\" /dev/log; exec \"$@\"";
    command.arg(steps).arg(datagrams(&fixture)).arg(&program).args(["10", "1000"]);
    fixture.start("native", command).succeed();
    let receipt = stop(listener, &fixture);
    assert_eq!((receipt.written, receipt.workers), (10_000, 10), "{receipt:?}");
    judgement::judge(&fixture.log()).demand_exact(10, 1000);
    let lines = judge::lines(&fixture.log());
    let records = || lines.iter().filter(|line| line.seq > 0);
    assert!(records().all(|line| line.level == "WARN" && line.target == "native"));
}

#[test]
fn an_entry_for_the_journal_arrives_however_long_it_is() {
    let Some(logger) = programs::find("logger") else { return };
    let help = Command::new(&logger).arg("--help").output().expect("its help");
    if !String::from_utf8_lossy(&help.stdout).contains("--journald") {
        let _: Option<()> = programs::missing("logger --journald", "apt-get install bsdutils");
        return;
    }
    let fixture = fixture();
    let listener = fixture.listener().start();
    // The longer one does not fit into a datagram and comes as a file in memory.
    let long = "y".repeat(900_000);
    for (number, text) in ["short", &long].into_iter().enumerate() {
        let Some(mut command) = in_name_space() else { return };
        let entry = fixture.path().join(format!("entry{number}"));
        let fields = "PRIORITY=3\nSYSLOG_IDENTIFIER=app\nREQUEST_ID=r-1";
        fs::write(&entry, format!("MESSAGE={text}\n{fields}\n")).expect("a file");
        let steps = "mount -t tmpfs tmpfs /run; mkdir -p /run/systemd/journal;
            ln -s \"$0\" /run/systemd/journal/socket; exec \"$@\"";
        command.arg(steps).arg(datagrams(&fixture)).arg(&logger);
        command.arg(format!("--journald={}", entry.display()));
        fixture.start("journal", command).succeed();
    }
    let receipt = stop(listener, &fixture);
    assert_eq!((receipt.written, receipt.truncated, receipt.offences), (2, 0, 0), "{receipt:?}");
    let lines = judge::lines(&fixture.log());
    let records: Vec<_> = lines.iter().filter(|line| line.seq > 0).collect();
    assert!(message(records[0]) == "short" && message(records[1]) == long);
    for line in records {
        assert_eq!((&*line.level, &*line.target), ("ERROR", "app"));
        assert_eq!(line.fields["request_id"], "r-1");
    }
}

/// A shell, which wants its steps, in a name space of its own, where it may mount over the one path
/// that a library knows.
fn in_name_space() -> Option<Command> {
    let wrapped = |options: &str| {
        let mut command = Command::new("unshare");
        command.args([options, "sh", "-ec"]);
        command
    };
    let may = |options: &&str| {
        let output = wrapped(options).arg("mount -t tmpfs tmpfs /run").output();
        output.is_ok_and(|output| output.status.success())
    };
    let found = ["-m", "-rm"].into_iter().find(may).map(wrapped);
    found.or_else(|| programs::missing("a mount name space", "run this as root"))
}
