//! Leftovers: segments that the listener does not read, because it has no room for them or can't.
//!
//! Where there is no room for all at once, those that are drained give way at the end: they are put
//! down, which leaves their files where they are, for workers that live and for the next listener.
//! What is left in spite of that is counted and named in the receipt.
#![deny(clippy::arithmetic_side_effects, reason = "these numbers come from anybody")]

use std::collections::HashSet;

use fleetlog_protocol::message::{LeftBehind, Losses, WorkerAccount};
use fleetlog_protocol::segment::FileName;

use super::Drain;
use crate::intake::Offence;
use crate::sink::SinkError;

/// Segments that are named one by one.
const NAMED_MAX: usize = 16;

/// Accounts that are kept of workers whose segment was put down: as many as a receipt lists.
const ACCOUNTS_MAX: usize = 2048;

/// What the last look into the folder of segments did not take in.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    /// Segments that it did take in.
    pub(super) found: u64,
    /// There may be room for them a moment later.
    pub(super) without_room: u64,
    /// They are not this version's, or not what they seem to be.
    unreadable: u64,
    pub(super) named: Vec<LeftBehind>,
}

impl Leftovers {
    pub(super) fn note(&mut self, file: FileName, offence: &Offence) {
        let count =
            if offence.is_temporary() { &mut self.without_room } else { &mut self.unreadable };
        *count = count.saturating_add(1);
        if self.named.len() < NAMED_MAX {
            self.named.push(LeftBehind { what: file.to_string(), why: offence.to_string() });
        }
    }

    pub(super) const fn count(&self) -> u64 {
        self.without_room.saturating_add(self.unreadable)
    }
}

/// Segments that were drained at the end and gave their room to others.
#[derive(Debug, Default)]
pub(super) struct PutDown {
    pub(super) files: HashSet<FileName>,
    pub(super) accounts: Vec<WorkerAccount>,
    /// What their workers had counted and not reported.
    pub(super) losses: Losses,
}

impl Drain {
    /// Puts every segment down that is mapped, and returns how many. What was logged in them before
    /// the end is in the files; what comes later stands there for the next listener.
    pub(super) fn put_down_all(&mut self) -> Result<usize, SinkError> {
        self.commit()?;
        let mapped: Vec<_> = self.intake.segments.iter().map(|(index, _)| index).collect();
        let mut count: usize = 0;
        for index in mapped {
            if !self.intake.segments.unknown_lanes(index).is_empty() {
                // The checkpoint had no room for a lane of it.
                continue;
            }
            let mut losses = std::mem::take(&mut self.put_down.losses);
            self.add_unreported(index, &mut losses);
            self.put_down.losses = losses;
            let pid = self.intake.segments.get(index).map_or(0, |segment| segment.peer.pid);
            if let Some(account) = self.lane_account(index)
                && self.put_down.accounts.len() < ACCOUNTS_MAX
            {
                self.put_down.accounts.push(WorkerAccount {
                    name: account.name.to_string(),
                    pid,
                    written: account.written,
                    dropped: account.dropped,
                });
            }
            for queue in self.queues_of(index) {
                if let Some(queue) = self.queues.get_mut(queue) {
                    queue.lane_index = None;
                }
            }
            if let Some(file) = self.intake.segments.unmap(index) {
                self.put_down.files.insert(file);
                count = count.saturating_add(1);
            }
        }
        Ok(count)
    }
}
