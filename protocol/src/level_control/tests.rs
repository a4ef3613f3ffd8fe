//! A listener's end and a worker's end in one run directory.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::Instant;

use super::*;

const AGES: Duration = Duration::from_secs(60);

fn changes(directives: &str) -> Changes {
    let mut changes = Changes::default();
    let directives = directives.parse().unwrap();
    changes.put(Change { directives, worker: None, deadline: None }).unwrap();
    changes
}

/// Waits on a watch and demands that it did not take all of the time.
#[track_caller]
fn demand_wakes(watch: &Watch<'_>, seen: Option<Seen>) {
    let started = Instant::now();
    watch.wait(seen, AGES);
    assert!(started.elapsed() < AGES / 2);
}

#[test]
fn a_change_is_read_by_who_was_woken_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut watch = Watch::new(folder.path());
    assert_eq!(watch.look(), None, "there is no page yet");
    assert_eq!(read(folder.path()).unwrap(), Changes::default());
    let mut control = LevelControl::claim(folder.path(), 0o600).unwrap();
    let seen = watch.look();
    assert!(seen.is_some());
    control.put_in_force(&changes("app=debug")).unwrap();
    demand_wakes(&watch, seen);
    assert_ne!(watch.look(), seen);
    assert_eq!(read(folder.path()).unwrap(), changes("app=debug"));
}

#[test]
fn a_later_listener_wakes_who_slept_on_the_page_of_an_earlier_one() {
    let folder = tempfile::tempdir().unwrap();
    drop(LevelControl::claim(folder.path(), 0o600).unwrap());
    let mut watch = Watch::new(folder.path());
    let seen = watch.look();
    let mut later = LevelControl::claim(folder.path(), 0o644).unwrap();
    assert_eq!(watch.look(), seen, "the page is the same");
    later.put_in_force(&changes("warn")).unwrap();
    demand_wakes(&watch, seen);
    for name in [LEVEL, CONTROL] {
        let mode = fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o644, "{name}");
    }
}

#[test]
fn a_page_that_was_removed_or_cut_is_made_anew_with_the_next_change() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(CONTROL);
    let mut control = LevelControl::claim(folder.path(), 0o600).unwrap();
    let mut watch = Watch::new(folder.path());
    for spoil in [
        |path: &Path| fs::remove_file(path),
        |path: &Path| OpenOptions::new().write(true).open(path)?.set_len(0),
    ] {
        let before = watch.look();
        assert!(before.is_some());
        spoil(&path).unwrap();
        assert_eq!(watch.look(), None);
        control.put_in_force(&changes("warn")).unwrap();
        let after = watch.look();
        assert!(after.is_some() && after != before);
        control.put_in_force(&changes("info")).unwrap();
        demand_wakes(&watch, after);
    }
}

#[test]
fn a_file_that_others_could_have_written_is_refused_and_so_is_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let mut control = LevelControl::claim(folder.path(), 0o600).unwrap();
    control.put_in_force(&changes("app=debug")).unwrap();
    let path = folder.path().join(LEVEL);
    fs::set_permissions(&path, Permissions::from_mode(0o660)).unwrap();
    let error = read(folder.path()).unwrap_err();
    assert!(error.to_string().contains("mode 0660"), "{error}");
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(read(folder.path()), Err(LevelControlError::Untrusted { .. })));
    assert_eq!(Watch::new(folder.path()).look(), None);
    fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
    if geteuid().is_root() {
        std::os::unix::fs::chown(&path, Some(54_321), None).unwrap();
        assert!(matches!(read(folder.path()), Err(LevelControlError::Untrusted { .. })));
    }
    let other = folder.path().join("other");
    fs::rename(&path, &other).unwrap();
    symlink(&other, &path).unwrap();
    assert!(matches!(read(folder.path()), Err(LevelControlError::System { .. })));
}

#[test]
fn garbage_is_refused_by_its_name_and_replaced_by_the_next_change() {
    let folder = tempfile::tempdir().unwrap();
    let mut control = LevelControl::claim(folder.path(), 0o600).unwrap();
    let path = folder.path().join(LEVEL);
    for garbage in [vec![0; 3], b"app=debug".to_vec(), vec![0x89; 1 << 20]] {
        fs::write(&path, garbage).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let error = read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("level"), "{error}");
        control.put_in_force(&changes("warn")).unwrap();
        assert_eq!(read(folder.path()).unwrap(), changes("warn"));
    }
}
