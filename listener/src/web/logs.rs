//! The logs that a page can read: the files that the listener writes.
//!
//! A page names one by its number, and one worker's file of it by its name in a list that is made
//! here. It never says a path.

use std::path::{Path, PathBuf};

use crate::command::logs::sources;
use crate::options::{SinkOptions, SinkTarget};
use crate::sink::PathTemplate;

/// The files of a log of which a page is told; who has more reads them with `fleetlog logs`.
const FILES_MAX: usize = 256;

/// One log, or one for each worker.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    is_per_worker: bool,
}

/// The logs among a listener's sinks.
pub(super) fn of(sinks: &[SinkOptions]) -> Vec<Log> {
    let log = |sink: &SinkOptions| {
        let SinkTarget::File(path) = &sink.target else { return None };
        let is_per_worker = PathTemplate::new(path).is_per_worker();
        let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        Some(Log { path, is_per_worker })
    };
    sinks.iter().filter_map(log).collect()
}

impl Log {
    /// As it is configured.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Its files that can be followed now, the current ones.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        if !self.is_per_worker {
            return vec![self.path.clone()];
        }
        let mut files = sources::fitting(&self.path).unwrap_or_default();
        files.truncate(FILES_MAX);
        files
    }

    /// The file of this name, or the first one where none is named.
    pub(super) fn file(&self, name: Option<&str>) -> Option<PathBuf> {
        let is_it = |path: &PathBuf| name.is_none_or(|name| file_name(path) == name);
        self.files().into_iter().find(is_it)
    }
}

/// The name by which a page is told of a file.
pub(super) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sink(path: &Path) -> SinkOptions {
        SinkOptions::new(SinkTarget::File(path.to_owned()))
    }

    #[test]
    fn standard_output_is_no_log_and_a_path_is_a_file_of_its_own() {
        let logs = of(&[SinkOptions::new(SinkTarget::Stdout), sink(Path::new("/var/log/a.log"))]);
        assert_eq!(logs.len(), 1);
        assert_eq!(logs[0].file(None), Some("/var/log/a.log".into()));
        assert_eq!(logs[0].file(Some("a.log")), Some("/var/log/a.log".into()));
    }

    #[test]
    fn a_page_can_name_no_file_but_those_of_a_log() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["of-a.log", "of-b.log", "secret"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let logs = of(&[sink(&folder.path().join("of-{worker}.log"))]);
        assert_eq!(logs[0].file(None), Some(folder.path().join("of-a.log")));
        assert_eq!(logs[0].file(Some("of-b.log")), Some(folder.path().join("of-b.log")));
        for name in ["secret", "../secret", "of-c.log", "of-b.log/../secret", "/etc/passwd", ""] {
            assert_eq!(logs[0].file(Some(name)), None, "{name}");
        }
    }
}
