//! Forks: state that every process has for itself, and the parent's connection that a child must
//! let go of.
//!
//! A generation number tells processes apart. It stands in a page that the kernel wipes in every
//! child (`MADV_WIPEONFORK`), so that `fork` and a raw `clone` are noticed alike, for the price of
//! one load; where the kernel can't, the pid is asked. The child never looks into its parent's
//! state, because another thread of the parent may have been changing it: it makes its own, and
//! the parent's copy is left alone for ever.
//!
//! The one thread that the SDK may have is started here as well ([`thread`]): it must come back in a
//! forked child, where starting one of the standard library's can hang.
//!
//! This is the SDK's one room for `unsafe` beside the registry's.

#![allow(unsafe_code, reason = "forks are noticed through the C library and raw pointers")]

mod environment;
mod published;
mod signals;
mod thread;

use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

use nix::libc;

pub(crate) use environment::put_into_environment;
pub(crate) use published::{Published, Retired};
pub(crate) use signals::without_signals_of_writes;
pub(crate) use thread::{Errand, park, start_thread, unpark_all};

/// The page that a fork wipes; null = there is none, ask for the pid.
static PAGE: AtomicPtr<AtomicU64> = AtomicPtr::new(ptr::null_mut());

/// Generations along the line from the first process to this one; a child inherits the count.
static NEXT_GENERATION: AtomicU64 = AtomicU64::new(1);

static PREPARED: AtomicBool = AtomicBool::new(false);

/// Prepares this process for forks, once. `in_child` runs in every child that `fork` makes, with
/// the caution of a signal handler: it may only touch atomics and descriptors. `at_exit` runs
/// when a process ends by `exit` or by returning from `main`.
pub(crate) fn prepare(in_child: extern "C" fn(), at_exit: extern "C" fn()) {
    if PREPARED.swap(true, Ordering::AcqRel) {
        return;
    }
    if let Some(page) = wiped_page() {
        PAGE.store(page, Ordering::Release);
    }
    // SAFETY: the handler is a plain function of this library that unwinds nowhere. The library
    // stays loaded as long as the process that linked it.
    unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    // SAFETY: as above.
    unsafe { libc::atexit(at_exit) };
}

/// Runs functions around every `fork` of this process, with the caution of [`prepare`]: one before
/// it, in the thread that forks, and one behind it on either side. To be called once, behind
/// [`prepare`], whose function in the child so runs before this one.
pub(crate) fn surround(
    before: extern "C" fn(),
    in_parent: extern "C" fn(),
    in_child: extern "C" fn(),
) {
    // SAFETY: as in `prepare`.
    unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
}

