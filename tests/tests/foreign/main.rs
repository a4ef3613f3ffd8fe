//! Foreign clients as a whole: the real programs, each as its users run it, and a judge that
//! reads every line.

mod access;
mod door;
mod judgement;
mod kills;
mod loggers;
mod mixed;
mod native;
mod origin;
mod pressure;
mod python;
mod rate;
mod restarts;
mod stop;
mod syslog;
mod web;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use fleetlog_protocol::client;
use fleetlog_protocol::message::{Receipt, Request};
use fleetlog_tests::fixture::Program;
use fleetlog_tests::wait::GENEROUS;
use fleetlog_tests::{Fixture, ListenerUnderTest, binaries, wait};
use serde_json::Value;

fn fixture() -> Fixture {
    Fixture::new(binaries!())
}

/// A program of this folder's `programs`.
fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign/programs").join(name)
}

/// A Python program of this folder.
fn python_command(python: &Path, name: &str) -> Command {
    let mut command = Command::new(python);
    command.arg(script(name)).env("PYTHONDONTWRITEBYTECODE", "1").env_remove("PYTHONPATH");
    command
}

fn socket(fixture: &Fixture) -> PathBuf {
    fixture.run_dir().join("socket")
}

fn datagrams(fixture: &Fixture) -> PathBuf {
    fixture.run_dir().join("dgram")
}

/// Stops a listener, which must say of a log that nothing is missing in it.
fn stop(listener: ListenerUnderTest, fixture: &Fixture) -> Receipt {
    let receipt = listener.stop();
    assert!(receipt.is_complete(), "{receipt:?}\n{}", fixture.report());
    receipt
}

/// Waits until everything that was sent before is in the files.
fn sync(fixture: &Fixture) {
    let reply = client::request(&fixture.run_dir(), Request::Sync, GENEROUS, |_| ());
    reply.unwrap_or_else(|error| panic!("no sync: {error}\n{}", fixture.report()));
}

/// Tells the clients that it is over.
fn end(fixture: &Fixture) {
    fs::write(fixture.path().join("over"), "").expect("a file");
}

/// What the status says of the queues of a process, added up: attempted, written, dropped.
fn account_of(status: &Value, pid: u32) -> [u64; 3] {
    let workers = status["workers"].as_array().expect("workers").iter();
    workers.filter(|worker| worker["pid"] == pid).fold(
        [0; 3],
        |[attempted, written, dropped], w| {
            let reasons = w["dropped"].as_object().expect("reasons").values();
            let lost: u64 = reasons.map(|count| count.as_u64().expect("a count")).sum();
            let number = |name: &str| w[name].as_u64().expect("a count");
            [attempted + number("attempted"), written + number("written"), dropped + lost]
        },
    )
}

/// Waits until a listener has written so many more records of each process than by now.
fn await_more(listener: &ListenerUnderTest, pids: &[u32], records: u64) {
    let written = || {
        let status = listener.status().expect("a status");
        pids.iter().map(|pid| account_of(&status, *pid)[1]).collect::<Vec<_>>()
    };
    let before = written();
    wait::until("everybody has logged", || {
        written().iter().zip(&before).all(|(now, before)| *now >= before + records)
    });
}

/// The clients of `send.py`, and what they kept account of.
struct Senders<'f> {
    fixture: &'f Fixture,
    python: PathBuf,
    programs: Vec<(String, Program)>,
}

/// What one of them tried and was told was sent.
#[derive(Debug, serde::Deserialize)]
struct Account {
    attempted: u64,
    sent: Vec<u64>,
    /// The longest that a call took, in seconds.
    longest: f64,
}

/// Waits until a client has left its account.
fn account(fixture: &Fixture, source: &str) -> Account {
    let path = fixture.path().join(format!("account.{source}"));
    wait::until("the client has left its account", || path.exists());
    serde_json::from_slice(&fs::read(path).expect("an account")).expect("an account")
}

impl<'f> Senders<'f> {
    const fn new(fixture: &'f Fixture, python: PathBuf) -> Self {
        Self { fixture, python, programs: Vec::new() }
    }

    /// Starts one that sends `records`; `end` is `failure` if it ends at the first one that fails.
    fn start(&mut self, how: &str, end: &str, records: u64, pause: f64) -> &mut Self {
        let source = format!("{how}.{}", self.programs.len());
        let mut command = python_command(&self.python, "send.py");
        command.arg(how).arg(self.fixture.run_dir()).arg(&source).arg(self.fixture.path());
        command.args([end, &records.to_string(), &pause.to_string()]);
        let program = self.fixture.start(&source, command);
        self.programs.push((source, program));
        self
    }

    /// Waits until the listener has written something more of each of them.
    fn await_more(&self, listener: &ListenerUnderTest) {
        let pids: Vec<_> = self.programs.iter().map(|(_, program)| program.pid()).collect();
        await_more(listener, &pids, 10);
    }

    /// Waits until they have ended by themselves.
    fn finish(self) -> Vec<(String, Account)> {
        let fixture = self.fixture;
        let finished = self.programs.into_iter().map(|(source, program)| {
            program.succeed();
            let account = account(fixture, &source);
            (source, account)
        });
        finished.collect()
    }
}
