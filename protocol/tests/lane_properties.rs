//! A lane in a real segment, mapped twice, against a queue that can't be wrong: any interleaving
//! of its two sides, and any scribble over its words.
#![allow(missing_docs, unreachable_pub, reason = "a test has no users")]

#[allow(dead_code, reason = "the raw file serves several tests")]
mod raw_segment;

use std::collections::VecDeque;
use std::time::Duration;

use fleetlog_protocol::lane::{Corrupt, Place as _, Reader, Writer};
use fleetlog_protocol::segment::{ForeignSegment, MappedLane, Segment};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use raw_segment::{HEAD, LANE_BYTES, QUIET, RawSegment, TAIL, WAITING, words};
use tempfile::TempDir;

/// Any but the first, so that a confusion of lanes shows.
const LANE: u64 = 2;

#[derive(Clone, Debug)]
enum Step {
    Fill(usize),
    Publish,
    Look,
    Take(usize),
    Release(Index),
    LookAway,
}

fn step() -> impl Strategy<Value = Step> {
    // Short ones, and ones of which a few fill the lane.
    let length = || prop_oneof![0..300_usize, 0..150_000_usize];
    prop_oneof![
        3 => length().prop_map(Step::Fill),
        3 => Just(Step::Publish),
        3 => Just(Step::Look),
        3 => length().prop_map(Step::Take),
        3 => any::<Index>().prop_map(Step::Release),
        1 => Just(Step::LookAway),
    ]
}

/// Where a lane's counters begin: at zero, shortly before the ring's end on some later round, and
/// where no counter will ever get.
fn start() -> impl Strategy<Value = u64> {
    let before_an_end =
        (1..1_u64 << 30, 0..400_u64).prop_map(|(round, before)| round * LANE_BYTES - before);
    prop_oneof![Just(0), before_an_end, Just(u64::MAX - (1 << 40))]
}

/// A lane, both its sides, and what they must agree on.
struct Bench {
    reader: Reader<MappedLane>,
    writer: Writer<MappedLane>,
    raw: RawSegment,
    released: u64,
    /// Taken and not released.
    taken: u64,
    /// Published and not taken.
    published: VecDeque<u8>,
    /// Filled and not published.
    filled: VecDeque<u8>,
    /// Published when the reader looked last, and not taken.
    seen: usize,
    next: u8,
    looks_away: bool,
    _segment: Segment,
    _dir: TempDir,
}

