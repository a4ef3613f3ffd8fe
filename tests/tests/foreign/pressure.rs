//! Pressure: a full disk and a listener that is stopped in its tracks.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::process::Command;

use fleetlog_tests::fixture::Program;
use fleetlog_tests::{Disk, Fixture, ListenerUnderTest, judge, programs, wait};
use nix::sys::signal::Signal;

use crate::judgement::demand_sent;
use crate::{Senders, account, account_of, end, fixture, python_command, socket, stop, sync};

/// Starts a client that floods with 1 KiB records and has 100 errors at its end.
fn flood(fixture: &Fixture, python: &std::path::Path, how: &str, records: u32) -> Program {
    let mut command: Command = python_command(python, "flood.py");
    command.arg(how).arg(fixture.run_dir()).arg(how).arg(fixture.path());
    command.args([&records.to_string(), "100", "1000"]);
    fixture.start(how, command)
}

#[test]
fn while_the_disk_is_full_clients_go_on_and_what_is_left_out_is_counted() {
    let _ = fills_the_disk(usize::MAX);
}

/// Lets clients flood while the disk is full; at most `lines_max` lines may tell of what was left
/// out of each. Returns what has the log.
pub(crate) fn fills_the_disk(lines_max: usize) -> Option<(Fixture, Disk)> {
    let python = programs::python(&[])?;
    let fixture = fixture();
    let disk = Disk::mount(&fixture.path().join("disk"), "256k")?;
    let log = disk.path().join("apps.log");
    let arguments = ["--format", "json", "--file", log.to_str().expect("UTF-8")];
    let listener: ListenerUnderTest = fixture.listener().only_with(arguments).start();
    let attempted = 20_100;
    let clients = ["stream", "dgram"].map(|how| {
        let program = flood(&fixture, &python, how, 20_000);
        (how, program.pid(), program)
    });
    // They come to their end although nothing can be written.
    for (how, _, _) in &clients {
        let account = account(&fixture, how);
        eprintln!("full disk: the longest call over {how} took {:.3} s", account.longest);
        assert_eq!(account.attempted, attempted);
    }
    let status = listener.status().expect("a paused listener answers");
    assert!(status["listener"]["paused"].is_string(), "{status:#}");
    disk.grow("512m");
    sync(&fixture);
    let status = listener.status().expect("a status");
    end(&fixture);
    for (how, pid, program) in clients {
        program.succeed();
        let [tried, written, dropped] = account_of(&status, pid);
        eprintln!("full disk: {how}: {written} written and {dropped} dropped of {tried}");
        assert_eq!((tried, written + dropped), (attempted, attempted), "{how}: {status:#}");
        assert!(dropped > 0, "{how}: it was no pressure: {status:#}");
        let lines = judge::lines(&log);
        let own = || lines.iter().filter(|line| line.pid == pid && line.seq > 0);
        assert_eq!(own().count() as u64, written, "{how}");
        assert_eq!(own().filter(|line| line.level == "ERROR").count(), 100, "{how}");
        // Neither is every loss worth a line of its own where there is no room for lines.
        let told = lines.iter().filter(|line| line.pid == pid && line.seq == 0).count();
        eprintln!("full disk: {how}: {told} lines tell of what was dropped");
        assert!(told < lines_max, "{how}: {told} lines tell of {dropped} dropped records");
    }
    assert_eq!(listener.stop().missing, 0);
    Some((fixture, disk))
}

#[test]
fn a_listener_that_is_stopped_in_its_tracks_loses_nothing() {
    let Some(python) = programs::python(&[]) else { return };
    let fixture = fixture();
    let listener = fixture.listener().start();
    let mut senders = Senders::new(&fixture, python);
    for how in ["python", "syslog-stream", "syslog-dgram", "json", "json-dgram"] {
        senders.start(how, "failure", 5000, 0.0);
    }
    for _ in 0..3 {
        wait::until("somebody has logged", || {
            listener.status().is_some_and(|status| status["totals"]["written"].as_u64() > Some(0))
        });
        listener.program.signal(Signal::SIGSTOP);
        // Long enough that the kernel's queues are full; how long does not matter.
        std::thread::sleep(std::time::Duration::from_millis(300));
        listener.program.signal(Signal::SIGCONT);
    }
    let accounts = senders.finish();
    let receipt = listener.stop();
    assert_eq!((receipt.dropped.total(), receipt.missing), (0, 0), "{receipt:?}");
    assert!(accounts.iter().all(|(_, account)| account.sent.len() == 5000), "{accounts:?}");
    demand_sent(&fixture.log(), &accounts);
}

#[test]
fn a_client_that_is_faster_than_the_listener_waits_and_loses_nothing() {
    let fixture = fixture();
    let [second, third] = ["second.log", "third.log"]
        .map(|name| fixture.path().join(name).into_os_string().into_string().expect("UTF-8"));
    // More to write than one client needs to send.
    let listener = fixture.listener().with(["--file", &second, "--file", &third]).start();
    let records = 60_000;
    let ballast = "x".repeat(1000);
    let mut block = Vec::new();
    for n in 0..records {
        let line = format!(
            "{{\"level\":\"debug\",\"source\":\"fast\",\"n\":{n},\"msg\":\"{ballast}\"}}\n"
        );
        block.extend_from_slice(line.as_bytes());
    }
    let mut client = UnixStream::connect(socket(&fixture)).expect("the listener");
    client.write_all(&block).expect("every byte");
    drop(client);
    let receipt = stop(listener, &fixture);
    assert_eq!((receipt.written, receipt.dropped.total()), (records, 0), "{receipt:?}");
    judge::judge(&fixture.log()).demand_exact(1, records);
}

#[test]
fn few_lines_tell_of_what_a_full_disk_left_out() {
    let _ = fills_the_disk(1000);
}
