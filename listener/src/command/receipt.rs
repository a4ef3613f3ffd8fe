//! The receipt as people and programs read it.

use std::fmt::Write as _;

use fleetlog_protocol::message::{Drops, Losses, Lost, Receipt, WorkerAccount};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::exit::Code;
use super::screen::{BAD, GOOD, WARNING};
use super::table::{Align, Cell, Table, bytes, count, escape, span, things};

/// How a command ends that ended a listener.
pub(super) const fn code(receipt: &Receipt) -> Code {
    if receipt.left > 0 { Code::LeftBehind } else { Code::Done }
}

/// The receipt as a table; with the workers one by one where something was lost or where asked.
pub(super) fn table(receipt: &Receipt, every_worker: bool) -> String {
    let mut sums = Table::new(&[Align::Left, Align::Right, Align::Left], 2);
    let mut sum = |name: &str, number: u64, remark: String, bad: bool| {
        let style = if bad && number > 0 { WARNING } else { anstyle::Style::new() };
        sums.row(vec![Cell::text(name), Cell::count(number).styled(style), Cell::text(&remark)]);
    };
    let died = match receipt.died {
        0 => String::new(),
        died => format!("{} without a goodbye", count(died)),
    };
    sum("workers", receipt.workers, died, false);
    sum("records", receipt.written, String::new(), false);
    sum("lines", receipt.lines, bytes(receipt.bytes), false);
    sum("dropped", receipt.dropped.total(), reasons(receipt.dropped), true);
    sum("missing", receipt.missing, remark(receipt.missing, "never arrived"), true);
    let unknown = receipt.losses.unknown();
    sum("unknown", unknown, unknown_reasons(&receipt.losses), true);
    sum("truncated", receipt.truncated, remark(receipt.truncated, "cut to the limit"), true);
    sum("doubles", receipt.doubles, remark(receipt.doubles, "sent again, left out"), false);
    sum("offences", receipt.offences, remark(receipt.offences, "of clients"), true);

    let mut text =
        format!("The listener {} ended after {}.\n{sums}\n", receipt.pid, span(receipt.uptime));
    if every_worker || !receipt.is_complete() {
        text.push_str(&workers(receipt));
    }
    for left in &receipt.left_named {
        let _ = writeln!(text, "left behind: lanes/{}: {}", escape(&left.what), escape(&left.why));
    }
    if receipt.left > 0 {
        let _ = writeln!(
            text,
            "{BAD}{} left behind{BAD:#} in the run directory: what stands there is in no file yet.",
            things(receipt.left, "segment") + if receipt.left == 1 { " was" } else { " were" }
        );
    }
    if receipt.left > 0 && receipt.losses.is_empty() {
        text.push_str("Nothing else is known to be lost.");
    } else if receipt.is_complete() && receipt.died == 0 {
        let _ = write!(text, "{GOOD}Nothing was lost.{GOOD:#}");
    } else if receipt.is_complete() {
        // A worker that died may have counted drops that it could not tell any more.
        let _ = write!(
            text,
            "Nothing is known to be lost. {} ended without taking leave: the log tells which.",
            things(receipt.died, "worker"),
        );
    } else {
        let _ = write!(text, "{BAD}{}{BAD:#}: the log tells where.", verdict(receipt));
    }
    text
}

/// How much was lost, and no more than is known of it.
fn verdict(receipt: &Receipt) -> String {
    let lost = receipt.dropped.total().saturating_add(receipt.missing);
    let were = |number: u64| if number == 1 { "was" } else { "were" };
    let known = format!("{} {} lost", things(lost, "record"), were(lost));
    match (lost, receipt.losses.unknown()) {
        (_, 0) => known,
        (0, times) => {
            format!("Records were lost {}, and nobody can know how many", things(times, "time"))
        }
        (_, times) => format!("{known}, and {} more than anybody can know", things(times, "time")),
    }
}

