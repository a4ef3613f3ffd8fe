//! The configuration: flags over the environment over a TOML file over the defaults.
//!
//! Each source fills one [`Settings`], in which everything is optional; [`Settings::over`] lays
//! one over another and [`Settings::into_options`] adds the defaults. The parsers of the single
//! values are shared by flags and file. A file is read as a whole or refused as a whole: no key
//! is ever ignored.

mod file;
pub(crate) mod shown;
mod values;

use std::path::{Path, PathBuf};
use std::time::Duration;

use fleetlog_protocol::run_dir;
use nix::unistd::{Gid, Uid};

use crate::format::Format;
use crate::options::{
    Access, Address, Compression, Keeping, KeepingError, Options, Period, RateLimit, Redaction,
    SinkOptions, SinkTarget, Sync, WorkerDefaults,
};
use crate::route::Directives;
use crate::sink::PathTemplate;

#[cfg(test)]
pub(crate) use file::is_key;
pub use file::{ConfigError, Mistake};
pub use values::{
    Refused, Timezone, duration, group, interval, mode, rotation, size, sync, user, web_address,
};

/// What one source says; `None` = nothing.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The run directory.
    pub run_dir: Option<PathBuf>,
    /// The permission bits of the sockets.
    pub socket_mode: Option<u32>,
    /// The users that may log; none = nothing is said of users.
    pub allow_uid: Vec<Uid>,
    /// The groups whose members may log; none = nothing is said of groups.
    pub allow_gid: Vec<Gid>,
    /// How many records a foreign client may log in an interval; 0 = as many as it likes.
    pub rate_limit_burst: Option<u64>,
    /// The interval.
    pub rate_limit_interval: Option<Duration>,
    /// How far a loss of power is covered.
    pub sync: Option<Sync>,
    /// End when the last worker is gone.
    pub exit_with_last_worker: Option<bool>,
    /// Names whose values are shown nowhere.
    pub redact: Option<Redaction>,
    /// How long equal records wait for each other to share a line; zero = not at all.
    pub dedup: Option<Duration>,
    /// Where metrics are served.
    pub metrics: Option<Address>,
    /// The clock of the time in a line.
    pub timezone: Option<Timezone>,
    /// The folder for a file of the listener's own diagnostics.
    pub diagnostics_dir: Option<PathBuf>,
    /// The bytes that a lane of a worker may have, where the worker was told nothing itself.
    pub lane_max: Option<u64>,
    /// Where the page is served.
    #[cfg(feature = "web")]
    pub web: Option<std::net::SocketAddr>,
    /// The files, or nothing about files.
    pub files: Vec<FileSettings>,
    /// What holds for every file, whatever the file's own settings say: the flags.
    pub every_file: FileRules,
}

/// What is said of one file.
#[derive(Clone, Debug)]
pub struct FileSettings {
    /// The file, or standard output.
    pub target: SinkTarget,
    /// What holds for it.
    pub rules: FileRules,
}

/// What lines a file gets, who may read them and how long they are kept; `None` = nothing said.
#[derive(Clone, Debug, Default)]
pub struct FileRules {
    /// The layout of lines.
    pub format: Option<Format>,
    /// The records it wants.
    pub filter: Option<Directives>,
    /// The permission bits of files.
    pub file_mode: Option<u32>,
    /// The group of files.
    pub file_group: Option<Gid>,
    /// The period of rotation; `Some(None)` = an explicit never.
    pub rotation: Option<Option<Period>>,
    /// The size at which a file is rotated.
    pub max_size: Option<u64>,
    /// How many archives are kept.
    pub max_files: Option<u32>,
    /// How long archives are kept.
    pub max_age: Option<Duration>,
    /// The bytes of all files of a log together.
    pub max_total_size: Option<u64>,
    /// What archives are packed with.
    pub compress: Option<Compression>,
    /// Leave the newest archive unpacked.
    pub delay_compress: Option<bool>,
    /// A link that names the current file.
    pub latest_symlink: Option<PathBuf>,
}

/// Settings that can't hold together.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// Two sinks would write the same file.
    #[error(
        "{} is named twice, and each line would stand in it twice; name each file once", name_of(.0)
    )]
    NamedTwice(SinkTarget),
    /// Two files can't share a link.
    #[error(
        "the link {} can name one file only; give each [[file]] a latest_symlink of its own",
        .0.display()
    )]
    LinkTwice(PathBuf),
    /// There is no single current file.
    #[error(
        "a latest symlink needs one file, but {} has one for each worker or is no file; leave the \
         link out", name_of(.0)
    )]
    LinkToMany(SinkTarget),
    /// An interval alone limits nothing.
    #[error("a rate limit's interval says nothing without its burst; add rate_limit_burst")]
    IntervalWithoutBurst,
    /// The bounds of a file contradict each other.
    #[error("{}: {source}", name_of(.target))]
    Keeping {
        /// The file.
        target: SinkTarget,
        /// How.
        source: KeepingError,
    },
}

