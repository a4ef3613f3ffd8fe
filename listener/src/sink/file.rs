//! A log file: the lines of the current batch, and the bytes behind them on disk.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::checkpoint::{Checkpoint, Extent, FileSlot};
use crate::faults;

/// An open output with the batch that will be written to it.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    file: File,
    /// `None` for outputs that can't be cut back: pipes, terminals, devices.
    slot: Option<FileSlot>,
    identity: (u64, u64),
    /// The lines of the current batch.
    pub(crate) batch: Vec<u8>,
    /// The bytes of the batch that are written already.
    done: usize,
    unsynced: bool,
    /// Its folder does not know it durably yet.
    is_new: bool,
}

impl LogFile {
    /// Opens a file for appending, makes it and its folders if need be, with exactly `mode`.
    pub(crate) fn open(path: &Path, mode: u32, checkpoint: &mut Checkpoint) -> io::Result<Self> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder)?;
        }
        let absolute = std::path::absolute(path)?;
        let created = OpenOptions::new().append(true).create_new(true).mode(mode).open(path);
        let is_new = created.is_ok();
        let file = match created {
            Ok(file) => {
                // The umask took bits away that were asked for.
                file.set_permissions(Permissions::from_mode(mode))?;
                file
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                OpenOptions::new().append(true).open(path)?
            }
            Err(error) => return Err(error),
        };
        let found = file.metadata()?;
        let identity = (found.dev(), found.ino());
        let mut log = Self {
            path: path.to_owned(),
            file,
            slot: None,
            identity,
            batch: Vec::new(),
            done: 0,
            unsynced: false,
            is_new,
        };
        if found.is_file() {
            log.slot = Some(checkpoint.add_file(&absolute, identity)?);
            if ends_inside_of_a_line(path, found.len()) {
                // Somebody else's torn line must not swallow our first one.
                log.batch.push(b'\n');
            }
        }
        Ok(log)
    }

    /// Standard output, or another output that is open already.
    pub(crate) const fn of_stream(file: File) -> Self {
        Self {
            path: PathBuf::new(),
            file,
            slot: None,
            identity: (0, 0),
            batch: Vec::new(),
            done: 0,
            unsynced: false,
            is_new: false,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Device and inode; zero for streams.
    pub(crate) const fn identity(&self) -> (u64, u64) {
        self.identity
    }

    /// Whether a part of the batch goes where nobody can look later.
    pub(crate) const fn is_unseen(&self) -> bool {
        self.slot.is_none() && !self.batch.is_empty()
    }

    /// Where the batch will stand in the file; `None` for streams and empty batches.
    pub(crate) fn extent(&self) -> io::Result<Option<Extent>> {
        let Some(file) = self.slot.filter(|_| !self.batch.is_empty()) else { return Ok(None) };
        // The kernel's word, not our sum: somebody may have truncated the file.
        let offset = self.file.metadata()?.len();
        Ok(Some(Extent { file, offset, len: self.batch.len() as u64 }))
    }

    /// Writes what is left of the batch. After an error the next call goes on where it stopped.
    pub(crate) fn write_batch(&mut self) -> io::Result<()> {
        while self.done < self.batch.len() {
            let rest = &self.batch[self.done..];
            let cut = faults::cut_write(rest.len());
            let written = self.file.write(&rest[..cut.unwrap_or(rest.len())]);
            if cut.is_some() {
                faults::die_in_write();
            }
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.done += written;
                    self.unsynced = true;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The batch is written and accounted for; returns its bytes.
    pub(crate) fn finish_batch(&mut self) -> u64 {
        let len = self.batch.len() as u64;
        self.batch.clear();
        // One huge record must not keep its memory for ever.
        self.batch.shrink_to(2 * fleetlog_protocol::limits::BATCH_MAX);
        self.done = 0;
        len
    }

    /// Makes what was written durable.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if self.unsynced && self.slot.is_some() {
            self.file.sync_data()?;
            if std::mem::take(&mut self.is_new) {
                let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
                File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
            }
        }
        self.unsynced = false;
        Ok(())
    }

    /// Gives the file's place in the checkpoint back. No batch of it may be under way.
    pub(crate) fn close(self, checkpoint: &Checkpoint) {
        if let Some(slot) = self.slot {
            checkpoint.remove_file(slot);
        }
    }
}

fn ends_inside_of_a_line(path: &Path, len: u64) -> bool {
    if len == 0 {
        return false;
    }
    let last_byte = || -> io::Result<u8> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(len - 1))?;
        let mut byte = [0];
        file.read_exact(&mut byte)?;
        Ok(byte[0])
    };
    // A file that may be written but not read keeps its last line as it is.
    last_byte().is_ok_and(|byte| byte != b'\n')
}
