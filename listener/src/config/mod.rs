//! The configuration: flags over the environment over a TOML file over the defaults.
//!
//! Each source fills one [`Settings`], in which everything is optional; [`Settings::over`] lays
//! one over another and [`Settings::into_options`] adds the defaults. The parsers of the single
//! values are shared by flags and file. A file is read as a whole or refused as a whole: no key
//! is ever ignored.

mod file;
mod values;

use std::path::{Path, PathBuf};

use fleetlog_protocol::run_dir;

use crate::format::Format;
use crate::options::{Options, SinkOptions, SinkTarget, Sync};
use crate::route::Directives;

#[cfg(test)]
pub(crate) use file::is_key;
pub use file::{ConfigError, Mistake};
pub use values::{Refused, Timezone, duration, mode, sync};

/// What one source says; `None` = nothing.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The run directory.
    pub run_dir: Option<PathBuf>,
    /// The permission bits of the socket.
    pub socket_mode: Option<u32>,
    /// How far a loss of power is covered.
    pub sync: Option<Sync>,
    /// End when the last worker is gone.
    pub exit_with_last_worker: Option<bool>,
    /// The clock of the time in a line.
    pub timezone: Option<Timezone>,
    /// The folder for a file of the listener's own diagnostics.
    pub diagnostics_dir: Option<PathBuf>,
    /// The files, or nothing about files.
    pub files: Vec<FileSettings>,
    /// What holds for every file, whatever the file's own settings say: the flags.
    pub every_file: Layout,
}

/// What is said of one file.
#[derive(Clone, Debug)]
pub struct FileSettings {
    /// The file, or standard output.
    pub target: SinkTarget,
    /// What its lines are.
    pub layout: Layout,
}

/// What lines a file gets and who may read them; `None` = nothing said.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// The layout of lines.
    pub format: Option<Format>,
    /// The records it wants.
    pub filter: Option<Directives>,
    /// The permission bits of files.
    pub file_mode: Option<u32>,
}

/// Two sinks would write the same file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is named twice, and each line would stand in it twice; name each file once", shown(.0))]
pub struct NamedTwice(pub SinkTarget);

fn shown(target: &SinkTarget) -> std::borrow::Cow<'_, str> {
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
            sync: self.sync.or(lower.sync),
            exit_with_last_worker: self.exit_with_last_worker.or(lower.exit_with_last_worker),
            timezone: self.timezone.or(lower.timezone),
            diagnostics_dir: self.diagnostics_dir.or(lower.diagnostics_dir),
            files: if self.files.is_empty() { lower.files } else { self.files },
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
    /// [`NamedTwice`].
    pub fn into_options(self) -> Result<Options, NamedTwice> {
        let mut options = Options::new(self.run_dir());
        options.socket_mode = self.socket_mode.unwrap_or(options.socket_mode);
        options.sync = self.sync.unwrap_or(options.sync);
        options.exit_with_last_worker =
            self.exit_with_last_worker.unwrap_or(options.exit_with_last_worker);
        let timezone = self.timezone.unwrap_or_default();
        let files = if self.files.is_empty() {
            vec![FileSettings { target: SinkTarget::Stdout, layout: Layout::default() }]
        } else {
            self.files
        };
        for file in files {
            if options.sinks.iter().any(|sink| sink.target == file.target) {
                return Err(NamedTwice(file.target));
            }
            let layout = self.every_file.clone().over(file.layout);
            options.sinks.push(SinkOptions {
                target: file.target,
                format: layout.format.unwrap_or_else(Format::text).with_timezone(timezone.into()),
                filter: layout.filter.unwrap_or_else(Directives::all),
                file_mode: layout.file_mode.unwrap_or(Options::FILE_MODE),
            });
        }
        Ok(options)
    }
}

impl Layout {
    fn over(self, lower: Self) -> Self {
        Self {
            format: self.format.or(lower.format),
            filter: self.filter.or(lower.filter),
            file_mode: self.file_mode.or(lower.file_mode),
        }
    }
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

    fn file(path: &str, layout: Layout) -> FileSettings {
        FileSettings { target: target(path.into()), layout }
    }

    #[test]
    fn without_any_source_the_defaults_hold() {
        let options = Settings::default().into_options().unwrap();
        assert_eq!(options.run_dir, run_dir::default_path());
        assert_eq!(options.socket_mode, 0o600);
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
            Settings { files: vec![file("/a.log", Layout::default())], ..Settings::default() };
        let below = Settings {
            files: vec![file("/b.log", Layout::default()), file("-", Layout::default())],
            ..Settings::default()
        };
        let options = flags.over(below).into_options().unwrap();
        assert_eq!(options.sinks.len(), 1);
        assert_eq!(options.sinks[0].target, SinkTarget::File("/a.log".into()));
    }

    #[test]
    fn a_flag_for_every_file_beats_the_settings_of_the_single_ones() {
        let flags = Settings {
            every_file: Layout { file_mode: Some(0o600), ..Layout::default() },
            ..Settings::default()
        };
        let open = Layout { file_mode: Some(0o644), ..Layout::default() };
        let below = Settings {
            files: vec![file("/a.log", open), file("/b.log", Layout::default())],
            ..Settings::default()
        };
        let options = flags.over(below).into_options().unwrap();
        assert!(options.sinks.iter().all(|sink| sink.file_mode == 0o600));
    }

    #[test]
    fn a_file_that_is_named_twice_is_refused() {
        let files = vec![file("/a.log", Layout::default()), file("/a.log", Layout::default())];
        let settings = Settings { files, ..Settings::default() };
        let said = settings.into_options().unwrap_err().to_string();
        assert!(said.starts_with("/a.log is named twice"), "{said}");
    }
}
