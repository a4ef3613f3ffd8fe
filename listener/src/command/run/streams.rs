//! What the job prints: two pipes, cut into lines and copied where that is wanted.
//!
//! Standard output is read before standard error where both have something; across the two the
//! order is that in which they became readable, which is the best that two pipes can tell.
//!
//! A copy that can't be written ends there, and is told of at the end: the record is what counts, so that
//! the job goes on. Whoever closes the pipe of a copy has read enough, and that is no failure.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::process::{ChildStderr, ChildStdout};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{read, write};

use super::super::lines::Lines;
use super::journal::{CHUNK, Journal, LINE_MAX};

/// What a pipe holds at most where the kernel does not tell.
const PIPE_CAPACITY: usize = 1 << 20;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Stdout,
    Stderr,
}

impl Which {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// Both pipes of a job.
#[derive(Debug)]
pub(super) struct Streams {
    streams: [Stream; 2],
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Stream {
    which: Which,
    /// Until its end.
    pipe: Option<OwnedFd>,
    lines: Lines,
    /// Whether it is copied; not any more once that has failed.
    tee: bool,
    /// Why the copy has an end before the stream.
    failure: Option<Errno>,
    /// What may still be in the pipe of what was there when that was asked.
    due: usize,
}

impl Streams {
    pub(super) fn new(stdout: ChildStdout, stderr: ChildStderr, tee: bool) -> Self {
        let stream = |which, pipe| Stream {
            which,
            pipe: Some(pipe),
            lines: Lines::new(LINE_MAX),
            tee,
            failure: None,
            due: 0,
        };
        Self {
            streams: [stream(Which::Stdout, stdout.into()), stream(Which::Stderr, stderr.into())],
            buffer: vec![0; CHUNK],
        }
    }

    /// Whether both have come to their end.
    pub(super) fn are_closed(&self) -> bool {
        self.streams.iter().all(|stream| stream.pipe.is_none())
    }

    /// What is not copied, and why.
    pub(super) fn uncopied(&self) -> Option<String> {
        let failed = self.streams.iter().find_map(|stream| Some((stream.which, stream.failure?)));
        failed.map(|(which, errno)| {
            format!(
                "the copy of the job's {} ends early, because it can't be written: {}; the log has \
                 all of it",
                which.name(),
                errno.desc(),
            )
        })
    }

    /// Remembers what the pipes hold at the moment.
    pub(super) fn mark(&mut self) {
        for stream in &mut self.streams {
            stream.due = stream.pipe.as_ref().map_or(0, |pipe| {
                let capacity = fcntl(pipe, FcntlArg::F_GETPIPE_SZ);
                capacity.ok().and_then(|size| size.try_into().ok()).unwrap_or(PIPE_CAPACITY)
            });
        }
    }

    /// Whether everything is read that was there at the mark.
    pub(super) fn have_reached_mark(&self) -> bool {
        self.streams.iter().all(|stream| stream.due == 0)
    }

    /// Waits for one of the pipes, unless `paused`, or for `bell`, and logs what there is to read.
    pub(super) fn turn(
        &mut self,
        bell: BorrowedFd<'_>,
        paused: bool,
        patience: PollTimeout,
        pid: u64,
        journal: &mut Journal,
    ) -> io::Result<()> {
        let ready = {
            let mut watched = vec![PollFd::new(bell, PollFlags::POLLIN)];
            let open = |stream: &&Stream| !paused && stream.pipe.is_some();
            for pipe in self.streams.iter().filter(open).filter_map(|stream| stream.pipe.as_ref()) {
                watched.push(PollFd::new(pipe.as_fd(), PollFlags::POLLIN));
            }
            match poll(&mut watched, patience) {
                Ok(_) => {}
                Err(Errno::EINTR) => return Ok(()),
                Err(errno) => return Err(errno.into()),
            }
            let mut watched = watched[1..].iter();
            self.streams.each_ref().map(|stream| {
                let asked = if open(&stream) { watched.next() } else { None };
                asked.map(|asked| asked.revents().is_some_and(|events| !events.is_empty()))
            })
        };
        for (stream, ready) in self.streams.iter_mut().zip(ready) {
            match ready {
                Some(true) => stream.read(&mut self.buffer, pid, journal),
                Some(false) => stream.due = 0,
                None => {}
            }
        }
        Ok(())
    }

    /// Logs the beginnings of lines whose ends will not come.
    pub(super) fn close(&mut self, pid: u64, journal: &mut Journal) {
        for stream in &mut self.streams {
            stream.close(pid, journal);
        }
    }
}

impl Stream {
    fn read(&mut self, buffer: &mut [u8], pid: u64, journal: &mut Journal) {
        let Some(pipe) = &self.pipe else { return };
        match read(pipe, buffer) {
            // A pipe that can't be read has nothing more to say.
            Ok(0) | Err(Errno::EIO | Errno::EBADF) => self.close(pid, journal),
            Ok(length) => {
                let bytes = &buffer[..length];
                self.due = self.due.saturating_sub(length);
                // The copy comes after the record: whoever sees it may look for the record.
                let which = self.which;
                self.lines.feed(bytes, |line, missing| journal.line(which, pid, line, missing));
                if self.tee
                    && let Err(errno) = copy(which, bytes)
                {
                    self.tee = false;
                    self.failure = (errno != Errno::EPIPE).then_some(errno);
                }
            }
            Err(_) => {}
        }
    }

    fn close(&mut self, pid: u64, journal: &mut Journal) {
        self.pipe = None;
        self.due = 0;
        let which = self.which;
        self.lines.finish(|line, missing| journal.line(which, pid, line, missing));
    }
}

/// Writes all bytes to the stream of this process.
fn copy(which: Which, mut bytes: &[u8]) -> Result<(), Errno> {
    let (stdout, stderr) = (io::stdout(), io::stderr());
    let out = match which {
        Which::Stdout => stdout.as_fd(),
        Which::Stderr => stderr.as_fd(),
    };
    while !bytes.is_empty() {
        match write(out, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => {
                // Somebody else made it non-blocking.
                let _ = poll(&mut [PollFd::new(out, PollFlags::POLLOUT)], PollTimeout::NONE);
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
