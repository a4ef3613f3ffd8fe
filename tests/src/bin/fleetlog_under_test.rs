//! The command `fleetlog`, built with fault points.

use std::process::ExitCode;

fn main() -> ExitCode {
    fleetlog::command::main()
}
