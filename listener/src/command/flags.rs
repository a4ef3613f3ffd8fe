//! The flags: one definition feeds the parser, the help, the man pages and the completions.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::path::PathBuf;

use anstream::AutoStream;
use clap::builder::{OsStringValueParser, StyledStr, Styles, TypedValueParser};
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Args, CommandFactory as _, Parser, Subcommand, ValueEnum};

use super::exit::{Code, Failure};
#[cfg(feature = "top")]
use super::top;
use super::{
    completions, demo, level, listen, logs, man, pipe, rotate, run, status, stop, sync, verify,
};
use crate::config::Settings;

/// One log for a fleet of processes.
///
/// Many worker processes log, one listener owns the files. They meet in the run directory.
#[derive(Debug, Parser)]
#[command(
    name = "fleetlog",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    max_term_width = 100,
    after_help = examples(&[
        ("See it work: a listener and ten forked workers", "fleetlog demo"),
        ("Own a file and drain the fleet into it", "fleetlog listen --file apps.log"),
        ("End the listener once everything is written", "fleetlog stop"),
    ])
)]
pub(super) struct Flags {
    #[command(flatten)]
    pub(super) common: Common,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Listen(listen::Listen),
    Stop(stop::Stop),
    Logs(logs::Logs),
    Verify(verify::Verify),
    Status(status::Status),
    #[cfg(feature = "top")]
    Top(top::Top),
    Level(level::Level),
    Sync(sync::Sync),
    Rotate(rotate::Rotate),
    Reopen(rotate::Reopen),
    Run(run::Run),
    Pipe(pipe::Pipe),
    Demo(demo::Demo),
    Completions(completions::Completions),
    Man(man::Man),
}

impl Command {
    /// Whether the command meets a fleet in a run directory that the caller names.
    const fn uses_run_dir(&self) -> bool {
        !matches!(self, Self::Demo(_) | Self::Completions(_) | Self::Man(_))
    }
}

/// What every command takes.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Common options")]
pub(super) struct Common {
    /// The run directory: the folder where the fleet and its listener meet
    /// [default: /run/fleetlog for root, else $XDG_RUNTIME_DIR/fleetlog, else /tmp/fleetlog-UID]
    #[arg(long, global = true, value_name = "DIR", env = "FLEETLOG_RUN_DIR")]
    #[arg(hide_env_values = true, value_parser = path_or_nothing(), value_hint = clap::ValueHint::DirPath)]
    pub(super) run_dir: Option<PathBuf>,

    /// A TOML file with settings; flags and the environment beat it
    #[arg(long, global = true, value_name = "FILE", env = "FLEETLOG_CONFIG")]
    #[arg(hide_env_values = true, value_parser = path_or_nothing(), value_hint = clap::ValueHint::FilePath)]
    pub(super) config: Option<PathBuf>,

    /// Say nothing but errors
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,

    /// Say more; twice says even more
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    pub(super) verbose: u8,

    /// Colors: auto has them on a terminal only, and heeds NO_COLOR
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = false
    )]
    pub(super) color: Color,
}

impl Common {
    /// The settings of environment and configuration file under those of the command's own flags.
    pub(super) fn settings(&self, mut flags: Settings) -> Result<Settings, Failure> {
        let given =
            |path: &Option<PathBuf>| path.clone().filter(|path| !path.as_os_str().is_empty());
        flags.run_dir = given(&self.run_dir);
        match given(&self.config) {
            Some(path) => Ok(flags.over(Settings::from_file(&path)?)),
            None => Ok(flags),
        }
    }

    /// The run directory of a command that has no settings of its own.
    pub(super) fn run_dir(&self) -> Result<PathBuf, Failure> {
        Ok(self.settings(Settings::default())?.run_dir())
    }
}

/// An empty variable means the same as none; [`check`] refuses an empty flag.
fn path_or_nothing() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// When there are colors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    Auto,
    Always,
    Never,
}

