//! Tables and numbers as people read them: aligned columns, numbers to the right, and no byte
//! that a terminal would obey.

use std::fmt::{self, Write as _};
use std::time::Duration;

use anstyle::Style;

use super::screen::BOLD;

/// A cell: its text and how it looks.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A text from anywhere, made safe for a terminal.
    pub(super) fn text(text: &str) -> Self {
        Self { text: escape(text), style: Style::new() }
    }

    /// A number with separators.
    pub(super) fn count(number: u64) -> Self {
        Self::text(&count(number))
    }

    /// The same text in another style.
    pub(super) fn styled(self, style: Style) -> Self {
        Self { style, ..self }
    }
}

/// How a column is aligned.
#[derive(Clone, Copy, Debug)]
pub(super) enum Align {
    Left,
    Right,
}

/// A table with an optional headline.
#[derive(Debug)]
pub(super) struct Table {
    aligns: Vec<Align>,
    rows: Vec<Vec<Cell>>,
    indent: usize,
}

impl Table {
    /// A table with columns of these alignments.
    pub(super) fn new(aligns: &[Align], indent: usize) -> Self {
        Self { aligns: aligns.to_vec(), rows: Vec::new(), indent }
    }

    /// A table with a headline.
    pub(super) fn with_headline(columns: &[(&str, Align)], indent: usize) -> Self {
        let aligns: Vec<_> = columns.iter().map(|(_, align)| *align).collect();
        let mut table = Self::new(&aligns, indent);
        table.row(columns.iter().map(|(name, _)| Cell::text(name).styled(BOLD)).collect());
        table
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.text.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..self.aligns.len()).map(width).collect();
        for (number, row) in self.rows.iter().enumerate() {
            if number > 0 {
                f.write_char('\n')?;
            }
            write!(f, "{:1$}", "", self.indent)?;
            // Nothing stands to the right of a row's last text, no padding either.
            let filled = row.iter().rposition(|cell| !cell.text.is_empty()).map_or(0, |at| at + 1);
            for (column, cell) in row[..filled].iter().enumerate() {
                let padding = widths[column] - cell.text.chars().count();
                let (before, after) = match self.aligns[column] {
                    Align::Right => (padding, 0),
                    Align::Left if column + 1 == filled => (0, 0),
                    Align::Left => (0, padding),
                };
                let gap = if column == 0 { "" } else { "  " };
                let (style, text) = (cell.style, &cell.text);
                write!(f, "{gap}{:before$}{style}{text}{style:#}{:after$}", "", "")?;
            }
        }
        Ok(())
    }
}

/// A text with every character escaped that a terminal could obey, or that changes the order in
/// which others are shown.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Control characters, line and paragraph separators, and the marks of writing direction.
pub(super) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A number with a separator after every three digits.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut separated = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            separated.push(',');
        }
        separated.push(digit);
    }
    separated
}

/// A number of things: `1 record`, `2 records`.
pub(super) fn things(number: u64, one: &str) -> String {
    format!("{} {one}{}", count(number), if number == 1 { "" } else { "s" })
}

/// Bytes in the largest unit that leaves a number of at least one.
pub(super) fn bytes(number: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if number < 1024 {
        return format!("{number} B");
    }
    // Tenths, so that no floating-point number is needed.
    let mut unit = 0;
    let mut tenths = u128::from(number) * 10 / 1024;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// A time span in its two largest units.
pub(super) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..1 => format!("{}ms", time.as_millis()),
        1..60 if time.subsec_millis() >= 100 && seconds < 10 => {
            format!("{seconds}.{}s", time.subsec_millis() / 100)
        }
        1..60 => format!("{seconds}s"),
        60..3600 => two(seconds / 60, "m", seconds % 60, "s"),
        3600..86_400 => two(seconds / 3600, "h", seconds / 60 % 60, "m"),
        _ => two(seconds / 86_400, "d", seconds / 3600 % 24, "h"),
    }
}

fn two(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 {
        return format!("{large}{large_unit}");
    }
    format!("{large}{large_unit} {small}{small_unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_nothing_trails() {
        let mut table = Table::with_headline(
            &[("NAME", Align::Left), ("N", Align::Right), ("", Align::Left)],
            2,
        );
        table.row(vec![Cell::text("worker 0"), Cell::count(1_234), Cell::text("")]);
        table.row(vec![Cell::text("w"), Cell::count(1), Cell::text("why")]);
        let plain = anstream::adapter::strip_str(&table.to_string()).to_string();
        assert_eq!(plain, "  NAME          N\n  worker 0  1,234\n  w             1  why");
    }

    #[test]
    fn numbers_are_separated_by_thousands() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), text);
        }
        assert_eq!(
            (things(1, "record"), things(2, "record")),
            ("1 record".into(), "2 records".into())
        );
    }

    #[test]
    fn bytes_take_the_largest_fitting_unit() {
        for (number, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (5 << 20, "5.0 MiB"),
            (u64::MAX, "15.9 EiB"),
        ] {
            assert_eq!(bytes(number), text);
        }
    }

    #[test]
    fn time_spans_have_at_most_two_units() {
        for (milliseconds, text) in [
            (0, "0ms"),
            (250, "250ms"),
            (1_000, "1s"),
            (1_500, "1.5s"),
            (30_000, "30s"),
            (90_000, "1m 30s"),
            (300_000, "5m"),
            (3_700_000, "1h 1m"),
            (90_000_000, "1d 1h"),
        ] {
            assert_eq!(span(Duration::from_millis(milliseconds)), text);
        }
    }

    #[test]
    fn no_character_that_a_terminal_obeys_is_left() {
        let hostile = "a\u{1b}[2Jb\nc\rd\u{9b}1me\u{202e}f\u{7f}g";
        let safe = escape(hostile);
        assert!(!safe.chars().any(is_unsafe), "{safe:?}");
        assert_eq!(escape("Zürich 東京 \u{1f600}"), "Zürich 東京 \u{1f600}");
    }
}
