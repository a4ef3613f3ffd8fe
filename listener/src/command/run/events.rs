//! What happened to the job, as records: its start, its end, and the end of what it left behind.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::time::Duration;

use fleetlog_protocol::Level;
use fleetlog_protocol::record::Value;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

use super::job::End;
use super::journal::Journal;
use super::quote::command_line;

/// The numbers of the kinds, as [`Journal::event`] wants them.
const STARTED: usize = 0;
const ENDED: usize = 1;
const FAILED: usize = 2;
const NOT_STARTED: usize = 3;
const OUTLIVED: usize = 4;

/// Why a job could not be started.
#[derive(Debug)]
pub(super) struct StartFailure {
    pub(super) program: OsString,
    pub(super) why: String,
    /// As shells tell it: 127 = not found, 126 = found and not executable.
    pub(super) code: u8,
}

impl StartFailure {
    pub(super) fn of(command: &[OsString], error: &io::Error) -> Self {
        let program = command.first().cloned().unwrap_or_default();
        let path = Path::new(&program);
        let is_there = path.components().count() > 1 && path.exists();
        let why = match error.kind() {
            io::ErrorKind::NotFound if is_there => {
                "its interpreter, or its folder, was not found".to_owned()
            }
            io::ErrorKind::NotFound => "command not found".to_owned(),
            io::ErrorKind::PermissionDenied => "it is not executable".to_owned(),
            _ => error.to_string(),
        };
        let code = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
        Self { program, why, code }
    }
}

impl Journal {
    /// Logs what runs.
    pub(super) fn started(&mut self, command: &[OsString], pid: u64) {
        let (command, cwd) = (command_line(command), cwd());
        // The command comes last: it may be so long that it is cut.
        let fields = [
            ("pid", Value::U64(pid)),
            ("cwd", Value::Str(&cwd)),
            ("command", Value::Str(&command)),
        ];
        self.event(STARTED, Level::Info, "job started", &fields);
    }

    /// Logs that the job could not be started.
    pub(super) fn not_started(&mut self, command: &[OsString], failure: &StartFailure) {
        let status = format!("could not be started: {}", failure.why);
        let (command, cwd) = (command_line(command), cwd());
        let fields = [
            ("status", Value::Str(&status)),
            ("code", Value::U64(failure.code.into())),
            ("cwd", Value::Str(&cwd)),
            ("command", Value::Str(&command)),
        ];
        self.event(NOT_STARTED, Level::Error, "job ended", &fields);
    }

    /// Logs how the job ended and what it took.
    pub(super) fn ended(&mut self, end: End, pid: u64, duration: Duration) {
        let status = end.to_string();
        let mut fields = vec![
            ("status", Value::Str(&status)),
            ("code", Value::U64(end.code().into())),
            ("pid", Value::U64(pid)),
            ("duration_ms", milliseconds(duration)),
        ];
        // What the job left behind and is not reaped yet is not in it.
        if let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) {
            fields.extend([
                ("user_ms", Value::I64(usage.user_time().num_milliseconds())),
                ("system_ms", Value::I64(usage.system_time().num_milliseconds())),
                ("max_rss_kib", Value::I64(usage.max_rss())),
            ]);
        }
        fields.extend(self.line_counts());
        // Two kinds, because a kind has one level.
        let (number, level) =
            if end.code() == 0 { (ENDED, Level::Info) } else { (FAILED, Level::Error) };
        self.event(number, level, "job ended", &fields);
    }

    /// Logs the end of what the job left behind, or of all that could still print something.
    pub(super) fn outlived(&mut self, orphans: u64, is_alone: bool, duration: Duration) {
        let message =
            if is_alone { "the job's last process ended" } else { "the job's output ended" };
        let mut fields =
            vec![("orphans", Value::U64(orphans)), ("duration_ms", milliseconds(duration))];
        fields.extend(self.line_counts());
        self.event(OUTLIVED, Level::Info, message, &fields);
    }

    fn line_counts(&self) -> [(&'static str, Value<'static>); 2] {
        let [stdout, stderr] = self.lines();
        [("stdout_lines", Value::U64(stdout)), ("stderr_lines", Value::U64(stderr))]
    }
}

fn cwd() -> String {
    std::env::current_dir().map_or_else(|_| String::new(), |cwd| cwd.display().to_string())
}

fn milliseconds(duration: Duration) -> Value<'static> {
    Value::U64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
