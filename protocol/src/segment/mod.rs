//! Segments: the files of one process's lanes.
//!
//! A worker makes `lanes/<pid>.<start time>.<n>` in the run directory, locks it, and writes its
//! records into it; the listener maps it, reads it, and unlinks it when its worker is dead and
//! everything is in the files. The file outlives both: that is what makes a record that was
//! published safe from every kill.
//!
//! The file has its whole length from the beginning, and no space. Space is taken before it is
//! touched, the header and the callsite table's first pages when the segment is made, a lane's
//! when a thread claims it: a run directory without room is an error here and never a SIGBUS. It is
//! taken through the mapping: the descriptor holds the lock and is needed for nothing else, so that
//! its loss costs no more than the lock. Whether a worker lives is told by a record lock that the kernel
//! releases with the process, and by its start time where its pid can be seen.
//!
//! The layout is in `docs/segment-format.md`.

mod file;
mod layout;
mod memory;
mod space;

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::stat::fstat;
use nix::unistd::ftruncate;

use crate::descriptor::{Kept, LinkNumber};
use crate::lane::Place as _;
use crate::limits::{CALLSITE_TABLE_MAX, LANE_CAPACITY, LANE_CAPACITY_MAX, LANES_MAX, NAME_MAX};
use crate::message::{DropReason, Drops, QueueId, bounded_name};
pub use file::{FileName, start_time};
use memory::Memory;

pub use memory::MappedLane;

/// The folder of segments in the run directory.
pub const LANES: &str = "lanes";

/// How much of the callsite table gets space at a time, in bytes.
const TABLE_STEP: usize = 4 << 10;

/// How often a lane that its reader releases meanwhile is copied anew.
const LOOKS_MAX: u32 = 64;

/// Why a process can't have lanes.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum SegmentError {
    /// The run directory is not to be trusted.
    #[error(transparent)]
    RunDir(#[from] crate::run_dir::RunDirError),
    /// The system refused, most often because the run directory has no room.
    #[error("{what} {path}: {source}")]
    System {
        /// What was attempted.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not a segment of this version.
    #[error("{0} is not a segment that this version can read")]
    Foreign(PathBuf),
}

crate::debug_as_display!(SegmentError);

impl SegmentError {
    /// Whether the system lacked descriptors, memory or other room, of which there may be some a
    /// moment later.
    #[must_use]
    pub fn is_want_of_room(&self) -> bool {
        let Self::System { source, .. } = self else { return false };
        let errno = source.raw_os_error().map(Errno::from_raw);
        matches!(
            errno,
            Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EAGAIN | Errno::ENOBUFS)
        )
    }
}

