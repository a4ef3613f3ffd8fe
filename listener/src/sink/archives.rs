//! The archives of one log: what is there, how large it is, and what is being done to it.
//!
//! Everything is learned from the folder, so that nothing can be forgotten by a crash. An archive
//! goes through these states, each of which can be told from the names that exist:
//!
//! ```text
//!   Plain      X.log                          as it was closed
//!   Packing    X.log  X.log.gz.tmp            the packed copy is being written and synced
//!   Doubled    X.log  X.log.gz                the packed copy is whole; X.log goes when the
//!                                             folder knows the new name durably
//!   Packed            X.log.gz
//! ```
//!
//! A listener that starts takes Packing back to Plain, by removing the temporary file, and finishes
//! Doubled once it has compared the two.

use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::archive::{ArchiveKey, ArchiveNames};
use crate::disk::{Disk, Identity};
use crate::options::Compression;

/// What the name of a packed copy ends with while it is written.
const UNFINISHED: &str = ".tmp";

/// An archive.
#[derive(Debug)]
pub(super) struct Archive {
    /// Bytes of the file as it was closed; `None` = only the packed one is there.
    pub(super) plain: Option<u64>,
    /// The packed file and its bytes.
    pub(super) packed: Option<(Compression, u64)>,
    pub(super) work: Work,
}

/// What is being done to an archive.
#[derive(Debug)]
pub(super) enum Work {
    /// Nothing.
    None,
    /// The packer writes or compares; it looks at the flag from time to time.
    UnderWay(Arc<AtomicBool>),
    /// It stays as it is: packing does not make it smaller, or the two files differ.
    LeftAlone,
}

impl Archive {
    /// Bytes on disk, with those that a packed copy may get while it is written: it is given up
    /// before it is larger than the plain file.
    pub(super) fn bytes(&self) -> u64 {
        let plain = self.plain.unwrap_or(0);
        let packed = match (&self.packed, &self.work) {
            (Some((_, len)), _) => *len,
            (None, Work::UnderWay(_)) => plain,
            (None, _) => 0,
        };
        plain + packed
    }
}

/// All archives of one log.
#[derive(Debug)]
pub(super) struct Archives {
    names: ArchiveNames,
    known: BTreeMap<ArchiveKey, Archive>,
    /// The newest key that was ever used here: a name that was removed does not come again.
    last_key: Option<ArchiveKey>,
}

impl Archives {
    /// Looks into the folder of a log, and takes back what a killed listener left unfinished.
    /// `current` is the log's own file, which a rotation may have given an archive's name already.
    pub(super) fn load(disk: &dyn Disk, log: &Path, current: Identity) -> io::Result<Self> {
        let mut archives =
            Self { names: ArchiveNames::of(log), known: BTreeMap::new(), last_key: None };
        let names = disk.list(archives.names.folder())?;
        let moved = archives.moved(disk, log, &names)?;
        let newest = names.iter().filter_map(|name| archives.names.parse(name)).max();
        for name in names {
            if let Some(finished) = strip(&name, UNFINISHED)
                && let Some((_, packed)) = archives.names.parse(finished)
                && packed != Compression::None
            {
                let path = archives.names.folder().join(&name);
                if disk.metadata(&path).is_ok_and(|found| found.is_file) {
                    gone(disk.unlink(&path))?;
                }
                continue;
            }
            let Some((key, compression)) = archives.names.parse(&name) else { continue };
            let path = archives.names.folder().join(&name);
            if disk.read_link(&path).is_ok() {
                // What lies elsewhere was put there by somebody else, and is theirs.
                continue;
            }
            let found = match disk.metadata(&path) {
                Ok(found) => found,
                // Gone since it was listed, or a link that leads nowhere, which is not ours.
                Err(error) if leads_nowhere(&error) => continue,
                Err(error) => return Err(error),
            };
            if !found.is_file {
                continue;
            }
            let is_newest = newest.is_some_and(|(newest, _)| newest == key);
            if found.identity == current || (is_newest && moved.contains(&found.identity)) {
                // The rotation did not get as far as the new file: undo its first step. If somebody
                // moved the log since, it is theirs, and must not be here a second time.
                gone(disk.unlink(&path))?;
                continue;
            }
            archives.insert(key, compression, found.len);
        }
        Ok(archives)
    }

    /// Whether a file stands in the folder under the log's name with something behind it.
    pub(super) fn is_moved(&self, disk: &dyn Disk, log: &Path, file: Identity) -> io::Result<bool> {
        let names = disk.list(self.names.folder())?;
        Ok(self.moved(disk, log, &names)?.contains(&file))
    }

    /// Files that have the log's name with something behind it: whoever moves a log calls it so.
    fn moved(&self, disk: &dyn Disk, log: &Path, names: &[OsString]) -> io::Result<Vec<Identity>> {
        let Some(own) = log.file_name() else { return Ok(Vec::new()) };
        let is_moved = |name: &&OsString| {
            let (name, own) = (name.as_bytes(), own.as_bytes());
            name.len() > own.len() && name.starts_with(own)
        };
        let mut moved = Vec::new();
        for name in names.iter().filter(is_moved) {
            match disk.metadata(&self.names.folder().join(name)) {
                Ok(found) if found.is_file && found.links > 1 => moved.push(found.identity),
                Err(error) if !leads_nowhere(&error) => return Err(error),
                _ => {}
            }
        }
        Ok(moved)
    }

