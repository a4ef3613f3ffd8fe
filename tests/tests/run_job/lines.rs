//! What a job prints.

use super::*;

use fleetlog_tests::Random;

/// The megabytes that the loud job prints; `FLEETLOG_JOB_MB` asks for more.
fn megabytes() -> usize {
    std::env::var("FLEETLOG_JOB_MB").map_or(10, |text| text.parse().expect("a number"))
}

#[test]
fn a_loud_job_has_every_line_in_the_log_once_and_in_order() {
    let fixture = fixture();
    // 100 bytes a line, the number first.
    let count = megabytes() * 10_000;
    let script = format!(
        "awk 'BEGIN {{ for (n = 0; n < {count}; n++) printf \"%09d %089d\\n\", n, n * 7 }}'"
    );
    assert_eq!(run(&fixture, &script).succeed(), "");
    let lines = judge::lines(&fixture.log());
    demand_no_notice(&lines);
    let stdout = printed(&lines, "stdout");
    assert_eq!(stdout.len(), count);
    for (n, line) in stdout.iter().enumerate() {
        assert_eq!(*line, format!("{n:09} {:089}", n * 7));
    }
    assert_eq!(end(&lines).fields["stdout_lines"], count);
}

#[test]
fn each_line_has_its_stream_the_name_and_the_pid_of_the_job() {
    let fixture = fixture();
    let flags = ["--name", "nightly", "--stderr-level", "warn"];
    run_with(&fixture, &flags, "echo $$; echo trouble >&2; echo done").succeed();
    let lines = judge::lines(&fixture.log());
    assert!(lines.iter().all(|line| line.worker == "nightly"), "{lines:?}");
    let pid = printed(&lines, "stdout")[0].parse::<u64>().expect("a pid");
    for line in lines.iter().filter(|line| line.target == "job") {
        assert_eq!(line.fields["pid"], pid);
        let level = if line.fields["stream"] == "stdout" { "INFO" } else { "WARN" };
        assert_eq!(line.level, level);
    }
    assert_eq!(printed(&lines, "stdout")[1..], ["done"]);
    assert_eq!(printed(&lines, "stderr"), ["trouble"]);
}

#[test]
fn a_last_line_without_a_newline_is_a_record_on_both_streams() {
    let fixture = fixture();
    run(&fixture, "printf 'a\\n\\nb'; printf c >&2").succeed();
    let lines = judge::lines(&fixture.log());
    assert_eq!(printed(&lines, "stdout"), ["a", "", "b"]);
    assert_eq!(printed(&lines, "stderr"), ["c"]);
    assert_eq!(message(lines.last().expect("lines")), "job ended", "its lines come first");
}

#[test]
fn bytes_that_are_no_text_become_records_that_are() {
    let fixture = fixture();
    let noise = fixture.path().join("noise");
    fs::write(&noise, Random::seeded().bytes(100_000)).expect("a file");
    let known = "printf 'not \\377 UTF-8\\r\\nNUL \\000 ESC \\033[2J\\n'";
    run(&fixture, &format!("{known}; cat {}", noise.display())).succeed();
    let lines = judge::lines(&fixture.log());
    demand_no_notice(&lines);
    let stdout = printed(&lines, "stdout");
    assert_eq!(stdout[..2], ["not \u{fffd} UTF-8", "NUL \0 ESC \u{1b}[2J"]);
}

#[test]
fn a_line_above_the_limit_is_cut_and_says_how_long_it_was() {
    let fixture = fixture();
    run(&fixture, "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo behind it").succeed();
    let lines = judge::lines(&fixture.log());
    let stdout = printed(&lines, "stdout");
    assert_eq!(stdout.len(), 2);
    assert!((1_000_000..3_000_000).contains(&stdout[0].len()), "{}", stdout[0].len());
    assert!(stdout[0].bytes().all(|byte| byte == b'x'));
    assert_eq!(stdout[1], "behind it");
    let text = fs::read_to_string(fixture.log()).expect("the log");
    let cut = text.lines().find(|line| line.contains("xxxx")).expect("the line");
    let cut: Value = serde_json::from_str(cut).expect("JSON");
    assert!(
        cut["truncated"].as_u64().is_some_and(|length| length > 3_000_000),
        "{}",
        cut["truncated"]
    );
    assert_eq!(
        cut["fields"]["pid"],
        end(&lines).fields["pid"],
        "what stands behind the line is kept"
    );
}

