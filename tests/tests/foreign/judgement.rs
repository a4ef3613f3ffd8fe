//! What a log says of numbered messages, `source=2 n=7 xxxxxxx;`, whoever sent them how.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use fleetlog_tests::Verdict;
use fleetlog_tests::judge::{self, Line};
use serde_json::Value;

use crate::Account;

/// The parts of which a message's body is made.
const UNITS: [&str; 2] = ["x", "x\ny"];

/// Judges every numbered record of a log; the records of a workload, which have their number in
/// fields, count as well.
pub(crate) fn judge(log: &Path) -> Verdict {
    let mut verdict = Verdict::default();
    for line in judge::lines(log) {
        if line.seq == 0 {
            verdict.notices.push((message(&line).to_owned(), line));
            continue;
        }
        verdict.records += 1;
        match numbered(&line) {
            Ok(Some((source, n))) => verdict.sources.entry(source).or_default().push(n),
            Ok(None) => {}
            Err(fault) => verdict.faults.push(fault),
        }
    }
    verdict
}

/// Demands that a log has exactly what its clients were told was sent, in order.
pub(crate) fn demand_sent(log: &Path, accounts: &[(String, Account)]) {
    let verdict = judge(log);
    assert!(verdict.faults.is_empty(), "{:?}", verdict.faults);
    for (source, account) in accounts {
        let found = verdict.sources.get(&named(source)).map_or(&[][..], Vec::as_slice);
        let wrong = found.iter().zip(&account.sent).position(|(found, sent)| found != sent);
        let near = wrong.map(|at| {
            [found, &account.sent[..]]
                .map(|list| &list[at.saturating_sub(3)..list.len().min(at + 9)])
        });
        assert!(
            found == account.sent,
            "{source}: {} were sent, {} are in the file, near the first wrong one {near:?}",
            account.sent.len(),
            found.len()
        );
    }
    assert_eq!(verdict.sources.len(), accounts.len(), "{:?}", verdict.sources.keys());
}

/// Demands that each source's records stand in a log whole, once and in order, and returns how
/// many of those that were sent are not there.
pub(crate) fn losses(log: &Path, accounts: &[(String, Account)]) -> BTreeMap<String, u64> {
    let verdict = judge(log);
    assert!(verdict.faults.is_empty(), "{:?}", verdict.faults);
    let mut losses = BTreeMap::new();
    for (source, account) in accounts {
        let found = verdict.sources.get(&named(source)).map_or(&[][..], Vec::as_slice);
        let doubled = found.windows(2).find(|pair| pair[0] >= pair[1]);
        assert!(doubled.is_none(), "{source}: {doubled:?} stand in this order");
        assert!(found.iter().all(|n| *n < account.attempted), "{source}: who logged that?");
        let lost = account.sent.iter().filter(|n| found.binary_search(n).is_err()).count();
        losses.insert(source.clone(), lost as u64);
    }
    losses
}

/// What each source is to have logged.
pub(crate) fn counts<S: ToString>(
    sources: impl IntoIterator<Item = S>,
    records: u64,
) -> HashMap<String, u64> {
    sources.into_iter().map(|source| (named(&source.to_string()), records)).collect()
}

/// The message of a line.
pub(crate) fn message(line: &Line) -> &str {
    line.fields.get("message").and_then(Value::as_str).unwrap_or_default()
}

/// A source as the harness's judge names it.
fn named(source: &str) -> String {
    Value::from(source).to_string()
}

fn numbered(line: &Line) -> Result<Option<(String, u64)>, String> {
    if let (Some(source), Some(n)) = (line.fields.get("source"), line.fields.get("n")) {
        return Ok(n.as_u64().map(|n| (source.to_string(), n)));
    }
    let text = message(line);
    if !text.contains("source=") && !text.contains(" n=") {
        return Ok(None);
    }
    let parts = || {
        let (source, rest) = text.strip_prefix("source=")?.split_once(" n=")?;
        let (n, body) = rest.split_once(' ')?;
        let n: u64 = n.parse().ok()?;
        let times = usize::try_from(n % 97).ok()?;
        let is_whole = UNITS.iter().any(|unit| body == format!("{};", unit.repeat(times)));
        is_whole.then(|| (named(source), n))
    };
    parts().map(Some).ok_or_else(|| format!("not whole: {text:?}"))
}
