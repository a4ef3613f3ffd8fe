//! The state of a fleet as text: the facts, the workers, the logs.

use std::collections::BTreeMap;

use anstyle::Style;
use fleetlog_protocol::message::Loss;

use super::answer::{Fleet, Listener, Losses, Totals, Worker, by_name, loss_times, total, unknown};
use super::columns::{Column, SINK, Tone, WORKER};
use crate::command::screen::{BAD, BOLD, DIM, WARNING};
use crate::command::spark::spark;
use crate::command::table::{
    Align, Cell, Table, bytes, count, cut, escape, rate, seconds, things, whole,
};

/// The cells of the history of all workers: one for two seconds.
const HISTORY_CELLS: usize = 16;

/// All of it, for a terminal with so many columns, or for something that has none.
pub(super) fn of(fleet: &Fleet, columns: Option<usize>) -> String {
    let mut parts = vec![facts(fleet, columns)];
    if fleet.workers.is_empty() {
        parts.push(format!("{DIM}No worker is there.{DIM:#}"));
    } else {
        parts.push(workers(fleet, columns).to_string());
    }
    if fleet.workers_left_out > 0 {
        let more = things(fleet.workers_left_out, "more worker");
        parts.push(format!("{WARNING}{more} had no room in the answer.{WARNING:#}"));
    }
    parts.extend(fallbacks(fleet, columns));
    parts.push(table(&SINK, fleet.sinks.iter(), |_, _| (), columns).to_string());
    parts.join("\n\n")
}

fn facts(fleet: &Fleet, columns: Option<usize>) -> String {
    let Listener { pid, uptime_seconds, run_dir, version, paused } = &fleet.listener;
    let Totals { workers, connected, died, written, lines, .. } = &fleet.totals;
    let Totals { missing, truncated, doubles, offences, .. } = &fleet.totals;
    let mut table = Table::new(&[Align::Left, Align::Left], 0);
    let mut fact = |name: &str, value: Cell| {
        let value = columns.map_or_else(
            || value.clone(),
            |columns| value.clone().cut(columns.saturating_sub("run directory  ".len())),
        );
        table.row(vec![Cell::text(name).styled(BOLD), value]);
    };
    let up = seconds(*uptime_seconds);
    fact("listener", Cell::text(&format!("pid {pid}, up {up}, fleetlog {version}")));
    if let Some(why) = paused {
        fact("paused", Cell::text(why).styled(BAD));
    }
    fact("run directory", Cell::text(run_dir));
    let (there, seen, died) = (count(*connected), count(*workers), count(*died));
    fact(
        "workers",
        Cell::text(&format!("{there} connected, {seen} seen, {died} ended without a goodbye")),
    );
    fact(
        "rate",
        Cell::text(&format!(
            "{} records/s, {}/s  {}",
            rate(fleet.totals.records_per_second),
            bytes(whole(fleet.totals.bytes_per_second)),
            spark(&fleet.totals.history, HISTORY_CELLS)
        )),
    );
    let waiting = match fleet.queued_bytes() {
        0 => "nothing".to_owned(),
        queued => format!("{}, the oldest for {}", bytes(queued), seconds(fleet.lag_seconds())),
    };
    fact("waiting", Cell::text(&waiting));
    let (records, lines) = (things(*written, "record"), things(*lines, "line"));
    let errors = things(fleet.totals.levels.error, "error");
    let warnings = things(fleet.totals.levels.warn, "warning");
    let size = bytes(fleet.totals.bytes);
    fact("written", Cell::text(&format!("{records}, {lines}, {size}; {errors}, {warnings}")));
    let dropped = total(&fleet.totals.dropped);
    let lost = format!(
        "{} dropped{}, {} missing{}, {} truncated",
        count(dropped),
        in_brackets(&fleet.totals.dropped),
        count(*missing),
        in_brackets(&unreadable(&fleet.totals.losses)),
        count(*truncated)
    );
    let lost = lost + &unknown_told(&fleet.totals.losses) + &when(&fleet.totals.losses);
    fact("lost", warn_if(fleet.totals.loses() || *truncated > 0, Cell::text(&lost)));
    let clients = format!(
        "{}, {}{}, {} left out",
        things(fleet.clients.connections, "connection"),
        things(*offences, "offence"),
        in_brackets(&fleet.clients.offences),
        things(*doubles, "double")
    );
    fact("clients", warn_if(*offences > 0, Cell::text(&clients)));
    table.to_string()
}