/// `cut off 3, torn 1`: what is lost of which nobody knows how many records it was.
fn unknown_reasons(losses: &Losses) -> String {
    let unknown = losses.iter().filter(|(loss, _)| !loss.is_counted());
    let each = unknown
        .map(|(loss, lost)| format!("{} {}", loss.as_str().replace('_', " "), count(lost.times)));
    each.collect::<Vec<_>>().join(", ")
}

/// `full 3, missing 1 (records); cut off 2 (times, of unknown number)`.
pub(super) fn losses_told(losses: &Losses) -> String {
    let known = losses.iter().filter(|(loss, _)| loss.is_counted());
    let known = known
        .map(|(loss, lost)| format!("{} {}", loss.as_str().replace('_', " "), count(lost.records)));
    let (known, unknown) = (known.collect::<Vec<_>>().join(", "), unknown_reasons(losses));
    let known = if known.is_empty() { known } else { format!("{known} (records)") };
    let unknown =
        if unknown.is_empty() { unknown } else { format!("{unknown} (times, of unknown number)") };
    [known, unknown].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}

/// Each reason that occurred: records, where they are counted, and how often, first and last.
pub(super) fn losses_to_json(losses: &Losses) -> Value {
    let time = |nanoseconds: u64| {
        let time = Timestamp::from_nanosecond(nanoseconds.into()).ok()?;
        Some(format!("{time:.6}"))
    };
    let each = losses.iter().map(|(loss, Lost { records, times, first, last })| {
        let records = loss.is_counted().then_some(records);
        let told = json!({
            "records": records, "times": times, "first": time(first), "last": time(last),
        });
        (loss.as_str().to_owned(), told)
    });
    Value::Object(each.collect())
}

fn remark(number: u64, remark: &str) -> String {
    if number == 0 { String::new() } else { remark.to_owned() }
}

fn workers(receipt: &Receipt) -> String {
    if receipt.accounts.is_empty() {
        return String::new();
    }
    let mut table = Table::with_headline(
        &[
            ("WORKER", Align::Left),
            ("PID", Align::Right),
            ("ATTEMPTED", Align::Right),
            ("WRITTEN", Align::Right),
            ("DROPPED", Align::Right),
            ("", Align::Left),
        ],
        2,
    );
    for account in &receipt.accounts {
        let dropped = account.dropped.total();
        let style = if dropped > 0 { WARNING } else { anstyle::Style::new() };
        table.row(vec![
            Cell::text(&account.name),
            Cell::text(&account.pid.to_string()),
            Cell::count(account.attempted()),
            Cell::count(account.written),
            Cell::count(dropped).styled(style),
            Cell::text(&reasons(account.dropped)),
        ]);
    }
    let more = receipt.workers.saturating_sub(receipt.accounts.len() as u64);
    let rest = if more > 0 { format!("  and {} more\n", count(more)) } else { String::new() };
    format!("{table}\n{rest}")
}

/// `full 3, no_listener 4`.
fn reasons(drops: Drops) -> String {
    let each = drops.by_reason().map(|(reason, number)| {
        let reason = reason.as_str().replace('_', " ");
        format!("{reason} {}", count(number))
    });
    each.collect::<Vec<_>>().join(", ")
}

/// The receipt as JSON text on one line.
pub(super) fn to_json(receipt: &Receipt) -> String {
    let accounts: Vec<_> = receipt.accounts.iter().map(account_to_json).collect();
    json!({
        "pid": receipt.pid,
        "uptime_seconds": receipt.uptime.as_secs_f64(),
        "complete": receipt.is_complete(),
        "workers": receipt.workers,
        "died": receipt.died,
        "written": receipt.written,
        "lines": receipt.lines,
        "bytes": receipt.bytes,
        "dropped": drops_to_json(receipt.dropped),
        "missing": receipt.missing,
        "truncated": receipt.truncated,
        "doubles": receipt.doubles,
        "offences": receipt.offences,
        "left": receipt.left,
        "left_named": receipt.left_named.iter().map(|left| json!({
            "what": left.what,
            "why": left.why,
        })).collect::<Vec<_>>(),
        "losses": losses_to_json(&receipt.losses),
        "accounts": accounts,
    })
    .to_string()
}