fn system(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SegmentError + use<> {
    let path = path.to_owned();
    move |source| SegmentError::System { what, path, source }
}

/// A segment of this process, for its lanes' writers.
#[derive(Debug)]
pub struct Segment {
    memory: Arc<Memory>,
    /// Holds the lock; closing any other descriptor of this file would release it. Under a mutex
    /// because it is replaced where the host has closed it.
    file: Mutex<Kept>,
    /// The bytes that the file may have: less than a segment's where the process may make none
    /// that are so long.
    len: usize,
    name: FileName,
    identity: QueueId,
}

impl Segment {
    /// Makes this process's next segment in a run directory, which is made as well if it is not
    /// there. The worker's `name` is for whoever looks at a segment without any record.
    ///
    /// # Errors
    /// Any [`SegmentError`]; the process then has to log another way.
    pub fn create(run_dir: &Path, name: &str) -> Result<Self, SegmentError> {
        Self::create_with(run_dir, name, LANE_CAPACITY)
    }

    /// As [`create`](Self::create), with lanes that grow up to `lane_max` bytes each, rounded up to a
    /// power of two and brought into the range from [`LANE_CAPACITY`] to [`LANE_CAPACITY_MAX`].
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_with(run_dir: &Path, name: &str, lane_max: usize) -> Result<Self, SegmentError> {
        let lane_bytes = lane_max.clamp(LANE_CAPACITY, LANE_CAPACITY_MAX).next_power_of_two();
        let (file, path, file_name) = file::create(run_dir)?;
        let made = space::check(run_dir, layout::TABLE)
            .and_then(|()| Self::lay_out(file, file_name, name, lane_bytes));
        made.map_err(|error| {
            let _ = std::fs::remove_file(&path);
            system("can't make the segment", &path)(error)
        })
    }

    fn lay_out(file: Kept, file_name: FileName, name: &str, lane_bytes: usize) -> io::Result<Self> {
        let descriptor = file.get().ok_or(Errno::EBADF)?;
        let len = give_length(descriptor, lane_bytes)?;
        let mut memory = Memory::map(descriptor, lane_bytes)?;
        memory.keep_from_children();
        let memory = Arc::new(memory);
        populate(&memory, len, 0, layout::TABLE + TABLE_STEP)?;
        // The low byte is for the lanes' own numbers.
        let identity = QueueId(QueueId::random().0 & !0xff);
        let name = bounded_name(name).as_bytes();
        memory.copy_in(layout::NAME, &[u8::try_from(name.len()).unwrap_or(0)]);
        memory.copy_in(layout::NAME + 1, name);
        memory.copy_in(8, &layout::VERSION.to_le_bytes());
        memory.copy_in(12, &u32::try_from(LANES_MAX).unwrap_or(0).to_le_bytes());
        memory.copy_in(layout::LANE_BYTES, &(lane_bytes as u64).to_le_bytes());
        memory.copy_in(layout::TABLE_BYTES, &(CALLSITE_TABLE_MAX as u64).to_le_bytes());
        memory.copy_in(layout::IDENTITY, &identity.0.to_le_bytes());
        memory.copy_in(layout::PID, &file_name.pid.to_le_bytes());
        memory.copy_in(layout::START_TIME, &file_name.start_time.to_le_bytes());
        memory.word(0).store(layout::MAGIC, Ordering::Release);
        Ok(Self { memory, file: Mutex::new(file), len, name: file_name, identity })
    }

    /// What the segment's queues are derived from.
    #[must_use]
    pub const fn identity(&self) -> QueueId {
        self.identity
    }

    /// The bytes that one of its lanes may have.
    #[must_use]
    pub fn lane_bytes(&self) -> usize {
        self.memory.lane_bytes()
    }

    /// Tells a fork handler of the descriptor that holds the lock.
    pub(crate) fn tell(&self, number: &LinkNumber) {
        number.set(&self.file.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Whether the file was removed: no listener will ever find it. Where its descriptor is lost
    /// nobody can tell.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.get().is_some_and(|file| fstat(file).is_ok_and(|found| found.st_nlink == 0))
    }

    /// Takes the lock again where the host has closed the descriptor that held it. Without the
    /// lock a listener that can't see this process's pid would take it for dead.
    pub(crate) fn renew_lock(&self, run_dir: &Path, number: &LinkNumber) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if file.get().is_some() {
            return;
        }
        let path = run_dir.join(LANES).join(self.name.to_string());
        if let Some(found) = file::reopen(&path, &file) {
            number.set(&found);
            *file = found;
        }
    }

    /// The file's name in the folder of segments.
    #[must_use]
    pub const fn name(&self) -> FileName {
        self.name
    }

    /// Takes space for the first `bytes` of a lane and brings them in. Lanes are claimed in the order of their
    /// numbers the first time.
    ///
    /// # Errors
    /// Whatever the system says, most often that there is no room.
    pub fn allocate_lane(&self, lane: usize, bytes: usize) -> io::Result<MappedLane> {
        self.extend_lane(lane, 0, bytes)?;
        let place = MappedLane::new(Arc::clone(&self.memory), lane);
        // The listener does not know the lane: the first record in it must ring.
        place.quiet().store(1, Ordering::Relaxed);
        // Release: whoever counts the lane finds it allocated.
        self.memory.word(layout::CLAIMED).fetch_max(lane as u64 + 1, Ordering::Release);
        Ok(place)
    }

    /// Takes space for a lane's bytes up to `to`, of which it has those up to `from`, and brings them
    /// in.
    ///
    /// # Errors
    /// As [`allocate_lane`](Self::allocate_lane).
    pub fn extend_lane(&self, lane: usize, from: usize, to: usize) -> io::Result<()> {
        let lane_bytes = self.lane_bytes();
        if lane >= LANES_MAX || to > lane_bytes || from > to {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        populate(&self.memory, self.len, layout::lane(lane, lane_bytes) + from, to - from)
    }

    /// Appends a definition to the callsite table. The caller holds a lock over appends; `at` is
    /// where the last one ended and `allocated` how much of the table has space. Returns where
    /// this one ends.
    ///
    /// # Errors
    /// When the table is full, or has no room on its file system.
    pub fn append_callsite(
        &self,
        at: usize,
        allocated: &mut usize,
        definition: &[u8],
    ) -> io::Result<usize> {
        let end = at + 4 + definition.len();
        if end > CALLSITE_TABLE_MAX {
            return Err(io::ErrorKind::StorageFull.into());
        }
        *allocated = (*allocated).max(TABLE_STEP);
        if end > *allocated {
            let more = end.next_multiple_of(TABLE_STEP).min(CALLSITE_TABLE_MAX);
            populate(&self.memory, self.len, layout::TABLE + *allocated, more - *allocated)?;
            *allocated = more;
        }
        let length = u32::try_from(definition.len()).map_err(io::Error::other)?;
        self.memory.copy_in(layout::TABLE + at, &length.to_le_bytes());
        self.memory.copy_in(layout::TABLE + at + 4, definition);
        // Release (sync point C): a record that names the callsite is published after this, so
        // that whoever reads the record finds the definition.
        self.memory.word(layout::COMMITTED).store(end as u64, Ordering::Release);
        Ok(end)
    }

    /// Bytes that were ever published in a lane.
    #[must_use]
    pub fn head(&self, lane: usize) -> u64 {
        self.word_of_lane(lane, layout::HEAD).load(Ordering::Acquire)
    }

    /// Bytes of a lane that are in the files.
    #[must_use]
    pub fn tail(&self, lane: usize) -> u64 {
        self.word_of_lane(lane, layout::TAIL).load(Ordering::Acquire)
    }

    fn word_of_lane(&self, lane: usize, word: usize) -> &AtomicU64 {
        self.memory.word(layout::control(lane.min(LANES_MAX - 1)) + word)
    }

    /// A copy of what a lane holds before a head and its reader has not released; `None` = the
    /// reader is too busy releasing it.
    #[must_use]
    pub fn unreleased(&self, lane: usize, head: u64) -> Option<Vec<u8>> {
        let place = MappedLane::new(Arc::clone(&self.memory), lane.min(LANES_MAX - 1));
        for _ in 0..LOOKS_MAX {
            let tail = self.tail(lane);
            let len = usize::try_from(head.saturating_sub(tail)).unwrap_or(usize::MAX);
            let mut bytes = vec![0; len.min(self.lane_bytes())];
            place.copy_out(tail, &mut bytes);
            // Bytes behind an unmoved tail were not overwritten while they were copied.
            if self.tail(lane) == tail {
                return Some(bytes);
            }
        }
        None
    }

    /// Counts dropped records where the listener finds them whatever becomes of this process.
    pub fn count_drops(&self, reason: DropReason, count: u64) {
        // Relaxed: a count that publishes nothing.
        self.memory.word(drop_word(reason)).fetch_add(count, Ordering::Relaxed);
    }

    /// Dropped records of which no listener has told in the log.
    #[must_use]
    pub fn untold_drops(&self) -> u64 {
        let words =
            [DropReason::Full, DropReason::NoListener, DropReason::Reentrant].map(drop_word);
        // Relaxed: counts that publish nothing. What the listener notes is its word.
        let untold = words.map(|word| {
            let told = self.memory.word(word + layout::REPORTED - layout::DROPS);
            let counted = self.memory.word(word).load(Ordering::Relaxed);
            counted.saturating_sub(told.load(Ordering::Relaxed))
        });
        untold.into_iter().fold(0, u64::saturating_add)
    }

    /// Notes that a lane was published to while the listener looked away.
    pub fn mark_active(&self, lane: usize) {
        // Release: the listener that takes the bit looks at the lane's head next.
        self.memory.word(layout::ACTIVE).fetch_or(1 << lane, Ordering::Release);
    }

    /// The worker leaves on purpose.
    pub fn mark_left(&self) {
        self.memory.word(layout::LEFT).store(1, Ordering::Release);
    }
}

/// Gives a new file the length of a segment, or as much of it as the process may make, and returns
/// it. Nothing of it has space.
fn give_length(file: BorrowedFd<'_>, lane_bytes: usize) -> io::Result<usize> {
    // Beyond the limit of its files' size a process gets SIGXFSZ, and dies of it.
    let (limit, _) = getrlimit(Resource::RLIMIT_FSIZE)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let len = layout::segment_bytes(lane_bytes).min(limit - limit % layout::PAGE);
    ftruncate(file, i64::try_from(len).map_err(io::Error::other)?)?;
    Ok(len)
}

/// Takes space for a part of a file that is `file_len` bytes long.
fn populate(memory: &Memory, file_len: usize, at: usize, len: usize) -> io::Result<()> {
    if at + len > file_len {
        return Err(Errno::EFBIG.into());
    }
    if len == 0 { Ok(()) } else { memory.populate(at, len) }
}

const fn drop_word(reason: DropReason) -> usize {
    layout::DROPS + 8 * reason as usize
}

/// What the header of a segment says of its worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// What the segment's queues are derived from.
    pub identity: QueueId,
    /// The worker's pid in its own pid namespace.
    pub pid: u32,
    /// When the process started, in the kernel's ticks since boot.
    pub start_time: u64,
    /// The uid that owns the file.
    pub uid: u32,
    /// The worker's name when it made the segment.
    pub name: String,
}

/// A segment of another process, for its reader.
///
/// Nothing here is believed: every number is the worker's word, and may change at any time. A
/// worker may also truncate the file: guard every call but [`open`](Self::open) against SIGBUS
/// within [`range`](Self::range).
#[derive(Debug)]
pub struct ForeignSegment {
    memory: Arc<Memory>,
    uid: u32,
    len: u64,
}

impl ForeignSegment {
    /// Opens and maps a segment in a run directory, without looking into it.
    ///
    /// # Errors
    /// [`SegmentError::Foreign`] for what is no regular file, or too short for a header; or
    /// whatever the system says.
    pub fn open(run_dir: &Path, name: FileName) -> Result<Self, SegmentError> {
        let path = run_dir.join(LANES).join(name.to_string());
        let file = file::open(&path).map_err(system("can't open the segment", &path))?;
        let found = file.metadata().map_err(system("can't look at", &path))?;
        if !found.is_file() || found.nlink() > 1 || found.len() < layout::TABLE as u64 {
            return Err(SegmentError::Foreign(path));
        }
        // Read once: the mapping has the length that this says, whatever stands there later. What is no
        // size of a lane is no whole segment, and is described as none.
        let mut told = [0; 8];
        file.read_exact_at(&mut told, layout::LANE_BYTES as u64)
            .map_err(system("can't read the segment", &path))?;
        let lane_bytes = layout::lane_size(u64::from_le_bytes(told)).unwrap_or(LANE_CAPACITY);
        let memory = Memory::map(file.as_fd(), lane_bytes)
            .map_err(system("can't map the segment", &path))?;
        Ok(Self { memory: Arc::new(memory), uid: found.uid(), len: found.len() })
    }

    /// The addresses within which an access may fail.
    #[must_use]
    pub fn range(&self) -> std::ops::Range<usize> {
        self.memory.range()
    }

    /// Reads the header; `None` = it is not complete, or of another version.
    #[must_use]
    pub fn describe(&self) -> Option<Description> {
        let number = |at| self.memory.word(at).load(Ordering::Acquire);
        let expected_second = u64::from(layout::VERSION) | (LANES_MAX as u64) << 32;
        let sizes = (number(layout::LANE_BYTES), number(layout::TABLE_BYTES));
        if number(0) != layout::MAGIC
            || number(8) != expected_second
            || sizes != (self.memory.lane_bytes() as u64, CALLSITE_TABLE_MAX as u64)
        {
            return None;
        }
        let mut name = [0; 1 + NAME_MAX];
        self.memory.copy_out(layout::NAME, &mut name);
        let len = usize::from(name[0]).min(NAME_MAX);
        let name = String::from_utf8_lossy(&name[1..1 + len]).into_owned();
        let mut identity = [0; 16];
        self.memory.copy_out(layout::IDENTITY, &mut identity);
        let mut pid = [0; 4];
        self.memory.copy_out(layout::PID, &mut pid);
        Some(Description {
            identity: QueueId(u128::from_le_bytes(identity) & !0xff),
            pid: u32::from_le_bytes(pid),
            start_time: number(layout::START_TIME),
            uid: self.uid,
            name: bounded_name(&name).to_owned(),
        })
    }

    /// How many lanes were ever claimed, the first ones.
    #[must_use]
    pub fn claimed(&self) -> usize {
        let claimed = self.memory.word(layout::CLAIMED).load(Ordering::Acquire);
        usize::try_from(claimed).unwrap_or(LANES_MAX).min(LANES_MAX)
    }

    /// Takes the bits of the lanes that were published to while the listener looked away.
    #[must_use]
    pub fn take_active(&self) -> u64 {
        self.memory.word(layout::ACTIVE).swap(0, Ordering::AcqRel)
    }

    /// Whether the worker left on purpose.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.memory.word(layout::LEFT).load(Ordering::Acquire) != 0
    }

    /// Records that the worker says it dropped.
    #[must_use]
    pub fn drops(&self) -> Drops {
        let mut drops = Drops::default();
        for reason in DropReason::ALL {
            // Relaxed: a count that publishes nothing.
            drops.0[reason as usize] = self.memory.word(drop_word(reason)).load(Ordering::Relaxed);
        }
        drops
    }

    /// Of the drops, those that stand in the files.
    #[must_use]
    pub fn reported(&self) -> Drops {
        let mut drops = Drops::default();
        for reason in DropReason::ALL {
            let word = self.memory.word(layout::REPORTED + 8 * reason as usize);
            drops.0[reason as usize] = word.load(Ordering::Relaxed);
        }
        drops
    }

    /// Notes drops that stand in the files, for the next listener.
    pub fn set_reported(&self, drops: Drops) {
        for (reason, count) in drops.0.into_iter().enumerate() {
            self.memory.word(layout::REPORTED + 8 * reason).store(count, Ordering::Relaxed);
        }
    }

    /// The tail of a lane as its last reader left it.
    #[must_use]
    pub fn tail(&self, lane: usize) -> u64 {
        self.word_of_lane(lane, layout::TAIL).load(Ordering::Acquire)
    }

    /// One of the lanes; a number beyond the last is the last.
    #[must_use]
    pub fn lane(&self, lane: usize) -> MappedLane {
        MappedLane::new(Arc::clone(&self.memory), lane.min(LANES_MAX - 1))
    }

    /// The queue that a lane is.
    #[must_use]
    pub fn queue_of(identity: QueueId, lane: usize) -> QueueId {
        QueueId(identity.0 | (lane as u128 + 1))
    }

    /// Appends what the callsite table has behind its first `from` bytes to `out`; returns
    /// where the next call goes on.
    pub fn read_callsites(&self, from: usize, out: &mut Vec<u8>) -> usize {
        // Acquire: sync point C.
        let committed = self.memory.word(layout::COMMITTED).load(Ordering::Acquire);
        let committed = usize::try_from(committed).unwrap_or(0).min(CALLSITE_TABLE_MAX);
        if committed <= from {
            return from;
        }
        let start = out.len();
        out.resize(start + committed - from, 0);
        self.memory.copy_out(layout::TABLE + from, &mut out[start..]);
        committed
    }

    /// The length of the file when it was opened, in bytes.
    #[must_use]
    pub const fn file_len(&self) -> u64 {
        self.len
    }

    fn word_of_lane(&self, lane: usize, word: usize) -> &AtomicU64 {
        self.memory.word(layout::control(lane.min(LANES_MAX - 1)) + word)
    }
}

