//! The checkpoint's memory: a file mapped as 64-bit words, each read and written atomically.
//!
//! This is the one place of the listener's library that needs `unsafe` for memory. The file is
//! allocated in full before it is mapped, so that a full disk is an error here and no SIGBUS
//! later; it lies in a folder that only this user may write to, and only the lock's holder maps
//! it. What was stored survives the process: the pages belong to the file.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};
use nix::fcntl::posix_fallocate;
use nix::libc;

use crate::disk::Words;

const WORD: usize = 8;

/// Mapped words.
#[derive(Debug)]
pub(crate) struct Memory {
    map: MmapRaw,
    words: usize,
}

impl Memory {
    /// Maps a new file of `words` zero words; a file of that name is replaced.
    pub(crate) fn create(path: &Path, words: usize) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(libc::O_CLOEXEC | libc::O_NOFOLLOW)
            .open(path)?;
        let length = i64::try_from(words * WORD).map_err(io::Error::other)?;
        posix_fallocate(&file, 0, length)?;
        Self::map(&file, words)
    }

    /// Maps an existing file as far as it holds whole words.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_CLOEXEC | libc::O_NOFOLLOW)
            .open(path)?;
        let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        if length < WORD {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Self::map(&file, length / WORD)
    }

    fn map(file: &File, words: usize) -> io::Result<Self> {
        let map = MmapOptions::new().len(words * WORD).map_raw(file)?;
        Ok(Self { map, words })
    }

    #[allow(unsafe_code, reason = "mapped memory has no safe form")]
    fn words(&self) -> &[AtomicU64] {
        let start = self.map.as_ptr().cast::<AtomicU64>();
        // SAFETY: `map` covers `words * 8` bytes, is aligned to a page, lives as long as `self`,
        // and every access of this process goes through the atomics returned here; no other
        // process maps the file while this one holds the run directory's lock.
        unsafe { std::slice::from_raw_parts(start, self.words) }
    }
}

impl Words for Memory {
    fn len(&self) -> usize {
        self.words
    }

    fn load(&self, at: usize) -> u64 {
        self.words()[at].load(Ordering::Acquire)
    }

    fn store(&self, at: usize, value: u64) {
        self.words()[at].store(value, Ordering::Release);
    }
}
