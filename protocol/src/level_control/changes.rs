//! The changes of level that are in force, and their bytes in the run directory.
//!
//! The bytes are written by a listener and read by every worker. As everywhere, decoding never
//! panics, never reads past its input, and never allocates by a number that it has not checked.

use std::time::Duration;

use super::clock;
use super::pattern::WorkerPattern;
use crate::decode::{Cursor, DecodeError, check_count};
use crate::directives::Directives;
use crate::limits::{DIRECTIVES_MAX, LEVEL_CHANGES_MAX, WORKER_PATTERN_MAX};

/// The first bytes of the file, with the version of the rest.
const MAGIC: [u8; 8] = *b"\x89fllevel";
const VERSION: u16 = 1;

/// The longest file, in bytes.
pub(super) const CHANGES_BYTES_MAX: usize =
    8 + 2 + 16 + 2 + LEVEL_CHANGES_MAX * (8 + 2 + WORKER_PATTERN_MAX + 2 + DIRECTIVES_MAX);

/// The number that stands for no worker, no text, or no end.
const NONE_16: u16 = u16::MAX;
const NONE_64: u64 = u64::MAX;

/// What some workers log instead of what they were started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Laid over the filter that the worker was started with.
    pub directives: Directives,
    /// Which workers; `None` = all.
    pub worker: Option<WorkerPattern>,
    /// When it ends, by [`clock::now`]; `None` = when it is taken back.
    pub deadline: Option<Duration>,
}

impl Change {
    /// Whether its time is over.
    #[must_use]
    pub fn is_over(&self, now: Duration) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Whether it is for a worker.
    #[must_use]
    pub fn is_for(&self, name: &str, pid: u32) -> bool {
        self.worker.as_ref().is_none_or(|worker| worker.fits(name, pid))
    }
}

/// There are as many changes already as there may be.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{LEVEL_CHANGES_MAX} changes of level are in force already, which is as many as there may be: \
     take some back with `fleetlog level --reset`"
)]
pub struct TooManyChanges;

crate::debug_as_display!(TooManyChanges);

/// The changes that are in force, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes(Vec<Change>);

impl Changes {
    /// The changes, the oldest first.
    #[must_use]
    pub fn as_slice(&self) -> &[Change] {
        &self.0
    }

    /// Adds a change in place of the former one for the same workers.
    ///
    /// # Errors
    /// [`TooManyChanges`]; then nothing was changed.
    pub fn put(&mut self, change: Change) -> Result<(), TooManyChanges> {
        let is_former = |other: &Change| other.worker == change.worker;
        if self.0.len() >= LEVEL_CHANGES_MAX && !self.0.iter().any(is_former) {
            return Err(TooManyChanges);
        }
        self.0.retain(|other| !is_former(other));
        self.0.push(change);
        Ok(())
    }

    /// Takes back the change for some workers, named as when it was made, or all of them. Returns
    /// how many there were.
    pub fn take_back(&mut self, worker: Option<&str>) -> usize {
        let before = self.0.len();
        self.0.retain(|change| {
            worker.is_some_and(|worker| {
                change.worker.as_ref().is_none_or(|other| other.as_str() != worker)
            })
        });
        before - self.0.len()
    }

    /// Drops the changes whose time is over; tells whether there were any.
    pub fn expire(&mut self, now: Duration) -> bool {
        let before = self.0.len();
        self.0.retain(|change| !change.is_over(now));
        before != self.0.len()
    }

    /// What a worker is told, the most decisive first: what names some workers stands before what
    /// is for all, so that one worker can be looked into while its fleet is kept quiet, and of two
    /// the later one counts.
    pub fn for_worker(&self, name: &str, pid: u32, now: Duration) -> impl Iterator<Item = &Change> {
        let fits = move |change: &&Change| !change.is_over(now) && change.is_for(name, pid);
        let named = self.0.iter().rev().filter(|change| change.worker.is_some());
        let common = self.0.iter().rev().filter(|change| change.worker.is_none());
        named.chain(common).filter(fits)
    }

