//! The environment of a forked child, for the programs that it executes.
//!
//! Neither `setenv` nor the standard library's form of it may be used there: both take locks that
//! another thread of the parent may have held at the fork. A child that has one thread needs none.
//! It makes a list of its own and puts it in place of the inherited one with one store.

use std::ffi::{CStr, CString, c_char};
use std::ptr;

unsafe extern "C" {
    static mut environ: *const *const c_char;
}

/// Puts variables into the environment of this process, each a text `NAME=value`. Only for a child
/// right after its fork, which has no other thread. The list is never freed: the C library, or the
/// host, may keep pointers into it.
pub(crate) fn put_into_environment(variables: Vec<CString>) {
    // SAFETY: no other thread of this process exists that could change it.
    let mut next = unsafe { environ };
    let mut list = Vec::new();
    // SAFETY: the list is null, or ends with a null.
    while let Some(entry) = unsafe { next.as_ref() }.copied().filter(|entry| !entry.is_null()) {
        // SAFETY: an entry of the environment is a text with its end.
        let text = unsafe { CStr::from_ptr(entry) };
        if !variables.iter().any(|variable| name_of(variable) == name_of(text)) {
            list.push(entry);
        }
        // SAFETY: the entry was not the last one.
        next = unsafe { next.add(1) };
    }
    list.extend(variables.into_iter().map(|variable| variable.into_raw().cast_const()));
    list.push(ptr::null());
    // SAFETY: as above, and the list and what it points to live as long as the process.
    unsafe { environ = list.leak().as_ptr() };
}

fn name_of(variable: &CStr) -> &[u8] {
    let bytes = variable.to_bytes();
    &bytes[..bytes.iter().position(|byte| *byte == b'=').unwrap_or(bytes.len())]
}
