//! The lane's algorithm under loom, which tries every order of its steps and every value that the
//! memory model lets a load see.
//!
//! Loom has no sequentially consistent accesses, only fences, so `publish` is a release store
//! with a fence behind it here. That is what the handshakes need and no more: the real words use
//! sequentially consistent accesses, which give at least that.
//!
//! Each model runs a second time with a word that is too weak, or with two steps exchanged, and
//! must then fail: so the checker is itself checked.
#![allow(missing_docs, reason = "a test has no users")]

use std::process::Command;
use std::time::Duration;

use fleetlog_protocol::lane::{Place, Reader, Word, Writer};
use loom::cell::UnsafeCell;
use loom::model::Builder;
use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

/// What a word leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// `publish` lets a later `observe` pass.
    Fence,
    /// `publish` releases nothing.
    Release,
    /// No load acquires anything.
    Acquire,
}

#[derive(Debug)]
struct ModelWord {
    atomic: AtomicU64,
    fault: Fault,
}

impl ModelWord {
    fn new(value: u64, fault: Fault) -> Self {
        Self { atomic: AtomicU64::new(value), fault }
    }

    fn weakened(&self, order: Ordering) -> Ordering {
        if self.fault == Fault::Acquire { Ordering::Relaxed } else { order }
    }
}

impl Word for ModelWord {
    fn load(&self, order: Ordering) -> u64 {
        self.atomic.load(self.weakened(order))
    }

    fn store(&self, value: u64, order: Ordering) {
        self.atomic.store(value, order);
    }

    fn publish(&self, value: u64) {
        let releases = self.fault != Fault::Release;
        self.atomic.store(value, if releases { Ordering::Release } else { Ordering::Relaxed });
        if self.fault != Fault::Fence {
            fence(Ordering::SeqCst);
        }
    }

    fn observe(&self) -> u64 {
        // A fence here as well would change nothing: each side publishes before it observes.
        self.atomic.load(self.weakened(Ordering::Acquire))
    }
}

/// A lane in the model's memory. Every byte is a cell of its own, so that two threads which touch
/// one at the same time are found.
#[derive(Debug)]
struct Ring {
    head: ModelWord,
    tail: ModelWord,
    quiet: ModelWord,
    waiting: ModelWord,
    bytes: Vec<UnsafeCell<u8>>,
    bed: Mutex<()>,
    alarm: Condvar,
}

// SAFETY: the cells are what the algorithm must keep apart; loom fails the test if it does not.
unsafe impl Send for Ring {}
// SAFETY: as above.
unsafe impl Sync for Ring {}

#[derive(Clone, Debug)]
struct Shared(Arc<Ring>);

impl Shared {
    /// A lane of `capacity` bytes in which `start` bytes were published and released before.
    fn new(capacity: usize, start: u64, fault: Fault) -> Self {
        Self(Arc::new(Ring {
            head: ModelWord::new(start, fault),
            tail: ModelWord::new(start, fault),
            quiet: ModelWord::new(0, fault),
            waiting: ModelWord::new(0, fault),
            bytes: (0..capacity).map(|_| UnsafeCell::new(0)).collect(),
            bed: Mutex::new(()),
            alarm: Condvar::new(),
        }))
    }

    fn cell(&self, at: u64) -> &UnsafeCell<u8> {
        let place = at % self.0.bytes.len() as u64;
        &self.0.bytes[usize::try_from(place).expect("a small lane")]
    }
}

impl Place for Shared {
    type Counter = ModelWord;
    type Flag = ModelWord;

    fn head(&self) -> &ModelWord {
        &self.0.head
    }

    fn tail(&self) -> &ModelWord {
        &self.0.tail
    }

    fn quiet(&self) -> &ModelWord {
        &self.0.quiet
    }

    fn waiting(&self) -> &ModelWord {
        &self.0.waiting
    }

    fn capacity(&self) -> u64 {
        self.0.bytes.len() as u64
    }

    fn copy_in(&self, at: u64, bytes: &[u8]) {
        for (at, byte) in (at..).zip(bytes) {
            // SAFETY: loom hands out a valid pointer, and fails where another thread has one.
            self.cell(at).with_mut(|cell| unsafe { *cell = *byte });
        }
    }

    fn copy_out(&self, at: u64, out: &mut [u8]) {
        for (at, byte) in (at..).zip(out) {
            // SAFETY: as above.
            *byte = self.cell(at).with(|cell| unsafe { *cell });
        }
    }

    /// What a futex does: the look at the word and the falling asleep are one step for whoever
    /// wakes. Without a timeout, so that a lost wake-up is a deadlock.
    fn park(&self, _at_most: Duration) {
        let bed = self.0.bed.lock().expect("nobody panics in bed");
        if self.0.waiting.atomic.load(Ordering::Relaxed) == 1 {
            drop(self.0.alarm.wait(bed).expect("nobody panics in bed"));
        }
    }

    fn unpark(&self) {
        drop(self.0.bed.lock().expect("nobody panics in bed"));
        self.0.alarm.notify_all();
    }
}

