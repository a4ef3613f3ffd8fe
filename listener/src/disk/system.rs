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
use nix::fcntl::{AT_FDCWD, FcntlArg, OFlag, RenameFlags, fcntl, renameat2};
use nix::libc;
use nix::unistd::{Gid, Uid};

use super::{Access, Claim, Disk, DiskFile, Meta, Words};
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
        // A pipe that nobody reads must be an error, not a wait that has no end.
        let nonblocking = OFlag::O_NONBLOCK.bits();
        let file = OpenOptions::new().append(true).custom_flags(nonblocking).open(path)?;
        let flags = OFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFL)?);
        fcntl(&file, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
        Ok(Box::new(file))
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

    /// A POSIX record lock: the kernel releases it with the process, and a forked child has none.
    fn claim(&self) -> io::Result<Claim> {
        let mut lock = libc::flock {
            l_type: libc::c_short::try_from(libc::F_WRLCK).unwrap_or(1),
            l_whence: libc::c_short::try_from(libc::SEEK_SET).unwrap_or(0),
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        match fcntl(self, FcntlArg::F_SETLK(&lock)) {
            Ok(_) => Ok(Claim::Ours),
            Err(Errno::EAGAIN | Errno::EACCES) => {
                let asked = fcntl(self, FcntlArg::F_GETLK(&mut lock));
                Ok(Claim::Taken { pid: if asked.is_ok() { lock.l_pid } else { 0 } })
            }
            // A file system without locks can't keep anybody away.
            Err(Errno::ENOLCK | Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EINVAL) => {
                Ok(Claim::Ours)
            }
            Err(errno) => Err(errno.into()),
        }
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
