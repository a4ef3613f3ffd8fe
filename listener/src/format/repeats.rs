//! Repeats: what a line says of the equal records that share it.

use std::sync::Arc;

use super::Line;
use super::escape::{put_bare, put_json};
use super::number::put_u64;

/// A record that shares a line with an equal one, and what of it is its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeat {
    /// Its worker's name.
    pub worker: Arc<str>,
    /// Its worker's pid.
    pub pid: u32,
    /// The lane that carried it; 0 = a socket.
    pub lane: u32,
    /// Its number in its lane.
    pub seq: u64,
}

/// The repeats of one lane, in the order of their numbers.
struct Lane<'a> {
    first: &'a Repeat,
    numbers: Vec<u64>,
}

fn by_lane(repeats: &[Repeat]) -> Vec<Lane<'_>> {
    let mut sorted: Vec<&Repeat> = repeats.iter().collect();
    // Stable, so that the numbers of a lane keep their order.
    sorted.sort_by(|a, b| (&a.worker, a.pid, a.lane).cmp(&(&b.worker, b.pid, b.lane)));
    let mut lanes: Vec<Lane<'_>> = Vec::new();
    for repeat in sorted {
        match lanes.last_mut() {
            Some(lane)
                if (&lane.first.worker, lane.first.pid, lane.first.lane)
                    == (&repeat.worker, repeat.pid, repeat.lane) =>
            {
                lane.numbers.push(repeat.seq);
            }
            _ => lanes.push(Lane { first: repeat, numbers: vec![repeat.seq] }),
        }
    }
    lanes
}

/// Appends ` (64 times, by worker 0[12], worker 1[13])` where a line stands for several records.
pub(super) fn put_text(line: &Line<'_>, out: &mut Vec<u8>) {
    if line.repeats.is_empty() {
        return;
    }
    out.extend_from_slice(b" (");
    put_u64(line.repeats.len() as u64 + 1, out);
    out.extend_from_slice(b" times, by ");
    let mut put = |worker: &str, pid: u32| {
        put_bare(worker, out);
        out.push(b'[');
        put_u64(u64::from(pid), out);
        out.push(b']');
    };
    put(line.worker, line.pid);
    let mut last = None;
    for Lane { first, .. } in by_lane(line.repeats) {
        let worker = (&*first.worker, first.pid);
        if worker != (line.worker, line.pid) && last != Some(worker) {
            last = Some(worker);
            out.extend_from_slice(b", ");
            put_bare(worker.0, out);
            out.push(b'[');
            put_u64(u64::from(worker.1), out);
            out.push(b']');
        }
    }
    out.push(b')');
}

/// Appends `,"repeats":{"count":63,"by":[{"worker":"worker 1","pid":13,"lane":1,"seq":[4,9]}]}`:
/// the records beside the line's own, each with its number.
pub(super) fn put_member(line: &Line<'_>, out: &mut Vec<u8>) {
    if line.repeats.is_empty() {
        return;
    }
    out.extend_from_slice(b",\"repeats\":{\"count\":");
    put_u64(line.repeats.len() as u64, out);
    out.extend_from_slice(b",\"by\":[");
    for (at, Lane { first, numbers }) in by_lane(line.repeats).iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"worker\":\"");
        put_json(&first.worker, out);
        out.extend_from_slice(b"\",\"pid\":");
        put_u64(u64::from(first.pid), out);
        out.extend_from_slice(b",\"lane\":");
        put_u64(u64::from(first.lane), out);
        out.extend_from_slice(b",\"seq\":[");
        for (at, number) in numbers.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            put_u64(*number, out);
        }
        out.extend_from_slice(b"]}");
    }
    out.extend_from_slice(b"]}");
}
