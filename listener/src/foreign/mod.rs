//! Foreign clients: what the field already speaks becomes records like a worker's.
//!
//! Two threads run beside the drain, one for stream connections and one for datagrams, so that
//! neither the drain nor a sender of datagrams ever waits for a large pickle. A message goes
//! through them in this order: a `service` waits for it, `stream` or `datagram` receives it from a
//! `process` that the kernel names, `sniff` tells its protocol, `framing` finds its end, `decode`
//! turns it into an `entry`. At the `desk` it becomes one of the process's records (`workers`):
//! `place` says where in time it belongs, `rate` and `pressure` whether there is room for it,
//! `translate` encodes it as a worker would have. The `outbox` holds it for the drain, which is the
//! `inlet`'s side.
//!
//! A foreign record has everything that a worker's has (a queue with unbroken numbers, a callsite,
//! gap reports) except what its protocol lacks: nobody keeps it until it is written. What a
//! listener has received and not written dies with it.

pub(crate) mod decode;
pub(crate) mod entry;

mod access;
mod datagram;
mod desk;
mod framing;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod inlet;
mod outbox;
mod place;
mod pressure;
mod process;
mod rate;
mod service;
mod sniff;
mod stream;
mod translate;
mod workers;

pub use access::Access;
pub(crate) use access::Groups;
pub(crate) use inlet::{Fetched, ForeignNumber, Guest, Inlet, Resumable, Rules};
pub(crate) use outbox::{Kind, News, Offended};
pub(crate) use process::Process;
pub use rate::RateLimit;
pub(crate) use stream::{Arrival, Fault};

use crate::intake::peer::Peer;
