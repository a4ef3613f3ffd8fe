//! A service manager of a test's own: it hears messages and hands sockets down.

use std::fmt::Write as _;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use fleetlog_tests::wait::GENEROUS;
use fleetlog_tests::{Fixture, Program, binaries};

/// The ear of a service manager.
pub(crate) struct Manager {
    socket: UnixDatagram,
}

impl Manager {
    pub(crate) fn new(fixture: &Fixture) -> Self {
        let socket = UnixDatagram::bind(fixture.path().join("notify")).expect("a socket");
        Self { socket }
    }

    /// The next message, if one comes within a time.
    pub(crate) fn hear(&self, within: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(within)).expect("a timeout");
        let mut buffer = [0; 4096];
        let len = self.socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..len].to_vec()).expect("UTF-8"))
    }

    /// Waits for a message that has a line, and returns all that came until then.
    pub(crate) fn await_line(&self, line: &str) -> Vec<String> {
        let deadline = Instant::now() + GENEROUS;
        let mut heard = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Some(message) = self.hear(left.max(Duration::from_millis(1))) else {
                panic!("{line:?} never came, but {heard:?}");
            };
            let is_it = message.lines().any(|said| said.starts_with(line));
            heard.push(message);
            if is_it {
                return heard;
            }
        }
    }

    /// Everything that comes within a time.
    pub(crate) fn listen_for(&self, time: Duration) -> Vec<String> {
        let deadline = Instant::now() + time;
        let mut heard = Vec::new();
        while let Some(left) = deadline.checked_duration_since(Instant::now())
            && !left.is_zero()
        {
            heard.extend(self.hear(left));
        }
        heard
    }
}

/// How often a message was heard.
pub(crate) fn count(heard: &[String], line: &str) -> usize {
    heard.iter().flat_map(|message| message.lines()).filter(|said| *said == line).count()
}

/// `fleetlog listen` as a service manager starts it.
pub(crate) struct Service<'f> {
    fixture: &'f Fixture,
    environment: String,
    handed_down: Vec<String>,
    arguments: Vec<String>,
}

impl<'f> Service<'f> {
    /// With the fixture's log, and a service manager that hears.
    pub(crate) fn new(fixture: &'f Fixture) -> Self {
        let log = fixture.log().into_os_string().into_string().expect("UTF-8");
        Self {
            fixture,
            environment: format!("NOTIFY_SOCKET={} ", fixture.path().join("notify").display()),
            handed_down: Vec::new(),
            arguments: ["listen", "--format", "json", "--file", &log].map(str::to_owned).to_vec(),
        }
    }

    /// The arguments of the command, instead of those of a listener.
    pub(crate) fn arguments<'a>(mut self, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        self.arguments = arguments.into_iter().map(str::to_owned).collect();
        self
    }

    /// Silence for so long counts as death.
    pub(crate) fn watchdog(mut self, silence: Duration) -> Self {
        let microseconds = silence.as_micros();
        write!(self.environment, "WATCHDOG_USEC={microseconds} WATCHDOG_PID=$$ ").expect("a text");
        self
    }

    /// The shell's pid is the command's own, once it has replaced the shell.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        write!(self.environment, "{name}={value} ").expect("a text");
        self
    }

    pub(crate) fn start(&self) -> Program {
        self.start_with(&[])
    }

    /// Starts it with descriptors, which it finds from number 3 on.
    fn start_with(&self, descriptors: &[String]) -> Program {
        let mut command = Command::new("sh");
        let redirections = self.handed_down.iter().chain(descriptors).enumerate();
        let redirections: String =
            redirections.map(|(place, from)| format!(" {}<&{from}", place + 3)).collect();
        let line = format!("{}exec \"$0\" \"$@\"{redirections}", self.environment);
        command.args(["-c", &line, binaries!().fleetlog]).args(&self.arguments);
        command.env("FLEETLOG_RUN_DIR", self.fixture.run_dir());
        self.fixture.start("service", command)
    }

    /// Hands sockets down, as a service manager does that has bound them.
    pub(crate) fn start_on(self, sockets: &[&UnixListener]) -> Program {
        // A duplicate is inherited: it does not close when a program is executed.
        let copies: Vec<_> =
            sockets.iter().map(|socket| nix::unistd::dup(socket.as_fd()).expect("a copy")).collect();
        let numbers: Vec<_> = copies.iter().map(|copy| copy.as_raw_fd().to_string()).collect();
        let count = numbers.len().to_string();
        self.variable("LISTEN_FDS", &count).variable("LISTEN_PID", "$$").start_with(&numbers)
    }
}

/// Binds the socket of a run directory as a socket unit does.
pub(crate) fn bind(run_dir: &Path) -> UnixListener {
    std::fs::create_dir_all(run_dir).expect("the run directory");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(run_dir, mode).expect("its mode");
    UnixListener::bind(run_dir.join("socket")).expect("a socket")
}
