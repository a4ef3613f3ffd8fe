//! The job's processes, and the signals that they are told.

use super::*;

/// Lets a shell wait for a file.
fn until_there(path: &Path) -> String {
    format!("until [ -e {} ]; do sleep 0.01; done", path.display())
}

fn touch(path: &Path) {
    fs::write(path, "").expect("a file");
}

fn in_log(fixture: &Fixture, text: &str) -> bool {
    fs::read_to_string(fixture.log()).is_ok_and(|log| log.contains(text))
}

#[test]
fn what_a_child_prints_that_outlives_the_job_is_logged_too() {
    let fixture = fixture();
    let go = fixture.path().join("go");
    let script = format!("({}; echo late; printf last) & echo early; exit 5", until_there(&go));
    let mut run = run(&fixture, &script);
    wait::until("the job has ended", || in_log(&fixture, "job ended"));
    assert!(run.is_running(), "somebody holds its output");
    touch(&go);
    assert_eq!(run.code(), 5, "{}", run.output());
    let lines = judge::lines(&fixture.log());
    let told: Vec<_> = lines.iter().map(message).collect();
    let expected =
        ["job started", "early", "job ended", "late", "last", "the job's last process ended"];
    assert_eq!(told, expected);
    assert_eq!(lines[5].fields["orphans"], 1);
}

#[test]
fn a_daemon_that_lets_go_of_the_output_does_not_keep_the_run() {
    let fixture = fixture();
    let go = fixture.path().join("go");
    let gone = fixture.path().join("gone");
    let detached = fixture.path().join("detached");
    let daemon =
        format!(": > {}; {}; : > {}", detached.display(), until_there(&go), gone.display());
    let script = format!(
        "setsid sh -c '{daemon}' < /dev/null > /dev/null 2>&1 & {}; echo started",
        until_there(&detached)
    );
    run(&fixture, &script).succeed();
    let lines = judge::lines(&fixture.log());
    assert_eq!(message(lines.last().expect("lines")), "job ended");
    touch(&go);
    wait::until("the daemon has lived on", || gone.exists());
}

#[test]
fn a_job_whose_output_ends_before_it_does_is_waited_for() {
    let fixture = fixture();
    let go = fixture.path().join("go");
    let script = format!("echo early; exec > /dev/null 2>&1; {}; exit 4", until_there(&go));
    let mut run = run(&fixture, &script);
    wait::until("its line is there", || in_log(&fixture, "early"));
    assert!(run.is_running());
    touch(&go);
    assert_eq!(run.code(), 4, "{}", run.output());
    assert_eq!(end(&judge::lines(&fixture.log())).fields["code"], 4);
}

#[test]
fn an_output_that_a_stranger_holds_does_not_keep_the_run() {
    let fixture = fixture();
    // The test itself opens the job's pipe, through the job's descriptor.
    let go = fixture.path().join("go");
    let mut run = run(&fixture, &format!("echo $$; {}; echo last", until_there(&go)));
    wait::until("it tells its pid", || in_log(&fixture, "\"job\""));
    let pid = printed(&judge::lines(&fixture.log()), "stdout")[0].to_owned();
    let held = fs::OpenOptions::new().write(true).open(format!("/proc/{pid}/fd/1"));
    let held = held.expect("the pipe");
    touch(&go);
    assert_eq!(run.code(), 0, "{}", run.output());
    drop(held);
    assert_eq!(printed(&judge::lines(&fixture.log()), "stdout")[1..], ["last"]);
}

#[test]
fn signals_are_passed_on_to_the_whole_group_and_the_job_decides() {
    for (signal, name) in [
        (Signal::SIGTERM, "TERM"),
        (Signal::SIGINT, "INT"),
        (Signal::SIGHUP, "HUP"),
        (Signal::SIGQUIT, "QUIT"),
        (Signal::SIGUSR1, "USR1"),
        (Signal::SIGUSR2, "USR2"),
        (Signal::SIGALRM, "ALRM"),
    ] {
        let fixture = fixture();
        let (ready, child) = (fixture.path().join("ready"), fixture.path().join("child"));
        // A background child of a shell ignores INT and QUIT, so this one is in the foreground.
        let script = format!(
            "trap 'echo parent told; exit 7' {name}
             sh -c \"trap 'echo child told; exit 0' {name}; : > {}; while :; do sleep 0.01; done\"
             : > {}; while :; do sleep 0.01; done",
            ready.display(),
            child.display()
        );
        let mut run = run(&fixture, &script);
        wait::until("the job is ready", || ready.exists());
        run.signal(signal);
        assert_eq!(run.code(), 7, "{name}: {}", run.output());
        let lines = judge::lines(&fixture.log());
        demand_no_notice(&lines);
        assert_eq!(printed(&lines, "stdout"), ["child told", "parent told"], "{name}");
        assert_eq!(end(&lines).fields["status"], "exit code 7");
    }
}

#[test]
fn what_outlives_the_job_is_told_signals_wherever_it_went() {
    let fixture = fixture();
    let ready = fixture.path().join("ready");
    let trap = "trap 'echo orphan told; exit 0' TERM";
    let script = format!(
        "setsid sh -c \"{trap}; : > {}; while :; do sleep 0.01; done\" & echo early",
        ready.display()
    );
    let mut run = run(&fixture, &script);
    wait::until("the job has ended", || in_log(&fixture, "job ended") && ready.exists());
    run.signal(Signal::SIGTERM);
    assert_eq!(run.code(), 0, "{}", run.output());
    assert_eq!(printed(&judge::lines(&fixture.log()), "stdout"), ["early", "orphan told"]);
}

#[test]
fn a_signal_that_was_ignored_stays_so_for_the_job_too() {
    let fixture = fixture();
    let (ready, go) = (fixture.path().join("ready"), fixture.path().join("go"));
    let job = format!(": > {}; {}; echo survived", ready.display(), until_there(&go));
    let log = fixture.log();
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "trap '' HUP; exec \"$@\"", "sh", BINARIES.fleetlog, "run", "--format"])
        .args(["json", "--file"])
        .arg(&log)
        .args(["--", "/bin/sh", "-c", &job])
        .env("FLEETLOG_RUN_DIR", fixture.run_dir());
    let mut run = fixture.start("nohup", command);
    wait::until("the job is ready", || ready.exists());
    run.signal(Signal::SIGHUP);
    let pid = end_pid(&fixture);
    nix::sys::signal::kill(pid, Signal::SIGHUP).expect("the job is there");
    touch(&go);
    assert_eq!(run.code(), 0, "{}", run.output());
    assert_eq!(printed(&judge::lines(&log), "stdout"), ["survived"]);
}

/// The pid of the job that has started.
fn end_pid(fixture: &Fixture) -> nix::unistd::Pid {
    wait::until("the start is logged", || in_log(fixture, "job started"));
    let lines = judge::lines(&fixture.log());
    let pid = lines[0].fields["pid"].as_i64().expect("a pid");
    nix::unistd::Pid::from_raw(i32::try_from(pid).expect("a pid"))
}
