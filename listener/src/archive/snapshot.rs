//! Snapshots: the files of a log as they were at one moment, the oldest first.
//!
//! A listener may rotate, compress and remove while somebody reads. A snapshot holds the current
//! file open and knows the names of the archives; a rotation behind it is not its business. It
//! promises that no file stands in it twice: neither the archive that is the current file for the
//! moment of a rotation, nor the packed archive beside the one it was made from.
//!
//! It never locks, never writes, and never keeps a listener from anything.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Seek as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{ArchiveKey, ArchiveNames};
use crate::disk::Identity;
use crate::options::Compression;

/// Listings that may differ before a reader goes on with what it has: a log that is rotated
/// more often than it can be listed is nobody's.
const LOOKS: usize = 20;

/// The ways in which an archive may lie there, in the order in which they are preferred: packing
/// ends with the removal of the unpacked one, so that this one is whole while it is there.
const FORMS: [Compression; 3] = [Compression::None, Compression::Gzip, Compression::Zstd];

/// The files of a log at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The oldest first; the current file is the last.
    pub(crate) chapters: Vec<Chapter>,
}

/// One file of a log.
#[derive(Debug)]
pub(crate) struct Chapter {
    /// When it was closed; `None` = it is the current file.
    pub(crate) key: Option<ArchiveKey>,
    /// Where it was.
    pub(crate) path: PathBuf,
    compression: Compression,
    names: ArchiveNames,
    /// The current file is held open, so that it stays what it was.
    current: Option<File>,
}

/// A chapter that is open.
#[derive(Debug)]
pub(crate) struct Opened {
    /// Where it is now: it may have been packed since the snapshot.
    pub(crate) path: PathBuf,
    /// What it is packed with.
    pub(crate) compression: Compression,
    /// Its bytes, packed.
    pub(crate) file: File,
    /// Its size when it was opened, packed.
    pub(crate) size: u64,
}

