//! The link to the current file, and the current file's own name: there at every instant.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use fleetlog_tests::{Steady, judge, wait};

use crate::{fixture, listener, log, logs, number, storm};

/// Opens a path again and again while something else is done, which must not panic. Returns how
/// often the file was missing, and how often it was looked at.
fn watch(path: &Path, work: impl FnOnce()) -> (u64, u64) {
    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let (mut missing, mut looks) = (0, 0);
            while !ends.load(Ordering::Relaxed) {
                missing += u64::from(File::open(path).is_err());
                looks += 1;
            }
            (missing, looks)
        });
        work();
        ends.store(true, Ordering::Relaxed);
        watcher.join().expect("the watcher")
    })
}

#[test]
fn the_current_file_and_the_link_to_it_are_there_at_every_instant_of_many_rotations() {
    let fixture = fixture();
    let link = fixture.path().join("latest");
    let arguments = ["--max-size", "100000", "--latest-symlink", link.to_str().expect("UTF-8")];
    let running = listener(&fixture, &arguments).start();
    let fleet = Steady::start(&fixture, 3, 1, &["--pause", "5000"]);
    let mut codes = Vec::new();
    let mut through_link = (0, 0);
    let by_name = watch(&log(&fixture), || {
        through_link = watch(&link, || {
            // One that finds the log empty rotates nothing.
            wait::until("the log is rotated so often", || {
                codes.push(fixture.command(["rotate"]).code());
                let status = running.status().expect("a status");
                status["sinks"][0]["rotations"].as_u64() > Some(number("FLEETLOG_ROTATIONS", 30))
            });
        });
    });
    assert!(codes.iter().all(|code| *code == 0), "{codes:?}");
    for (missing, looks) in [by_name, through_link] {
        assert!(missing == 0 && looks > 100, "the file was missing {missing} of {looks} times");
    }
    let counts = fleet.finish();
    let rotations = running.status().expect("a status")["sinks"][0]["rotations"].as_u64();
    assert!(rotations > Some(30), "{rotations:?}");
    assert!(running.stop().is_complete());
    judge::judge(&log(&fixture)).demand_counts(&counts);
    assert_eq!(fs::read(&link).expect("a log"), fs::read(log(&fixture)).expect("a log"));
}

#[test]
fn the_link_leads_to_the_file_from_any_folder() {
    let fixture = fixture();
    let [beside, elsewhere] = [logs(&fixture).join("latest"), fixture.path().join("a/b/latest")];
    for link in [&beside, &elsewhere] {
        let arguments = ["--latest-symlink", link.to_str().expect("UTF-8")];
        let running = listener(&fixture, &arguments).start();
        storm(&fixture, 0, 1, 20);
        assert!(running.stop().is_complete());
        assert_eq!(fs::read(link).expect("a log"), fs::read(log(&fixture)).expect("a log"));
    }
    // Beside the file it holds wherever the folder is mounted.
    let moved = fixture.path().join("mounted elsewhere");
    fs::rename(logs(&fixture), &moved).expect("the folder");
    assert!(
        fs::metadata(moved.join("latest")).is_ok(),
        "{:?}",
        fs::read_link(moved.join("latest"))
    );
}

#[test]
fn a_link_that_named_something_else_is_replaced_and_never_missing() {
    let fixture = fixture();
    let link = logs(&fixture).join("latest");
    let arguments = ["--latest-symlink", link.to_str().expect("UTF-8")];
    let next = logs(&fixture).join("next");
    // What it named is there, so that the link leads somewhere at every instant.
    fs::write(logs(&fixture).join("old.log"), "").expect("a file");
    std::os::unix::fs::symlink("old.log", &link).expect("a link");
    let (missing, looks) = watch(&link, || {
        for _ in 0..20 {
            let mut running = listener(&fixture, &arguments).launch();
            wait::until("the listener is there", || {
                running.status().is_some() || !running.program.is_running()
            });
            running.kill();
            std::os::unix::fs::symlink("old.log", &next).expect("a link");
            fs::rename(&next, &link).expect("a link");
        }
    });
    assert!(missing == 0 && looks > 100, "the link was missing {missing} of {looks} times");
    for text in ["/nonexistent/old.log", "apps.2020-01-01T00-00-00Z.log", "../logs"] {
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(text, &link).expect("a link");
        let running = listener(&fixture, &arguments).start();
        assert_eq!(
            fs::canonicalize(&link).expect("it leads"),
            fs::canonicalize(log(&fixture)).expect("it")
        );
        assert!(running.stop().is_complete());
    }
}

#[test]
fn a_file_or_a_folder_in_the_place_of_the_link_is_refused_and_untouched() {
    let fixture = fixture();
    let file = logs(&fixture).join("latest");
    fs::write(&file, "somebody's").expect("a file");
    let folder = logs(&fixture).join("folder");
    fs::create_dir(&folder).expect("a folder");
    for path in [&file, &folder] {
        let arguments = ["--latest-symlink", path.to_str().expect("UTF-8")];
        let mut refused = listener(&fixture, &arguments).launch();
        assert_eq!(refused.program.code(), 1, "{}", refused.program.output());
        let said = refused.program.output();
        assert!(
            said.contains("in the way") && said.contains(path.to_str().expect("UTF-8")),
            "{said}"
        );
    }
    assert_eq!(fs::read_to_string(&file).expect("it"), "somebody's");
    assert!(folder.is_dir());
}

#[test]
fn a_log_that_is_itself_a_link_is_rotated_where_its_file_lies() -> io::Result<()> {
    let fixture = fixture();
    let real = fixture.path().join("real");
    fs::create_dir(&real)?;
    std::os::unix::fs::symlink("../real/apps.log", log(&fixture))?;
    let running = listener(&fixture, &["--max-size", "20000"]).start();
    storm(&fixture, 0, 1, 500);
    assert!(running.stop().is_complete());
    assert!(fs::symlink_metadata(log(&fixture))?.is_symlink(), "the link is a link");
    judge::judge(&real.join("apps.log")).demand_exact(1, 500);
    assert_eq!(fs::read_dir(logs(&fixture))?.count(), 1, "nothing lies beside the link");
    Ok(())
}
