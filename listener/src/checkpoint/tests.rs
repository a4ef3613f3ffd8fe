//! The checkpoint's states, each left as a kill would leave it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use fleetlog_protocol::message::QueueId;

use super::*;
use crate::disk::System;

fn state(number: u128) -> QueueState {
    QueueState {
        id: QueueId(number),
        position: 0,
        written: 0,
        pid: 7,
        uid: 8,
        start_time: 9,
        tail: 11,
        lane: 12,
        name: format!("worker {number}"),
    }
}

fn open(folder: &Path) -> io::Result<(Checkpoint, Recovery)> {
    Checkpoint::open(std::sync::Arc::new(System), folder)
}

fn log(folder: &Path, content: &str) -> (PathBuf, (u64, u64)) {
    let path = folder.join("apps.log");
    fs::write(&path, content).expect("a log");
    let found = fs::metadata(&path).expect("its identity");
    (path, (found.dev(), found.ino()))
}

/// A checkpoint with one queue and an open intent to write five bytes behind `before`.
fn interrupted(folder: &Path, before: &str, after: &str) -> (PathBuf, Advance) {
    let (path, identity) = log(folder, before);
    let (mut checkpoint, _) = open(folder).expect("a checkpoint");
    let queue = checkpoint.add_queue(&state(1)).expect("a queue");
    let file = checkpoint.add_file(&path, identity).expect("a file");
    let advance = Advance { queue, position: 5, written: 5, tail: 6, ends: false };
    let extent = Extent { file, offset: before.len() as u64, len: 5 };
    checkpoint.open_intent(&[extent], &[advance], false);
    fs::write(&path, format!("{before}{after}")).expect("the write");
    (path, advance)
}

#[test]
fn a_batch_that_was_written_as_a_whole_is_finished() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, _) = interrupted(folder.path(), "old\n", "fresh");
    let (checkpoint, recovery) = open(folder.path()).expect("a checkpoint");
    assert!(matches!(recovery, Recovery::Finished), "{recovery:?}");
    assert_eq!(checkpoint.queues()[0].1.position, 5);
    assert_eq!(fs::read_to_string(path).expect("the log"), "old\nfresh");
}

#[test]
fn a_batch_that_was_written_in_part_is_cut_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, _) = interrupted(folder.path(), "old\n", "fre");
    let (checkpoint, recovery) = open(folder.path()).expect("a checkpoint");
    assert!(matches!(&recovery, Recovery::Undone { uncut } if uncut.is_empty()), "{recovery:?}");
    assert_eq!(checkpoint.queues()[0].1.position, 0);
    assert_eq!(fs::read_to_string(path).expect("the log"), "old\n");
}

#[test]
fn a_recovery_that_is_killed_can_be_done_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, _) = interrupted(folder.path(), "old\n", "fre");
    fs::write(&path, "old\n").expect("cut, but the intent is still open");
    let (_, recovery) = open(folder.path()).expect("a checkpoint");
    assert!(matches!(recovery, Recovery::Undone { .. }), "{recovery:?}");
    let (_, recovery) = open(folder.path()).expect("a checkpoint");
    assert!(matches!(recovery, Recovery::Clean), "{recovery:?}");
}

#[test]
fn a_file_that_is_another_one_now_is_never_cut() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, _) = interrupted(folder.path(), "old\n", "fre");
    // Made while the old one is still there, so that it has another inode.
    fs::write(folder.path().join("other"), "somebody else's file").expect("another file");
    fs::rename(folder.path().join("other"), &path).expect("in its place");
    let (_, recovery) = open(folder.path()).expect("a checkpoint");
    assert!(matches!(&recovery, Recovery::Undone { uncut } if uncut.len() == 1), "{recovery:?}");
    assert_eq!(fs::read_to_string(path).expect("untouched"), "somebody else's file");
}

#[test]
fn a_file_that_was_moved_within_its_folder_is_cut_back_where_it_is_now() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, _) = interrupted(folder.path(), "old\n", "fre");
    let moved = folder.path().join("apps.log.1");
    fs::rename(&path, &moved).expect("moved away");
    fs::write(&path, "somebody else's file").expect("another file");
    let (_, recovery) = open(folder.path()).expect("a checkpoint");
    assert!(matches!(&recovery, Recovery::Undone { uncut } if uncut.is_empty()), "{recovery:?}");
    assert_eq!(fs::read_to_string(moved).expect("the log"), "old\n");
    assert_eq!(fs::read_to_string(path).expect("untouched"), "somebody else's file");
}

