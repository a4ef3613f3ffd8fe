//! Segments: the lanes of workers, as the listener reads them.
//!
//! A segment is found by its worker's bell or by a look into the run directory at start. A lane
//! with news is looked at in every round; one that stays empty is left alone until its worker
//! rings, so that idle lanes cost nothing. A segment whose worker is dead and whose lanes are
//! empty is removed.
//!
//! Whatever a worker writes into its segment costs nobody else anything: a lane that can't be
//! read is put aside, and so is a segment that was truncated.

mod guard;
mod headroom;
mod life;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fleetlog_protocol::callsite::Callsite;
use fleetlog_protocol::frame::{self, Kind};
use fleetlog_protocol::lane::Reader;
use fleetlog_protocol::limits::CONNECTIONS_PER_UID_MAX;
use fleetlog_protocol::message::{Drops, Name, QueueId};
use fleetlog_protocol::segment::{Description, FileName, ForeignSegment, MappedLane, start_time};
use fleetlog_protocol::stamp::{self, Stamp};

use super::buffer::Shared;
use super::callsites::Callsites;
use super::feed::{Feed, Peek};
use super::peer::Peer;
use super::waiting::{Waiting, stamp_at_front};
use super::{Offence, Token};
use crate::sink::SinkMask;
use guard::{Missing, within};
use headroom::Headroom;
use life::DEATH_CHECK_FIRST;

/// A segment's number while the listener knows it.
pub(crate) type SegmentIndex = usize;
/// A lane's number among all lanes.
pub(crate) type LaneIndex = usize;

/// How much of a lane is copied out at a time: it is used while it is in the processor's cache.
const CHUNK: usize = 32 << 10;

/// What of a lane's next frame is looked at to know its stamp: its header, number and stamp.
const FRONT: usize = frame::HEADER_LEN + 16;

/// How long a lane without news is looked at before it is left alone. A worker that logs more
/// often never has to ring.
const LOOKS_FOR: Duration = Duration::from_millis(50);

/// Segments that are mapped of one uid. More wait in the run directory: a fleet that died while
/// nobody listened is drained in turns.
const OF_UID_MAX: usize = 4 * CONNECTIONS_PER_UID_MAX;

/// A worker's segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) file: FileName,
    pub(crate) described: Description,
    /// Who the kernel says it is; without a bell, who owns the file.
    pub(crate) peer: Peer,
    /// The connection that rings for it.
    bell: Option<Token>,
    /// Its bell was there and is silent.
    has_hung_up: bool,
    /// There was no seat for its bell: its lanes are looked at in every round.
    has_no_seat: bool,
    /// Its lanes, in the order of their numbers.
    pub(crate) lanes: Vec<LaneIndex>,
    foreign: ForeignSegment,
    callsites: Callsites,
    table: Table,
    /// Its worker is gone.
    pub(crate) dead: bool,
    /// Its end stands in a batch.
    pub(crate) is_announced: bool,
    broken: bool,
    check_at: Instant,
    check_pause: Duration,
    /// Drops that were reported in band, and whether the segment does not say so yet.
    reported: Drops,
    owes_report: bool,
    /// The drops that its worker was seen to have counted, and when that grew first and last.
    drops_known: u64,
    pub(crate) drops_seen: (Stamp, Stamp),
    /// It was told that its counts are not believed.
    is_incredible: bool,
}

/// How far the callsite table was read.
#[derive(Debug, Default)]
struct Table {
    read: usize,
    bytes: Vec<u8>,
    defined: u32,
}

/// A lane.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) segment: SegmentIndex,
    /// Its number in its segment.
    pub(crate) number: usize,
    /// Its place among the listener's queues.
    pub(crate) queue: usize,
    pub(crate) name: Arc<str>,
    pub(crate) feed: Feed,
    reader: Reader<MappedLane>,
    /// When it had news.
    news_at: Instant,
    is_looked_at: bool,
    /// It can't be read any more.
    broken: bool,
}

