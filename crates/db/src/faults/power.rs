//! A model of what a power cut leaves.
//!
//! What is written to a [`PowerDisk`] reaches the folder at once, as it reaches the page cache: whoever opens the folder
//! sees it. Beside that the disk remembers each step. A [`PowerCut`] after any of them says what of the steps was
//! synced, and makes up a state of the folder that a power cut could leave: of bytes that were not synced any sectors
//! may be there or not, of names that were not synced each may be there or not, whatever came first. That is harsher
//! than most file systems, and what the system promises.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::random::Random;
use crate::disk::{Disk, DiskFile, SystemDisk};

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// A disk whose power can be cut after any step, as often as wanted: the cut is reckoned, the disk goes on. A clone is
/// the same process's view of it.
#[derive(Clone)]
pub struct PowerDisk {
    world: Arc<Mutex<World>>,
    /// The process that has the disk ends when there were so many steps.
    last_step: Arc<AtomicUsize>,
}

struct World {
    root: PathBuf,
    steps: Vec<Step>,
    /// The file of each name as it is now.
    names: BTreeMap<PathBuf, usize>,
    files: usize,
}

enum Step {
    Name {
        path: PathBuf,
        node: Node,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
        node: Node,
    },
    Remove {
        path: PathBuf,
    },
    Write {
        file: usize,
        bytes: Vec<u8>,
    },
    Truncate {
        file: usize,
        length: usize,
    },
    /// Everything of the file before step `before` is safe.
    Sync {
        file: usize,
        before: usize,
    },
    /// The names in the folder before step `before` are safe.
    SyncFolder {
        path: PathBuf,
        before: usize,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Folder,
    File(usize),
}

impl PowerDisk {
    /// A disk beneath everything in the folder `root`, which is there and stays. What it holds is safe.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn new(root: &Path) -> io::Result<Self> {
        let root = fs::canonicalize(root)?;
        let mut world = World { root: root.clone(), steps: Vec::new(), names: BTreeMap::new(), files: 0 };
        world.adopt(&root)?;
        Ok(Self::of(Arc::new(Mutex::new(world))))
    }

    fn of(world: Arc<Mutex<World>>) -> Self {
        Self { world, last_step: Arc::new(AtomicUsize::new(usize::MAX)) }
    }

    /// Ends the process that has the disk after so many more steps: nothing that it does then has an effect, and if the
    /// last step is a write, half of it is done.
    pub fn kill_after(&self, steps: usize) {
        let last = self.steps().saturating_add(steps);
        self.last_step.store(last, Ordering::Release);
    }

    /// The disk for the next process, after the one before was killed: it finds what was written, synced or not.
    #[must_use = "the old handle is of no more use"]
    pub fn next_process(&self) -> Self {
        self.kill_after(0);
        Self::of(self.world.clone())
    }

    /// How many steps there were.
    pub fn steps(&self) -> usize {
        self.world.lock().steps.len()
    }

    /// How many of the first `steps` steps are known to be safe because a file was synced after them: a file that is
    /// synced without end has this near `steps`.
    pub fn synced(&self, steps: usize) -> usize {
        let world = self.world.lock();
        let synced = world.steps[..steps].iter().rev().find_map(|step| match step {
            Step::Sync { before, .. } => Some(*before),
            _ => None,
        });
        synced.unwrap_or(0)
    }

    /// The power is cut when so many steps are done.
    pub fn cut_after(&self, steps: usize) -> PowerCut {
        let world = self.world.lock();
        let mut cut = PowerCut { root: world.root.clone(), names: BTreeMap::new(), ..PowerCut::default() };
        world.steps[..steps].iter().enumerate().for_each(|(number, step)| cut.take(number, step));
        cut
    }

    fn act<T>(&self, act: impl FnOnce(&mut World) -> io::Result<T>) -> io::Result<T> {
        let mut world = self.world.lock();
        if world.steps.len() >= self.last_step.load(Ordering::Acquire) {
            return Err(io::Error::other("the process was killed"));
        }
        act(&mut world)
    }

    fn file(&self, file: usize, inner: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(PowerFile { disk: self.clone(), file, inner })
    }
}

