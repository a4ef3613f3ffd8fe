//! A disk in memory that can be killed, filled, failed and set to another time at each step.
//!
//! Every call is a step, and so is every word that is stored. A kill strikes before or behind the
//! effect of a step, and a write may have been done in part. What is dead fails at everything until
//! it is revived; what was on the disk stays. A fault can be planted, so that a checker can be
//! checked.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use nix::errno::Errno;

use super::{Access, Claim, Disk, DiskFile, Meta, Words};

/// A fault that a checker must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Planted {
    /// Cutting a file does nothing.
    NoCut,
    /// Words that were stored last before a kill are forgotten by it.
    ForgetfulState,
    /// Now and then a write says that it is whole and leaves out its last byte.
    LyingWrite,
}

/// A state's words; they belong to the disk, not to whoever mapped them.
type StateWords = Arc<Mutex<Vec<u64>>>;

#[derive(Clone, Debug)]
enum Node {
    File(u64),
    Link(PathBuf),
    State(StateWords),
}

#[derive(Clone, Debug)]
struct Content {
    bytes: Vec<u8>,
    modified: u64,
    access: Access,
    links: u64,
    handles: u64,
}

#[derive(Debug, Default)]
struct World {
    names: BTreeMap<PathBuf, Node>,
    files: BTreeMap<u64, Content>,
    now: u64,
    steps: u64,
    /// Seconds in which nobody did anything.
    idle: u64,
    /// The step at which the kill comes.
    kill_at: Option<u64>,
    /// The step that fails once.
    fail_at: Option<u64>,
    dead: bool,
    /// Bytes that files may have; beyond them the disk is full.
    room: Option<u64>,
    random: u64,
    planted: Option<Planted>,
    /// The last words before now, as they were.
    undo: Vec<(StateWords, usize, u64)>,
    /// Called names that are removed for good, with what was in them.
    removed: Vec<(PathBuf, Vec<u8>)>,
}

/// The disk; a clone is the same one.
#[derive(Clone, Debug)]
pub(crate) struct Simulated(Arc<Mutex<World>>);

/// How a step ends.
enum Step {
    Done,
    /// The effect happens, and nobody hears of it.
    DoneAndDead,
}

impl World {
    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    fn step(&mut self) -> io::Result<Step> {
        if self.dead {
            return Err(killed());
        }
        self.steps += 1;
        if self.kill_at.is_some_and(|at| self.steps >= at) {
            self.dead = true;
            self.kill_at = None;
            if self.planted == Some(Planted::ForgetfulState) {
                for (state, at, before) in self.undo.drain(..).rev() {
                    state.lock().unwrap()[at] = before;
                }
            }
            return if self.random().is_multiple_of(2) {
                Err(killed())
            } else {
                Ok(Step::DoneAndDead)
            };
        }
        if self.fail_at.is_some_and(|at| self.steps >= at) {
            self.fail_at = None;
            return Err(Errno::EIO.into());
        }
        Ok(Step::Done)
    }

    fn used(&self) -> u64 {
        self.files.values().map(|file| file.bytes.len() as u64).sum()
    }

    /// The smallest number that no file has: real disks use one again at once.
    fn free_id(&self) -> u64 {
        (1..).find(|id| !self.files.contains_key(id)).unwrap()
    }

    fn let_go(&mut self, id: u64) {
        if self.files.get(&id).is_some_and(|file| file.links == 0 && file.handles == 0) {
            self.files.remove(&id);
        }
    }

    fn find(&self, path: &Path) -> io::Result<Node> {
        let mut path = path.to_owned();
        loop {
            match self.names.get(&path) {
                Some(Node::Link(text)) => path = path.parent().unwrap().join(text),
                Some(node) => return Ok(node.clone()),
                None => return Err(io::ErrorKind::NotFound.into()),
            }
        }
    }

