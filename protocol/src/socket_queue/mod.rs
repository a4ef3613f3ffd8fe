//! The socket queue, sending half: what was sent survives the worker, what was not acknowledged
//! is kept and sent again.
//!
//! [`SocketQueue`] numbers each record, keeps it in a bounded window, and sends it at once over
//! the run directory's socket. When the listener dies the window stays; the next listener gets
//! it again and drops what its checkpoint knows, so that each record is written exactly once as
//! long as the worker lives. It never starts a thread: connecting, sending and hearing happen
//! inside of the calls, and a call never waits longer than the stall budget.
//!
//! A queue that several threads use ([`SharedQueue`]) is used under one lock; stamping and sending under it is what keeps one
//! connection's stamps in order.

mod address_hasher;
mod leave;
pub(crate) mod link;
mod shared;
mod wait;
mod window;

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::poll::PollFlags;

use crate::frame::{self, Kind};
use crate::limits::{CALLSITES_MAX, FRAME_MAX};
use crate::message::{DropReason, Drops, Gap, Goodbye, Hello, Name, QueueId, bounded_name};
use crate::record::{self, RecordEncoder};
use crate::stall::{Access, Call, Own, Stall};
use crate::stamp;
use address_hasher::AddressHasher;
use link::{Broken, Heard, Link};
use wait::Ahead;
pub(crate) use wait::{after, wait_until};
use window::Window;

pub use crate::descriptor::LinkNumber;
pub use crate::stall::WhenFull;
pub use shared::SharedQueue;

/// The pause after a connection that could not be made; it doubles up to the longest. The
/// longest is short against the time in which a busy worker fills its window.
const RETRY_FIRST: Duration = Duration::from_millis(1);
const RETRY_LONGEST: Duration = Duration::from_millis(20);
/// A listener that refused this worker will do so again until somebody changes something.
const RETRY_REFUSED: Duration = Duration::from_secs(1);

/// How a queue behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// The listener's socket ([`crate::run_dir::socket_path`]).
    pub socket: PathBuf,
    /// The bytes that are kept until they are acknowledged.
    pub window: usize,
    /// What happens when they are full.
    pub when_full: WhenFull,
    /// The worker's name.
    pub name: String,
    /// Why the worker does not use lanes; empty = it was told not to.
    pub fallback: String,
    /// Where the connection's descriptor is told to a fork handler.
    pub link_number: &'static LinkNumber,
}

/// What a queue did so far. `attempted = accepted + dropped`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Records that were taken into the window.
    pub accepted: u64,
    /// Records that were not.
    pub dropped: Drops,
}

/// Where a record's static part stands.
#[derive(Clone, Copy)]
pub enum CallsiteOf<'a> {
    /// In static data: an address that names it, and what writes its definition.
    Static(usize, &'a dyn Fn(&mut Vec<u8>)),
    /// In the record itself.
    Inline,
}

impl std::fmt::Debug for CallsiteOf<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Static(key, _) => f.debug_tuple("Static").field(key).finish(),
            Self::Inline => f.write_str("Inline"),
        }
    }
}

/// The sending half of one worker's queue.
///
/// ```
/// use fleetlog_protocol::limits::WINDOW_DEFAULT;
/// use fleetlog_protocol::socket_queue::{Config, LinkNumber, SocketQueue, WhenFull};
/// static LINK: LinkNumber = LinkNumber::new();
/// let queue = SocketQueue::new(Config {
///     socket: "/run/fleetlog/socket".into(),
///     window: WINDOW_DEFAULT,
///     when_full: WhenFull::DropNewest,
///     name: "worker 1".to_owned(),
///     fallback: String::new(),
///     link_number: &LINK,
/// });
/// assert_eq!(queue.account().accepted, 0);
/// ```
#[derive(Debug)]
pub struct SocketQueue {
    config: Config,
    id: QueueId,
    window: Window,
    link: Option<Link>,
    /// What a new connection says before the window: preface, hello, callsites.
    prelude: Vec<u8>,
    prelude_sent: usize,
    next_seq: u64,
    /// The name at the window's start.
    base_name: String,
    /// Whether the window does not know the present name yet, for want of room.
    name_is_due: bool,
    pending: Drops,
    account: Account,
    /// Shared with the calls that wait, which hold no lock.
    stall: Arc<Stall>,
    retry_at: Option<Instant>,
    retry_pause: Duration,
    callsites: HashMap<usize, u32, BuildHasherDefault<AddressHasher>>,
    definitions: Vec<u8>,
    refused: Option<String>,
    /// Whether it was ever refused, for those who don't take the queue's lock for that.
    is_refused: Arc<AtomicBool>,
    /// Connections that it made so far.
    connections: u64,
    trouble: Option<io::Error>,
    /// It has said goodbye, and says it again behind whatever is logged from now on.
    has_left: bool,
    scratch: Vec<u8>,
    /// The highest sequence number that was acknowledged over this connection.
    heard_seq: u64,
    heard_at: usize,
}