fn wiped_page() -> Option<*mut AtomicU64> {
    // SAFETY: a new private anonymous mapping touches no memory that anybody uses.
    let page = unsafe {
        libc::mmap(
            ptr::null_mut(),
            size_of::<AtomicU64>(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if page == libc::MAP_FAILED {
        return None;
    }
    // SAFETY: the mapping above is ours and private anonymous, which the advice demands.
    let wiped = unsafe { libc::madvise(page, size_of::<AtomicU64>(), libc::MADV_WIPEONFORK) };
    (wiped == 0).then_some(page.cast())
}

/// The generation of this process: never 0, and never that of an ancestor.
#[inline]
pub(crate) fn generation() -> u64 {
    let page = PAGE.load(Ordering::Acquire);
    if page.is_null() {
        return u64::from(std::process::id());
    }
    // SAFETY: `PAGE` holds null or the page mapped in `prepare`, which is never unmapped.
    let word = unsafe { &*page };
    // Relaxed: within one process the word changes once, from 0, and nothing is published by it.
    match word.load(Ordering::Relaxed) {
        0 => first_generation(word),
        generation => generation,
    }
}

#[cold]
fn first_generation(word: &AtomicU64) -> u64 {
    let mine = NEXT_GENERATION.fetch_add(1, Ordering::Relaxed);
    // Two threads of a new process may race; the process has the generation of the first one.
    match word.compare_exchange(0, mine, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => mine,
        Err(theirs) => theirs,
    }
}

/// Closes a descriptor by its number.
pub(crate) fn close_descriptor(number: i32) {
    // SAFETY: the number was taken from its owner's cell, and the owner is the copy of a parent's
    // connection that this process will never touch again, so that nobody else closes it.
    unsafe { libc::close(number) };
}

/// Ends this process without running what belongs to its parent: destructors, exit handlers,
/// buffers of standard output.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: the process ends here; nothing runs afterwards.
    unsafe { libc::_exit(code) }
}

/// Forks. Returns the child's pid in the parent and `None` in the child.
pub(crate) fn fork() -> nix::Result<Option<nix::unistd::Pid>> {
    // SAFETY: the caller ([`crate::Fleet`]) goes on in the child with code of its own; everything
    // of this library is safe to use there, and its documentation says what is not.
    match unsafe { nix::unistd::fork() }? {
        nix::unistd::ForkResult::Parent { child } => Ok(Some(child)),
        nix::unistd::ForkResult::Child => Ok(None),
    }
}

struct Entry<T> {
    generation: u64,
    value: T,
}

/// A value that each process makes for itself. Values are never freed: a copy that a child
/// inherits may be in any state, and an owner's may still be in use.
pub(crate) struct PerProcess<T: 'static> {
    entry: AtomicPtr<Entry<T>>,
}

impl<T: Send + Sync + 'static> PerProcess<T> {
    pub(crate) const fn new() -> Self {
        Self { entry: AtomicPtr::new(ptr::null_mut()) }
    }

    /// This process's value; the first call in a process makes it.
    pub(crate) fn get(&self, make: impl FnOnce() -> T) -> &'static T {
        let generation = generation();
        let found = self.entry.load(Ordering::Acquire);
        if let Some(entry) = Self::of_generation(found, generation) {
            return entry;
        }
        let fresh = Box::into_raw(Box::new(Entry { generation, value: make() }));
        match self.entry.compare_exchange(found, fresh, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: `fresh` was published and is never freed from here on.
            Ok(_) => unsafe { &(*fresh).value },
            Err(theirs) => {
                // SAFETY: `fresh` was not published, so that this box is its only owner.
                drop(unsafe { Box::from_raw(fresh) });
                // SAFETY: the other thread published an entry of this process, never freed.
                unsafe { &(*theirs).value }
            }
        }
    }

    /// This process's value, if it made one.
    pub(crate) fn existing(&self) -> Option<&'static T> {
        Self::of_generation(self.entry.load(Ordering::Acquire), generation())
    }

    fn of_generation(entry: *mut Entry<T>, generation: u64) -> Option<&'static T> {
        // SAFETY: a pointer in `entry` is null or a published entry, which is never freed. Its
        // generation is written before it is published and never changes. An inherited entry
        // is only asked for its generation.
        let entry = unsafe { entry.as_ref() }?;
        (entry.generation == generation).then_some(&entry.value)
    }
}

/// A list that only grows, readable without a lock.
pub(crate) struct List<T: 'static> {
    head: AtomicPtr<Node<T>>,
}

struct Node<T: 'static> {
    value: &'static T,
    next: *mut Self,
}

impl<T: Sync + 'static> List<T> {
    pub(crate) const fn new() -> Self {
        Self { head: AtomicPtr::new(ptr::null_mut()) }
    }

    pub(crate) fn push(&self, value: &'static T) {
        let node = Box::into_raw(Box::new(Node { value, next: ptr::null_mut() }));
        let mut head = self.head.load(Ordering::Acquire);
        loop {
            // SAFETY: the node is not published yet, so that this thread is its only user.
            unsafe { (*node).next = head };
            match self.head.compare_exchange_weak(head, node, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(found) => head = found,
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &'static T> + use<T> {
        let mut next = self.head.load(Ordering::Acquire);
        std::iter::from_fn(move || {
            // SAFETY: `next` is null or a published node; nodes are never changed or freed.
            let node = unsafe { next.as_ref() }?;
            next = node.next;
            Some(node.value)
        })
    }
}
