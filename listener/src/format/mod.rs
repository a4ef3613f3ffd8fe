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
