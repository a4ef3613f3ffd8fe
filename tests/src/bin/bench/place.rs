//! The folders of one trial: where the lines end up, and where the processes meet.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Short: a socket's path has 107 bytes.
const PREFIX: &str = "flb";

/// Memory that is a file system. Run directories belong there: `/run` is one everywhere.
const SHARED_MEMORY: &str = "/dev/shm";

/// The folders of one trial; they are removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    logs: TempDir,
    meeting: TempDir,
}

impl Place {
    pub(crate) fn new() -> io::Result<Self> {
        let logs = tempfile::Builder::new().prefix(PREFIX).tempdir()?;
        // Where shared memory can't be written, everything stands in one file system.
        let meeting = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir_in(SHARED_MEMORY)
            .or_else(|_| tempfile::Builder::new().prefix(PREFIX).tempdir())?;
        Ok(Self { logs, meeting })
    }

    /// The log file of all peers but s6-log.
    pub(crate) fn file(&self) -> PathBuf {
        self.logs.path().join("apps.log")
    }

    /// The folder in which s6-log keeps its files.
    pub(crate) fn log_dir(&self) -> PathBuf {
        self.logs.path().join("apps")
    }

    /// Where a consumer's configuration and its complaints stand.
    pub(crate) fn beside_the_log(&self, name: &str) -> PathBuf {
        self.logs.path().join(name)
    }

    /// Where fleetlog's workers meet their listener.
    pub(crate) fn run_dir(&self) -> PathBuf {
        self.meeting.path().join("run")
    }

    /// The socket that rsyslog reads.
    pub(crate) fn socket(&self) -> PathBuf {
        self.meeting.path().join("syslog")
    }

    /// The kinds of file system of the log and of the run directory.
    pub(crate) fn kinds(&self) -> (String, String) {
        (kind_of(self.logs.path()), kind_of(self.meeting.path()))
    }
}

/// The kind of the file system that holds a folder, as the mount table names it.
fn kind_of(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    kind_in(&mounts, &folder).unwrap_or("unknown").to_owned()
}

/// Among the mounts above a folder the deepest one holds it, and of several on one point the
/// last: it covers the others.
fn kind_in<'m>(mounts: &'m str, folder: &Path) -> Option<&'m str> {
    let above = mounts.lines().filter_map(|line| {
        // id parent device root point options... - kind source options
        let point = Path::new(line.split(' ').nth(4)?);
        let kind = line.split(" - ").nth(1)?.split(' ').next()?;
        folder.starts_with(point).then(|| (point.components().count(), kind))
    });
    above.max_by_key(|(depth, _)| *depth).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_and_last_mount_above_a_folder_holds_it() {
        let mounts = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
                      23 22 0:5 / /dev rw - devtmpfs devtmpfs rw\n\
                      24 23 0:20 / /dev/shm rw shared:3 - ramfs none rw\n\
                      25 23 0:21 / /dev/shm rw shared:4 - tmpfs tmpfs rw\n";
        assert_eq!(kind_in(mounts, Path::new("/dev/shm/flb1")), Some("tmpfs"));
        assert_eq!(kind_in(mounts, Path::new("/dev/shmem")), Some("devtmpfs"));
        assert_eq!(kind_in(mounts, Path::new("/tmp/flb2")), Some("ext4"));
        assert_eq!(kind_in("", Path::new("/tmp")), None);
    }
}
