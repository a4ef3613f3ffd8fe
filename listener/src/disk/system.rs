//! The real disk.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{
    MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown, symlink,
};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fleetlog_protocol::stamp;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::unistd::{Gid, Uid};

use super::{Access, Disk, DiskFile, Meta, Words};
use crate::checkpoint::Memory;

/// The disk of this host.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct System;

impl Disk for System {
    fn now(&self) -> u64 {
        stamp::wall_now()
    }

    fn elapsed(&self) -> Duration {
        Duration::from_nanos(stamp::now())
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OpenOptions::new().append(true).open(path)?))
    }

    fn create(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        // Nobody may open it before it has its own owner and mode.
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?;
        let given = set_access(&file, access);
        if let Err(error) = given {
            let _ = fs::remove_file(path);
            return Err(error);
        }
        Ok(Box::new(file))
    }

    fn read(&self, path: &Path, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let mut file = File::open(path)?;
        if offset > 0 {
            file.seek(SeekFrom::Start(offset))?;
        }
        Ok(Box::new(file))
    }

    fn metadata(&self, path: &Path) -> io::Result<Meta> {
        Ok(meta(&fs::metadata(path)?))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).create(path)
    }

    fn link(&self, path: &Path, second: &Path) -> io::Result<()> {
        fs::hard_link(path, second)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
            // A file system that can't do it in one step.
            Err(Errno::EINVAL | Errno::ENOSYS) => match fs::symlink_metadata(to) {
                Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
                Err(_) => fs::rename(from, to),
            },
            renamed => Ok(renamed?),
        }
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn symlink(&self, text: &Path, path: &Path) -> io::Result<()> {
        symlink(text, path)
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        fs::read_link(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn create_state(&self, path: &Path, words: usize) -> io::Result<Box<dyn Words>> {
        Ok(Box::new(Memory::create(path, words)?))
    }

    fn open_state(&self, path: &Path) -> io::Result<Box<dyn Words>> {
        Ok(Box::new(Memory::open(path)?))
    }
}

impl DiskFile for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write(bytes)
    }

    fn metadata(&self) -> io::Result<Meta> {
        Ok(meta(&Self::metadata(self)?))
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        Self::set_len(self, len)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

fn set_access(file: &File, access: Access) -> io::Result<()> {
    if access.owner.is_some() || access.group.is_some() {
        fchown(file, access.owner.map(Uid::as_raw), access.group.map(Gid::as_raw))?;
    }
    file.set_permissions(Permissions::from_mode(access.mode))
}

fn meta(found: &fs::Metadata) -> Meta {
    let modified = i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec());
    Meta {
        identity: (found.dev(), found.ino()),
        len: found.len(),
        links: found.nlink(),
        is_file: found.is_file(),
        modified: u64::try_from(modified).unwrap_or(0),
        access: Access {
            mode: found.mode() & 0o777,
            owner: Some(Uid::from_raw(found.uid())),
            group: Some(Gid::from_raw(found.gid())),
        },
    }
}
