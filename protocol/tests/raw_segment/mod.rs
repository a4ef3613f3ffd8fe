//! A segment's file as bytes, by the offsets of `docs/segment-format.md`: for tests that write
//! what no honest peer writes, and for those that hold the offsets fixed.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use fleetlog_protocol::segment::{FileName, LANES};

pub const VERSION: u64 = 8;
pub const CLAIMED: u64 = 128;
pub const LEFT: u64 = 136;
pub const ACTIVE: u64 = 256;
pub const DROPS: u64 = 384;
pub const REPORTED: u64 = 448;
pub const COMMITTED: u64 = 512;
pub const NAME: u64 = 1024;
pub const TABLE: u64 = 28_672;
pub const LANE_BYTES: u64 = 256 << 10;

pub const HEAD: u64 = 0;
pub const TAIL: u64 = 128;
pub const QUIET: u64 = 256;
pub const WAITING: u64 = 260;

/// Where a lane's words are.
pub const fn words(lane: u64) -> u64 {
    4096 + lane * 384
}

/// Where a lane's bytes are.
pub const fn bytes(lane: u64) -> u64 {
    1_077_248 + lane * LANE_BYTES
}

/// The file, open beside its mappings. Closing it gives up the lock that this process may hold on
/// it, as the lock's rules are.
pub struct RawSegment(File);

impl RawSegment {
    pub fn open(run_dir: &Path, name: FileName) -> Self {
        let path = run_dir.join(LANES).join(name.to_string());
        let file = OpenOptions::new().read(true).write(true).open(path);
        Self(file.expect("the segment is there"))
    }

    pub fn read(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.0.read_exact_at(&mut bytes, at).expect("the file is that long");
        bytes
    }

    pub fn word(&self, at: u64) -> u64 {
        u64::from_le_bytes(*self.read(at, 8).first_chunk().expect("eight bytes"))
    }

    pub fn write(&self, at: u64, bytes: &[u8]) {
        self.0.write_all_at(bytes, at).expect("the file takes it");
    }

    pub fn set_word(&self, at: u64, value: u64) {
        self.write(at, &value.to_le_bytes());
    }

    pub fn set_len(&self, len: u64) {
        self.0.set_len(len).expect("the file takes it");
    }
}