impl Bench {
    fn new(start: u64) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let segment = Segment::create(&dir.path().join("run"), "w").expect("a segment");
        let lane = segment
            .allocate_lane(
                usize::try_from(LANE).expect("small"),
                fleetlog_protocol::limits::LANE_CAPACITY,
            )
            .expect("a lane");
        let run_dir = dir.path().join("run");
        let raw = RawSegment::open(&run_dir, segment.name());
        raw.set_word(words(LANE) + HEAD, start);
        raw.set_word(words(LANE) + TAIL, start);
        raw.write(words(LANE) + QUIET, &[0; 4]);
        let foreign = ForeignSegment::open(&run_dir, segment.name()).expect("it is a segment");
        Self {
            reader: Reader::new(foreign.lane(usize::try_from(LANE).expect("small")), start),
            writer: Writer::new(lane),
            raw,
            released: start,
            taken: 0,
            published: VecDeque::new(),
            filled: VecDeque::new(),
            seen: 0,
            next: 0,
            looks_away: false,
            _segment: segment,
            _dir: dir,
        }
    }

    fn used(&self) -> u64 {
        self.taken + (self.published.len() + self.filled.len()) as u64
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Fill(len) => self.fill(*len),
            Step::Publish => {
                self.published.append(&mut self.filled);
                let published = self.writer.publish();
                assert_eq!(published.reader_looks_away, self.looks_away);
                self.looks_away = false;
                assert_eq!(self.raw.word(words(LANE) + HEAD), self.writer.head());
            }
            Step::Look => {
                self.seen = self.published.len();
                assert_eq!(self.reader.look(), Ok(self.seen as u64));
            }
            Step::Take(most) => self.take(*most),
            Step::Release(part) => {
                let part = part.index(usize::try_from(self.taken).expect("a lane") + 1) as u64;
                self.released += part;
                self.taken -= part;
                self.reader.release(self.released);
                assert_eq!(self.raw.word(words(LANE) + TAIL), self.released);
            }
            Step::LookAway => {
                self.seen = self.published.len();
                assert_eq!(self.reader.look_away(), Ok(self.seen > 0));
                self.looks_away = self.seen == 0;
            }
        }
        assert_eq!(self.reader.waiting(), self.seen as u64);
        assert_eq!(self.reader.taken(), self.released + self.taken);
        assert_eq!(self.writer.look(), self.used());
    }

    fn fill(&mut self, len: usize) {
        let has_room = self.writer.has_room(len, LANE_BYTES);
        assert_eq!(has_room, self.used() + len as u64 <= LANE_BYTES);
        if !has_room {
            return;
        }
        // A period that divides no power of two, so that bytes of another round differ.
        let bytes: Vec<u8> = (0..len)
            .map(|_| {
                self.next = (self.next + 1) % 251;
                self.next
            })
            .collect();
        self.writer.fill(&bytes);
        self.filled.extend(bytes);
    }

    fn take(&mut self, most: usize) {
        let mut out = b"kept".to_vec();
        let taken = self.reader.take(most, &mut out);
        assert_eq!(taken, most.min(self.seen));
        let expected: Vec<u8> = self.published.drain(..taken).collect();
        assert!(out.starts_with(b"kept") && out[4..] == expected, "the bytes are those filled in");
        self.seen -= taken;
        self.taken += taken as u64;
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_lane_is_a_queue_of_bytes_whatever_its_sides_do(
        start in start(),
        steps in vec(step(), 1..80),
    ) {
        let mut bench = Bench::new(start);
        steps.iter().for_each(|step| bench.step(step));
        // The next reader finds what this one did not release.
        bench.step(&Step::Publish);
        let lane = bench.reader.place().clone();
        bench.reader = Reader::new(lane, bench.released);
        let mut out = Vec::new();
        prop_assert_eq!(bench.reader.look(), Ok(bench.used()));
        bench.reader.take(usize::MAX, &mut out);
        let unseen: Vec<u8> = bench.published.into_iter().collect();
        prop_assert!(out.ends_with(&unseen));
        prop_assert_eq!(out.len() as u64, bench.taken + unseen.len() as u64);
    }

    #[test]
    fn a_head_that_cannot_be_true_is_corrupt_and_never_a_panic(
        start in start(),
        before in vec(step(), 0..30),
        scribble in prop_oneof![any::<u64>().boxed(), (0..3 * LANE_BYTES).boxed()],
        is_absolute in any::<bool>(),
        after in vec(0..150_000_usize, 0..4),
    ) {
        let mut bench = Bench::new(start);
        before.iter().for_each(|step| bench.step(step));
        let seen = bench.reader.taken() + bench.reader.waiting();
        let scribble = if is_absolute { scribble } else {
            bench.released.wrapping_sub(LANE_BYTES).wrapping_add(scribble)
        };
        bench.raw.set_word(words(LANE) + HEAD, scribble);

        let is_possible = scribble >= seen && scribble - bench.released <= LANE_BYTES;
        let corrupt = Corrupt { head: scribble, seen, released: bench.released };
        let taken = bench.reader.taken();
        prop_assert_eq!(bench.reader.look(), if is_possible { Ok(scribble - taken) } else { Err(corrupt) });
        prop_assert_eq!(bench.reader.look_away().is_ok(), is_possible);
        // Whatever was accepted can be taken and released; nothing is read beyond it.
        let mut out = Vec::new();
        let waiting = bench.reader.waiting();
        for most in after {
            bench.reader.take(most, &mut out);
        }
        prop_assert!(out.len() as u64 <= waiting && waiting <= LANE_BYTES);
        bench.reader.release(bench.reader.taken());

        // The writer has its own counter, and sets the shared one right.
        let head = bench.writer.filled();
        bench.writer.publish();
        prop_assert_eq!((bench.writer.head(), bench.raw.word(words(LANE) + HEAD)), (head, head));
    }

    #[test]
    fn a_tail_that_cannot_be_true_leaves_the_writer_its_view(
        start in start(),
        before in vec(step(), 0..30),
        scribbles in vec((any::<bool>(), prop_oneof![any::<u64>().boxed(), (0..3 * LANE_BYTES).boxed()]), 1..6),
        len in 0..300_000_usize,
    ) {
        let mut bench = Bench::new(start);
        before.iter().for_each(|step| bench.step(step));
        let mut view = bench.writer.filled() - bench.writer.look();
        for (is_absolute, scribble) in scribbles {
            let scribble = if is_absolute { scribble } else {
                bench.released.wrapping_sub(LANE_BYTES).wrapping_add(scribble)
            };
            bench.raw.set_word(words(LANE) + TAIL, scribble);
            // One that could be true can't be told from a true one; it only ever makes room of
            // what was published.
            if (view..=bench.writer.head()).contains(&scribble) {
                view = scribble;
            }
            prop_assert_eq!(bench.writer.look(), bench.writer.filled() - view);
            let has_room = bench.writer.has_room(len, LANE_BYTES);
            prop_assert_eq!(has_room, bench.writer.filled() + len as u64 - view <= LANE_BYTES);
        }
        if bench.writer.has_room(len, LANE_BYTES) {
            bench.writer.fill(&vec![7; len]);
            bench.writer.publish();
        }
        prop_assert!(bench.writer.head() - view <= LANE_BYTES);
    }

    #[test]
    fn a_writer_that_begins_on_scribbled_words_never_panics(
        head in prop_oneof![Just(0), any::<u32>().prop_map(u64::from)],
        tail in any::<u64>(),
        waiting in any::<u32>(),
        len in 0..300_000_usize,
    ) {
        let bench = Bench::new(0);
        bench.raw.set_word(words(LANE) + HEAD, head);
        bench.raw.set_word(words(LANE) + TAIL, tail);
        bench.raw.write(words(LANE) + WAITING, &waiting.to_le_bytes());
        let mut writer = Writer::new(bench.reader.place().clone());
        let used = writer.look();
        prop_assert!(used <= LANE_BYTES, "{} bytes of a lane are used", used);
        if writer.has_room(len, LANE_BYTES) {
            prop_assert!(used + len as u64 <= LANE_BYTES);
            writer.fill(&vec![7; len]);
            writer.publish();
        }
    }
}