    fn file(&self, path: &Path) -> io::Result<u64> {
        match self.find(path)? {
            Node::File(id) => Ok(id),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn free_name(&self, path: &Path) -> io::Result<()> {
        match self.names.get(path) {
            Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
            None => Ok(()),
        }
    }

    fn drop_name(&mut self, path: &Path) {
        if let Some(Node::File(id)) = self.names.remove(path) {
            let file = self.files.get_mut(&id).unwrap();
            file.links -= 1;
            if file.links == 0 {
                let bytes = file.bytes.clone();
                self.removed.push((path.to_owned(), bytes));
            }
            self.let_go(id);
        }
    }

    fn meta(&self, id: u64) -> Meta {
        let file = &self.files[&id];
        Meta {
            identity: (1, id),
            len: file.bytes.len() as u64,
            links: file.links,
            is_file: true,
            modified: file.modified,
            access: file.access,
        }
    }
}

fn killed() -> io::Error {
    io::Error::other("killed")
}

impl Simulated {
    pub(crate) fn new(seed: u64, now: u64) -> Self {
        let world = World { now, random: seed | 1, ..World::default() };
        Self(Arc::new(Mutex::new(world)))
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    /// One step, and what it does.
    fn act<T>(&self, effect: impl FnOnce(&mut World) -> io::Result<T>) -> io::Result<T> {
        let mut world = self.world();
        let step = world.step()?;
        let done = effect(&mut world)?;
        // What is made for the dead is dropped, and asks for the world again.
        drop(world);
        match step {
            Step::Done => Ok(done),
            Step::DoneAndDead => Err(killed()),
        }
    }

    pub(crate) fn steps(&self) -> u64 {
        self.world().steps
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.world().dead
    }

    /// Kills whoever uses the disk in so many steps.
    pub(crate) fn kill_in(&self, steps: u64) {
        let mut world = self.world();
        world.kill_at = Some(world.steps + steps);
    }

    /// Lets one step fail, in so many steps.
    pub(crate) fn fail_in(&self, steps: u64) {
        let mut world = self.world();
        world.fail_at = Some(world.steps + steps);
    }

    /// The next process uses the disk.
    pub(crate) fn revive(&self) {
        let mut world = self.world();
        world.dead = false;
        world.kill_at = None;
    }

    /// Somebody leaves so many bytes of room; `None` = any.
    pub(crate) fn leave_room(&self, bytes: Option<u64>) {
        let mut world = self.world();
        world.room = bytes.map(|bytes| world.used() + bytes);
    }

    /// Time passes; the clock may be set to anything meanwhile.
    pub(crate) fn pass(&self, seconds: u64) {
        self.world().idle += seconds;
    }

    pub(crate) fn set_clock(&self, now: u64) {
        self.world().now = now;
    }

    pub(crate) fn plant(&self, fault: Planted) {
        self.world().planted = Some(fault);
    }

    /// Somebody else moves a file, if it is there.
    pub(crate) fn move_away(&self, from: &Path, to: &Path) {
        let mut world = self.world();
        if let Some(node) = world.names.remove(from) {
            world.names.insert(to.to_owned(), node);
        }
    }

    /// All files with their bytes, each under the first of its names.
    pub(crate) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let world = self.world();
        let mut seen = std::collections::BTreeSet::new();
        let file = |(path, node): (&PathBuf, &Node)| match node {
            Node::File(id) if seen.insert(*id) => {
                Some((path.clone(), world.files[id].bytes.clone()))
            }
            _ => None,
        };
        world.names.iter().filter_map(file).collect()
    }

    /// The bytes of all files whose names satisfy a condition, each file once.
    pub(crate) fn used_by(&self, counts: impl Fn(&Path) -> bool) -> u64 {
        let world = self.world();
        let ids = world.names.iter().filter_map(|(path, node)| match node {
            Node::File(id) if counts(path) => Some(*id),
            _ => None,
        });
        let ids: std::collections::BTreeSet<u64> = ids.collect();
        ids.into_iter().map(|id| world.files[&id].bytes.len() as u64).sum()
    }

    /// What was removed since the last call.
    pub(crate) fn take_removed(&self) -> Vec<(PathBuf, Vec<u8>)> {
        std::mem::take(&mut self.world().removed)
    }

    fn handle(&self, world: &mut World, id: u64) -> Box<dyn DiskFile> {
        world.files.get_mut(&id).unwrap().handles += 1;
        Box::new(Handle { disk: self.clone(), id })
    }
}

impl Disk for Simulated {
    fn now(&self) -> u64 {
        self.world().now
    }

    fn elapsed(&self) -> Duration {
        let world = self.world();
        Duration::from_secs(world.steps + world.idle)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.act(|world| {
            let id = world.file(path)?;
            Ok(self.handle(world, id))
        })
    }

    fn create(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        self.act(|world| {
            world.free_name(path)?;
            if world.room.is_some_and(|room| world.used() >= room) {
                return Err(Errno::ENOSPC.into());
            }
            let (id, modified) = (world.free_id(), world.now);
            let content = Content { bytes: Vec::new(), modified, access, links: 1, handles: 0 };
            world.files.insert(id, content);
            world.names.insert(path.to_owned(), Node::File(id));
            Ok(self.handle(world, id))
        })
    }

    fn read(&self, path: &Path, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        self.act(|world| {
            let bytes = &world.files[&world.file(path)?].bytes;
            let start = usize::try_from(offset).unwrap().min(bytes.len());
            Ok(Box::new(io::Cursor::new(bytes[start..].to_vec())) as Box<dyn Read + Send>)
        })
    }

    fn metadata(&self, path: &Path) -> io::Result<Meta> {
        self.act(|world| Ok(world.meta(world.file(path)?)))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        self.act(|world| {
            let paths = world.names.keys().filter(|path| path.parent() == Some(folder));
            Ok(paths.filter_map(|path| path.file_name()).map(OsString::from).collect())
        })
    }

    fn make_folder(&self, _: &Path) -> io::Result<()> {
        self.act(|_| Ok(()))
    }

    fn link(&self, path: &Path, second: &Path) -> io::Result<()> {
        self.act(|world| {
            let id = world.file(path)?;
            world.free_name(second)?;
            world.files.get_mut(&id).unwrap().links += 1;
            world.names.insert(second.to_owned(), Node::File(id));
            Ok(())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.act(|world| {
            let Some(node) = world.names.remove(from) else {
                return Err(io::ErrorKind::NotFound.into());
            };
            world.drop_name(to);
            world.names.insert(to.to_owned(), node);
            Ok(())
        })
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.act(|world| {
            world.free_name(to)?;
            let Some(node) = world.names.remove(from) else {
                return Err(io::ErrorKind::NotFound.into());
            };
            world.names.insert(to.to_owned(), node);
            Ok(())
        })
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.act(|world| {
            if !world.names.contains_key(path) {
                return Err(io::ErrorKind::NotFound.into());
            }
            world.drop_name(path);
            world.names.remove(path);
            Ok(())
        })
    }

    fn symlink(&self, text: &Path, path: &Path) -> io::Result<()> {
        self.act(|world| {
            world.free_name(path)?;
            world.names.insert(path.to_owned(), Node::Link(text.to_owned()));
            Ok(())
        })
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        self.act(|world| match world.names.get(path) {
            Some(Node::Link(text)) => Ok(text.clone()),
            Some(_) => Err(io::ErrorKind::InvalidInput.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        })
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        self.act(|_| Ok(()))
    }

    fn create_state(&self, path: &Path, words: usize) -> io::Result<Box<dyn Words>> {
        self.act(|world| {
            let state = Arc::new(Mutex::new(vec![0; words]));
            world.names.insert(path.to_owned(), Node::State(Arc::clone(&state)));
            Ok(Box::new(State { disk: self.clone(), words: state }) as Box<dyn Words>)
        })
    }

    fn open_state(&self, path: &Path) -> io::Result<Box<dyn Words>> {
        self.act(|world| match world.find(path)? {
            Node::State(words) => {
                Ok(Box::new(State { disk: self.clone(), words }) as Box<dyn Words>)
            }
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        })
    }
}

#[derive(Debug)]
struct Handle {
    disk: Simulated,
    id: u64,
}

impl DiskFile for Handle {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut world = self.disk.world();
        let step = world.step()?;
        let room = world.room.map_or(u64::MAX, |room| room.saturating_sub(world.used()));
        if room == 0 {
            return Err(Errno::ENOSPC.into());
        }
        let is_short = matches!(step, Step::DoneAndDead) || world.random().is_multiple_of(8);
        let most = u64::try_from(bytes.len()).unwrap().min(room);
        let len = if is_short { world.random() % most + 1 } else { most };
        let len = usize::try_from(len).unwrap();
        let now = world.now;
        let lies = world.planted == Some(Planted::LyingWrite) && world.random().is_multiple_of(16);
        let file = world.files.get_mut(&self.id).unwrap();
        file.bytes.extend_from_slice(&bytes[..len - usize::from(lies)]);
        file.modified = now;
        match step {
            Step::Done => Ok(len),
            Step::DoneAndDead => Err(killed()),
        }
    }

    fn metadata(&self) -> io::Result<Meta> {
        self.disk.act(|world| Ok(world.meta(self.id)))
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.disk.act(|world| {
            if world.planted != Some(Planted::NoCut) {
                let file = world.files.get_mut(&self.id).unwrap();
                file.bytes.resize(usize::try_from(len).unwrap(), 0);
            }
            Ok(())
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.act(|_| Ok(()))
    }

    fn claim(&self) -> io::Result<Claim> {
        Ok(Claim::Ours)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut world = self.disk.world();
        world.files.get_mut(&self.id).unwrap().handles -= 1;
        world.let_go(self.id);
    }
}

#[derive(Debug)]
struct State {
    disk: Simulated,
    words: StateWords,
}

impl Words for State {
    fn len(&self) -> usize {
        self.words.lock().unwrap().len()
    }

    fn load(&self, at: usize) -> u64 {
        self.words.lock().unwrap()[at]
    }

    fn store(&self, at: usize, value: u64) {
        let mut world = self.disk.world();
        // Memory has no errors; what is dead just does not store any more.
        let fails = world.fail_at.take();
        let step = world.step();
        world.fail_at = fails;
        if step.is_err() {
            return;
        }
        let before = std::mem::replace(&mut self.words.lock().unwrap()[at], value);
        world.undo.push((Arc::clone(&self.words), at, before));
        let excess = world.undo.len().saturating_sub(6);
        world.undo.drain(..excess);
    }
}
