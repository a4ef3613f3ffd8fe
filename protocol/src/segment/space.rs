//! Space: what the lanes of a worker, and of a run directory, may take of its file system.
//!
//! Both bounds are found by looking at the files, each time that a segment is made or a lane grows
//! beyond its usual size: a counter in the run directory could be spoiled by one worker, and would be
//! wrong after a kill. Looking costs one system call as long as the file system is not half full.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::sys::statvfs::statvfs;

use super::{FileName, LANES};
use crate::limits::{RUN_DIR_SHARE, WORKER_LANES_MAX, WORKER_SPACE_MIN};

/// The bytes of a block as `stat` counts them.
const BLOCK: u64 = 512;

/// Whether a worker's segment may have so many bytes more.
pub(super) fn check_worker(
    run_dir: &Path,
    name: FileName,
    lane_bytes: usize,
    more: usize,
) -> io::Result<()> {
    let most = (WORKER_LANES_MAX * lane_bytes).max(WORKER_SPACE_MIN) as u64;
    let has = run_dir.join(LANES).join(name.to_string()).symlink_metadata()?.blocks() * BLOCK;
    if has + more as u64 > most {
        return Err(full(&format!("the lanes of one worker may have {most} bytes")));
    }
    Ok(())
}

/// Whether the lanes of a run directory may have so many bytes more: half of its file system.
pub(super) fn check_run_dir(run_dir: &Path, more: usize) -> io::Result<()> {
    let folder = run_dir.join(LANES);
    let system = statvfs(&folder)?;
    let bytes = |blocks: u64| blocks.saturating_mul(system.fragment_size());
    let most = bytes(system.blocks()) / RUN_DIR_SHARE;
    let used = bytes(system.blocks().saturating_sub(system.blocks_free()));
    let more = more as u64;
    // What everybody has together is no less than what the lanes have. A file system that tells
    // no size has no bound.
    if most == 0 || used.saturating_add(more) <= most {
        return Ok(());
    }
    let mut lanes = more;
    for entry in std::fs::read_dir(&folder)?.flatten() {
        // One that is gone by now has no bytes.
        lanes = lanes.saturating_add(entry.metadata().map_or(0, |file| file.blocks() * BLOCK));
        if lanes > most {
            return Err(full(&format!("all lanes may have {most} bytes, half of the file system")));
        }
    }
    Ok(())
}

fn full(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, why)
}
