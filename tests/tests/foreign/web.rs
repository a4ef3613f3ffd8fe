//! nginx and gunicorn, visited.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use fleetlog_tests::{Fixture, Program, judge, programs, wait};
use nix::sys::signal::Signal;

use crate::judgement::{self, counts, message};
use crate::{datagrams, fixture, script, stop, sync};

/// A client of a web server on a Unix socket, which keeps its connection where it may.
struct Visitor {
    server: PathBuf,
    connection: Option<BufReader<UnixStream>>,
}

impl Visitor {
    fn new(server: &Path) -> Self {
        Self { server: server.to_owned(), connection: None }
    }

    /// Asks for a page and has it logged with a line; returns the answer's code.
    fn get(&mut self, page: &str, line: &str) -> u16 {
        let mut stream = self.connection.take().unwrap_or_else(|| {
            BufReader::new(UnixStream::connect(&self.server).expect("a server"))
        });
        let request = format!("GET {page} HTTP/1.1\r\nHost: here\r\nX-Line: {line}\r\n\r\n");
        stream.get_mut().write_all(request.as_bytes()).expect("a server");
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            assert!(
                stream.read_line(&mut line).expect("an answer") > 0,
                "half an answer: {head:?}"
            );
            match line.trim_end() {
                "" => break,
                line => head.push(line.to_ascii_lowercase()),
            }
        }
        let value = |name: &str| head.iter().find_map(|line| line.strip_prefix(name));
        let length = value("content-length: ").and_then(|length| length.parse().ok());
        let mut body = vec![0; length.expect("a length")];
        stream.read_exact(&mut body).expect("a body");
        if value("connection: ") != Some("close") {
            self.connection = Some(stream);
        }
        head[0].split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a code")
    }
}

/// Four visitors at once, each with requests of its own numbers.
fn visit(server: &Path, page: &str, numbers: std::ops::Range<u64>) {
    thread::scope(|scope| {
        for source in 0..4 {
            let numbers = numbers.clone();
            scope.spawn(move || {
                let mut visitor = Visitor::new(server);
                for n in numbers {
                    let body = "x".repeat(usize::try_from(n % 97).expect("small"));
                    let line = format!("source={source} n={n} {body};");
                    assert_eq!(visitor.get(page, &line), 200);
                }
            });
        }
    });
}

/// Waits until a server answers.
fn await_server(server: &Path, program: &mut Program) {
    wait::until("the server answers", || {
        assert!(program.is_running(), "{}", program.output());
        UnixStream::connect(server).is_ok()
    });
}

