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
mod level;
mod lines;
mod listen;
pub(crate) mod logs;
mod man;
mod outputs;
mod pipe;
mod receipt;
mod rotate;
mod run;
mod screen;
mod spark;
mod status;
mod stop;
mod sync;
pub(crate) mod table;
#[cfg(feature = "top")]
mod top;
mod verify;

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
            let ended = run(&flags, &mut screen).unwrap_or_else(|failure| {
                screen.failure(&failure);
                Ended::Own(failure.code)
            });
            match ended {
                Ended::Own(code) => screen.finish(code).into(),
                Ended::AsJob(code) => code.into(),
            }
        }
        Err(code) => code.into(),
    }
}

/// How the command ended: in its own way, or as the job did that it ran.
enum Ended {
    Own(Code),
    AsJob(u8),
}

fn run(Flags { common, command }: &Flags, screen: &mut Screen) -> Result<Ended, Failure> {
    let code = match command {
        Command::Run(job) => return job.run(common, screen).map(Ended::AsJob),
        Command::Listen(listen) => listen.run(common, screen),
        Command::Stop(stop) => stop.run(common, screen),
        Command::Logs(logs) => logs.run(common, screen),
        Command::Verify(verify) => verify.run(common, screen),
        Command::Status(status) => status.run(common, screen),
        #[cfg(feature = "top")]
        Command::Top(top) => top.run(common, screen),
        Command::Level(level) => level.run(common, screen),
        Command::Sync(sync) => sync.run(common, screen),
        Command::Rotate(rotate) => rotate.run(common, screen),
        Command::Reopen(reopen) => reopen.run(common, screen),
        Command::Pipe(pipe) => pipe.run(common, screen),
        Command::Demo(demo) => demo.run(common, screen),
        Command::Completions(completions) => completions.run(screen),
        Command::Man(man) => man.run(screen),
    };
    code.map(Ended::Own)
}
