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
