//! What one pickle may cost, all in one place.
//!
//! The sender chooses every number in a pickle, so each of these stands between a few bytes and
//! a lot of memory or time. A record of `logging` is far below all of them.

/// Values in one pickle. A record with a thousand extra fields makes about 2,000; at the limit
/// the values take [`WORST_BYTES`].
pub(super) const NODES: usize = 1 << 17;

/// Names that a pickle may give to values. CPython gives one to every string and container, so
/// more names than values come from no pickler.
pub(super) const MEMO: usize = NODES;

/// Values that wait on the stack. A tuple's items all wait there, whatever their number.
pub(super) const STACK: usize = NODES;

/// Marks that are open at once: one for each container around the current one. Python's own
/// recursion limit is 1,000, and who raises it does so by a factor of ten.
pub(super) const MARKS: usize = 1 << 14;

/// The bytes of a module's or a class's name. Every call looks at its function's name, so that a
/// long one would make calls cost time out of proportion.
pub(super) const NAME_BYTES: usize = 1024;

/// The dots in such a name, each of which is looked behind.
pub(super) const NAME_DOTS: usize = 32;

/// The bytes of a binary integer that is shown in decimal, whose cost grows with the square.
pub(super) const INTEGER_BYTES: usize = 1024;

/// The digits of an integer that came as text. CPython itself refuses more than 4,300.
pub(super) const INTEGER_DIGITS: usize = 4300;

/// How many containers are shown within each other before `...` stands for the rest.
pub(super) const SHOWN_DEPTH: usize = 24;

/// Bytes of text that all values of one record are shown as, for each byte of the pickle: small
/// integers and escapes need up to five, and an honest pickle shares a value now and then.
pub(super) const SHOWN_PER_BYTE: usize = 16;

/// The most bytes that all values of one record are shown as.
pub(super) const SHOWN_BYTES: usize = 256 * 1024;

/// How often a record's strings may repeat the pickle's bytes before they are cut: a name for a
/// long string costs two bytes, however long the string is.
pub(super) const TEXT_PER_BYTE: usize = 4;

/// What every record may have of text and of shown values, however short its pickle is.
pub(super) const ALWAYS_BYTES: usize = 4096;

/// The width and the precision of one conversion in a message, as `%99999d`.
pub(super) const CONVERSION_WIDTH: usize = 1024;

/// What the values of the worst pickle take, without the strings that had to be repaired, each
/// of which is at most three times as long as its bytes in the pickle.
pub(super) const WORST_BYTES: usize = 16 << 20;

const _: () = assert!(
    NODES * (size_of::<super::node::Node<'_>>() + size_of::<super::node::Call>()) <= WORST_BYTES
);
const _: () = assert!(NODES < u32::MAX as usize, "an index of a value is 32 bits wide");
const _: () = assert!(MARKS <= STACK);
