//! The packer: compresses archives beside the drain, never in it.
//!
//! A thread of the lowest priority takes one task at a time and only ever writes temporary files:
//! what a file is called, and when it goes, is decided by the drain alone. A task looks at its flag
//! at every chunk, so that an archive which retention removes is not written any further.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::Instant;

use flate2::write::GzEncoder;

use crate::archive::ArchiveKey;
use crate::disk::{DiskFile, SharedDisk};
use crate::options::Compression;
use crate::wake::WakeHandle;

/// Bytes that are read at a time.
const CHUNK: usize = 64 << 10;

/// gzip's own default, and Zstandard's: better ones cost several times the work for some percent.
const GZIP_LEVEL: u32 = 6;
const ZSTD_LEVEL: i32 = 3;

/// What the packer is asked to do.
#[derive(Clone, Debug)]
pub(super) enum Task {
    /// Write a packed copy, whole and synced.
    Pack { plain: PathBuf, copy: PathBuf, compression: Compression },
    /// Make the name of the packed copy durable, and look whether it holds the same bytes if it was
    /// there before this listener.
    Settle { plain: PathBuf, packed: PathBuf, compression: Compression, compare: bool },
}

/// A task for one archive of one log.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) log: PathBuf,
    pub(super) key: ArchiveKey,
    pub(super) task: Task,
    pub(super) given_up: Arc<AtomicBool>,
}

/// How a job ended.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) job: Job,
    pub(super) result: io::Result<Verdict>,
}

/// What came of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is done; the packed copy has so many bytes.
    Done(u64),
    /// Packing would not make it smaller, or the packed file holds something else.
    LeaveAlone,
    /// Nobody wants it any more.
    GivenUp,
}

/// The thread, once there was something to do.
#[derive(Debug)]
pub(super) struct Packer {
    disk: SharedDisk,
    /// Rung when a job ends; `None` = jobs are done by whoever asks for their end.
    wake: Option<WakeHandle>,
    thread: Option<Worker>,
    /// Jobs that no thread does.
    queue: Vec<Job>,
    /// The flag of the job that is under way.
    busy: Option<Arc<AtomicBool>>,
    /// A job whose end somebody waited for.
    early: Option<Finished>,
}

#[derive(Debug)]
struct Worker {
    jobs: Sender<Job>,
    finished: Receiver<Finished>,
    thread: JoinHandle<()>,
}

impl Packer {
    pub(super) fn new(disk: SharedDisk, wake: Option<WakeHandle>) -> Self {
        Self { disk, wake, thread: None, queue: Vec::new(), busy: None, early: None }
    }

    /// Whether a job is under way: there is one at a time.
    pub(super) const fn is_busy(&self) -> bool {
        self.busy.is_some()
    }

    pub(super) fn start(&mut self, job: Job) -> io::Result<()> {
        let given_up = Arc::clone(&job.given_up);
        let Some(wake) = &self.wake else {
            self.queue.push(job);
            self.busy = Some(given_up);
            return Ok(());
        };
        let thread = match &mut self.thread {
            Some(thread) => thread,
            none => none.insert(Worker::start(SharedDisk::clone(&self.disk), wake.clone())?),
        };
        thread.jobs.send(job).map_err(|_| io::Error::other("the packer's thread is gone"))?;
        self.busy = Some(given_up);
        Ok(())
    }

    /// Waits until the job that is under way has ended.
    pub(super) fn wait(&mut self, deadline: Instant) {
        if let Some(thread) = &self.thread {
            let left = deadline.saturating_duration_since(Instant::now());
            self.early = thread.finished.recv_timeout(left).ok();
        }
    }

    /// The job that ended since the last call.
    pub(super) fn finished(&mut self) -> Option<Finished> {
        let finished = match &self.thread {
            _ if self.early.is_some() => self.early.take(),
            Some(thread) => thread.finished.try_recv().ok(),
            None => self.queue.pop().map(|job| done(&self.disk, job)),
        };
        if finished.is_some() {
            self.busy = None;
        }
        finished
    }
}

impl Drop for Packer {
    fn drop(&mut self) {
        if let Some(given_up) = &self.busy {
            given_up.store(true, Ordering::Release);
        }
        if let Some(Worker { jobs, thread, finished }) = self.thread.take() {
            drop(jobs);
            let _ = thread.join();
            // A copy that nobody takes any more must not lie around until the next start.
            for unclaimed in finished.try_iter().chain(self.early.take()) {
                if let Task::Pack { copy, .. } = unclaimed.job.task {
                    let _ = self.disk.unlink(&copy);
                }
            }
        }
    }
}

impl Worker {
    fn start(disk: SharedDisk, wake: WakeHandle) -> io::Result<Self> {
        let (jobs, orders) = mpsc::channel();
        let (results, finished) = mpsc::channel();
        let thread =
            std::thread::Builder::new().name("fleetlog-packer".to_owned()).spawn(move || {
                yield_to_everybody();
                for job in orders {
                    if results.send(done(&disk, job)).is_err() {
                        return;
                    }
                    wake.ring();
                }
            })?;
        Ok(Self { jobs, finished, thread })
    }
}

