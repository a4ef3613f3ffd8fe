//! Space: what the lanes of a run directory may take of its file system.
//!
//! The bound is found by looking at the files, each time that a segment is made or a lane grows beyond
//! its usual size: a counter in the run directory could be spoiled by one worker, and would be wrong
//! after a kill. Looking costs one system call as long as the file system is not half full. Where a
//! worker can't look, because it has left the folder's root or its user, nothing is refused: that
//! there is room is found out by taking it.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::sys::statvfs::statvfs;

use super::LANES;
use crate::limits::RUN_DIR_SHARE;

/// The bytes of a block as `stat` counts them.
const BLOCK: u64 = 512;

/// Whether the lanes of a run directory may have more bytes: half of its file system.
///
/// # Errors
/// [`io::ErrorKind::StorageFull`]: they may not.
pub(super) fn check(run_dir: &Path, more: usize) -> io::Result<()> {
    let folder = run_dir.join(LANES);
    let Ok(system) = statvfs(&folder) else { return Ok(()) };
    let bytes = |blocks: u64| blocks.saturating_mul(system.fragment_size());
    let most = bytes(system.blocks()) / RUN_DIR_SHARE;
    let used = bytes(system.blocks().saturating_sub(system.blocks_free()));
    let more = more as u64;
    // What everybody has together is no less than what the lanes have. A file system that tells
    // no size has no bound.
    if most == 0 || used.saturating_add(more) <= most {
        return Ok(());
    }
    let Ok(entries) = std::fs::read_dir(&folder) else { return Ok(()) };
    let mut lanes = more;
    for entry in entries.flatten() {
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