impl Disk for PowerDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.act(|world| {
            let inner = SystemDisk.create(path)?;
            let path = world.resolve(path)?;
            let file = match world.names.get(&path) {
                Some(file) => {
                    world.steps.push(Step::Truncate { file: *file, length: 0 });
                    *file
                }
                None => {
                    world.files += 1;
                    let file = world.files;
                    world.names.insert(path.clone(), file);
                    world.steps.push(Step::Name { path, node: Node::File(file) });
                    file
                }
            };
            Ok(self.file(file, inner))
        })
    }

    fn append(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.act(|world| {
            let inner = SystemDisk.append(path)?;
            let file = world.names.get(&world.resolve(path)?).copied();
            Ok(self.file(file.ok_or(io::ErrorKind::NotFound)?, inner))
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.act(|world| {
            let (before, after) = (world.resolve(from)?, world.resolve(to)?);
            SystemDisk.rename(from, to)?;
            let file = world.names.remove(&before).ok_or(io::ErrorKind::NotFound)?;
            world.names.insert(after.clone(), file);
            world.steps.push(Step::Rename { from: before, to: after, node: Node::File(file) });
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.act(|world| {
            let name = world.resolve(path)?;
            SystemDisk.remove(path)?;
            world.names.remove(&name);
            world.steps.push(Step::Remove { path: name });
            Ok(())
        })
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        self.act(|world| {
            SystemDisk.make_folder(path)?;
            let path = world.resolve(path)?;
            world.steps.push(Step::Name { path, node: Node::Folder });
            Ok(())
        })
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.act(|world| {
            // What is above the root was there before and stays.
            let path = fs::canonicalize(path)?;
            let Ok(path) = path.strip_prefix(&world.root) else { return Ok(()) };
            let path = path.to_owned();
            let before = world.steps.len();
            world.steps.push(Step::SyncFolder { path, before });
            Ok(())
        })
    }
}

impl World {
    /// Remembers what is there as safe.
    fn adopt(&mut self, folder: &Path) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let place = entry?.path();
            let path = self.resolve(&place)?;
            if place.is_dir() {
                self.steps.push(Step::Name { path, node: Node::Folder });
                self.adopt(&place)?;
            } else if place.is_file() {
                self.files += 1;
                let file = self.files;
                self.names.insert(path.clone(), file);
                self.steps.push(Step::Name { path, node: Node::File(file) });
                self.steps.push(Step::Write { file, bytes: fs::read(&place)? });
                self.steps.push(Step::Sync { file, before: self.steps.len() });
            }
        }
        let path = folder.strip_prefix(&self.root).unwrap_or(Path::new("")).to_owned();
        self.steps.push(Step::SyncFolder { path, before: self.steps.len() });
        Ok(())
    }

    /// The path below the root.
    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        let parent = fs::canonicalize(path.parent().unwrap_or(path))?;
        let path = path.file_name().map_or(parent.clone(), |name| parent.join(name));
        path.strip_prefix(&self.root).map(Path::to_owned).map_err(io::Error::other)
    }
}

struct PowerFile {
    disk: PowerDisk,
    file: usize,
    inner: Arc<dyn DiskFile>,
}

impl DiskFile for PowerFile {
    fn write_some(&self, bytes: &[u8]) -> io::Result<usize> {
        let last_step = self.disk.last_step.load(Ordering::Acquire);
        self.disk.act(|world| {
            let is_last = world.steps.len() + 1 == last_step;
            let bytes = if is_last { &bytes[..bytes.len() / 2] } else { bytes };
            self.inner.write(bytes)?;
            world.steps.push(Step::Write { file: self.file, bytes: bytes.to_owned() });
            Ok(bytes.len())
        })
    }

    fn sync(&self) -> io::Result<()> {
        let before = self.disk.steps();
        // What others write during a sync is not covered by it: they get the time to.
        std::thread::yield_now();
        self.disk.act(|world| {
            world.steps.push(Step::Sync { file: self.file, before });
            Ok(())
        })
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.disk.act(|world| {
            self.inner.truncate(length)?;
            let length = usize::try_from(length).map_err(io::Error::other)?;
            world.steps.push(Step::Truncate { file: self.file, length });
            Ok(())
        })
    }
}

/// What was safe, and what was not, when the power was cut.
#[derive(Default)]
pub struct PowerCut {
    root: PathBuf,
    names: BTreeMap<PathBuf, Node>,
    unsynced_names: Vec<(usize, Naming)>,
    files: BTreeMap<usize, Content>,
}

/// A change of names.
#[derive(Clone)]
enum Naming {
    Put(PathBuf, Node),
    Move(PathBuf, PathBuf, Node),
    Drop(PathBuf),
}

#[derive(Default)]
struct Content {
    safe: Vec<u8>,
    unsynced: Vec<(usize, Change)>,
}

#[derive(Clone)]
enum Change {
    Write(Vec<u8>),
    Truncate(usize),
}

