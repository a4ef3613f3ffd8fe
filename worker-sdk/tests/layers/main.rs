//! The layer beside others: over our registry and over the stock one, with filters and without, and
//! what becomes of fields that are too many or too long. Each test reads the lanes as a listener would.

#[path = "../lanes/reader.rs"]
#[allow(dead_code, reason = "the tests of lanes look at more of it")]
mod reader;

mod scopes;
mod values;

use fleetlog_worker::Layer;
use tempfile::TempDir;

/// A layer with a run directory of its own.
fn layer() -> (TempDir, Layer) {
    let folder = tempfile::tempdir().expect("a folder");
    let layer = Layer::builder().run_dir(folder.path()).name("w").build().expect("a layer");
    (folder, layer)
}

/// What a layer sent.
fn lines(folder: &TempDir) -> Vec<reader::Line> {
    reader::read_one(folder.path()).lines()
}
