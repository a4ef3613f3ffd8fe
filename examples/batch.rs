//! A batch job: a pool of workers hashes every regular file below a folder and logs each with its
//! size, hash and time. Links are not followed.
//!
//! ```text
//! cargo run --release -p fleetlog-examples --example batch                    # this repository
//! cargo run --release -p fleetlog-examples --example batch -- FOLDER          # any folder
//! cargo run --release -p fleetlog-examples --example batch -- FOLDER OUTPUT   # OUTPUT/batch.log
//! ```
//!
//! The list of files is made before the forks, so that every worker has it; the work itself is
//! handed out through one pipe, eight bytes a file, and whoever is free takes the next one.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, IsTerminal as _, PipeReader, PipeWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fleetlog::Listener;
use fleetlog::format::Format;
use fleetlog_examples::{Outcome, Place, check, lines};
use fleetlog_worker::Fleet;

/// What goes through the pipe when the work is at its end, once for each worker.
const DONE: u64 = u64::MAX;

/// Columns that the check can read back; the path may hold anything and stands last.
const LAYOUT: &str = "{time} {worker:<9} {level:<5} {field.number:>7} {field.size:>10} \
                      {field.hash:>16} {field.took_us:>8}us {message} {field.path}";

fn main() -> Outcome {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (folder, left_out) = match arguments.next() {
        Some(folder) => (folder, &[][..]),
        None => (
            Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?,
            &["target", ".git"][..],
        ),
    };
    let place = Place::new(arguments.next())?;
    let (run_dir, output) = (place.run_dir(), place.fresh_file("batch.log")?);

    let began = Instant::now();
    let mut files = Vec::new();
    find_files(&folder, left_out, &mut files)?;
    let found = began.elapsed();

    let listener = Listener::builder()
        .run_dir(&run_dir)
        .file(&output)
        .format(Format::template(LAYOUT)?)
        .spawn()?;
    let workers = std::thread::available_parallelism()?.get();
    let began = Instant::now();
    hash_all(&files, workers, &run_dir)?;
    let hashed = began.elapsed();
    let receipt = listener.stop(Duration::from_secs(60))?;

    check(receipt.is_complete(), "nothing was lost")?;
    let sum = judge(&lines(&output)?, files.len())?;
    println!(
        "{} files found in {found:.0?}; {:.1} MiB hashed by {workers} workers in {hashed:.1?}; \
         {} skipped; each file is in the log once.",
        files.len(),
        sum.bytes as f64 / f64::from(1 << 20),
        sum.skipped
    );
    Ok(())
}

/// Every regular file below a folder. What can't be read is for the workers to tell.
fn find_files(folder: &Path, left_out: &[&str], files: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_file() {
                files.push(entry.path());
            } else if kind.is_dir() && !left_out.iter().any(|name| entry.file_name() == *name) {
                folders.push(entry.path());
            }
        }
    }
    Ok(())
}

/// Forks the workers, hands the work out, and waits for everybody.
fn hash_all(files: &[PathBuf], workers: usize, run_dir: &Path) -> Outcome {
    let (reader, mut writer) = io::pipe()?;
    let mut fleet = Fleet::new(run_dir)?;
    for number in 0..workers {
        fleet.spawn(format!("hasher {number}"), || work(files, &reader))?;
    }
    // From here on the pipe breaks, instead of filling up, when no worker is left to read it.
    drop(reader);
    let handed_out = hand_out(files.len(), workers, &mut writer);
    let report = fleet.join()?;
    handed_out?;
    check(report.is_success(), "every worker ended well")
}

fn hand_out(files: usize, workers: usize, pipe: &mut PipeWriter) -> io::Result<()> {
    let on_terminal = io::stderr().is_terminal();
    let mut shown = Instant::now();
    for number in 0..files {
        pipe.write_all(&(number as u64).to_le_bytes())?;
        if on_terminal && shown.elapsed() > Duration::from_millis(100) {
            eprint!("\r{number} of {files} files handed out\x1b[K");
            shown = Instant::now();
        }
    }
    if on_terminal {
        eprint!("\r\x1b[K");
    }
    (0..workers).try_for_each(|_| pipe.write_all(&DONE.to_le_bytes()))
}

/// A worker's life: take a number from the pipe, hash that file, log it.
fn work(files: &[PathBuf], mut pipe: &PipeReader) -> io::Result<()> {
    let mut buffer = vec![0; 256 << 10];
    loop {
        // Numbers are written whole, and the kernel reads them whole, however many readers wait.
        let mut number = [0; 8];
        pipe.read_exact(&mut number)?;
        let number = u64::from_le_bytes(number);
        let Some(path) = usize::try_from(number).ok().and_then(|index| files.get(index)) else {
            return Ok(());
        };
        let began = Instant::now();
        let hashed = hash(path, &mut buffer);
        let took_us = began.elapsed().as_micros();
        let path = path.display();
        match hashed {
            Ok((size, hash)) => {
                let hash = format_args!("{hash:016x}");
                tracing::info!(number, size, %hash, took_us, %path, "hashed");
            }
            Err(error) => tracing::warn!(number, took_us, %error, %path, "skipped"),
        }
    }
}

/// A file's size and its 64-bit FNV-1a hash, which names a file well enough for a log.
fn hash(path: &Path, buffer: &mut [u8]) -> io::Result<(u64, u64)> {
    let mut file = File::open(path)?;
    let (mut size, mut hash) = (0, 0xcbf2_9ce4_8422_2325_u64);
    loop {
        let len = file.read(buffer)?;
        if len == 0 {
            return Ok((size, hash));
        }
        size += len as u64;
        for byte in &buffer[..len] {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

#[derive(Default)]
struct Sum {
    bytes: u64,
    skipped: usize,
}

/// Checks that each file's line is there once, and adds up what the lines say.
fn judge(lines: &[String], files: usize) -> Result<Sum, Box<dyn std::error::Error>> {
    let mut sum = Sum::default();
    let mut seen = vec![0_u32; files];
    let mut by_worker: BTreeMap<&str, usize> = BTreeMap::new();
    for line in lines {
        let Some((start, rest)) = line.split_once("us ") else { continue };
        let mut words = start.split_ascii_whitespace().skip(1);
        let (Some(_), Some(worker), Some(_)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        let Some(number) = words.next().and_then(|word| word.parse::<usize>().ok()) else {
            continue;
        };
        let slot = seen.get_mut(number).ok_or_else(|| format!("no file {number}: {line}"))?;
        *slot += 1;
        *by_worker.entry(worker).or_default() += 1;
        match rest.starts_with("hashed ") {
            true => sum.bytes += words.next().unwrap_or_default().parse::<u64>()?,
            false => sum.skipped += 1,
        }
        if sum.skipped + by_worker.values().sum::<usize>() <= 5 {
            println!("{line}");
        }
    }
    println!("... {} lines in all", lines.len());
    for (worker, count) in by_worker {
        println!("hasher {worker} took {count} files");
    }
    let wrong = seen.iter().filter(|count| **count != 1).count();
    check(wrong == 0, format!("each of {files} files is in the log once, {wrong} are not"))?;
    Ok(sum)
}
