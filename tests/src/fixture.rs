//! One test's folder and processes.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use fleetlog_protocol::client;
use fleetlog_protocol::message::{Receipt, Reply, Request};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::wait::{self, GENEROUS};

/// Where a package's binaries are, as its integration tests know it: pass
/// `env!("CARGO_BIN_EXE_...")`.
#[derive(Clone, Copy, Debug)]
pub struct Binaries {
    /// The command under test.
    pub fleetlog: &'static str,
    /// The program that logs.
    pub workload: &'static str,
}

/// The binaries of this package; expands where cargo has set their paths.
#[macro_export]
macro_rules! binaries {
    () => {
        $crate::fixture::Binaries {
            fleetlog: env!("CARGO_BIN_EXE_fleetlog-under-test"),
            workload: env!("CARGO_BIN_EXE_workload"),
        }
    };
}

/// A folder of its own for one test.
#[derive(Debug)]
pub struct Fixture {
    folder: TempDir,
    binaries: Binaries,
    transport: &'static str,
}

impl Fixture {
    /// A fresh folder with nothing running.
    #[must_use]
    pub fn new(binaries: Binaries) -> Self {
        // Short: a socket's path has 107 bytes.
        let folder = tempfile::Builder::new().prefix("fl").tempdir().expect("a folder");
        Self { folder, binaries, transport: "auto" }
    }

    /// Lets the programs of this fixture log over a transport: `lanes` or `socket`.
    #[must_use]
    pub fn over(mut self, transport: &'static str) -> Self {
        self.transport = transport;
        self
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The run directory.
    #[must_use]
    pub fn run_dir(&self) -> PathBuf {
        self.path().join("run")
    }

    /// The log file that listeners write by default, as JSON lines.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.path().join("apps.log")
    }

    /// A listener on this fixture's run directory and log.
    #[must_use]
    pub fn listener(&self) -> ListenerBuilder<'_> {
        let file = self.log().into_os_string().into_string().expect("UTF-8");
        ListenerBuilder {
            fixture: self,
            arguments: ["--file", &file, "--format", "json"].map(str::to_owned).to_vec(),
            fault: None,
            shell: None,
            user: None,
        }
    }

    /// Starts the workload with some arguments; its run directory is this fixture's.
    pub fn workload<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Program {
        self.program("workload", self.binaries.workload, arguments)
    }

    /// Starts the command under test.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Program {
        self.program("fleetlog", self.binaries.fleetlog, arguments)
    }

    /// Starts the command under test with a text as its standard input.
    pub fn command_with_input<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
        input: &str,
    ) -> Program {
        let path = self.path().join("input");
        fs::write(&path, input).expect("a file for the input");
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$0\" \"$@\" <\"$FLEETLOG_TEST_INPUT\""]);
        command.arg(self.binaries.fleetlog).args(arguments);
        command.env("FLEETLOG_TEST_INPUT", path).env("FLEETLOG_RUN_DIR", self.run_dir());
        self.start("fleetlog", command)
    }

    fn program<A: AsRef<OsStr>>(
        &self,
        name: &str,
        path: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Program {
        let mut command = Command::new(path);
        command
            .args(arguments)
            .env("FLEETLOG_RUN_DIR", self.run_dir())
            .env("FLEETLOG_TRANSPORT", self.transport)
            .env_remove("FLEETLOG_NAME")
            .env_remove("FLEETLOG_LEVEL")
            .env_remove("RUST_LOG");
        self.start(name, command)
    }

    /// Starts any program; what it prints goes into the folder.
    pub fn start(&self, name: &str, command: Command) -> Program {
        self.start_on(Stdio::null(), name, command)
    }

    /// Starts any program with a standard input of its own.
    pub fn start_on(&self, input: impl Into<Stdio>, name: &str, mut command: Command) -> Program {
        let started = Instant::now();
        let number = fs::read_dir(self.path()).map_or(0, Iterator::count);
        let output = self.path().join(format!("{number:03}.{name}.out"));
        let file = File::create(&output).expect("a file for the output");
        let errors = file.try_clone().expect("a second descriptor");
        command.stdin(input).stdout(file).stderr(errors);
        let line = format!("{command:?}");
        let child = command.spawn().unwrap_or_else(|error| panic!("{line}: {error}"));
        Program { child: Some(child), line, output, started }
    }

    /// Everything that helps to understand a failure.
    #[must_use]
    pub fn report(&self) -> String {
        let mut report = format!("in {}\n", self.path().display());
        let mut entries: Vec<_> =
            fs::read_dir(self.path()).into_iter().flatten().flatten().map(|e| e.path()).collect();
        entries.sort();
        for path in entries.iter().filter(|path| path.extension() == Some(OsStr::new("out"))) {
            let text = fs::read(path).unwrap_or_default();
            let tail = &text[text.len().saturating_sub(4000)..];
            report += &format!("--- {}\n{}\n", path.display(), String::from_utf8_lossy(tail));
        }
        report
    }
}

