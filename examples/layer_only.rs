//! The layer in a program that has its own subscriber: `fmt` goes on writing warnings where it
//! always did, and beside it the fleet's listener gets everything from DEBUG on.
//!
//! The listener lives in a thread of this program, which is enough for one process and for tests.
//! A program that forks starts it with `spawn()` instead, and takes `fleetlog_worker::registry()`
//! in the place of `tracing_subscriber::registry()`.
//!
//! ```text
//! cargo run -p fleetlog-examples --example layer_only            # into a temporary folder
//! cargo run -p fleetlog-examples --example layer_only -- FOLDER  # into FOLDER/*.log
//! ```
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::fs::File;
use std::time::Duration;

use fleetlog::Listener;
use fleetlog_examples::{Outcome, Place, check, lines};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

fn main() -> Outcome {
    let place = Place::from_arguments()?;
    let (before, file) = (place.fresh_file("before.log")?, place.fresh_file("fleet.log")?);
    let listener = Listener::builder().run_dir(place.run_dir()).file(&file).start()?;

    let layer = fleetlog_worker::Layer::builder().run_dir(place.run_dir()).name("app").build()?;
    tracing_subscriber::registry()
        // What this program had before ...
        .with(
            fmt::layer()
                .with_writer(File::create(&before)?)
                .with_ansi(false)
                .with_filter(LevelFilter::WARN),
        )
        // ... and what is new, with a filter of its own.
        .with(layer.with_filter(LevelFilter::DEBUG))
        .init();

    for item in 0..100 {
        let _entered = tracing::info_span!("item", number = item).entered();
        tracing::debug!("looked up");
        if item % 10 == 0 {
            tracing::warn!(attempt = 2, "trying again");
        }
    }
    // Only for who wants to read the file while the program goes on; nothing needs a flush.
    fleetlog_worker::sync(Duration::from_secs(10))?;
    let lines_now = lines(&file)?;
    let receipt = listener.stop()?;

    check(receipt.is_complete(), "nothing was lost")?;
    judge(&lines_now, &lines(&before)?)
}

fn judge(fleet: &[String], before: &[String]) -> Outcome {
    for line in fleet.iter().take(4) {
        println!("{line}");
    }
    println!("... {} lines, and {} where they were before", fleet.len(), before.len());
    check(fleet.len() == 110, "the listener has every line")?;
    check(before.len() == 10, "`fmt` has the warnings")?;
    check(before.iter().all(|line| line.contains(" WARN ")), "`fmt` has nothing else")?;
    for item in 0..100 {
        let expected = format!(" item{{number={item}}}: layer_only: looked up");
        let found = fleet.iter().filter(|line| line.ends_with(&expected)).count();
        check(found == 1, format!("item {item} was looked up once, within its span"))?;
    }
    println!("Both have what their filters let pass, each line with its span.");
    Ok(())
}
