//! The benchmark: what a user would pick instead, against fleetlog, in one interleaved run.
//!
//! `cargo run --release -p fleetlog-tests --bin bench` forks the workers of one peer after the
//! other (A B C A B C), lets them log the same records into fresh files, proves which lines
//! arrived, and prints two tables: throughput with its CPU time, and the time of single calls.
//! More tables are printed for whoever asks for them. The figures of one machine mean little; the
//! ratios between the rows of one run are what is reported. `docs/performance.md` tells how to
//! read them.
//!
//! The modules in the order of a run: `options`, `tables` (what is measured, one module each), in
//! them `trial` (one peer, fresh files), in it `place` (the folders), `consumer` (who writes the
//! file), `pool` (the forked processes), `peer` (how they log) and `workload` (what they log),
//! then `completeness` (what arrived); `histogram`, `usage`, `host` and `report` hold and print
//! the figures.

mod completeness;
mod consumer;
mod histogram;
mod host;
mod options;
mod peer;
mod place;
mod pool;
mod report;
mod tables;
mod trial;
mod usage;
mod workload;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use host::Machine;
use options::Options;
use report::Report;

/// The exit code of a wrong command line.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    // The followers of a trial are this program, so that nothing else need be built for it.
    if std::env::args().nth(1).as_deref() == Some(tables::FOLLOW) {
        return fleetlog::command::main();
    }
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("bench: {message}\n{}", options::HELP);
            return ExitCode::from(USAGE);
        }
    };
    if cfg!(debug_assertions) && !options.quick {
        eprintln!("bench: a build without optimisation measures nothing: use --release or --quick");
        return ExitCode::from(USAGE);
    }
    match run(&options) {
        Ok(report) => match io::stdout().lock().write_all(report.to_string().as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Err(error) => fail(&error),
        },
        Err(error) => fail(&error),
    }
}

fn fail(error: &io::Error) -> ExitCode {
    eprintln!("bench: {error}");
    ExitCode::FAILURE
}

fn run(options: &Options) -> io::Result<Report> {
    let machine = Machine::look()?;
    if !options.quick {
        host::warm_page_cache();
    }
    let mut tables = tables::of(options);
    for round in 1..=options.rounds {
        for table in &mut tables {
            table.round(&|what| progress(round, options, what))?;
        }
    }
    progress_done();
    Ok(Report { options: options.clone(), machine, tables })
}

/// Tells a person how far the run is; a file or a pipe gets the tables alone.
fn progress(round: u32, options: &Options, what: &str) {
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[Kround {round}/{}: {what}", options.rounds);
    }
}

fn progress_done() {
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
}