/// Describes a listener process.
#[derive(Debug)]
pub struct ListenerBuilder<'f> {
    fixture: &'f Fixture,
    arguments: Vec<String>,
    fault: Option<String>,
    shell: Option<String>,
    user: Option<u32>,
}

impl ListenerBuilder<'_> {
    /// Adds arguments to `fleetlog listen`.
    #[must_use]
    pub fn with<'a>(mut self, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        self.arguments.extend(arguments.into_iter().map(str::to_owned));
        self
    }

    /// Uses these arguments instead of one JSON log file.
    #[must_use]
    pub fn only_with<'a>(mut self, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        self.arguments.clear();
        self.with(arguments)
    }

    /// Lets the listener kill itself at a fault point (`after-intent:3` = the third time).
    #[must_use]
    pub fn dying_at(mut self, point: &str) -> Self {
        self.fault = Some(point.to_owned());
        self
    }

    /// Runs the listener under an umask, such as `077`.
    #[must_use]
    pub fn under_umask(mut self, umask: &str) -> Self {
        self.shell = Some(format!("umask {umask}"));
        self
    }

    /// Runs the listener under a limit, in the words of the shell's `ulimit`, such as `-v 1000000`.
    #[must_use]
    pub fn under_limit(mut self, limit: &str) -> Self {
        self.shell = Some(format!("ulimit {limit}"));
        self
    }

    /// Runs the listener as another user, who gets the folder of the fixture; only root may.
    #[must_use]
    pub fn as_user(mut self, user: u32) -> Self {
        std::os::unix::fs::chown(self.fixture.path(), Some(user), Some(user)).expect("root");
        self.user = Some(user);
        self
    }

    /// Starts the process without waiting for it.
    #[must_use]
    pub fn launch(self) -> ListenerUnderTest {
        let mut command = match &self.shell {
            None => Command::new(self.fixture.binaries.fleetlog),
            Some(before) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("{before} && exec \"$0\" \"$@\"")]);
                shell.arg(self.fixture.binaries.fleetlog);
                shell
            }
        };
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command.arg("listen").args(&self.arguments).env("FLEETLOG_RUN_DIR", self.fixture.run_dir());
        if let Some(fault) = &self.fault {
            command.env("FLEETLOG_FAULT", fault);
        }
        ListenerUnderTest {
            program: self.fixture.start("listener", command),
            run_dir: self.fixture.run_dir(),
        }
    }

    /// Starts the process and waits until it answers.
    #[must_use]
    pub fn start(self) -> ListenerUnderTest {
        let mut listener = self.launch();
        wait::until("the listener answers", || {
            assert!(
                listener.program.is_running(),
                "the listener ended at its start: {}",
                listener.program.output()
            );
            listener.status().is_some()
        });
        listener
    }
}

/// A listener process.
#[derive(Debug)]
pub struct ListenerUnderTest {
    /// The process.
    pub program: Program,
    run_dir: PathBuf,
}

impl ListenerUnderTest {
    /// The status as JSON, if the listener answers.
    #[must_use]
    pub fn status(&self) -> Option<serde_json::Value> {
        match client::request(&self.run_dir, Request::Status, GENEROUS, |_| ()) {
            Ok(Reply::Status(json)) => Some(serde_json::from_str(&json).expect("status is JSON")),
            _ => None,
        }
    }

    /// Sends the sentinel and waits for the end of the process.
    pub fn stop(mut self) -> Receipt {
        let reply = client::request(&self.run_dir, Request::Stop, GENEROUS, |_| ());
        let receipt = match reply {
            Ok(Reply::Stopped(receipt)) => *receipt,
            other => panic!("no receipt but {other:?}: {}", self.program.output()),
        };
        let status = self.program.wait();
        assert!(status.success(), "the listener ended with {status}: {}", self.program.output());
        receipt
    }

    /// Kills the process with SIGKILL and waits until it is gone.
    pub fn kill(mut self) {
        self.program.signal(Signal::SIGKILL);
        self.program.wait();
    }
}

/// A process that a test started. It is killed when this is dropped.
#[derive(Debug)]
pub struct Program {
    child: Option<Child>,
    line: String,
    output: PathBuf,
    started: Instant,
}

impl Program {
    /// The pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// What it printed so far.
    #[must_use]
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap_or_default()).into_owned()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).expect("a pid");
        kill(Pid::from_raw(pid), signal).expect("the process is there");
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + 5 * GENEROUS;
        loop {
            let child = self.child.as_mut().expect("the process was not waited for yet");
            if let Some(status) = child.try_wait().expect("a child") {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "{} has not ended {:?} after its start: {}",
                self.line,
                self.started.elapsed(),
                self.output()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits for its end and for code 0, and returns what it printed.
    pub fn succeed(mut self) -> String {
        let status = self.wait();
        assert!(status.success(), "{}: {status}\n{}", self.line, self.output());
        self.output()
    }

    /// Waits for its end and returns its code, or 128 + the signal.
    pub fn code(&mut self) -> i32 {
        let status = self.wait();
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
