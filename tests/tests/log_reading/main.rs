//! Reading a log: `fleetlog verify` finds every damage and nothing else, `fleetlog logs` shows
//! what it is asked for and reads no more than it must.

mod logs;
mod place;
mod random_filters;
mod verify;
