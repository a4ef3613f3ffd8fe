//! What a verification has found, for people and for programs.
#![deny(clippy::arithmetic_side_effects, reason = "these numbers come from anybody")]

use std::path::{Path, PathBuf};

use fleetlog_protocol::message::Losses;
use serde_json::{Value, json};

use crate::command::receipt::{losses_to_json, losses_told};
use crate::command::screen::{BAD, DIM, GOOD, WARNING};
use crate::command::table::{Align, Cell, Table, bytes, count, escape, things};
use crate::reading::Layout;

/// Findings that are told one by one; a file of another program's would fill the memory.
const FINDINGS_MAX: usize = 1000;

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A packed file does not hold what was packed.
    Archive,
    /// A line does not end.
    Cut,
    /// A line is not of its file's layout.
    Layout,
    /// A line holds bytes that no line of fleetlog's holds.
    Bytes,
    /// Records are not there, and nothing says why.
    Missing,
    /// A record stands there twice.
    Doubled,
    /// A record stands behind a later one of its thread.
    Order,
    /// The checkpoint says that there are more records.
    Checkpoint,
    /// A file can't be read.
    Unreadable,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Archive => "archive",
            Self::Cut => "cut",
            Self::Layout => "layout",
            Self::Bytes => "bytes",
            Self::Missing => "missing",
            Self::Doubled => "doubled",
            Self::Order => "order",
            Self::Checkpoint => "checkpoint",
            Self::Unreadable => "unreadable",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) kind: Kind,
    pub(super) file: PathBuf,
    pub(super) line: Option<u64>,
    pub(super) offset: Option<u64>,
    pub(super) detail: String,
    /// The process whose record it is about.
    pub(super) pid: Option<u32>,
}

/// One file that was read.
#[derive(Clone, Debug)]
pub(super) struct FileReport {
    pub(super) path: PathBuf,
    pub(super) layout: Layout,
    pub(super) is_current: bool,
    pub(super) lines: u64,
    /// Lines of workers; the others are the listener's own.
    pub(super) records: u64,
    /// Bytes of its text.
    pub(super) bytes: u64,
    pub(super) findings: u64,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) files: Vec<FileReport>,
    findings: Vec<Finding>,
    /// Findings beyond those that are kept.
    more: u64,
    pub(super) notes: Vec<String>,
    /// What the log itself says is lost: accounted for, and so no damage.
    pub(super) losses: Losses,
}

