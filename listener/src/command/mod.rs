//! The command `fleetlog`: one module for each of its commands.
//!
//! `flags` defines the command line, each command takes its flags and a `screen::Screen` and
//! ends with an `exit::Code`. Nothing here panics over a closed pipe, prints a backtrace, or
//! shows a byte of somebody else's that a terminal would obey.

mod completions;
mod demo;
mod diagnostics;
mod exit;
mod flags;
mod listen;
mod man;
mod outputs;
mod pipe;
mod receipt;
mod screen;
mod status;
mod stop;
mod sync;
mod table;

use std::process::ExitCode;

use exit::{Code, Failure};
use flags::{Command, Flags};
use screen::Screen;

/// Runs the command line of this process to its end.
#[must_use]
pub fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    match flags::parse(&arguments) {
        Ok(flags) => {
            let mut screen = Screen::new(flags.common.quiet);
            let code = run(&flags, &mut screen).unwrap_or_else(|failure| {
                screen.failure(&failure);
                failure.code
            });
            screen.finish(code).into()
        }
        Err(code) => code.into(),
    }
}

fn run(Flags { common, command }: &Flags, screen: &mut Screen) -> Result<Code, Failure> {
    match command {
        Command::Listen(listen) => listen.run(common, screen),
        Command::Stop(stop) => stop.run(common, screen),
        Command::Status(status) => status.run(common, screen),
        Command::Sync(sync) => sync.run(common, screen),
        Command::Pipe(pipe) => pipe.run(common, screen),
        Command::Demo(demo) => demo.run(common, screen),
        Command::Completions(completions) => completions.run(screen),
        Command::Man(man) => man.run(screen),
    }
}