fleetlog_protocol::debug_as_display!(SettingsError);

/// A list that says something, or the one below it.
fn either<T>(list: Vec<T>, lower: Vec<T>) -> Vec<T> {
    if list.is_empty() { lower } else { list }
}

fn name_of(target: &SinkTarget) -> std::borrow::Cow<'_, str> {
    match target {
        SinkTarget::Stdout => "standard output".into(),
        SinkTarget::File(path) => path.to_string_lossy(),
    }
}

impl Settings {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// Any [`ConfigError`]: one that names every mistake with its line and column.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        file::read(path)
    }

    /// These settings, and those of `lower` where nothing is said. Files are replaced as a whole:
    /// `--file` says where this run's lines go.
    #[must_use]
    pub fn over(self, lower: Self) -> Self {
        Self {
            run_dir: self.run_dir.or(lower.run_dir),
            socket_mode: self.socket_mode.or(lower.socket_mode),
            allow_uid: either(self.allow_uid, lower.allow_uid),
            allow_gid: either(self.allow_gid, lower.allow_gid),
            rate_limit_burst: self.rate_limit_burst.or(lower.rate_limit_burst),
            rate_limit_interval: self.rate_limit_interval.or(lower.rate_limit_interval),
            sync: self.sync.or(lower.sync),
            exit_with_last_worker: self.exit_with_last_worker.or(lower.exit_with_last_worker),
            redact: self.redact.or(lower.redact),
            dedup: self.dedup.or(lower.dedup),
            metrics: self.metrics.or(lower.metrics),
            timezone: self.timezone.or(lower.timezone),
            diagnostics_dir: self.diagnostics_dir.or(lower.diagnostics_dir),
            lane_max: self.lane_max.or(lower.lane_max),
            #[cfg(feature = "web")]
            web: self.web.or(lower.web),
            files: either(self.files, lower.files),
            every_file: self.every_file.over(lower.every_file),
        }
    }

    /// The run directory, or the default one.
    #[must_use]
    pub fn run_dir(&self) -> PathBuf {
        self.run_dir.clone().unwrap_or_else(run_dir::default_path)
    }

    /// The listener's options: these settings and the defaults.
    ///
    /// # Errors
    /// Any [`SettingsError`].
    pub fn into_options(self) -> Result<Options, SettingsError> {
        let mut options = Options::new(self.run_dir());
        options.socket_mode = self.socket_mode.or(options.socket_mode);
        options.access = Access { uids: self.allow_uid, gids: self.allow_gid };
        let interval = self.rate_limit_interval.unwrap_or(RateLimit::INTERVAL);
        options.rate_limit = match self.rate_limit_burst {
            Some(0) => None,
            Some(burst) => Some(RateLimit { burst, interval }),
            None if self.rate_limit_interval.is_some() => {
                return Err(SettingsError::IntervalWithoutBurst);
            }
            None => options.rate_limit,
        };
        options.sync = self.sync.unwrap_or(options.sync);
        options.exit_with_last_worker =
            self.exit_with_last_worker.unwrap_or(options.exit_with_last_worker);
        options.metrics = self.metrics;
        options.redaction = self.redact.unwrap_or_default();
        options.dedup = self.dedup;
        options.worker_defaults = WorkerDefaults { lane_max: self.lane_max };
        #[cfg(feature = "web")]
        {
            options.web = self.web;
        }
        let timezone = self.timezone.unwrap_or_default();
        let files = if self.files.is_empty() {
            vec![FileSettings { target: SinkTarget::Stdout, rules: FileRules::default() }]
        } else {
            self.files
        };
        for file in files {
            if options.sinks.iter().any(|sink| sink.target == file.target) {
                return Err(SettingsError::NamedTwice(file.target));
            }
            let rules = self.every_file.clone().over(file.rules);
            options.sinks.push(rules.into_sink(file.target, timezone)?);
        }
        if let Some(link) = link_named_twice(&options.sinks) {
            return Err(SettingsError::LinkTwice(link));
        }
        Ok(options)
    }
}

impl FileRules {
    fn over(self, lower: Self) -> Self {
        Self {
            format: self.format.or(lower.format),
            filter: self.filter.or(lower.filter),
            file_mode: self.file_mode.or(lower.file_mode),
            file_group: self.file_group.or(lower.file_group),
            rotation: self.rotation.or(lower.rotation),
            max_size: self.max_size.or(lower.max_size),
            max_files: self.max_files.or(lower.max_files),
            max_age: self.max_age.or(lower.max_age),
            max_total_size: self.max_total_size.or(lower.max_total_size),
            compress: self.compress.or(lower.compress),
            delay_compress: self.delay_compress.or(lower.delay_compress),
            latest_symlink: self.latest_symlink.or(lower.latest_symlink),
        }
    }

