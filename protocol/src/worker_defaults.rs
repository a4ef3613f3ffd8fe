//! What a listener's configuration says for workers that were told nothing themselves.
//!
//! A file of the run directory, which the listener writes when it starts and a worker reads before it
//! makes its segment: no connection is needed, and a worker that comes while no listener lives has
//! what the last one said. A worker believes nothing of it but numbers, which it brings into their
//! range.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::libc;

/// The file's name in the run directory.
pub const FILE: &str = "workers";

/// Where it is written before it has its name.
const NEXT: &str = "workers.next";

/// More than the file ever has, in bytes.
const FILE_MAX: u64 = 4096;

/// What workers use where neither their program nor their environment says anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerDefaults {
    /// The bytes that a lane may have; `None` = the usual ones.
    pub lane_max: Option<u64>,
}

impl WorkerDefaults {
    /// What the run directory's listener said last; nothing where it can't be read.
    #[must_use]
    pub fn read(run_dir: &Path) -> Self {
        let mut text = String::new();
        // A pipe in its place must not hold up the worker.
        let flags = libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let opened = OpenOptions::new().read(true).custom_flags(flags).open(run_dir.join(FILE));
        let read = opened.and_then(|file| file.take(FILE_MAX).read_to_string(&mut text));
        if read.is_err() {
            return Self::default();
        }
        let value = |name: &str| {
            let lines = text.lines().filter_map(|line| line.split_once('='));
            lines.into_iter().find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
        };
        Self { lane_max: value("lane_max").and_then(|value| value.parse().ok()) }
    }

    /// Puts this in the place of what an earlier listener said.
    ///
    /// # Errors
    /// Whatever the system says; then the earlier one stands.
    ///
    /// ```
    /// use fleetlog_protocol::worker_defaults::WorkerDefaults;
    /// # let folder = tempfile::tempdir().unwrap();
    /// let defaults = WorkerDefaults { lane_max: Some(16 << 20) };
    /// defaults.write(folder.path()).unwrap();
    /// assert_eq!(WorkerDefaults::read(folder.path()), defaults);
    /// ```
    pub fn write(&self, run_dir: &Path) -> io::Result<()> {
        let path = run_dir.join(FILE);
        let Some(lane_max) = self.lane_max else {
            return match std::fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        };
        let next = run_dir.join(NEXT);
        // What a killed listener left; what can't be removed is found out by the next line.
        let _ = std::fs::remove_file(&next);
        let mut file: File =
            OpenOptions::new().write(true).create_new(true).mode(0o644).open(&next)?;
        file.write_all(format!("lane_max = {lane_max}\n").as_bytes())?;
        std::fs::rename(next, path)
    }
}
