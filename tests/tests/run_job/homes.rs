//! Where the records go: a listener that lives, this process, and from one to the other.

use super::*;

/// A run that was told a file and no run directory.
struct Cron<'f> {
    fixture: &'f Fixture,
    /// Where the job told its run directory.
    told: PathBuf,
}

impl<'f> Cron<'f> {
    fn new(fixture: &'f Fixture) -> Self {
        Self { fixture, told: fixture.path().join("told") }
    }

    fn run(&self, name: &str, script: &str) -> Program {
        let script = format!("echo \"$FLEETLOG_RUN_DIR\" > {}; {script}", self.told.display());
        let mut command = Command::new(BINARIES.fleetlog);
        command
            .args(["run", "--format", "json", "--name", name, "--file"])
            .arg(self.fixture.log())
            .args(["--", "/bin/sh", "-c", &script])
            .env_remove("FLEETLOG_RUN_DIR")
            .env_remove("FLEETLOG_NAME")
            .env("XDG_RUNTIME_DIR", self.fixture.path());
        self.fixture.start("run", command)
    }

    fn run_dir(&self) -> PathBuf {
        fs::read_to_string(&self.told).expect("a run directory").trim().into()
    }
}

impl Drop for Cron<'_> {
    /// Root's run directories are not below the fixture's folder.
    fn drop(&mut self) {
        let run_dir = fs::read_to_string(&self.told).unwrap_or_default();
        if run_dir.contains("/run-") {
            let _ = fs::remove_dir_all(run_dir.trim());
        }
    }
}

#[test]
fn a_run_joins_the_listener_of_its_run_directory() {
    let fixture = fixture();
    let listener = fixture.listener().start();
    let run = fixture.command(["run", "--name", "batch", "--", "echo", "hello"]);
    assert_eq!(run.succeed(), "");
    assert!(listener.stop().is_complete());
    let lines = judge::lines(&fixture.log());
    demand_no_notice(&lines);
    assert_eq!(printed(&lines, "stdout"), ["hello"]);
    assert!(lines.iter().all(|line| line.worker == "batch"));
}

#[test]
fn a_run_with_files_that_joins_a_listener_says_whose_files_are_used() {
    let fixture = fixture();
    let listener = fixture.listener().start();
    let other = fixture.path().join("other.log");
    let run =
        fixture.command(["run", "--file", other.to_str().expect("UTF-8"), "--", "echo", "hello"]);
    let said = run.succeed();
    assert!(said.contains("--file is not used") && said.lines().count() == 1, "{said}");
    assert!(listener.stop().is_complete());
    assert!(!other.exists());
    assert_eq!(printed(&judge::lines(&fixture.log()), "stdout"), ["hello"]);
}

#[test]
fn without_a_listener_and_a_file_the_records_go_to_standard_output() {
    let fixture = fixture();
    let run = fixture.command(["run", "--format", "{target}|{message}", "--", "echo", "hello"]);
    assert_eq!(run.succeed(), "fleetlog::run|job started\njob|hello\nfleetlog::run|job ended\n");
}

#[test]
fn a_reader_of_standard_output_that_leaves_neither_ends_nor_blocks_the_job() {
    let fixture = fixture();
    let done = fixture.path().join("done");
    let script = format!("seq 200000; : > {}", done.display());
    let mut child = Command::new(BINARIES.fleetlog)
        .args(["run", "--timeout", "1s", "--", "/bin/sh", "-c", &script])
        .env("FLEETLOG_RUN_DIR", fixture.run_dir())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a run");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("its end");
    assert!(done.exists(), "the job came to its end");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("nobody reads standard output"), "{said}");
}

#[test]
fn lines_survive_the_kills_of_the_listener_that_was_joined() {
    let fixture = fixture();
    let mut listener = fixture.listener().start();
    let gate = |n: usize| fixture.path().join(format!("gate{n}"));
    let script = format!(
        "for part in 0 1 2 3 4; do
           n=0; while [ $n -lt 500 ]; do echo $part-$n; n=$((n + 1)); done
           until [ -e {}/gate$part ]; do sleep 0.01; done
         done",
        fixture.path().display()
    );
    let mut run = fixture.command(["run", "--", "/bin/sh", "-c", &script]);
    for part in 0..5 {
        wait::until("some of the part is in the file", || {
            fs::read_to_string(fixture.log()).is_ok_and(|log| log.contains(&format!("\"{part}-")))
        });
        listener.kill();
        fs::write(gate(part), "").expect("a file");
        listener = fixture.listener().start();
    }
    assert_eq!(run.code(), 0, "{}", run.output());
    assert!(listener.stop().is_complete());
    let lines = judge::lines(&fixture.log());
    demand_no_notice(&lines);
    let expected: Vec<_> =
        (0..5).flat_map(|part| (0..500).map(move |n| format!("{part}-{n}"))).collect();
    assert_eq!(printed(&lines, "stdout"), expected);
}

