//! What a line looks like on its way out.

use anstyle::{AnsiColor, Style};
use fleetlog_protocol::Level;

use super::cursor::Found;
use crate::command::screen::DIM;
use crate::command::table::{escape, is_unsafe};
use crate::reading::{Converter, Head, Layout, TextLine};

/// The layout of what is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Output {
    /// Lines of text, whatever the layout of the file
    #[default]
    #[value(alias = "text")]
    Short,
    /// One JSON object a line
    Json,
    /// The message and the fields only
    Cat,
    /// Lines as they stand
    Raw,
}

/// Prints lines.
pub(super) struct Printer {
    pub(super) output: Output,
    /// They go to a terminal or a pager.
    pub(super) is_terminal: bool,
    /// With colors.
    pub(super) colors: bool,
    converter: Converter,
    line: Vec<u8>,
}

impl Printer {
    pub(super) fn new(output: Output, is_terminal: bool, colors: bool) -> Self {
        Self { output, is_terminal, colors, converter: Converter::new(), line: Vec::new() }
    }

    /// A line with its newline. No layout but `raw` lets a byte through that a terminal would
    /// obey, and `raw` lets it into a pipe or file only.
    pub(super) fn print(&mut self, found: &Found) -> &[u8] {
        let Self { output, converter, line: out, .. } = self;
        out.clear();
        let line = &found.line;
        // A cursor that had no need to know it leaves it to us.
        let layout = match (found.layout, *output) {
            (_, Output::Raw) => Layout::Unknown,
            (Layout::Unknown, _) => Head::of(line).map_or(Layout::Unknown, |(layout, _)| layout),
            (layout, _) => layout,
        };
        let is_done = match (*output, layout) {
            (Output::Short, Layout::Json) => converter.text_of_json(line, out),
            (Output::Cat, Layout::Json) => converter.event_of_json(line, out),
            (Output::Cat, Layout::Text) => put_event(line, out),
            (Output::Json, Layout::Text) => {
                TextLine::parse(line).is_some_and(|text| converter.json_of_text(&text, out))
            }
            (Output::Json, Layout::Json) => put_json(line, out),
            (Output::Json, Layout::Unknown) => put_foreign(line, out),
            _ => false,
        };
        if !is_done {
            out.clear();
            if *output == Output::Raw && !self.is_terminal {
                out.extend_from_slice(line);
            } else {
                put_safe(line, out);
            }
        }
        if self.colors && *output == Output::Short && layout != Layout::Unknown {
            color(out);
        }
        out.push(b'\n');
        out
    }
}

fn put_event(line: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(text) = TextLine::parse(line) else { return false };
    put_safe(text.event.as_bytes(), out);
    true
}

/// Appends text without a character that a terminal would obey.
fn put_safe(text: &[u8], out: &mut Vec<u8>) {
    if text.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        out.extend_from_slice(text);
    } else {
        out.extend_from_slice(escape(&String::from_utf8_lossy(text)).as_bytes());
    }
}

