//! An open output: the lines of the current batch, and the bytes behind them on disk.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::checkpoint::{Checkpoint, Extent, FileSlot};
use crate::disk::{Access, Claim, Disk, DiskFile, Identity, Meta};
use crate::faults;

/// An open output with the batch that will be written to it.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    /// `None` for outputs that can't be cut back: pipes, terminals, devices.
    slot: Option<FileSlot>,
    identity: Identity,
    /// Bytes on disk as far as this listener knows, without the batch.
    len: u64,
    /// The lines of the current batch.
    pub(super) batch: Vec<u8>,
    /// The bytes of the batch that are written already.
    done: usize,
    unsynced: bool,
    /// Its folder does not know it durably yet.
    is_new: bool,
    /// Somebody else's last line has no end, and must not swallow our first one.
    is_torn: bool,
    /// How often somebody else cut it.
    pub(super) truncations: u64,
}

impl LogFile {
    /// Opens a file for appending, makes it and its folders if need be. Tells when it was written
    /// to last.
    pub(super) fn open(
        disk: &dyn Disk,
        path: &Path,
        access: Access,
        checkpoint: &mut Checkpoint,
    ) -> io::Result<(Self, Meta)> {
        let opened = open_or_create(disk, path, access)?;
        let found = opened.file.metadata()?;
        let mut log = Self {
            path: path.to_owned(),
            file: opened.file,
            slot: None,
            identity: found.identity,
            len: found.len,
            batch: Vec::new(),
            done: 0,
            unsynced: false,
            is_new: opened.is_new,
            is_torn: false,
            truncations: 0,
        };
        if found.is_file {
            log.slot = Some(checkpoint.add_file(path, found.identity)?);
            log.look_at_end(disk);
        }
        Ok((log, found))
    }

    /// Standard output, or another output that is open already.
    pub(super) fn of_stream(file: File) -> Self {
        Self {
            path: PathBuf::new(),
            file: Box::new(file),
            slot: None,
            identity: (0, 0),
            len: 0,
            batch: Vec::new(),
            done: 0,
            unsynced: false,
            is_new: false,
            is_torn: false,
            truncations: 0,
        }
    }

    /// Goes on with whatever a path names now, or with a new file. No batch may be under way.
    pub(super) fn reopen(
        &mut self,
        disk: &dyn Disk,
        path: PathBuf,
        access: Access,
        checkpoint: &Checkpoint,
    ) -> io::Result<Meta> {
        let opened = open_or_create(disk, &path, access)?;
        let found = opened.file.metadata()?;
        if let Some(slot) = self.slot.filter(|_| path != self.path) {
            checkpoint.change_path(slot, &path)?;
        }
        self.path = path;
        self.replace(opened.file, found, checkpoint);
        self.is_new = opened.is_new;
        self.look_at_end(disk);
        Ok(found)
    }