#[test]
fn two_runs_of_one_file_overlap_and_both_are_in_it() {
    let fixture = fixture();
    let cron = Cron::new(&fixture);
    let (first_go, second_go) = (fixture.path().join("first"), fixture.path().join("second"));
    let script = |go: &Path| {
        format!(
            "n=0; while [ $n -lt 2000 ]; do echo $n; n=$((n + 1)); done
             until [ -e {} ]; do sleep 0.01; done
             while [ $n -lt 4000 ]; do echo $n; n=$((n + 1)); done",
            go.display()
        )
    };
    let in_log = |name: &str, n: u64| {
        let log = fs::read_to_string(fixture.log()).unwrap_or_default();
        let message = format!("\"message\":\"{n}\"");
        log.lines().any(|line| line.contains(&message) && line.contains(name))
    };
    let mut first = cron.run("one", &script(&first_go));
    wait::until("the first has logged", || in_log("one", 1999));
    let run_dir = cron.run_dir();
    let mut second = cron.run("two", &script(&second_go));
    wait::until("the second has joined it", || in_log("two", 1999));
    assert_eq!(cron.run_dir(), run_dir);
    fs::write(first_go, "").expect("a file");
    assert_eq!(first.code(), 0, "{}", first.output());
    assert!(second.is_running());
    fs::write(second_go, "").expect("a file");
    assert_eq!(second.code(), 0, "{}", second.output());
    assert_eq!((first.output(), second.output()), (String::new(), String::new()));
    let lines = judge::lines(&fixture.log());
    demand_no_notice(&lines);
    let expected: Vec<_> = (0..4000).map(|n| n.to_string()).collect();
    for name in ["one", "two"] {
        let own = lines.iter().filter(|line| line.worker == name && line.target == "job");
        assert_eq!(own.map(message).collect::<Vec<_>>(), expected, "{name}");
        let ends = lines.iter().filter(|line| line.worker == name && message(line) == "job ended");
        assert_eq!(ends.count(), 1, "{name}");
    }
}

#[test]
fn the_run_after_a_killed_one_finishes_its_file() {
    let fixture = fixture();
    let cron = Cron::new(&fixture);
    let mut killed = cron.run("killed", "while :; do echo again; done");
    wait::until("it logs", || fs::metadata(fixture.log()).is_ok_and(|log| log.len() > 100_000));
    killed.signal(Signal::SIGKILL);
    killed.wait();
    let run_dir = cron.run_dir();
    cron.run("next", "echo hello").succeed();
    assert_eq!(cron.run_dir(), run_dir, "a file has one run directory");
    // Every line is whole.
    let lines = judge::lines(&fixture.log());
    assert!(lines.iter().any(|line| line.worker == "next" && message(line) == "hello"));
}

#[test]
fn a_worker_inside_of_the_job_joins_by_the_environment() {
    let fixture = fixture();
    let cron = Cron::new(&fixture);
    let storm = format!("exec {} storm --workers 3 --records 2000", BINARIES.workload);
    cron.run("storm", &storm).succeed();
    let verdict = judge::judge(&fixture.log());
    verdict.demand_exact(3, 2000);
    assert!(verdict.notices.is_empty(), "{:?}", verdict.notices);
}

#[test]
fn the_job_knows_run_directory_and_name_and_a_name_that_is_set_stays() {
    let fixture = fixture();
    let script = "echo $FLEETLOG_RUN_DIR; echo $FLEETLOG_NAME";
    run_with(&fixture, &["--name", "nightly"], script).succeed();
    let expected = [fixture.run_dir().display().to_string(), "nightly".to_owned()];
    assert_eq!(printed(&judge::lines(&fixture.log()), "stdout"), expected);
    let mut command = Command::new(BINARIES.fleetlog);
    command
        .args(["run", "--format", "{message}", "--", "/bin/sh", "-c", "echo $FLEETLOG_NAME"])
        .env("FLEETLOG_RUN_DIR", fixture.run_dir())
        .env("FLEETLOG_NAME", "chosen");
    let said = fixture.start("run", command).succeed();
    assert_eq!(said.lines().nth(1), Some("chosen"), "{said}");
}

