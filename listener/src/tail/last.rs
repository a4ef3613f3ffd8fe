//! Where the last lines of a log begin, looked for from its end.

use std::collections::VecDeque;
use std::fs::File;
use std::io;

use jiff::Timestamp;

use super::filter::SLACK;
use crate::archive::{Backward, Chapter, Snapshot, unpacked_file};
use crate::disk::Identity;
use crate::options::Compression;

/// Where a line begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    /// The number of its chapter.
    pub(super) chapter: usize,
    /// In the chapter's text.
    pub(super) offset: u64,
    /// Of the line, or of its neighbour.
    pub(super) time: Timestamp,
}

/// Where the last `count` lines begin that are wanted, the oldest first, and not in files that were
/// closed before `since`. `end` is how far the last
/// chapter is read, told by its identity; `wanted` tells the time of a line that counts.
pub(super) fn spots(
    snapshot: &Snapshot,
    end: (Option<Identity>, u64),
    (count, since): (usize, Option<Timestamp>),
    wanted: &mut dyn FnMut(&[u8]) -> Option<Timestamp>,
) -> io::Result<Vec<Spot>> {
    let mut spots = VecDeque::new();
    let mut line = Vec::new();
    for (chapter, of) in snapshot.chapters.iter().enumerate().rev() {
        if spots.len() >= count || since.is_some_and(|since| !can_hold(of, since)) {
            break;
        }
        let Some(opened) = of.open()? else { break };
        let is_last = chapter + 1 == snapshot.chapters.len();
        let (file, length): (File, u64) = if opened.compression == Compression::None {
            let length = if is_last && end.0 == of.plain_identity() { end.1 } else { opened.size };
            (opened.file, length)
        } else {
            // What can't be unpacked to its end is shown, with what is wrong with it, by whoever
            // reads it forward.
            let (file, length, _) = unpacked_file(opened)?;
            (file, length)
        };
        let mut lines = Backward::new(file, length);
        while spots.len() < count && lines.previous(&mut line)? {
            if let Some(time) = wanted(&line) {
                spots.push_front(Spot { chapter, offset: lines.place(), time });
            }
        }
    }
    Ok(spots.into())
}

/// Whether a file may have a line of this time or a later one: an archive holds only what was
/// written before it was closed.
pub(super) fn can_hold(chapter: &Chapter, time: Timestamp) -> bool {
    let first = time.checked_sub(SLACK).map_or(i64::MIN, Timestamp::as_second);
    chapter.key.is_none_or(|key| key.second >= first)
}
