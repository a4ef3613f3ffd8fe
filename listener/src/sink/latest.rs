//! The link that always names the current file.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::Disk;

use super::archives::gone;
use super::file::folder_of;

/// What the name of the next link ends with until it takes the place of the old one.
const NEXT: &str = ".fleetlog-next";

/// Makes a link name a file, in one step: whoever follows it meets the old file or the new one.
/// The link names a file of its own folder by its bare name, so that the folder can be mounted
/// elsewhere, and any other file by its whole path, so that it holds from any folder.
pub(super) fn point(disk: &dyn Disk, link: &Path, file: &Path) -> io::Result<()> {
    let link = std::path::absolute(link)?;
    let text: PathBuf = match file.file_name() {
        Some(name) if folder_of(file) == folder_of(&link) => name.into(),
        _ => file.to_owned(),
    };
    match disk.read_link(&link) {
        Ok(found) if found == text => return Ok(()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            disk.make_folder(folder_of(&link))?;
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!(
                    "{} is in the way and is no symbolic link: fleetlog does not remove it, move \
                     it away or name another --latest-symlink",
                    link.display()
                ),
            ));
        }
        Err(error) => return Err(error),
    }
    let mut next = link.clone().into_os_string();
    next.push(NEXT);
    let next = PathBuf::from(next);
    gone(disk.unlink(&next))?;
    disk.symlink(&text, &next)?;
    disk.rename(&next, &link)
}