#[test]
fn a_run_that_waits_for_a_listener_behind_its_job_ends_when_it_is_told() {
    let fixture = fixture();
    let listener = fixture.listener().start();
    let (ready, go) = (fixture.path().join("ready"), fixture.path().join("go"));
    let script = format!(
        ": > {}; until [ -e {} ]; do sleep 0.01; done; echo last",
        ready.display(),
        go.display()
    );
    let mut run = fixture.command(["run", "--timeout", "1h", "--", "/bin/sh", "-c", &script]);
    wait::until("the job runs", || ready.exists());
    listener.kill();
    fs::write(go, "").expect("a file");
    wait::until("the job is gone, and the run told to end", || {
        run.signal(Signal::SIGTERM);
        !run.is_running()
    });
    assert!(matches!(run.code(), 1 | 143), "{}", run.output());
    assert!(run.output().contains("not acknowledged"), "{}", run.output());
}

#[test]
fn a_listener_that_stands_still_holds_up_the_job_and_loses_nothing() {
    let fixture = fixture();
    let listener = fixture.listener().start();
    let ready = fixture.path().join("ready");
    let script = format!(": > {}; seq 200000", ready.display());
    listener.program.signal(Signal::SIGSTOP);
    let mut run = fixture.command(["run", "--timeout", "1h", "--", "/bin/sh", "-c", &script]);
    wait::until("the job runs", || ready.exists());
    let state = || fs::read_to_string(format!("/proc/{}/stat", run.pid())).unwrap_or_default();
    wait::until("the run sleeps", || state().contains(") S "));
    listener.program.signal(Signal::SIGCONT);
    assert_eq!(run.code(), 0, "{}", run.output());
    assert!(listener.stop().is_complete());
    let lines = judge::lines(&fixture.log());
    demand_no_notice(&lines);
    let stdout = printed(&lines, "stdout");
    assert_eq!(stdout.len(), 200_000);
    assert!(stdout.iter().zip(1..).all(|(line, n)| *line == n.to_string()));
}

#[test]
fn lines_that_nobody_takes_are_counted_and_the_job_goes_on() {
    let fixture = fixture();
    let listener = fixture.listener().start();
    let done = fixture.path().join("done");
    let script = format!("seq 300000; : > {}", done.display());
    listener.program.signal(Signal::SIGSTOP);
    let mut run = fixture.command(["run", "--timeout", "200ms", "--", "/bin/sh", "-c", &script]);
    assert_eq!(run.code(), 1, "{}", run.output());
    assert!(done.exists(), "the job came to its end");
    let said = run.output();
    assert!(said.contains(" dropped") && said.contains(" not acknowledged and "), "{said}");
    listener.program.signal(Signal::SIGCONT);
    let _ = listener.stop();
    let lines = judge::lines(&fixture.log());
    let stdout = printed(&lines, "stdout");
    assert!(stdout.iter().zip(1..).all(|(line, n)| *line == n.to_string()), "a prefix");
}

#[test]
fn a_run_takes_the_place_of_a_listener_that_went_away() {
    let fixture = fixture();
    let listener = fixture.listener().start();
    let go = fixture.path().join("go");
    let own = fixture.path().join("own.log");
    let script =
        format!("echo before; until [ -e {} ]; do sleep 0.01; done; echo behind", go.display());
    let mut command = Command::new(BINARIES.fleetlog);
    command
        .args(["run", "-q", "--format", "json", "--file"])
        .arg(&own)
        .args(["--", "/bin/sh", "-c", &script])
        .env("FLEETLOG_RUN_DIR", fixture.run_dir());
    let mut run = fixture.start("run", command);
    wait::until("it has joined", || {
        fs::read_to_string(fixture.log()).is_ok_and(|log| log.contains("before"))
    });
    assert!(listener.stop().is_complete());
    fs::write(go, "").expect("a file");
    assert_eq!(run.code(), 0, "{}", run.output());
    assert_eq!(run.output(), "");
    assert_eq!(printed(&judge::lines(&fixture.log()), "stdout"), ["before"]);
    let lines = judge::lines(&own);
    demand_no_notice(&lines);
    assert_eq!(printed(&lines, "stdout"), ["behind"]);
    assert_eq!(end(&lines).fields["code"], 0);
}

#[test]
fn a_run_inside_of_a_run_logs_to_the_same_place() {
    let fixture = fixture();
    let script = format!("{} run -q --name inner -- echo hello", BINARIES.fleetlog);
    run_with(&fixture, &["--name", "outer"], &script).succeed();
    let lines = judge::lines(&fixture.log());
    demand_no_notice(&lines);
    let inner: Vec<_> = lines.iter().filter(|line| line.worker == "inner").map(message).collect();
    assert_eq!(inner, ["job started", "hello", "job ended"]);
    let outer: Vec<_> = lines.iter().filter(|line| line.worker == "outer").map(message).collect();
    assert_eq!(outer, ["job started", "job ended"]);
}
