//! The conformance suite over the socket: everything that workers and a listener promise each
//! other.

use fleetlog_tests::fixture::Binaries;
use fleetlog_tests::{Fixture, binaries};

mod conformance;

/// What the suite runs over.
const TRANSPORT: &str = "socket";

const BINARIES: Binaries = binaries!();

fn fixture() -> Fixture {
    Fixture::new(BINARIES).over(TRANSPORT)
}
