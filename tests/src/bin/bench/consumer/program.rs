//! A program of this machine that runs for the time of a trial.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::place::Place;

pub(crate) const RSYSLOG: &str = "rsyslogd";
pub(crate) const S6_LOG: &str = "s6-log";

/// Folders that an ordinary user's search path may lack.
const MORE_FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/bin"];

/// How often a condition is looked at that nobody tells of.
const GLANCE: Duration = Duration::from_millis(1);

/// Where a program is installed.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(MORE_FOLDERS.map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Waits for a condition that nobody tells of. Returns whether it held before the patience was
/// over.
pub(super) fn until(
    patience: Duration,
    mut holds: impl FnMut() -> io::Result<bool>,
) -> io::Result<bool> {
    let deadline = Instant::now() + patience;
    while !holds()? {
        if Instant::now() >= deadline {
            return Ok(false);
        }
        std::thread::sleep(GLANCE);
    }
    Ok(true)
}

/// Lets a program end when this process is killed, which then can't end it. It takes a TERM as the
/// wish to end in order.
#[allow(unsafe_code, reason = "a hook between fork and exec has no safe form")]
fn end_with_parent(command: &mut Command) {
    let hook = || Ok(prctl::set_pdeathsig(Signal::SIGTERM)?);
    // SAFETY: the hook makes one system call and allocates nothing, so that it may run between
    // fork and exec.
    unsafe { command.pre_exec(hook) };
}

/// A running program. It is killed when this is dropped before its end.
#[derive(Debug)]
pub(super) struct Program {
    child: Child,
    name: &'static str,
    complaints: PathBuf,
}

impl Program {
    /// Starts a program; what it prints goes into the trial's folder.
    pub(super) fn start(
        name: &'static str,
        place: &Place,
        describe: impl FnOnce(&mut Command),
    ) -> io::Result<Self> {
        let file = find(name).ok_or_else(|| io::Error::other(format!("{name} is not here")))?;
        let complaints = place.beside_the_log("complaints");
        let output = File::create(&complaints)?;
        let mut command = Command::new(file);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        describe(&mut command);
        end_with_parent(&mut command);
        Ok(Self { child: command.spawn()?, name, complaints })
    }

    pub(super) fn is_running(&mut self) -> io::Result<bool> {
        self.child.try_wait().map(|status| status.is_none())
    }

    pub(super) fn terminate(&self) -> io::Result<()> {
        Ok(kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM)?)
    }

    /// Waits for the end of a program that must end well.
    pub(super) fn wait(&mut self) -> io::Result<()> {
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(self.failed(&format!("ended with {status}"))) }
    }

    /// What happened to the program, with what it said about it.
    pub(super) fn failed(&self, what: &str) -> io::Error {
        let said = fs::read_to_string(&self.complaints).unwrap_or_default();
        io::Error::other(format!("{} {what}: {}", self.name, said.trim_end()))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail for a program that was waited for already, and nothing is left to do then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
