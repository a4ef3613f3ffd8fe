//! A server of forked workers that share one accepting socket, with one log: each request is a
//! span with an id, and whichever worker serves it, its line stands in the one file.
//!
//! ```text
//! cargo run -p fleetlog-examples --example prefork_server            # 400 requests
//! cargo run -p fleetlog-examples --example prefork_server -- FOLDER  # into FOLDER/server.log
//! ```
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use fleetlog::Listener;
use fleetlog_examples::{Outcome, Place, check, lines};
use fleetlog_worker::Fleet;

const WORKERS: usize = 4;
const CLIENTS: usize = 4;
const REQUESTS: usize = 400;

/// What a client says to end the worker that hears it.
const QUIT: &str = "QUIT";

fn main() -> Outcome {
    let place = Place::from_arguments()?;
    let (run_dir, file) = (place.run_dir(), place.fresh_file("server.log")?);
    let listener = Listener::builder().run_dir(&run_dir).file(&file).spawn()?;

    // The socket is bound once, before the forks; the kernel hands each connection to one worker.
    let socket = TcpListener::bind("127.0.0.1:0")?;
    let address = socket.local_addr()?;
    let mut fleet = Fleet::new(&run_dir)?;
    for number in 0..WORKERS {
        fleet.spawn(format!("server {number}"), || serve(&socket))?;
    }
    drop(socket);

    let began = Instant::now();
    request_all(address)?;
    let took = began.elapsed();
    for _ in 0..WORKERS {
        ask(address, QUIT)?;
    }
    let report = fleet.join()?;
    let receipt = listener.stop(Duration::from_secs(30))?;

    check(report.is_success(), "every worker ended well")?;
    check(receipt.is_complete(), "nothing was lost")?;
    judge(&lines(&file)?)?;
    println!("{REQUESTS} requests in {took:.0?}: each is in the log once, with its span.");
    Ok(())
}

/// A worker's life: accept, serve, until a client says QUIT.
fn serve(socket: &TcpListener) -> io::Result<()> {
    loop {
        let (stream, _) = socket.accept()?;
        let mut request = String::new();
        BufReader::new(&stream).read_line(&mut request)?;
        let request = request.trim_end();
        if request == QUIT {
            (&stream).write_all(b"bye\n")?;
            return Ok(());
        }
        let (id, path) = request.split_once(' ').unwrap_or((request, "/"));
        let id: u64 = id.parse().map_err(io::Error::other)?;
        // Everything that is logged while the span is entered carries its id.
        let span = tracing::info_span!("request", id);
        let _entered = span.enter();
        handle(&stream, path)?;
    }
}

/// Knows nothing of ids; its lines have one all the same.
fn handle(mut stream: &TcpStream, path: &str) -> io::Result<()> {
    let began = Instant::now();
    stream.write_all(b"ok\n")?;
    tracing::info!(path, took = ?began.elapsed(), "served");
    Ok(())
}

/// A few clients at once, so that several workers have something to do.
fn request_all(address: SocketAddr) -> io::Result<()> {
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                scope.spawn(move || {
                    (client..REQUESTS).step_by(CLIENTS).try_for_each(|id| {
                        ask(address, &format!("{id} /item/{}", id % 7)).map(drop)
                    })
                })
            })
            .collect();
        let panicked = |_| io::Error::other("a client panicked");
        clients.into_iter().try_for_each(|client| client.join().map_err(panicked)?)
    })
}

fn ask(address: SocketAddr, request: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    writeln!(stream, "{request}")?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    Ok(answer)
}

/// Checks that each request's line is there once, within its span, and shows who served how many.
fn judge(lines: &[String]) -> Outcome {
    let served: Vec<&String> = lines.iter().filter(|line| line.contains(": served ")).collect();
    for line in served.iter().take(5) {
        println!("{line}");
    }
    println!("... {} lines of requests in all", served.len());
    for id in 0..REQUESTS {
        let (span, path) = (format!(" request{{id={id}}}: "), format!("path=\"/item/{}\"", id % 7));
        let found =
            served.iter().filter(|line| line.contains(&span) && line.contains(&path)).count();
        check(found == 1, format!("request {id} is in the log once, found {found}"))?;
    }
    check(served.len() == REQUESTS, "nothing else was served")?;

    let mut by_worker: BTreeMap<&str, usize> = BTreeMap::new();
    for line in served {
        let worker = line.split_once(" INFO ").and_then(|(_, rest)| rest.split_once('['));
        *by_worker.entry(worker.map_or("?", |(worker, _)| worker)).or_default() += 1;
    }
    for (worker, count) in by_worker {
        println!("{worker} served {count}");
    }
    Ok(())
}
