//! How an event that the listener makes about itself is told from everybody else's.
//!
//! A listener may run inside of a program whose own events are drained by it. What it says about
//! draining must not be drained, or each line would cause the next one. So its events have a name
//! that is known by its place in memory: [`NAME`]. A worker's layer compares the address and never
//! looks at the text, nor at a target or a crate's name, so that no other event is left out by it,
//! whatever it is called.

/// [`NAME`] is a part of this: a literal of the same text elsewhere in a program may be merged with
/// an equal one, but never with a part of another static.
static PLACE: [u8; 38] = *b"fleetlog: a diagnostic of the listener";

/// The name of every event that the listener makes about itself.
///
/// ```
/// use fleetlog_protocol::diagnostics::{NAME, is_listeners};
/// assert!(is_listeners(NAME));
/// assert!(!is_listeners(&NAME.to_owned()), "it is not the text that counts");
/// ```
pub static NAME: &str = match std::str::from_utf8(PLACE.split_at(10).1) {
    Ok(name) => name,
    Err(_) => panic!("the name is ASCII"),
};

/// Whether an event of that name is the listener's.
#[inline]
#[must_use]
pub fn is_listeners(name: &str) -> bool {
    std::ptr::eq(name.as_ptr(), NAME.as_ptr())
}
