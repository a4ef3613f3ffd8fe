//! A small file system of a test's own, so that it can be full.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted tmpfs, unmounted when this is dropped.
#[derive(Debug)]
pub struct Disk(PathBuf);

impl Disk {
    /// Mounts one of a size (`256k`) on a new folder. `None`, said loudly, where nobody may mount.
    #[must_use]
    pub fn mount(folder: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir(folder).expect("a folder");
        let options = format!("size={size},mode=0700");
        let mounted = run("mount", &["-t", "tmpfs", "-o", &options, "tmpfs"], folder);
        if !mounted {
            eprintln!("SKIPPED: no file system can be mounted here, a full disk is not tested");
        }
        mounted.then(|| Self(folder.to_owned()))
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes it larger.
    pub fn grow(&self, size: &str) {
        let options = format!("remount,size={size}");
        assert!(run("mount", &["-o", &options], &self.0), "no larger disk");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run("umount", &["-l"], &self.0);
    }
}

fn run(program: &str, arguments: &[&str], last: &Path) -> bool {
    let output = Command::new(program).args(arguments).arg(last).output();
    output.is_ok_and(|output| output.status.success())
}
