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
    width: usize,
    style: Style,
}

impl Cell {
    /// A text from anywhere, made safe for a terminal.
    pub(super) fn text(text: &str) -> Self {
        let text = escape(text);
        Self { width: width(&text), text, style: Style::new() }
    }

    /// A number with separators.
    pub(super) fn count(number: u64) -> Self {
        Self::text(&count(number))
    }

    /// The same text, cut to so many columns.
    pub(super) fn cut(self, columns: usize) -> Self {
        if self.width <= columns {
            return self;
        }
        let text = cut(&self.text, columns);
        Self { width: width(&text), text, ..self }
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
    rows: Vec<Row>,
    indent: usize,
}

#[derive(Debug)]
enum Row {
    Cells(Vec<Cell>),
    /// A line of its own, which no column is widened for.
    Note(Cell),
}

impl Row {
    fn cells(&self) -> &[Cell] {
        match self {
            Self::Cells(cells) => cells,
            Self::Note(_) => &[],
        }
    }
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
        self.rows.push(Row::Cells(cells));
    }

    /// Adds a line that belongs to the row above it.
    pub(super) fn note(&mut self, text: Cell) {
        self.rows.push(Row::Note(text));
    }

    /// Makes the table fit into so many columns of a terminal: leaves out the least important
    /// columns, then cuts the first one, then the notes. `importance` has a rank for each column;
    /// 0 stays whatever the width is, and of the others the highest goes first.
    pub(super) fn fit(&mut self, columns: usize, importance: &[u8]) {
        let widths = self.widths();
        let room = columns.saturating_sub(self.indent);
        let (kept, too_much) = columns_that_fit(&widths, importance, room);
        let first = kept.first().map_or(0, |first| widths[*first].saturating_sub(too_much).max(1));
        for row in &mut self.rows {
            match row {
                Row::Note(text) => *text = text.clone().cut(columns.saturating_sub(self.indent)),
                Row::Cells(cells) => {
                    let mut column = 0;
                    cells.retain(|_| {
                        column += 1;
                        kept.contains(&(column - 1))
                    });
                    if let (Some(cell), true) = (cells.first_mut(), too_much > 0) {
                        *cell = cell.clone().cut(first);
                    }
                }
            }
        }
        self.aligns = kept.iter().map(|column| self.aligns[*column]).collect();
    }

