//! Memory: the listener's at its peak, and that of the files through which lanes are shared.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::unistd::Pid;

use super::{Listen, Row, Table, heading};
use crate::options::Options;
use crate::peer::Peer;
use crate::trial::{Course, Trial};
use crate::workload;

/// Records of each thread.
const RECORDS: u32 = 1000;

/// Threads of a worker that logs from several.
const THREADS: u32 = 8;

/// What `st_blocks` counts in, whatever the file system's own blocks are.
const BLOCK: u64 = 512;

const MEBIBYTE: f64 = (1 << 20) as f64;

#[derive(Clone, Copy, Debug)]
struct Fleet {
    workers: u32,
    threads: u32,
}

#[derive(Clone, Copy, Debug)]
struct Bytes {
    listener: u64,
    /// `None` where there is no folder for lanes.
    lanes: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Memory {
    rounds: u32,
    rows: Vec<Row<(Peer, Fleet), Bytes>>,
}

impl Memory {
    pub(super) fn new(options: &Options) -> Self {
        let Options { workers, fleet, rounds, .. } = *options;
        let fleets = [(workers, 1), (workers, THREADS), (fleet, 1)];
        let settings = options.fleetlog().flat_map(|peer| {
            fleets.map(move |(workers, threads)| (peer, Fleet { workers, threads }))
        });
        Self { rounds, rows: settings.map(Row::new).collect() }
    }
}

impl Table for Memory {
    fn round(&mut self, tell: Listen<'_>) -> io::Result<()> {
        for row in &mut self.rows {
            let (peer, fleet) = row.setting;
            tell(&format!("memory of {peer}, {} workers", fleet.workers));
            let (course, bytes) = measure(peer, fleet)?;
            row.add(course, bytes);
        }
        Ok(())
    }

    fn foreign(&self) -> Vec<f64> {
        self.rows.iter().flat_map(Row::foreign).collect()
    }
}

fn measure(peer: Peer, fleet: Fleet) -> io::Result<(Course, Bytes)> {
    let Fleet { workers, threads } = fleet;
    let trial = Trial::begin(peer)?;
    let mut pool = trial.fork(0..workers, |_, leave, gate| {
        gate.wait()?;
        let end = gate.end()?;
        workload::log_and_stay(threads, RECORDS, end, || gate.arrive())?;
        leave();
        Ok(Vec::new())
    })?;
    let start = pool.open()?;
    pool.meet()?;
    // Threads keep their lanes until the end is called.
    let lanes = allocated(&trial.place().run_dir().join("lanes"))?;
    pool.finish()?;
    let listener = peak(trial.listener()?)?;
    let course = trial.end(start, &vec![threads * RECORDS; workers as usize])?;
    Ok((course, Bytes { listener, lanes }))
}

/// The largest resident memory that a process has had.
fn peak(process: Pid) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
    match kibibytes {
        Some(kibibytes) => Ok(kibibytes << 10),
        None => Err(io::Error::other("the kernel does not tell a process's peak of memory")),
    }
}

/// What the files of a folder occupy, those of its folders included.
fn allocated(folder: &Path) -> io::Result<Option<u64>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut sum = 0;
    for entry in entries {
        let entry = entry?;
        let meta = entry.metadata()?;
        sum += meta.blocks() * BLOCK;
        if meta.is_dir() {
            sum += allocated(&entry.path())?.unwrap_or_default();
        }
    }
    Ok(Some(sum))
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        heading(
            f,
            &format!("Memory: {RECORDS} records of each thread, {} rounds", self.rounds),
            &["peer", "workers", "threads of each", "listener's peak", "lanes per worker", "file"],
        )?;
        for row in &self.rows {
            let (peer, Fleet { workers, threads }) = row.setting;
            let has_lanes = row.measured().any(|bytes| bytes.lanes.is_some());
            let lanes = row.spread(|_, bytes| {
                bytes.lanes.unwrap_or_default() as f64 / MEBIBYTE / f64::from(workers)
            });
            let lanes = if has_lanes { format!("{lanes:.2} MiB") } else { "none".to_owned() };
            writeln!(
                f,
                "| {peer} | {workers} | {threads} | {:.1} MiB | {lanes} | {} |",
                row.spread(|_, bytes| bytes.listener as f64 / MEBIBYTE),
                row.verdict(),
            )?;
        }
        Ok(())
    }
}
