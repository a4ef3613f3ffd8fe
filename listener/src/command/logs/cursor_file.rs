//! The cursor file: where a follower is, for the next one.
//!
//! It is replaced as a whole, by a rename, so that a kill leaves the old place or the new one. It
//! belongs to the logs that it was made for and to the user who made it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc;
use nix::unistd::Uid;
use serde::{Deserialize, Serialize};

use super::output_file::Written;
use crate::command::exit::Failure;
use crate::tail::Position;

const VERSION: u32 = 1;

/// No cursor is larger: a thousand logs have a few hundred KiB.
const BYTES_MAX: u64 = 64 << 20;

/// What a cursor file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cursor {
    version: u32,
    /// The logs as they were named, templates included.
    sources: Vec<PathBuf>,
    logs: Vec<Log>,
    /// Standard output, where it is a file.
    output: Option<Written>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Log {
    path: PathBuf,
    position: Position,
}

/// The cursor file of some logs.
#[derive(Debug)]
pub(super) struct CursorFile {
    path: PathBuf,
    sources: Vec<PathBuf>,
    last: Option<Cursor>,
}

impl CursorFile {
    /// Reads the cursor, if there is one.
    pub(super) fn open(path: &Path, mut sources: Vec<PathBuf>) -> Result<Self, Failure> {
        sources.sort();
        let refused = |why: &str| {
            Failure::usage(
                "logs: --cursor-file",
                format_args!(
                    "{}: {why}; name another file, or remove it to begin with the oldest line",
                    path.display()
                ),
            )
        };
        if path.as_os_str().is_empty() {
            return Err(refused("the path is empty"));
        }
        let last = match read(path) {
            Ok(bytes) => {
                let cursor: Cursor = serde_json::from_slice(&bytes)
                    .map_err(|error| refused(&format!("it is no cursor, or damaged: {error}")))?;
                if cursor.version != VERSION {
                    return Err(refused("it is a cursor of another version of fleetlog"));
                }
                if !cursor.logs.iter().all(|log| log.position.is_sound()) {
                    return Err(refused("it is damaged: its place can't be one"));
                }
                if cursor.sources != sources {
                    let theirs: Vec<_> =
                        cursor.sources.iter().map(|path| path.display().to_string()).collect();
                    return Err(refused(&format!("it is the cursor of {}", theirs.join(", "))));
                }
                Some(cursor)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) if error.raw_os_error() == Some(Errno::ELOOP as i32) => {
                return Err(refused("it is a symbolic link"));
            }
            Err(error) => return Err(refused(&error.to_string())),
        };
        Ok(Self { path: path.to_owned(), sources, last })
    }

    /// Whether there was one.
    pub(super) const fn is_there(&self) -> bool {
        self.last.is_some()
    }

    /// The place of a log, if it has one.
    pub(super) fn position(&self, log: &Path) -> Option<Position> {
        let logs = &self.last.as_ref()?.logs;
        logs.iter().find(|other| other.path == log).map(|log| log.position.clone())
    }

    /// The logs that have a place.
    pub(super) fn logs(&self) -> impl Iterator<Item = &Path> {
        self.last.iter().flat_map(|cursor| cursor.logs.iter().map(|log| log.path.as_path()))
    }

    /// How far standard output was written.
    pub(super) fn written(&self) -> Option<Written> {
        self.last.as_ref()?.output
    }

    /// Writes down where the logs are; nothing where nothing has changed.
    pub(super) fn save(
        &mut self,
        positions: Vec<(PathBuf, Position)>,
        output: Option<Written>,
    ) -> Result<(), Failure> {
        let logs = positions.into_iter().map(|(path, position)| Log { path, position }).collect();
        let cursor = Cursor { version: VERSION, sources: self.sources.clone(), logs, output };
        if self.last.as_ref() == Some(&cursor) {
            return Ok(());
        }
        let written = serde_json::to_vec(&cursor).map_err(io::Error::other);
        written.and_then(|bytes| replace(&self.path, &bytes)).map_err(|error| {
            Failure::failed(
                "logs: --cursor-file",
                format_args!("{} can't be written: {error}", self.path.display()),
            )
        })?;
        self.last = Some(cursor);
        Ok(())
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // What stands there must neither hang nor flood whoever looks.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    if found.uid() != Uid::effective().as_raw() {
        return Err(io::Error::other("it belongs to another user"));
    }
    if found.len() > BYTES_MAX {
        return Err(io::Error::other("it is too large for a cursor"));
    }
    let mut bytes = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Puts a whole file in the place of the old one.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut next = path.as_os_str().to_owned();
    next.push(".fleetlog-next");
    let next = PathBuf::from(next);
    match fs::remove_file(&next) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let mut file: File = options.write(true).create_new(true).mode(0o600).open(&next)?;
    file.write_all(bytes)?;
    fs::rename(&next, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &Path, sources: &[&str]) -> String {
        let sources = sources.iter().map(PathBuf::from).collect();
        CursorFile::open(path, sources).unwrap_err().lines().collect()
    }

    #[test]
    fn a_cursor_comes_back_for_the_same_logs_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cursor");
        let sources = || vec![PathBuf::from("/b"), PathBuf::from("/a")];
        let mut file = CursorFile::open(&path, sources()).unwrap();
        assert!(!file.is_there() && file.position(Path::new("/a")).is_none());
        file.save(vec![("/a".into(), Position::default())], None).unwrap();
        let file = CursorFile::open(&path, sources().into_iter().rev().collect()).unwrap();
        assert_eq!(file.position(Path::new("/a")), Some(Position::default()));
        assert_eq!(file.logs().collect::<Vec<_>>(), [Path::new("/a")]);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(refusal(&path, &["/c"]).contains("it is the cursor of /a, /b"));
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cursor");
        for damage in ["", "{", "null", "[]", r#"{"version":1}"#, "\u{0}\u{0}"] {
            fs::write(&path, damage).unwrap();
            assert!(refusal(&path, &["/a"]).contains("no cursor, or damaged"), "{damage}");
        }
        let position = r#"{"after":null,"identity":null,"offset":1,"head":{"length":2,"sum":0},"last":{"length":0,"sum":0}}"#;
        let logs = format!(r#"[{{"path":"/a","position":{position}}}]"#);
        for (version, why) in [(1, "its place can't be one"), (2, "another version")] {
            let text =
                format!(r#"{{"version":{version},"sources":["/a"],"logs":{logs},"output":null}}"#);
            fs::write(&path, text).unwrap();
            assert!(refusal(&path, &["/a"]).contains(why), "{why}");
        }
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(refusal(&link, &["/a"]).contains("symbolic link"));
        assert!(refusal(folder.path(), &["/a"]).contains("no regular file"));
        assert!(refusal(Path::new(""), &["/a"]).contains("empty"));
    }
}
