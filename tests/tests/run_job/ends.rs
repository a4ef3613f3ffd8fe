//! How a job begins and ends.

use super::*;

#[test]
fn the_code_of_the_job_is_the_code_of_the_run() {
    for code in [0, 1, 3, 255] {
        let fixture = fixture();
        let mut run = run(&fixture, &format!("exit {code}"));
        assert_eq!(run.code(), code, "{}", run.output());
        assert_eq!(run.output(), "");
        let lines = judge::lines(&fixture.log());
        demand_no_notice(&lines);
        let end = end(&lines);
        assert_eq!(end.fields["code"], code);
        assert_eq!(end.fields["status"], format!("exit code {code}"));
        assert_eq!(end.level, if code == 0 { "INFO" } else { "ERROR" });
    }
}

#[test]
fn start_and_end_tell_what_ran_and_what_it_took() {
    let fixture = fixture();
    run(&fixture, "i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done; echo it\\'s done")
        .succeed();
    let lines = judge::lines(&fixture.log());
    let start = &lines[0];
    assert_eq!((message(start), start.target.as_str()), ("job started", "fleetlog::run"));
    let command = start.fields["command"].as_str().expect("text");
    assert!(command.starts_with("/bin/sh -c 'i=0; while"), "{command}");
    assert!(command.ends_with(r"echo it\'\''s done'"), "{command}");
    let cwd = std::env::current_dir().expect("a folder");
    assert_eq!(start.fields["cwd"], cwd.display().to_string());
    let end = end(&lines);
    let number =
        |name: &str| end.fields[name].as_u64().unwrap_or_else(|| panic!("{name}: {end:?}"));
    assert!(number("user_ms") > 0 && number("max_rss_kib") > 100, "{end:?}");
    assert!(number("duration_ms") >= number("user_ms"), "{end:?}");
    assert_eq!((number("stdout_lines"), number("stderr_lines")), (1, 0));
    assert_eq!(end.fields["pid"], start.fields["pid"]);
    let _ = number("system_ms");
}

#[test]
fn a_job_killed_by_a_signal_ends_the_run_with_128_and_the_signal() {
    for (name, code) in [("TERM", 143), ("KILL", 137), ("SEGV", 139)] {
        let fixture = fixture();
        let mut run = run(&fixture, &format!("echo before; kill -{name} $$; echo behind"));
        assert_eq!(run.code(), code, "{}", run.output());
        let lines = judge::lines(&fixture.log());
        assert_eq!(printed(&lines, "stdout"), ["before"]);
        assert_eq!(end(&lines).fields["status"], format!("killed by SIG{name}"));
        assert_eq!(end(&lines).fields["code"], code);
    }
}

#[test]
fn a_command_that_is_not_found_is_127_and_one_that_is_not_executable_126() {
    let fixture = fixture();
    let plain = fixture.path().join("plain");
    fs::write(&plain, "#!/bin/sh\n").expect("a file");
    let lost = fixture.path().join("lost");
    fs::write(&lost, "#!/no/such/interpreter\n").expect("a file");
    fs::set_permissions(&lost, fs::Permissions::from_mode(0o755)).expect("its mode");
    let folder = fixture.path().to_owned();
    for (command, code, why) in [
        (Path::new("no-such-command-anywhere"), 127, "command not found"),
        (Path::new("/no/such/command"), 127, "command not found"),
        (&lost, 127, "its interpreter, or its folder, was not found"),
        (&plain, 126, "it is not executable"),
        (&folder, 126, "it is not executable"),
    ] {
        let log = fixture.log().into_os_string().into_string().expect("UTF-8");
        let command = command.to_str().expect("UTF-8");
        let mut run = fixture.command(["run", "--file", &log, "--format", "json", "--", command]);
        assert_eq!(run.code(), code, "{}", run.output());
        assert_eq!(run.output(), format!("fleetlog: {command}: {why}\n"));
        let lines = judge::lines(&fixture.log());
        demand_no_notice(&lines);
        assert_eq!(end(&lines).fields["status"], format!("could not be started: {why}"));
        assert_eq!(end(&lines).fields["code"], code);
        assert_eq!(end(&lines).level, "ERROR");
        fs::remove_file(fixture.log()).expect("the log");
    }
}

#[test]
fn a_log_that_can_not_be_written_fails_before_the_job_starts() {
    let fixture = fixture();
    let in_the_way = fixture.path().join("file");
    fs::write(&in_the_way, "").expect("a file");
    let began = fixture.path().join("began");
    let log = in_the_way.join("apps.log");
    let mut run = fixture.command([
        Path::new("run"),
        Path::new("--file"),
        &log,
        Path::new("--"),
        Path::new("/bin/touch"),
        &began,
    ]);
    assert_eq!(run.code(), 1, "{}", run.output());
    assert!(run.output().starts_with("fleetlog: run: "), "{}", run.output());
    assert!(run.output().contains(&log.display().to_string()), "{}", run.output());
    assert!(!began.exists(), "the job ran");
}

#[test]
fn a_folder_that_is_missing_is_made() {
    let fixture = fixture();
    let log = fixture.path().join("not/yet/apps.log");
    let text = log.to_str().expect("UTF-8");
    fixture.command(["run", "--file", text, "--", "echo", "hello"]).succeed();
    assert!(fs::read_to_string(&log).expect("the log").contains("job: hello"));
}
