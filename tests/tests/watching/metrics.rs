//! Metrics: Prometheus' own tools accept them, they agree with the status, the receipt and the log,
//! and the shipped dashboard and alerts use names that are there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use fleetlog_tests::{Fixture, ListenerUnderTest, judge, programs, wait};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{fixture, of_repository};

const OPEN_METRICS: &str = "Accept: application/openmetrics-text; version=1.0.0\r\n";

/// The address that the listener tells at its start.
fn address(listener: &ListenerUnderTest) -> String {
    let mut found = None;
    wait::until("the listener tells its address", || {
        let said = listener.program.output();
        let at = said.find("http://").map(|at| at + "http://".len());
        found = at.and_then(|at| Some(said[at..].split_once("/metrics")?.0.to_owned()));
        found.is_some()
    });
    found.expect("it was found")
}

fn exchange(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("somebody serves");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// What a scrape gets, without its head.
fn scrape(address: &str, header: &str) -> String {
    let request = format!("GET /metrics HTTP/1.1\r\nHost: x\r\n{header}\r\n");
    let answer = exchange(address, &request);
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 "), "{answer}");
    body.to_owned()
}

/// Samples by name and labels.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a value");
            (name.to_owned(), value.parse().unwrap_or_else(|_| panic!("{line}")))
        })
        .collect()
}

fn promtool(arguments: &[&str], input: &str) -> Option<String> {
    let promtool = programs::find("promtool")?;
    let mut command = Command::new(promtool);
    let piped = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = piped.stderr(Stdio::piped()).spawn().expect("promtool");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("an input");
    let output = child.wait_with_output().expect("its end");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "promtool {arguments:?}: {said}\n{input}");
    Some(said)
}

/// A worker that drops records, because its listener is stopped and it waits for nobody.
fn drop_some(fixture: &Fixture, listener: &ListenerUnderTest) {
    let folder = fixture.path().to_str().expect("UTF-8");
    for step in ["go", "finish"] {
        fs::write(fixture.path().join(step), "").expect("a step");
    }
    listener.program.signal(Signal::SIGSTOP);
    let arguments = ["pressure", "--records", "20000", "--stall", "0", "--warm", "false"];
    let named = ["--sync", "false", "--name", "evil \"\\\n\u{1b}", "--folder", folder];
    fixture.workload(arguments.into_iter().chain(named)).wait();
    listener.program.signal(Signal::SIGCONT);
}

