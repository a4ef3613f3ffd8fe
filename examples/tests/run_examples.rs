//! Runs every example as its own process; each checks its own output and fails when it is wrong.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where cargo puts the examples of the profile that this test was built with.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let profile = test.ancestors().nth(2).expect("target/PROFILE/deps/TEST");
    let example = profile.join("examples").join(name);
    assert!(
        example.exists(),
        "{} is missing: `cargo test` builds the examples, `cargo test --test` alone does not; \
         build them with `cargo build -p fleetlog-examples --examples`",
        example.display()
    );
    example
}

/// Runs an example and returns what it printed.
fn run(name: &str, arguments: &[&Path]) -> String {
    let ended = Command::new(example(name))
        .args(arguments)
        .stdin(Stdio::null())
        // The reader's own settings must not decide what is in the file.
        .env_remove("FLEETLOG_RUN_DIR")
        .env_remove("FLEETLOG_NAME")
        .env_remove("FLEETLOG_LEVEL")
        .env_remove("RUST_LOG")
        .output()
        .expect("the example starts");
    let printed = String::from_utf8_lossy(&ended.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{name}: {}\n{printed}\n{complaints}", ended.status);
    assert_eq!(complaints, "", "{name} has nothing to complain about");
    printed
}

#[test]
fn cookbook_writes_each_line_of_each_worker() {
    let printed = run("cookbook", &[]);
    assert!(printed.contains("Start working on "), "{printed}");
}

#[test]
fn prefork_server_logs_each_request_once_with_its_span() {
    let printed = run("prefork_server", &[]);
    assert!(printed.contains(" request{id="), "{printed}");
}

#[test]
fn batch_logs_each_file_once() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("file\nwith a line end"), "text").expect("a file");
    std::fs::create_dir(folder.path().join("below")).expect("a folder");
    std::fs::write(folder.path().join("below/empty"), "").expect("a file");
    std::os::unix::fs::symlink("nowhere", folder.path().join("link")).expect("a link");
    let printed = run("batch", &[folder.path()]);
    assert!(printed.contains("2 files found"), "{printed}");
    // The hash of nothing is the algorithm's own first number.
    assert!(printed.contains(" cbf29ce484222325 "), "{printed}");
}

#[test]
fn batch_without_a_folder_takes_this_repository() {
    let printed = run("batch", &[]);
    assert!(printed.contains(" files found"), "{printed}");
}

#[test]
fn layer_only_leaves_the_first_log_as_it_was() {
    let printed = run("layer_only", &[]);
    assert!(printed.contains("110 lines, and 10 where they were before"), "{printed}");
}
