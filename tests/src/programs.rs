//! Programs of others that a test runs for real: found, or missed aloud.
//!
//! A test whose program is missing says so and passes, unless `FLEETLOG_REQUIRE_PROGRAMS` is set:
//! then whoever runs it wants to know that everything was tried.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Finds a program: by its path, in `PATH`, or where administrators' programs are.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let mut places = folders.map(|folder| folder.join(program)).filter(|place| place.is_file());
    let package = match program {
        "cc" => "gcc",
        "logger" => "bsdutils",
        "nginx" => "nginx-light",
        "node" => "nodejs",
        "promtool" => "prometheus",
        other => other,
    };
    places.next().or_else(|| missing(program, &format!("apt-get install {package}")))
}

/// Finds a Python that has some packages: `FLEETLOG_PYTHON`, that of `target/programs/venv`, or
/// the one in `PATH`.
#[must_use]
pub fn python(modules: &[&str]) -> Option<PathBuf> {
    let imports: String = modules.iter().map(|module| format!("import {module}\n")).collect();
    let here = programs().join("venv/bin/python");
    let candidates = [env::var_os("FLEETLOG_PYTHON").map(PathBuf::from), Some(here)];
    let mut candidates = candidates.into_iter().flatten().chain(["python3".into()]);
    let found = candidates.find(|python| runs(Command::new(python).args(["-c", &imports])));
    found.or_else(|| {
        let packages = "gunicorn loguru structlog python-json-logger prometheus_client";
        let how = format!(
            "python3 -m venv target/programs/venv && target/programs/venv/bin/pip install {packages}"
        );
        missing(&format!("a Python with {modules:?}"), &how)
    })
}

/// Finds node, and the folder in which it has a package.
#[must_use]
pub fn node(package: &str) -> Option<(PathBuf, PathBuf)> {
    let modules = programs().join("node/node_modules");
    let node = find("node")?;
    if modules.join(package).is_dir() {
        return Some((node, modules));
    }
    missing(package, &format!("npm install --prefix target/programs/node {package}"))
}

/// Says that something is not here, which is a failure where everything must be.
///
/// # Panics
///
/// Where `FLEETLOG_REQUIRE_PROGRAMS` is set.
#[must_use]
pub fn missing<T>(what: &str, how: &str) -> Option<T> {
    assert!(
        env::var_os("FLEETLOG_REQUIRE_PROGRAMS").is_none(),
        "{what} is not here, and FLEETLOG_REQUIRE_PROGRAMS is set; {how}"
    );
    eprintln!("SKIPPED: {what} is not here; {how}");
    None
}

fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/programs")
}

fn runs(command: &mut Command) -> bool {
    let silent = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    silent.status().is_ok_and(|status| status.success())
}
