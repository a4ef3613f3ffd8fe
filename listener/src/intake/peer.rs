//! Who is at the other end: the kernel's word, taken once when a connection is accepted.

use std::os::fd::AsFd;

use nix::sys::socket::{getsockopt, sockopt};

/// A peer as the kernel describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Its pid in our pid namespace; 0 = it has none there.
    pub(crate) pid: u32,
    pub(crate) uid: u32,
}

impl Peer {
    pub(crate) fn of(socket: &impl AsFd) -> Self {
        getsockopt(socket, sockopt::PeerCredentials).map_or(
            Self { pid: 0, uid: u32::MAX },
            |credentials| Self {
                pid: u32::try_from(credentials.pid()).unwrap_or(0),
                uid: credentials.uid(),
            },
        )
    }
}

/// When a process started, in the kernel's ticks since boot; `None` = there is no such process.
///
/// A pid alone recurs; together with its start time it names one process.
pub(crate) fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; the fields behind the last one are numbers.
    let behind_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let fields = std::str::from_utf8(&stat[behind_name..]).ok()?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?;
    let start = fields.nth(18)?.parse().ok()?;
    // A zombie runs no more.
    (state != "Z" && state != "X").then_some(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_a_start_time_and_a_dead_one_has_none() {
        assert!(start_time(std::process::id()).is_some_and(|start| start > 0));
        assert_eq!(start_time(u32::MAX), None);
    }
}