    /// The next time at which a change ends.
    #[must_use]
    pub fn next_end(&self, now: Duration) -> Option<Duration> {
        self.0.iter().filter_map(|change| change.deadline).filter(|end| *end > now).min()
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&clock::boot().to_le_bytes());
        out.extend_from_slice(&u16::try_from(self.0.len()).unwrap_or(0).to_le_bytes());
        for change in &self.0 {
            let deadline = change.deadline.map(|deadline| deadline.as_nanos());
            let deadline = deadline.and_then(|nanos| u64::try_from(nanos).ok());
            out.extend_from_slice(&deadline.unwrap_or(NONE_64).to_le_bytes());
            match &change.worker {
                Some(worker) => put_text(worker.as_str(), out),
                None => out.extend_from_slice(&NONE_16.to_le_bytes()),
            }
            put_text(&change.directives.to_string(), out);
        }
    }

    /// Decodes what a listener wrote. Changes that were to end by the clock of another boot are
    /// over.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(bytes);
        if cursor.bytes(MAGIC.len(), "a magic number")? != MAGIC {
            return Err(DecodeError::NotFleetlog);
        }
        let found = cursor.u16("a version")?;
        if found != VERSION {
            return Err(DecodeError::Version { found, expected: VERSION });
        }
        let (boot, own_boot) = (cursor.u128("a boot")?, clock::boot());
        let same_boot = boot == own_boot || boot == 0 || own_boot == 0;
        let count = usize::from(cursor.u16("a count of changes")?);
        check_count("a count of changes", count, LEVEL_CHANGES_MAX)?;
        let mut changes = Self::default();
        for _ in 0..count {
            let deadline = cursor.u64("a deadline")?;
            let deadline = (deadline != NONE_64).then(|| Duration::from_nanos(deadline));
            let worker = get_text(&mut cursor, WORKER_PATTERN_MAX, "a choice of workers")?;
            let directives = get_text(&mut cursor, DIRECTIVES_MAX, "filter directives")?
                .ok_or(DecodeError::Inconsistent("a change without directives"))?
                .parse()
                .map_err(|_| DecodeError::Inconsistent("a text of filter directives"))?;
            if deadline.is_none() || same_boot {
                let worker = worker.map(WorkerPattern::parse);
                changes.0.push(Change { directives, worker, deadline });
            }
        }
        cursor.end("the changes")?;
        Ok(changes)
    }
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    // What is longer was refused when the change was made.
    let length = u16::try_from(text.len()).unwrap_or(0);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&text.as_bytes()[..usize::from(length)]);
}

