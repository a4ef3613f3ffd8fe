//! Python's logging cookbook, "Logging to a single file from multiple processes", in Rust: a
//! listener process, ten named workers, and the sentinel that ends it all.

use std::path::PathBuf;
use std::time::Duration;

use fleetlog::Listener;
use fleetlog_worker::Fleet;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let (run_dir, file) = (folder.join("run"), folder.join("cookbook.log"));
    let listener = Listener::builder().run_dir(&run_dir).file(&file).spawn()?;

    let mut fleet = Fleet::new(&run_dir)?;
    for number in 0..10 {
        fleet.spawn(format!("worker {number}"), move || {
            for item in 0..10 {
                tracing::info!("Working on item {item}");
            }
        })?;
    }
    fleet.join()?;
    let receipt = listener.stop(Duration::from_secs(30))?;
    println!("{receipt:?}");
    Ok(())
}
