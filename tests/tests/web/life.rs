//! The page's life is the listener's: its start, its end, its files.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use fleetlog_tests::{Fixture, Steady, binaries, judge, wait};
use serde_json::{Value, json};

use crate::{Site, record, text};

/// The processes that a process has started.
fn children(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

fn is_gone(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ")
}

#[test]
fn open_pages_do_not_hold_up_the_end() {
    let site = Site::new();
    let fleet = Steady::start(&site.fixture, 2, 1, &["--pause", "5000"]);
    let mut pages: Vec<_> = (0..8).map(|_| site.events("")).collect();
    pages.iter_mut().for_each(|page| {
        page.next_of("state");
    });
    let page_process = children(site.listener.program.pid());
    assert_eq!(page_process.len(), 1, "one process serves the page");
    let expected = fleet.finish();
    assert!(site.listener.stop().is_complete());
    pages.into_iter().for_each(crate::Events::read_to_end);
    assert!(is_gone(page_process[0]));
    TcpListener::bind(site.address).expect("the port is free when the listener has ended");
    assert!(!site.fixture.run_dir().join("web-token").exists());
    judge::judge(&site.fixture.log()).demand_counts(&expected);
}

#[test]
fn a_killed_listener_takes_its_page_along_and_the_next_one_has_the_port_and_another_token() {
    let site = Site::new();
    let page = site.events("");
    let (address, token) = (site.address, site.token.clone());
    let Site { fixture, listener, .. } = site;
    let page_process = children(listener.program.pid())[0];
    listener.kill();
    page.read_to_end();
    let listener = fixture.listener().with(["--web", &address.to_string()]).start();
    wait::until("the page has ended", || is_gone(page_process));
    let next = Site::around(fixture, listener);
    assert_eq!(next.address, address);
    assert_ne!(next.token, token, "each listener has a token of its own");
    let old = Site { token, ..next };
    assert_eq!(old.get("/levels").code, 401);
}

#[test]
fn the_death_of_the_page_is_nothing_to_the_listener() {
    let site = Site::new();
    let fleet = Steady::start(&site.fixture, 1, 1, &["--pause", "2000"]);
    let page = site.events("");
    let page_process = children(site.listener.program.pid())[0];
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(page_process.cast_signed()),
        nix::sys::signal::Signal::SIGKILL,
    )
    .expect("the page's process");
    page.read_to_end();
    let expected = fleet.finish();
    assert!(site.listener.stop().is_complete());
    judge::judge(&site.fixture.log()).demand_counts(&expected);
}

#[test]
fn a_port_that_is_taken_is_an_error_that_names_it_and_the_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let fixture = Fixture::new(binaries!());
    let mut listener = fixture.listener().with(["--web", &address]).launch();
    assert_eq!(listener.program.code(), 1);
    let said = listener.program.output();
    for part in [&*address, "in use", "--web"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    drop(taken);
    fixture.listener().with(["--web", &address]).start().stop();
}

#[test]
fn an_address_that_is_none_is_refused_in_flags_and_file() {
    let fixture = Fixture::new(binaries!());
    for address in ["", "here", "example.org:80", "127.0.0.1", "1.2.3.4:99999", "unix:/x"] {
        let mut listener = fixture.listener().with(["--web", address]).launch();
        assert_eq!(listener.program.code(), 2, "{address:?}");
        assert!(listener.program.output().contains("127.0.0.1:8080"), "{address:?}");
    }
    let file = fixture.path().join("fleet.toml");
    fs::write(&file, "[listener]\nweb = 'here'\n").expect("a file");
    let config = file.to_str().expect("UTF-8").to_owned();
    let mut listener = fixture.listener().with(["--config", &config]).launch();
    assert_eq!(listener.program.code(), 2);
    assert!(listener.program.output().contains("fleet.toml:2:7"), "{}", listener.program.output());
    fs::write(&file, "[listener]\nweb = '0'\n").expect("a file");
    let listener = fixture.listener().with(["--config", &config]).start();
    assert_eq!(Site::around(fixture, listener).get("/levels").code, 200);
}

