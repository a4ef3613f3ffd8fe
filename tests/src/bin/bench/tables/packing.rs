//! Packing: single calls while the listener compresses an old file.
//!
//! The packer takes a CPU, and where CPUs are few any busy process delays the workers. So there is a
//! row beside a process of the lowest priority that computes and logs nothing: what packing costs
//! beyond that is the logger's.

use std::fmt;
use std::fs::File;
use std::hint::black_box;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use fleetlog::options::{Compression, Keeping};

use super::{Listen, Row, Table, heading};
use crate::options::Options;
use crate::peer::Peer;
use crate::place::Place;
use crate::trial::{Course, Trial};
use crate::workload::{self, BURST, Calls};

/// Steps between two looks for the end.
const STEPS: u64 = 100_000;

/// What the lowest priority is.
const NICEST: i32 = 19;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    Nothing,
    Computing,
    Packing,
}

impl fmt::Display for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Nothing => "nothing",
            Self::Computing => "a process that computes, niced",
            Self::Packing => "zstd packs an old file",
        })
    }
}

#[derive(Debug)]
struct Measured {
    calls: Calls,
    /// The packer had not finished when the last call returned.
    outlasted: bool,
}

#[derive(Debug)]
pub(super) struct Packing {
    workers: u32,
    bursts: u32,
    rounds: u32,
    bytes: u64,
    rows: Vec<Row<(Peer, Beside), Measured>>,
}

impl Packing {
    pub(super) fn new(options: &Options) -> Self {
        let sides = [Beside::Nothing, Beside::Computing, Beside::Packing];
        let settings = options.fleetlog().flat_map(|peer| sides.map(move |beside| (peer, beside)));
        Self {
            workers: options.workers,
            bursts: options.bursts.max(1),
            rounds: options.rounds,
            bytes: options.packed,
            rows: settings.map(Row::new).collect(),
        }
    }

    fn alone(&self, peer: Peer) -> Option<&Row<(Peer, Beside), Measured>> {
        self.rows.iter().find(|row| row.setting == (peer, Beside::Nothing))
    }
}

impl Table for Packing {
    fn round(&mut self, tell: Listen<'_>) -> io::Result<()> {
        for row in &mut self.rows {
            let (peer, beside) = row.setting;
            tell(&format!("calls of {peer} beside: {beside}"));
            let (course, measured) = measure(peer, beside, self.workers, self.bursts, self.bytes)?;
            row.add(course, measured);
        }
        Ok(())
    }

    fn foreign(&self) -> Vec<f64> {
        self.rows.iter().flat_map(Row::foreign).collect()
    }
}

fn measure(
    peer: Peer,
    beside: Beside,
    workers: u32,
    bursts: u32,
    bytes: u64,
) -> io::Result<(Course, Measured)> {
    let place = Place::new()?;
    let folder = place.file().with_file_name("");
    // Every row has the file in the page cache, whether somebody packs it or not.
    let old = write_old_file(&folder, bytes)?;
    let compression = match beside {
        Beside::Packing => Compression::Zstd,
        Beside::Nothing | Beside::Computing => Compression::None,
    };
    let trial = Trial::begin_in(place, peer, &Keeping { compression, ..Keeping::forever() })?;
    let neighbours = u32::from(beside == Beside::Computing);
    let mut computing = trial.fork(workers..workers + neighbours, |_, leave, gate| {
        gate.wait()?;
        let _ = be_nice();
        let end = gate.end()?;
        gate.arrive()?;
        while !end.is_here()? {
            black_box((0..STEPS).fold(0, |sum, step| black_box(sum ^ step)));
        }
        leave();
        Ok(Vec::new())
    })?;
    let pool = trial.fork(0..workers, |_, leave, gate| {
        workload::warm_up();
        gate.wait()?;
        let calls = workload::log_in_bursts(bursts);
        leave();
        Ok(calls.encode())
    })?;
    computing.open()?;
    computing.meet()?;
    let (start, results) = pool.run()?;
    let outlasted = old.exists();
    computing.finish()?;
    let records = vec![workload::records_of_bursts(bursts); workers as usize];
    let course = trial.end(start, &records)?;
    Ok((course, Measured { calls: Calls::of(&results)?, outlasted }))
}

/// Gives this process the priority that the packer has.
fn be_nice() -> io::Result<()> {
    rustix::process::setpriority_process(None, NICEST)?;
    Ok(())
}

/// An archive as a worker fleet leaves it, which the listener finds when it starts.
fn write_old_file(folder: &Path, bytes: u64) -> io::Result<std::path::PathBuf> {
    let path = folder.join("apps.2026-01-01T00-00-00Z.log");
    let mut file = BufWriter::with_capacity(1 << 20, File::create(&path)?);
    let (mut written, mut state) = (0, 1_u64);
    while written < bytes {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let (user, took) = (state >> 48, state >> 20 & 0xffff);
        let line = format!(
            "2026-01-01T00:00:00.{:06}Z  INFO worker {}[{}] request{{id={state:x}}}: \
             shop::cart: item added user={user} took_us={took}\n",
            written % 1_000_000,
            user % 8,
            1000 + user % 8,
        );
        file.write_all(line.as_bytes())?;
        written += line.len() as u64;
    }
    file.flush()?;
    Ok(path)
}

impl fmt::Display for Packing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { workers, bursts, rounds, bytes, .. } = self;
        heading(
            f,
            &format!(
                "Packing: single calls of {workers} workers, {BURST} records every millisecond, \
                 {bursts} bursts a worker, while an old file of {} MiB is there, {rounds} rounds",
                bytes >> 20
            ),
            &["peer", "beside", "p50 µs", "p99 µs", "p99 against beside nothing", "packed", "file"],
        )?;
        for row in &self.rows {
            let (peer, beside) = row.setting;
            let outlasted = row.measured().all(|measured| measured.outlasted);
            let packed = match (beside, outlasted) {
                (Beside::Packing, true) => "all the time",
                (Beside::Packing, false) => "not to the end",
                _ => "-",
            };
            writeln!(
                f,
                "| {peer} | {beside} | {:.3} | {:.2} | {:.2} | {packed} | {} |",
                row.spread(|_, measured| measured.calls.micros(5000)),
                row.spread(|_, measured| measured.calls.micros(9900)),
                row.against(self.alone(peer), |_, measured| measured.calls.micros(9900)),
                row.verdict(),
            )?;
        }
        Ok(())
    }
}