#[test]
fn the_text_is_what_prometheus_reads_also_with_hostile_names() {
    let fixture = fixture();
    let listener = fixture.listener().with(["--metrics", "127.0.0.1:0"]).start();
    let address = address(&listener);
    for name in ["a", "b\"\\x", "é ü[7]"] {
        fixture
            .command_with_input(["pipe", "--name", name, "--level", "error"], "one\ntwo\n")
            .succeed();
    }
    let older = scrape(&address, "");
    if let Some(said) = promtool(&["check", "metrics"], &older) {
        assert_eq!(said, "", "no lint either");
    }
    let newer = scrape(&address, OPEN_METRICS);
    assert!(newer.ends_with("# EOF\n"), "{newer}");
    assert!(older.contains(r#"fleetlog_worker_records_total{worker="b\"\\x"} 2"#), "{older}");
    let strip = |text: &str| {
        samples(text).keys().filter(|key| !key.contains("le=")).cloned().collect::<BTreeSet<_>>()
    };
    assert_eq!(strip(&older), strip(&newer), "both formats have the same samples");
    if let Some(python) = programs::python(&["prometheus_client"]) {
        let file = fixture.path().join("newer.txt");
        fs::write(&file, &newer).expect("a file");
        let program = "import sys\nfrom prometheus_client.openmetrics.parser import \
                       text_string_to_metric_families as parse\n\
                       print(len(list(parse(open(sys.argv[1]).read()))))";
        let output =
            Command::new(python).args(["-c", program]).arg(&file).output().expect("python");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let families: u64 = said.trim().parse().unwrap_or_else(|_| {
            panic!("{said}{}\n{newer}", String::from_utf8_lossy(&output.stderr))
        });
        assert!(families > 20, "{families}");
    }
    assert!(listener.stop().is_complete());
}

#[test]
fn every_drop_has_the_same_number_in_the_log_the_metrics_the_status_and_the_receipt() {
    let fixture = fixture();
    let listener = fixture.listener().with(["--metrics", "0"]).start();
    let address = address(&listener);
    drop_some(&fixture, &listener);
    fixture.command(["sync"]).succeed();
    let status = listener.status().expect("a status");
    let counted = samples(&scrape(&address, ""));
    let of_status = status["totals"]["dropped"]["full"].as_u64().expect("drops");
    assert!(of_status > 0, "{status}");
    let count =
        |name: &str| counted.get(name).copied().unwrap_or_else(|| panic!("{name}: {counted:?}"));
    assert_eq!(count("fleetlog_dropped_records_total{reason=\"full\"}"), of_status as f64);
    let by_worker: f64 = counted
        .iter()
        .filter(|(name, _)| name.starts_with("fleetlog_worker_dropped_records_total{"))
        .map(|(_, value)| value)
        .sum();
    assert_eq!(by_worker, of_status as f64, "{counted:?}");
    let written: f64 = counted
        .iter()
        .filter(|(name, _)| name.starts_with("fleetlog_records_total{"))
        .map(|(_, value)| value)
        .sum();
    assert_eq!(written, status["totals"]["written"].as_f64().expect("a count"));
    let receipt = listener.stop();
    assert_eq!(receipt.dropped.total(), of_status);
    let lines = judge::lines(&fixture.log());
    let told: u64 = lines.iter().filter_map(|line| line.fields.get("dropped")?.as_u64()).sum();
    assert_eq!(told, of_status, "the log tells of as many");
}

#[test]
fn workers_that_are_gone_stay_counted_and_their_series_are_bounded() {
    let fixture = fixture();
    let listener = fixture.listener().with(["--metrics", "0"]).start();
    let address = address(&listener);
    fixture.workload(["storm", "--workers", "130", "--records", "3"]).succeed();
    let series = |samples: &BTreeMap<String, f64>| {
        let own = |name: &&String| name.starts_with("fleetlog_worker_records_total{");
        (
            samples.keys().filter(own).count(),
            samples.iter().filter(|(name, _)| own(name)).map(|(_, value)| value).sum::<f64>(),
        )
    };
    fixture.command(["sync"]).succeed();
    let (count, sum) = series(&samples(&scrape(&address, "")));
    let status = listener.status().expect("a status");
    assert!(count <= 101, "{count} series");
    assert_eq!(sum, status["totals"]["written"].as_f64().expect("a count"), "{status}");
    listener.stop();
}

#[test]
fn nobody_who_sends_nonsense_or_nothing_keeps_others_from_the_metrics_or_the_stop() {
    let fixture = fixture();
    let listener = fixture.listener().with(["--metrics", "0"]).start();
    let address = address(&listener);
    let idle: Vec<TcpStream> =
        (0..4).map(|_| TcpStream::connect(&address).expect("a connection")).collect();
    for (request, code) in [
        ("POST /metrics HTTP/1.1\r\n\r\n", "405"),
        ("GET /other HTTP/1.1\r\n\r\n", "404"),
        ("GET / HTTP/1.1\r\n\r\n", "200"),
        ("\0\u{1}nonsense\r\n\r\n", "400"),
        ("GET /metrics HTTP/1.1\r\nno header\r\n\r\n", "400"),
    ] {
        let answer = exchange(&address, request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{request:?}: {answer}");
    }
    let head = exchange(&address, "HEAD /metrics HTTP/1.1\r\n\r\n");
    assert!(head.ends_with("\r\n\r\n") && head.contains("Content-Length: "), "{head}");
    assert!(scrape(&address, "").contains("fleetlog_uptime_seconds"));
    let endless = format!("GET /metrics HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(16_000));
    let mut stream = TcpStream::connect(&address).expect("a connection");
    // It may be refused before it was read to its end.
    let _ = stream.write_all(endless.as_bytes());
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(listener.stop().is_complete());
    drop(idle);
}

#[test]
fn a_unix_socket_is_its_owners_replaces_one_that_was_left_and_goes_with_the_listener() {
    let fixture = fixture();
    let path = fixture.path().join("metrics");
    let address = format!("unix:{}", path.display());
    let listener = fixture.listener().with(["--metrics", &address]).start();
    let mode = fs::metadata(&path).expect("a socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut stream = UnixStream::connect(&path).expect("somebody serves");
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.contains("fleetlog_build_info"), "{answer}");
    listener.kill();
    assert!(path.exists(), "a killed listener leaves it");
    let listener = fixture.listener().with(["--metrics", &address]).start();
    assert!(UnixStream::connect(&path).is_ok());
    listener.stop();
    assert!(!path.exists());
    let file = fixture.path().join("a file");
    fs::write(&file, "mine").expect("a file");
    let taken = format!("unix:{}", file.display());
    let mut refused = fixture.listener().with(["--metrics", &taken]).launch();
    assert_eq!(refused.program.code(), 1);
    let said = refused.program.output();
    assert!(said.contains("is no socket stands there") && said.contains("--metrics"), "{said}");
    assert_eq!(fs::read_to_string(&file).expect("a file"), "mine");
}

#[test]
fn an_address_that_is_taken_is_told_with_the_way_out() {
    let fixture = fixture();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let mut refused = fixture.listener().with(["--metrics", &address]).launch();
    assert_eq!(refused.program.code(), 1);
    let said = refused.program.output();
    assert!(said.contains(&address) && said.contains("give another address"), "{said}");
    let mut wrong = fixture.command(["listen", "--metrics", "example.org:80"]);
    assert_eq!(wrong.code(), 2);
    assert!(wrong.output().contains("expected a port such as 9102"), "{}", wrong.output());
}

/// The names of our metrics in a text.
fn names_in(text: &str) -> BTreeSet<String> {
    let parts = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    parts.filter(|part| part.starts_with("fleetlog_")).map(str::to_owned).collect()
}

fn known(fixture: &Fixture) -> BTreeSet<String> {
    let listener = fixture.listener().with(["--metrics", "0"]).start();
    let address = address(&listener);
    drop_some(fixture, &listener);
    fixture.command(["sync"]).succeed();
    let text = scrape(&address, "");
    listener.stop();
    let mut names: BTreeSet<String> = text
        .lines()
        .filter_map(|line| Some(line.strip_prefix("# TYPE ")?.split_once(' ')?.0.to_owned()))
        .collect();
    for suffix in ["bucket", "sum", "count"] {
        let more: Vec<_> = samples(&text)
            .keys()
            .filter_map(|sample| sample.split('{').next())
            .filter(|name| name.ends_with(suffix))
            .map(str::to_owned)
            .collect();
        names.extend(more);
    }
    names
}

#[test]
fn the_dashboard_and_the_alerts_use_names_that_are_there() {
    let known = known(&fixture());
    let rules = fs::read_to_string(of_repository("packaging/prometheus/fleetlog.rules.yaml"));
    let rules = rules.expect("the rules");
    let dashboard = fs::read_to_string(of_repository("packaging/grafana/fleetlog.json"));
    let dashboard: Value = serde_json::from_str(&dashboard.expect("the dashboard")).expect("JSON");
    let mut expressions = String::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        assert!(panel["title"].as_str().is_some_and(|title| !title.is_empty()), "{panel}");
        for target in panel["targets"].as_array().expect("targets") {
            expressions += target["expr"].as_str().expect("an expression");
            expressions.push('\n');
        }
    }
    expressions += &dashboard["templating"].to_string();
    for (what, text) in [("the rules", &rules), ("the dashboard", &expressions)] {
        let used = names_in(text);
        assert!(used.len() > 5, "{what}: {used:?}");
        let unknown: Vec<_> = used.difference(&known).collect();
        assert!(unknown.is_empty(), "{what} use {unknown:?}, known are {known:?}");
    }
    let shown = names_in(&expressions);
    let metrics = fs::read_to_string(of_repository("docs/watching.md")).expect("the page");
    let missing: Vec<_> = known
        .iter()
        .filter(|name| !["_bucket", "_sum", "_count"].iter().any(|end| name.ends_with(end)))
        .filter(|name| !metrics.contains(name.as_str()))
        .collect();
    assert!(missing.is_empty(), "docs/watching.md tells nothing of {missing:?}");
    assert!(shown.contains("fleetlog_dropped_records_total"));
}

#[test]
fn prometheus_accepts_the_rules_and_each_alert_fires_on_what_it_is_for() {
    let folder = of_repository("packaging/prometheus");
    let of = |name: &str| folder.join(name).to_str().expect("UTF-8").to_owned();
    promtool(&["check", "rules", &of("fleetlog.rules.yaml")], "");
    promtool(&["test", "rules", &of("fleetlog.test.yaml")], "");
}

#[test]
fn each_expression_of_the_dashboard_is_promql() {
    let dashboard = fs::read_to_string(of_repository("packaging/grafana/fleetlog.json"));
    let dashboard: Value = serde_json::from_str(&dashboard.expect("the dashboard")).expect("JSON");
    let mut rules = String::from("groups:\n  - name: dashboard\n    rules:\n");
    let mut count = 0;
    for panel in dashboard["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().expect("targets") {
            let expression = target["expr"].as_str().expect("an expression");
            let expression = expression.replace("$__rate_interval", "5m").replace("$__range", "1h");
            let quoted = serde_json::to_string(&expression).expect("JSON");
            count += 1;
            rules += &format!("      - {{ record: \"panel:{count}\", expr: {quoted} }}\n");
        }
    }
    let fixture = fixture();
    let file = fixture.path().join("dashboard.yaml");
    fs::write(&file, rules).expect("a file");
    promtool(&["check", "rules", file.to_str().expect("UTF-8")], "");
    assert!(count > 20, "{count}");
    assert!(Path::new(&file).exists());
}
