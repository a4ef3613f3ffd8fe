//! Foreign clients: what the field already speaks becomes records like a worker's.

pub(crate) mod decode;
pub(crate) mod entry;