impl SocketQueue {
    /// A new queue with an identity of its own. It connects with its first record.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            id: QueueId::random(),
            window: Window::new(config.window),
            link: None,
            prelude: Vec::new(),
            prelude_sent: 0,
            next_seq: 1,
            base_name: bounded_name(&config.name).to_owned(),
            name_is_due: false,
            pending: Drops::default(),
            account: Account::default(),
            stall: Arc::new(Stall::new(config.when_full)),
            retry_at: None,
            retry_pause: RETRY_FIRST,
            callsites: HashMap::default(),
            definitions: Vec::new(),
            refused: None,
            is_refused: Arc::default(),
            connections: 0,
            trouble: None,
            has_left: false,
            scratch: Vec::new(),
            heard_seq: 0,
            heard_at: 0,
            config,
        }
    }

    /// Numbers, stamps, keeps and sends a record that [`RecordEncoder`] made.
    ///
    /// # Errors
    /// The reason for which the record was dropped. It is counted, and reported in band as soon
    /// as there is room.
    pub fn record(
        &mut self,
        record: &mut Vec<u8>,
        urgent: bool,
        callsite: CallsiteOf<'_>,
    ) -> Result<(), DropReason> {
        let stall = Arc::clone(&self.stall);
        let call = stall.call();
        let taken = record_in(Own(self), &call, record, urgent, callsite);
        taken.map_err(|counted| counted.unwrap_or(DropReason::Full))
    }

    /// Takes a record into the window and hands it to the kernel, as far as there is room now.
    fn try_record(&mut self, record: &mut Vec<u8>, urgent: bool, callsite: CallsiteOf<'_>) -> Step {
        let number = self.callsite_number(record, callsite);
        let defined = self.scratch.len();
        let bye = if self.has_left { frame::HEADER_LEN + Goodbye::LEN } else { 0 };
        let needed = self.due_len() + 2 * frame::HEADER_LEN + record.len() + defined + bye;
        if !self.make_room(needed, urgent) {
            self.forget_callsite(callsite);
            let never = needed > self.window.room_of_empty(urgent);
            return if never {
                Step::Dropped(self.count_drop())
            } else {
                Step::NoRoom(self.ahead())
            };
        }
        self.report_due();
        if defined > 0 {
            self.window.push(Kind::Callsite, &self.scratch);
            frame::put(Kind::Callsite, &self.scratch, &mut self.definitions);
            self.scratch.clear();
        }
        let seq = self.take_seq();
        record::seal(record, seq, stamp::now(), number);
        self.window.push(Kind::Record, record);
        self.account.accepted += 1;
        if self.has_left {
            // A thread that logs while its process exits must not make the leave void: the next
            // instruction may be the process's last.
            let mut body = Vec::with_capacity(Goodbye::LEN);
            Goodbye { last_seq: seq }.encode(&mut body);
            self.window.push(Kind::Goodbye, &body);
        }
        let step = self.try_send(self.window.end());
        self.hear_now_and_then();
        step
    }

    /// Sends what the socket takes now; done when everything before a place of the window is in the
    /// kernel, or nobody is there to take it.
    fn try_send(&mut self, to: u64) -> Step {
        self.flush_once();
        let is_sent = self.prelude_sent == self.prelude.len() && self.window.sent_to() >= to;
        if self.link.is_none() || is_sent { Step::Done } else { Step::Unsent(to, self.ahead()) }
    }

    /// Gives the worker another name from here on.
    pub fn set_name(&mut self, name: &str) {
        let name = bounded_name(name);
        name.clone_into(&mut self.config.name);
        if self.next_seq == 1 && self.pending.total() == 0 {
            // Nothing stands before it: the hello will say it.
            name.clone_into(&mut self.base_name);
            self.disconnect();
            // The pause is for listeners that don't answer; the first record must reach this one.
            self.retry_at = None;
            return;
        }
        // A name is no record and is never dropped: without room it waits for the next record.
        self.name_is_due = true;
        if self.make_room(self.due_len(), true) {
            self.report_due();
            self.flush_once();
        }
    }

    /// Counts a record that never reached the queue.
    pub const fn count_lost(&mut self, reason: DropReason, count: u64) {
        self.pending.0[reason as usize] += count;
        self.account.dropped.0[reason as usize] += count;
    }

    /// Connects if need be, sends what waits, and hears what the listener said. Never waits.
    pub fn pump(&mut self) {
        if self.window.has_room(self.due_len(), true) {
            self.report_due();
        }
        self.flush_once();
        self.hear();
    }

    /// The last sequence number that was used.
    #[must_use]
    pub const fn last_seq(&self) -> u64 {
        self.next_seq - 1
    }

    /// The last sequence number that is in the files.
    #[must_use]
    pub const fn acked(&self) -> u64 {
        self.window.acked()
    }

    /// What the queue did so far.
    #[must_use]
    pub const fn account(&self) -> Account {
        self.account
    }

    /// Why the listener refused this worker, the last time it did.
    #[must_use]
    pub fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// Records that no listener has been given: those that no connection took, dropped ones
    /// among them. A process that ends with them is the last that knows of them.
    #[must_use]
    pub fn undelivered(&self) -> u64 {
        let unsent = self.window.first_unsent_seq().map_or(0, |first| self.next_seq - first);
        unsent.saturating_add(self.pending.total())
    }

    /// Why the last connection could not be made, if it could not.
    #[must_use]
    pub const fn trouble(&self) -> Option<&io::Error> {
        self.trouble.as_ref()
    }

    /// Whether a connection stands at the moment.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        self.link.is_some()
    }

    /// How often it has connected.
    #[must_use]
    pub const fn connections(&self) -> u64 {
        self.connections
    }

    /// Whether everything that it was given is in the files, or reported as dropped.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        self.acked() >= self.last_seq() && self.pending.is_empty()
    }

    fn everything_is_sent(&self) -> bool {
        self.link.is_some()
            && self.prelude_sent == self.prelude.len()
            && self.window.unsent().is_empty()
    }

    fn take_seq(&mut self) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        seq
    }

    fn count_drop(&mut self) -> DropReason {
        let reason = if self.link.is_some() { DropReason::Full } else { DropReason::NoListener };
        self.count_lost(reason, 1);
        reason
    }

    /// Puts the report of dropped records at the place where they are missing.
    fn report_gap(&mut self) {
        let count = self.pending.total();
        if count == 0 {
            return;
        }
        let first_seq = self.next_seq;
        self.next_seq += count;
        let gap =
            Gap { seq: self.next_seq - 1, stamp: stamp::now(), first_seq, drops: self.pending };
        let mut body = Vec::with_capacity(Gap::LEN);
        gap.encode(&mut body);
        self.window.push(Kind::Gap, &body);
        self.pending = Drops::default();
    }

    /// The bytes of what must stand before the next record.
    fn due_len(&self) -> usize {
        let gap = if self.pending.total() > 0 { frame::HEADER_LEN + Gap::LEN } else { 0 };
        let name = frame::HEADER_LEN + Name::HEADER_LEN + self.config.name.len();
        gap + if self.name_is_due { name } else { 0 }
    }

    /// Reports the gap and the name that must stand before the next record.
    fn report_due(&mut self) {
        self.report_gap();
        if std::mem::take(&mut self.name_is_due) {
            // A name takes no sequence number: a hole in the numbers must mean a lost record.
            let mut body = Vec::new();
            Name { name: &self.config.name }.encode(&mut body);
            self.window.push(Kind::Name, &body);
        }
    }

    /// The callsite's number. A new one leaves its definition in `scratch`; one beyond the limit
    /// is written into the record.
    fn callsite_number(&mut self, record: &mut Vec<u8>, callsite: CallsiteOf<'_>) -> u32 {
        self.scratch.clear();
        let CallsiteOf::Static(key, define) = callsite else { return 0 };
        if let Some(number) = self.callsites.get(&key) {
            return *number;
        }
        let number = u32::try_from(self.callsites.len() + 1).unwrap_or(0);
        if self.callsites.len() >= CALLSITES_MAX {
            define(&mut self.scratch);
            if record.len() + self.scratch.len() < FRAME_MAX {
                RecordEncoder::append_definition(record, &self.scratch);
            }
            self.scratch.clear();
            return 0;
        }
        self.scratch.extend_from_slice(&number.to_le_bytes());
        define(&mut self.scratch);
        self.callsites.insert(key, number);
        number
    }

    /// A definition that went nowhere must be made again for the next record.
    fn forget_callsite(&mut self, callsite: CallsiteOf<'_>) {
        if let (false, CallsiteOf::Static(key, _)) = (self.scratch.is_empty(), callsite) {
            self.callsites.remove(&key);
            self.scratch.clear();
        }
    }

    /// Whether frames of `len` bytes fit, at the latest once what the listener said was heard.
    fn make_room(&mut self, len: usize, urgent: bool) -> bool {
        if self.window.has_room(len, urgent) {
            return true;
        }
        if len > self.window.room_of_empty(urgent) {
            // No wait can make room for it.
            return false;
        }
        self.flush_once();
        self.hear();
        self.window.has_room(len, urgent)
    }

    /// What has to happen before there is room: the listener reads or says something, or the time of
    /// the next attempt to connect comes.
    fn ahead(&self) -> Ahead {
        let unsent = self.prelude_sent < self.prelude.len() || !self.window.unsent().is_empty();
        let on = self.link.as_ref().map(|link| {
            let mut flags = PollFlags::POLLIN;
            flags.set(PollFlags::POLLOUT, unsent);
            (link.socket(), flags)
        });
        let at_most = if on.is_some() { Duration::MAX } else { self.until_retry() };
        Ahead { on, at_most }
    }

    fn until_retry(&self) -> Duration {
        self.retry_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now()))
    }

    /// Sends what waits, hears that it is in the files, and takes leave. Waits as long as the
    /// stall budget of an outage allows; a queue whose records never wait does so here for a
    /// listener that is there, or else what it accepted last would be lost uncounted.
    ///
    /// A queue that never logged and never connected has nothing to take leave from.
    pub fn goodbye(&mut self) {
        leave::goodbye(Own(self));
    }

    fn flush_once(&mut self) {
        if self.link.is_none() && !self.connect() {
            return;
        }
        let mut reconnected = false;
        while let Some(link) = &self.link {
            let prelude = &self.prelude[self.prelude_sent..];
            let in_prelude = !prelude.is_empty();
            let bytes = if in_prelude { prelude } else { self.window.unsent() };
            if bytes.is_empty() {
                return;
            }
            match link.send(bytes) {
                Ok(0) => return,
                Ok(sent) => {
                    if in_prelude {
                        self.prelude_sent += sent;
                        self.retry_pause = RETRY_FIRST;
                    } else if self.window.mark_sent(sent) {
                        // Bytes that were sent before are no sign of life: a listener that ends
                        // again and again without an acknowledgement would refill for ever.
                        self.stall.released();
                    }
                }
                Err(Broken) => {
                    // Its last words may be acknowledgements, or why it refused.
                    self.hear();
                    self.disconnect();
                    // Once per call, or a listener that hangs up in mid-frame each time would
                    // hold up a worker whatever its budget.
                    if reconnected || !self.connect() {
                        return;
                    }
                    reconnected = true;
                }
            }
        }
    }

    /// Connects unless the last attempt was a moment ago.
    fn connect(&mut self) -> bool {
        let now = Instant::now();
        if self.retry_at.is_some_and(|at| now < at) {
            return false;
        }
        self.retry_at = Some(now + self.retry_pause);
        self.retry_pause = (self.retry_pause * 2).min(RETRY_LONGEST);
        match Link::connect(&self.config.socket, self.config.link_number) {
            Ok(link) => self.link = Some(link),
            Err(error) => {
                self.trouble = Some(error);
                return false;
            }
        }
        self.trouble = None;
        self.connections += 1;
        self.prelude.clear();
        self.prelude_sent = 0;
        self.prelude.extend_from_slice(&frame::PREFACE);
        let mut hello = Vec::new();
        let first_seq = self.window.first_seq().unwrap_or(self.next_seq);
        let pid = std::process::id();
        let fallback = bounded_name(&self.config.fallback);
        Hello { queue: self.id, pid, first_seq, name: &self.base_name, fallback }
            .encode(&mut hello);
        frame::put(Kind::Hello, &hello, &mut self.prelude);
        self.prelude.extend_from_slice(&self.definitions);
        true
    }

    fn disconnect(&mut self) {
        self.link = None;
        self.prelude.clear();
        self.prelude_sent = 0;
        self.heard_seq = 0;
        self.window.rewind();
    }

    /// Acknowledgements are read when enough has been sent for them to matter: one system call
    /// for thousands of records.
    fn hear_now_and_then(&mut self) {
        if self.window.live() < self.heard_at {
            return;
        }
        self.hear();
        self.heard_at = self.window.live() + self.config.window / 16;
    }

    fn hear(&mut self) {
        let last_seq = self.last_seq();
        let Some(link) = &mut self.link else { return };
        let (heard_seq, mut refused) = (&mut self.heard_seq, None);
        let broken = link
            .receive(|heard| match heard {
                Heard::Acked(seq) => *heard_seq = seq.min(last_seq).max(*heard_seq),
                Heard::Refused(reason, why) => refused = Some((reason, why)),
            })
            .is_err();
        // A welcome may acknowledge frames that this connection sends only later, so what was
        // heard before counts again.
        let base_name = &mut self.base_name;
        if self.window.release(self.heard_seq, |name| name.clone_into(base_name)) {
            self.stall.released();
            self.heard_at = self.window.live() + self.config.window / 16;
        }
        if let Some((reason, why)) = refused {
            // A worker that only has to wait for a seat is not refused.
            if !reason.is_temporary() {
                self.refused = Some(why);
                // Relaxed: who wants to know why takes the lock.
                self.is_refused.store(true, Ordering::Relaxed);
            }
            self.disconnect();
            self.retry_at = Some(Instant::now() + RETRY_REFUSED);
        } else if broken {
            self.disconnect();
        }
    }
}

