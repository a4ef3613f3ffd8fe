//! Archives: the old files of a log, how they are called and how they are read.

mod name;

pub(crate) use name::{ArchiveKey, ArchiveNames};
