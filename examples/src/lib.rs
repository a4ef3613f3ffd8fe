//! What the examples have in common: a folder to write into, and the checks of what they wrote.
//!
//! The examples are programs that show how fleetlog is used. Each reads the file that it wrote and
//! fails when a line is missing, so that none of them can rot; `tests/run_examples.rs` runs all.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// What the `main` of an example returns.
pub type Outcome = Result<(), Box<dyn Error>>;

/// The folder of one run: the run directory and the log file are in it.
#[derive(Debug)]
pub struct Place {
    folder: PathBuf,
    _temporary: Option<TempDir>,
}

impl Place {
    /// A temporary folder, which is gone when the example ends, or one that stays.
    ///
    /// # Errors
    /// What the system said.
    pub fn new(folder: Option<PathBuf>) -> io::Result<Self> {
        let temporary = if folder.is_none() { Some(tempfile::tempdir()?) } else { None };
        let folder = match (folder, &temporary) {
            (Some(folder), _) => folder,
            (None, Some(temporary)) => temporary.path().to_owned(),
            (None, None) => std::env::temp_dir(),
        };
        fs::create_dir_all(&folder)?;
        Ok(Self { folder, _temporary: temporary })
    }

    /// The folder that the first argument names, or a temporary one.
    ///
    /// # Errors
    /// What the system said.
    pub fn from_arguments() -> io::Result<Self> {
        Self::new(std::env::args_os().nth(1).map(PathBuf::from))
    }

    /// The folder where the fleet meets.
    #[must_use]
    pub fn run_dir(&self) -> PathBuf {
        self.folder.join("run")
    }

    /// A file in the folder. A file that an earlier run left there is removed: an example judges
    /// its own lines.
    ///
    /// # Errors
    /// What the system said.
    pub fn fresh_file(&self, name: &str) -> io::Result<PathBuf> {
        let file = self.folder.join(name);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(file),
        }
    }
}

/// Fails, and says why, unless something holds.
///
/// # Errors
/// Always when `holds` is false.
pub fn check(holds: bool, claim: impl Into<String>) -> Outcome {
    if holds { Ok(()) } else { Err(format!("this does not hold: {}", claim.into()).into()) }
}

/// The lines of a log file, all of them whole.
///
/// # Errors
/// The file can't be read, or its last line has no end.
pub fn lines(file: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let text = fs::read_to_string(file)?;
    check(text.is_empty() || text.ends_with('\n'), "the last line is whole")?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// The README's programs must compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