/// How far a record is.
enum Step {
    /// In the kernel, or in the window where there is no connection.
    Done,
    /// Dropped and counted.
    Dropped(DropReason),
    /// The window is full.
    NoRoom(Ahead),
    /// In the window, and not in the kernel up to a place.
    Unsent(u64, Ahead),
}

/// Takes a record, and waits for room in the window and in the socket as long as policy and budget
/// allow, so that a call that returns has handed its record to the kernel. Fails with the reason for
/// which it was dropped and counted; without one nothing was counted: the queue was not to be had.
fn record_in(
    mut queue: impl Access<SocketQueue>,
    call: &Call<'_>,
    record: &mut Vec<u8>,
    urgent: bool,
    callsite: CallsiteOf<'_>,
) -> Result<(), Option<DropReason>> {
    let plain = record.len();
    let mut step = queue.with(|queue| queue.try_record(record, urgent, callsite));
    loop {
        step = match step {
            None => return Err(None),
            Some(Step::Done) => return Ok(()),
            Some(Step::Dropped(reason)) => return Err(Some(reason)),
            Some(Step::NoRoom(ahead)) => {
                if !ahead.wait(call) {
                    return Err(queue.with(SocketQueue::count_drop));
                }
                // A definition that the last attempt appended would stand there twice.
                record.truncate(plain);
                queue.with(|queue| queue.try_record(record, urgent, callsite))
            }
            Some(Step::Unsent(to, ahead)) => {
                if !ahead.wait(call) {
                    return Ok(());
                }
                let again = queue.with(|queue| {
                    queue.hear();
                    queue.try_send(to)
                });
                // It is in the window, and whoever has the queue sends what is there.
                Some(again.unwrap_or(Step::Done))
            }
        };
    }
}

/// Waits a moment for the listener to acknowledge more. For loops that hold the queue's lock
/// only between the waits.
pub fn pause(at_most: Duration) {
    wait_until(None, after(Instant::now(), at_most));
}