/// The connection over which workers ring: a byte in it stays until it is read.
#[derive(Debug)]
struct Bell {
    has_rung: Mutex<bool>,
    wakes: Condvar,
    active: AtomicU64,
}

impl Bell {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            has_rung: Mutex::new(false),
            wakes: Condvar::new(),
            active: AtomicU64::new(0),
        })
    }

    fn ring(&self) {
        self.active.fetch_or(1, Ordering::Release);
        *self.has_rung.lock().expect("a bell") = true;
        self.wakes.notify_one();
    }

    /// Sleeps until somebody rings and the lane is marked, as a listener does that has many lanes
    /// and looks only at those. A ring whose mark an earlier ring brought along is for nothing.
    fn wait(&self) {
        loop {
            let mut has_rung = self.has_rung.lock().expect("a bell");
            while !*has_rung {
                has_rung = self.wakes.wait(has_rung).expect("a bell");
            }
            *has_rung = false;
            drop(has_rung);
            if self.active.swap(0, Ordering::AcqRel) != 0 {
                return;
            }
        }
    }
}

/// Preemptions in one schedule of a model, unless it says otherwise. The faults below need at most
/// two; six keep every model within a few seconds, and without a bound some take minutes.
const PREEMPTIONS: usize = 6;

/// Tries every schedule with at most so many preemptions.
fn check(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

/// Runs a model that must fail in a process of its own: loom's objects can't be dropped while it
/// panics, which ends the process.
fn must_fail(test: &str, why: &str, model: impl FnOnce()) {
    const CANARY: &str = "FLEETLOG_TEST_CANARY";
    if std::env::var_os(CANARY).is_some() {
        return model();
    }
    let output = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", test, "--nocapture"])
        .env(CANARY, "1")
        .output()
        .expect("this test starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "the model did not find it");
    assert!(said.contains(why), "the model failed for another reason: {said}");
}

/// The writer's side of a model: publishes each record when there is room.
fn write(mut writer: Writer<Shared>, records: &[&[u8]], bell: &Bell) {
    let capacity = writer.place().capacity();
    for record in records {
        while !writer.has_room(record.len(), capacity) {
            writer.wait(Duration::MAX);
        }
        writer.fill(record);
        if writer.publish().reader_looks_away {
            bell.ring();
        }
    }
}

/// The reader's side: takes what is there, and sleeps where nothing is.
fn read(mut reader: Reader<Shared>, count: usize, bell: &Bell) -> Vec<u8> {
    let mut taken = Vec::new();
    while taken.len() < count {
        if reader.look().expect("an honest head") == 0 {
            // A ring that is due and does not come is a deadlock.
            if !reader.look_away().expect("an honest head") {
                bell.wait();
            }
            continue;
        }
        reader.take(usize::MAX, &mut taken);
        reader.release(reader.taken());
    }
    taken
}

/// Two records around the end of the lane, and a third into the room of the first: no byte is
/// touched by both sides at once, and all arrive in order.
fn bytes_around_the_end(fault: Fault) {
    check(PREEMPTIONS, move || {
        let place = Shared::new(4, 3, fault);
        let mut writer = Writer::new(place.clone());
        let mut reader = Reader::new(place, 3);
        let writing = thread::spawn(move || {
            for record in [&[1, 2], &[3, 4], &[5, 6]] {
                while !writer.has_room(record.len(), 4) {
                    thread::yield_now();
                }
                writer.fill(record);
                writer.publish();
            }
        });
        let mut taken = Vec::new();
        while taken.len() < 6 {
            let waiting = reader.look().expect("an honest head");
            assert_eq!(waiting % 2, 0, "half a record was published");
            if waiting == 0 {
                thread::yield_now();
                continue;
            }
            reader.take(2, &mut taken);
            reader.release(reader.taken());
        }
        assert_eq!(taken, [1, 2, 3, 4, 5, 6]);
        writing.join().expect("the writer ends");
    });
}

#[test]
fn records_arrive_in_order_around_the_end_and_no_byte_is_raced_for() {
    bytes_around_the_end(Fault::None);
}

#[test]
fn a_publication_that_does_not_release_is_found() {
    must_fail("a_publication_that_does_not_release_is_found", "Causality violation", || {
        bytes_around_the_end(Fault::Release);
    });
}

#[test]
fn a_look_that_does_not_acquire_is_found() {
    must_fail("a_look_that_does_not_acquire_is_found", "Causality violation", || {
        bytes_around_the_end(Fault::Acquire);
    });
}

/// The reader looks away and sleeps whenever nothing is there.
fn doorbell(fault: Fault) {
    check(PREEMPTIONS, move || {
        let place = Shared::new(4, 0, fault);
        let writer = Writer::new(place.clone());
        let reader = Reader::new(place, 0);
        let bell = Bell::new();
        let door = Arc::clone(&bell);
        let writing = thread::spawn(move || write(writer, &[&[1], &[2]], &door));
        assert_eq!(read(reader, 2, &bell), [1, 2]);
        writing.join().expect("the writer ends");
    });
}

#[test]
fn a_reader_that_looks_away_is_rung_for_every_byte_that_it_missed() {
    doorbell(Fault::None);
}

#[test]
fn a_ring_that_is_lost_for_want_of_a_fence_is_found() {
    must_fail("a_ring_that_is_lost_for_want_of_a_fence_is_found", "deadlock", || {
        doorbell(Fault::Fence);
    });
}

/// A full lane, released in two parts of which the first is too small.
fn full_lane(fault: Fault) {
    check(PREEMPTIONS, move || {
        let place = Shared::new(4, 0, fault);
        let mut writer = Writer::new(place.clone());
        writer.fill(&[1, 2, 3, 4]);
        writer.publish();
        let mut reader = Reader::new(place, 0);
        let bell = Bell::new();
        let writing = thread::spawn(move || write(writer, &[&[5, 6]], &bell));
        let mut taken = Vec::new();
        reader.look().expect("an honest head");
        for part in [1, 3] {
            reader.take(part, &mut taken);
            reader.release(reader.taken());
        }
        writing.join().expect("the writer ends");
        reader.look().expect("an honest head");
        reader.take(2, &mut taken);
        assert_eq!(taken, [1, 2, 3, 4, 5, 6]);
    });
}

#[test]
fn a_writer_that_waits_for_room_is_woken_by_the_release_that_makes_it() {
    full_lane(Fault::None);
}

#[test]
fn a_wake_up_that_is_lost_for_want_of_a_fence_is_found() {
    must_fail("a_wake_up_that_is_lost_for_want_of_a_fence_is_found", "deadlock", || {
        full_lane(Fault::Fence);
    });
}

/// Both handshakes at once: a lane of two bytes, three records, and two sides that sleep.
fn both_sleep(fault: Fault) {
    check(4, move || {
        let place = Shared::new(2, 1, fault);
        let writer = Writer::new(place.clone());
        let reader = Reader::new(place, 1);
        let bell = Bell::new();
        let door = Arc::clone(&bell);
        let writing = thread::spawn(move || write(writer, &[&[1, 2], &[3], &[4]], &door));
        assert_eq!(read(reader, 4, &bell), [1, 2, 3, 4]);
        writing.join().expect("the writer ends");
    });
}

#[test]
fn a_lane_whose_two_sides_sleep_moves_on() {
    both_sleep(Fault::None);
}

#[test]
fn a_lane_whose_two_sides_sleep_for_ever_is_found() {
    must_fail("a_lane_whose_two_sides_sleep_for_ever_is_found", "deadlock", || {
        both_sleep(Fault::Fence);
    });
}

/// When a drain reads the clock that cuts it off.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CutOff {
    BeforeHeads,
    AfterHeads,
}

/// One worker publishes on its lane; another has seen that it did, and publishes on its own; a
/// drain reads both. An effect that the drain writes never comes without its cause.
///
/// The clock is a counter that everybody adds to, because a reading of the host's clock is later
/// than all that came before it in time; a counter that is only loaded could be read late.
fn cause_and_effect(cut_off: CutOff) {
    check(PREEMPTIONS, move || {
        let clock = Arc::new(AtomicU64::new(1));
        let lanes = [Shared::new(2, 0, Fault::None), Shared::new(2, 0, Fault::None)];
        let [mut cause, mut effect] = lanes.clone().map(Writer::new);
        let mut readers = lanes.map(|lane| Reader::new(lane, 0));
        let returned = Arc::new(AtomicBool::new(false));

        let stamp = |clock: &AtomicU64| {
            u8::try_from(clock.fetch_add(1, Ordering::AcqRel)).expect("a short model")
        };
        let (its_clock, has_returned) = (Arc::clone(&clock), Arc::clone(&returned));
        let first = thread::spawn(move || {
            cause.fill(&[stamp(&its_clock)]);
            cause.publish();
            has_returned.store(true, Ordering::Release);
        });
        let its_clock = Arc::clone(&clock);
        let second = thread::spawn(move || {
            if returned.load(Ordering::Acquire) {
                effect.fill(&[stamp(&its_clock)]);
                effect.publish();
            }
        });

        let mut limit = stamp(&clock);
        // The cause's lane first: the other order can't miss it.
        let seen = readers.each_mut().map(|reader| {
            let mut taken = Vec::new();
            reader.look().expect("an honest head");
            reader.take(1, &mut taken);
            taken.first().copied()
        });
        if cut_off == CutOff::AfterHeads {
            limit = stamp(&clock);
        }
        let [cause, effect] = seen;
        if let Some(effect) = effect.filter(|effect| *effect <= limit) {
            assert!(cause.is_some_and(|cause| cause < effect), "an effect without its cause");
        }
        first.join().expect("the cause ends");
        second.join().expect("the effect ends");
    });
}

#[test]
fn a_drain_that_reads_the_clock_before_the_heads_sees_every_cause() {
    cause_and_effect(CutOff::BeforeHeads);
}

#[test]
fn a_drain_that_reads_the_clock_after_the_heads_is_found() {
    must_fail(
        "a_drain_that_reads_the_clock_after_the_heads_is_found",
        "an effect without its cause",
        || cause_and_effect(CutOff::AfterHeads),
    );
}
