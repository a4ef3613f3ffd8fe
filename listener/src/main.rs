//! The command `fleetlog`.

fn main() -> std::process::ExitCode {
    fleetlog::command::main()
}