/// Whether the lanes of a run directory may have more bytes: together they take at most half of its
/// file system. What can't be looked at is not refused.
///
/// # Errors
/// [`io::ErrorKind::StorageFull`]: they may not.
pub fn check_space(run_dir: &Path, more: usize) -> io::Result<()> {
    space::check(run_dir, more)
}

/// Whether the worker of a segment is dead: nobody holds the lock, and no process of its pid and
/// start time can be seen. A file that can't be opened tells nothing; one that somebody removed
/// has no lock.
#[must_use]
pub fn is_dead(run_dir: &Path, name: FileName) -> bool {
    let path = run_dir.join(LANES).join(name.to_string());
    // The lock alone is not enough: a program that closes descriptors that are not its own, as
    // daemons do, lets go of it and lives.
    start_time(name.pid) != Some(name.start_time)
        && match file::open(&path) {
            Ok(file) => file::is_unlocked(&file),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
}

/// The segments of a run directory, in no order; files of other names are nobody's.
///
/// # Errors
/// Whatever the system says; a folder that does not exist has no segments.
pub fn scan(run_dir: &Path) -> io::Result<Vec<FileName>> {
    let entries = match std::fs::read_dir(run_dir.join(LANES)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(names.collect())
}

/// Whether a file was never made a whole segment, so that nothing was ever published in it. What
/// can't be read is not known to be incomplete.
#[must_use]
pub fn is_incomplete(run_dir: &Path, name: FileName) -> bool {
    let path = run_dir.join(LANES).join(name.to_string());
    let Ok(file) = file::open(&path) else { return false };
    let mut magic = [0; 8];
    match file.read_at(&mut magic, 0) {
        Ok(read) => read < magic.len() || magic == [0; 8],
        Err(_) => false,
    }
}

/// Removes a segment whose worker is dead and whose records are in the files.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] when somebody holds its lock after all, else whatever the system
/// says.
pub fn remove(run_dir: &Path, name: FileName) -> io::Result<()> {
    let path = run_dir.join(LANES).join(name.to_string());
    // The lock first: a process of another pid namespace may be about to take the name.
    let file = file::open(&path)?;
    file::lock(&file)?;
    std::fs::remove_file(&path)
}
