//! `fleetlog verify` on logs of foreign records: it raises no false alarm.

use fleetlog_tests::{Program, judge, programs};
use serde_json::Value;

use crate::pressure::fills_the_disk;
use crate::{await_more, end, fixture, python_command};

#[test]
fn a_log_of_processes_with_many_connections_is_whole_over_kills_of_the_listener() {
    let Some(python) = programs::python(&[]) else { return };
    let fixture = fixture();
    let mut listener = fixture.listener().start();
    let clients: Vec<_> = (0..2)
        .map(|_| {
            let mut command = python_command(&python, "both.py");
            command.arg(fixture.run_dir()).arg(fixture.path());
            fixture.start("both", command)
        })
        .collect();
    for is_killed in [true, false, true] {
        let pids: Vec<_> = clients.iter().map(Program::pid).collect();
        await_more(&listener, &pids, 1000);
        let status = listener.status().expect("a status");
        let workers = status["workers"].as_array().expect("workers");
        for name in ["pickle", "datagram"] {
            assert!(workers.iter().any(|worker| worker["transport"] == name), "{status:#}");
        }
        if is_killed {
            listener.kill();
        } else {
            assert_eq!(listener.stop().missing, 0);
        }
        listener = fixture.listener().start();
    }
    end(&fixture);
    for client in clients {
        client.succeed();
    }
    assert_eq!(listener.stop().missing, 0);
    let log = fixture.log();
    let arguments = ["verify", "--json", "--file", log.to_str().expect("UTF-8")];
    let mut verify = fixture.command(arguments);
    let code = verify.code();
    assert_eq!(code, 0, "{}", verify.output());
    let said: Value = serde_json::from_str(&verify.output()).expect("JSON");
    assert!(said["whole"] == true && said["findings"] == Value::Array(Vec::new()), "{said:#}");
    assert!(said["totals"]["lines"].as_u64() > Some(3 * 2 * 1000), "{said:#}");
    // Each process has a queue of its streams and one of its datagrams, which go on where they were.
    let first = judge::lines(&log).iter().filter(|line| line.seq == 1 && line.pid > 0).count();
    assert_eq!(first, 2 * 2, "a queue began anew");
}

#[test]
fn a_log_that_tells_of_many_losses_is_whole() {
    let Some((fixture, disk)) = fills_the_disk(usize::MAX) else { return };
    let log = disk.path().join("apps.log");
    fixture.command(["verify", "--file", log.to_str().expect("UTF-8")]).succeed();
}
