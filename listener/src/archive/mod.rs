//! Archives: the old files of a log, how they are called and how they are read.

mod backward;
mod lines;
mod name;
mod snapshot;
mod unpack;
mod unpacked_file;

pub(crate) use backward::Backward;
pub(crate) use lines::{LINE_MAX, Lines, Place};
pub(crate) use name::{ArchiveKey, ArchiveNames};
pub(crate) use snapshot::{Chapter, Opened, Snapshot};
pub(crate) use unpack::Unpacked;
pub(crate) use unpacked_file::{damage, unpacked_file};
