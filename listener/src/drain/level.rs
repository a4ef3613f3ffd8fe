//! The live level: which changes are in force, as commands make them and take them back.
//!
//! The state is the run directory's ([`fleetlog_protocol::level_control`]), so that it outlives this
//! listener and needs none to end. This is its one writer. Whether workers heed it is their affair:
//! nothing here waits for one.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fleetlog_protocol::level_control::{
    self, Change, Changes, LevelControl, LevelControlError, WorkerPattern, clock,
};
use fleetlog_protocol::limits::DIRECTIVES_MAX;
use fleetlog_protocol::message::{LevelChange, Reply};
use fleetlog_protocol::run_dir;
use serde_json::{Value, json};

/// The longest time that a change may be made for: what is to last longer is to last until it is
/// taken back.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

#[derive(Debug)]
pub(super) struct Levels {
    run_dir: PathBuf,
    changes: Changes,
    /// `None` where the page can't be made; tried again with the next change.
    control: Option<LevelControl>,
}

impl Levels {
    /// Takes over what a former listener left. Nothing that is wrong with it keeps a listener from
    /// draining.
    pub(super) fn take_over(run_dir: &Path) -> Self {
        let read = level_control::read(run_dir);
        let is_readable = read.is_ok();
        let changes = read.unwrap_or_else(|error| {
            crate::diagnostic::warn!(%error, "what a former listener told the workers to log is forgotten");
            Changes::default()
        });
        let mut levels = Self { run_dir: run_dir.to_owned(), changes, control: None };
        let has_expired = levels.changes.expire(clock::now());
        let done = if has_expired || !is_readable {
            levels.put_in_force(levels.changes.clone())
        } else {
            levels.claim().map(|_| ())
        };
        if let Err(error) = done {
            crate::diagnostic::warn!(%error, "the level of living workers can't be changed");
        }
        levels
    }

    /// Puts a change in force.
    pub(super) fn set(&mut self, change: &LevelChange, uid: u32) -> Reply {
        let made = match self.read_change(change) {
            Ok(made) => made,
            Err(why) => return Reply::Failed(why),
        };
        let mut changes = self.changes.clone();
        changes.expire(clock::now());
        if let Err(error) = changes.put(made) {
            return Reply::Failed(error.to_string());
        }
        let LevelChange { directives, worker, for_seconds } = change;
        crate::diagnostic::info!(directives, ?worker, ?for_seconds, uid, "the level is changed");
        self.answer(changes)
    }

    /// Takes changes back.
    pub(super) fn reset(&mut self, worker: Option<&str>, uid: u32) -> Reply {
        let mut changes = self.changes.clone();
        changes.expire(clock::now());
        if changes.take_back(worker) == 0
            && let Some(worker) = worker
        {
            return Reply::Failed(format!(
                "no change is in force for the workers {worker:?}: name them as when the change \
                 was made, `fleetlog level --show` tells how"
            ));
        }
        crate::diagnostic::info!(?worker, uid, "changes of the level are taken back");
        self.answer(changes)
    }

    /// Tells which changes are in force.
    pub(super) fn tell(&mut self) -> Reply {
        let mut changes = self.changes.clone();
        if changes.expire(clock::now()) {
            // The workers have ended them by themselves already.
            if let Err(error) = self.put_in_force(changes) {
                crate::diagnostic::warn!(%error, "changes of the level that are over can't be removed");
            }
        }
        self.listed()
    }

    /// What a command asks for, or why it can't be had.
    fn read_change(&self, change: &LevelChange) -> Result<Change, String> {
        let LevelChange { directives, worker, for_seconds } = change;
        let directives: crate::route::Directives =
            directives.parse().map_err(|error| format!("{error}"))?;
        // They are kept as they are printed, which can be longer than they were given.
        let length = directives.to_string().len();
        if length > DIRECTIVES_MAX {
            return Err(format!(
                "the filter directives have {length} bytes: give at most {DIRECTIVES_MAX}"
            ));
        }
        let lasting = for_seconds.map(Duration::from_secs);
        if let Some(lasting) = lasting
            && (lasting.is_zero() || lasting > LONGEST)
        {
            return Err(format!(
                "a change can't last {} seconds: give 1 second to 366 days, or no time for a \
                 change that lasts until it is taken back",
                lasting.as_secs()
            ));
        }
        let worker = worker.as_deref().map(WorkerPattern::parse);
        Ok(Change { directives, worker, deadline: lasting.map(|lasting| clock::now() + lasting) })
    }

    fn answer(&mut self, changes: Changes) -> Reply {
        match self.put_in_force(changes) {
            Ok(()) => self.listed(),
            Err(error) => Reply::Failed(format!("the level can't be changed: {error}")),
        }
    }