    fn insert(&mut self, key: ArchiveKey, compression: Compression, len: u64) {
        self.last_key = self.last_key.max(Some(key));
        let archive = self.known.entry(key).or_insert(Archive {
            plain: None,
            packed: None,
            work: Work::None,
        });
        match compression {
            Compression::None => archive.plain = Some(len),
            // Packed twice by somebody: one of them counts, the other one is not ours.
            _ => archive.packed = archive.packed.or(Some((compression, len))),
        }
    }

    /// Leaves an archive alone, and does not count it, until the folder is looked into anew.
    pub(super) fn put_aside(&mut self, key: ArchiveKey) {
        self.known.remove(&key);
    }

    /// Forgets what somebody else removed.
    pub(super) fn prune(&mut self, disk: &dyn Disk) -> io::Result<()> {
        let listed: HashSet<_> = disk.list(self.names.folder())?.into_iter().collect();
        let names = &self.names;
        let is_there = |key, compression| {
            names.path(key, compression).file_name().is_some_and(|name| listed.contains(name))
        };
        self.known.retain(|key, archive| {
            archive.plain = archive.plain.filter(|_| is_there(*key, Compression::None));
            archive.packed = archive.packed.filter(|(packed, _)| is_there(*key, *packed));
            let is_left = archive.plain.is_some() || archive.packed.is_some();
            if let (Work::UnderWay(given_up), false) = (&archive.work, is_left) {
                given_up.store(true, Ordering::Release);
            }
            is_left
        });
        Ok(())
    }

    /// Takes in the file that was just closed.
    pub(super) fn add(&mut self, key: ArchiveKey, len: u64) {
        self.insert(key, Compression::None, len);
    }

    /// The newest key that was ever used here, also by an archive that is removed.
    pub(super) const fn last_key(&self) -> Option<ArchiveKey> {
        self.last_key
    }

    pub(super) fn newest(&self) -> Option<ArchiveKey> {
        self.known.keys().next_back().copied()
    }

    pub(super) fn oldest(&self) -> Option<ArchiveKey> {
        self.known.keys().next().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// Bytes of all of them, with what the packer may write.
    pub(super) fn bytes(&self) -> u64 {
        self.known.values().map(Archive::bytes).sum()
    }

    pub(super) fn get_mut(&mut self, key: ArchiveKey) -> Option<&mut Archive> {
        self.known.get_mut(&key)
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (ArchiveKey, &Archive)> {
        self.known.iter().map(|(key, archive)| (*key, archive))
    }

    pub(super) fn path(&self, key: ArchiveKey, compression: Compression) -> PathBuf {
        self.names.path(key, compression)
    }

    /// Where the packed copy of an archive is written.
    pub(super) fn unfinished(&self, key: ArchiveKey, compression: Compression) -> PathBuf {
        let mut path = self.names.path(key, compression).into_os_string();
        path.push(UNFINISHED);
        path.into()
    }

    pub(super) fn folder(&self) -> &Path {
        self.names.folder()
    }

    /// Removes an archive in all its forms. It is forgotten only when it is gone.
    pub(super) fn remove(&mut self, disk: &dyn Disk, key: ArchiveKey) -> io::Result<()> {
        let Some(archive) = self.known.get(&key) else { return Ok(()) };
        if let Work::UnderWay(given_up) = &archive.work {
            given_up.store(true, Ordering::Release);
            for compression in [Compression::Gzip, Compression::Zstd] {
                gone(disk.unlink(&self.unfinished(key, compression)))?;
            }
        }
        if let Some((compression, _)) = archive.packed {
            gone(disk.unlink(&self.names.path(key, compression)))?;
        }
        if archive.plain.is_some() {
            gone(disk.unlink(&self.names.path(key, Compression::None)))?;
        }
        self.known.remove(&key);
        Ok(())
    }
}

impl Drop for Archives {
    fn drop(&mut self) {
        // Nobody would take what the packer makes for a log that is closed.
        for archive in self.known.values() {
            if let Work::UnderWay(given_up) = &archive.work {
                given_up.store(true, Ordering::Release);
            }
        }
    }
}

/// A name that is gone already is as good as removed.
pub(super) fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn leads_nowhere(error: &io::Error) -> bool {
    use nix::errno::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw);
    error.kind() == io::ErrorKind::NotFound
        || matches!(errno, Some(Errno::ELOOP | Errno::EACCES | Errno::ENOTDIR))
}

fn strip<'a>(name: &'a OsString, end: &str) -> Option<&'a OsStr> {
    name.as_bytes().strip_suffix(end.as_bytes()).map(OsStr::from_bytes)
}
