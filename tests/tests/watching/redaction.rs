//! Redaction: a secret that a worker logs is seen nowhere.

use std::fs;
use std::path::Path;
use std::process::Command;

use fleetlog_tests::{programs, wait};

use crate::fixture;

const SECRET: &str = "hunter2swordfish";
const KEYS: &str = "password,token,authorization,api_key";

/// Every file below a folder that has a text in it.
fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if fs::read(&path)
            .is_ok_and(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes()))
        {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn a_secret_is_in_no_file_whatever_its_layout_and_in_no_status() {
    let fixture = fixture();
    let of = |name: &str| fixture.path().join(name).to_str().expect("UTF-8").to_owned();
    let config = fixture.path().join("fleetlog.toml");
    let text = format!(
        "[listener]\nredact = [\"password\", \"token\"]\n\n[[file]]\npath = {:?}\n\n[[file]]\npath = {:?}\n\
         format = \"json\"\n\n[[file]]\npath = {:?}\nformat = \"{{message}} {{fields}} {{spans}} \
         {{field.password}} {{field.header}}\"\n",
        of("a.txt"),
        of("a.json"),
        of("a.tpl"),
    );
    fs::write(&config, text).expect("a configuration");
    let config = config.to_str().expect("UTF-8");
    let arguments = ["--config", config, "--redact", KEYS, "--metrics", "0", "-v"];
    let listener = fixture.listener().only_with(arguments).start();
    let mut chorus =
        fixture.workload(["chorus", "--workers", "3", "--records", "64", "--secret", SECRET]);
    let mut last_error = None;
    wait::until("an error is in the status", || {
        let status = listener.status().expect("a status");
        assert!(!status.to_string().contains(SECRET), "{status}");
        let workers = status["workers"].as_array().expect("workers").clone();
        let said = workers.iter().find_map(|worker| worker["last_error"]["message"].as_str());
        last_error = said.map(str::to_owned).or(last_error.take());
        last_error.is_some() || !chorus.is_running()
    });
    chorus.wait();
    let receipt = listener.stop();
    assert_eq!((receipt.written, receipt.is_complete()), (3 * 64 + 3, true));
    let found = files_with(fixture.path(), SECRET);
    let own: Vec<_> = found.iter().filter(|path| !path.contains("workload")).collect();
    assert!(own.is_empty(), "{own:?}");
    for name in ["a.txt", "a.json", "a.tpl"] {
        let text = fs::read_to_string(of(name)).expect("a log");
        assert_eq!(text.lines().count(), 3 * 64 + 3, "{name}");
        let redacted = text.lines().filter(|line| line.contains("[redacted]")).count();
        assert_eq!(redacted, 3 * 64, "{name}: {text}");
        assert!(text.contains("all together") && text.contains("on my own"), "{name}");
    }
}

#[test]
fn secrets_of_foreign_clients_are_hidden_as_well() {
    let Some(logger) = programs::find("logger") else { return };
    let fixture = fixture();
    let listener = fixture.listener().with(["--redact", KEYS]).start();
    let mut command = Command::new(logger);
    command.args(["-u", fixture.run_dir().join("dgram").to_str().expect("UTF-8"), "-t", "web"]);
    command.arg(format!("GET /login?user=ann&token={SECRET}&page=7"));
    fixture.start("logger", command).succeed();
    let json = format!("{{\"message\":\"in\",\"user\":{{\"password\":\"{SECRET}\"}},\"n\":7}}\n");
    let socket = fixture.run_dir().join("socket");
    let mut stream = std::os::unix::net::UnixStream::connect(socket).expect("a listener");
    std::io::Write::write_all(&mut stream, json.as_bytes()).expect("a line");
    drop(stream);
    let receipt = listener.stop();
    assert_eq!(receipt.written, 2);
    let text = fs::read_to_string(fixture.log()).expect("a log");
    assert!(!text.contains(SECRET), "{text}");
    for kept in ["user=ann", "page=7", "[redacted]"] {
        assert!(text.contains(kept), "{kept}: {text}");
    }
}

#[test]
fn keys_that_are_none_are_refused_with_what_is_one() {
    let fixture = fixture();
    let mut refused = fixture.command(["listen", "--redact", "pass word"]);
    assert_eq!(refused.code(), 2);
    let said = refused.output();
    assert!(said.contains("\"pass word\"") && said.contains("password,token"), "{said}");
}
