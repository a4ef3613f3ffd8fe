//! The flags of commands that own log files: where lines go, what they look like, and how long
//! they are kept.

use std::path::PathBuf;
use std::time::Duration;

use nix::unistd::Gid;

use crate::config::{self, FileRules, FileSettings, Settings, Timezone};
use crate::format::Format;
use crate::options::{Compression, Period, Redaction, Sync};
use crate::route::Directives;

/// Where lines go.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Log files")]
pub(super) struct Outputs {
    /// A file to write; may be given several times, and `-` is standard output [default: -]
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    #[arg(value_parser = clap::value_parser!(PathBuf))]
    pub(super) file: Vec<PathBuf>,

    /// The layout of lines: text, json, or a template such as '{time} {level} {message}'
    /// [default: text]
    #[arg(long)]
    format: Option<Format>,

    /// The records that are written, such as info,my_app=debug [default: all]
    #[arg(long, value_name = "DIRECTIVES")]
    filter: Option<Directives>,

    /// The clock of the time in a line, and whose midnight ends a day [default: utc]
    #[arg(long, value_enum, value_name = "ZONE")]
    timezone: Option<Timezone>,

    /// Rotate at the end of each period of the clock: never, minutely, hourly, daily or weekly
    /// [default: never]
    #[arg(long, value_name = "PERIOD", value_parser = Rotation::parse)]
    rotation: Option<Rotation>,

    /// Rotate before a file grows beyond this, such as 100M
    /// [default: 100M, or a tenth of the total where --rotation is given]
    #[arg(long, value_name = "SIZE", value_parser = config::size)]
    max_size: Option<u64>,

    /// Keep so many old files of each log [default: as many as the total allows]
    #[arg(long, value_name = "COUNT")]
    max_files: Option<u32>,

    /// Remove old files that were closed longer ago than this, such as 30d [default: never]
    #[arg(long, value_name = "TIME", value_parser = config::duration)]
    max_age: Option<Duration>,

    /// Never have more bytes than this in a log's files together; the oldest go first
    /// [default: 5G, unless --max-size and --max-files say it]
    #[arg(long, value_name = "SIZE", value_parser = config::size)]
    max_total_size: Option<u64>,

    /// Compress old files: none, gzip or zstd [default: none]
    #[arg(long, value_enum, value_name = "HOW", hide_possible_values = true)]
    compress: Option<Compression>,

    /// Leave the newest old file uncompressed until the next one comes [default: false]
    #[arg(long, value_name = "YES", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    delay_compress: Option<bool>,

    /// A symbolic link that always names the current file
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    latest_symlink: Option<PathBuf>,

    /// The permission bits of log files, in octal, whatever the umask [default: 0640]
    #[arg(long, value_name = "MODE", value_parser = config::mode)]
    file_mode: Option<u32>,

    /// The group of log files: a name or a number [default: that of the process]
    #[arg(long, value_name = "GROUP", value_parser = config::group)]
    file_group: Option<Gid>,

    /// Never show the values of these names, in fields and as key=value in texts, such as
    /// password,token,authorization [default: none]
    #[arg(long, value_name = "NAMES")]
    redact: Option<Redaction>,

    /// Let equal records wait up to this long for each other to become one line with their count and
    /// workers, such as 1s; 0s is not at all [default: 0s]
    #[arg(long, value_name = "TIME", value_parser = config::duration)]
    dedup: Option<Duration>,

    /// When lines are made durable against power loss: never, always, or at least every so often,
    /// such as 1s [default: never]
    #[arg(long, value_name = "WHEN", value_parser = config::sync)]
    sync: Option<Sync>,
}

/// The value of `--rotation`, where never is a value too: it beats the configuration file.
#[derive(Clone, Copy, Debug)]
struct Rotation(Option<Period>);

impl Rotation {
    fn parse(text: &str) -> Result<Self, config::Refused> {
        config::rotation(text).map(Self)
    }
}

impl Outputs {
    /// What these flags say.
    pub(super) fn settings(&self) -> Settings {
        let of = |path: &PathBuf| FileSettings {
            target: config::target(path.clone()),
            rules: FileRules::default(),
        };
        Settings {
            sync: self.sync,
            timezone: self.timezone,
            redact: self.redact.clone(),
            dedup: self.dedup,
            files: self.file.iter().map(of).collect(),
            every_file: FileRules {
                format: self.format.clone(),
                filter: self.filter.clone(),
                file_mode: self.file_mode,
                file_group: self.file_group,
                rotation: self.rotation.map(|rotation| rotation.0),
                max_size: self.max_size,
                max_files: self.max_files,
                max_age: self.max_age,
                max_total_size: self.max_total_size,
                compress: self.compress,
                delay_compress: self.delay_compress,
                latest_symlink: self.latest_symlink.clone(),
            },
            ..Settings::default()
        }
    }
}
