//! The job: a process and all that it leaves behind.
//!
//! This process adopts the orphans of the job (it is their subreaper), so that it knows when the
//! last one has ended. Whoever is told a signal is looked up under the lock under which processes
//! are reaped: no signal can reach a stranger that got a dead process's pid.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{ChildStderr, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::libc;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::Signal;
use rustix::process::{WaitOptions, WaitStatus, wait};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

/// A running job.
#[derive(Debug)]
pub(super) struct Job {
    pid: libc::pid_t,
    target: Arc<Target>,
    end: Option<End>,
    orphans: u64,
    is_alone: bool,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// By itself, with this code.
    Exit(u8),
    /// By this signal.
    Signal(libc::c_int),
}

impl End {
    fn of(status: WaitStatus) -> Self {
        match (status.exit_status(), status.terminating_signal()) {
            (_, Some(signal)) => Self::Signal(signal),
            (code, None) => Self::Exit(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
        }
    }

    /// The code as shells tell it.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Exit(code) => code,
            Self::Signal(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        }
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => match Signal::try_from(*signal) {
                Ok(signal) => write!(f, "killed by {signal}"),
                Err(_) => write!(f, "killed by signal {signal}"),
            },
        }
    }
}

impl Job {
    /// Starts the command with some variables in its environment, and hands over what it prints.
    pub(super) fn start(
        command: &[OsString],
        variables: &[(&str, OsString)],
        target: &Arc<Target>,
    ) -> io::Result<(Self, ChildStdout, ChildStderr)> {
        let [program, arguments @ ..] = command else {
            return Err(io::ErrorKind::NotFound.into());
        };
        // Without it orphans are not seen, but nothing else changes.
        let _ = set_child_subreaper(true);
        let mut command = Command::new(program);
        command.args(arguments).envs(variables.iter().map(|(name, value)| (name, value)));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        if target.is_group {
            command.process_group(0);
        }
        let mut child = command.spawn()?;
        let pid = libc::pid_t::try_from(child.id()).map_err(io::Error::other)?;
        target.aim(pid);
        let pipes = child.stdout.take().zip(child.stderr.take());
        let (stdout, stderr) = pipes.ok_or(io::ErrorKind::BrokenPipe)?;
        let job = Self { pid, target: Arc::clone(target), end: None, orphans: 0, is_alone: false };
        Ok((job, stdout, stderr))
    }

    pub(super) fn pid(&self) -> u64 {
        u64::try_from(self.pid).unwrap_or(0)
    }

    /// Takes note of every process that has ended.
    pub(super) fn reap(&mut self) {
        let mut aim = self.target.lock();
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid.as_raw_nonzero().get() == self.pid => {
                    self.end = Some(End::of(status));
                    aim.leader = None;
                }
                Ok(Some(_)) => self.orphans += 1,
                Ok(None) => return,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => {
                    self.is_alone = true;
                    return;
                }
            }
        }
    }

    /// How the command itself ended, if it has.
    pub(super) const fn end(&self) -> Option<End> {
        self.end
    }

    /// The processes that ended as orphans so far.
    pub(super) const fn orphans(&self) -> u64 {
        self.orphans
    }

    /// Whether nothing is left of the job.
    pub(super) const fn is_alone(&self) -> bool {
        self.is_alone
    }
}

/// Whom signals are meant for.
#[derive(Debug)]
pub(super) struct Target {
    /// The job is a process group of its own.
    is_group: bool,
    aim: Mutex<Aim>,
    /// The job is over and somebody wants this process to end too.
    hurry: AtomicBool,
}

#[derive(Debug, Default)]
struct Aim {
    /// The command, until it is reaped.
    leader: Option<libc::pid_t>,
    /// The process group, which may outlive its leader.
    group: Option<libc::pid_t>,
    /// What came before the job ran.
    early: Vec<libc::c_int>,
    /// Nobody is left who could be told.
    is_over: bool,
}

impl Target {
    pub(super) fn new(is_group: bool) -> Arc<Self> {
        Arc::new(Self { is_group, aim: Mutex::default(), hurry: AtomicBool::new(false) })
    }

    /// Whether this process was told to end after the job had.
    pub(super) fn is_in_a_hurry(&self) -> bool {
        self.hurry.load(Ordering::Acquire)
    }

    /// From now on a signal that ends processes means this one.
    pub(super) fn job_is_over(&self) {
        let mut aim = self.lock();
        aim.is_over = true;
        if aim.early.iter().any(|signal| ends_processes(*signal)) {
            self.hurry.store(true, Ordering::Release);
        }
    }

    /// Takes a signal and passes it on, unless the job has it already.
    pub(super) fn hear(&self, signal: libc::c_int, has_it_already: bool) {
        let mut aim = self.lock();
        if aim.is_over {
            if ends_processes(signal) {
                self.hurry.store(true, Ordering::Release);
            }
        } else if let Some(leader) = aim.leader {
            if !has_it_already {
                send(if self.is_group { -leader } else { leader }, signal);
            }
        } else if aim.group.is_none() {
            aim.early.push(signal);
        } else if !has_it_already {
            self.tell_orphans(&aim, signal);
        }
    }

    /// Tells what the command left behind.
    fn tell_orphans(&self, aim: &Aim, signal: libc::c_int) {
        let mut group_is_told = false;
        for orphan in children() {
            // A group whose leader is gone is told only as long as a member of it is known to
            // live: after that its number is free for others.
            let is_member = self.is_group && Some(orphan.group) == aim.group;
            if !is_member {
                send(orphan.pid, signal);
            } else if !std::mem::replace(&mut group_is_told, true) {
                send(-orphan.group, signal);
            }
        }
    }

    fn aim(&self, pid: libc::pid_t) {
        let mut aim = self.lock();
        aim.leader = Some(pid);
        aim.group = Some(pid);
        for signal in std::mem::take(&mut aim.early) {
            send(if self.is_group { -pid } else { pid }, signal);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Aim> {
        self.aim.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const fn ends_processes(signal: libc::c_int) -> bool {
    matches!(signal, SIGTERM | SIGINT | SIGHUP | SIGQUIT)
}

/// A target that is gone needs no signal any more.
fn send(pid: libc::pid_t, signal: libc::c_int) {
    if let Ok(signal) = Signal::try_from(signal) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
    }
}

#[derive(Debug)]
struct Orphan {
    pid: libc::pid_t,
    group: libc::pid_t,
}

/// The children of this process, from `/proc`.
fn children() -> Vec<Orphan> {
    let me = libc::pid_t::try_from(std::process::id()).unwrap_or(0);
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // The program's name is in parentheses and may hold anything, parentheses included.
            let (_, behind) = stat.rsplit_once(')')?;
            let mut words = behind.split_ascii_whitespace().skip(1);
            let parent: libc::pid_t = words.next()?.parse().ok()?;
            let group = words.next()?.parse().ok()?;
            (parent == me).then_some(Orphan { pid, group })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_as_shells_do() {
        assert_eq!((End::Exit(3).code(), End::Exit(3).to_string()), (3, "exit code 3".into()));
        let term = End::Signal(libc::SIGTERM);
        assert_eq!((term.code(), term.to_string()), (143, "killed by SIGTERM".into()));
        let real_time = End::Signal(34);
        assert_eq!((real_time.code(), real_time.to_string()), (162, "killed by signal 34".into()));
    }
}
