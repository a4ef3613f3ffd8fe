//! s6-log behind a pipe that all workers share.

use std::fs;
use std::io::{self, PipeWriter};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::program::{self, Program};
use crate::place::Place;

/// The largest file that it keeps, and more old files than any trial fills: nothing is deleted.
const SCRIPT: [&str; 2] = ["s268435455", "n10000"];

/// The file that it writes; older ones are called `@` and their time.
const CURRENT: &str = "current";

#[derive(Debug)]
pub(crate) struct S6Log {
    program: Program,
    /// `None` when everything was written.
    pipe: Option<PipeWriter>,
}

impl S6Log {
    pub(super) fn start(place: &Place) -> io::Result<Self> {
        let (reader, pipe) = io::pipe()?;
        let program = Program::start(program::S6_LOG, place, |command| {
            command.args(SCRIPT).arg(place.log_dir()).stdin(reader);
        })?;
        Ok(Self { program, pipe: Some(pipe) })
    }

    pub(super) fn pipe(&self) -> io::Result<PipeWriter> {
        match &self.pipe {
            Some(pipe) => pipe.try_clone(),
            None => Err(io::Error::other("the pipe to s6-log is closed")),
        }
    }

    /// Ends the pipe: s6-log writes what it holds and leaves.
    pub(super) fn finish(&mut self) -> io::Result<Instant> {
        self.pipe = None;
        self.program.wait()?;
        Ok(Instant::now())
    }
}

/// The log files of a folder, the oldest first: the times in their names sort as text.
pub(super) fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with('@') {
            files.push(entry.path());
        }
    }
    files.sort();
    files.push(folder.join(CURRENT));
    Ok(files)
}
