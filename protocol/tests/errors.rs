//! What a program prints of an error.
#![allow(missing_docs, reason = "a test has no users")]

use std::fs;
use std::path::Path;

/// Adds the public errors of a folder's files that print the names of their fields.
fn find(folder: &Path, found: &mut Vec<String>, seen: &mut usize) {
    for entry in fs::read_dir(folder).expect("a folder of sources").flatten() {
        let path = entry.path();
        if path.is_dir() {
            find(&path, found, seen);
            continue;
        }
        let text = fs::read_to_string(&path).expect("a source file");
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if !line.starts_with("#[derive(") || !line.contains("thiserror::Error") {
                continue;
            }
            let has_debug = line.contains("Debug");
            let item = lines.find(|line| line.starts_with("pub") || line.starts_with("enum"));
            let item = item.unwrap_or_default();
            if item.starts_with("pub enum") || item.starts_with("pub struct") {
                *seen += 1;
                if has_debug {
                    found.push(format!("{}: {item}", path.display()));
                }
            }
        }
    }
}

#[test]
fn the_debug_of_every_public_error_is_its_sentence() {
    let (mut found, mut seen) = (Vec::new(), 0);
    for krate in ["protocol", "worker-sdk", "listener"] {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(krate).join("src");
        if sources.is_dir() {
            find(&sources, &mut found, &mut seen);
        }
    }
    found.retain(|found| !found.contains("/foreign/") && !found.contains("/tests/"));
    assert!(found.is_empty(), "use `debug_as_display!`: {found:#?}");
    assert!(seen > 20, "{seen} errors were found");
    let error = fleetlog_protocol::run_dir::socket_path(Path::new(&"x".repeat(200)));
    let error = error.expect_err("the path is too long");
    assert_eq!(format!("{error:?}"), error.to_string());
}
