//! Retention: which archives go, and when.
//!
//! The oldest go first, whatever asks for it: their number, their age, or the bytes of all files
//! together. The bytes are bounded before they are written, not after: a batch that would not fit
//! finds its room made. Only names that are archives of this very log are ever removed.

use std::io;

use super::archives::Archives;
use super::log::{Log, expires, is_refusal};

impl Log {
    /// Makes room for the batch below the total.
    pub(super) fn keep_total(&mut self) -> io::Result<()> {
        self.keep_total_with(self.file.batch.len() as u64)
    }

    /// Makes room for so many bytes more below the total, as far as archives can give it.
    pub(super) fn keep_total_with(&mut self, more: u64) -> io::Result<()> {
        let total_max = self.rules().total_size_max;
        if total_max == u64::MAX {
            return Ok(());
        }
        let rest = self.file.len().saturating_add(more);
        self.remove_while(|archives| archives.bytes().saturating_add(rest) > total_max)
    }

    /// Removes what is too old, and what are too many.
    pub(super) fn keep_bounds(&mut self, now: u64) -> io::Result<()> {
        self.look_at_aside();
        let keeping = &self.rules().keeping;
        let (max_files, max_age) = (keeping.max_files, keeping.max_age);
        if let Some(max_files) = max_files {
            let max_files = usize::try_from(max_files).unwrap_or(usize::MAX);
            self.remove_while(|archives| archives.len() > max_files)?;
        }
        if let Some(max_age) = max_age {
            self.remove_while(|archives| {
                archives.oldest().is_some_and(|oldest| expires(oldest, max_age) <= now)
            })?;
        }
        self.keep_total()
    }

    fn remove_while(&mut self, is_too_much: impl Fn(&Archives) -> bool) -> io::Result<()> {
        self.refresh()?;
        let disk = self.disk();
        let Some(archives) = &mut self.archives else { return Ok(()) };
        let mut put_aside = None;
        while is_too_much(archives)
            && let Some(oldest) = archives.oldest()
        {
            let path = archives.path(oldest, crate::options::Compression::None);
            let removed = archives.remove(&*disk, oldest);
            if let Err(error) = &removed
                && is_refusal(error)
            {
                // It is left to whoever forbids it; the next one may go.
                archives.put_aside(oldest);
                put_aside.get_or_insert((path, removed));
                continue;
            }
            removed.map_err(|error| {
                let what = format!("the old file {} can't be removed: {error}", path.display());
                io::Error::new(error.kind(), what)
            })?;
            crate::diagnostic::debug!(path = %path.display(), "an old file was removed");
        }
        if let Some((path, Err(error))) = put_aside {
            self.note_aside(&path, &error);
        }
        Ok(())
    }
}
