//! Who may read the files: every one of them has the mode and the group that was asked for.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use fleetlog_tests::{chapters, usage, wait};
use nix::unistd::{Gid, Uid};

use crate::{fixture, listener, log, logs, storm};

#[test]
fn mode_and_group_hold_for_current_rotated_and_packed_files_under_any_umask() {
    // Only root may give a file to a group that it is not in.
    let group = if Uid::effective().is_root() { 4 } else { Gid::effective().as_raw() };
    for compression in ["none", "gzip", "zstd"] {
        let fixture = fixture();
        let group_text = group.to_string();
        let arguments = ["--file-mode", "0604", "--file-group", &group_text];
        let more = ["--max-size", "20000", "--compress", compression];
        let running = listener(&fixture, &[arguments, more].concat()).under_umask("077").start();
        storm(&fixture, 0, 1, 500);
        wait::until("what is to be packed is packed", || {
            let archives = chapters::archives(&log(&fixture));
            let is_plain = |path: &std::path::PathBuf| path.to_string_lossy().ends_with(".log");
            archives.len() > 2
                && archives.iter().all(is_plain) == (compression == "none")
                && (compression == "none" || !archives.iter().any(is_plain))
        });
        assert!(running.stop().is_complete());
        for file in usage::files(&logs(&fixture)) {
            let found = fs::metadata(&file).expect("a file");
            let mode = found.permissions().mode() & 0o7777;
            assert_eq!((mode, found.gid()), (0o604, group), "{}: {mode:o}", file.display());
        }
    }
}

#[test]
fn nobody_else_may_read_the_files_where_nothing_is_said() {
    let fixture = fixture();
    let running = listener(&fixture, &["--max-size", "20000"]).under_umask("000").start();
    storm(&fixture, 0, 1, 500);
    assert!(running.stop().is_complete());
    let files = usage::files(&logs(&fixture));
    assert!(files.len() > 3);
    for file in files {
        let mode = fs::metadata(&file).expect("a file").permissions().mode() & 0o7777;
        assert_eq!(mode, 0o640, "{}: {mode:o}", file.display());
    }
}
