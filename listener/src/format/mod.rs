//! Lines: what a record looks like in a file.
//!
//! One record is one line, whatever bytes it holds.

use fleetlog_protocol::callsite::Callsite;
use fleetlog_protocol::record::Record;

/// What a format sees of a record.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// The record.
    pub record: &'a Record<'a>,
    /// Its callsite.
    pub callsite: &'a Callsite,
    /// The worker's name.
    pub worker: &'a str,
    /// The worker's pid.
    pub pid: u32,
    /// The lane that carried it; 0 = the socket.
    pub lane: u32,
    /// Wall-clock time in nanoseconds since the Unix epoch.
    pub time: u64,
}

/// The layout of lines.
#[derive(Clone, Debug)]
pub struct Format;
impl Format {
    /// x
    pub fn text() -> Self {
        Self
    }
}
impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("x")
    }
}
/// tmp
#[derive(Debug)]
pub struct Formatter;
impl Formatter {
    /// x
    pub fn new(_: &Format) -> Self {
        Self
    }
    /// x
    pub fn write(&mut self, l: &Line<'_>, out: &mut Vec<u8>) {
        use std::io::Write;
        let _ = writeln!(
            out,
            "{} {} {} {:?}",
            l.worker,
            l.pid,
            l.record.seq,
            l.record.fields().collect::<Vec<_>>()
        );
    }
}
