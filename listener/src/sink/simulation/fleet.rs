//! A listener's file half under simulation: it is fed records, and everything happens to it.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fleetlog_protocol::Level;
use fleetlog_protocol::callsite::Callsite;
use fleetlog_protocol::message::QueueId;
use fleetlog_protocol::record::{FieldName, Record, RecordEncoder};

use super::model::{self, Bounds};
use crate::checkpoint::{Advance, Checkpoint, QueueSlot, QueueState};
use crate::disk::SharedDisk;
use crate::disk::simulated::{Planted, Simulated};
use crate::format::{Format, Line, Origin, TimeZoneChoice};
use crate::options::{Compression, Keeping, Options, Period, SinkOptions, SinkTarget, Sync};
use crate::sink::{Appended, Sinks};

/// 2026-10-24T22:00:00Z: the night in which central Europe's clocks fall back.
const BEGIN: u64 = 1_792_879_200_000_000_000;
const SECOND: u64 = 1_000_000_000;

pub(super) const LOG: &str = "/log/apps.log";
/// How the names of the second log and its archives begin; it keeps everything.
pub(super) const COPY: &str = "/log/copy";
const RUN_DIR: &str = "/run";

/// What happens in one run.
const EVENTS: u64 = 60;

/// The process that lives at the moment.
struct Process {
    checkpoint: Checkpoint,
    sinks: Sinks,
    queue: QueueSlot,
}

pub(super) struct Fleet {
    random: u64,
    disk: Simulated,
    options: Options,
    bounds: Bounds,
    process: Option<Process>,
    /// The next record to feed; the one behind the last that is in a batch.
    next: u64,
    /// The record behind the last that is committed.
    committed: u64,
    now: u64,
    moved: u64,
    story: String,
}

impl Fleet {
    pub(super) fn new(seed: u64, planted: Option<Planted>) -> Self {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let disk = Simulated::new(next(&mut random), BEGIN);
        if let Some(fault) = planted {
            disk.plant(fault);
        }
        let bounds = Bounds::any(|| next(&mut random));
        let sink = |path: &str, keeping: Keeping| SinkOptions {
            format: Format::template("{message}").unwrap(),
            keeping,
            ..SinkOptions::new(SinkTarget::File(path.into()))
        };
        let mut options = Options::new(RUN_DIR);
        options.sync = if next(&mut random).is_multiple_of(2) { Sync::Always } else { Sync::Never };
        options.sinks = vec![sink(LOG, bounds.keeping())];
        if next(&mut random).is_multiple_of(3) {
            options.sinks.push(sink("/log/copy.log", Keeping::forever()));
        }
        let story = format!("{bounds:?} {:?} {} sinks\n", options.sync, options.sinks.len());
        Self {
            random,
            disk,
            options,
            bounds,
            process: None,
            next: 1,
            committed: 1,
            now: BEGIN,
            moved: 0,
            story,
        }
    }

    /// A log that is rotated each hour of local time.
    pub(super) fn of_one_night() -> Self {
        let mut fleet = Self::new(1, None);
        let keeping = Keeping {
            rotation: Some(Period::Hourly),
            timezone: TimeZoneChoice::Local,
            ..Keeping::default()
        };
        fleet.options.sinks.truncate(1);
        fleet.options.sinks[0].keeping = keeping;
        fleet
    }

    /// A record each minute for six hours, and the numbers in each file behind them.
    pub(super) fn live_through_the_night(&mut self) -> Vec<(String, Vec<u64>)> {
        for minute in 0..360 {
            self.now = BEGIN + minute * 60 * SECOND;
            self.disk.set_clock(self.now);
            self.attempt(|fleet| fleet.write(1));
        }
        let files = self.disk.files().into_iter();
        let numbers = |path: &Path, bytes: &[u8]| model::numbers(path, bytes).expect("whole lines");
        files.map(|(path, bytes)| (path.display().to_string(), numbers(&path, &bytes))).collect()
    }

    pub(super) fn steps(&self) -> u64 {
        self.disk.steps()
    }

    pub(super) fn story(&self) -> &str {
        &self.story
    }

    fn random(&mut self, below: u64) -> u64 {
        next(&mut self.random) % below
    }

    fn tell(&mut self, what: &str) {
        let _ = writeln!(self.story, "{:>6} {what}", self.disk.steps());
    }

