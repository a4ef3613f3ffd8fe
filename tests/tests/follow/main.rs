//! Following a log: history and live without a seam, whatever is killed, rotated, compressed or
//! stopped meanwhile.

mod command;
mod kills;
mod stopped;

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use fleetlog_tests::fixture::ListenerBuilder;
use fleetlog_tests::{Fixture, binaries, chapters, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A fixture with a folder in which nothing but logs lies.
fn fixture() -> Fixture {
    let fixture = Fixture::new(binaries!());
    fs::create_dir(fixture.path().join("logs")).expect("a folder");
    fixture
}

fn log(fixture: &Fixture) -> PathBuf {
    fixture.path().join("logs").join("apps.log")
}

/// A listener that writes JSON lines to [`log`], with more arguments.
fn listener<'f>(fixture: &'f Fixture, more: &[&str]) -> ListenerBuilder<'f> {
    let log = log(fixture);
    let arguments = ["--format", "json", "--file", log.to_str().expect("UTF-8")];
    fixture.listener().only_with(arguments).with(more.iter().copied())
}

/// A number of an environment variable, for longer runs by hand.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|number| number.parse().ok()).unwrap_or(default)
}

/// The bytes of all files of a log, in their order.
fn bytes(log: &Path) -> Vec<u8> {
    chapters::of(log).iter().flat_map(|file| chapters::read(file)).collect()
}

/// A follower process whose output is a file; it is killed when this is dropped.
struct Follower {
    child: Child,
    output: PathBuf,
    errors: PathBuf,
}

impl Follower {
    /// Follows the fixture's log, whose lines go to a file of this name as they stand. What a
    /// follower of the same name wrote before stays.
    fn start(fixture: &Fixture, name: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(binaries!().fleetlog);
        command.args(["logs", "-o", "raw"]).arg("--file").arg(log(fixture)).args(arguments);
        Self::start_command(fixture, name, command)
    }

    fn start_command(fixture: &Fixture, name: &str, mut command: Command) -> Self {
        let output = fixture.path().join(format!("{name}.followed"));
        let errors = fixture.path().join(format!("{name}.out"));
        let open = |path: &Path| -> File {
            let file = OpenOptions::new().create(true).append(true).open(path);
            file.expect("a file for the output")
        };
        command
            .env("FLEETLOG_RUN_DIR", fixture.run_dir())
            .env("TZ", "UTC")
            .env_remove("FLEETLOG_CONFIG")
            .stdin(Stdio::null())
            .stdout(open(&output))
            .stderr(open(&errors));
        let child = command.spawn().expect("a follower");
        Self { child, output, errors }
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        kill(Pid::from_raw(pid), signal).expect("the follower is there");
    }

    fn output(&self) -> Vec<u8> {
        fs::read(&self.output).expect("the output")
    }

    fn errors(&self) -> String {
        fs::read_to_string(&self.errors).expect("what it said")
    }

    fn demand_alive(&mut self) {
        let ended = self.child.try_wait().expect("a child");
        assert!(ended.is_none(), "{ended:?}: {}", self.errors());
    }

    /// Waits until its output has at least so many bytes.
    fn wait_for(&mut self, bytes: u64) {
        wait::until("the follower has caught up", || {
            self.demand_alive();
            fs::metadata(&self.output).expect("the output").len() >= bytes
        });
    }

    /// Ends it as Ctrl-C does, and demands that it succeeds.
    fn end(mut self) -> String {
        self.signal(Signal::SIGINT);
        let status = self.child.wait().expect("a child");
        assert!(status.success(), "{status}: {}", self.errors());
        self.errors()
    }

    fn kill(mut self) {
        self.signal(Signal::SIGKILL);
        self.child.wait().expect("a child");
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Demands that a follower has the very bytes of the log.
#[track_caller]
fn demand_same(found: &[u8], log: &[u8], what: &str) {
    if found == log {
        return;
    }
    let at = found.iter().zip(log).position(|(one, other)| one != other);
    let at = at.unwrap_or(found.len().min(log.len()));
    let around = |bytes: &[u8]| {
        let part = &bytes[at.saturating_sub(300).min(bytes.len())..(at + 300).min(bytes.len())];
        String::from_utf8_lossy(part).into_owned()
    };
    panic!(
        "{what}: {} bytes instead of {}, other from byte {at} on:\n{}\n--- instead of\n{}",
        found.len(),
        log.len(),
        around(found),
        around(log)
    );
}
