//! The host is never harmed: programs that do to themselves what hosts do, and afterwards prove
//! that their own files are unchanged and that they live; and what they tried to log is in the
//! files, or somebody says that it is not. Over lanes and over the socket.

mod deeds;
mod places;

use std::path::Path;

use fleetlog_tests::{Fixture, ListenerUnderTest, binaries, judge, wait};

/// Records of each source.
const RECORDS: u64 = 1500;

/// The records of `log_from_many_callsites`.
const OF_CALLSITES: u64 = 100;

fn fixture(transport: &'static str) -> Fixture {
    Fixture::new(binaries!()).over(transport)
}

/// The arguments of a host that does a deed.
fn host<'a>(fixture: &'a Fixture, deed: &'a str) -> Vec<String> {
    let folder = folder(fixture);
    std::fs::create_dir_all(&folder).expect("a folder");
    let folder = folder.to_str().expect("UTF-8");
    ["host", "--deed", deed, "--folder", folder].map(str::to_owned).to_vec()
}

/// The folder that is the host's own.
fn folder(fixture: &Fixture) -> std::path::PathBuf {
    fixture.path().join("host")
}

/// Demands that the files of a host hold what it wrote into them, whatever their descriptors say.
fn demand_own_files_unchanged(folder: &Path) {
    let own = folder.join("own");
    let mut count = 0;
    for entry in std::fs::read_dir(own).expect("the host's folder").flatten() {
        let number = entry.file_name().into_string().expect("a number");
        let found = std::fs::read_to_string(entry.path()).expect("a text");
        let text = format!("own file {number}\n");
        let rest = found.strip_prefix(&text);
        assert!(
            rest.is_some_and(|rest| rest.is_empty() || rest == "the host prints\n"),
            "{number}: {found:?}"
        );
        count += 1;
    }
    assert!(count > 0, "the host had no files");
}

/// A host does its deed under a listener that lives; everything is in the log, and its files are
/// unchanged.
fn nothing_is_harmed_or_lost(fixture: &Fixture, deed: &str, extra: &[&str]) {
    let listener = fixture.listener().start();
    let mut arguments = host(fixture, deed);
    arguments.extend(extra.iter().map(|word| (*word).to_owned()));
    let output = fixture.workload(arguments).succeed();
    demand_everything(fixture, listener, &output);
}

/// Demands that a host that has ended harmed none of its files, and that everything is in the log.
fn demand_everything(fixture: &Fixture, listener: ListenerUnderTest, output: &str) {
    wait::until("the host has ended", || folder(fixture).join("lives").exists());
    assert!(!output.contains("lost"), "{output}");
    demand_own_files_unchanged(&folder(fixture));
    let receipt = listener.stop();
    assert!(receipt.is_complete() && receipt.offences == 0, "{receipt:?}\n{}", fixture.report());
    let verdict = judge::judge(&fixture.log());
    verdict.demand_exact(5, RECORDS);
    let attempted = 5 * RECORDS + OF_CALLSITES;
    assert!(receipt.written >= attempted, "{} of {attempted}", receipt.written);
}

/// The records that a program said were lost with it and its children.
fn told_lost(output: &str) -> u64 {
    let sentence = |line: &str| {
        let (count, rest) = line.strip_prefix("fleetlog: ")?.split_once(' ')?;
        rest.contains("are lost with it").then(|| count.parse::<u64>().expect("a number"))
    };
    output.lines().filter_map(sentence).sum()
}