/// Gives this thread the lowest priority. Whoever may not is no worse off than before.
fn yield_to_everybody() {
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), 19);
}

fn done(disk: &SharedDisk, job: Job) -> Finished {
    let result = match &job.task {
        Task::Pack { .. } => pack(disk, &job),
        Task::Settle { .. } => settle(disk, &job),
    };
    Finished { job, result }
}

fn pack(disk: &SharedDisk, job: &Job) -> io::Result<Verdict> {
    let Task::Pack { plain, copy, compression } = &job.task else { return Ok(Verdict::GivenUp) };
    let found = disk.metadata(plain)?;
    let file = match disk.create(copy, found.access) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            // Only root may give files to others; everything else about it can still be kept.
            disk.create(copy, crate::disk::Access { owner: None, group: None, ..found.access })?
        }
        file => file?,
    };
    let mut output = Output { file, written: 0, limit: found.len };
    let packed = copy_packed(disk, job, plain, *compression, &mut output);
    let verdict = match packed {
        Ok(Verdict::Done(_)) => output.file.sync().map(|()| Verdict::Done(output.written)),
        Err(_) if output.written >= output.limit => Ok(Verdict::LeaveAlone),
        other => other,
    };
    if !matches!(verdict, Ok(Verdict::Done(_))) {
        let _ = disk.unlink(copy);
    }
    verdict
}

fn copy_packed(
    disk: &SharedDisk,
    job: &Job,
    plain: &std::path::Path,
    compression: Compression,
    output: &mut Output,
) -> io::Result<Verdict> {
    let mut input = disk.read(plain, 0)?;
    match compression {
        Compression::None => Ok(Verdict::LeaveAlone),
        Compression::Gzip => {
            let mut encoder = GzEncoder::new(output, flate2::Compression::new(GZIP_LEVEL));
            if !copy_while_wanted(&mut *input, &mut encoder, &job.given_up)? {
                return Ok(Verdict::GivenUp);
            }
            Ok(Verdict::Done(encoder.finish()?.written))
        }
        Compression::Zstd => {
            let mut encoder = zstd::stream::write::Encoder::new(output, ZSTD_LEVEL)?;
            encoder.include_checksum(true)?;
            if !copy_while_wanted(&mut *input, &mut encoder, &job.given_up)? {
                return Ok(Verdict::GivenUp);
            }
            Ok(Verdict::Done(encoder.finish()?.written))
        }
    }
}

/// Returns whether everything was copied.
fn copy_while_wanted(
    input: &mut dyn Read,
    output: &mut dyn Write,
    given_up: &AtomicBool,
) -> io::Result<bool> {
    let mut chunk = vec![0; CHUNK];
    while !given_up.load(Ordering::Acquire) {
        match input.read(&mut chunk) {
            Ok(0) => return Ok(true),
            Ok(read) => output.write_all(&chunk[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// A file that refuses to grow beyond a limit: the room that was set aside for it.
struct Output {
    file: Box<dyn DiskFile>,
    written: u64,
    limit: u64,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = usize::try_from(self.limit - self.written).unwrap_or(usize::MAX);
        if room == 0 && !bytes.is_empty() {
            return Err(io::Error::other("packing does not make it smaller"));
        }
        let written = self.file.append(&bytes[..bytes.len().min(room)])?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn settle(disk: &SharedDisk, job: &Job) -> io::Result<Verdict> {
    let Task::Settle { plain, packed, compression, compare } = &job.task else {
        return Ok(Verdict::GivenUp);
    };
    if let Some(folder) = packed.parent() {
        disk.sync_folder(folder)?;
    }
    if !compare {
        return Ok(Verdict::Done(0));
    }
    let mut left = disk.read(plain, 0)?;
    let mut right = unpacked(disk.read(packed, 0)?, *compression)?;
    let (mut expected, mut found) = (vec![0; CHUNK], vec![0; CHUNK]);
    loop {
        if job.given_up.load(Ordering::Acquire) {
            return Ok(Verdict::GivenUp);
        }
        let len = read_full(&mut *left, &mut expected)?;
        // A copy that can't be unpacked is somebody else's, or still being written by them.
        let Ok(same) = read_full(&mut *right, &mut found) else { return Ok(Verdict::LeaveAlone) };
        if expected[..len] != found[..same] {
            return Ok(Verdict::LeaveAlone);
        }
        if len == 0 {
            return Ok(Verdict::Done(0));
        }
    }
}

fn unpacked(
    file: Box<dyn Read + Send>,
    compression: Compression,
) -> io::Result<Box<dyn Read + Send>> {
    Ok(match compression {
        Compression::None => file,
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(file)),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(file)?),
    })
}

/// Fills the buffer, unless the input ends before.
fn read_full(input: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
