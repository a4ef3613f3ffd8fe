//! A service manager of a test's own: it hears messages and hands sockets down.

use std::fmt::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::{Command, Stdio};
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
    arguments: Vec<String>,
}

impl<'f> Service<'f> {
    /// With the fixture's log, and a service manager that hears.
    pub(crate) fn new(fixture: &'f Fixture) -> Self {
        let log = fixture.log().into_os_string().into_string().expect("UTF-8");
        let service = Self {
            fixture,
            environment: String::new(),
            arguments: ["listen", "--format", "json", "--file", &log].map(str::to_owned).to_vec(),
        };
        let notify = fixture.path().join("notify");
        service.variable("NOTIFY_SOCKET", notify.to_str().expect("UTF-8"))
    }

    /// The arguments of the command, instead of those of a listener.
    pub(crate) fn arguments<'a>(mut self, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        self.arguments = arguments.into_iter().map(str::to_owned).collect();
        self
    }

    /// Adds a variable; `$$` is the pid of the command.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        write!(self.environment, " {name}={value}").expect("a text");
        self
    }

    /// Silence for so long counts as death.
    pub(crate) fn watchdog(self, silence: Duration) -> Self {
        let microseconds = silence.as_micros().to_string();
        self.variable("WATCHDOG_USEC", &microseconds).variable("WATCHDOG_PID", "$$")
    }

    pub(crate) fn start(self) -> Program {
        self.run(Stdio::null(), 0)
    }

    /// Hands a descriptor down, so many times.
    pub(crate) fn start_on(self, descriptor: impl Into<OwnedFd>, count: usize) -> Program {
        let text = count.to_string();
        let service = self.variable("LISTEN_FDS", &text).variable("LISTEN_PID", "$$");
        service.run(Stdio::from(descriptor.into()), count)
    }

    /// The descriptors that are handed down begin with number 3. The shell and `env` are replaced
    /// by the command, which has their pid.
    fn run(self, input: Stdio, count: usize) -> Program {
        let handed_down: String = (0..count).map(|at| format!(" {}<&0", 3 + at)).collect();
        let environment = self.environment;
        let line = format!("exec env{environment} \"$0\" \"$@\"{handed_down} </dev/null");
        let mut command = Command::new("sh");
        command.args(["-c", &line, binaries!().fleetlog]).args(&self.arguments);
        command.env("FLEETLOG_RUN_DIR", self.fixture.run_dir());
        self.fixture.start_on(input, "service", command)
    }
}

/// Binds the socket of a run directory as a socket unit does.
pub(crate) fn bind(run_dir: &Path) -> UnixListener {
    std::fs::create_dir_all(run_dir).expect("the run directory");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(run_dir, mode).expect("its mode");
    UnixListener::bind(run_dir.join("socket")).expect("a socket")
}
