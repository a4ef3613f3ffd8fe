//! Python's logging cookbook, "Logging to a single file from multiple processes", in Rust: a
//! listener process, ten named workers, and the sentinel that ends it all.
//!
//! ```text
//! cargo run -p fleetlog-examples --example cookbook            # into a temporary folder
//! cargo run -p fleetlog-examples --example cookbook -- FOLDER  # into FOLDER/cookbook.log
//! ```
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::time::Duration;

use fleetlog::Listener;
use fleetlog::format::Format;
use fleetlog_examples::{Outcome, Place, check, lines};
use fleetlog_worker::Fleet;

const WORKERS: usize = 10;

fn main() -> Outcome {
    let place = Place::from_arguments()?;
    let (run_dir, file) = (place.run_dir(), place.fresh_file("cookbook.log")?);
    let listener = Listener::builder()
        .run_dir(&run_dir)
        .file(&file)
        .format(Format::template("{time} {worker:<10} {level:<8} {message}")?)
        .spawn()?;

    let mut fleet = Fleet::new(&run_dir)?;
    for i in 0..WORKERS {
        fleet.spawn(format!("worker {i}"), move || work(i))?;
    }
    let report = fleet.join()?;
    let receipt = listener.stop(Duration::from_secs(30))?;

    check(report.is_success(), "every worker ended well")?;
    check(receipt.is_complete(), "nothing was lost")?;
    judge(&lines(&file)?)
}

/// A worker's life: this function runs in a process of its own.
fn work(i: usize) {
    tracing::info!("Start working on {i}");
    std::thread::sleep(Duration::from_millis(2));
    tracing::info!("Finished working on {i}");
}

/// Prints the first lines of the file and checks that each worker's lines are all there.
fn judge(lines: &[String]) -> Outcome {
    for line in lines.iter().take(8) {
        println!("{line}");
    }
    println!("... {} lines in all", lines.len());
    for i in 0..WORKERS {
        let worker = format!(" worker {i}   INFO     ");
        let found: Vec<_> =
            lines.iter().filter_map(|line| Some(line.split_once(&worker)?.1)).collect();
        let expected = [format!("Start working on {i}"), format!("Finished working on {i}")];
        check(found == expected, format!("worker {i} wrote {expected:?}, found {found:?}"))?;
    }
    println!("Each of {WORKERS} workers has its lines in the file, each once and in order.");
    Ok(())
}
