//! What the SDK says by itself, once per process, on standard error.
//!
//! Not through `tracing`: the message would come back here. Not through Rust's standard error: a
//! child may inherit its lock locked.

use std::sync::atomic::{AtomicBool, Ordering};

static REFUSAL: AtomicBool = AtomicBool::new(false);
static FALLBACK: AtomicBool = AtomicBool::new(false);
static NO_LEVEL: AtomicBool = AtomicBool::new(false);
static NO_FILTER: AtomicBool = AtomicBool::new(false);

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

/// What somebody wants this process to log can't be found out.
pub(crate) fn no_level(why: &str) {
    once(&NO_LEVEL, "changes of the level are not heeded", why);
}

/// A part of the common filter variable is left out.
pub(crate) fn no_filter(why: &str) {
    once(&NO_FILTER, "this is no filter and is left out", why);
}

fn once(said: &AtomicBool, what: &str, why: &str) {
    if !said.load(Ordering::Relaxed) && !said.swap(true, Ordering::Relaxed) {
        let text = format!("fleetlog: {what}: {why}\n");
        let _ = nix::unistd::write(std::io::stderr(), text.as_bytes());
    }
}