fn account_to_json(account: &WorkerAccount) -> Value {
    json!({
        "name": account.name,
        "pid": account.pid,
        "attempted": account.attempted(),
        "written": account.written,
        "dropped": drops_to_json(account.dropped),
    })
}

fn drops_to_json(drops: Drops) -> Value {
    let each =
        drops.by_reason().map(|(reason, number)| (reason.as_str().to_owned(), number.into()));
    Value::Object(each.collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetlog_protocol::message::Loss;
    use std::time::Duration;

    fn plain(receipt: &Receipt, every_worker: bool) -> String {
        anstream::adapter::strip_str(&table(receipt, every_worker)).to_string()
    }

    fn complete() -> Receipt {
        Receipt {
            pid: 42,
            uptime: Duration::from_secs(90),
            workers: 1,
            written: 1_000,
            lines: 2_000,
            bytes: 4_096,
            accounts: vec![WorkerAccount {
                name: "worker\u{1b}[31m 0".to_owned(),
                pid: 43,
                written: 1_000,
                dropped: Drops::default(),
            }],
            ..Receipt::default()
        }
    }

    #[test]
    fn a_complete_receipt_is_short_and_says_so() {
        let text = plain(&complete(), false);
        assert!(text.starts_with("The listener 42 ended after 1m 30s.\n"), "{text}");
        assert!(text.contains("lines      2,000  4.0 KiB"), "{text}");
        assert!(text.ends_with("Nothing was lost."), "{text}");
        assert!(!text.contains("WORKER"), "{text}");
    }

    #[test]
    fn a_receipt_with_dead_workers_claims_no_more_than_is_known() {
        let text = plain(&Receipt { died: 2, ..complete() }, false);
        assert!(!text.contains("Nothing was lost"), "{text}");
        assert!(text.contains("2 workers ended without taking leave"), "{text}");
    }

    #[test]
    fn a_loss_of_unknown_number_is_no_number_and_is_not_nothing() {
        let mut receipt = complete();
        receipt.losses.note(Loss::CutOff, 0, 2, 1);
        let text = plain(&receipt, false);
        assert!(!text.contains("Nothing was lost"), "{text}");
        assert!(text.contains("cut off 2"), "{text}");
        assert!(text.contains("lost 2 times, and nobody can know how many"), "{text}");
        let value: Value = serde_json::from_str(&to_json(&receipt)).unwrap();
        assert_eq!(value["complete"], false);
        assert_eq!(value["losses"]["cut_off"]["times"], 2);
        assert_eq!(value["losses"]["cut_off"]["records"], Value::Null);
        receipt.dropped = Drops([3, 0, 0, 0]);
        let text = plain(&receipt, false);
        assert!(text.contains("3 records were lost, and 2 times more than"), "{text}");
    }

    #[test]
    fn workers_are_listed_when_asked_and_can_not_drive_the_terminal() {
        let text = plain(&complete(), true);
        assert!(text.contains("WORKER") && text.contains("worker\\u{1b}[31m 0"), "{text}");
    }

    #[test]
    fn a_loss_is_told_with_its_reason_and_its_worker() {
        let mut receipt = complete();
        receipt.dropped = Drops([3, 4, 0, 0]);
        receipt.missing = 1;
        receipt.accounts[0].dropped = receipt.dropped;
        let text = plain(&receipt, false);
        assert!(text.contains("full 3, no listener 4"), "{text}");
        assert!(text.contains("1,007"), "the worker's attempts: {text}");
        assert!(text.contains("8 records were lost"), "{text}");
    }

    #[test]
    fn the_json_has_every_number() {
        let mut receipt = complete();
        receipt.dropped = Drops([0, 4, 0, 0]);
        let value: Value = serde_json::from_str(&to_json(&receipt)).unwrap();
        assert_eq!(value["written"], 1_000);
        assert_eq!(value["dropped"], json!({"no_listener": 4}));
        assert_eq!(value["complete"], false);
        assert_eq!(value["accounts"][0]["attempted"], 1_000);
    }
}
