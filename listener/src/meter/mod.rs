//! Meters: what the listener remembers of its own work, for whoever watches it.
//!
//! They stand on the drain's way, so that each costs a few additions and never a lock, an
//! allocation or a look at the clock. Everything else (rates, quantiles, pictures) is made of them
//! by those who ask.

mod histogram;
mod pace;

pub(crate) use histogram::Histogram;
pub(crate) use pace::{Pace, Seconds, rate};
