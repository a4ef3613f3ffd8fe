//! Who may log: users that the kernel names, over streams, datagrams, lanes and commands.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use fleetlog_tests::fixture::Program;
use fleetlog_tests::{Fixture, judge, programs};

use crate::judgement::message;
use crate::{datagrams, fixture, socket, sync};

/// Users that nobody is.
const FRIEND: u32 = 54_321;
pub(crate) const STRANGER: u32 = 54_322;

fn is_root() -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        let _: Option<()> = programs::missing("another user", "run this as root");
    }
    is_root
}

/// Runs a program as another user, and returns its code.
fn run_as(fixture: &Fixture, user: u32, program: &std::path::Path, arguments: &[&str]) -> i32 {
    let mut command = Command::new(program);
    command.args(arguments).uid(user).gid(user).current_dir("/");
    command.env("FLEETLOG_RUN_DIR", fixture.run_dir()).env("FLEETLOG_TRANSPORT", "auto");
    let mut program: Program = fixture.start("another", command);
    program.code()
}

#[test]
fn only_those_who_are_allowed_are_heard_whatever_they_speak() {
    let said = refuses_strangers();
    assert!(said.is_none_or(|said| said.contains(&format!("uid {STRANGER} is not among those"))));
}

/// Lets a friend and a stranger try everything; returns what the listener said.
pub(crate) fn refuses_strangers() -> Option<String> {
    let logger = programs::find("logger")?;
    if !is_root() {
        return None;
    }
    let fixture = fixture();
    // Everybody may pass the folder of the test; whether they may pass the run directory is what
    // is tested.
    fs::set_permissions(fixture.path(), fs::Permissions::from_mode(0o711)).expect("its owner");
    let binaries = fleetlog_tests::binaries!();
    let [command, workload] = [("fleetlog", binaries.fleetlog), ("workload", binaries.workload)]
        .map(|(name, path)| {
            let copy = fixture.path().join(name);
            // By another process: nobody can run a file to which a child of ours may still write.
            let copied = Command::new("cp").arg(path).arg(&copy).status();
            assert!(copied.is_ok_and(|status| status.success()), "{path} can't be copied");
            copy
        });
    let listener = fixture.listener().with(["--allow-uid", &FRIEND.to_string()]).start();
    let mode = fs::metadata(fixture.run_dir()).expect("the run directory").permissions().mode();
    assert_eq!(mode & 0o777, 0o711);
    let [stream, dgram] = [socket(&fixture), datagrams(&fixture)]
        .map(|path| path.to_str().expect("UTF-8").to_owned());
    for (user, name) in [(FRIEND, "friend"), (STRANGER, "stranger"), (0, "root")] {
        for path in [&stream, &dgram] {
            let call = format!("{name} over {}", path.rsplit('/').next().expect("a name"));
            // Whether its call fails is not the point: a datagram is refused after it was sent.
            let _ = run_as(&fixture, user, &logger, &["-u", path, "--rfc5424", &call]);
        }
    }
    sync(&fixture);
    let heard: Vec<_> = judge::lines(&fixture.log())
        .iter()
        .filter(|line| line.seq > 0)
        .map(|line| message(line).to_owned())
        .collect();
    let mut sorted = heard.clone();
    sorted.sort();
    let expected =
        ["friend over dgram", "friend over socket", "root over dgram", "root over socket"];
    assert_eq!(sorted, expected, "{}", fixture.report());
    // fleetlog's own clients and commands.
    let storm = ["storm", "--first", "3", "--workers", "1", "--records", "100"];
    assert_eq!(run_as(&fixture, FRIEND, &workload, &storm), 0, "{}", fixture.report());
    assert_eq!(run_as(&fixture, FRIEND, &command, &["status"]), 0, "{}", fixture.report());
    assert_ne!(run_as(&fixture, STRANGER, &command, &["status"]), 0, "{}", fixture.report());
    assert_ne!(run_as(&fixture, STRANGER, &command, &["stop"]), 0, "{}", fixture.report());
    let status = listener.status().expect("it was not stopped");
    assert!(status["totals"]["offences"].as_u64() >= Some(3), "{status:#}");
    let said = listener.program.output();
    let _ = listener.stop();
    let verdict = judge::judge(&fixture.log());
    assert!(verdict.sources["\"3.0\""].iter().copied().eq(0..100), "{verdict:?}");
    Some(said)
}

#[test]
fn the_kernel_says_who_logs_whatever_a_client_claims() {
    let fixture = fixture();
    let listener = fixture.listener().start();
    let mut stream = UnixStream::connect(socket(&fixture)).expect("the listener");
    stream.write_all(b"{\"pid\":1,\"msg\":\"over a stream\"}\n").expect("sent");
    let datagram = UnixDatagram::unbound().expect("a socket");
    let syslog = b"<14>1 - - app 1 - - a datagram";
    datagram.send_to(syslog, datagrams(&fixture)).expect("sent");
    sync(&fixture);
    assert!(listener.stop().is_complete());
    let lines = judge::lines(&fixture.log());
    let records: Vec<_> = lines.iter().filter(|line| line.seq > 0).collect();
    assert_eq!(records.len(), 2, "{records:?}");
    for line in records {
        assert_eq!(line.pid, std::process::id(), "{line:?}");
        assert_eq!(line.fields["claimed.pid"], 1, "{line:?}");
    }
}

#[test]
fn the_kernel_names_who_is_refused() {
    let Some(said) = refuses_strangers() else { return };
    let mut warnings = said.lines().filter(|line| line.contains("is not among those"));
    assert!(warnings.all(|line| line.contains(&format!("uid={STRANGER}"))), "{said}");
}