impl Snapshot {
    /// Looks at a log.
    ///
    /// # Errors
    /// The folder can't be read, the current file can't be opened or is no file. A log that has
    /// neither a current file nor an archive is not there.
    pub(crate) fn take(log: &Path) -> io::Result<Self> {
        // The link that names the current file lies where its archives need not be.
        let log = fs::canonicalize(log).unwrap_or_else(|_| log.to_owned());
        let packed = packing(&log);
        let names = ArchiveNames::of(&log);
        if packed != Compression::None {
            let current = open_file(&log)?;
            let chapter = Chapter {
                key: None,
                path: log,
                compression: packed,
                names,
                current: Some(current),
            };
            return Ok(Self { chapters: vec![chapter] });
        }
        let mut before = archives(&names)?;
        for _ in 0..LOOKS {
            let current = match open_file(&log) {
                Ok(file) => Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
            let after = archives(&names)?;
            let is_still = before.last().map(|(key, _)| key) == after.last().map(|(key, _)| key);
            before = after;
            if is_still {
                return Self::of(&log, &names, &before, current);
            }
        }
        Err(io::Error::other("its files change faster than they can be listed"))
    }

    fn of(
        log: &Path,
        names: &ArchiveNames,
        archives: &[(ArchiveKey, Compression)],
        current: Option<File>,
    ) -> io::Result<Self> {
        if archives.is_empty() && current.is_none() {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        let mut chapters: Vec<Chapter> = archives
            .iter()
            .map(|(key, compression)| Chapter {
                key: Some(*key),
                path: names.path(*key, *compression),
                compression: *compression,
                names: names.clone(),
                current: None,
            })
            .collect();
        // In the middle of a rotation the last archive is the current file under another name.
        let identity = |file: &File| file.metadata().map(|found| (found.dev(), found.ino()));
        let last = chapters.last().and_then(|chapter| fs::metadata(&chapter.path).ok());
        let last = last.map(|found| (found.dev(), found.ino()));
        if let Some(current) = current
            && last != Some(identity(&current)?)
        {
            chapters.push(Chapter {
                key: None,
                path: log.to_owned(),
                compression: Compression::None,
                names: names.clone(),
                current: Some(current),
            });
        }
        Ok(Self { chapters })
    }
}

impl Chapter {
    /// Opens the file, wherever it has gone; `None` = it was removed.
    pub(crate) fn open(&self) -> io::Result<Option<Opened>> {
        let of = |path: PathBuf, compression, file: File| {
            let size = file.metadata()?.len();
            Ok(Some(Opened { path, compression, file, size }))
        };
        if let Some(mut file) = self.current.as_ref() {
            // All descriptors of one opening share one position.
            file.rewind()?;
            return of(self.path.clone(), self.compression, file.try_clone()?);
        }
        let Some(key) = self.key else { return Ok(None) };
        // Packing goes one way: whoever was there unpacked is there packed before it is gone.
        for form in FORMS {
            let path = self.names.path(key, form);
            match open_file(&path) {
                Ok(file) => return of(path, form, file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Device and inode of the unpacked file at its path, if it is there.
    pub(crate) fn plain_identity(&self) -> Option<Identity> {
        let found = match (&self.current, self.key) {
            (Some(current), _) => current.metadata().ok()?,
            (None, Some(key)) => fs::metadata(self.names.path(key, Compression::None)).ok()?,
            (None, None) => return None,
        };
        Some((found.dev(), found.ino()))
    }

    /// Bytes of its file as it is now, packed; 0 = it is gone.
    pub(crate) fn bytes(&self) -> u64 {
        let found = match &self.current {
            Some(current) => current.metadata(),
            None => fs::metadata(&self.path),
        };
        found.map_or(0, |found| found.len())
    }

    /// Whether it is the file that the listener appends to.
    pub(crate) const fn is_current(&self) -> bool {
        self.key.is_none()
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    // A pipe would wait for a writer when it is opened.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    File::open(path)
}

fn packing(path: &Path) -> Compression {
    let name = path.file_name().map(OsStr::as_encoded_bytes).unwrap_or_default();
    let packed = |form: &Compression| {
        *form != Compression::None && name.ends_with(form.extension().as_bytes())
    };
    FORMS.into_iter().find(packed).unwrap_or(Compression::None)
}

/// The archives that are there, each once, the oldest first.
fn archives(names: &ArchiveNames) -> io::Result<Vec<(ArchiveKey, Compression)>> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(names.folder()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        // A folder, a pipe or a link of such a name is somebody else's.
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            found.extend(names.parse(&entry.file_name()));
        }
    }
    let form = |compression: Compression| FORMS.iter().position(|form| *form == compression);
    found.sort_by_key(|(key, compression)| (*key, form(*compression)));
    found.dedup_by_key(|(key, _)| *key);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn names(snapshot: &Snapshot) -> Vec<String> {
        let name = |chapter: &Chapter| {
            chapter.path.file_name().unwrap().to_str().unwrap().trim_start_matches("apps.").into()
        };
        snapshot.chapters.iter().map(name).collect()
    }

    #[test]
    fn each_file_stands_there_once_and_the_oldest_first() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("apps.log");
        for name in [
            "apps.2026-11-22T11-00-00Z.log.zst",
            "apps.2026-11-22T10-00-00Z.log.gz",
            "apps.2026-11-22T10-00-00Z.log",
            "apps.2026-11-22T10-00-00Z_0001.log",
            "apps.2026-11-22T12-00-00Z.log.gz.tmp",
            "apps.log",
            "apps-errors.log",
        ] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let snapshot = Snapshot::take(&log).unwrap();
        assert_eq!(
            names(&snapshot),
            [
                "2026-11-22T10-00-00Z.log",
                "2026-11-22T10-00-00Z_0001.log",
                "2026-11-22T11-00-00Z.log.zst",
                "log"
            ]
        );
    }

    #[test]
    fn the_two_names_of_a_rotation_are_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("apps.log");
        fs::write(&log, "line\n").unwrap();
        fs::hard_link(&log, folder.path().join("apps.2026-11-22T10-00-00Z.log")).unwrap();
        assert_eq!(names(&Snapshot::take(&log).unwrap()), ["2026-11-22T10-00-00Z.log"]);
    }

    #[test]
    fn a_chapter_is_found_where_it_was_packed_and_is_gone_when_it_was_removed() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("apps.log");
        let archive = folder.path().join("apps.2026-11-22T10-00-00Z.log");
        fs::write(&log, "current").unwrap();
        fs::write(&archive, "archive").unwrap();
        let snapshot = Snapshot::take(&log).unwrap();
        let packed = folder.path().join("apps.2026-11-22T10-00-00Z.log.gz");
        fs::rename(&archive, &packed).unwrap();
        fs::rename(&log, folder.path().join("apps.2026-11-22T11-00-00Z.log")).unwrap();
        let opened = snapshot.chapters[0].open().unwrap().unwrap();
        assert_eq!((opened.path, opened.compression), (packed.clone(), Compression::Gzip));
        let mut text = String::new();
        snapshot.chapters[1].open().unwrap().unwrap().file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "current", "the rotation behind the snapshot changes nothing");
        fs::remove_file(packed).unwrap();
        assert!(snapshot.chapters[0].open().unwrap().is_none());
    }

    #[test]
    fn the_link_to_the_current_file_and_an_archive_by_its_name_are_logs() {
        let folder = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let log = folder.path().join("apps.log");
        let archive = folder.path().join("apps.2026-11-22T10-00-00Z.log.gz");
        fs::write(&log, "").unwrap();
        fs::write(&archive, "").unwrap();
        let link = other.path().join("latest");
        std::os::unix::fs::symlink(&log, &link).unwrap();
        assert_eq!(names(&Snapshot::take(&link).unwrap()), ["2026-11-22T10-00-00Z.log.gz", "log"]);
        assert_eq!(names(&Snapshot::take(&archive).unwrap()), ["2026-11-22T10-00-00Z.log.gz"]);
    }

    #[test]
    fn what_is_no_log_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let nothing = Snapshot::take(&folder.path().join("apps.log")).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::NotFound);
        let refused = Snapshot::take(folder.path()).unwrap_err();
        assert!(refused.to_string().contains("no regular file"), "{refused}");
    }
}
