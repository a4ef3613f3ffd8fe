//! The benchmark works: a quick run prints every row, and every file was judged. No figure is
//! looked at.

use std::process::Command;

#[test]
fn a_quick_benchmark_prints_every_row_with_its_verdict() {
    let output = Command::new(env!("CARGO_BIN_EXE_bench")).arg("--quick").output().expect("a run");
    let (table, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{errors}", output.status);
    assert!(errors.is_empty(), "progress is for terminals: {errors}");

    let peers = ["tracing_subscriber::fmt", "tracing-appender", "fleetlog"];
    for (workers, count) in [("", 3), ("| 1 |", 1), ("| 4 |", 1)] {
        for peer in peers {
            let rows: Vec<&str> = table
                .lines()
                .filter(|line| line.starts_with(workers) && line.contains(peer))
                .collect();
            assert_eq!(rows.len(), count, "rows of {peer} with {workers:?}:\n{table}");
            for row in rows {
                let verdict = row.contains("| complete |") || row.contains("| INCOMPLETE: ");
                assert!(verdict, "no verdict in {row}");
            }
        }
    }
    // What a peer loses is the peer's affair; fleetlog loses nothing.
    let ours: Vec<&str> = table.lines().filter(|line| line.contains("| fleetlog")).collect();
    assert!(ours.iter().all(|row| row.ends_with("| complete |")), "{table}");
}

#[test]
fn a_wrong_argument_is_refused() {
    let output = Command::new(env!("CARGO_BIN_EXE_bench")).arg("--fast").output().expect("a run");
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
}
