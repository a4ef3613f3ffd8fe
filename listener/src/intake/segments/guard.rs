//! The SIGBUS guard: a worker that truncates its segment must not take the listener down.
//!
//! A segment is a file of the worker's; where it is cut short, the mapped pages behind its end
//! fail with SIGBUS. [`within`] names the addresses that the calling thread is about to touch. A
//! fault there puts a page of zeros in place of the missing one, so that the access goes on, and
//! is reported to whoever called; any other fault is none of our business and goes to whoever
//! handled it before.

#![allow(unsafe_code, reason = "faults are told by signals")]

use std::io;
use std::ops::Range;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicUsize, compiler_fence};

use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

const PAGE: usize = 4096;

/// What a thread may touch, and whether some of it was missing. The handler runs in the middle of
/// the thread's own code, of which the compiler knows nothing: so the words are atomic, and fences
/// for the compiler stand between them and what is touched.
#[derive(Debug)]
struct Touched {
    start: AtomicUsize,
    end: AtomicUsize,
    is_missing: AtomicBool,
}

thread_local! {
    /// Without a destructor, so that a signal handler finds it as long as the thread is there.
    static TOUCHED: Touched = const {
        Touched {
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            is_missing: AtomicBool::new(false),
        }
    };
}

static BEFORE: OnceLock<SigAction> = OnceLock::new();

/// Some of the memory was missing: its file was truncated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Missing;

/// Installs the guard for this process, once.
pub(crate) fn install() -> io::Result<()> {
    if BEFORE.get().is_some() {
        return Ok(());
    }
    let handler = SigHandler::SigAction(on_fault);
    let action = SigAction::new(handler, SaFlags::SA_SIGINFO, SigSet::empty());
    // SAFETY: the handler does only what a signal handler may: it reads a cell of its thread,
    // maps a page, and sets an action.
    let before = unsafe { sigaction(Signal::SIGBUS, &action) }?;
    // A second caller that raced here has stored our own handler as the one before it: the first
    // to store wins, and both are equal but for that.
    if matches!(before.handler(), SigHandler::SigAction(known) if ptr::fn_addr_eq(known, on_fault as extern "C" fn(_, _, _)))
    {
        return Ok(());
    }
    let _ = BEFORE.set(before);
    Ok(())
}

/// Lets `touch` use memory in `range` that may be missing.
///
/// # Errors
/// [`Missing`] when some of it was; what `touch` read there were zeros.
pub(crate) fn within<T>(range: &Range<usize>, touch: impl FnOnce() -> T) -> Result<T, Missing> {
    TOUCHED.with(|touched| {
        // Relaxed: only this thread, and handlers that interrupt it, ever see them.
        touched.start.store(range.start, Relaxed);
        touched.end.store(range.end, Relaxed);
        compiler_fence(SeqCst);
        let result = touch();
        compiler_fence(SeqCst);
        touched.end.store(0, Relaxed);
        if touched.is_missing.load(Relaxed) {
            touched.is_missing.store(false, Relaxed);
            return Err(Missing);
        }
        Ok(result)
    })
}

extern "C" fn on_fault(
    _signal: libc::c_int,
    info: *mut libc::siginfo_t,
    _context: *mut libc::c_void,
) {
    // SAFETY: the kernel hands a handler with SA_SIGINFO a valid info.
    let info = unsafe { &*info };
    // SAFETY: SIGBUS fills the address in.
    let address = unsafe { info.si_addr() }.addr();
    let is_ours = TOUCHED.with(|touched| {
        let range = touched.start.load(Relaxed)..touched.end.load(Relaxed);
        let is_ours = range.contains(&address) && put_page(address & !(PAGE - 1));
        if is_ours {
            touched.is_missing.store(true, Relaxed);
        }
        is_ours
    });
    if is_ours {
        return;
    }
    // Not ours: the access is tried again under the action from before, which decides.
    let before = BEFORE
        .get()
        .copied()
        .unwrap_or_else(|| SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty()));
    // SAFETY: the action was in force before, or is the default one.
    let _ = unsafe { sigaction(Signal::SIGBUS, &before) };
}

/// Puts a page of zeros in the place of one that is missing.
fn put_page(address: usize) -> bool {
    // SAFETY: the page lies in a mapping that the faulting thread named as one that it owns and
    // may lose pages of; nothing but its bytes changes.
    let page = unsafe {
        libc::mmap(
            ptr::without_provenance_mut(address),
            PAGE,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
            -1,
            0,
        )
    };
    page != libc::MAP_FAILED
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd as _;

    #[test]
    fn a_truncated_mapping_reads_as_zeros_and_is_reported() {
        install().expect("the guard");
        let file = tempfile::tempfile().expect("a file");
        file.set_len(2 * PAGE as u64).expect("its length");
        // SAFETY: a new mapping of our own file.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                2 * PAGE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        assert_ne!(start, libc::MAP_FAILED);
        let (bytes, range) = (start.cast::<u8>(), start.addr()..start.addr() + 2 * PAGE);
        let read = |at: usize| {
            // SAFETY: both pages are mapped.
            let byte = unsafe { bytes.add(at) };
            // SAFETY: a page that is missing is what the guard is for.
            unsafe { byte.read_volatile() }
        };
        assert_eq!(within(&range, || read(PAGE)), Ok(0));
        file.set_len(PAGE as u64).expect("a shorter file");
        assert_eq!(within(&range, || read(PAGE)), Err(Missing));
        assert_eq!(within(&range, || read(0)), Ok(0), "the other page is there still");
    }
}