fn get_text<'a>(
    cursor: &mut Cursor<'a>,
    most: usize,
    what: &'static str,
) -> Result<Option<&'a str>, DecodeError> {
    match cursor.u16(what)? {
        NONE_16 => Ok(None),
        length => {
            check_count(what, usize::from(length), most)?;
            cursor.text(usize::from(length), what).map(Some)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn change(directives: &str, worker: Option<&str>, seconds: Option<u64>) -> Change {
        Change {
            directives: directives.parse().unwrap(),
            worker: worker.map(WorkerPattern::parse),
            deadline: seconds.map(Duration::from_secs),
        }
    }

    fn told(changes: &Changes, name: &str, now: u64) -> Vec<String> {
        let now = Duration::from_secs(now);
        changes.for_worker(name, 7, now).map(|change| change.directives.to_string()).collect()
    }

    #[test]
    fn what_names_a_worker_decides_before_what_is_for_all_and_the_later_before_the_earlier() {
        let mut changes = Changes::default();
        changes.put(change("app=debug", Some("worker 7"), None)).unwrap();
        changes.put(change("app=trace", Some("worker *"), None)).unwrap();
        changes.put(change("warn", None, None)).unwrap();
        assert_eq!(told(&changes, "worker 7", 0), ["app=trace", "app=debug", "warn"]);
        assert_eq!(told(&changes, "worker 8", 0), ["app=trace", "warn"]);
        assert_eq!(told(&changes, "other", 0), ["warn"]);
    }

    #[test]
    fn a_change_takes_the_place_of_the_former_one_for_the_same_workers() {
        let mut changes = Changes::default();
        for directives in ["debug", "app=trace"] {
            changes.put(change(directives, Some("w"), None)).unwrap();
            changes.put(change(directives, None, None)).unwrap();
        }
        assert_eq!(told(&changes, "w", 0), ["app=trace", "app=trace"]);
        assert_eq!(changes.take_back(Some("x")), 0);
        assert_eq!(changes.take_back(Some("w")), 1);
        assert_eq!(told(&changes, "w", 0), ["app=trace"]);
        assert_eq!(changes.take_back(None), 1);
        assert_eq!(changes, Changes::default());
    }

    #[test]
    fn a_change_is_over_at_its_end_and_not_before() {
        let mut changes = Changes::default();
        changes.put(change("debug", None, Some(10))).unwrap();
        changes.put(change("warn", Some("w"), Some(20))).unwrap();
        assert_eq!(told(&changes, "w", 9), ["warn", "debug"]);
        assert_eq!(told(&changes, "w", 10), ["warn"]);
        assert_eq!(changes.next_end(Duration::from_secs(9)), Some(Duration::from_secs(10)));
        assert_eq!(changes.next_end(Duration::from_secs(10)), Some(Duration::from_secs(20)));
        assert!(changes.expire(Duration::from_secs(10)));
        assert!(!changes.expire(Duration::from_secs(10)));
        assert_eq!(changes.as_slice().len(), 1);
    }

    #[test]
    fn there_are_no_more_changes_than_there_may_be() {
        let mut changes = Changes::default();
        let longest = "a".repeat(DIRECTIVES_MAX);
        for number in 0..LEVEL_CHANGES_MAX {
            let worker = format!("{number:0width$}x", width = WORKER_PATTERN_MAX - 1);
            let mut change = change("off", Some(&worker), Some(1));
            change.directives = longest[..DIRECTIVES_MAX - 6].parse().unwrap();
            changes.put(change).unwrap();
        }
        assert_eq!(changes.put(change("debug", Some("one more"), None)), Err(TooManyChanges));
        let mut bytes = Vec::new();
        changes.encode(&mut bytes);
        assert_eq!(bytes.len(), CHANGES_BYTES_MAX);
        assert_eq!(Changes::decode(&bytes).unwrap(), changes);
    }

    #[test]
    fn a_change_that_ends_is_over_after_a_boot_and_another_one_is_not() {
        let mut changes = Changes::default();
        changes.put(change("debug", None, Some(u64::MAX / 2_000_000_000))).unwrap();
        changes.put(change("warn", Some("w"), None)).unwrap();
        let mut bytes = Vec::new();
        changes.encode(&mut bytes);
        assert_eq!(Changes::decode(&bytes).unwrap(), changes);
        bytes[10] ^= 1;
        assert_eq!(told(&Changes::decode(&bytes).unwrap(), "w", 0), ["warn"]);
        bytes[10..26].fill(0);
        assert_eq!(Changes::decode(&bytes).unwrap(), changes, "an unknown boot is this one");
    }

    #[test]
    fn what_is_no_file_of_changes_is_refused() {
        let mut bytes = Vec::new();
        let mut changes = Changes::default();
        changes.put(change("app=debug", Some("w"), Some(9))).unwrap();
        changes.encode(&mut bytes);
        for end in 0..bytes.len() {
            assert!(Changes::decode(&bytes[..end]).is_err(), "{end} bytes");
        }
        assert!(Changes::decode(&[&bytes[..], b"x"].concat()).is_err());
        let at = bytes.windows(3).position(|three| three == b"app").unwrap();
        bytes[at] = b'=';
        assert!(Changes::decode(&bytes).is_err());
    }

    proptest! {
        #[test]
        fn scribbled_bytes_are_read_or_refused(
            at in 0..80_usize, with in any::<[u8; 4]>(),
        ) {
            let mut changes = Changes::default();
            changes.put(change("app=debug", Some("worker 7"), Some(9))).unwrap();
            changes.put(change("warn", None, None)).unwrap();
            let mut bytes = Vec::new();
            changes.encode(&mut bytes);
            let at = at.min(bytes.len() - 4);
            bytes[at..at + 4].copy_from_slice(&with);
            if let Ok(found) = Changes::decode(&bytes) {
                prop_assert!(found.as_slice().len() <= LEVEL_CHANGES_MAX);
            }
        }
    }
}
