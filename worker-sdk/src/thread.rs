//! The thread: what each thread keeps between its records, so that a record costs no lock, no
//! allocation and no question to the kernel.
//!
//! A thread's state belongs to the process in which it was made. A forked child finds a copy of
//! its parent's and takes from it nothing but the buffer: the lanes in it are the parent's, whose
//! memory the child does not even have.

use std::cell::{Cell, RefCell};
use std::mem;

use crate::fork;
use crate::process::Road;
use crate::worker::Worker;

thread_local! {
    static THREAD: ThreadState = const { ThreadState::new() };

    /// Whether this thread is inside of a queue. A record that is made there, by a signal
    /// handler or an allocator that logs, must not wait for the lock that its own thread holds,
    /// nor write into the lane that its own thread writes to. Apart from the rest because it has
    /// no destructor: it is there as long as the thread is.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// What one thread keeps.
pub(crate) struct ThreadState {
    /// Where events are encoded.
    pub(crate) buffer: RefCell<Vec<u8>>,
    /// The kernel's id of this thread and the generation in which it was asked for.
    number: Cell<(u64, u32)>,
    /// One entry per worker: a program has one, rarely two.
    held: RefCell<Vec<Held>>,
}

/// The way that this thread's records take to one worker.
struct Held {
    worker: &'static Worker,
    generation: u64,
    road: Road,
}

/// Who makes a record: a thread, in a process.
#[derive(Clone, Copy)]
pub(crate) struct Caller<'t> {
    /// `None` = the thread ends, and its state is gone already.
    thread: Option<&'t ThreadState>,
    generation: u64,
}

/// Calls with what this thread keeps; with `None` in a destructor that runs after ours.
#[inline]
pub(crate) fn with<T>(mut call: impl FnMut(Option<&ThreadState>) -> T) -> T {
    THREAD.try_with(|thread| call(Some(thread))).unwrap_or_else(|_| call(None))
}

impl ThreadState {
    const fn new() -> Self {
        Self {
            buffer: RefCell::new(Vec::new()),
            number: Cell::new((0, 0)),
            held: RefCell::new(Vec::new()),
        }
    }
}

impl<'t> Caller<'t> {
    /// The caller as it is now. Ask behind the last code of the user's that may fork.
    #[inline]
    pub(crate) fn now(thread: Option<&'t ThreadState>) -> Self {
        Self { thread, generation: fork::generation() }
    }

    /// The kernel's id of this thread, asked for once per thread and process.
    #[inline]
    pub(crate) fn thread_number(self) -> u32 {
        match self.thread {
            Some(thread) => {
                let (known, number) = thread.number.get();
                if known == self.generation { number } else { self.ask_number() }
            }
            None => self.ask_number(),
        }
    }

    #[cold]
    fn ask_number(self) -> u32 {
        let number = u32::try_from(nix::unistd::gettid().as_raw()).unwrap_or(0);
        if let Some(thread) = self.thread {
            thread.number.set((self.generation, number));
        }
        number
    }

    /// Calls with the road of this thread's records to a worker. Only for a thread that is
    /// [`Inside`], so that nobody can come here again meanwhile.
    #[inline]
    pub(crate) fn on_road<T>(
        self,
        worker: &'static Worker,
        call: impl FnOnce(&mut Road) -> T,
    ) -> T {
        let mut held = self.thread.and_then(|thread| thread.held.try_borrow_mut().ok());
        let mut nobodys = None;
        // One call in all, so that it is worth to the compiler to put its code here.
        call(match &mut held {
            Some(held) => self.find_road(worker, held),
            None => nobodys.insert(worker.road_of_nobody()),
        })
    }

    #[inline]
    fn find_road<'h>(self, worker: &'static Worker, held: &'h mut Vec<Held>) -> &'h mut Road {
        let known = held.iter().position(|entry| {
            std::ptr::eq(entry.worker, worker) && entry.generation == self.generation
        });
        let place = known.unwrap_or_else(|| self.make_road(worker, held));
        &mut held[place].road
    }

    #[cold]
    fn make_road(self, worker: &'static Worker, held: &mut Vec<Held>) -> usize {
        let found = Held { worker, generation: self.generation, road: worker.road_of_thread() };
        match held.iter().position(|entry| std::ptr::eq(entry.worker, worker)) {
            Some(place) => {
                // The parent's. Not even dropped: that could unmap what the child has by now at
                // the address of the parent's lanes.
                mem::forget(mem::replace(&mut held[place], found));
                place
            }
            None => {
                held.push(found);
                held.len() - 1
            }
        }
    }
}

/// Gives this thread's lane of a worker back, so that its gap is reported. The thread's next
/// record claims one again. Only for a thread that is [`Inside`].
pub(crate) fn give_back(worker: &'static Worker) {
    let generation = fork::generation();
    with(|thread| {
        let Some(Ok(mut held)) = thread.map(|thread| thread.held.try_borrow_mut()) else { return };
        let mine =
            |entry: &Held| std::ptr::eq(entry.worker, worker) && entry.generation == generation;
        if let Some(place) = held.iter().position(mine) {
            held.swap_remove(place).road.give_back();
        }
    });
}

impl Drop for ThreadState {
    fn drop(&mut self) {
        let generation = fork::generation();
        // A thread that was ended inside of a queue may have left a lane in mid-record. What it
        // did not publish is nothing, as long as nobody goes on behind it.
        let inside = Inside::enter();
        for held in self.held.get_mut().drain(..) {
            if inside.is_some() && held.generation == generation {
                held.road.give_back();
            } else {
                mem::forget(held);
            }
        }
    }
}

/// This thread is inside of a queue until this is dropped.
pub(crate) struct Inside;

impl Inside {
    /// Goes inside; `None` = this thread is there already.
    #[inline]
    pub(crate) fn enter() -> Option<Self> {
        // Not `then_some`: a guard that is made only to be thrown away would open the door.
        (!INSIDE.replace(true)).then(|| Self)
    }
}

impl Drop for Inside {
    #[inline]
    fn drop(&mut self) {
        INSIDE.set(false);
    }
}
