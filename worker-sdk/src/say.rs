//! What the SDK says by itself, each sentence once per process, on standard error.
//!
//! Not through `tracing`: the message would come back here. Not through Rust's standard error: a
//! child may inherit its lock locked. And only while standard error is still the file that it was
//! when the SDK was set up: a host that closed it may have its data under that number. A sentence
//! is never waited for: a pipe that is full or that nobody reads swallows it, and no signal comes of it.

use std::io;
use std::os::fd::AsFd as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::fstat;

use crate::fork;

static REFUSAL: AtomicBool = AtomicBool::new(false);
static FALLBACK: AtomicBool = AtomicBool::new(false);
static NO_WAY: AtomicBool = AtomicBool::new(false);
static NO_LEVEL: AtomicBool = AtomicBool::new(false);
static NO_FILTER: AtomicBool = AtomicBool::new(false);

/// Device and inode of standard error when the SDK was set up; empty = it was closed.
static STANDARD_ERROR: OnceLock<(u64, u64)> = OnceLock::new();

/// The longest sentence. A pipe that can be written to at all takes so much at once.
const SENTENCE_MAX: usize = 4096;

/// Notes what standard error is, the first time.
pub(crate) fn set_up() {
    static DONE: AtomicBool = AtomicBool::new(false);
    if !DONE.swap(true, Ordering::AcqRel)
        && let Some(found) = standard_error()
    {
        let _ = STANDARD_ERROR.set(found);
    }
}

fn standard_error() -> Option<(u64, u64)> {
    fstat(io::stderr()).ok().map(|found| (found.st_dev, found.st_ino))
}

/// The listener does not want this worker.
pub(crate) fn refusal(why: &str) {
    once(&REFUSAL, "the listener refuses this worker", why);
}

/// Whether a refusal was told already.
pub(crate) fn has_refused() -> bool {
    REFUSAL.load(Ordering::Relaxed)
}

/// Records take the socket although nobody said so.
pub(crate) fn fallback(why: &str) {
    once(&FALLBACK, "records go over the socket, because lanes can't be used", why);
}

/// Records would take the socket, but this process may not connect to it.
pub(crate) fn no_way(why: &str) {
    once(
        &NO_WAY,
        "records reach no listener, because neither lanes nor the socket can be used",
        why,
    );
}

/// What somebody wants this process to log can't be found out.
pub(crate) fn no_level(why: &str) {
    once(&NO_LEVEL, "changes of the level are not heeded", why);
}

/// A part of the common filter variable is left out.
pub(crate) fn no_filter(why: &str) {
    once(&NO_FILTER, "this is no filter and is left out", why);
}

/// The process ends, and with it records of which nobody else knows.
pub(crate) fn lost(records: u64, why: &str) {
    let pid = std::process::id();
    say(&format!("{records} records of process {pid} are lost with it: {why}"));
}

/// The process ends, and nobody can look how many records end with it.
pub(crate) fn lost_without_a_number() {
    let pid = std::process::id();
    say(&format!("records of process {pid} may be lost with it: another thread holds them"));
}

fn once(said: &AtomicBool, what: &str, why: &str) {
    if !said.load(Ordering::Relaxed) && !said.swap(true, Ordering::Relaxed) {
        say(&format!("{what}: {why}"));
    }
}

fn say(sentence: &str) {
    let standard_error = io::stderr();
    let mut text = format!("fleetlog: {sentence}");
    text.truncate(text.floor_char_boundary(SENTENCE_MAX - 1));
    text.push('\n');
    let mut asked = [PollFd::new(standard_error.as_fd(), PollFlags::POLLOUT)];
    let takes_it = poll(&mut asked, PollTimeout::ZERO).is_ok()
        && asked[0].revents() == Some(PollFlags::POLLOUT);
    // Right before the write: what stands there by then may be the host's.
    if takes_it && STANDARD_ERROR.get().copied() == self::standard_error() {
        fork::without_signals_of_writes(|| {
            let _ = nix::unistd::write(&standard_error, text.as_bytes());
        });
    }
}
