//! The header: the listener, the rate, what was written and lost.

use ratatui::text::{Line, Span};

use super::Theme;
use crate::command::spark::spark;
use crate::command::status::answer::{Fleet, Worker, total};
use crate::command::status::columns::Tone;
use crate::command::status::reasons;
use crate::command::table::{bytes, count, rate, seconds, span, things, whole};
use crate::command::top::state::Model;

/// The cells of the history where there is little room, and where there is much.
const HISTORY_CELLS: (usize, usize) = (12, 32);

/// The width from which on there is room for everything.
const WIDE: u16 = 120;

pub(super) fn lines(model: &Model, theme: Theme, width: u16) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    match &model.fleet {
        Some(fleet) => {
            lines.push(listener(fleet, model.trouble().is_some(), theme));
            lines.push(work(fleet, theme, width));
            lines.push(losses(fleet, theme));
            if let Some(why) = &fleet.listener.paused {
                lines.push(Line::from(theme.span(format!("paused: {why}"), Tone::Bad)));
            }
        }
        None if model.trouble().is_none() => {
            lines.push(Line::from(theme.span("asking the listener…", Tone::Dim)));
        }
        None => {}
    }
    if let Some((trouble, time)) = model.trouble() {
        let what = format!("{} ({})", trouble.what, span(time));
        lines.push(Line::from(theme.span(what, Tone::Bad)));
        // The whole reason, as long as it does not take the place of anything.
        if model.fleet.is_none() {
            lines.push(Line::from(theme.span(&trouble.why, Tone::Dim)));
        }
    }
    lines
}

fn listener(fleet: &Fleet, is_old: bool, theme: Theme) -> Line<'static> {
    let listener = &fleet.listener;
    let (totals, tone) = (&fleet.totals, if is_old { Tone::Dim } else { Tone::Plain });
    let up = format!("  pid {}  up {}", listener.pid, seconds(listener.uptime_seconds));
    let mut parts = vec![
        Span::styled(
            format!("fleetlog {}", crate::command::table::escape(&listener.version)),
            theme.headline(),
        ),
        theme.span(up, tone),
        theme.span(
            format!("  {} of {}", count(totals.connected), things(totals.workers, "worker")),
            tone,
        ),
    ];
    if totals.died > 0 {
        parts.push(theme.span(format!("  {} died", count(totals.died)), Tone::Warning));
    }
    if fleet.workers_left_out > 0 {
        let left_out = format!("  {} not shown", count(fleet.workers_left_out));
        parts.push(theme.span(left_out, Tone::Warning));
    }
    parts.push(theme.span(format!("  {}", listener.run_dir), Tone::Dim));
    Line::from(parts)
}

fn work(fleet: &Fleet, theme: Theme, width: u16) -> Line<'static> {
    let totals = &fleet.totals;
    let cells = if width >= WIDE { HISTORY_CELLS.1 } else { HISTORY_CELLS.0 };
    let parts = vec![
        Span::styled(format!("{} rec/s", rate(totals.records_per_second)), theme.headline()),
        theme.span(format!("  {}/s  ", bytes(whole(totals.bytes_per_second))), Tone::Plain),
        theme.span(spark(&totals.history, cells), Tone::Good),
        theme.span(
            format!("  {} written, {}", count(totals.written), bytes(totals.bytes)),
            Tone::Plain,
        ),
    ];
    Line::from(parts)
}

fn losses(fleet: &Fleet, theme: Theme) -> Line<'static> {
    let totals = &fleet.totals;
    let lost = match totals.lost() {
        0 if totals.unknown() == 0 => theme.span("nothing lost", Tone::Good),
        lost => {
            let mut reasons = reasons(&totals.dropped);
            if totals.missing > 0 {
                reasons.push(format!("missing {}", count(totals.missing)));
            }
            if totals.unknown() > 0 {
                reasons.push(format!("{} of unknown number", things(totals.unknown(), "time")));
            }
            let tone = if totals.loses() { Tone::Bad } else { Tone::Plain };
            theme.span(format!("{} lost: {}", count(lost), reasons.join(", ")), tone)
        }
    };
    let waiting = match fleet.queued_bytes() {
        0 => "  nothing waits".to_owned(),
        queued => format!("  {} wait, lag {}", bytes(queued), seconds(fleet.lag_seconds())),
    };
    let is_late = fleet.workers.iter().any(Worker::is_late);
    let waiting = theme.span(waiting, if is_late { Tone::Warning } else { Tone::Plain });
    let mut parts = vec![lost, waiting];
    let mut tell = |number: u64, what: &str, tone| {
        if number > 0 {
            parts.push(theme.span(format!("  {}", things(number, what)), tone));
        }
    };
    tell(totals.levels.error, "error", Tone::Bad);
    tell(totals.levels.warn, "warning", Tone::Warning);
    tell(totals.offences, "offence", Tone::Warning);
    tell(totals.fallbacks, "worker", Tone::Warning);
    if totals.fallbacks > 0 {
        parts.push(theme.span(" without lanes", Tone::Warning));
    }
    if total(&totals.dropped) == 0 && totals.truncated > 0 {
        parts.push(theme.span(format!("  {} truncated", count(totals.truncated)), Tone::Warning));
    }
    Line::from(parts)
}