#[test]
fn both_streams_stand_in_the_order_in_which_they_were_written() {
    let fixture = fixture();
    // Each line waits until the one before it is in the file.
    let script = format!(
        "for n in 1 2 3 4 5 6 7 8; do
           if [ $((n % 2)) = 0 ]; then echo line-$n >&2; else echo line-$n; fi
           until grep -q line-$n {}; do :; done
         done",
        fixture.log().display()
    );
    run_with(&fixture, &["--name", "job"], &script).succeed();
    let lines = judge::lines(&fixture.log());
    let both: Vec<_> = lines.iter().filter(|line| line.target == "job").map(message).collect();
    let expected: Vec<_> = (1..=8).map(|n| format!("line-{n}")).collect();
    assert_eq!(both, expected);
}

#[test]
fn tee_copies_both_streams_byte_for_byte() {
    let fixture = fixture();
    let log = fixture.log();
    let mut bytes = b"no newline at the end \xff\x00\r\n".repeat(5000);
    bytes.pop();
    let file = fixture.path().join("bytes");
    fs::write(&file, &bytes).expect("a file");
    let output = Command::new(BINARIES.fleetlog)
        .args(["run", "--tee", "--format", "json", "--file"])
        .arg(&log)
        .args(["--", "/bin/sh", "-c", "cat \"$0\"; cat \"$0\" >&2"])
        .arg(&file)
        .env("FLEETLOG_RUN_DIR", fixture.run_dir())
        .stdin(Stdio::null())
        .output()
        .expect("a run");
    assert!(output.status.success(), "{output:?}");
    assert!(output.stdout == bytes && output.stderr == bytes, "the copies differ");
    let lines = judge::lines(&log);
    assert_eq!(printed(&lines, "stdout").len(), 5000);
    assert_eq!(printed(&lines, "stderr").len(), 5000);
}

#[test]
fn a_reader_that_leaves_ends_a_pipe_inside_of_the_job() {
    let fixture = fixture();
    // SIGPIPE must be the default again in the job, or `yes` complains and fails.
    run(&fixture, "yes | head -1; (yes; echo $? >&2) | head -1").succeed();
    let lines = judge::lines(&fixture.log());
    assert_eq!(printed(&lines, "stdout"), ["y", "y"]);
    assert_eq!(printed(&lines, "stderr"), ["141"]);
}

#[test]
fn a_copy_that_can_not_be_written_is_told_of_and_costs_the_log_nothing() {
    for (script, code) in [("echo one; echo two", 1), ("echo one; echo two; exit 7", 7)] {
        let fixture = fixture();
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "exec \"$0\" \"$@\" >/dev/full", BINARIES.fleetlog]);
        command.args(["run", "--tee", "--format", "json", "--file"]).arg(fixture.log());
        command.args(["--", "/bin/sh", "-c", script]);
        command.env("FLEETLOG_RUN_DIR", fixture.run_dir());
        let output = command.output().expect("the command");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("the copy of the job's stdout ends early"), "{said}");
        assert!(said.contains("No space left on device"), "{said}");
        assert_eq!(output.status.code(), Some(code), "{said}");
        let lines = judge::lines(&fixture.log());
        assert_eq!(printed(&lines, "stdout"), ["one", "two"]);
    }
}

#[test]
fn who_has_read_enough_of_a_copy_makes_no_failure() {
    let fixture = fixture();
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "\"$0\" \"$@\" | head -n 1; exit 0", BINARIES.fleetlog]);
    command.args(["run", "--tee", "--format", "json", "--file"]).arg(fixture.log());
    command.args([
        "--",
        "/bin/sh",
        "-c",
        "i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done",
    ]);
    command.env("FLEETLOG_RUN_DIR", fixture.run_dir());
    let output = command.output().expect("the command");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("the copy"), "{said}");
    assert_eq!(printed(&judge::lines(&fixture.log()), "stdout").len(), 20_000);
}