    /// Goes on with a file that is open already and stands at its path.
    pub(super) fn replace(
        &mut self,
        file: Box<dyn DiskFile>,
        found: Meta,
        checkpoint: &Checkpoint,
    ) {
        debug_assert!(self.batch.is_empty(), "a batch belongs to the file it was meant for");
        self.file = file;
        self.identity = found.identity;
        self.len = found.len;
        self.unsynced = false;
        self.is_new = true;
        self.is_torn = false;
        if let Some(slot) = self.slot {
            checkpoint.change_file(slot, found.identity);
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Device and inode; zero for streams.
    pub(super) const fn identity(&self) -> Identity {
        self.identity
    }

    /// Bytes on disk as far as this listener knows.
    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    /// Bytes on disk before the first line of the batch.
    pub(super) const fn begin(&self) -> u64 {
        self.len + self.is_torn as u64
    }

    /// Bytes on disk once the batch is written.
    pub(super) const fn len_with_batch(&self) -> u64 {
        self.len + self.batch.len() as u64
    }

    /// Whether a part of the batch goes where nobody can look later.
    pub(super) const fn is_unseen(&self) -> bool {
        self.slot.is_none() && !self.batch.is_empty()
    }

    /// Looks at the file before its batch. Returns whether it still has a name.
    pub(super) fn look_before_batch(&mut self) -> io::Result<bool> {
        if self.batch.is_empty() {
            return Ok(true);
        }
        let has_name = self.look()?;
        if std::mem::take(&mut self.is_torn) && self.len > 0 {
            self.batch.insert(0, b'\n');
        }
        Ok(has_name)
    }

    /// How many names the file has.
    pub(super) fn names(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.links)
    }

    /// Looks how long the file is. Returns whether it still has a name.
    pub(super) fn look(&mut self) -> io::Result<bool> {
        if self.slot.is_none() {
            return Ok(true);
        }
        // The kernel's word, not our sum: somebody may have cut the file, or added to it.
        let found = self.file.metadata()?;
        if found.len < self.len {
            self.truncations += 1;
            let (path, lost) = (self.path.display(), self.len - found.len);
            crate::diagnostic::warn!(%path, lost, "somebody cut the log; the lines that were there are gone");
        }
        self.len = found.len;
        Ok(found.links > 0)
    }

    /// Where the batch will stand in the file; `None` for streams and empty batches.
    pub(super) fn extent(&self) -> Option<Extent> {
        let file = self.slot.filter(|_| !self.batch.is_empty())?;
        Some(Extent { file, offset: self.len, len: self.batch.len() as u64 })
    }

    /// Writes what is left of the batch. After an error the next call goes on where it stopped.
    pub(super) fn write_batch(&mut self) -> io::Result<()> {
        while self.done < self.batch.len() {
            let rest = &self.batch[self.done..];
            let cut = faults::cut_write(rest.len());
            let written = self.file.append(&rest[..cut.unwrap_or(rest.len())]);
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

    /// Takes back what was written of the batch, so that it can go elsewhere. A file whose device
    /// is gone keeps it: better twice than never.
    pub(super) fn take_back(&mut self) -> io::Result<()> {
        if self.done > 0 && self.slot.is_some() {
            match self.file.set_len(self.len) {
                Err(error) if !is_gone(&error) => return Err(error),
                _ => {}
            }
        }
        self.done = 0;
        Ok(())
    }

    /// The batch is written and accounted for; returns its bytes.
    pub(super) fn finish_batch(&mut self) -> u64 {
        let len = self.batch.len() as u64;
        self.len += len;
        self.batch.clear();
        // One huge record must not keep its memory for ever.
        self.batch.shrink_to(2 * fleetlog_protocol::limits::BATCH_MAX);
        self.done = 0;
        len
    }

    /// Makes what was written durable.
    pub(super) fn sync(&mut self, disk: &dyn Disk) -> io::Result<()> {
        if self.unsynced && self.slot.is_some() {
            self.file.sync()?;
            if std::mem::take(&mut self.is_new) {
                disk.sync_folder(folder_of(&self.path))?;
            }
        }
        self.unsynced = false;
        Ok(())
    }

    /// Gives the file's place in the checkpoint back. No batch of it may be under way.
    pub(super) fn close(self, checkpoint: &Checkpoint) {
        if let Some(slot) = self.slot {
            checkpoint.remove_file(slot);
        }
    }

    /// Whether its last line has an end. A file that may be written but not read keeps its last line
    /// as it is.
    fn look_at_end(&mut self, disk: &dyn Disk) {
        self.is_torn = false;
        if self.slot.is_none() || self.len == 0 {
            return;
        }
        let last = || -> io::Result<u8> {
            let mut byte = [0];
            disk.read(&self.path, self.len - 1)?.read_exact(&mut byte)?;
            Ok(byte[0])
        };
        self.is_torn = last().is_ok_and(|byte| byte != b'\n');
        // The lock went when the file was closed that was read just now.
        let _ = self.file.claim();
    }
}

/// The folder that a path names its file in.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether nothing can ever be done to an open file again.
fn is_gone(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::ESTALE | Errno::ENXIO | Errno::ENODEV))
}

struct Opened {
    file: Box<dyn DiskFile>,
    is_new: bool,
}

fn open_or_create(disk: &dyn Disk, path: &Path, access: Access) -> io::Result<Opened> {
    disk.make_folder(folder_of(path))?;
    let opened = match disk.create(path, access) {
        Ok(file) => Opened { file, is_new: true },
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Opened { file: disk.open(path)?, is_new: false }
        }
        // A folder that must not be written to may hold a file that may.
        Err(error) if super::log::is_refusal(&error) => {
            Opened { file: disk.open(path).map_err(|_| error)?, is_new: false }
        }
        Err(error) => return Err(error),
    };
    if opened.file.metadata()?.is_file {
        claim(&*opened.file)?;
    }
    Ok(opened)
}

/// Two listeners that rotate the same log would take each other's files away.
pub(super) fn claim(file: &dyn DiskFile) -> io::Result<()> {
    match file.claim()? {
        Claim::Ours => Ok(()),
        Claim::Taken { pid } => Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            format!(
                "the listener with pid {pid} writes this log: join its run directory, end it, or \
                 name another file"
            ),
        )),
    }
}
