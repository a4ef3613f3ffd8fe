//! The details of the chosen worker: every figure, its history, its last error, its lines.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Paragraph, Sparkline, Wrap};

use super::{Theme, lines};
use crate::command::spark::means;
use crate::command::status::answer::Worker;
use crate::command::status::{columns::Tone, losses};
use crate::command::table::{bytes, count, escape, rate, seconds, things, whole, width};
use crate::command::top::state::Model;

/// The rows of a history that is drawn beside the figures, and the columns that it takes.
const CHART: (u16, u16) = (4, 34);

/// The width from which on there is room beside the figures.
const WIDE: u16 = 110;

/// The rows of an error's message at most.
const ERROR_ROWS: usize = 4;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, model: &mut Model, theme: Theme) {
    let title = model
        .chosen_identity()
        .map_or_else(String::new, |chosen| format!(" {}[{}] ", escape(&chosen.name), chosen.pid));
    let block = Block::new().borders(Borders::TOP).title(title).title_style(theme.headline());
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let Some(worker) = model.chosen().cloned() else {
        let [above, below] =
            Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(inner);
        let gone = "The listener does not know this worker any more.";
        frame.render_widget(Paragraph::new(Line::from(theme.span(gone, Tone::Warning))), above);
        lines::draw(frame, below, model, theme);
        return;
    };
    let figures = figures(&worker, theme);
    let error = error(&worker);
    let error_rows = width(&error).div_ceil(usize::from(inner.width.max(1))).min(ERROR_ROWS);
    let rows = |number: usize| Constraint::Length(u16::try_from(number).unwrap_or(u16::MAX));
    let is_wide = inner.width >= WIDE;
    let chart_rows = if is_wide { 0 } else { usize::from(inner.height >= 16) * 2 };
    let [first, chart, second, rest] = Layout::vertical([
        rows(figures.len()),
        rows(chart_rows),
        rows(error_rows),
        Constraint::Fill(1),
    ])
    .areas(inner);
    frame.render_widget(Paragraph::new(figures), first);
    let chart = if is_wide {
        let left = first.width.saturating_sub(CHART.1);
        Rect { x: first.x + left, width: CHART.1, height: first.height.min(CHART.0), ..first }
    } else {
        Rect { width: chart.width.min(64), ..chart }
    };
    let heights = means(&worker.history, chart.width.into());
    // A thousandth of a record a second is still seen as one.
    let heights = heights.into_iter().map(|number| whole(number.max(0.0) * 1000.0));
    frame.render_widget(
        Sparkline::default().data(heights.collect::<Vec<u64>>()).style(theme.style(Tone::Good)),
        chart,
    );
    let error = Paragraph::new(error).wrap(Wrap { trim: false }).style(theme.style(Tone::Bad));
    frame.render_widget(error, second);
    lines::draw(frame, rest, model, theme);
}

fn figures(worker: &Worker, theme: Theme) -> Vec<Line<'static>> {
    let alive = match worker.alive_seconds {
        _ if !worker.connected => "gone".to_owned(),
        Some(age) => format!("alive for {}", seconds(age)),
        None => "connected".to_owned(),
    };
    let last = worker.seconds_since_last.map_or_else(
        || "no record yet".to_owned(),
        |ago| format!("last record {} ago", seconds(ago)),
    );
    let via = match worker.lanes {
        0 => format!("via {}", worker.transport),
        lanes => format!("via {} ({})", worker.transport, count(lanes)),
    };
    let waits = match worker.queued_bytes {
        0 => "nothing waits".to_owned(),
        queued => format!("{} wait, the oldest for {}", bytes(queued), seconds(worker.lag_seconds)),
    };
    let mut lines = vec![
        Line::from(theme.span(format!("uid {}  {via}  {alive}  {last}", worker.uid), Tone::Plain)),
        Line::from(vec![
            theme.span(
                format!(
                    "{} rec/s  {}/s  ",
                    rate(worker.records_per_second),
                    bytes(whole(worker.bytes_per_second))
                ),
                Tone::Plain,
            ),
            theme.span(waits, if worker.is_late() { Tone::Warning } else { Tone::Plain }),
        ]),
        Line::from(theme.span(
            format!(
                "{} attempted  {} written  {}  {}  {}",
                count(worker.attempted),
                count(worker.written),
                bytes(worker.bytes),
                things(worker.errors, "error"),
                things(worker.warnings, "warning")
            ),
            Tone::Plain,
        )),
        Line::from(match worker.lost() {
            0 => theme.span("nothing lost", Tone::Good),
            _ => theme.span(format!("lost: {}", losses(worker)), Tone::Bad),
        }),
    ];
    if let Some(why) = &worker.fallback {
        lines.push(Line::from(theme.span(format!("not over lanes: {why}"), Tone::Warning)));
    }
    lines
}

fn error(worker: &Worker) -> String {
    worker.last_error.as_ref().map_or_else(String::new, |error| {
        format!("ERROR {} ago: {}", seconds(error.seconds_ago), escape(&error.message))
    })
}
