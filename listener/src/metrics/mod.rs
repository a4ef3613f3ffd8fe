//! Metrics: the state of the fleet for a monitoring system, as OpenMetrics text or in the older text
//! format of Prometheus, by HTTP on a Unix or TCP address. Off unless somebody asks for it.
//!
//! A thread beside the drain serves it as any client of the listener would: it asks for the status
//! and says it in other words. So a scrape costs the drain one status, several scrapes at once cost
//! one as well, and nobody who reads slowly, or sends nonsense, costs it anything.
//!
//! The rooms: `address` is where, `door` lets in, `server` speaks HTTP, `exposition` is the text, `families` what is
//! in it, `workers` keeps the number of labels bounded.

mod address;
mod door;
mod exposition;
mod families;
mod server;
mod workers;

pub use address::{Address, AddressError};
pub(crate) use server::Server;
pub use server::StartError;
