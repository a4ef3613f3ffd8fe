//! Which logs are read: those that are named, those of the configuration, or those of the
//! listener that lives in the run directory.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fleetlog_protocol::client::{self, ClientError};
use fleetlog_protocol::message::{Reply, Request};
use regex::Regex;
use serde::Deserialize;

use crate::archive::ArchiveNames;
use crate::command::exit::{Code, Failure};
use crate::command::flags::Common;
use crate::config::Settings;
use crate::options::SinkTarget;
use crate::route::Directives;

/// How long a listener may take to name its files.
const PATIENCE: Duration = Duration::from_secs(5);

/// The flag that names logs.
#[derive(clap::Args, Clone, Debug)]
pub(in crate::command) struct Sources {
    /// A log to read, with the old files beside it; may be given several times
    /// [default: the files of --config, else of the listener in the run directory]
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    pub(in crate::command) file: Vec<PathBuf>,
}

/// One log, or one for each worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::command) struct Source {
    /// As it is configured.
    pub(in crate::command) path: PathBuf,
    /// The current files: one, or one for each worker.
    pub(in crate::command) logs: Vec<PathBuf>,
    /// Which records the log was to have; `None` = nobody says.
    pub(in crate::command) filter: Option<Directives>,
    /// The layout of its lines, where somebody says.
    pub(in crate::command) format: Option<String>,
}

/// The listener of a run directory, as far as it matters to a reader.
#[derive(Debug, Default)]
pub(in crate::command) struct Living {
    /// It is there, whether it answers or not.
    pub(in crate::command) is_there: bool,
    /// Why it can't write at the moment.
    pub(in crate::command) paused: Option<String>,
    /// Why it can't be known whether one is there.
    unknown: Option<String>,
    sinks: Vec<Sink>,
}

#[derive(Debug, Deserialize)]
struct Status {
    listener: Listener,
    sinks: Vec<Sink>,
}

#[derive(Debug, Deserialize)]
struct Listener {
    pid: u32,
    #[serde(default)]
    paused: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Sink {
    target: PathBuf,
    #[serde(default)]
    format: Option<String>,
    #[serde(default)]
    filter: String,
}

impl Living {
    /// Asks the listener of a run directory.
    pub(in crate::command) fn ask(run_dir: &Path) -> Self {
        match client::request(run_dir, Request::Status, PATIENCE, |_| ()) {
            Ok(Reply::Status(json)) => serde_json::from_str(&json).map_or_else(
                |_| Self { is_there: true, ..Self::default() },
                |Status { listener, sinks }| {
                    // A relative path is relative to where the listener was started.
                    let place = fs::read_link(format!("/proc/{}/cwd", listener.pid));
                    let place = place.unwrap_or_default();
                    let absolute = |sink: Sink| Sink { target: place.join(&sink.target), ..sink };
                    let is_file = |sink: &Sink| is_path(&sink.target);
                    let sinks = sinks.into_iter().filter(is_file).map(absolute).collect();
                    Self { is_there: true, paused: listener.paused, unknown: None, sinks }
                },
            ),
            Err(ClientError::TimedOut(_)) => Self { is_there: true, ..Self::default() },
            // Who reads a log goes on as if one were there: that does not take it for finished.
            Err(ClientError::NotPermitted(why)) => {
                Self { is_there: true, unknown: Some(why.to_string()), ..Self::default() }
            }
            _ => Self::default(),
        }
    }
}

/// Standard output goes by these names.
fn is_path(target: &Path) -> bool {
    target != Path::new("-") && target != Path::new("standard output")
}

impl Sources {
    /// The logs to read, which are there.
    pub(in crate::command) fn find(
        &self,
        what: &str,
        common: &Common,
        living: &Living,
    ) -> Result<Vec<Source>, Failure> {
        let sources = self.find_any(what, common, living)?;
        match sources.iter().find(|source| source.logs.is_empty()) {
            None => Ok(sources),
            Some(source) => {
                let target = source.path.display();
                Err(Failure::failed(what, format_args!("{target}: no file fits")))
            }
        }
    }

    /// The logs to read, whether they are there or not.
    pub(in crate::command) fn find_any(
        &self,
        what: &str,
        common: &Common,
        living: &Living,
    ) -> Result<Vec<Source>, Failure> {
        let settings = common.settings(Settings::default())?;
        let known = known(&settings, living);
        let sinks = if self.file.is_empty() {
            known
        } else {
            let named = |path: &PathBuf| {
                let same = |sink: &&Sink| absolute(&sink.target) == absolute(path);
                let known = known.iter().find(same);
                let target = path.clone();
                known.map_or(Sink { target, format: None, filter: String::new() }, |known| Sink {
                    target: path.clone(),
                    ..known.clone()
                })
            };
            self.file.iter().map(named).collect()
        };
        if sinks.is_empty() {
            let run_dir = settings.run_dir();
            let why = if let Some(why) = &living.unknown {
                why.clone()
            } else if living.is_there {
                format!("the listener in {} writes no file", run_dir.display())
            } else {
                format!("no listener lives in {} to name its files", run_dir.display())
            };
            return Err(Failure::usage(
                what,
                format_args!("{why}; name the log with --file, or another --run-dir or --config"),
            ));
        }
        sinks.into_iter().map(|sink| Source::of(what, sink)).collect()
    }
}

/// The logs that the configuration names, else those that the listener names.
fn known(settings: &Settings, living: &Living) -> Vec<Sink> {
    let of_settings = |file: &crate::config::FileSettings| {
        let SinkTarget::File(path) = &file.target else { return None };
        let rules = (&settings.every_file, &file.rules);
        let format = rules.0.format.as_ref().or(rules.1.format.as_ref());
        let filter = rules.0.filter.as_ref().or(rules.1.filter.as_ref());
        Some(Sink {
            target: path.clone(),
            format: Some(format.map_or_else(|| "text".to_owned(), ToString::to_string)),
            filter: filter.cloned().unwrap_or_default().to_string(),
        })
    };
    let configured: Vec<Sink> = settings.files.iter().filter_map(of_settings).collect();
    if configured.is_empty() { living.sinks.clone() } else { configured }
}

fn absolute(path: &Path) -> PathBuf {
    fs::canonicalize(path).or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.into())
}