#[test]
fn the_token_is_for_the_listeners_user_alone_and_nowhere_but_in_its_file() {
    let fixture = Fixture::new(binaries!());
    let folder = fixture.path().join("diagnostics");
    let folder = folder.to_str().expect("UTF-8").to_owned();
    let site = Site::of(fixture, &["-v", "--diagnostics-dir", &folder]);
    assert_eq!(site.token.len(), 64);
    let path = site.fixture.run_dir().join("web-token");
    let mode = fs::metadata(&path).expect("the token").permissions().mode() & 0o7777;
    assert_eq!(mode, 0o600);
    site.events("").next_of("state");
    assert!(!site.listener.program.output().contains(&site.token));
    let status = site.listener.status().expect("a status").to_string();
    assert!(!status.contains(&site.token));
    for file in fs::read_dir(&folder).expect("diagnostics").flatten() {
        let text = fs::read_to_string(file.path()).expect("diagnostics");
        assert!(text.contains("the page is served at") && !text.contains(&site.token));
    }
    let arguments = Command::new("ps").args(["-eo", "args"]).output();
    if let Ok(arguments) = arguments {
        assert!(!String::from_utf8_lossy(&arguments.stdout).contains(&site.token));
    }
}

/// A process that closes any descriptor of a file loses its locks on it. The page reads the log
/// all the time, and must not cost the listener its claim.
#[test]
fn a_page_that_reads_the_log_does_not_cost_the_listener_its_claim_on_it() {
    let site = Site::new();
    site.log(&[record("info", "one")]);
    for _ in 0..3 {
        let mut page = site.events("");
        page.row(|row| text(row) == "one");
        page.next_of("state");
    }
    wait::until("the pages are closed", || {
        let open: Vec<_> = (0..16).map(|_| site.events("").code).collect();
        open.iter().all(|code| *code == 200)
    });
    let other = Fixture::new(binaries!());
    let log = site.fixture.log().to_str().expect("UTF-8").to_owned();
    let mut second = other.listener().only_with(["--file", &log]).launch();
    wait::until("the second listener ends or listens", || {
        !second.program.is_running() || second.status().is_some()
    });
    assert!(!second.program.is_running(), "two listeners write one log");
    assert_eq!(second.program.code(), 1, "{}", second.program.output());
}

/// A service's processes are all told to end at once.
#[test]
fn a_signal_to_all_processes_ends_the_listener_and_its_page_with_a_receipt() {
    let site = Site::new();
    site.log(&[record("info", "one")]);
    let page_process = children(site.listener.program.pid())[0];
    let Site { listener, fixture, .. } = site;
    let mut program = listener.program;
    for pid in [page_process, program.pid()] {
        let pid = nix::unistd::Pid::from_raw(pid.cast_signed());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("a process");
    }
    assert_eq!(program.code(), 0, "{}", fixture.report());
    assert!(is_gone(page_process));
}

#[test]
fn levels_are_told_set_and_taken_back() {
    let site = Site::new();
    let told = |answer: crate::Answer| -> Value {
        assert_eq!(answer.code, 200, "{answer:?}");
        serde_json::from_str(&answer.body).expect("JSON")
    };
    assert_eq!(told(site.get("/levels"))["levels"], json!([]));
    let change = r#"{"directives":"app=debug","worker":"worker 7","for_seconds":300}"#;
    let levels = told(site.post("/levels", change))["levels"].clone();
    assert_eq!(levels[0]["directives"], "app=debug");
    assert_eq!(levels[0]["worker"], "worker 7");
    assert!(levels[0]["seconds_left"].as_f64().is_some_and(|left| left <= 300.0), "{levels}");
    assert_eq!(told(site.get("/levels"))["levels"].as_array().map(Vec::len), Some(1));
    assert_eq!(told(site.post("/levels/reset", "{}"))["levels"], json!([]));
    let wrong = site.post("/levels", r#"{"directives":"a=b=c=\u001b[31m"}"#);
    assert_eq!(wrong.code, 400, "{wrong:?}");
    assert!(!wrong.body.contains('\u{1b}') && wrong.body.len() > 20, "{wrong:?}");
    TcpStream::connect(site.address).expect("the page is still there");
}
