//! The layouts of what is printed, as `-o` names them.

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, Command};

use crate::format::{TimeZoneChoice, nearest};
use crate::reading::Template;

/// The layout of what is printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Output {
    /// Lines of text, whatever the layout of the file.
    #[default]
    Short,
    /// The same, with local times to the second.
    ShortIso,
    /// One JSON object a line.
    Json,
    /// JSON objects over several lines.
    JsonPretty,
    /// The message and the fields only.
    Cat,
    /// Lines as they stand.
    Raw,
    /// A template, which is known to be one.
    Template(String),
}

/// The words, with what they mean.
const WORDS: [(&str, Output, &str); 7] = [
    ("short", Output::Short, "Lines of text, whatever the layout of the file"),
    ("short-iso", Output::ShortIso, "The same, with local times to the second"),
    ("json", Output::Json, "One JSON object a line"),
    ("json-pretty", Output::JsonPretty, "JSON objects over several lines"),
    ("cat", Output::Cat, "The message and the fields only"),
    ("raw", Output::Raw, "Lines as they stand"),
    ("text", Output::Short, ""),
];

impl Output {
    /// Reads a word, or a template.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Some((_, output, _)) = WORDS.iter().find(|(word, ..)| *word == text) {
            return Ok(output.clone());
        }
        if text.contains('{') {
            let parsed = Template::parse(text, TimeZoneChoice::Utc);
            return parsed
                .map(|_| Self::Template(text.to_owned()))
                .map_err(|error| error.to_string());
        }
        let words: Vec<&str> = WORDS.iter().map(|(word, ..)| *word).collect();
        let nearest = nearest(text, &words).map(|word| format!("; did you mean {word}?"));
        Err(format!(
            "{text:?} is no layout: expected short, short-iso, json, json-pretty, cat, raw, or a \
             template such as '{{time}} {{worker}} {{message}}'{}",
            nearest.unwrap_or_default()
        ))
    }

    /// For the command line: the words can be completed, and templates pass.
    pub(super) fn parser() -> impl TypedValueParser<Value = Self> {
        Parser
    }
}

#[derive(Clone)]
struct Parser;

impl TypedValueParser for Parser {
    type Value = Output;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<Output, clap::Error> {
        let parser = StringValueParser::new().try_map(|text| Output::parse(&text));
        parser.parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let shown = WORDS.iter().filter(|(.., help)| !help.is_empty());
        Some(Box::new(shown.map(|(word, _, help)| PossibleValue::new(*word).help(*help))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_templates_are_layouts_and_mistakes_name_the_nearest() {
        assert_eq!(Output::parse("short-iso"), Ok(Output::ShortIso));
        assert_eq!(Output::parse("text"), Ok(Output::Short));
        assert_eq!(Output::parse("{pid}"), Ok(Output::Template("{pid}".to_owned())));
        let said = Output::parse("json-prety").unwrap_err();
        assert!(said.contains("did you mean json-pretty?"), "{said}");
        let said = Output::parse("{time} {mesage}").unwrap_err();
        assert!(said.contains("did you mean {message}?"), "{said}");
        assert!(!Output::parse("xyzzy").unwrap_err().contains("did you mean"));
    }
}
