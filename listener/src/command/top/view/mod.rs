//! The picture: header, logs, workers or details, footer.
//!
//! Every text that comes from somewhere is made safe before it becomes a part of it. Any size is
//! drawn; one that is too small says so.

mod details;
mod header;
mod help;
mod lines;
mod table;
#[cfg(test)]
mod tests;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};

use super::state::Model;
use crate::command::status::columns::{SINK, Tone};
use crate::command::table::{count, escape};

/// The least that can be drawn.
const LEAST: (u16, u16) = (40, 8);

/// The rows from which on details leave room for the table above them.
const HIGH: u16 = 40;

/// How things look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Theme {
    has_colors: bool,
}

impl Theme {
    /// With colors, if standard output is to have some.
    pub(super) fn of_output() -> Self {
        let choice = anstream::AutoStream::choice(&std::io::stdout());
        let has_colors = choice != anstream::ColorChoice::Never;
        // It has an opinion of its own about NO_COLOR, which --color beats.
        ratatui::crossterm::style::force_color_output(has_colors);
        Self { has_colors }
    }

    fn color(self, color: Color) -> Style {
        if self.has_colors { Style::new().fg(color) } else { Style::new() }
    }

    fn style(self, tone: Tone) -> Style {
        match tone {
            Tone::Plain => Style::new(),
            Tone::Dim => Style::new().add_modifier(Modifier::DIM),
            Tone::Good => self.color(Color::Green),
            Tone::Warning => self.color(Color::Yellow).add_modifier(Modifier::BOLD),
            Tone::Bad => self.color(Color::Red).add_modifier(Modifier::BOLD),
        }
    }

    fn span(self, text: impl AsRef<str>, tone: Tone) -> Span<'static> {
        Span::styled(escape(text.as_ref()), self.style(tone))
    }

    fn headline(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    fn choice(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }
}

/// Draws the state.
pub(super) fn draw(frame: &mut Frame<'_>, model: &mut Model, theme: &Theme) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let (width, height) = (area.width, area.height);
        let text = format!("too small: {width}x{height}, {}x{} at least", LEAST.0, LEAST.1);
        frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), area);
        return;
    }
    let header = header::lines(model, *theme, area.width);
    let header_rows = u16::try_from(header.len()).unwrap_or(u16::MAX);
    let [top, middle, bottom] = Layout::vertical([
        Constraint::Length(header_rows),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(header), top);
    if model.shows_help {
        help::draw(frame, middle, *theme);
    } else if model.shows_details {
        if area.height < HIGH {
            details::draw(frame, middle, model, *theme);
        } else {
            let parts = [Constraint::Percentage(30), Constraint::Fill(1)];
            let [above, below] = Layout::vertical(parts).areas(middle);
            table::workers(frame, above, model, *theme);
            details::draw(frame, below, model, *theme);
        }
    } else {
        let rest = sinks(frame, middle, model, *theme);
        table::workers(frame, rest, model, *theme);
    }
    frame.render_widget(Paragraph::new(footer(model, *theme, area.width)), bottom);
}

/// Draws the logs, few of them on a small screen; returns the room below.
fn sinks(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: Theme) -> Rect {
    let Some(fleet) = model.fleet.as_ref().filter(|_| area.height >= 10) else { return area };
    let mut sinks: Vec<_> = fleet.sinks.iter().collect();
    // One that does not work must not be the one that has no room.
    sinks.sort_by_key(|sink| sink.error.is_none());
    let room = usize::from(area.height / 6).max(1);
    let left_out = sinks.len().saturating_sub(room);
    sinks.truncate(room);
    let mut lines = table::lines(&SINK, sinks.iter().copied(), area.width, None, theme);
    if left_out > 0 {
        lines.push(Line::from(
            theme.span(format!("and {} more", count(left_out as u64)), Tone::Dim),
        ));
    }
    let rows = u16::try_from(lines.len()).unwrap_or(u16::MAX);
    let [above, _, below] = Layout::vertical([
        Constraint::Length(rows),
        Constraint::Length(u16::from(area.height >= 16)),
        Constraint::Fill(1),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(lines), above);
    below
}

/// What is looked for, the order, how many rows there are; and the keys that help on.
fn footer(model: &Model, theme: Theme, width: u16) -> Line<'static> {
    if model.is_typing {
        let text = format!("/{}", model.search.text());
        let found = format!("  {} found; Enter keeps, Esc drops", count(model.rows().len() as u64));
        let cursor = Span::styled(" ", theme.choice());
        return Line::from(vec![
            theme.span(text, Tone::Plain),
            cursor,
            theme.span(found, Tone::Dim),
        ]);
    }
    let mut parts = Vec::new();
    if model.is_paused {
        parts.push(Span::styled(" HELD ", theme.choice()));
        parts.push(Span::raw(" "));
    }
    if !model.search.text().is_empty() {
        parts.push(theme.span(format!("/{}  ", model.search.text()), Tone::Warning));
    }
    if model.only_problems {
        parts.push(theme.span("only problems  ", Tone::Warning));
    }
    let all = model.fleet.as_ref().map_or(0, |fleet| fleet.workers.len());
    let (at, shown) = (model.cursor() + usize::from(model.rows().len() > 0), model.rows().len());
    let mut rows = format!("{} of {}", count(at as u64), count(shown as u64));
    if shown != all {
        rows = format!("{rows} (of {})", count(all as u64));
    }
    parts.push(theme.span(rows, Tone::Plain));
    let keys = if model.shows_details {
        "↑↓ worker  PgUp PgDn lines  Esc back  ? keys  q end"
    } else if width >= 100 {
        "↑↓ choose  Enter details  ←→ sort  r reverse  / find  ! problems  Space hold  ? keys  q end"
    } else {
        "Enter details  ←→ sort  / find  ! problems  ? keys  q end"
    };
    let used: usize = parts.iter().map(Span::width).sum();
    let room = usize::from(width).saturating_sub(used);
    let keys_width = crate::command::table::width(keys);
    if room >= keys_width + 2 {
        parts.push(Span::raw(" ".repeat(room - keys_width)));
        parts.push(theme.span(keys, Tone::Dim));
    }
    Line::from(parts)
}
