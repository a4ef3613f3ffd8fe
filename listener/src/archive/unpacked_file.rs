//! A packed file, unpacked into one that nobody else sees: its lines come in the order in which they
//! were packed, and whoever reads from the end needs the last ones first.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Opened, Unpacked};

/// How much is unpacked at a time.
const CHUNK: usize = 256 << 10;

/// Unpacks a file. Returns the text as far as it could be unpacked, its length, and what is wrong
/// with the packed file.
///
/// # Errors
/// There is no room to unpack it.
pub(crate) fn unpacked_file(opened: Opened) -> io::Result<(File, u64, Option<String>)> {
    let mut unpacked = Unpacked::of(opened)?;
    let mut file = unnamed_file(&std::env::temp_dir())?;
    let mut buffer = vec![0; CHUNK];
    let (mut size, mut lines) = (0, 0);
    loop {
        match unpacked.read(&mut buffer) {
            Ok(0) => return Ok((file, size, None)),
            Ok(read) => {
                file.write_all(&buffer[..read])?;
                size += read as u64;
                lines += buffer[..read].iter().filter(|byte| **byte == b'\n').count() as u64;
            }
            Err(error) => return Ok((file, size, Some(damage(&error, lines + 1, size)))),
        }
    }
}

/// What is wrong with an archive, and where.
pub(crate) fn damage(error: &io::Error, line: u64, offset: u64) -> String {
    format!("damaged in line {line}, behind byte {offset} of its text: {error}")
}

/// A file for this process alone, without a name.
fn unnamed_file(folder: &Path) -> io::Result<File> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!("fleetlog-logs.{}.{number}", std::process::id()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
    let file = file.map_err(|error| {
        io::Error::new(error.kind(), format!("no room to unpack it in {}: {error}", path.display()))
    })?;
    fs::remove_file(&path)?;
    Ok(file)
}