fn nginx(fixture: &Fixture, workers: u32) -> Option<(Program, PathBuf)> {
    let nginx = programs::find("nginx")?;
    let folder = fixture.path().join("nginx");
    fs::create_dir(&folder).expect("a folder");
    let place = folder.display();
    let log = format!("syslog:server=unix:{},nohostname", datagrams(fixture).display());
    let user = if nix::unistd::geteuid().is_root() { "user root;" } else { "" };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {place}/{name};\n"))
        .concat();
    let configuration = format!(
        "daemon off; {user} pid {place}/pid; worker_processes {workers};
         error_log {log},tag=nginx_error warn;
         events {{ worker_connections 64; }}
         http {{
             {temporary}
             log_format numbered '$http_x_line';
             access_log {log},tag=web numbered;
             server {{
                 listen unix:{place}/http; keepalive_requests 1000000; root {place}/nothing;
                 location = / {{ return 200 'ok'; }}
                 location = /combined {{ access_log {log},tag=web combined; return 200 'ok'; }}
             }}
         }}"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, configuration).expect("a file");
    let mut command = Command::new(nginx);
    command.arg("-p").arg(&folder).arg("-c").arg(&file).args(["-e", "stderr"]);
    let mut program = fixture.start("nginx", command);
    let server = folder.join("http");
    await_server(&server, &mut program);
    Some((program, server))
}

fn end(mut program: Program) {
    program.signal(Signal::SIGTERM);
    program.wait();
}

/// nginx never waits: what finds the kernel's queue full is gone, without a word. How many wait in
/// it is the kernel's `max_dgram_qlen`, which is 10 unless somebody raised it; here no more are on
/// their way than that.
#[test]
fn every_request_of_nginx_that_finds_room_in_the_kernel_arrives() {
    let fixture = fixture();
    let listener = fixture.listener().start();
    // One worker: it answers before it logs, so that two of them may log in another order.
    let Some((program, server)) = nginx(&fixture, 1) else { return };
    for first in (0..1000).step_by(2) {
        visit(&server, "/", first..first + 2);
        sync(&fixture);
    }
    let mut visitor = Visitor::new(&server);
    assert_eq!(visitor.get("/combined", "-"), 200);
    for number in 0..5 {
        assert_eq!(visitor.get(&format!("/missing{number}"), "-"), 404);
        sync(&fixture);
    }
    end(program);
    let receipt = stop(listener, &fixture);
    assert_eq!(receipt.offences, 0, "{receipt:?}");
    judgement::judge(&fixture.log()).demand_exact(4, 1000);
    let lines = judge::lines(&fixture.log());
    let records = || lines.iter().filter(|line| line.seq > 0);
    assert!(records().all(|line| line.worker == "nginx"));
    let combined = records().find(|line| message(line).contains("GET /combined HTTP/1.1"));
    let combined = combined.expect("the combined format");
    assert_eq!((&*combined.target, &*combined.level), ("web", "INFO"), "{combined:?}");
    let errors: Vec<_> = records().filter(|line| line.target == "nginx_error").collect();
    assert_eq!(errors.len(), 5, "{errors:?}");
    assert!(errors.iter().all(|line| line.level == "ERROR" && message(line).contains("open()")));
}

/// Without waiting for anybody: what arrives is whole, once and in order, and the rest is counted
/// here, because nginx itself does not.
#[test]
fn ten_thousand_requests_at_full_speed_are_whole_and_in_order_as_far_as_the_kernel_took_them() {
    let fixture = fixture();
    let listener = fixture.listener().start();
    let Some((program, server)) = nginx(&fixture, 2) else { return };
    visit(&server, "/", 0..2500);
    end(program);
    let receipt = stop(listener, &fixture);
    assert_eq!((receipt.offences, receipt.dropped.total()), (0, 0), "{receipt:?}");
    let verdict = judgement::judge(&fixture.log());
    assert!(verdict.faults.is_empty(), "{:?}", verdict.faults);
    let mut arrived = 0;
    for (source, numbers) in &verdict.sources {
        arrived += numbers.len();
        // Two workers of nginx may serve one source's connections, one after another.
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{source}: {numbers:?}");
        assert!(numbers.iter().all(|n| *n < 2500));
    }
    eprintln!("nginx: {arrived} of 10000 requests arrived, nginx itself lost the others");
    assert!(arrived > 0);
    let complaints = judge::lines(&fixture.log());
    let complaints = complaints.iter().filter(|line| line.target == "nginx_error").count();
    assert_eq!(receipt.written, (arrived + complaints) as u64, "{receipt:?}");
}

fn gunicorn_logs(handler: &str) {
    let Some(python) = programs::python(&["gunicorn"]) else { return };
    let fixture = fixture();
    let listener = fixture.listener().start();
    let server = fixture.path().join("http");
    let mut command = Command::new(python);
    command.args(["-m", "gunicorn", "--config"]).arg(script("gunicorn.conf.py")).arg("app:app");
    command.arg("--chdir").arg(script("")).arg("--worker-tmp-dir").arg(fixture.path());
    command.env("BIND", &server).env("LOG_DIR", fixture.run_dir()).env("HANDLER", handler);
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    let mut program = fixture.start("gunicorn", command);
    await_server(&server, &mut program);
    visit(&server, "/", 0..250);
    assert_eq!(Visitor::new(&server).get("/missing", "source=4 n=0 ;"), 500);
    end(program);
    let receipt = stop(listener, &fixture);
    assert_eq!(receipt.offences, 0, "{receipt:?}");
    let mut expected = counts(0..4, 250);
    expected.extend(counts([4], 1));
    let verdict = judgement::judge(&fixture.log());
    assert!(verdict.faults.is_empty(), "{:?}", verdict.faults);
    for (source, count) in &expected {
        let mut found = verdict.sources.get(source).cloned().unwrap_or_default();
        // Each request is a connection, and a worker of gunicorn may be overtaken by another.
        found.sort_unstable();
        assert!(found.iter().copied().eq(0..*count), "{source}: {} of {count}", found.len());
    }
    let lines = judge::lines(&fixture.log());
    let failures = lines.iter().filter(|line| line.level == "ERROR" && line.seq > 0);
    let failures: Vec<_> = failures.map(|line| format!("{:?}", line.fields)).collect();
    let failures: Vec<_> = failures.iter().filter(|text| text.contains("no such page")).collect();
    assert_eq!(failures.len(), 1, "{failures:?}");
}

#[test]
fn every_request_of_gunicorn_arrives_over_pythons_socket_handler() {
    gunicorn_logs("socket");
}

#[test]
fn every_request_of_gunicorn_arrives_over_syslog_datagrams() {
    gunicorn_logs("syslog");
}
