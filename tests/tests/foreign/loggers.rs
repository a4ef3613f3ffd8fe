//! Libraries that log JSON: pino, loguru, structlog and python-json-logger.

use std::process::Command;

use fleetlog_tests::judge::{self, Line};
use fleetlog_tests::{Fixture, programs};
use serde_json::Value;

use crate::judgement::{self, counts, message};
use crate::{fixture, python_command, script, socket, stop};

const RECORDS: u64 = 500;

/// Runs a client that logs numbered records, a warning with fields and an error, and returns the
/// latter two.
fn logs(fixture: &Fixture, source: &str, target: &str, mut command: Command) -> (Line, Line) {
    let listener = fixture.listener().start();
    command.arg(socket(fixture)).arg(RECORDS.to_string());
    fixture.start(source, command).succeed();
    let receipt = stop(listener, fixture);
    assert_eq!((receipt.written, receipt.offences), (RECORDS + 2, 0), "{receipt:?}");
    judgement::judge(&fixture.log()).demand_counts(&counts([source], RECORDS));
    let lines = judge::lines(&fixture.log()).into_iter().filter(|line| line.seq > 0);
    let (numbered, others): (Vec<_>, Vec<_>) =
        lines.partition(|line| message(line).starts_with("source="));
    for line in numbered.iter().chain(&others) {
        assert_eq!(line.target, target, "{line:?}");
        assert!(!line.fields.contains_key("claimed.time"), "the time was not understood: {line:?}");
    }
    assert!(numbered.iter().all(|line| line.level == "INFO"));
    let of_level = |level| others.iter().position(|line: &Line| line.level == level);
    assert!(of_level("WARN").is_some() && of_level("ERROR").is_some(), "{others:?}");
    let (mut warnings, mut errors): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|line| line.level == "WARN");
    (warnings.remove(0), errors.remove(0))
}

#[test]
fn pino_arrives_with_level_name_and_fields() {
    let Some((node, modules)) = programs::node("pino") else { return };
    let fixture = fixture();
    let mut command = Command::new(node);
    command.env("NODE_PATH", modules).arg(script("pino.js"));
    let (warning, error) = logs(&fixture, "pino", "shop", command);
    assert_eq!(message(&warning), "with fields");
    assert_eq!(warning.fields["rows"], 17);
    let text = format!("{:?}", warning.fields);
    assert!(text.contains("r-1"), "{text}");
    assert_eq!(message(&error), "it failed");
    let text = format!("{:?}", error.fields);
    assert!(text.contains("no route") && text.contains("pino.js"), "{text}");
}

fn logs_from_python(library: &str, target: &str) {
    let Some(python) = programs::python(&[library]) else { return };
    let fixture = fixture();
    let mut command = python_command(&python, "loggers.py");
    command.arg(library);
    let (warning, error) = logs(&fixture, library, target, command);
    assert_eq!(message(&warning), "with fields");
    let field = |name: &str| {
        let mut found = warning.fields.iter().filter(|(key, _)| key.ends_with(name));
        found.next().map(|(_, value)| value)
    };
    assert_eq!(field("rows"), Some(&Value::from(17)), "{warning:?}");
    assert_eq!(field("request"), Some(&Value::from("r-1")), "{warning:?}");
    assert_eq!(message(&error), "it failed");
    let text = format!("{:?}", error.fields);
    assert!(text.contains("no route") && text.contains("loggers.py"), "{text}");
}

#[test]
fn loguru_arrives_with_level_name_and_fields() {
    logs_from_python("loguru", "__main__");
}

#[test]
fn structlog_arrives_with_level_name_and_fields() {
    logs_from_python("structlog", "shop");
}

#[test]
fn python_json_logger_arrives_with_level_name_and_fields() {
    logs_from_python("pythonjsonlogger", "shop");
}
