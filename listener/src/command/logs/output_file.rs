//! Standard output that is a regular file: how far it was written, and back to there.
//!
//! A follower that keeps its place notes how long its output was then. What stands behind it when
//! the next one starts was written by one that was killed before it could note its place: it is
//! taken back, for it will be written again. So the file must be this follower's alone.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use serde::{Deserialize, Serialize};

/// How far a file was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    device: u64,
    inode: u64,
    length: u64,
}

/// Standard output.
#[derive(Debug)]
pub(super) struct OutputFile {
    file: File,
    appends: bool,
}

impl OutputFile {
    /// `None` = it is no regular file, or one that is written in the middle.
    pub(super) fn stdout() -> io::Result<Option<Self>> {
        let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let found = file.metadata()?;
        let flags = OFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFL)?);
        let appends = flags.contains(OFlag::O_APPEND);
        let mut output = Self { file, appends };
        let is_at_end = appends || output.file.stream_position().is_ok_and(|at| at >= found.len());
        Ok((found.is_file() && is_at_end).then_some(output))
    }

    /// How far it is written now.
    pub(super) fn written(&mut self) -> io::Result<Written> {
        let found = self.file.metadata()?;
        let length = if self.appends { found.len() } else { self.file.stream_position()? };
        Ok(Written { device: found.dev(), inode: found.ino(), length })
    }

    /// Takes back what was written since. Returns how many bytes that was; another file, or one that
    /// is shorter, stays as it is.
    pub(super) fn take_back(&mut self, to: Written) -> io::Result<u64> {
        let found = self.file.metadata()?;
        let is_same = (found.dev(), found.ino()) == (to.device, to.inode);
        if !is_same || found.len() <= to.length {
            return Ok(0);
        }
        self.file.set_len(to.length)?;
        if !self.appends {
            self.file.seek(SeekFrom::Start(to.length))?;
        }
        Ok(found.len() - to.length)
    }
}