/// The same for JSON, which has an escape of its own for every character.
fn put_json(line: &[u8], out: &mut Vec<u8>) -> bool {
    let Ok(text) = std::str::from_utf8(line) else { return false };
    // White space outside of strings has no escape, and none is needed there.
    for c in text.trim().chars() {
        let mut units = [0; 2];
        if is_unsafe(c) {
            for unit in c.encode_utf16(&mut units) {
                out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
            }
        } else {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    true
}

/// A line of no known layout is a message without anything else.
fn put_foreign(line: &[u8], out: &mut Vec<u8>) -> bool {
    let text = String::from_utf8_lossy(line);
    put_json(serde_json::json!({"fields": {"message": text}}).to_string().as_bytes(), out)
}

/// Colors the time and the level of a line of text.
fn color(line: &mut Vec<u8>) {
    let Some(time) = line.iter().position(|byte| *byte == b' ') else { return };
    let level = time + 1..time + 6;
    let Some(style) = line.get(level.clone()).and_then(style) else { return };
    let mut colored = Vec::with_capacity(line.len() + 32);
    colored.extend_from_slice(format!("{DIM}").as_bytes());
    colored.extend_from_slice(&line[..time]);
    colored.extend_from_slice(format!("{DIM:#} {style}").as_bytes());
    colored.extend_from_slice(&line[level.clone()]);
    colored.extend_from_slice(format!("{style:#}").as_bytes());
    colored.extend_from_slice(&line[level.end..]);
    *line = colored;
}

/// The colors are those of `tracing_subscriber::fmt`.
fn style(level: &[u8]) -> Option<Style> {
    let level: Level = std::str::from_utf8(level).ok()?.trim().parse().ok()?;
    Some(match level {
        Level::Error => AnsiColor::Red.on_default().bold(),
        Level::Warn => AnsiColor::Yellow.on_default().bold(),
        Level::Info => AnsiColor::Green.on_default(),
        Level::Debug => AnsiColor::Blue.on_default(),
        Level::Trace => AnsiColor::Magenta.on_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn printed(line: &str, output: Output, is_terminal: bool) -> String {
        let found =
            Found { line: line.into(), layout: Layout::Unknown, time: Timestamp::UNIX_EPOCH };
        let mut printer = Printer::new(output, is_terminal, false);
        String::from_utf8(printer.print(&found).to_vec()).unwrap()
    }

    const TEXT: &str =
        "2026-11-22T10:00:00.123456Z  INFO w[7] request{id=7}: app::job: done \"x\" n=1";
    const JSON: &str = r#"{"timestamp":"2026-11-22T10:00:00.123456Z","level":"INFO","fields":{"message":"done \"x\"","n":1},"target":"app::job","span":{"id":7,"name":"request"},"spans":[{"id":7,"name":"request"}],"worker":"w","pid":7,"lane":1,"seq":7}"#;

    #[test]
    fn both_layouts_are_printed_in_each() {
        for (line, output, expected) in [
            (TEXT, Output::Short, TEXT),
            (JSON, Output::Short, TEXT),
            (TEXT, Output::Raw, TEXT),
            (JSON, Output::Raw, JSON),
            (TEXT, Output::Cat, "done \"x\" n=1"),
            (JSON, Output::Cat, "done \"x\" n=1"),
            (JSON, Output::Json, JSON),
            (
                TEXT,
                Output::Json,
                r#"{"timestamp":"2026-11-22T10:00:00.123456Z","level":"INFO","fields":{"message":"done \"x\" n=1"},"target":"app::job","span":{"fields":"id=7","name":"request"},"spans":[{"fields":"id=7","name":"request"}],"worker":"w","pid":7}"#,
            ),
            ("no record", Output::Short, "no record"),
            ("no record", Output::Json, r#"{"fields":{"message":"no record"}}"#),
        ] {
            assert_eq!(printed(line, output, false), format!("{expected}\n"), "{output:?}");
        }
    }

    #[test]
    fn a_foreign_line_can_not_drive_the_terminal() {
        let evil = "a\u{1b}[2J\u{9b}31m\u{202e}\r\u{7f}é";
        for output in [Output::Short, Output::Cat, Output::Json, Output::Raw] {
            for line in [
                evil.to_owned(),
                format!("2026-11-22T10:00:00.123456Z  INFO w{evil}[7] app: {evil}"),
                JSON.replace("done", "\u{7f}\u{9b}\u{202e}"),
            ] {
                let text = printed(&line, output, true);
                let text = text.strip_suffix('\n').unwrap();
                assert!(!text.chars().any(is_unsafe), "{output:?} {text:?}");
            }
        }
        assert_eq!(printed(evil, Output::Raw, false), format!("{evil}\n"), "raw is raw in a pipe");
    }

    #[test]
    fn time_and_level_have_colors_and_nothing_else_changes() {
        let mut line = TEXT.as_bytes().to_vec();
        color(&mut line);
        let text = String::from_utf8(line).unwrap();
        assert!(text.contains("\u{1b}[32m INFO"), "{text:?}");
        assert_eq!(anstream::adapter::strip_str(&text).to_string(), TEXT);
    }
}
