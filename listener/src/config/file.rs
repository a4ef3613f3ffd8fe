//! The TOML file: a walk over its tables that finds every mistake and says where it stands.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use fleetlog_protocol::limits::{LANE_CAPACITY, LANE_CAPACITY_MAX};
use nix::unistd::{Gid, Uid};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{
    FileRules, FileSettings, Settings, Timezone, duration, group, interval, mode, rotation, size,
    sync, target, user,
};
use crate::options::{Address, AddressError, Compression, Redaction, RedactionError, SinkTarget};

/// A configuration file that can't be used.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It can't be read.
    #[error("the configuration file {path} can't be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something in it is wrong.
    #[error("{}", list(path, mistakes))]
    Mistaken {
        /// The file.
        path: PathBuf,
        /// What is wrong, in the order of the file.
        mistakes: Vec<Mistake>,
    },
}

fleetlog_protocol::debug_as_display!(ConfigError);

/// One mistake and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong and what was expected.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.what)
    }
}

/// A line for each mistake, as compilers write them, so that editors can jump there.
fn list(path: &Path, mistakes: &[Mistake]) -> String {
    let lines = mistakes.iter().map(|mistake| format!("{}:{mistake}", path.display()));
    lines.collect::<Vec<_>>().join("\n")
}

pub(super) fn read(path: &Path) -> Result<Settings, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    parse(&text).map_err(|mistakes| ConfigError::Mistaken { path: path.to_owned(), mistakes })
}

fn parse(text: &str) -> Result<Settings, Vec<Mistake>> {
    let mut walk = Walk { mistakes: Vec::new() };
    let mut settings = Settings::default();
    match DeTable::parse(text) {
        Ok(document) => walk.document(document.get_ref(), &mut settings),
        Err(error) => walk.note(error.span().unwrap_or(0..0), error.message().to_owned()),
    }
    if walk.mistakes.is_empty() {
        return Ok(settings);
    }
    walk.mistakes.sort_by_key(|(at, _)| *at);
    Err(walk.mistakes.into_iter().map(|(at, what)| place(text, at, what)).collect())
}

fn place(text: &str, at: usize, what: String) -> Mistake {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    Mistake { line, column, what }
}

/// A key of a section: the flag of the same name takes the same values.
struct Key<T> {
    name: &'static str,
    set: fn(&mut T, &DeValue<'_>) -> Result<(), String>,
}

/// A `[[file]]` while it is read.
#[derive(Default)]
struct File {
    target: Option<SinkTarget>,
    rules: FileRules,
}

const LISTENER: &[Key<Settings>] = &[
    Key { name: "run_dir", set: |to, value| put(&mut to.run_dir, path(value)) },
    Key { name: "socket_mode", set: |to, value| put(&mut to.socket_mode, permissions(value)) },
    Key { name: "allow_uid", set: |to, value| all(&mut to.allow_uid, value, users) },
    Key { name: "allow_gid", set: |to, value| all(&mut to.allow_gid, value, owners) },
    Key {
        name: "rate_limit_burst",
        set: |to, value| put(&mut to.rate_limit_burst, number(value).map(u64::from)),
    },
    Key {
        name: "rate_limit_interval",
        set: |to, value| put(&mut to.rate_limit_interval, text(value, interval)),
    },
    Key { name: "sync", set: |to, value| put(&mut to.sync, text(value, sync)) },
    Key {
        name: "exit_with_last_worker",
        set: |to, value| put(&mut to.exit_with_last_worker, boolean(value)),
    },
    Key { name: "redact", set: |to, value| put(&mut to.redact, redaction(value)) },
    Key { name: "dedup", set: |to, value| put(&mut to.dedup, text(value, duration)) },
    Key { name: "metrics", set: |to, value| put(&mut to.metrics, address(value)) },
    Key { name: "timezone", set: |to, value| put(&mut to.timezone, text(value, timezone)) },
    Key { name: "diagnostics_dir", set: |to, value| put(&mut to.diagnostics_dir, path(value)) },
    Key { name: "web", set: web },
];

const WORKER: &[Key<Settings>] =
    &[Key { name: "lane_max", set: |to, value| put(&mut to.lane_max, lane_max(value)) }];

const FILE: &[Key<File>] = &[
    Key { name: "path", set: |to, value| put(&mut to.target, path(value).map(target)) },
    Key { name: "format", set: |to, value| put(&mut to.rules.format, text(value, str::parse)) },
    Key { name: "filter", set: |to, value| put(&mut to.rules.filter, text(value, str::parse)) },
    Key { name: "mode", set: |to, value| put(&mut to.rules.file_mode, permissions(value)) },
    Key { name: "group", set: |to, value| put(&mut to.rules.file_group, owners(value)) },
    Key { name: "rotation", set: |to, value| put(&mut to.rules.rotation, text(value, rotation)) },
    Key { name: "max_size", set: |to, value| put(&mut to.rules.max_size, bytes(value)) },
    Key { name: "max_files", set: |to, value| put(&mut to.rules.max_files, number(value)) },
    Key { name: "max_age", set: |to, value| put(&mut to.rules.max_age, text(value, duration)) },
    Key {
        name: "max_total_size",
        set: |to, value| put(&mut to.rules.max_total_size, bytes(value)),
    },
    Key {
        name: "compress",
        set: |to, value| put(&mut to.rules.compress, text(value, compression)),
    },
    Key {
        name: "delay_compress",
        set: |to, value| put(&mut to.rules.delay_compress, boolean(value)),
    },
    Key { name: "latest_symlink", set: |to, value| put(&mut to.rules.latest_symlink, path(value)) },
];

const SECTIONS: [&str; 3] = ["listener", "worker", "file"];

struct Walk {
    mistakes: Vec<(usize, String)>,
}

impl Walk {
    fn note(&mut self, at: Range<usize>, what: String) {
        self.mistakes.push((at.start, what));
    }

