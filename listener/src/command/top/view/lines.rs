//! The pane with the lines of the chosen worker.

use fleetlog_protocol::Level;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line as Drawn, Span};
use ratatui::widgets::{Block, Borders, Paragraph};

use super::Theme;
use crate::command::status::columns::Tone;
use crate::command::table::{cut, escape, things};
use crate::command::top::follow::Place;
use crate::command::top::state::Model;
use crate::command::top::state::lines::Line;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, model: &mut Model, theme: Theme) {
    if area.height < 2 {
        return;
    }
    let Some(followed) = model.followed() else { return };
    let newer = match model.lines.newer() {
        0 => String::new(),
        newer => format!("({} further down) ", things(newer as u64, "line")),
    };
    let title = match &followed.place {
        Place::Log { path, .. } => format!(" {} {newer}", escape(&path.to_string_lossy())),
        Place::Nowhere(_) => " its lines ".to_owned(),
    };
    let block = Block::new().borders(Borders::TOP).title(title).title_style(theme.style(Tone::Dim));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let drawn: Vec<Drawn<'static>> = match &followed.place {
        Place::Nowhere(why) => vec![Drawn::from(theme.span(why, Tone::Dim))],
        Place::Log { .. } if !model.lines.are_of(&followed) => {
            vec![Drawn::from(theme.span("none yet", Tone::Dim))]
        }
        Place::Log { .. } => {
            let lines = model.lines.shown(usize::from(inner.height));
            lines.map(|line| drawn(line, inner.width.into(), theme)).collect()
        }
    };
    frame.render_widget(Paragraph::new(drawn), inner);
}

fn drawn(line: &Line, room: usize, theme: Theme) -> Drawn<'static> {
    match line {
        Line::Record { time, level, text } => {
            let before = time.len() + 8;
            Drawn::from(vec![
                theme.span(format!("{time} "), Tone::Dim),
                Span::styled(format!("{level:>5}  "), of_level(*level, theme)),
                theme.span(cut(text, room.saturating_sub(before)), Tone::Plain),
            ])
        }
        Line::Raw(text) => Drawn::from(theme.span(cut(text, room), Tone::Plain)),
        Line::Mark(text) => {
            Drawn::from(theme.span(cut(&format!("── {text}"), room), Tone::Warning))
        }
    }
}

/// The colors are those of `tracing_subscriber::fmt`.
fn of_level(level: Level, theme: Theme) -> Style {
    match level {
        Level::Error => theme.color(Color::Red).add_modifier(Modifier::BOLD),
        Level::Warn => theme.color(Color::Yellow).add_modifier(Modifier::BOLD),
        Level::Info => theme.color(Color::Green),
        Level::Debug => theme.color(Color::Blue),
        Level::Trace => theme.color(Color::Magenta),
    }
}
