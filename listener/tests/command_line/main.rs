//! The command as a process: help, refusals, exit codes, and what it prints where.

mod fleet;
mod place;

use std::fs;
use std::process::Stdio;

use place::{Place, Run, feed};

const COMMANDS: [&str; 13] = [
    "listen",
    "stop",
    "run",
    "pipe",
    "logs",
    "status",
    "verify",
    "rotate",
    "reopen",
    "sync",
    "demo",
    "completions",
    "man",
];

#[test]
fn the_help_of_every_command_goes_to_standard_output_with_examples() {
    let place = Place::new();
    let all = place.run(&["--help"]).ends(0).says_nothing().prints("Examples:");
    for command in COMMANDS {
        assert!(all.stdout.contains(command), "{command} is not in the help");
        let help = place.run(&[command, "--help"]).ends(0).says_nothing();
        let help = help.prints("Examples:").prints(&format!("fleetlog {command}"));
        assert!(!help.stdout.contains('\u{1b}'), "no colors into a pipe");
        assert!(help.stdout.lines().all(|line| line.chars().count() <= 100), "{}", help.stdout);
    }
}

#[test]
fn the_version_is_the_crates() {
    Place::new().run(&["--version"]).ends(0).prints(env!("CARGO_PKG_VERSION"));
}

#[test]
fn colors_come_when_asked_for_and_only_then() {
    let place = Place::new();
    let colored = place.run(&["--color=always", "--help"]).ends(0);
    assert!(colored.stdout.contains('\u{1b}'), "{}", colored.story());
    let colored = place.run(&["stop", "--color", "always"]).ends(3);
    assert!(colored.stderr.contains('\u{1b}'), "{}", colored.story());
    let plain = place.run(&["stop"]).ends(3);
    assert!(!plain.stderr.contains('\u{1b}'), "{}", plain.story());
}

#[test]
fn a_wrong_command_line_ends_with_two_and_a_way_out() {
    let place = Place::new();
    for (arguments, words) in [
        (&["bogus"][..], "unrecognized subcommand 'bogus'"),
        (&["listen", "--fiel", "x"], "'--file'"),
        (&["listen", "--file-mode", "0999"], "not an octal number"),
        (&["listen", "--socket-mode", "0066"], "locks itself out"),
        (&["listen", "--sync", "often"], "never, always"),
        (&["listen", "--timezone", "cet"], "utc"),
        (&["listen", "--format", "{nonsense}"], "--format"),
        (&["listen", "--filter", "=,=,"], "--filter"),
        (&["stop", "--timeout", "30"], "its unit is missing"),
        (&["stop", "-q", "-v"], "cannot be used with"),
        (&["pipe", "--level", "loud"], "error, warn, info, debug, trace"),
        (&["demo", "--workers", "0"], "--workers"),
        (&["demo", "--file", "-"], "name a plain path"),
        (&["completions", "tcsh"], "zsh"),
        (&["status", "--run-dir", ""], "--run-dir needs a path"),
        (&["demo", "--run-dir", "/x"], "--run-dir means nothing to this command"),
    ] {
        let run = place.run(arguments).ends(2).says(words).prints_nothing();
        assert!(run.stderr.starts_with("fleetlog: "), "{}", run.story());
    }
    place.run(&[]).ends(2).says("Usage: fleetlog");
}

#[test]
fn without_a_listener_the_requests_end_with_three_and_name_the_run_directory() {
    let place = Place::new();
    let run_dir = place.path("run").display().to_string();
    for command in ["stop", "sync", "status"] {
        let run = place.run(&[command]).ends(3).prints_nothing();
        let run = run.says(&format!("fleetlog: {command}: no listener lives")).says(&run_dir);
        run.says("start one with `fleetlog listen");
    }
}

#[test]
fn flags_beat_the_environment_and_the_environment_beats_the_file() {
    let place = Place::new();
    let config = place.file("fleet.toml", "[listener]\nrun_dir = '/from/file'\n");
    let config = config.to_str().unwrap();
    let flagged = place.run(&["status", "--config", config, "--run-dir", "/from/flag"]);
    flagged.ends(3).says("/from/flag");
    let environment = place.path("run").display().to_string();
    place.run(&["status", "--config", config]).ends(3).says(&environment);
    let mut bare = place.command(&["status"]);
    bare.env_remove("FLEETLOG_RUN_DIR").env("FLEETLOG_CONFIG", config);
    Run::of(&mut bare).ends(3).says("/from/file");
}

