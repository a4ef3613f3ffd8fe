//! The bytes that a log takes in its folder, watched while it is written to.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// What a listener may have under way in a folder of logs: packed copies that are not whole, and
/// files that have not got their names.
#[must_use]
pub fn unfinished(folder: &Path) -> Vec<PathBuf> {
    let is_unfinished = |path: &PathBuf| {
        let name = path.to_string_lossy();
        name.ends_with(".tmp") || name.ends_with(".fleetlog-next")
    };
    files(folder).into_iter().filter(is_unfinished).collect()
}

/// The files of a folder.
#[must_use]
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.is_file()).collect()
}

/// The bytes of all files in the folder of a log, each file once whatever it is called.
///
/// The current file is looked at first: what is removed later, to make room for what is written
/// to it later, then does not count twice.
#[must_use]
pub fn bytes(log: &Path) -> u64 {
    let mut paths = files(log.parent().expect("a folder"));
    paths.retain(|path| path != log);
    paths.insert(0, log.to_owned());
    let mut seen = HashSet::new();
    // What is gone since it was listed takes no bytes.
    let found = paths.iter().filter_map(|path| fs::symlink_metadata(path).ok());
    found.filter(|found| seen.insert((found.dev(), found.ino()))).map(|found| found.len()).sum()
}

/// Samples of [`bytes`], taken by a thread as fast as it can.
#[derive(Debug)]
pub struct Usage {
    ends: Arc<AtomicBool>,
    thread: JoinHandle<(u64, u64)>,
}

impl Usage {
    /// Looks at a log's folder from now on.
    #[must_use]
    pub fn of(log: &Path) -> Self {
        let (log, ends) = (log.to_owned(), Arc::new(AtomicBool::new(false)));
        let told = Arc::clone(&ends);
        let thread = std::thread::spawn(move || {
            let (mut samples, mut most) = (0, 0);
            while !told.load(Ordering::Relaxed) {
                most = most.max(bytes(&log));
                samples += 1;
            }
            (samples, most)
        });
        Self { ends, thread }
    }

    /// The most bytes that were ever there. Panics if there was hardly a look.
    #[must_use]
    pub fn most(self) -> u64 {
        self.ends.store(true, Ordering::Relaxed);
        let (samples, most) = self.thread.join().expect("the sampler");
        eprintln!("{samples} samples, the largest of {most} bytes");
        assert!(samples >= 100, "{samples} samples prove nothing");
        most
    }
}
