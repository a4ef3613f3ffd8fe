//! Paths with placeholders: `{worker}` and `{pid}` make one file per worker.
//!
//! A worker chooses its name, so a name must not choose the folder: separators, control
//! characters and leading dots become underscores.

use std::path::{Path, PathBuf};

/// A path as it was configured.
#[derive(Clone, Debug)]
pub(crate) struct PathTemplate {
    text: PathBuf,
    per_worker: bool,
}

impl PathTemplate {
    pub(crate) fn new(path: &Path) -> Self {
        let text = path.to_string_lossy();
        let per_worker = text.contains("{worker}") || text.contains("{pid}");
        Self { text: path.to_owned(), per_worker }
    }

    /// Whether each worker has a file of its own.
    pub(crate) const fn is_per_worker(&self) -> bool {
        self.per_worker
    }

    /// The path for one worker.
    pub(crate) fn expand(&self, worker: &str, pid: u32) -> PathBuf {
        if !self.per_worker {
            return self.text.clone();
        }
        let text = self.text.to_string_lossy();
        text.replace("{worker}", &file_name(worker)).replace("{pid}", &pid.to_string()).into()
    }
}

/// A worker's name as a part of a file name.
fn file_name(worker: &str) -> String {
    let mut name: String = worker
        .chars()
        .map(|letter| if letter == '/' || is_unsafe(letter) { '_' } else { letter })
        .collect();
    if name.starts_with('.') {
        name.replace_range(..1, "_");
    }
    if name.is_empty() {
        name.push('_');
    }
    while let Some(at) = archive_time(&name) {
        name.replace_range(at..=at, "_");
    }
    name
}

/// Control characters, and the marks of writing direction, by which a name looks like another one.
fn is_unsafe(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Where the `T` of an archive's time stands in a name: a worker must not be able to have a file that
/// another worker's log would take for its own archive.
fn archive_time(name: &str) -> Option<usize> {
    let shape = b"0000-00-00T00-00-00Z";
    let fits = |window: &[u8]| {
        window.iter().zip(shape).all(|(found, expected)| match expected {
            b'0' => found.is_ascii_digit(),
            _ => found == expected,
        })
    };
    let at = name.as_bytes().windows(shape.len()).position(fits)?;
    Some(at + 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_not_leave_its_folder() {
        let template = PathTemplate::new(Path::new("/var/log/{worker}.{pid}.log"));
        assert!(template.is_per_worker());
        assert_eq!(template.expand("worker 3", 7), Path::new("/var/log/worker 3.7.log"));
        assert_eq!(template.expand("../../etc/x", 7), Path::new("/var/log/_._.._etc_x.7.log"));
        assert_eq!(template.expand("a\0b\n", 7), Path::new("/var/log/a_b_.7.log"));
        assert_eq!(template.expand("", 7), Path::new("/var/log/_.7.log"));
    }

    #[test]
    fn a_name_can_not_be_another_logs_archive() {
        let template = PathTemplate::new(Path::new("{worker}.log"));
        assert_eq!(
            template.expand("a.2026-11-22T10-00-00Z.2026-11-22T10-00-00Z_0001", 7),
            Path::new("a.2026-11-22_10-00-00Z.2026-11-22_10-00-00Z_0001.log")
        );
    }

    #[test]
    fn a_name_that_looks_like_a_placeholder_stays_a_name() {
        let template = PathTemplate::new(Path::new("{worker}.log"));
        assert_eq!(template.expand("{worker}", 7), Path::new("{worker}.log"));
    }
}
