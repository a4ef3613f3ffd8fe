//! The columns of the tables of workers and of logs, for `status` and for `top`.
//!
//! One list for both, so that a figure has one name and one look wherever it is shown, and the
//! same columns make way where there is little room.

use super::answer::{Sink, Worker};
use crate::command::spark::spark;
use crate::command::table::{Align, bytes, count, rate, seconds, whole};

/// What a cell is to the eye.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::command) enum Tone {
    Plain,
    Dim,
    Good,
    Warning,
    Bad,
}

/// A column of a table of `T`.
#[derive(Debug)]
pub(in crate::command) struct Column<T> {
    pub(in crate::command) name: &'static str,
    pub(in crate::command) align: Align,
    /// Which columns make way first where there is little room: the highest. 0 stays.
    pub(in crate::command) rank: u8,
    /// What a live table keeps free for it, so that the others stay where they are.
    #[cfg_attr(not(feature = "top"), allow(dead_code, reason = "there is no live table"))]
    pub(in crate::command) least: usize,
    /// The text as it comes, which may be hostile, and its tone.
    pub(in crate::command) cell: fn(&T) -> (String, Tone),
}

const fn left<T>(name: &'static str, rank: u8, cell: fn(&T) -> (String, Tone)) -> Column<T> {
    Column { name, align: Align::Left, rank, least: 0, cell }
}

const fn right<T>(name: &'static str, rank: u8, cell: fn(&T) -> (String, Tone)) -> Column<T> {
    Column { name, align: Align::Right, rank, least: least(name), cell }
}

/// The room for the usual numbers of columns whose numbers come and go.
const fn least(name: &str) -> usize {
    match name.as_bytes() {
        b"QUEUED" | b"BYTES/S" => "999 KiB".len(),
        b"LAG" | b"LAST" => "999ms".len(),
        b"ALIVE" => "1h 10m".len(),
        _ => 0,
    }
}

/// The cells of the history: one for four seconds.
const HISTORY_CELLS: usize = 8;

/// The columns of a worker.
pub(in crate::command) static WORKER: [Column<Worker>; 14] = [
    left("WORKER", 0, |worker| {
        (worker.name.clone(), if worker.connected { Tone::Plain } else { Tone::Dim })
    }),
    right("PID", 2, |worker| (worker.pid.to_string(), Tone::Plain)),
    right("UID", 10, |worker| (worker.uid.to_string(), Tone::Plain)),
    left("VIA", 5, |worker| {
        let tone = if worker.fallback.is_some() { Tone::Warning } else { Tone::Plain };
        (worker.transport.clone(), tone)
    }),
    right("ALIVE", 4, |worker| match worker.alive_seconds {
        _ if !worker.connected => ("gone".to_owned(), Tone::Dim),
        Some(age) => (seconds(age), Tone::Good),
        None => ("yes".to_owned(), Tone::Good),
    }),
    right("REC/S", 0, |worker| {
        some(worker.records_per_second > 0.0, rate(worker.records_per_second))
    }),
    right("BYTES/S", 8, |worker| {
        some(worker.bytes_per_second > 0.0, bytes(whole(worker.bytes_per_second)))
    }),
    left("HISTORY", 3, |worker| (spark(&worker.history, HISTORY_CELLS), Tone::Dim)),
    right("QUEUED", 6, |worker| some(worker.queued_bytes > 0, bytes(worker.queued_bytes))),
    right("LAG", 1, |worker| {
        let (text, tone) = some(worker.lag_seconds > 0.0, seconds(worker.lag_seconds));
        (text, if worker.is_late() { Tone::Warning } else { tone })
    }),
    right("WRITTEN", 0, |worker| (count(worker.written), Tone::Plain)),
    right("LOST", 0, |worker| warn_if(worker.loses(), count(worker.lost()))),
    right("ERRORS", 7, |worker| warn_if(worker.errors > 0, count(worker.errors))),
    right("LAST", 9, |worker| match worker.seconds_since_last {
        Some(ago) => (seconds(ago), Tone::Plain),
        None => none(),
    }),
];

/// The columns of a log.
pub(in crate::command) static SINK: [Column<Sink>; 12] = [
    left("FILE", 0, |sink| (sink.target.clone(), Tone::Plain)),
    left("FORMAT", 6, |sink| (sink.format.clone(), Tone::Plain)),
    left("FILTER", 8, |sink| (sink.filter.clone(), Tone::Plain)),
    right("LINES", 7, |sink| (count(sink.lines), Tone::Plain)),
    right("SIZE", 0, |sink| match sink.size {
        Some(size) if sink.is_file() => (of_at_most(size, sink.size_max), Tone::Plain),
        // What it has written says something where there is no file, or nobody knows it.
        _ => (bytes(sink.bytes), Tone::Plain),
    }),
    left("ROTATION", 5, |sink| match &sink.rotation {
        Some(rotation) => (rotation.clone(), Tone::Plain),
        None => none(),
    }),
    right("FILES", 4, |sink| some(sink.is_file(), count(sink.archives.saturating_add(1)))),
    left("PACKED", 9, |sink| match sink.compression.as_deref() {
        None | Some("none") => none(),
        Some(compression) => (compression.to_owned(), Tone::Plain),
    }),
    right("TOTAL", 3, |sink| {
        some(sink.is_file(), of_at_most(sink.total_bytes, sink.total_bytes_max))
    }),
    left("SYNC", 2, |sink| match (sink.sync.as_deref(), sink.seconds_since_sync) {
        (Some(sync), Some(ago)) => (format!("{sync}, {} ago", seconds(ago)), Tone::Plain),
        (Some(sync), None) => (sync.to_owned(), Tone::Plain),
        (None, _) => none(),
    }),
    right("DISK LEFT", 1, |sink| match sink.disk_free_bytes {
        Some(free) => {
            (bytes(free), if sink.disk_is_nearly_full() { Tone::Bad } else { Tone::Plain })
        }
        None => none(),
    }),
    left("ERROR", 0, |sink| match &sink.error {
        Some(error) => (error.clone(), Tone::Bad),
        None => none(),
    }),
];

/// One part in so many of the disk is left where a log is shown to be in danger.
const NEARLY_FULL: u64 = 20;

impl Sink {
    fn disk_is_nearly_full(&self) -> bool {
        self.disk_free_bytes
            .zip(self.disk_total_bytes)
            .is_some_and(|(free, total)| free < total / NEARLY_FULL)
    }
}

fn none() -> (String, Tone) {
    ("-".to_owned(), Tone::Dim)
}

fn some(is_there: bool, text: String) -> (String, Tone) {
    if is_there { (text, Tone::Plain) } else { none() }
}

fn warn_if(bad: bool, text: String) -> (String, Tone) {
    (text, if bad { Tone::Warning } else { Tone::Plain })
}

/// `3.0 MiB/100.0 MiB`, or the first only where there is no bound.
fn of_at_most(size: u64, most: Option<u64>) -> String {
    most.map_or_else(|| bytes(size), |most| format!("{}/{}", bytes(size), bytes(most)))
}