    fn document(&mut self, document: &DeTable<'_>, settings: &mut Settings) {
        for (key, value) in document {
            match key.get_ref().as_ref() {
                "listener" => self.table(key.span(), "listener", value, LISTENER, settings),
                "worker" => self.table(key.span(), "worker", value, WORKER, settings),
                "file" => self.files(key.span(), value.get_ref(), settings),
                unknown => {
                    let hint = match home_of(unknown) {
                        Some(section) => format!("it belongs under {section}"),
                        None => nearest(
                            unknown,
                            &SECTIONS,
                            "known are [listener], [worker] and [[file]]",
                        ),
                    };
                    self.note(key.span(), format!("unknown key `{}`; {hint}", plain(unknown)));
                }
            }
        }
    }

    fn table(
        &mut self,
        at: Range<usize>,
        name: &str,
        value: &Spanned<DeValue<'_>>,
        keys: &[Key<Settings>],
        settings: &mut Settings,
    ) {
        match value.get_ref() {
            DeValue::Table(table) => self.section(&format!("[{name}]"), table, keys, settings),
            _ => self.note(at, format!("`{name}` is a table: write [{name}]")),
        }
    }

    fn files(&mut self, at: Range<usize>, value: &DeValue<'_>, settings: &mut Settings) {
        const BRACKETS: &str = "there may be several files: write [[file]], with two brackets";
        let DeValue::Array(files) = value else {
            return self.note(at, BRACKETS.to_owned());
        };
        for entry in files.iter() {
            let DeValue::Table(table) = entry.get_ref() else {
                self.note(entry.span(), BRACKETS.to_owned());
                continue;
            };
            let mut file = File::default();
            self.section("[[file]]", table, FILE, &mut file);
            match file.target {
                Some(target) => settings.files.push(FileSettings { target, rules: file.rules }),
                None if table.contains_key("path") => {}
                None => self.note(
                    entry.span(),
                    "this [[file]] has no `path`; `path = \"-\"` is standard output".to_owned(),
                ),
            }
        }
    }

    fn section<T>(&mut self, section: &str, table: &DeTable<'_>, keys: &[Key<T>], into: &mut T) {
        for (name, value) in table {
            let name_text = name.get_ref().as_ref();
            if let Some(key) = keys.iter().find(|key| key.name == name_text) {
                if let Err(expected) = (key.set)(into, value.get_ref()) {
                    self.note(value.span(), format!("`{name_text}`: {expected}"));
                }
                continue;
            }
            let known: Vec<_> = keys.iter().map(|key| key.name).collect();
            let hint = match home_of(name_text) {
                Some(home) => format!("it belongs under {home}"),
                None => nearest(name_text, &known, &format!("known are {}", known.join(", "))),
            };
            let unknown = plain(name_text);
            self.note(name.span(), format!("unknown key `{unknown}` in {section}; {hint}"));
        }
    }
}

/// The section that knows a key by exactly this name.
fn home_of(name: &str) -> Option<&'static str> {
    if LISTENER.iter().any(|key| key.name == name) {
        return Some("[listener]");
    }
    if WORKER.iter().any(|key| key.name == name) {
        return Some("[worker]");
    }
    FILE.iter().any(|key| key.name == name).then_some("[[file]]")
}

/// Whether some section knows this key.
#[cfg(test)]
pub(crate) fn is_key(name: &str) -> bool {
    home_of(name).is_some()
}

/// The known name that was probably meant, or else what `otherwise` says.
fn nearest(name: &str, known: &[&str], otherwise: &str) -> String {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let likely = |key: &&str| {
        let distance = strsim::damerau_levenshtein(&name, key);
        (distance <= 1.max(key.len() / 3)).then_some(distance)
    };
    let best = known.iter().filter_map(|key| likely(key).map(|distance| (distance, key))).min();
    match best {
        Some((_, key)) => format!("did you mean `{key}`?"),
        None => otherwise.to_owned(),
    }
}

/// A key as it can be shown on a terminal.
fn plain(text: &str) -> String {
    text.escape_debug().take(64).collect()
}

fn put<T>(slot: &mut Option<T>, value: Result<T, String>) -> Result<(), String> {
    *slot = Some(value?);
    Ok(())
}

