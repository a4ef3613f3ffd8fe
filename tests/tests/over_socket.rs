//! The conformance suite over the socket: everything that workers and a listener promise each
//! other.

use fleetlog_tests::fixture::Binaries;
use fleetlog_tests::{Fixture, binaries};

mod conformance;

/// What the suite runs over.
const TRANSPORT: &str = "socket";

/// Bytes of records that one thread's queue holds through an outage, in any case.
const HELD: u64 = 1_600_000;

/// The longest record that it carries.
const RECORD_MAX: usize = fleetlog_protocol::limits::RECORD_MAX;

const BINARIES: Binaries = binaries!();

fn fixture() -> Fixture {
    Fixture::new(BINARIES).over(TRANSPORT)
}
