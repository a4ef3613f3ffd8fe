//! Tables: as many columns as fit, and as many rows as are seen.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::Theme;
use crate::command::status::columns::{Column, Tone, WORKER};
use crate::command::table::{Align, columns_that_fit, cut, escape, seconds, width};
use crate::command::top::sort::Sort;
use crate::command::top::state::Model;

/// The longest name that is shown whole where others need the room.
const LONGEST_FIRST: usize = 28;

/// The least room behind the columns in which the last error is shown.
const ROOM_FOR_ERROR: usize = 24;

/// Draws the workers and marks the chosen one.
pub(super) fn workers(frame: &mut Frame<'_>, area: Rect, model: &mut Model, theme: Theme) {
    let page = usize::from(area.height.saturating_sub(1));
    let first = model.scroll(page);
    let Some(fleet) = &model.fleet else { return };
    let columns = Columns::of(&WORKER, &fleet.workers.iter(), area.width);
    let room = usize::from(area.width).saturating_sub(columns.total() + 2);
    let mut lines = vec![columns.headline(Some(model.sort), theme)];
    let has_errors = room >= ROOM_FOR_ERROR;
    if let (Some(headline), true) = (lines.first_mut(), has_errors) {
        headline.push_span(Span::styled("  LAST ERROR", theme.headline()));
    }
    for (at, worker) in model.rows().enumerate().skip(first).take(page) {
        let mut line = columns.row(worker, theme);
        if let Some(error) = worker.last_error.as_ref().filter(|_| has_errors) {
            let text = format!("{} ago: {}", seconds(error.seconds_ago), error.message);
            line.push_span(Span::styled(
                format!("  {}", cut(&escape(&text), room)),
                theme.style(Tone::Bad),
            ));
        }
        if at == model.cursor() {
            let rest = usize::from(area.width).saturating_sub(line.width());
            line.push_span(" ".repeat(rest));
            line = line.patch_style(theme.choice());
        }
        lines.push(line);
    }
    if model.rows().len() == 0 {
        let text = if fleet.workers.is_empty() {
            "No worker is there."
        } else {
            "No worker fits; Esc looks for all, ! shows those without problems."
        };
        lines.push(Line::from(theme.span(text, Tone::Dim)));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// A headline and all rows, in the columns that fit.
pub(super) fn lines<'a, T: 'a>(
    columns: &'static [Column<T>],
    rows: impl Iterator<Item = &'a T> + Clone,
    room: u16,
    sort: Option<Sort>,
    theme: Theme,
) -> Vec<Line<'static>> {
    let columns = Columns::of(columns, &rows, room);
    let headline = columns.headline(sort, theme);
    std::iter::once(headline).chain(rows.map(|row| columns.row(row, theme))).collect()
}

/// The columns that are shown, with their widths.
struct Columns<T: 'static> {
    shown: Vec<(&'static Column<T>, usize)>,
}

impl<T> Columns<T> {
    /// Chooses columns by the widths of all rows, seen or not, so that none changes its place
    /// while somebody scrolls.
    fn of<'a>(
        columns: &'static [Column<T>],
        rows: &(impl Iterator<Item = &'a T> + Clone),
        room: u16,
    ) -> Self
    where
        T: 'a,
    {
        let room = usize::from(room);
        let of_column = |(at, column): (usize, &Column<T>)| {
            let texts = rows.clone().map(|row| width(&escape(&(column.cell)(row).0)));
            let widest = texts.max().unwrap_or(0).max(width(column.name)).max(column.least);
            if at == 0 { widest.min(LONGEST_FIRST.max(room / 3)) } else { widest }
        };
        let mut widths: Vec<_> = columns.iter().enumerate().map(of_column).collect();
        let ranks: Vec<_> = columns.iter().map(|column| column.rank).collect();
        let (kept, too_much) = columns_that_fit(&widths, &ranks, room);
        widths[0] = widths[0].saturating_sub(too_much).max(1);
        Self { shown: kept.iter().map(|at| (&columns[*at], widths[*at])).collect() }
    }

    fn total(&self) -> usize {
        let gaps = 2 * self.shown.len().saturating_sub(1);
        gaps + self.shown.iter().map(|(_, width)| width).sum::<usize>()
    }

    /// The names; that of the order has a mark, in the gap behind it.
    fn headline(&self, sort: Option<Sort>, theme: Theme) -> Line<'static> {
        let mut parts = Vec::new();
        for (column, width) in &self.shown {
            let name = cut(column.name, *width);
            parts.push(cell(name, *width, column.align, theme.headline()));
            let mark = match sort.filter(|sort| sort.key.column() == column.name) {
                Some(sort) if sort.goes_up() => "▴ ",
                Some(_) => "▾ ",
                None => "  ",
            };
            parts.push(Span::styled(mark, theme.headline()));
        }
        Line::from(parts)
    }

    fn row(&self, row: &T, theme: Theme) -> Line<'static> {
        let mut parts = Vec::new();
        for (at, (column, width)) in self.shown.iter().enumerate() {
            if at > 0 {
                parts.push(Span::raw("  "));
            }
            let (text, tone) = (column.cell)(row);
            let text = cut(&escape(&text), *width);
            parts.push(cell(text, *width, column.align, theme.style(tone)));
        }
        Line::from(parts)
    }
}

fn cell(text: String, columns: usize, align: Align, style: Style) -> Span<'static> {
    let padding = " ".repeat(columns.saturating_sub(width(&text)));
    let text = match align {
        Align::Left => text + &padding,
        Align::Right => padding + &text,
    };
    Span::styled(text, style)
}