    fn into_sink(
        self,
        target: SinkTarget,
        timezone: Timezone,
    ) -> Result<SinkOptions, SettingsError> {
        let keeping = Keeping {
            rotation: self.rotation.flatten(),
            timezone: timezone.into(),
            max_size: self.max_size,
            max_files: self.max_files,
            max_age: self.max_age,
            max_total_size: self.max_total_size,
            compression: self.compress.unwrap_or_default(),
            delay_compress: self.delay_compress.unwrap_or_default(),
        };
        if let Err(source) = keeping.check() {
            return Err(SettingsError::Keeping { target, source });
        }
        if self.latest_symlink.is_some() && !is_one_file(&target) {
            return Err(SettingsError::LinkToMany(target));
        }
        let defaults = SinkOptions::new(target);
        Ok(SinkOptions {
            format: self.format.unwrap_or_else(Format::text).with_timezone(timezone.into()),
            filter: self.filter.unwrap_or_else(Directives::all),
            file_mode: self.file_mode.unwrap_or(defaults.file_mode),
            file_group: self.file_group,
            keeping,
            latest_symlink: self.latest_symlink,
            ..defaults
        })
    }
}

fn is_one_file(target: &SinkTarget) -> bool {
    match target {
        SinkTarget::Stdout => false,
        SinkTarget::File(path) => !PathTemplate::new(path).is_per_worker(),
    }
}

fn link_named_twice(sinks: &[SinkOptions]) -> Option<PathBuf> {
    let links: Vec<_> = sinks.iter().filter_map(|sink| sink.latest_symlink.as_ref()).collect();
    let twice = |index: usize, link: &&PathBuf| links[..index].contains(link);
    links.iter().enumerate().find(|(index, link)| twice(*index, link)).map(|(_, l)| (*l).clone())
}

/// The sink that a path names; `-` is standard output.
#[must_use]
pub fn target(path: PathBuf) -> SinkTarget {
    if path.as_os_str() == "-" { SinkTarget::Stdout } else { SinkTarget::File(path) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn file(path: &str, rules: FileRules) -> FileSettings {
        FileSettings { target: target(path.into()), rules }
    }

    #[test]
    fn without_any_source_the_defaults_hold() {
        let options = Settings::default().into_options().unwrap();
        assert_eq!(options.run_dir, run_dir::default_path());
        assert_eq!(options.effective_socket_mode(), 0o600);
        assert_eq!(options.sync, Sync::Never);
        assert!(!options.exit_with_last_worker);
        assert_eq!(options.sinks.len(), 1);
        assert_eq!(options.sinks[0].target, SinkTarget::Stdout);
        assert_eq!(options.sinks[0].file_mode, 0o640);
    }

    #[test]
    fn each_setting_of_the_upper_source_wins_and_the_lower_one_fills_the_rest() {
        let upper = Settings {
            run_dir: Some("/upper".into()),
            exit_with_last_worker: Some(false),
            ..Settings::default()
        };
        let lower = Settings {
            run_dir: Some("/lower".into()),
            exit_with_last_worker: Some(true),
            sync: Some(Sync::Every(Duration::from_secs(1))),
            ..Settings::default()
        };
        let options = upper.over(lower).into_options().unwrap();
        assert_eq!(options.run_dir, PathBuf::from("/upper"));
        assert!(!options.exit_with_last_worker, "an explicit no beats the file's yes");
        assert_eq!(options.sync, Sync::Every(Duration::from_secs(1)));
    }

    #[test]
    fn files_of_the_flags_replace_those_of_the_file() {
        let flags =
            Settings { files: vec![file("/a.log", FileRules::default())], ..Settings::default() };
        let below = Settings {
            files: vec![file("/b.log", FileRules::default()), file("-", FileRules::default())],
            ..Settings::default()
        };
        let options = flags.over(below).into_options().unwrap();
        assert_eq!(options.sinks.len(), 1);
        assert_eq!(options.sinks[0].target, SinkTarget::File("/a.log".into()));
    }

    #[test]
    fn a_flag_for_every_file_beats_the_settings_of_the_single_ones() {
        let flags = Settings {
            every_file: FileRules { file_mode: Some(0o600), ..FileRules::default() },
            ..Settings::default()
        };
        let open = FileRules { file_mode: Some(0o644), ..FileRules::default() };
        let below = Settings {
            files: vec![file("/a.log", open), file("/b.log", FileRules::default())],
            ..Settings::default()
        };
        let options = flags.over(below).into_options().unwrap();
        assert!(options.sinks.iter().all(|sink| sink.file_mode == 0o600));
    }

    #[test]
    fn a_file_that_is_named_twice_is_refused() {
        let files =
            vec![file("/a.log", FileRules::default()), file("/a.log", FileRules::default())];
        let settings = Settings { files, ..Settings::default() };
        let said = settings.into_options().unwrap_err().to_string();
        assert!(said.starts_with("/a.log is named twice"), "{said}");
    }
}
