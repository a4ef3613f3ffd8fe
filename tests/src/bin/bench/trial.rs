//! One trial: one peer logs into one fresh file, and the file is judged.

use std::ffi::CStr;
use std::io;
use std::time::{Duration, Instant};

use fleetlog::{Listener, ListenerProcess};
use nix::sys::prctl;
use nix::unistd::Pid;

use crate::completeness::{self, Verdict};
use crate::options::Options;
use crate::peer::{Peer, Place};
use crate::pool::{Gate, Pool, wait_for};
use crate::usage::{self, Cpus};
use crate::workload::{self, Calls};

/// The name that profiles show of the listener's process.
const LISTENER: &CStr = c"bench-listener";
const PARENT: &CStr = c"bench";

/// How long a listener may drain.
const PATIENCE: Duration = Duration::from_secs(600);

/// What every trial shows.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    /// From the start of the workers until every line is in the file.
    pub(crate) time: Duration,
    /// CPU time of the workers, set-up included.
    pub(crate) workers: Duration,
    /// CPU time of the listener, if there is one.
    pub(crate) listener: Duration,
    /// The share of the machine that other processes had, in percent.
    pub(crate) foreign: f64,
    pub(crate) verdict: Verdict,
}

/// Lets the workers log as fast as they can.
pub(crate) fn throughput(peer: Peer, options: &Options) -> io::Result<Course> {
    let records = options.records;
    let (course, _) = run(peer, options.workers, records, |leave, gate| {
        gate.wait()?;
        workload::log_all(records);
        leave();
        Ok(Vec::new())
    })?;
    Ok(course)
}

/// Times single calls of workers that log in bursts.
pub(crate) fn calls(peer: Peer, workers: u32, options: &Options) -> io::Result<(Course, Calls)> {
    let bursts = options.bursts;
    let records = workload::records_of_bursts(bursts);
    let (course, results) = run(peer, workers, records, |leave, gate| {
        workload::warm_up();
        gate.wait()?;
        let calls = workload::log_in_bursts(bursts);
        leave();
        Ok(calls.encode())
    })?;
    let mut calls = Calls::default();
    for result in results {
        calls.merge(&result).ok_or_else(|| io::Error::other("a worker sent half of its times"))?;
    }
    Ok((course, calls))
}

fn run(
    peer: Peer,
    workers: u32,
    records: u32,
    work: impl Fn(crate::peer::Leave, &mut Gate) -> io::Result<Vec<u8>>,
) -> io::Result<(Course, Vec<Vec<u8>>)> {
    // Short: a socket's path has 107 bytes.
    let folder = tempfile::Builder::new().prefix("flb").tempdir()?;
    let place = Place { file: folder.path().join("apps.log"), run_dir: folder.path().join("run") };
    let (cpus, before) = (Cpus::now(), usage::of_children());
    let listener = (peer == Peer::Fleetlog).then(|| spawn_listener(&place)).transpose()?;
    let pool = Pool::fork(workers, |worker, gate| work(peer.set_up(worker, &place)?, gate))?;
    let (start, results) = pool.run()?;
    let mut end = Instant::now();
    let between = usage::of_children();
    if let Some(listener) = listener {
        let receipt = fleetlog_worker::stop(&place.run_dir, PATIENCE).map_err(io::Error::other)?;
        end = Instant::now();
        if !receipt.is_complete() {
            return Err(io::Error::other(format!("the receipt tells of losses: {receipt:?}")));
        }
        wait_for(Pid::from_raw(listener.pid().cast_signed()))?;
    }
    let after = usage::of_children();
    let foreign = Cpus::now().foreign_since(cpus);
    let verdict = completeness::judge(&place.file, workers, records)?;
    let course = Course {
        time: end - start,
        workers: between - before,
        listener: after - between,
        foreign,
        verdict,
    };
    Ok((course, results))
}

fn spawn_listener(place: &Place) -> io::Result<ListenerProcess> {
    // A process inherits its parent's name.
    prctl::set_name(LISTENER)?;
    let listener = Listener::builder().run_dir(&place.run_dir).file(&place.file).spawn();
    prctl::set_name(PARENT)?;
    listener.map_err(io::Error::other)
}