#[test]
fn an_ended_queue_is_forgotten_with_its_last_batch() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut checkpoint, _) = open(folder.path()).expect("a checkpoint");
    let queue = checkpoint.add_queue(&state(1)).expect("a queue");
    checkpoint.store_positions(&[Advance { queue, position: 3, written: 3, tail: 4, ends: true }]);
    assert!(checkpoint.queues().is_empty());
}

#[test]
fn the_state_grows_without_forgetting_anything() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, identity) = log(folder.path(), "");
    let (mut checkpoint, _) = open(folder.path()).expect("a checkpoint");
    for number in 1..=1000 {
        let slot = checkpoint.add_queue(&state(number)).expect("a queue");
        let position = u64::try_from(number).expect("small");
        checkpoint.store_positions(&[Advance {
            queue: slot,
            position,
            written: 1,
            tail: 2,
            ends: false,
        }]);
    }
    for _ in 0..100 {
        checkpoint.add_file(&path, identity).expect("a file");
    }
    drop(checkpoint);
    let (checkpoint, recovery) = open(folder.path()).expect("a checkpoint");
    assert!(matches!(recovery, Recovery::Clean));
    let queues = checkpoint.queues();
    assert_eq!(queues.len(), 1000);
    for (_, queue) in queues {
        assert_eq!(u128::from(queue.position), queue.id.0);
        assert_eq!(queue.name, format!("worker {}", queue.id.0));
        assert_eq!((queue.pid, queue.uid, queue.start_time), (7, 8, 9));
        assert_eq!((queue.tail, queue.lane), (2, 12));
    }
}

#[test]
fn a_state_that_grows_under_an_open_intent_keeps_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, identity) = log(folder.path(), "old\n");
    let (mut checkpoint, _) = open(folder.path()).expect("a checkpoint");
    let queue = checkpoint.add_queue(&state(1)).expect("a queue");
    let file = checkpoint.add_file(&path, identity).expect("a file");
    let advance = Advance { queue, position: 5, written: 5, tail: 6, ends: false };
    checkpoint.open_intent(&[Extent { file, offset: 4, len: 5 }], &[advance], false);
    for number in 2..=600 {
        checkpoint.add_queue(&state(number)).expect("a queue");
    }
    for _ in 0..40 {
        checkpoint.add_file(&path, identity).expect("a file");
    }
    drop(checkpoint);
    fs::write(&path, "old\nfresh").expect("the write");
    let (checkpoint, recovery) = open(folder.path()).expect("a checkpoint");
    assert!(matches!(recovery, Recovery::Finished), "{recovery:?}");
    assert_eq!(checkpoint.queues()[0].1.position, 5);
}

#[test]
fn a_batch_that_went_into_a_pipe_as_well_is_written_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, identity) = log(folder.path(), "old\nfresh");
    let (mut checkpoint, _) = open(folder.path()).expect("a checkpoint");
    let queue = checkpoint.add_queue(&state(1)).expect("a queue");
    let file = checkpoint.add_file(&path, identity).expect("a file");
    let advance = Advance { queue, position: 5, written: 5, tail: 6, ends: false };
    checkpoint.open_intent(&[Extent { file, offset: 4, len: 5 }], &[advance], true);
    drop(checkpoint);
    let (checkpoint, recovery) = open(folder.path()).expect("a checkpoint");
    assert!(matches!(recovery, Recovery::Undone { .. }), "{recovery:?}");
    assert_eq!(checkpoint.queues()[0].1.position, 0);
    assert_eq!(fs::read_to_string(path).expect("the log"), "old\n");
}

#[test]
fn a_damaged_state_is_put_aside_and_said() {
    for damage in [&b""[..], b"short", b"0123456789abcdef", &[0; 4096], &[0xff; 4096]] {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("state"), damage).expect("damage");
        let (checkpoint, recovery) = open(folder.path()).expect("a checkpoint");
        assert!(matches!(recovery, Recovery::Damaged), "{recovery:?}");
        assert!(checkpoint.queues().is_empty());
        assert_eq!(fs::read(folder.path().join("state.damaged")).expect("kept"), damage);
    }
}
