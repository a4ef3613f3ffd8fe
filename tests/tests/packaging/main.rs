//! A listener under a service manager, and the files that put it there: what it says to systemd,
//! the socket that it takes over, and that every command line and setting that is shipped or
//! written down is one that the command knows.

mod activation;
mod manager;
mod pages;
mod readiness;
mod shipped;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fleetlog_tests::binaries;

/// A file of this repository.
fn of_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn read(path: &str) -> String {
    let path = of_repository(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Whether the command takes these arguments, and what it says: `--help` behind them ends it once
/// everything before was parsed.
fn parses<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<(), String> {
    let output = Command::new(binaries!().fleetlog)
        .args(arguments)
        .arg("--help")
        .env_remove("FLEETLOG_CONFIG")
        .stdin(Stdio::null())
        .output()
        .expect("the command");
    match output.status.code() {
        Some(0) => Ok(()),
        _ => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

#[test]
fn an_argument_that_the_command_does_not_know_is_told_apart() {
    assert_eq!(parses(["listen", "--file", "apps.log"]), Ok(()));
    assert!(parses(["listen", "--fail", "apps.log"]).is_err());
    assert!(parses(["listen", "--max-size", "much"]).is_err());
    assert!(parses(["status", "--file", "apps.log"]).is_err());
}