impl Report {
    /// Takes a finding in.
    pub(super) fn find(&mut self, finding: Finding) {
        if let Some(file) = self.files.last_mut().filter(|file| file.path == finding.file) {
            file.findings = file.findings.saturating_add(1);
        }
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    /// Notes something that is no damage, once.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Whether nothing is wrong.
    pub(super) fn is_whole(&self) -> bool {
        self.findings.is_empty()
    }

    /// Takes findings back that turned out to be none.
    pub(super) fn take_back(&mut self, is_none: impl Fn(&Finding) -> bool) {
        for finding in self.findings.extract_if(.., |finding| is_none(finding)) {
            let mut files = self.files.iter_mut();
            if let Some(file) = files.find(|file| file.path == finding.file) {
                file.findings = file.findings.saturating_sub(1);
            }
        }
    }

    /// Adds another log's report.
    pub(super) fn add(&mut self, other: Self) {
        self.files.extend(other.files);
        for finding in other.findings {
            if self.findings.len() < FINDINGS_MAX {
                self.findings.push(finding);
            } else {
                self.more = self.more.saturating_add(1);
            }
        }
        self.more = self.more.saturating_add(other.more);
        self.losses.add(&other.losses);
        other.notes.into_iter().for_each(|note| self.note(note));
    }

    fn sum(&self, of: impl Fn(&FileReport) -> u64) -> u64 {
        self.files.iter().map(of).fold(0, u64::saturating_add)
    }

    fn found(&self) -> u64 {
        (self.findings.len() as u64).saturating_add(self.more)
    }

    /// For programs, on one line.
    pub(super) fn to_json(&self) -> String {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let files = self.files.iter().map(|file| {
            json!({
                "file": text(&file.path),
                "layout": file.layout.as_str(),
                "current": file.is_current,
                "lines": file.lines,
                "records": file.records,
                "bytes": file.bytes,
                "state": if file.findings == 0 { "whole" } else { "damaged" },
            })
        });
        let findings = self.findings.iter().map(|finding| {
            json!({
                "kind": finding.kind.as_str(),
                "file": text(&finding.file),
                "line": finding.line,
                "offset": finding.offset,
                "detail": finding.detail,
            })
        });
        let (files, findings): (Vec<Value>, Vec<Value>) = (files.collect(), findings.collect());
        let whole = json!({
            "whole": self.is_whole(),
            "files": files,
            "findings": findings,
            "notes": self.notes,
            "losses": losses_to_json(&self.losses),
            "totals": {
                "files": self.files.len(),
                "lines": self.sum(|file| file.lines),
                "records": self.sum(|file| file.records),
                "bytes": self.sum(|file| file.bytes),
                "findings": self.found(),
            },
        });
        whole.to_string()
    }

    /// For people.
    pub(super) fn to_text(&self) -> String {
        let mut parts = vec![self.table().to_string()];
        if !self.findings.is_empty() {
            let mut lines: Vec<String> = self.findings.iter().map(told).collect();
            if self.more > 0 {
                lines.push(format!("and {} more", count(self.more)));
            }
            parts.push(lines.join("\n"));
        }
        if !self.notes.is_empty() {
            let notes = self.notes.iter().map(|note| format!("{DIM}note: {}{DIM:#}", escape(note)));
            parts.push(notes.collect::<Vec<_>>().join("\n"));
        }
        if !self.losses.is_empty() {
            let losses = losses_told(&self.losses);
            parts.push(format!("{WARNING}The log tells of losses:{WARNING:#} {losses}."));
        }
        let files = things(self.files.len() as u64, "file");
        let lines = things(self.sum(|file| file.lines), "line");
        parts.push(if self.is_whole() {
            format!("{GOOD}Everything holds:{GOOD:#} {lines} in {files}.")
        } else {
            let findings = things(self.found(), "finding");
            format!("{BAD}Damage: {findings}{BAD:#} in {lines} of {files}.")
        });
        parts.join("\n\n")
    }

    fn table(&self) -> Table {
        let mut table = Table::with_headline(
            &[
                ("FILE", Align::Left),
                ("LAYOUT", Align::Left),
                ("LINES", Align::Right),
                ("RECORDS", Align::Right),
                ("BYTES", Align::Right),
                ("STATE", Align::Left),
            ],
            0,
        );
        for file in &self.files {
            let (state, style) = match file.findings {
                0 => ("whole".to_owned(), GOOD),
                findings => (things(findings, "finding"), BAD),
            };
            let layout = if file.lines == 0 { "-" } else { file.layout.as_str() };
            table.row(vec![
                Cell::text(&file.path.to_string_lossy()),
                Cell::text(layout),
                Cell::count(file.lines),
                Cell::count(file.records),
                Cell::text(&bytes(file.bytes)),
                Cell::text(&state).styled(style),
            ]);
        }
        table
    }
}

/// `apps.log:17: what is wrong`.
fn told(finding: &Finding) -> String {
    let file = escape(&finding.file.to_string_lossy());
    let place = match (finding.line, finding.offset) {
        (Some(line), Some(offset)) => format!(":{line} (byte {offset})"),
        (Some(line), None) => format!(":{line}"),
        (None, Some(offset)) => format!(" (byte {offset})"),
        (None, None) => String::new(),
    };
    let kind = finding.kind.as_str();
    format!("{file}{place}: {BAD}{kind}{BAD:#}: {}", escape(&finding.detail))
}
