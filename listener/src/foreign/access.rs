//! Access: whom the listener hears, beside what the socket's mode says.

use nix::unistd::{Gid, Uid};

/// Who may log. Without any user or group named, everybody whom the socket's mode lets in.
///
/// Root and the listener's own user always may: they could change the answer anyway.
///
/// ```
/// use fleetlog::options::Access;
/// use nix::unistd::Uid;
/// let access = Access { uids: vec![Uid::from_raw(33)], ..Access::default() };
/// assert!(!access.is_open());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Users that may log.
    pub uids: Vec<Uid>,
    /// Groups whose members may log.
    pub gids: Vec<Gid>,
}

/// The groups of a peer: the one it runs under, and the others where the kernel told them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Groups(pub(crate) Vec<u32>);

impl Access {
    /// Whether nobody is kept out.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.uids.is_empty() && self.gids.is_empty()
    }

    pub(crate) fn allows(&self, uid: u32, groups: impl FnOnce() -> Groups) -> bool {
        self.is_open()
            || uid == 0
            || uid == nix::unistd::geteuid().as_raw()
            || self.uids.iter().any(|allowed| allowed.as_raw() == uid)
            || (!self.gids.is_empty() && {
                let groups = groups().0;
                self.gids.iter().any(|allowed| groups.contains(&allowed.as_raw()))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_named_is_not_heard() {
        let nobody = || Groups::default();
        let own = nix::unistd::geteuid().as_raw();
        assert!(Access::default().allows(12_345, nobody));
        let users = Access { uids: vec![Uid::from_raw(33)], gids: Vec::new() };
        assert!(users.allows(33, nobody) && users.allows(0, nobody) && users.allows(own, nobody));
        assert!(!users.allows(12_345, nobody));
        let groups = Access { uids: Vec::new(), gids: vec![Gid::from_raw(4)] };
        assert!(groups.allows(12_345, || Groups(vec![100, 4])));
        assert!(!groups.allows(12_345, || Groups(vec![100])));
        assert!(!groups.allows(12_345, nobody));
    }
}