fn text<T, E: fmt::Display>(
    value: &DeValue<'_>,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, String> {
    match value {
        DeValue::String(text) => parse(text).map_err(|error| format!("{} ({error})", shown(value))),
        _ => Err(format!("expected a text in quotes, found {}", shown(value))),
    }
}

#[cfg(feature = "web")]
fn web(to: &mut Settings, value: &DeValue<'_>) -> Result<(), String> {
    put(&mut to.web, text(value, super::web_address))
}

/// A key that is known elsewhere must not look like a slip of the pen.
#[cfg(not(feature = "web"))]
fn web(_: &mut Settings, _: &DeValue<'_>) -> Result<(), String> {
    Err("this fleetlog was built without the page; build it with `--features web`, or leave the \
         key out"
        .to_owned())
}

fn timezone(text: &str) -> Result<Timezone, &'static str> {
    clap::ValueEnum::from_str(text, false).map_err(|_| "expected utc or local")
}

fn compression(text: &str) -> Result<Compression, &'static str> {
    clap::ValueEnum::from_str(text, false).map_err(|_| "expected none, gzip or zstd")
}

/// A size with its unit, or a number of bytes.
fn bytes(value: &DeValue<'_>) -> Result<u64, String> {
    match value {
        DeValue::Integer(number) if number.radix() == 10 => {
            size(number.as_str()).map_err(|error| format!("{} ({error})", shown(value)))
        }
        _ => text(value, size),
    }
}

fn lane_max(value: &DeValue<'_>) -> Result<u64, String> {
    let given = bytes(value)?;
    let range = LANE_CAPACITY as u64..=LANE_CAPACITY_MAX as u64;
    if range.contains(&given) {
        return Ok(given);
    }
    Err(format!("expected a lane of 256K to 16M, found {}", shown(value)))
}

fn number(value: &DeValue<'_>) -> Result<u32, String> {
    let found = match value {
        DeValue::Integer(number) => u32::from_str_radix(number.as_str(), number.radix()).ok(),
        _ => None,
    };
    found.ok_or_else(|| format!("expected a whole number from 0, found {}", shown(value)))
}

/// One value, or a list of them.
fn all<T>(
    list: &mut Vec<T>,
    value: &DeValue<'_>,
    read: impl Fn(&DeValue<'_>) -> Result<T, String>,
) -> Result<(), String> {
    *list = match value {
        DeValue::Array(values) => {
            values.iter().map(|value| read(value.get_ref())).collect::<Result<_, _>>()?
        }
        value => vec![read(value)?],
    };
    Ok(())
}

/// Names in one text, with commas between them, or in a list.
fn redaction(value: &DeValue<'_>) -> Result<Redaction, String> {
    let DeValue::Array(names) = value else { return text(value, str::parse) };
    let names: Result<Vec<String>, String> = names
        .iter()
        .map(|name| text(name.get_ref(), |name| Ok::<_, String>(name.to_owned())))
        .collect();
    names?.join(",").parse().map_err(|error: RedactionError| error.to_string())
}

/// An address, or a port of this host.
fn address(value: &DeValue<'_>) -> Result<Address, String> {
    match value {
        DeValue::Integer(_) => {
            number(value)?.to_string().parse().map_err(|error: AddressError| error.to_string())
        }
        _ => text(value, str::parse),
    }
}

/// A user's name, or its number.
fn users(value: &DeValue<'_>) -> Result<Uid, String> {
    match value {
        DeValue::Integer(_) => number(value).map(Uid::from_raw),
        _ => text(value, user),
    }
}

/// A group's name, or its number.
fn owners(value: &DeValue<'_>) -> Result<Gid, String> {
    match value {
        DeValue::Integer(_) => number(value).map(Gid::from_raw),
        _ => text(value, group),
    }
}

fn path(value: &DeValue<'_>) -> Result<PathBuf, String> {
    match value {
        DeValue::String(path) if path.is_empty() => {
            Err("expected a path, found an empty text".to_owned())
        }
        DeValue::String(path) => Ok(PathBuf::from(path.as_ref())),
        _ => Err(format!("expected a path in quotes, found {}", shown(value))),
    }
}

fn boolean(value: &DeValue<'_>) -> Result<bool, String> {
    match value {
        DeValue::Boolean(value) => Ok(*value),
        _ => Err(format!("expected true or false, found {}", shown(value))),
    }
}

/// A text, or a number that is written as octal: 640 would silently be 1200 in octal.
fn permissions(value: &DeValue<'_>) -> Result<u32, String> {
    match value {
        DeValue::Integer(number) if number.radix() == 8 => {
            mode(number.as_str()).map_err(|error| format!("{} ({error})", shown(value)))
        }
        DeValue::Integer(_) => Err(format!(
            "the number {} is not written as octal: write \"0640\" or 0o640",
            shown(value)
        )),
        _ => text(value, mode),
    }
}

/// A value as it stands in a message.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("\"{}\"", plain(text)),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