    fn widths(&self) -> Vec<usize> {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.cells().get(column));
            cells.map(|cell| cell.width).max().unwrap_or(0)
        };
        (0..self.aligns.len()).map(width).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        for (number, row) in self.rows.iter().enumerate() {
            if number > 0 {
                f.write_char('\n')?;
            }
            write!(f, "{:1$}", "", self.indent)?;
            if let Row::Note(Cell { text, style, .. }) = row {
                write!(f, "{style}{text}{style:#}")?;
                continue;
            }
            let row = row.cells();
            // Nothing stands to the right of a row's last text, no padding either.
            let filled = row.iter().rposition(|cell| !cell.text.is_empty()).map_or(0, |at| at + 1);
            for (column, cell) in row[..filled].iter().enumerate() {
                let padding = widths[column] - cell.width;
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

/// Which columns of these widths fit into the room, with two spaces between them, and how much is
/// too wide still. A column's rank tells when it makes way: the highest first, 0 never.
pub(super) fn columns_that_fit(widths: &[usize], ranks: &[u8], room: usize) -> (Vec<usize>, usize) {
    let mut kept: Vec<usize> = (0..widths.len()).collect();
    let rank = |column: usize| ranks.get(column).copied().unwrap_or(0);
    loop {
        let gaps = 2 * kept.len().saturating_sub(1);
        let total = gaps + kept.iter().map(|column| widths[*column]).sum::<usize>();
        let least = kept.iter().copied().max_by_key(|column| rank(*column));
        match least.filter(|column| rank(*column) > 0 && total > room) {
            Some(least) => kept.retain(|column| *column != least),
            None => return (kept, total.saturating_sub(room)),
        }
    }
}

/// A text with every character escaped that a terminal could obey, or that changes the order in
/// which others are shown.
pub(crate) fn escape(text: &str) -> String {
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
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The columns that a text takes on a terminal.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// The beginning of a text that fits into so many columns, with a mark where something is missing.
pub(super) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut left = columns.saturating_sub(1);
    for c in text.chars() {
        let Some(rest) = left.checked_sub(self::columns(c)) else { break };
        left = rest;
        kept.push(c);
    }
    if columns > 0 {
        kept.push('…');
    }
    kept
}

/// The columns of a character: none for a mark that stands on the one before, two for those of
/// East Asia and for pictures. Terminals differ about rare ones; these are the common ones.
fn columns(c: char) -> usize {
    match c {
        ' '..='~' => 1,
        '\u{ad}'
        | '\u{300}'..='\u{36f}'
        | '\u{483}'..='\u{489}'
        | '\u{591}'..='\u{5bd}'
        | '\u{610}'..='\u{61a}'
        | '\u{64b}'..='\u{65f}'
        | '\u{1ab0}'..='\u{1aff}'
        | '\u{1dc0}'..='\u{1dff}'
        | '\u{200b}'..='\u{200d}'
        | '\u{2060}'..='\u{2064}'
        | '\u{20d0}'..='\u{20f0}'
        | '\u{3099}'..='\u{309a}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{fe20}'..='\u{fe2f}'
        | '\u{feff}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{231a}'..='\u{231b}'
        | '\u{2e80}'..='\u{303e}'
        | '\u{3041}'..='\u{a4cf}'
        | '\u{a960}'..='\u{a97c}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1f64f}'
        | '\u{1f680}'..='\u{1f6ff}'
        | '\u{1f900}'..='\u{1f9ff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
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
pub(crate) fn things(number: u64, one: &str) -> String {
    format!("{} {one}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A rate, with a tenth where it is small.
pub(super) fn rate(per_second: f64) -> String {
    let per_second = if per_second.is_finite() { per_second.max(0.0) } else { 0.0 };
    if per_second > 0.0 && per_second < 9.95 {
        return format!("{per_second:.1}");
    }
    count(whole(per_second))
}

/// The nearest whole number of a float that is no negative one.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and makes 0 of what is no number"
)]
pub(super) fn whole(number: f64) -> u64 {
    number.round() as u64
}

/// A number of seconds as a time span.
pub(super) fn seconds(seconds: f64) -> String {
    Duration::try_from_secs_f64(seconds).map_or_else(|_| "?".to_owned(), span)
}

/// Bytes in the largest unit that leaves a number of at least one.
pub(crate) fn bytes(number: u64) -> String {
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

    fn fitted(columns: usize) -> String {
        let left = Align::Left;
        let mut table = Table::with_headline(
            &[("NAME", left), ("RARE", left), ("USUAL", left), ("KEPT", Align::Right)],
            0,
        );
        table.row(["worker 0", "r", "u", "1"].map(Cell::text).to_vec());
        table.note(Cell::text("  a note that is longer than all the columns"));
        table.fit(columns, &[0, 2, 1, 0]);
        anstream::adapter::strip_str(&table.to_string()).to_string()
    }

    #[test]
    fn a_table_leaves_out_the_least_important_columns_until_it_fits() {
        assert!(fitted(60).contains("NAME      RARE  USUAL  KEPT\nworker 0  r     u         1"));
        assert!(fitted(27).starts_with("NAME      RARE  USUAL  KEPT\n"));
        assert!(fitted(26).starts_with("NAME      USUAL  KEPT\n"));
        assert!(fitted(20).starts_with("NAME      KEPT\nworker 0     1\n"));
        assert!(fitted(10).starts_with("NAME  KEPT\nwor…     1\n"));
        for columns in 10..60 {
            let text = fitted(columns);
            assert!(text.lines().all(|line| width(line) <= columns), "{columns}:\n{text}");
        }
    }

    #[test]
    fn texts_are_measured_and_cut_by_the_columns_that_they_take() {
        for (text, columns) in [("abc", 3), ("東京", 4), ("e\u{301}", 1), ("\u{1f600}", 2)] {
            assert_eq!(width(text), columns, "{text}");
        }
        assert_eq!((cut("東京都", 6), cut("東京都", 5)), ("東京都".into(), "東京…".into()));
        assert_eq!((cut("東京都", 4), cut("abc", 0)), ("東…".into(), String::new()));
    }

    #[cfg(feature = "top")]
    #[test]
    fn common_characters_take_the_columns_that_a_drawn_screen_gives_them() {
        let common = ('\u{20}'..'\u{590}').chain('\u{2000}'..'\u{2030}');
        let common = common.chain('\u{3041}'..'\u{3097}').chain('\u{30a0}'..'\u{3100}');
        let common = common.chain('\u{4e00}'..'\u{a000}').chain('\u{ac00}'..'\u{d7a4}');
        let drawn = |c: &char| ratatui::text::Span::raw(c.to_string()).width();
        let wrong: Vec<_> = common
            .filter(|c| !is_unsafe(*c) && columns(*c) != drawn(c))
            .map(|c| format!("{} {}", c.escape_unicode(), drawn(&c)))
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn rates_have_a_tenth_where_they_are_small() {
        for (number, text) in [
            (0.0, "0"),
            (0.04, "0.0"),
            (0.25, "0.2"),
            (9.94, "9.9"),
            (9.96, "10"),
            (12_345.6, "12,346"),
            (-1.0, "0"),
            (f64::NAN, "0"),
        ] {
            assert_eq!(rate(number), text);
        }
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
