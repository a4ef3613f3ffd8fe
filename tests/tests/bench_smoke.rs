//! The benchmark works: a quick run prints every row of every table, and every file was judged.
//! No figure is looked at.

use std::process::{Command, Output};

/// Peers that need nothing but this package.
const OWN: [&str; 5] = [
    "`tracing_subscriber::fmt`, O_APPEND",
    "`tracing-appender` non-blocking",
    "fleetlog over the socket",
    "fleetlog over lanes",
    "the floor",
];

/// Peers that are programs, which a machine may lack.
const PROGRAMS: [&str; 2] = ["rsyslog over its Unix socket", "s6-log over a pipe"];

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bench")).args(arguments).output().expect("a run")
}

/// What a successful run prints.
fn report(arguments: &[&str]) -> String {
    let output = bench(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{errors}", output.status);
    assert!(errors.is_empty(), "progress is for terminals: {errors}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The rows of the table whose title begins with a word, without its head.
fn rows<'r>(report: &'r str, title: &str) -> Vec<&'r str> {
    let start = report.find(&format!("### {title}")).unwrap_or_else(|| panic!("{title}: {report}"));
    let lines = report[start..].lines().skip_while(|line| !line.starts_with("|---"));
    lines.skip(1).take_while(|line| line.starts_with('|')).collect()
}

/// Asserts that a peer has so many rows, each with its verdict.
fn assert_rows(rows: &[&str], peer: &str, count: usize) {
    let of_peer: Vec<_> = rows.iter().filter(|row| row.contains(&format!("| {peer} |"))).collect();
    assert_eq!(of_peer.len(), count, "rows of {peer}: {rows:#?}");
    for row in of_peer {
        // What another peer loses is its affair; fleetlog loses nothing.
        let verdict = match peer {
            "the floor" => row.ends_with("| no output |"),
            peer if peer.starts_with("fleetlog") => row.ends_with("| complete |"),
            _ => row.ends_with("| complete |") || row.contains("| INCOMPLETE: "),
        };
        assert!(verdict, "the verdict in {row}");
    }
}

#[test]
fn a_quick_benchmark_prints_every_row_with_its_verdict() {
    let report = report(&["--quick"]);
    let missing = |peer: &str| report.contains(&format!("Not measured: {peer}, because "));
    let programs = PROGRAMS.into_iter().filter(|peer| !missing(peer));
    for peer in OWN.into_iter().chain(programs) {
        assert_rows(&rows(&report, "Throughput"), peer, 1);
        assert_rows(&rows(&report, "Single calls"), peer, 2);
    }
    for extra in ["Births", "Growth", "Isolation", "Memory"] {
        assert!(!report.contains(&format!("### {extra}")), "nobody asked for {extra}:\n{report}");
    }
    assert!(report.starts_with("Log files on "), "{report}");
}

#[test]
fn more_tables_are_printed_for_whoever_asks() {
    let report = report(&["--quick", "--no-main", "--all"]);
    for fleetlog in ["fleetlog over the socket", "fleetlog over lanes"] {
        for (title, count) in [
            ("Births", 2),
            ("Growth", 2),
            ("Isolation", 3),
            ("Memory", 3),
            ("Followers", 3),
            ("Stalls", 3),
        ] {
            assert_rows(&rows(&report, title), fleetlog, count);
        }
    }
    assert_rows(&rows(&report, "Births"), OWN[0], 2);
    assert!(!report.contains("### Throughput"), "{report}");
}

#[test]
fn a_wrong_argument_is_refused() {
    let output = bench(&["--fast"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
}