    /// Lives through all events and is judged at the end.
    pub(super) fn live(&mut self) -> Result<(), String> {
        for _ in 0..EVENTS {
            self.event();
            self.check_now()?;
        }
        self.disk.leave_room(None);
        self.disk.revive();
        self.process = None;
        self.tell("the end: everything heals");
        for _ in 0..200 {
            self.disk.pass(60);
            self.attempt(|fleet| fleet.write(0));
            self.check_now()?;
        }
        self.process = None;
        let sinks = self.options.sinks.len();
        self.bounds.judge(&self.disk, self.next - 1, sinks)
    }

    fn check_now(&mut self) -> Result<(), String> {
        self.bounds.note_removed(&self.disk)?;
        self.bounds.check_total(&self.disk)
    }

    fn event(&mut self) {
        match self.random(20) {
            0..8 => {
                let count = self.random(12) + 1;
                self.attempt(|fleet| fleet.write(count));
            }
            8 => {
                let steps = self.random(60) + 1;
                self.tell(&format!("a kill comes in {steps} steps"));
                self.disk.kill_in(steps);
            }
            9 => {
                let steps = self.random(60) + 1;
                self.tell(&format!("an error comes in {steps} steps"));
                self.disk.fail_in(steps);
            }
            10 => {
                let room = self.random(3000);
                self.tell(&format!("somebody fills the disk but for {room} bytes"));
                self.disk.leave_room(Some(room));
            }
            11 | 12 => {
                self.tell("there is room again");
                self.disk.leave_room(None);
            }
            13 | 14 => {
                let step = self.random(4 * 3600) * SECOND;
                let back = self.random(4) == 0;
                self.now = if back { self.now - step / 2 } else { self.now + step };
                self.tell(&format!("the clock is set to {} s", (self.now - BEGIN / 2) / SECOND));
                self.disk.set_clock(self.now);
            }
            15 => self.attempt(|fleet| {
                fleet.tell("rotate");
                fleet.finish_batch()?;
                let Some(process) = &mut fleet.process else { return Ok(()) };
                process.sinks.rotate(&process.checkpoint).map(|_| ()).map_err(|error| error.source)
            }),
            16 => {
                self.moved += 1;
                let to = PathBuf::from(format!("/log/apps.log.{:06}", self.moved));
                self.tell(&format!("somebody moves the log to {}", to.display()));
                self.disk.move_away(Path::new(LOG), &to);
            }
            17 => self.attempt(|fleet| {
                fleet.tell("reopen");
                let Some(process) = &mut fleet.process else { return Ok(()) };
                process.sinks.reopen(&process.checkpoint).map(|_| ()).map_err(|error| error.source)
            }),
            18 => {
                self.tell("a restart");
                self.process = None;
            }
            _ => self.attempt(|fleet| fleet.write(0)),
        }
    }

    /// Tries something with a process that lives. After a kill the next one is started later.
    fn attempt(&mut self, act: impl FnOnce(&mut Self) -> io::Result<()>) {
        if self.disk.is_dead() {
            self.tell("it is dead");
            self.process = None;
            self.disk.revive();
        }
        let done = match self.process {
            Some(_) => Ok(()),
            None => self.start(),
        };
        let done = done.and_then(|()| act(self));
        if let Err(error) = done {
            self.tell(&format!("failed: {error}"));
        }
    }

    fn start(&mut self) -> io::Result<()> {
        let disk: SharedDisk = Arc::new(self.disk.clone());
        let run_dir = Path::new(RUN_DIR);
        let (mut checkpoint, recovery) = Checkpoint::open(SharedDisk::clone(&disk), run_dir)?;
        let known = checkpoint.queues().first().map(|(slot, state)| (*slot, state.position));
        let (queue, position) = match known {
            Some(known) => known,
            None => (checkpoint.add_queue(&fresh_queue())?, 0),
        };
        let sinks = Sinks::open(&self.options, disk, None, &mut checkpoint);
        let sinks = sinks.map_err(|error| error.source)?;
        self.tell(&format!("a start behind record {position}: {recovery:?}"));
        self.next = position + 1;
        self.committed = self.next;
        self.process = Some(Process { checkpoint, sinks, queue });
        Ok(())
    }