    fn listed(&self) -> Reply {
        let now = clock::now();
        let levels: Vec<Value> = self
            .changes
            .as_slice()
            .iter()
            .map(|change| {
                json!({
                    "directives": change.directives.to_string(),
                    "worker": change.worker.as_ref().map(WorkerPattern::as_str),
                    "seconds_left": change.deadline.map(|deadline| {
                        deadline.saturating_sub(now).as_secs_f64()
                    }),
                })
            })
            .collect();
        Reply::Levels(json!({ "levels": levels }).to_string())
    }

    fn put_in_force(&mut self, changes: Changes) -> Result<(), LevelControlError> {
        self.claim()?.put_in_force(&changes)?;
        self.changes = changes;
        Ok(())
    }

    fn claim(&mut self) -> Result<&mut LevelControl, LevelControlError> {
        let control = match self.control.take() {
            Some(control) => control,
            None => LevelControl::claim(&self.run_dir, self.mode())?,
        };
        Ok(self.control.insert(control))
    }

    /// Whom the socket lets in, the files tell what to log.
    fn mode(&self) -> u32 {
        let socket = std::fs::symlink_metadata(self.run_dir.join(run_dir::SOCKET));
        let mode = socket.map_or(0, |socket| socket.mode());
        0o600 | ((mode & 0o022) << 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(directives: &str, worker: Option<&str>, for_seconds: Option<u64>) -> LevelChange {
        let (directives, worker) = (directives.to_owned(), worker.map(str::to_owned));
        LevelChange { directives, worker, for_seconds }
    }

    #[track_caller]
    fn failed(reply: Reply) -> String {
        let Reply::Failed(why) = reply else { panic!("{reply:?}") };
        why
    }

    #[track_caller]
    fn levels(reply: Reply) -> Vec<Value> {
        let Reply::Levels(json) = reply else { panic!("{reply:?}") };
        let mut answer: Value = serde_json::from_str(&json).unwrap();
        answer["levels"].as_array_mut().map(std::mem::take).unwrap()
    }

    #[test]
    fn changes_are_listed_replaced_taken_back_and_outlive_the_listener() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = Levels::take_over(folder.path());
        assert_eq!(levels(first.tell()), Vec::<Value>::new());
        let _ = first.set(&change("info", Some("w"), None), 0);
        let _ = first.set(&change("warn", None, Some(300)), 0);
        let _ = first.set(&change("app=debug", Some("w"), None), 0);
        drop(first);
        let mut second = Levels::take_over(folder.path());
        let told = levels(second.tell());
        assert_eq!(told.len(), 2);
        assert_eq!((&told[0]["directives"], &told[0]["worker"]), (&json!("warn"), &Value::Null));
        let left = told[0]["seconds_left"].as_f64().unwrap();
        assert!(left > 200.0 && left <= 300.0, "{left}");
        assert_eq!(told[1]["directives"], "app=debug");
        assert_eq!(told[1]["seconds_left"], Value::Null);
        assert!(failed(second.reset(Some("x"), 0)).contains("--show"));
        assert_eq!(levels(second.reset(Some("w"), 0)).len(), 1);
        assert_eq!(levels(second.reset(None, 0)).len(), 0);
        assert_eq!(level_control::read(folder.path()).unwrap(), Changes::default());
    }

    #[test]
    fn what_can_not_be_is_refused_in_the_words_of_the_parser_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut control = Levels::take_over(folder.path());
        let mut refused = |change: LevelChange| failed(control.set(&change, 0));
        assert!(refused(change("inof", None, None)).contains("did you mean `info`?"));
        assert!(refused(change("app[span]=debug", None, None)).contains("span or field"));
        assert!(refused(change("debug", None, Some(0))).contains("1 second"));
        assert!(refused(change("debug", None, Some(u64::MAX - 1))).contains("366 days"));
        let long = format!("{}=info", "a".repeat(DIRECTIVES_MAX));
        assert!(refused(change(&long, None, None)).contains("at most 4096"));
        assert!(levels(control.tell()).is_empty());
    }

    #[test]
    fn a_run_directory_without_room_for_the_page_costs_the_level_alone() {
        let folder = tempfile::tempdir().unwrap();
        let run_dir = folder.path().join("run");
        let mut control = Levels::take_over(&run_dir);
        assert!(failed(control.set(&change("debug", None, None), 0)).contains("can't"));
        assert!(levels(control.tell()).is_empty());
        std::fs::create_dir(&run_dir).unwrap();
        assert_eq!(levels(control.set(&change("debug", None, None), 0)).len(), 1);
    }
}
