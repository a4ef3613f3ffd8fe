//! From a template's text to its parts.

use super::super::clock::check_strftime;
use super::super::escape::put_bare;
use super::super::name::without_raw_prefix;
use super::super::nearest;
use super::error::{TemplateError, TemplateProblem};
use super::pad::Pad;
use super::{Part, Placeholder};

/// Every placeholder.
pub(super) const KNOWN: [&str; 15] = [
    "time",
    "worker",
    "pid",
    "level",
    "target",
    "message",
    "thread",
    "seq",
    "lane",
    "file",
    "line",
    "module",
    "spans",
    "fields",
    "field.NAME",
];

/// Parses a template.
pub(super) fn parts(source: &str) -> Result<Vec<Part>, TemplateError> {
    // Who ends the template with a newline means the line's end, which every line has anyway.
    let template = source.strip_suffix('\n').unwrap_or(source);
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        let position = template.len() - rest.len() + at;
        let fail = |problem| TemplateError {
            template: source.to_owned(),
            position: template[..position].chars().count() + 1,
            problem,
        };
        literal.push_str(&rest[..at]);
        let (brace, behind) = rest[at..].split_at(1);
        if let Some(behind) = behind.strip_prefix(brace) {
            literal.push_str(brace);
            rest = behind;
            continue;
        }
        if brace == "}" {
            return Err(fail(TemplateProblem::Unopened));
        }
        let inside = match behind.find(['{', '}']) {
            Some(end) if behind[end..].starts_with('}') => &behind[..end],
            _ => return Err(fail(TemplateProblem::Unclosed)),
        };
        push_literal(&mut literal, &mut parts);
        parts.push(placeholder(inside).map_err(fail)?);
        rest = &behind[inside.len() + 1..];
    }
    literal.push_str(rest);
    push_literal(&mut literal, &mut parts);
    Ok(parts)
}

fn push_literal(literal: &mut String, parts: &mut Vec<Part>) {
    if !literal.is_empty() {
        let mut escaped = Vec::new();
        put_bare(literal, &mut escaped);
        parts.push(Part::Literal(escaped));
        literal.clear();
    }
}

fn placeholder(inside: &str) -> Result<Part, TemplateProblem> {
    let (name, spec) = inside.split_once(':').unwrap_or((inside, ""));
    let placeholder = match name {
        "time" if spec.contains('%') => {
            check_strftime(spec)
                .map_err(|reason| TemplateProblem::Time { found: spec.to_owned(), reason })?;
            return Ok(Part::Value(Placeholder::Strftime(spec.to_owned()), Pad::NONE));
        }
        "time" => Placeholder::Time,
        "worker" => Placeholder::Worker,
        "pid" => Placeholder::Pid,
        "level" => Placeholder::Level,
        "target" => Placeholder::Target,
        "message" => Placeholder::Message,
        "thread" => Placeholder::Thread,
        "seq" => Placeholder::Seq,
        "lane" => Placeholder::Lane,
        "file" => Placeholder::File,
        "line" => Placeholder::Line,
        "module" => Placeholder::Module,
        "spans" => Placeholder::Spans,
        "fields" => Placeholder::Fields,
        name => match name.strip_prefix("field.").map(without_raw_prefix) {
            Some("") => return Err(TemplateProblem::Unnamed),
            Some(name) => Placeholder::Field(name.to_owned()),
            None => {
                return Err(TemplateProblem::Unknown {
                    name: name.to_owned(),
                    nearest: nearest(name, &KNOWN),
                });
            }
        },
    };
    let pad =
        Pad::parse(spec).ok_or_else(|| TemplateProblem::Alignment { found: spec.to_owned() })?;
    Ok(Part::Value(placeholder, pad))
}