    /// What a round of the drain does with so many records.
    fn write(&mut self, count: u64) -> io::Result<()> {
        if count > 0 {
            self.tell(&format!("{count} records from {}", self.next));
        }
        self.finish_batch()?;
        for _ in 0..count {
            let mut tries = 0;
            while self.feed() == Appended::Full {
                self.finish_batch()?;
                tries += 1;
                assert!(tries < 10, "a log that is rotated has room\n{}", self.story);
            }
        }
        self.finish_batch()?;
        let now = self.now;
        let Some(process) = &mut self.process else { return Ok(()) };
        process.sinks.tend(now, &process.checkpoint).map_err(|error| error.source)
    }

    /// Puts the next record into the batch.
    fn feed(&mut self) -> Appended {
        let number = self.next;
        let (record, callsite) = (record(number, self.bounds.padding(number)), callsite());
        let record = Record::decode(&record).unwrap();
        let line = Line {
            record: &record,
            callsite: &callsite,
            worker: "worker",
            pid: 1,
            lane: 1,
            time: self.now,
            repeats: &[],
            origin: Origin::Client,
        };
        let Some(process) = &mut self.process else { return Appended::Taken };
        let mask = process.sinks.interested(Level::Info, "simulation");
        let appended = process.sinks.append(mask, &line);
        if appended == Appended::Taken {
            self.next += 1;
        }
        appended
    }

    /// As the drain's commit: the batch, and the rotation that it asked for.
    fn finish_batch(&mut self) -> io::Result<()> {
        let Some(process) = &mut self.process else { return Ok(()) };
        let position = self.next - 1;
        let advance =
            Advance { queue: process.queue, position, written: position, tail: 0, ends: false };
        let Process { sinks, checkpoint, .. } = process;
        let committed = match sinks.is_writing() || sinks.buffered() > 0 {
            true => sinks.commit(checkpoint, &[advance]),
            false => Ok(()),
        };
        let turned = committed.and_then(|()| {
            self.committed = self.next;
            sinks.turn_full(checkpoint)
        });
        turned.map_err(|error| error.source)
    }
}

fn next(random: &mut u64) -> u64 {
    // A xorshift generator, whose upper bits are the better ones.
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    *random >> 11
}

fn fresh_queue() -> QueueState {
    QueueState {
        id: QueueId(1),
        position: 0,
        written: 0,
        pid: 1,
        uid: 1,
        start_time: 1,
        tail: 0,
        lane: 1,
        name: "worker".to_owned(),
    }
}

fn record(number: u64, padding: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = RecordEncoder::new(&mut bytes, Level::Info, 64 << 10);
    let mut fields = encoder.fields();
    fields.str(FieldName::Index(0), &model::line(number, padding));
    let (count, missing) = (fields.count(), fields.missing());
    encoder.finish(1, count, missing);
    bytes
}

fn callsite() -> Callsite {
    Callsite {
        level: Level::Info,
        target: "simulation".to_owned(),
        name: "event".to_owned(),
        file: None,
        line: None,
        module_path: None,
        fields: vec!["message".to_owned()],
    }
}

impl Bounds {
    fn keeping(&self) -> Keeping {
        Keeping {
            rotation: self.period,
            max_size: Some(self.max_size),
            max_files: self.max_files,
            max_age: self.max_age,
            max_total_size: Some(self.max_total_size),
            compression: self.compression,
            delay_compress: self.delay_compress,
            ..Keeping::default()
        }
    }

    fn any(mut random: impl FnMut() -> u64) -> Self {
        let max_size = 200 + random() % 800;
        Self {
            max_size,
            // Half of the runs keep everything, so that nothing can hide in what was removed.
            max_total_size: if random().is_multiple_of(2) { u64::MAX } else { max_size * 10 },
            max_files: (random().is_multiple_of(4)).then_some(u32::try_from(random() % 6).unwrap()),
            max_age: (random().is_multiple_of(6)).then_some(Duration::from_secs(6 * 3600)),
            period: match random() % 4 {
                0 => Some(Period::Hourly),
                1 => Some(Period::Daily),
                _ => None,
            },
            compression: match random() % 8 {
                0..3 => Compression::Gzip,
                3 => Compression::Zstd,
                _ => Compression::None,
            },
            delay_compress: random().is_multiple_of(2),
            giants: random().is_multiple_of(4),
            removed: Vec::new(),
        }
    }
}
