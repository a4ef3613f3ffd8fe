//! The one thread that the SDK may have, started and waited for without the standard library.
//!
//! The standard library takes locks of the process when it starts a thread, which a forked child may
//! have inherited held. The C library puts its own in order before it runs anybody's code in a child,
//! so that its threads can be started there, by a fork handler as well.

use std::ffi::{CStr, c_void};
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use nix::libc;

/// The stack of our thread: it reads small files and asks the program's filters.
const STACK_BYTES: usize = 256 << 10;

/// What a thread does.
pub(crate) trait Errand: Sync + 'static {
    /// The thread's name, at most fifteen bytes.
    const NAME: &'static CStr;

    fn run(&'static self);
}

/// Starts a detached thread that handles no signals. Tells whether it could be started.
pub(crate) fn start_thread<T: Errand>(errand: &'static T) -> bool {
    let (mut all, mut before) = (signal_set(), signal_set());
    // SAFETY: the set is ours, and large enough for every signal.
    unsafe { libc::sigfillset(&raw mut all) };
    // The thread inherits the mask: a signal of the program must never be handled in it.
    // SAFETY: both sets outlive the call.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before) };
    let started = [Some(STACK_BYTES), None].into_iter().any(|stack| create_thread(errand, stack));
    // SAFETY: as above; the mask is this thread's own of before.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut()) };
    started
}

/// A program with much thread-local data may need a larger stack than ours; it gets the usual one.
fn create_thread<T: Errand>(errand: &'static T, stack: Option<usize>) -> bool {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: the call initialises what it is given.
    if unsafe { libc::pthread_attr_init(attributes.as_mut_ptr()) } != 0 {
        return false;
    }
    // SAFETY: initialised above.
    unsafe {
        libc::pthread_attr_setdetachstate(attributes.as_mut_ptr(), libc::PTHREAD_CREATE_DETACHED)
    };
    if let Some(stack) = stack {
        // SAFETY: initialised above; a size that is refused leaves the usual one.
        unsafe { libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), stack) };
    }
    let mut thread = MaybeUninit::uninit();
    let argument = ptr::from_ref(errand).cast_mut().cast::<c_void>();
    // SAFETY: the attributes are initialised; `thread_main::<T>` takes what it is given back as the
    // errand, which lives as long as the program and may be used from any thread.
    let failed = unsafe {
        libc::pthread_create(thread.as_mut_ptr(), attributes.as_ptr(), thread_main::<T>, argument)
    } != 0;
    // SAFETY: initialised above and not used again.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    !failed
}

extern "C" fn thread_main<T: Errand>(argument: *mut c_void) -> *mut c_void {
    // SAFETY: `create_thread` passes an errand of this type that lives as long as the program.
    let errand = unsafe { &*argument.cast_const().cast::<T>() };
    // SAFETY: the name is a text with its end.
    unsafe { libc::prctl(libc::PR_SET_NAME, T::NAME.as_ptr()) };
    // What panics here is code of the program's own filters, and a thread of ours must not end the
    // program for it.
    let _ = catch_unwind(AssertUnwindSafe(|| errand.run()));
    ptr::null_mut()
}

fn signal_set() -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the call initialises what it is given.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: initialised above.
    unsafe { set.assume_init() }
}

/// Sleeps while a word of this process has this value, at most a time.
pub(crate) fn park(word: &AtomicU32, value: u32, at_most: Duration) {
    let timeout = libc::timespec {
        tv_sec: libc::time_t::try_from(at_most.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(at_most.subsec_nanos().cast_signed()),
    };
    let flags = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: word and timeout outlive the call; whoever comes back looks again.
    unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), flags, value, ptr::from_ref(&timeout));
    }
}

/// Wakes all who sleep on a word.
pub(crate) fn unpark_all(word: &AtomicU32) {
    let flags = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: waking looks at no memory.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), flags, i32::MAX) };
}
