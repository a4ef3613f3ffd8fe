//! Programs that are set up by `init()`.

use std::fmt;

use crate::Roles;
use crate::reader;
use crate::stage::{Left, Play, cue, folder, play};

pub(crate) const ROLES: Roles = &[
    ("log_values", log_values),
    ("log_values_beside", log_values_beside),
    ("set_up", set_up),
    ("set_up_or_fail", set_up_or_fail),
];

/// Logs while it is printed.
struct Talkative;

impl fmt::Debug for Talkative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        log::info!(inner = 1; "while a value is printed");
        f.write_str("printed")
    }
}

#[test]
fn key_values_of_the_log_crate_are_fields_of_their_own_record_and_of_no_other() {
    let left = play("log_values");
    let lines = reader::read_one(&left.run_dir).lines();
    let fields: Vec<Vec<String>> = lines
        .iter()
        .map(|line| line.fields.iter().map(|(name, value)| format!("{name}={value}")).collect())
        .collect();
    assert_eq!(
        fields,
        [
            &["items=-3", "message=with values", "share=F64(0.5)", "user=ann", "why=\"a\\nb\""][..],
            &["message=without values"],
            &["inner=1", "message=while a value is printed"],
            &["message=outer", "outer=printed"],
            &["message=of tracing"],
        ],
    );
    let targets = [0, 1, 3].map(|at| &*lines[at].target);
    assert_eq!(targets, ["app"; 3]);
    assert_eq!(lines[0].spans, ["request{id=7}"]);
}

fn log_values() {
    fleetlog_worker::init().expect("a subscriber");
    let span = tracing::info_span!("request", id = 7);
    span.in_scope(|| {
        log::info!(target: "app", user = "ann", items = -3, share = 0.5, why:? = "a\nb"; "with values");
    });
    log::info!(target: "app", "without values");
    log::info!(target: "app", outer:? = Talkative; "outer");
    tracing::info!("of tracing");
}

#[test]
fn a_long_key_value_is_cut_and_its_neighbours_stay() {
    let left = play("log_values_beside");
    let lines = reader::read_one(&left.run_dir).lines();
    let line = &lines[0];
    assert_eq!((line.field("id"), line.field("user")), ("7", "ann"));
    assert!(line.is_cut && line.message() == "long" && line.field("long").len() > 60_000);
}

fn log_values_beside() {
    fleetlog_worker::init().expect("a subscriber");
    let long = "x".repeat(2 << 20);
    log::warn!(long = long.as_str(), id = 7, user = "ann"; "long");
}

fn with_filter(role: &str, variable: &str, value: &str) -> Left {
    Play::start_in(folder(), role, &[(variable, value), ("FLEETLOG_LIVE_LEVEL", "off")]).end()
}

#[test]
fn a_mistyped_common_filter_is_told_and_stops_nobody() {
    let left = with_filter("set_up", "RUST_LOG", "warn,app=debgu,app::db=info");
    assert!(left.status.success(), "{}", left.stderr);
    assert_eq!(
        left.stderr,
        "fleetlog: this is no filter and is left out: `app=debgu` in $RUST_LOG; what is logged is \
         `warn,app::db=info`\n"
    );
    let messages = reader::read_one(&left.run_dir).messages();
    assert_eq!(messages, ["of the database", "a warning"]);
    // Nothing is left: then it is as if the variable were not there.
    let left = with_filter("set_up", "RUST_LOG", "app=debgu");
    assert!(left.stderr.ends_with("what is logged is `info`\n"), "{}", left.stderr);
    assert_eq!(reader::read_one(&left.run_dir).messages().len(), 3);
}

fn set_up() {
    fleetlog_worker::init().expect("a subscriber");
    tracing::info!(target: "app::db", "of the database");
    tracing::info!(target: "app", "of the application");
    tracing::warn!(target: "app", "a warning");
}

#[test]
fn a_mistake_in_our_own_variable_is_an_error_that_reads_as_a_sentence() {
    let left = with_filter("set_up_or_fail", "FLEETLOG_LEVEL", "warn,app=debgu");
    assert!(left.status.success(), "{}", left.stderr);
    assert!(
        left.stderr.starts_with("Error: $FLEETLOG_LEVEL is `warn,app=debgu`, which is no filter: "),
        "{}",
        left.stderr
    );
    assert!(left.stderr.ends_with("An example is `info,my_app=debug`\n"), "{}", left.stderr);
}

/// Prints what `main() -> Result<(), InitError>` would.
fn set_up_or_fail() {
    let error = fleetlog_worker::init().expect_err("a mistake");
    eprintln!("Error: {error:?}");
    cue("told", "");
}
