//! A terminal of a test's own, with a program in it.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};

use fleetlog_tests::wait;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::screen::Screen;

/// A terminal, and the program that is alone in it.
#[derive(Debug)]
pub(crate) struct Terminal {
    /// The side of the person.
    keyboard: File,
    /// The side of the program, held open so that it can be asked how it was left.
    line: OwnedFd,
    screen: Arc<Mutex<Screen>>,
    before: Termios,
    child: Child,
}

impl Terminal {
    /// Starts a program in a terminal of so many columns and rows.
    pub(crate) fn start(program: &str, arguments: &[&str], size: (u16, u16)) -> Self {
        Self::start_as(program, arguments, size, &[("TERM", "xterm-256color")])
    }

    pub(crate) fn start_as(
        program: &str,
        arguments: &[&str],
        size: (u16, u16),
        environment: &[(&str, &str)],
    ) -> Self {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&keyboard).expect("a terminal of ours");
        unlockpt(&keyboard).expect("a terminal that can be opened");
        let name = ptsname(&keyboard, Vec::new()).expect("a name");
        let mut options = File::options();
        let options = options.read(true).write(true).custom_flags(libc::O_NOCTTY);
        let line = options.open(name.to_str().expect("UTF-8")).expect("its other side");
        set_size(&keyboard, size);
        let before = tcgetattr(&line).expect("a terminal");
        // It makes the terminal the one that its keys send signals through.
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(program).args(arguments);
        command.env_remove("NO_COLOR").envs(environment.iter().copied());
        let side = || line.try_clone().expect("a descriptor");
        command.stdin(side()).stdout(side()).stderr(side());
        let child = command.spawn().expect("setsid");
        let keyboard = File::from(keyboard);
        let screen = Arc::new(Mutex::new(Screen::new(size.0, size.1)));
        let (mut shown, drawn) = (keyboard.try_clone().expect("a descriptor"), screen.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = shown.read(&mut buffer) {
                drawn.lock().expect("a screen").feed(&buffer[..read]);
            }
        });
        Self { keyboard, line: line.into(), screen, before, child }
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("a terminal");
    }

    pub(crate) fn resize(&self, size: (u16, u16)) {
        self.screen.lock().expect("a screen").resize(size.0, size.1);
        set_size(&self.keyboard, size);
    }

    pub(crate) fn text(&self) -> String {
        self.screen.lock().expect("a screen").text()
    }

    /// Everything that the program has ever sent.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.screen.lock().expect("a screen").bytes.clone()
    }

    /// Waits until the screen shows something.
    pub(crate) fn until(&self, what: &str, shows: impl Fn(&str) -> bool) {
        let mut text = String::new();
        let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait::until(what, || {
                text = self.text();
                shows(&text)
            });
        }));
        assert!(seen.is_ok(), "{what}: never seen on\n{}", self.text());
    }

    pub(crate) fn until_shows(&self, part: &str) {
        self.until(part, |text| text.contains(part));
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        kill(Pid::from_raw(pid), signal).expect("the program is there");
    }

    /// The letter by which the kernel tells what the program does.
    pub(crate) fn state(&self) -> char {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.expect("the program is there");
        stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()).expect("a state")
    }

    /// Waits for the end of the program.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut ended = None;
        wait::until("the program in the terminal ends", || {
            ended = self.child.try_wait().expect("a child");
            ended.is_some()
        });
        ended.expect("an end")
    }

    /// Demands that the terminal is as it was before the program came: its modes, the screen of
    /// whoever had it before, the cursor.
    #[track_caller]
    pub(crate) fn demand_restored(&self) {
        let now = tcgetattr(&self.line).expect("a terminal");
        let modes =
            |of: &Termios| (of.input_modes, of.output_modes, of.local_modes, of.control_modes);
        assert_eq!(modes(&now), modes(&self.before));
        wait::until("the screen is given back", || {
            let bytes = self.bytes();
            let last = |sequence: &[u8]| {
                bytes.windows(sequence.len()).rposition(|window| window == sequence)
            };
            last(b"\x1b[?1049h") < last(b"\x1b[?1049l") && last(b"\x1b[?25l") < last(b"\x1b[?25h")
        });
    }

    /// Whether the program gets keys one by one.
    pub(crate) fn is_taken(&self) -> bool {
        tcgetattr(&self.line).expect("a terminal").local_modes != self.before.local_modes
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn set_size(terminal: &impl std::os::fd::AsFd, (columns, rows): (u16, u16)) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).expect("a terminal");
}
