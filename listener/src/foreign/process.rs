//! Who logs: a process as the kernel describes it, looked up once and remembered.
//!
//! The lookup in `/proc` costs more than a record. It is made when a process is first heard of,
//! and again from time to time, because its pid may have become another's.

use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;

/// A line of `/proc/<pid>/stat` is shorter than this.
const STAT_MAX: usize = 1024;

/// A process that logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) uid: u32,
    /// In the kernel's ticks since boot; 0 = it was gone before it could be looked up.
    pub(crate) start_time: u64,
    /// What the kernel calls it; empty = it was gone before it could be looked up.
    pub(crate) name: Arc<str>,
}

impl Process {
    /// Looks a process up.
    pub(super) fn look_up(pid: u32, uid: u32) -> Self {
        let (start_time, name) = stat(pid).unwrap_or_default();
        Self { pid, uid, start_time, name: name.into() }
    }

    /// Whether it still runs. A process that was gone when it was first heard of does not.
    pub(super) fn runs(&self) -> bool {
        self.start_time > 0
            && fleetlog_protocol::segment::start_time(self.pid) == Some(self.start_time)
    }
}

/// Start time and name of a process, also of one that is dead but not yet waited for.
fn stat(pid: u32) -> Option<(u64, String)> {
    if pid == 0 {
        return None;
    }
    let mut line = [0; STAT_MAX];
    let length = File::open(format!("/proc/{pid}/stat")).ok()?.read(&mut line).ok()?;
    let stat = &line[..length];
    // The name stands in parentheses and may hold some itself.
    let begin = stat.iter().position(|byte| *byte == b'(')? + 1;
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let name = String::from_utf8_lossy(stat.get(begin..end)?).into_owned();
    let fields = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    let start = fields.split_ascii_whitespace().nth(19)?.parse().ok()?;
    Some((start, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_runs_under_its_name_and_a_recurring_pid_is_another_process() {
        let mut process = Process::look_up(std::process::id(), 0);
        let name = std::fs::read_to_string("/proc/self/comm").unwrap();
        // The name is that of the first thread, which a test does not run in.
        let name = std::fs::read_to_string(format!("/proc/{}/comm", process.pid)).unwrap_or(name);
        assert_eq!(&*process.name, name.trim_end());
        assert!(process.runs());
        process.start_time += 1;
        assert!(!process.runs());
    }

    #[test]
    fn a_process_that_is_gone_has_no_name_and_does_not_run() {
        let process = Process::look_up(u32::MAX, 7);
        assert_eq!((&*process.name, process.start_time, process.uid), ("", 0, 7));
        assert!(!process.runs());
    }
}
