//! The page of keys.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph};

use super::Theme;
use crate::command::status::columns::Tone;
use crate::command::table::width;
use crate::command::top::keys::HELP;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, theme: Theme) {
    let block = Block::new().borders(Borders::TOP).title(" keys ").title_style(theme.headline());
    let widest = HELP.iter().map(|(keys, _)| width(keys)).max().unwrap_or(0);
    let line = |(keys, what): &(&'static str, &'static str)| {
        let padding = " ".repeat(widest - width(keys) + 2);
        Line::from(vec![
            Span::styled(*keys, theme.headline()),
            theme.span(format!("{padding}{what}"), Tone::Plain),
        ])
    };
    frame.render_widget(
        Paragraph::new(HELP.iter().map(line).collect::<Vec<_>>()).block(block),
        area,
    );
}