impl Color {
    /// Makes it the choice of every stream of this process.
    fn apply(self) {
        match self {
            Self::Auto => anstream::ColorChoice::Auto,
            Self::Always => anstream::ColorChoice::Always,
            Self::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }

    /// The choice on a command line that may be wrong elsewhere: its refusal has a color too.
    fn guess(arguments: &[OsString]) -> Self {
        let mut chosen = Self::Auto;
        let mut arguments = arguments.iter().skip(1).take_while(|argument| *argument != "--");
        while let Some(argument) = arguments.next() {
            let value = match argument.to_str().and_then(|text| text.strip_prefix("--color")) {
                Some("") => arguments.next().and_then(|value| value.to_str()),
                Some(value) => value.strip_prefix('='),
                None => None,
            };
            if let Some(color) = value.and_then(|value| Self::from_str(value, false).ok()) {
                chosen = color;
            }
        }
        chosen
    }
}

/// The command line's definition, for help, man pages and completions.
pub(super) fn definition() -> clap::Command {
    Flags::command()
}

/// Parses the command line. Help, version and refusals are written here; the code says how to end.
pub(super) fn parse(arguments: &[OsString]) -> Result<Flags, Code> {
    Color::guess(arguments).apply();
    let parsed = definition().try_get_matches_from(arguments).and_then(|matches| {
        let flags = <Flags as clap::FromArgMatches>::from_arg_matches(&matches)?;
        check(&matches, &flags)?;
        Ok(flags)
    });
    match parsed {
        Ok(flags) => {
            flags.common.color.apply();
            Ok(flags)
        }
        Err(error) => Err(explain(&error)),
    }
}

/// What clap can't know of: flags that a command would ignore, and paths that are empty.
fn check(matches: &ArgMatches, flags: &Flags) -> Result<(), clap::Error> {
    let refuse =
        |why: String| Err(definition().error(clap::error::ErrorKind::ArgumentConflict, why));
    for (id, value) in [("run_dir", &flags.common.run_dir), ("config", &flags.common.config)] {
        if matches.value_source(id) != Some(ValueSource::CommandLine) {
            continue;
        }
        let flag = id.replace('_', "-");
        if value.as_deref().is_some_and(|path| path.as_os_str() == OsStr::new("")) {
            return refuse(format!("--{flag} needs a path, and the one given is empty"));
        }
        if !flags.command.uses_run_dir() {
            return refuse(format!("--{flag} means nothing to this command"));
        }
    }
    Ok(())
}

/// Writes what clap has to say, in the words of every other message of this command.
fn explain(error: &clap::Error) -> Code {
    let text = error.render().ansi().to_string();
    if error.use_stderr() {
        let text = text.replacen("error:", "fleetlog:", 1);
        let _ = AutoStream::auto(io::stderr()).write_all(text.as_bytes());
        Code::Usage
    } else {
        let mut screen = super::screen::Screen::new(false);
        screen.bytes(text.as_bytes());
        screen.finish(Code::Done)
    }
}

/// A command's examples, each with what it is good for.
pub(super) fn examples(examples: &[(&str, &str)]) -> StyledStr {
    let styles = Styles::styled();
    let (header, literal) = (styles.get_header(), styles.get_literal());
    let mut text = format!("{header}Examples:{header:#}");
    for (what, command) in examples {
        text.push_str(&format!("\n  {what}:\n      {literal}{command}{literal:#}"));
    }
    StyledStr::from(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        definition().debug_assert();
    }

    #[test]
    fn every_command_has_examples_and_every_flag_has_help() {
        let mut all = definition();
        all.build();
        for command in all.get_subcommands() {
            let name = command.get_name();
            assert!(command.get_after_help().is_some(), "{name} has no examples");
            assert!(command.get_about().is_some(), "{name} says not what it does");
            for flag in command.get_arguments() {
                assert!(flag.get_help().is_some(), "{name} {} has no help", flag.get_id());
            }
        }
    }

    #[test]
    fn every_flag_of_listen_has_its_key_in_the_configuration_file() {
        let all = definition();
        let listen = all.find_subcommand("listen").unwrap();
        for flag in listen.get_arguments().filter_map(clap::Arg::get_long) {
            let key = match flag {
                "file" => "path".to_owned(),
                "file-mode" => "mode".to_owned(),
                "file-group" => "group".to_owned(),
                other => other.replace('-', "_"),
            };
            assert!(crate::config::is_key(&key), "--{flag} has no key `{key}`");
        }
    }

    #[test]
    fn the_color_of_a_refusal_is_found_on_a_wrong_command_line() {
        let guess =
            |line: &str| Color::guess(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(guess("fleetlog --color=never --wrong"), Color::Never);
        assert_eq!(guess("fleetlog stop --color always wrong"), Color::Always);
        assert_eq!(guess("fleetlog -- --color never"), Color::Auto);
        assert_eq!(guess("fleetlog --color"), Color::Auto);
    }
}