/// All segments of a run directory.
#[derive(Debug)]
pub(crate) struct Segments {
    run_dir: PathBuf,
    headroom: Headroom,
    list: Vec<Option<Segment>>,
    free: Vec<SegmentIndex>,
    by_file: HashMap<FileName, SegmentIndex>,
    of_uid: HashMap<u32, usize>,
    lanes: Vec<Option<Lane>>,
    free_lanes: Vec<LaneIndex>,
    /// Lanes that are looked at.
    watched: Vec<LaneIndex>,
    /// Segments for whose bell there was no seat, and when the listener wakes up for them next.
    without_seat: Vec<SegmentIndex>,
    look_at: Option<Instant>,
    /// Segments whose worker is dead.
    dead: Vec<SegmentIndex>,
    /// When the next worker is looked for whose bell is silent.
    next_check: Option<Instant>,
    /// Segments with lanes that could not be taken in, and when they are tried again.
    retries: Vec<SegmentIndex>,
    retry_at: Option<Instant>,
    /// Segments that were ever mapped.
    pub(crate) seen: u64,
}

impl Segments {
    pub(crate) fn new(run_dir: &Path) -> io::Result<Self> {
        guard::install()?;
        Ok(Self {
            run_dir: run_dir.to_owned(),
            headroom: Headroom::new(),
            list: Vec::new(),
            free: Vec::new(),
            by_file: HashMap::new(),
            of_uid: HashMap::new(),
            lanes: Vec::new(),
            free_lanes: Vec::new(),
            watched: Vec::new(),
            without_seat: Vec::new(),
            look_at: None,
            dead: Vec::new(),
            next_check: None,
            retries: Vec::new(),
            retry_at: None,
            seen: 0,
        })
    }

    /// Maps a segment. Returns its index; a segment that is known already keeps its.
    pub(crate) fn open(
        &mut self,
        file: FileName,
        peer: Option<Peer>,
    ) -> Result<SegmentIndex, Offence> {
        let known = self.by_file.get(&file).copied();
        let refuse = |why: String| Offence::Segment(why);
        if let Some(index) = known {
            let owner = self.list[index].as_ref().map(|known| known.described.uid);
            return match (peer, owner) {
                (Some(peer), Some(owner)) if !speaks_for(peer, file, owner) => {
                    Err(refuse(format!("{file} belongs to uid {owner}")))
                }
                _ => Ok(index),
            };
        }
        let foreign = ForeignSegment::open(&self.run_dir, file).map_err(|error| {
            let text = error.to_string();
            if error.is_want_of_room() {
                self.headroom.give_back();
                Offence::NoRoom(text)
            } else {
                refuse(text)
            }
        })?;
        let described = within(&foreign.range(), || foreign.describe())
            .map_err(|Missing| Offence::Truncated)?
            .ok_or_else(|| refuse(format!("{file} is not complete, or of another version")))?;
        if (described.pid, described.start_time) != (file.pid, file.start_time) {
            return Err(refuse(format!("{file} says that it is another process's")));
        }
        let peer = match peer {
            // Whoever names another user's segment does not speak for it.
            Some(peer) if !speaks_for(peer, file, described.uid) => {
                return Err(refuse(format!("{file} belongs to uid {}", described.uid)));
            }
            Some(peer) if peer.pid != 0 => Peer { pid: peer.pid, uid: described.uid },
            _ => Peer { pid: described.pid, uid: described.uid },
        };
        let of_uid = self.of_uid.entry(peer.uid).or_default();
        if *of_uid >= OF_UID_MAX {
            return Err(Offence::NoRoom(format!(
                "{OF_UID_MAX} segments of uid {} are read",
                peer.uid
            )));
        }
        *of_uid += 1;
        let index = self.free.pop().unwrap_or_else(|| {
            self.list.push(None);
            self.list.len() - 1
        });
        self.by_file.insert(file, index);
        let check_at = Instant::now();
        self.list[index] = Some(Segment {
            file,
            described,
            peer,
            bell: None,
            has_hung_up: false,
            has_no_seat: false,
            lanes: Vec::new(),
            reported: within(&foreign.range(), || foreign.reported()).unwrap_or_default(),
            drops_known: 0,
            drops_seen: (0, 0),
            is_incredible: false,
            owes_report: false,
            foreign,
            callsites: Callsites::default(),
            table: Table::default(),
            dead: false,
            is_announced: false,
            broken: false,
            // One that was found may be a dead worker's.
            check_at,
            check_pause: DEATH_CHECK_FIRST,
        });
        self.seen += 1;
        self.expect_check(check_at);
        Ok(index)
    }

