//! fleetlog's listener: it owns the log files of a fleet and drains what the workers log.
//!
//! The modules in the order of a record's way: `format` turns a record into a line, `route` tells
//! which sinks want it.

pub mod format;
pub mod options;
pub mod route;
