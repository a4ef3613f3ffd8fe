//! What a line looks like on its way out.

use anstyle::{AnsiColor, Style};
use fleetlog_protocol::Level;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::layout::Output;
use crate::command::screen::DIM;
use crate::command::table::{escape, is_unsafe};
use crate::format::TimeZoneChoice;
use crate::reading::{Converter, Head, Layout, Template, TextLine, put_pretty};

/// Prints lines.
pub(super) struct Printer {
    output: Output,
    /// They go to a terminal or a pager.
    is_terminal: bool,
    /// With colors.
    colors: bool,
    zone: TimeZone,
    template: Option<Template>,
    converter: Converter,
    line: Vec<u8>,
    scratch: Vec<u8>,
}

impl Printer {
    /// Prints in a layout; times that are printed anew are of a zone, the reader's or UTC.
    pub(super) fn new(output: Output, is_terminal: bool, colors: bool, is_utc: bool) -> Self {
        let choice = if is_utc { TimeZoneChoice::Utc } else { TimeZoneChoice::Local };
        let template = match &output {
            // It has been parsed once; the layout is not known without it.
            Output::Template(source) => Template::parse(source, choice).ok(),
            _ => None,
        };
        Self {
            output,
            is_terminal,
            colors,
            zone: if is_utc { TimeZone::UTC } else { TimeZone::system() },
            template,
            converter: Converter::new(),
            line: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// A line with its newline. No layout but `raw` lets a byte through that a terminal would
    /// obey, and `raw` lets it into a pipe or file only.
    pub(super) fn print(&mut self, line: &[u8], layout: Layout) -> &[u8] {
        let Self { output, template, converter, line: out, scratch, .. } = self;
        out.clear();
        // A cursor that had no need to know it leaves it to us.
        let layout = match (layout, &*output) {
            (_, Output::Raw) => Layout::Unknown,
            (Layout::Unknown, _) => Head::of(line).map_or(Layout::Unknown, |(layout, _)| layout),
            (layout, _) => layout,
        };
        let is_done = match (&*output, layout) {
            (Output::Short | Output::ShortIso, Layout::Json) => converter.text_of_json(line, out),
            (Output::Cat, Layout::Json) => converter.event_of_json(line, out),
            (Output::Cat, Layout::Text) => put_event(line, out),
            (Output::Json, _) => put_any_json(line, layout, converter, out),
            (Output::JsonPretty, _) => {
                scratch.clear();
                let is_done = put_any_json(line, layout, converter, scratch);
                put_pretty(scratch, out);
                is_done
            }
            (Output::Template(_), _) => match (template, layout) {
                (Some(template), Layout::Json) => template.put_json(line, out),
                (Some(template), Layout::Text) => {
                    TextLine::parse(line).is_some_and(|text| template.put_text(&text, out))
                }
                _ => false,
            },
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
        if layout != Layout::Unknown {
            if *output == Output::ShortIso {
                put_iso(&self.zone, out);
            }
            if self.colors && matches!(output, Output::Short | Output::ShortIso) {
                color(out);
            }
        }
        out.push(b'\n');
        out
    }
}

/// Puts the local time, to the second, in the place of the time with which a line of text begins.
fn put_iso(zone: &TimeZone, line: &mut Vec<u8>) {
    let Some(end) = line.iter().position(|byte| *byte == b' ') else { return };
    let time = std::str::from_utf8(&line[..end]).ok().and_then(|time| time.parse().ok());
    let Some(time): Option<Timestamp> = time else { return };
    let local = time.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
    line.splice(..end, local.into_bytes());
}

fn put_any_json(line: &[u8], layout: Layout, converter: &mut Converter, out: &mut Vec<u8>) -> bool {
    match layout {
        Layout::Text => {
            TextLine::parse(line).is_some_and(|text| converter.json_of_text(&text, out))
        }
        Layout::Json => put_json(line, out),
        Layout::Unknown => put_foreign(line, out),
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

    fn printed(line: &str, output: Output, is_terminal: bool) -> String {
        let mut printer = Printer::new(output, is_terminal, false, true);
        let printed = printer.print(line.as_bytes(), Layout::Unknown);
        String::from_utf8(printed.to_vec()).unwrap()
    }

    fn template() -> Output {
        Output::Template("{worker:<4}|{message}|{target}".to_owned())
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
            (TEXT, template(), "w   |done \"x\" n=1|app::job"),
            (JSON, template(), "w   |done \"x\"|app::job"),
            ("no record", template(), "no record"),
            ("no record", Output::Short, "no record"),
            ("no record", Output::ShortIso, "no record"),
            ("no record", Output::Json, r#"{"fields":{"message":"no record"}}"#),
        ] {
            let name = format!("{output:?}");
            assert_eq!(printed(line, output, false), format!("{expected}\n"), "{name}");
        }
    }

    #[test]
    fn a_foreign_line_can_not_drive_the_terminal() {
        let evil = "a\u{1b}[2J\u{9b}31m\u{202e}\r\u{7f}é";
        for output in [
            Output::Short,
            Output::ShortIso,
            Output::Cat,
            Output::Json,
            Output::JsonPretty,
            Output::Raw,
            template(),
        ] {
            for line in [
                evil.to_owned(),
                format!("2026-11-22T10:00:00.123456Z  INFO w{evil}[7] app: {evil}"),
                JSON.replace("done", "\u{7f}\u{9b}\u{202e}"),
            ] {
                let mut text = printed(&line, output.clone(), true);
                assert_eq!(text.pop(), Some('\n'));
                if output == Output::JsonPretty {
                    text.retain(|c| c != '\n');
                }
                assert!(!text.chars().any(is_unsafe), "{output:?} {text:?}");
            }
        }
        assert_eq!(printed(evil, Output::Raw, false), format!("{evil}\n"), "raw is raw in a pipe");
    }

    #[test]
    fn the_short_layout_has_local_times_to_the_second_if_asked() {
        let expected = TEXT.replace("10:00:00.123456Z", "10:00:00+00:00");
        for line in [TEXT, JSON] {
            assert_eq!(printed(line, Output::ShortIso, false), format!("{expected}\n"));
        }
        let zone = TimeZone::fixed(jiff::tz::offset(-3));
        let mut line = TEXT.as_bytes().to_vec();
        put_iso(&zone, &mut line);
        assert!(line.starts_with(b"2026-11-22T07:00:00-03:00  INFO w[7]"));
    }

    #[test]
    fn an_object_over_several_lines_says_the_same() {
        let text = printed(JSON, Output::JsonPretty, true);
        assert!(text.starts_with("{\n  \"timestamp\": \"2026"), "{text}");
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&text), value(JSON));
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