impl Source {
    fn of(what: &str, sink: Sink) -> Result<Self, Failure> {
        let Sink { target, format, filter } = sink;
        let logs = if is_template(&target) {
            fitting(&target)
                .map_err(|why| Failure::usage(what, format_args!("{}: {why}", target.display())))?
        } else {
            vec![target.clone()]
        };
        let filter = if filter == "all" { Some(Directives::all()) } else { filter.parse().ok() };
        Ok(Self { path: target, logs, filter, format })
    }

    /// Whether the log was to have some records only.
    pub(in crate::command) fn is_filtered(&self) -> bool {
        self.filter.as_ref().is_some_and(|filter| *filter != Directives::all())
    }

    /// The logs that are there now.
    pub(in crate::command) fn logs_now(&self) -> Vec<PathBuf> {
        if self.is_per_worker() {
            fitting(&self.path).unwrap_or_default()
        } else {
            self.logs.clone()
        }
    }

    /// Whether each worker has a log of its own.
    pub(in crate::command) fn is_per_worker(&self) -> bool {
        is_template(&self.path)
    }
}

fn is_template(path: &Path) -> bool {
    let text = path.to_string_lossy();
    text.contains("{worker}") || text.contains("{pid}")
}

/// The logs of a folder that fit a path with placeholders, those included of which only archives
/// are left.
pub(crate) fn fitting(template: &Path) -> Result<Vec<PathBuf>, String> {
    let folder = template.parent().unwrap_or(Path::new(""));
    if is_template(folder) {
        return Err("a placeholder stands in the folder; name the files one by one".to_owned());
    }
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let name = template.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let pattern = regex::escape(name).replace("\\{worker\\}", ".+").replace("\\{pid\\}", "[0-9]+");
    let pattern = Regex::new(&format!("^(?s:{pattern})$")).map_err(|error| error.to_string())?;
    let entries = fs::read_dir(folder).map_err(|error| error.to_string())?;
    let mut logs = BTreeSet::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let name = log_of_archive(name).unwrap_or_else(|| name.to_owned());
        if pattern.is_match(&name) {
            logs.insert(folder.join(name));
        }
    }
    Ok(logs.into_iter().collect())
}

/// The name of the log that a file is an archive of, if it is one.
fn log_of_archive(name: &str) -> Option<String> {
    let bare = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(name);
    let (before, last) = bare.rsplit_once('.')?;
    let with_extension = before.rsplit_once('.').map(|(stem, _)| format!("{stem}.{last}"));
    [with_extension, Some(before.to_owned())]
        .into_iter()
        .flatten()
        .find(|log| ArchiveNames::of(Path::new(log)).parse(OsStr::new(name)).is_some())
}

/// A log that can't be read, in words.
pub(in crate::command) fn unreadable(what: &str, log: &Path, error: &std::io::Error) -> Failure {
    let log = log.display();
    if error.kind() == std::io::ErrorKind::NotFound {
        return Failure::new(
            Code::Failed,
            format_args!("{what}: {log}: no such file, and no archive of it"),
        );
    }
    Failure::failed(what, format_args!("{log}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_of_an_archive_is_found_by_its_name() {
        for (name, log) in [
            ("apps.2026-11-22T10-00-00Z.log", Some("apps.log")),
            ("apps.2026-11-22T10-00-00Z_0001.log.gz", Some("apps.log")),
            ("a.b.2026-11-22T10-00-00Z.log.zst", Some("a.b.log")),
            ("apps.2026-11-22T10-00-00Z", Some("apps")),
            ("apps.log", None),
            ("apps.2026-11-22.log", None),
        ] {
            assert_eq!(log_of_archive(name).as_deref(), log, "{name}");
        }
    }

    #[test]
    fn the_logs_of_all_workers_are_found_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "of-a.7.log",
            "of-b c.18.log",
            "of-b c.18.2026-11-22T10-00-00Z.log.gz",
            "of-gone.9.2026-11-22T10-00-00Z.log",
            "of-x.y.log",
            "other.7.log",
        ] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let found = fitting(&folder.path().join("of-{worker}.{pid}.log")).unwrap();
        let names: Vec<_> =
            found.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["of-a.7.log", "of-b c.18.log", "of-gone.9.log"]);
        assert!(fitting(Path::new("/x/{worker}/a.log")).unwrap_err().contains("one by one"));
    }
}
