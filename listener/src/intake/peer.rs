//! Who is at the other end: the kernel's word, taken once when a connection is accepted.

#![allow(unsafe_code, reason = "nothing safe asks the kernel for a peer's groups")]

use std::os::fd::{AsFd, AsRawFd as _};

use nix::libc;
use nix::sys::socket::{getsockopt, sockopt};

use crate::foreign::Groups;

/// More groups than the kernel lets a process have.
const GROUPS_MAX: usize = 1 << 16;

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

    /// Whether it may change something here: root, and the user that the listener runs as. Whoever
    /// may merely log, because the sockets are open, may not end the listener or silence others.
    pub(crate) fn may_command(self) -> bool {
        may_command(self.uid)
    }
}

/// The groups of a peer: the one it ran under when it connected, and its others.
pub(crate) fn groups(socket: &impl AsFd) -> Groups {
    let own = getsockopt(socket, sockopt::PeerCredentials).map(|credentials| credentials.gid());
    let mut groups = others(socket.as_fd().as_raw_fd()).unwrap_or_default();
    groups.extend(own);
    Groups(groups)
}

fn others(socket: libc::c_int) -> Option<Vec<u32>> {
    let mut groups = vec![0_u32; 64];
    loop {
        let mut length = libc::socklen_t::try_from(size_of_val(&groups[..])).ok()?;
        let place = groups.as_mut_ptr().cast();
        // SAFETY: the kernel writes at most `length` bytes, which is the size of the vector's
        // initialised elements, and then the number of bytes that it has for us.
        let failed = unsafe {
            libc::getsockopt(socket, libc::SOL_SOCKET, libc::SO_PEERGROUPS, place, &raw mut length)
        } != 0;
        let count = usize::try_from(length).ok()? / size_of::<u32>();
        if !failed {
            groups.truncate(count);
            return Some(groups);
        }
        if nix::errno::Errno::last() != nix::errno::Errno::ERANGE || count > GROUPS_MAX {
            return None;
        }
        groups.resize(count, 0);
    }
}

/// Whether a user may change something, and see what stands in the log: root, and the listener's own.
pub(crate) fn may_command(uid: u32) -> bool {
    uid == 0 || uid == nix::unistd::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn the_groups_of_a_peer_are_those_of_its_process() {
        let (here, _there) = UnixStream::pair().unwrap();
        let Groups(groups) = groups(&here);
        assert!(groups.contains(&nix::unistd::getegid().as_raw()), "{groups:?}");
        for group in nix::unistd::getgroups().unwrap() {
            assert!(groups.contains(&group.as_raw()), "{groups:?}");
        }
    }
}
