//! Named places at which a test can kill the listener.
//!
//! With the feature `faults`, `FLEETLOG_FAULT=<point>[:<count>]` kills the process with SIGKILL
//! when the point is reached for the `count`-th time (the first by default). Without the feature
//! every call is empty, and a shipped binary has none of this.

/// A place in the life of a batch, a segment, or a log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    BeforeIntent,
    AfterIntent,
    /// In the middle of the bytes of one write.
    #[cfg(feature = "faults")]
    InWrite,
    AfterWrite,
    AfterPositions,
    AfterClear,
    /// The tails of lanes are released.
    AfterRelease,
    /// The file of a dead worker's segment goes.
    BeforeUnlink,
    AfterUnlink,
    /// A log that is rotated has its archive's name.
    AfterLink,
    /// The next current file is there under its temporary name.
    AfterNext,
    /// The next current file has its name.
    AfterTurn,
    /// The packed copy of an archive has its name.
    AfterPacked,
    /// The unpacked one is gone.
    AfterSettled,
}

#[cfg(feature = "faults")]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::Point;

    struct Armed {
        name: String,
        left: AtomicU64,
    }

    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

    fn name(point: Point) -> &'static str {
        match point {
            Point::BeforeIntent => "before-intent",
            Point::AfterIntent => "after-intent",
            Point::InWrite => "in-write",
            Point::AfterWrite => "after-write",
            Point::AfterPositions => "after-positions",
            Point::AfterClear => "after-clear",
            Point::AfterRelease => "after-release",
            Point::BeforeUnlink => "before-unlink",
            Point::AfterUnlink => "after-unlink",
            Point::AfterLink => "after-link",
            Point::AfterNext => "after-next",
            Point::AfterTurn => "after-turn",
            Point::AfterPacked => "after-packed",
            Point::AfterSettled => "after-settled",
        }
    }

    pub(crate) fn due(point: Point) -> bool {
        let armed = ARMED.get_or_init(|| {
            let text = std::env::var("FLEETLOG_FAULT").ok()?;
            let (name, count) = text.split_once(':').unwrap_or((&text, "1"));
            let left = AtomicU64::new(count.parse().ok()?);
            Some(Armed { name: name.to_owned(), left })
        });
        armed.as_ref().is_some_and(|armed| {
            armed.name == name(point) && armed.left.fetch_sub(1, Ordering::Relaxed) == 1
        })
    }

    pub(crate) fn die() -> ! {
        let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
        std::process::abort()
    }
}

/// Dies here if a test wants it so.
#[inline]
pub(crate) fn reach(point: Point) {
    #[cfg(feature = "faults")]
    if armed::due(point) {
        armed::die();
    }
    let _ = point;
}

/// How much of a write of `len` bytes may be done before [`die_in_write`] is called.
#[inline]
pub(crate) fn cut_write(len: usize) -> Option<usize> {
    #[cfg(feature = "faults")]
    if armed::due(Point::InWrite) {
        return Some(len / 2);
    }
    let _ = len;
    None
}

/// Dies after a write that was cut.
pub(crate) fn die_in_write() {
    #[cfg(feature = "faults")]
    armed::die();
}
