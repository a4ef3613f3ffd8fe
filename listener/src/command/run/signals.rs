//! Signals: what this process is told is passed on to the job.
//!
//! A thread of its own passes them on, so that they arrive even while the loop writes to a reader
//! that does not read. None of them ends this process: it ends when the job has. A signal that
//! was ignored when this process started stays ignored, for the job as well; that is how `nohup`
//! works.

use std::fs;
use std::io;
use std::sync::Arc;

use nix::libc;
use signal_hook::consts::{
    SIGALRM, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH,
};
use signal_hook::iterator::Signals;

use super::job::Target;

/// What is passed on to a job.
const PASSED_ON: [libc::c_int; 9] =
    [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGCONT, SIGWINCH];

/// What a terminal sends to every process of its foreground group: the job has it already.
const SENT_BY_TERMINAL: [libc::c_int; 3] = [SIGINT, SIGQUIT, SIGWINCH];

/// Begins to pass on signals. What comes before the job runs waits for it.
pub(super) fn pass_on(target: &Arc<Target>, at_terminal: bool) -> io::Result<()> {
    let ignored = ignored();
    let handled = PASSED_ON.into_iter().filter(|signal| ignored & bit(*signal) == 0);
    let mut signals = Signals::new(handled)?;
    let target = Arc::clone(target);
    std::thread::Builder::new().name("fleetlog-signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            target.hear(signal, at_terminal && SENT_BY_TERMINAL.contains(&signal));
        }
    })?;
    Ok(())
}

/// The signals that this process ignores, as the kernel's mask. Only `/proc` tells it without
/// changing it; where there is none, nothing counts as ignored.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

const fn bit(signal: libc::c_int) -> u64 {
    1 << (signal - 1)
}
