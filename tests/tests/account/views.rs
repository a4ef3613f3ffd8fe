//! One fleet, and everybody who gives an account of it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;

use fleetlog_protocol::message::{Loss, Losses};
use fleetlog_tests::{Fixture, ListenerUnderTest, judge, wait};
use serde_json::Value;

use crate::fixture;

/// What an account tells: each reason with its records, or, where nobody knows those, how often.
pub(crate) type Told = BTreeMap<Loss, u64>;

/// A listener with two logs of one content.
pub(crate) struct Scene {
    pub(crate) fixture: Fixture,
    pub(crate) listener: ListenerUnderTest,
    text_log: PathBuf,
}

impl Scene {
    pub(crate) fn begin(arguments: &[&str]) -> Self {
        let fixture = fixture();
        let text_log = fixture.path().join("apps.txt");
        let config = fixture.path().join("fleetlog.toml");
        let (json, text) = (fixture.log(), &text_log);
        let logs = format!(
            "[[file]]\npath = {json:?}\nformat = \"json\"\n[[file]]\npath = {text:?}\nformat = \"text\"\n"
        );
        fs::write(&config, logs).expect("a configuration");
        let config = config.to_str().expect("UTF-8").to_owned();
        let listener = fixture
            .listener()
            .only_with(["--config", &config, "--metrics", "127.0.0.1:0"])
            .with(arguments.iter().copied())
            .start();
        Self { fixture, listener, text_log }
    }

    /// Waits until the status tells of losses, and demands that everybody else tells the same; returns
    /// what.
    pub(crate) fn demand_that_all_tell(self, expected: &[Loss]) -> Told {
        wait::until("the status tells of the losses", || {
            let told = self.status_json();
            expected.iter().all(|loss| told.contains_key(loss))
        });
        // Nobody is in the middle of anything any more when two looks show the same.
        let mut before = Told::new();
        wait::until("nothing more is lost", || {
            self.fixture.command(["sync"]).succeed();
            let status = self.listener.status().expect("a status");
            let now = self.status_json();
            // The one is that of this question.
            let is_quiet = status["clients"]["connections"].as_u64() <= Some(1);
            let is_same = is_quiet && now == before;
            before = now;
            is_same
        });
        let told = self.status_json();
        let text = self.run(&["status"]);
        for loss in expected {
            assert!(text.contains(&loss.as_str().replace('_', " ")), "{loss:?}: {text}");
        }
        assert!(text.contains("; last ") && text.contains(" ago, first 20"), "no times: {text}");
        assert_eq!(self.metrics(), told, "the metrics of {expected:?}");
        let end = self.end();
        assert!(!end.text.contains("Nothing was lost"), "{expected:?}: {}", end.text);
        assert!(!end.is_complete, "{expected:?}");
        for (who, account) in end.accounts {
            assert_eq!(account, told, "{who}, {expected:?}");
        }
        told
    }

    pub(crate) fn demand_that_nothing_was_lost(self) {
        self.fixture.command(["sync"]).succeed();
        assert_eq!(self.status_json(), Told::new());
        assert_eq!(self.metrics(), Told::new());
        let end = self.end();
        assert!(end.text.contains("Nothing was lost") && end.is_complete, "{}", end.text);
        for (who, account) in end.accounts {
            assert_eq!(account, Told::new(), "{who}");
        }
    }

    fn status_json(&self) -> Told {
        let status = self.listener.status().expect("a status");
        let told = of_json(&status["totals"]["losses"]);
        let known: u64 =
            Loss::ALL.iter().filter(|l| l.is_counted()).filter_map(|l| told.get(l)).sum();
        let dropped = status["totals"]["dropped"].as_object().expect("reasons").values();
        let dropped: u64 = dropped.filter_map(Value::as_u64).sum();
        let missing = status["totals"]["missing"].as_u64().expect("a count");
        assert_eq!(dropped + missing, known, "the sums are made of the reasons: {status:#}");
        for lost in status["totals"]["losses"].as_object().expect("reasons").values() {
            let (first, last) = (lost["first"].as_str(), lost["last"].as_str());
            assert!(first.is_some() && first <= last, "{status:#}");
        }
        told
    }

    fn metrics(&self) -> Told {
        let said = self.listener.program.output();
        let (_, address) = said.split_once("http://").expect("an address");
        let (address, _) = address.split_once("/metrics").expect("its path");
        let mut stream = TcpStream::connect(address).expect("somebody serves");
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let number = |name: &str, loss: Loss| {
            let sample = format!("fleetlog_{name}_total{{reason=\"{}\"}} ", loss.as_str());
            let line = answer.lines().find_map(|line| line.strip_prefix(&sample));
            line.unwrap_or_else(|| panic!("no {sample}in {answer}"))
                .parse::<u64>()
                .expect("a number")
        };
        let told = Loss::ALL.into_iter().map(|loss| {
            let family = if loss.is_counted() { "lost_records" } else { "losses" };
            (loss, number(family, loss))
        });
        told.filter(|(_, number)| *number > 0).collect()
    }

    /// Stops the listener and asks everybody who can be asked afterwards.
    fn end(self) -> End {
        let text = self.run(&["stop", "--json"]);
        let receipt: Value = serde_json::from_str(text.trim()).unwrap_or_else(|_| panic!("{text}"));
        let is_complete = receipt["complete"] == true;
        let mut program = self.listener.program;
        assert!(program.wait().success(), "{}", program.output());
        // The listener prints the same receipt for people.
        let said = program.output();
        let mut log = Losses::default();
        for line in judge::lines(&self.fixture.log()).iter().filter(|line| line.seq == 0) {
            for loss in Loss::ALL {
                let number = line.fields.get(loss.as_str()).and_then(Value::as_u64).unwrap_or(0);
                log.note(loss, number, number, 1);
            }
        }
        let log = log
            .iter()
            .map(|(loss, lost)| (loss, if loss.is_counted() { lost.records } else { lost.times }));
        let verify = |file: &PathBuf| {
            let file = file.to_str().expect("UTF-8");
            let text = run(&self.fixture, &["verify", "--json", "--file", file]);
            let document: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
            assert_eq!(document["whole"], true, "{document:#}");
            of_json(&document["losses"])
        };
        let accounts = vec![
            ("the receipt", of_json(&receipt["losses"])),
            ("the log", log.collect()),
            ("verify of JSON", verify(&self.fixture.log())),
            ("verify of text", verify(&self.text_log)),
        ];
        End { text: said, is_complete, accounts }
    }

    fn run(&self, arguments: &[&str]) -> String {
        run(&self.fixture, arguments)
    }
}

/// What is told behind the end.
struct End {
    text: String,
    is_complete: bool,
    accounts: Vec<(&'static str, Told)>,
}

/// What a command prints.
fn run(fixture: &Fixture, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetlog-under-test"));
    command.args(arguments).env("FLEETLOG_RUN_DIR", fixture.run_dir());
    let output = command.output().expect("the command");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}{errors}\n{}", fixture.report());
    said
}

fn of_json(losses: &Value) -> Told {
    let losses = losses.as_object().unwrap_or_else(|| panic!("no losses: {losses}"));
    let each = losses.iter().map(|(name, lost)| {
        let loss = Loss::ALL.into_iter().find(|loss| loss.as_str() == name).expect("a reason");
        let number = if loss.is_counted() { &lost["records"] } else { &lost["times"] };
        (loss, number.as_u64().unwrap_or_else(|| panic!("{name}: {lost}")))
    });
    each.collect()
}