impl PowerCut {
    /// Makes up what the power cut left, by the seed, in the folder `into`, whose content it replaces. Seed 0 leaves
    /// what was synced, 1 leaves everything; any other one chooses.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn survive(&self, seed: u64, into: &Path) -> io::Result<()> {
        for entry in fs::read_dir(into)? {
            let path = entry?.path();
            if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
        }
        let mut random = Random::new(seed);
        let mut survives = || match seed {
            0 => false,
            1 => true,
            _ => random.once_in(2),
        };
        let mut names = self.names.clone();
        for (_, naming) in self.unsynced_names.iter().filter(|_| survives()) {
            naming.apply(&mut names);
        }
        // A folder comes before what is in it.
        for (path, node) in &names {
            let place = into.join(path);
            if !place.parent().is_some_and(Path::is_dir) {
                continue;
            }
            match node {
                Node::Folder => fs::create_dir(place)?,
                Node::File(file) => {
                    let content = self.files.get(file).map(|content| content.survive(seed, &mut random));
                    fs::write(place, content.unwrap_or_default())?;
                }
            }
        }
        Ok(())
    }

    /// The folder that the disk was beneath.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn take(&mut self, number: usize, step: &Step) {
        let mut rename = |naming| self.unsynced_names.push((number, naming));
        match step {
            Step::Name { path, node } => rename(Naming::Put(path.clone(), *node)),
            Step::Rename { from, to, node } => rename(Naming::Move(from.clone(), to.clone(), *node)),
            Step::Remove { path } => rename(Naming::Drop(path.clone())),
            Step::Write { file, bytes } => self.change(number, *file, Change::Write(bytes.clone())),
            Step::Truncate { file, length } => self.change(number, *file, Change::Truncate(*length)),
            Step::Sync { file, before } => {
                let content = self.files.entry(*file).or_default();
                let (done, rest) =
                    std::mem::take(&mut content.unsynced).into_iter().partition(|(at, _)| at < before);
                content.unsynced = rest;
                Vec::into_iter(done).for_each(|(_, change)| change.apply(&mut content.safe));
            }
            Step::SyncFolder { path, before } => {
                let names = std::mem::take(&mut self.unsynced_names);
                for (at, naming) in names {
                    if at < *before && naming.folder() == path {
                        naming.apply(&mut self.names);
                    } else {
                        self.unsynced_names.push((at, naming));
                    }
                }
            }
        }
    }

    fn change(&mut self, number: usize, file: usize, change: Change) {
        self.files.entry(file).or_default().unsynced.push((number, change));
    }
}

impl Naming {
    fn folder(&self) -> &Path {
        let (Self::Put(path, _) | Self::Move(path, ..) | Self::Drop(path)) = self;
        path.parent().unwrap_or(Path::new(""))
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, Node>) {
        match self {
            Self::Put(path, node) => drop(names.insert(path.clone(), *node)),
            Self::Move(from, to, node) => {
                names.remove(from);
                names.insert(to.clone(), *node);
            }
            Self::Drop(path) => drop(names.remove(path)),
        }
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write(bytes) => content.extend_from_slice(bytes),
            Self::Truncate(length) => content.truncate(*length),
        }
    }
}

impl Content {
    /// What is in the file after the power cut.
    fn survive(&self, seed: u64, random: &mut Random) -> Vec<u8> {
        let mut content = self.safe.clone();
        let changes = self.unsynced.iter().map(|(_, change)| change);
        let is_cut = changes.clone().any(|change| matches!(change, Change::Truncate(_)));
        match (seed, random.below(4)) {
            (0, _) => {}
            (1, _) => changes.for_each(|change| change.apply(&mut content)),
            (_, 0) => {}
            (_, 1) => changes.for_each(|change| change.apply(&mut content)),
            // The first of the changes, and a part of the next.
            (_, 2) => {
                let count = random.below(self.unsynced.len() + 1);
                changes.clone().take(count).for_each(|change| change.apply(&mut content));
                if let Some(Change::Write(bytes)) = changes.clone().nth(count) {
                    content.extend_from_slice(&bytes[..random.below(bytes.len() + 1)]);
                }
            }
            // Any sectors of what was written, in a file of any length between.
            _ => {
                if is_cut {
                    changes.for_each(|change| change.apply(&mut content));
                    return content;
                }
                let safe = content.len();
                changes.for_each(|change| change.apply(&mut content));
                content.truncate(safe + random.below(content.len() - safe + 1));
                let first = safe / SECTOR_BYTES;
                for (number, sector) in content.chunks_mut(SECTOR_BYTES).enumerate().skip(first) {
                    if random.once_in(3) {
                        let kept = safe.saturating_sub(number * SECTOR_BYTES);
                        sector[kept.min(SECTOR_BYTES)..].fill(0);
                    }
                }
            }
        }
        content
    }
}