/// The table of workers; below each stands what no column has room for.
fn workers(fleet: &Fleet, columns: Option<usize>) -> Table {
    let notes = |worker: &Worker, table: &mut Table| {
        if worker.has_losses() {
            let lost = format!("  └ lost: {}{}", losses(worker), when(&worker.losses));
            table.note(warn_if(worker.loses(), Cell::text(&lost)));
        }
        if let Some(error) = &worker.last_error {
            let ago = seconds(error.seconds_ago);
            table.note(Cell::text(&format!("  └ {ago} ago: {}", error.message)).styled(BAD));
        }
    };
    let mut workers: Vec<&Worker> = fleet.workers.iter().collect();
    workers.sort_by(|one, other| by_name(&one.name, &other.name).then(one.pid.cmp(&other.pid)));
    table(&WORKER, workers.into_iter(), notes, columns)
}

fn table<'a, T: 'a>(
    columns: &[Column<T>],
    rows: impl Iterator<Item = &'a T>,
    notes: impl Fn(&T, &mut Table),
    terminal: Option<usize>,
) -> Table {
    let headline: Vec<_> = columns.iter().map(|column| (column.name, column.align)).collect();
    let mut table = Table::with_headline(&headline, 0);
    for row in rows {
        let cells = columns.iter().map(|column| {
            let (text, tone) = (column.cell)(row);
            Cell::text(&text).styled(style(tone))
        });
        table.row(cells.collect());
        notes(row, &mut table);
    }
    if let Some(terminal) = terminal {
        let ranks: Vec<_> = columns.iter().map(|column| column.rank).collect();
        table.fit(terminal, &ranks);
    }
    table
}

fn style(tone: Tone) -> Style {
    match tone {
        Tone::Plain => Style::new(),
        Tone::Dim => DIM,
        Tone::Good => anstyle::AnsiColor::Green.on_default(),
        Tone::Warning => WARNING,
        Tone::Bad => BAD,
    }
}

/// `full 3, 2 missing`.
pub(in crate::command) fn losses(worker: &Worker) -> String {
    let mut losses = reasons(&worker.dropped);
    if worker.missing > 0 {
        losses.push(format!("{} missing", count(worker.missing)));
    }
    losses.extend(reasons(&unknown(&worker.losses)).into_iter().map(|reason| reason + " times"));
    losses.join(", ")
}

/// `, 3 times of unknown number (cut off 2, torn 1)`, or nothing.
fn unknown_told(losses: &Losses) -> String {
    let unknown = unknown(losses);
    match total(&unknown) {
        0 => String::new(),
        times => {
            format!(", {} of unknown number{}", things(times, "time"), in_brackets(&unknown))
        }
    }
}

/// Of the missing records, those that came and can't be read.
fn unreadable(losses: &Losses) -> BTreeMap<String, u64> {
    let name = Loss::Unreadable.as_str();
    let records = losses.get(name).and_then(|lost| lost.records);
    records.map(|records| (name.to_owned(), records)).into_iter().collect()
}

/// `; last 5s ago, first 2026-11-22T10:00:00.123456Z`, or nothing.
fn when(losses: &Losses) -> String {
    let Some((last, first)) = loss_times(losses) else { return String::new() };
    let first = first.map_or_else(String::new, |first| format!(", first {first}"));
    format!("; last {} ago{first}", seconds(last))
}

/// Tells once for each reason why workers use the socket although they would use lanes.
fn fallbacks(fleet: &Fleet, columns: Option<usize>) -> Option<String> {
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    for reason in fleet.workers.iter().filter_map(|worker| worker.fallback.as_deref()) {
        let workers = reasons.entry(reason).or_default();
        *workers = u64::saturating_add(*workers, 1);
    }
    let lines: Vec<String> = reasons
        .into_iter()
        .map(|(reason, number)| {
            let workers = things(number, "worker");
            let line = escape(&format!("{workers} over the socket: {reason}"));
            let line = columns.map_or_else(|| line.clone(), |columns| cut(&line, columns));
            format!("{WARNING}{line}{WARNING:#}")
        })
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn warn_if(bad: bool, cell: Cell) -> Cell {
    if bad { cell.styled(WARNING) } else { cell }
}

/// `full 3`, `no listener 4`.
pub(in crate::command) fn reasons(numbers: &BTreeMap<String, u64>) -> Vec<String> {
    let each = numbers.iter().filter(|(_, number)| **number > 0);
    each.map(|(reason, number)| format!("{} {}", reason.replace('_', " "), count(*number)))
        .collect()
}

/// ` (full 3, no listener 4)`, or nothing.
fn in_brackets(numbers: &BTreeMap<String, u64>) -> String {
    let each = reasons(numbers);
    if each.is_empty() { String::new() } else { format!(" ({})", each.join(", ")) }
}