#[test]
fn an_empty_variable_is_no_variable() {
    let place = Place::new();
    let config = place.file("fleet.toml", "[listener]\nrun_dir = '/from/file'\n");
    let mut command = place.command(&["status", "--config", config.to_str().unwrap()]);
    Run::of(command.env("FLEETLOG_RUN_DIR", "")).ends(3).says("/from/file");
    let mut command = place.command(&["status"]);
    let run = Run::of(command.env("FLEETLOG_CONFIG", "").env("FLEETLOG_RUN_DIR", ""));
    assert_ne!(run.code, Some(2), "{}", run.story());
}

#[test]
fn a_mistaken_configuration_is_refused_with_every_place_and_the_nearest_key() {
    let place = Place::new();
    let text = "[listener]\nsocket-mode = '0600'\n\n[[file]]\npath = '-'\nmode = 640\n";
    let config = place.file("fleet.toml", text);
    for command in ["listen", "stop", "status", "sync", "pipe"] {
        let run = place.run(&[command, "--config", config.to_str().unwrap()]).ends(2);
        let path = config.display();
        let run = run.says(&format!("fleetlog: {path}:2:1: unknown key `socket-mode`"));
        let run = run.says("did you mean `socket_mode`?");
        run.says(&format!("fleetlog: {path}:6:8: `mode`: the number 640 is not written as octal"));
    }
}

#[test]
fn a_configuration_that_is_not_there_is_refused() {
    Place::new().run(&["listen", "--config", "/nowhere.toml"]).ends(2).says("/nowhere.toml");
}

#[test]
fn a_file_that_is_named_twice_is_refused() {
    let run = Place::new().run(&["listen", "--file", "/tmp/a.log", "--file", "/tmp/a.log"]);
    run.ends(2).says("/tmp/a.log is named twice");
}

#[test]
fn completions_for_every_shell_know_every_command() {
    let place = Place::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let run = place.run(&["completions", shell]).ends(0).says_nothing();
        for command in COMMANDS {
            assert!(run.stdout.contains(command), "{shell} does not know {command}");
        }
    }
}

#[test]
fn the_manual_has_a_page_for_every_command_with_its_examples() {
    let place = Place::new();
    place.run(&["man"]).ends(0).prints(".SH EXAMPLES").prints(".SH \"EXIT STATUS\"");
    let folder = place.path("man1");
    place.run(&["man", "--out", folder.to_str().unwrap()]).ends(0);
    assert!(folder.join("fleetlog.1").is_file());
    for command in COMMANDS {
        let page = fs::read_to_string(folder.join(format!("fleetlog-{command}.1"))).unwrap();
        assert!(page.contains(".SH EXAMPLES\n.nf\n"), "{page}");
        assert!(!page.contains('\u{1b}'), "{page}");
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let place = Place::new();
    for arguments in [&["completions", "bash"][..], &["man"], &["--help"]] {
        let mut command = place.command(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let run = Run::new(&command, child.wait_with_output().unwrap());
        run.ends(0).says_nothing();
    }
}

#[test]
fn an_output_that_can_not_be_written_is_a_failure() {
    let place = Place::new();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let run = Run::of(place.command(&["man"]).stdout(full));
    run.ends(1).says("standard output can't be written");
}

#[test]
fn a_pipe_without_a_listener_waits_as_long_as_told_and_counts_what_is_left() {
    let place = Place::new();
    let mut command = place.command(&["pipe", "--name", "job", "--timeout", "50ms"]);
    let run = feed(&mut command, b"one\ntwo\nthree");
    run.ends(4).prints_nothing().says("pipe: 3 of 3 records not acknowledged").says("--timeout");
}

#[test]
fn a_pipe_without_lines_is_done_at_once() {
    Place::new().run(&["pipe"]).ends(0).prints_nothing().says_nothing();
}

#[test]
fn a_run_directory_that_anybody_may_write_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    let planted = place.path("run");
    fs::create_dir(&planted).unwrap();
    fs::set_permissions(&planted, fs::Permissions::from_mode(0o777)).unwrap();
    let run = feed(&mut place.command(&["pipe"]), b"secret\n");
    run.ends(1).says("chmod go-w");
}
