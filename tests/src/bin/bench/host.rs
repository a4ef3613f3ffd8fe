//! The machine: what a reader of the figures must know about it, and its page cache.

use std::fs;
use std::io;

use crate::place::Place;

/// Virtual machines give free memory back to their host; a page cache that grows into it then
/// measures the host. Touched and released, the memory is there for the run.
const WARM_MAX: u64 = 3 << 30;

const TOUCH: usize = 4096;

/// What the figures were measured on.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) cpus: usize,
    pub(crate) kernel: String,
    pub(crate) load_before: String,
    /// The kind of file system of the log files.
    pub(crate) logs: String,
    /// The kind of file system of the run directories.
    pub(crate) run_dirs: String,
}

impl Machine {
    pub(crate) fn look() -> io::Result<Self> {
        let (logs, run_dirs) = Place::new()?.kinds();
        Ok(Self {
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: read("/proc/sys/kernel/osrelease"),
            load_before: load(),
            logs,
            run_dirs,
        })
    }
}

/// The load average of the last minute.
pub(crate) fn load() -> String {
    read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned()
}

/// Touches and releases a few GiB, at most a quarter of what is free.
pub(crate) fn warm_page_cache() {
    let len = usize::try_from((available() / 4).min(WARM_MAX)).unwrap_or(0);
    let mut memory: Vec<u8> = Vec::new();
    if memory.try_reserve_exact(len).is_err() {
        return;
    }
    memory.resize(len, 1);
    std::hint::black_box(memory.iter().step_by(TOUCH).copied().map(u64::from).sum::<u64>());
}

/// Bytes that can be had without pushing anybody out.
fn available() -> u64 {
    let text = read("/proc/meminfo");
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kibibytes = line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) << 10
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim_end().to_owned()
}
