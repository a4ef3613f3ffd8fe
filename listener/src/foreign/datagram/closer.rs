//! Closing what clients sent: descriptors that nobody asked for.
//!
//! To close one may take as long as its sender likes: a socket lingers, a file system answers when
//! it wants. So a thread does it, which is started when the first of them comes.

use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};

/// Messages whose descriptors wait to be closed. Beyond them they stay open: whoever sends such
/// descriptors all the time takes the listener's, and its limit stops him.
const CLOSING_MAX: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Closer(Option<SyncSender<Vec<OwnedFd>>>);

impl Closer {
    /// Closes descriptors, without waiting for it.
    pub(super) fn close(&mut self, descriptors: Vec<OwnedFd>) {
        // A file in memory is closed at once.
        let lingers = |file: &OwnedFd| fcntl(file, FcntlArg::F_GET_SEALS).is_err();
        let lingering: Vec<_> = descriptors.into_iter().filter(lingers).collect();
        if lingering.is_empty() {
            return;
        }
        let no_linger = libc::linger { l_onoff: 0, l_linger: 0 };
        for descriptor in &lingering {
            // Only a socket takes it.
            let _ = setsockopt(descriptor, sockopt::Linger, &no_linger);
        }
        let left = match self.sender() {
            Some(sender) => sender.try_send(lingering).err(),
            None => Some(TrySendError::Full(lingering)),
        };
        if let Some(TrySendError::Full(left) | TrySendError::Disconnected(left)) = left {
            std::mem::forget(left);
        }
    }

    fn sender(&mut self) -> Option<&SyncSender<Vec<OwnedFd>>> {
        if self.0.is_none() {
            let (sender, waiting) = sync_channel::<Vec<OwnedFd>>(CLOSING_MAX);
            let thread = std::thread::Builder::new().name("fleetlog-close".to_owned());
            thread.spawn(move || waiting.into_iter().for_each(drop)).ok()?;
            self.0 = Some(sender);
        }
        self.0.as_ref()
    }
}

/// The descriptors that stand in ancillary data that came cut short, whose unused rest is zero:
/// this process had no room for all of them.
pub(super) fn descriptors_in(ancillary: &[u8]) -> Vec<OwnedFd> {
    let mut found = Vec::new();
    let header_len = size_of::<libc::cmsghdr>();
    let mut rest = ancillary;
    while rest.len() >= header_len {
        // SAFETY: so many bytes are there, and a header is integers alone, which any bits are.
        let header: libc::cmsghdr = unsafe { std::ptr::read_unaligned(rest.as_ptr().cast()) };
        let len = header.cmsg_len;
        if len < header_len || len > rest.len() {
            break;
        }
        if (header.cmsg_level, header.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
            let (numbers, _) = rest[header_len..len].as_chunks();
            for number in numbers {
                // SAFETY: the kernel has just made this descriptor for this message, and nobody
                // else has been told of it.
                found.push(unsafe { OwnedFd::from_raw_fd(RawFd::from_ne_bytes(*number)) });
            }
        }
        rest = rest.get(len.next_multiple_of(size_of::<usize>())..).unwrap_or(&[]);
    }
    found
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::fd::IntoRawFd as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn descriptors_in_truncated_data_are_found_and_closed() {
        let (here, mut there) = UnixStream::pair().unwrap();
        let number = OwnedFd::from(here).into_raw_fd();
        let len = size_of::<libc::cmsghdr>() + size_of::<RawFd>();
        let mut ancillary = vec![0; 256];
        ancillary[..8].copy_from_slice(&len.to_ne_bytes());
        ancillary[8..12].copy_from_slice(&libc::SOL_SOCKET.to_ne_bytes());
        ancillary[12..16].copy_from_slice(&libc::SCM_RIGHTS.to_ne_bytes());
        ancillary[16..20].copy_from_slice(&number.to_ne_bytes());
        let found = descriptors_in(&ancillary);
        assert_eq!(found.len(), 1);
        let mut closer = Closer::default();
        closer.close(found);
        // The other end hears of it, from the thread.
        assert_eq!(there.read(&mut [0]).unwrap(), 0);
    }
}
