//! The directives as the sinks use them.

use super::{DirectiveProblem, Directives};
use fleetlog_protocol::Level;
use proptest::prelude::*;

/// Every level word, by the number that also stands for it.
const WORDS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

fn parse(text: &str) -> Directives {
    text.parse().unwrap()
}

fn problem(text: &str) -> DirectiveProblem {
    text.parse::<Directives>().unwrap_err().problem
}

#[test]
fn a_bare_level_limits_every_target() {
    let directives = parse("info");
    assert!(directives.allows(Level::Info, "anything"));
    assert!(directives.allows(Level::Error, ""));
    assert!(!directives.allows(Level::Debug, "anything"));
}

#[test]
fn the_longest_target_decides_wherever_it_stands() {
    for text in ["warn,app=debug,app::job=off", "app::job=off,app=debug,warn"] {
        let directives = parse(text);
        assert!(directives.allows(Level::Debug, "app"));
        assert!(directives.allows(Level::Debug, "app::web"));
        assert!(!directives.allows(Level::Error, "app::job"));
        assert!(!directives.allows(Level::Error, "app::job::inner"));
        assert!(directives.allows(Level::Debug, "app::jobs"));
        assert!(directives.allows(Level::Debug, "app.web"), "as Python names its loggers");
        assert!(!directives.allows(Level::Info, "apple"));
    }
}

#[test]
fn what_no_directive_names_is_not_wanted() {
    assert!(!parse("app=trace").allows(Level::Error, "other"));
    assert!(parse("app").allows(Level::Trace, "app::deep::down"));
    assert!(!parse("app").allows(Level::Error, "other"));
}

#[test]
fn the_last_of_two_directives_for_one_target_counts() {
    assert_eq!(parse("app=info,app=off"), parse("app=off"));
    assert_eq!(parse("info,debug"), parse("debug"));
}

#[test]
fn everything_is_wanted_by_default() {
    assert_eq!(Directives::default(), parse("trace"));
    assert!(Directives::all().allows(Level::Trace, "x"));
}

#[test]
fn levels_are_read_in_any_case_and_by_number() {
    assert_eq!(parse("WARN"), parse("warn"));
    assert_eq!(parse("3,app=5"), parse("info,app=trace"));
    assert_eq!(parse("0"), parse("off"));
    assert_eq!(parse(" info , app = debug ,"), parse("info,app=debug"));
}

#[test]
fn the_largest_level_is_known() {
    assert_eq!(parse("off").max_level(), None);
    assert_eq!(parse("warn,app=off").max_level(), Some(Level::Warn));
    assert_eq!(parse("warn,app=trace").max_level(), Some(Level::Trace));
}

#[test]
fn a_mistake_is_named_with_the_nearest_level() {
    assert_eq!(problem("inof"), DirectiveProblem::Misspelt { nearest: "info" });
    assert_eq!(problem("info,debgu"), DirectiveProblem::Misspelt { nearest: "debug" });
    assert_eq!(problem("=info"), DirectiveProblem::Target);
    assert_eq!(problem(" ,"), DirectiveProblem::Empty);
    assert_eq!(problem("app[{x}]=info"), DirectiveProblem::Fields);
    let error = "info,app=dbug".parse::<Directives>().unwrap_err().to_string();
    assert!(error.contains("\"app=dbug\""), "{error}");
    assert!(error.contains("did you mean `debug`?"), "{error}");
}

#[test]
fn directives_agree_with_tracing_subscriber_on_whole_targets() {
    use tracing_subscriber::filter::Targets;
    let levels = [
        (Level::Error, tracing::Level::ERROR),
        (Level::Warn, tracing::Level::WARN),
        (Level::Info, tracing::Level::INFO),
        (Level::Debug, tracing::Level::DEBUG),
        (Level::Trace, tracing::Level::TRACE),
    ];
    for text in ["info", "app=debug", "app::job=off,warn", "off,x::y=trace,x=error", "app"] {
        let (ours, theirs) = (parse(text), text.parse::<Targets>().unwrap());
        for target in ["app", "app::job", "app::job::x", "x", "x::y", "x::y::z", "other"] {
            for (level, their_level) in &levels {
                let expected = theirs.would_enable(target, their_level);
                assert_eq!(ours.allows(*level, target), expected, "{text} {target} {level}");
            }
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_with_its_words(text in "\\PC{0,40}|[a-f:=,]{0,30}") {
        if let Err(error) = text.parse::<Directives>() {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn directives_read_back_what_they_print(
        parts in prop::collection::vec(
            (prop::option::of("[a-z_]{1,6}(::[a-z]{1,4}){0,2}"), 0..6_usize), 1..6,
        ),
        target in "[a-z_]{1,6}(::[a-z]{1,4}){0,2}",
    ) {
        let text: Vec<_> = parts
            .into_iter()
            .map(|(target, level)| match target {
                None => WORDS[level].to_owned(),
                Some(target) => format!("{target}={}", WORDS[level]),
            })
            .collect();
        let directives = parse(&text.join(","));
        prop_assert_eq!(&parse(&directives.to_string()), &directives);
        for level in Level::ALL {
            let allowed = directives.allows(level, &target);
            prop_assert!(!allowed || Some(level) <= directives.max_level());
        }
    }
}