    /// Whether a segment is mapped.
    pub(crate) fn knows(&self, file: FileName) -> bool {
        self.by_file.contains_key(&file)
    }

    pub(crate) fn get(&self, index: SegmentIndex) -> Option<&Segment> {
        self.list.get(index)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, index: SegmentIndex) -> Option<&mut Segment> {
        self.list.get_mut(index)?.as_mut()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (SegmentIndex, &Segment)> {
        self.list.iter().enumerate().filter_map(|(index, segment)| Some((index, segment.as_ref()?)))
    }

    pub(crate) fn len(&self) -> usize {
        self.by_file.len()
    }

    pub(crate) fn lane(&self, index: LaneIndex) -> Option<&Lane> {
        self.lanes.get(index)?.as_ref()
    }

    /// The lanes of a segment that its worker has claimed and the listener does not know yet:
    /// number, identity and tail of each.
    pub(crate) fn unknown_lanes(&self, index: SegmentIndex) -> Vec<(usize, QueueId, u64)> {
        let Some(segment) = self.get(index).filter(|segment| !segment.broken) else {
            return Vec::new();
        };
        let foreign = &segment.foreign;
        let found = within(&foreign.range(), || {
            let known = segment.lanes.len();
            (known..foreign.claimed()).map(|number| (number, foreign.tail(number))).collect()
        });
        let found: Vec<(usize, u64)> = found.unwrap_or_default();
        let identity = segment.described.identity;
        let queue = |number| ForeignSegment::queue_of(identity, number);
        found.into_iter().map(|(number, tail)| (number, queue(number), tail)).collect()
    }

    /// Takes a lane in, the next of its segment, that goes on at `tail`.
    pub(crate) fn add_lane(
        &mut self,
        segment: SegmentIndex,
        queue: usize,
        name: Arc<str>,
        tail: u64,
    ) -> Option<LaneIndex> {
        let found = self.list.get_mut(segment)?.as_mut()?;
        let number = found.lanes.len();
        let place = found.foreign.lane(number);
        let reader = within(&found.foreign.range(), || Reader::new(place, tail)).ok()?;
        let lane = Lane {
            segment,
            number,
            queue,
            name,
            feed: Feed::starting_at(tail),
            reader,
            news_at: Instant::now(),
            is_looked_at: false,
            broken: false,
        };
        let index = self.free_lanes.pop().unwrap_or_else(|| {
            self.lanes.push(None);
            self.lanes.len() - 1
        });
        self.lanes[index] = Some(lane);
        found.lanes.push(index);
        self.watch(index);
        Some(index)
    }

    /// The worker rang: looks at the lanes that it published to.
    pub(crate) fn rung(&mut self, index: SegmentIndex) {
        let Some(segment) = self.get(index).filter(|segment| !segment.broken) else { return };
        let Ok(active) = within(&segment.foreign.range(), || segment.foreign.take_active()) else {
            return;
        };
        let lanes: Vec<LaneIndex> = segment
            .lanes
            .iter()
            .enumerate()
            .filter(|(number, _)| active & (1 << number) != 0)
            .map(|(_, lane)| *lane)
            .collect();
        for lane in lanes {
            self.watch(lane);
        }
    }

    /// Looks at a lane from now on.
    fn watch(&mut self, index: LaneIndex) {
        let Some(lane) = self.lanes.get_mut(index).and_then(Option::as_mut) else { return };
        if lane.broken || std::mem::replace(&mut lane.is_looked_at, true) {
            return;
        }
        lane.news_at = Instant::now();
        self.watched.push(index);
        if let Some(Some(segment)) = self.list.get(lane.segment) {
            let _ = within(&segment.foreign.range(), || lane.reader.look_again());
        }
    }

    /// Looks at every watched lane: `news` gets those with something to take, `offences` those
    /// that can't be read.
    pub(crate) fn look(
        &mut self,
        news: &mut Vec<LaneIndex>,
        offences: &mut Vec<(LaneIndex, Offence)>,
    ) {
        for &index in &self.watched {
            let Some(lane) = self.lanes[index].as_mut().filter(|lane| !lane.broken) else {
                continue;
            };
            let Some(segment) = self.list[lane.segment].as_ref() else { continue };
            match within(&segment.foreign.range(), || lane.reader.look()) {
                Ok(Ok(0)) if lane.feed.buffer.len() == 0 => {}
                Ok(Ok(_)) => news.push(index),
                Ok(Err(corrupt)) => offences.push((index, corrupt.into())),
                Err(Missing) => offences.push((index, Offence::Truncated)),
            }
        }
        // After all looks: no honest record that was seen has a later stamp.
        let read_at = stamp::now();
        for &index in news.iter() {
            if let Some(lane) = self.lanes[index].as_mut() {
                lane.feed.read_at = read_at;
            }
        }
    }

    /// Leaves lanes alone that had no news for long enough.
    pub(crate) fn leave_quiet(&mut self, offences: &mut Vec<(LaneIndex, Offence)>) {
        let now = Instant::now();
        let (lanes, list) = (&mut self.lanes, &self.list);
        self.watched.retain(|&index| {
            let Some(lane) = lanes[index].as_mut() else { return false };
            let Some(segment) = list[lane.segment].as_ref() else { return false };
            if lane.broken {
                lane.is_looked_at = false;
                return false;
            }
            if now.saturating_duration_since(lane.news_at) < LOOKS_FOR || lane.has_more() {
                return true;
            }
            match within(&segment.foreign.range(), || lane.reader.look_away()) {
                Ok(Ok(true)) => true,
                Ok(Ok(false)) => {
                    lane.is_looked_at = false;
                    false
                }
                Ok(Err(corrupt)) => {
                    offences.push((index, corrupt.into()));
                    true
                }
                Err(Missing) => {
                    offences.push((index, Offence::Truncated));
                    true
                }
            }
        });
    }

    /// Whether any lane is looked at.
    pub(crate) const fn watches(&self) -> bool {
        !self.watched.is_empty()
    }

    /// What waits in the lanes of a segment: in their memory, and taken out of it. It changes nothing:
    /// what is seen of a lane outside of a round has another time than the round takes it for, and
    /// an effect could come to stand before its cause.
    pub(in crate::intake) fn waiting(&self, index: SegmentIndex) -> Waiting {
        let Some(Some(segment)) = self.list.get(index) else { return Waiting::default() };
        let mut sum = Waiting::default();
        for lane in &segment.lanes {
            let Some(lane) = self.lanes.get(*lane).and_then(Option::as_ref) else { continue };
            let mut waiting = Waiting::of(&lane.feed);
            let mut front = [0; FRONT];
            let looked = within(&segment.foreign.range(), || lane.reader.peek(&mut front));
            let (there, seen) = looked.unwrap_or_default();
            waiting.oldest = waiting.oldest.or_else(|| stamp_at_front(&front[..seen]));
            waiting.bytes += there;
            sum.add(waiting);
        }
        sum
    }

    /// The stamp of a lane's next record; see [`super::Connection::next_stamp`].
    pub(super) fn next_stamp(
        &mut self,
        index: LaneIndex,
        shared: &mut Shared,
    ) -> Result<Option<Stamp>, Offence> {
        let Some(lane) = self.lanes.get_mut(index).and_then(Option::as_mut) else {
            return Ok(None);
        };
        if lane.broken {
            return Ok(None);
        }
        loop {
            match lane.feed.peek()? {
                Some(Peek::Sequenced(stamp)) => return Ok(Some(stamp)),
                Some(Peek::Other(Kind::Name, len)) => {
                    let Name { name } = Name::decode(lane.feed.body(len))?;
                    lane.name = name.into();
                    lane.feed.consume(len);
                }
                Some(Peek::Other(kind, _)) => return Err(Offence::Misplaced(kind)),
                None if lane.reader.waiting() > 0 => {
                    let Some(Some(segment)) = self.list.get(lane.segment) else { return Ok(None) };
                    let memory = lane.feed.buffer.memory_for(CHUNK, shared);
                    within(&segment.foreign.range(), || lane.reader.take(CHUNK, memory))
                        .map_err(|Missing| Offence::Truncated)?;
                    lane.news_at = Instant::now();
                }
                // A head stands between two frames; a worker that died in between published none.
                None if lane.feed.buffer.len() > 0 => return Err(Offence::Torn),
                None => return Ok(None),
            }
        }
    }

    /// The parts of a lane that the merge needs, with the callsites of its segment.
    pub(super) fn speaker(&mut self, index: LaneIndex) -> Option<(&mut Lane, &Callsites)> {
        let lane = self.lanes.get_mut(index)?.as_mut()?;
        let segment = self.list.get(lane.segment)?.as_ref()?;
        Some((lane, &segment.callsites))
    }

    /// Reads what a segment's callsite table has got since the last time.
    pub(crate) fn read_callsites(
        &mut self,
        index: SegmentIndex,
        interested: impl Fn(&Callsite) -> SinkMask,
    ) -> Result<(), Offence> {
        let Some(segment) = self.list.get_mut(index).and_then(Option::as_mut) else {
            return Ok(());
        };
        let Table { read, bytes, defined } = &mut segment.table;
        *read = within(&segment.foreign.range(), || segment.foreign.read_callsites(*read, bytes))
            .map_err(|Missing| Offence::Truncated)?;
        // One that can't be read still has its number: those behind it keep theirs.
        let (mut at, mut fault) = (0, Ok(()));
        while let Some((length, rest)) = bytes[at..].split_first_chunk() {
            let length = u32::from_le_bytes(*length) as usize;
            let Some(definition) = rest.get(..length) else { break };
            *defined += 1;
            fault = fault.and(segment.callsites.define(*defined, definition, &interested));
            at += 4 + length;
        }
        bytes.drain(..at);
        fault
    }

    /// What a lane published up to here is in the files.
    pub(crate) fn release(&mut self, index: LaneIndex, tail: u64) {
        let Some(Some(lane)) = self.lanes.get_mut(index) else { return };
        let Some(Some(segment)) = self.list.get(lane.segment) else { return };
        let _ = within(&segment.foreign.range(), || lane.reader.release(tail));
        let index = lane.segment;
        self.keep_report(index);
    }

    /// Gives the memory back that a lane's feed does not need now.
    pub(crate) fn settle(&mut self, index: LaneIndex, shared: &mut Shared) {
        if let Some(Some(lane)) = self.lanes.get_mut(index) {
            lane.feed.buffer.settle(shared);
        }
    }

    /// Puts a lane aside that can't be read, or the whole segment where its file was cut.
    pub(crate) fn put_aside(&mut self, index: LaneIndex, offence: &Offence) {
        let Some(Some(lane)) = self.lanes.get_mut(index) else { return };
        lane.broken = true;
        if matches!(offence, Offence::Truncated) {
            let segment = lane.segment;
            self.put_segment_aside(segment);
        }
    }

    /// Puts a whole segment aside.
    pub(crate) fn put_segment_aside(&mut self, index: SegmentIndex) {
        let lanes = match self.get_mut(index) {
            Some(segment) => {
                segment.broken = true;
                segment.lanes.clone()
            }
            None => return,
        };
        for lane in lanes {
            if let Some(Some(lane)) = self.lanes.get_mut(lane) {
                lane.broken = true;
            }
        }
    }

    /// Looks at every lane of a segment once more.
    pub(crate) fn watch_all(&mut self, index: SegmentIndex) {
        let lanes = self.get(index).map(|segment| segment.lanes.clone()).unwrap_or_default();
        for lane in lanes {
            self.watch(lane);
        }
    }
}

/// Whether a peer may ring for a segment of this owner: its user, and the very process that the
/// file is named after, which may have become another user since it made it.
fn speaks_for(peer: Peer, file: FileName, owner: u32) -> bool {
    let is_its_process = || {
        peer.pid == file.pid && file.start_time > 0 && start_time(peer.pid) == Some(file.start_time)
    };
    peer.uid == owner || is_its_process()
}

impl Lane {
    /// Whether something was published that is not in a batch.
    fn has_more(&self) -> bool {
        self.reader.waiting() > 0 || self.feed.buffer.len() > 0
    }
}