#[test]
fn a_writer_without_room_sleeps_until_the_release() {
    let mut bench = Bench::new(LANE_BYTES - 5);
    bench.step(&Step::Fill(LANE_BYTES.try_into().expect("small")));
    bench.step(&Step::Publish);
    bench.step(&Step::Look);
    bench.step(&Step::Take(100));
    let Bench { mut reader, mut writer, raw, .. } = bench;
    let waiting = std::thread::spawn(move || {
        while !writer.has_room(100, LANE_BYTES) {
            // A minute is the end of the test's patience, not of a futex that works.
            writer.wait(Duration::from_secs(60));
        }
        writer
    });
    while raw.word(words(LANE) + QUIET) >> 32 == 0 {
        std::thread::yield_now();
    }
    reader.release(reader.taken());
    let writer = waiting.join().expect("it was woken");
    assert_eq!(raw.read(words(LANE) + WAITING, 4), [0; 4]);
    assert_eq!(writer.place().capacity(), LANE_BYTES);
}

#[test]
fn a_writer_that_nobody_wakes_looks_again_by_itself() {
    let mut bench = Bench::new(0);
    bench.step(&Step::Fill(LANE_BYTES.try_into().expect("small")));
    bench.step(&Step::Publish);
    bench.writer.wait(Duration::from_millis(1));
    assert!(!bench.writer.has_room(1, LANE_BYTES));
}

#[test]
fn counters_of_other_lanes_are_not_touched() {
    let mut bench = Bench::new(0);
    for step in [Step::Fill(70), Step::Publish, Step::Look, Step::Take(70)] {
        bench.step(&step);
    }
    bench.reader.release(70);
    for lane in (0..64).filter(|lane| *lane != LANE) {
        assert_eq!(bench.raw.read(words(lane), 384), vec![0; 384], "lane {lane}");
    }
}
