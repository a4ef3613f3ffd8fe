//! Where a host goes: folders, roots, users.
