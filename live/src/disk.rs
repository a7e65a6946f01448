//! Disks of synthetic guests: files whose every sector says what it is.
//!
//! A sector is [stamped](crate::stamp) as a page of memory is, and the disk keeps beside its file how often
//! each sector was written. So a write that was lost, torn, or overtaken by an older one shows: to the guest
//! when it reads or writes the sector again, to the destination of a move before it says that it is
//! prepared, and to whoever asks for all sectors to be looked at.
//!
//! One lock guards a disk, and whoever holds it writes or copies. A mirrored write and the copying of
//! the same sectors cannot overtake each other therefore: they go to the copy in the order in which
//! they happened to the file.
//!
//! What is not known of a sector (its guest was started anew, or comes from another host by storage that
//! both reach) is learnt when the sector is read first.

mod contents;
pub(crate) mod copy;
mod mirror;

use std::fs::File;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim_core::{ByteRate, Bytes};

use crate::error::LiveError;
use crate::memory::PAGE;
use crate::stamp::{self, mix};
use crate::sync::lock;
use contents::Contents;
pub(crate) use mirror::{BlockStream, Target};

/// Bytes in a sector: what is stamped, and written whole or not at all.
pub const SECTOR: usize = PAGE;

/// Sectors that are copied at a time.
pub(crate) const CHUNK: usize = 64;

/// Disks that one guest may have.
pub const MOST_DISKS: usize = 64;

/// More sectors than this no disk has: 8 TiB.
const MOST_SECTORS: u64 = 1 << 31;

/// Wrong sectors of a disk that are told of; more say no more.
const MOST_WRONG: usize = 8;

/// A copier lets those who wait for the disk go first, and waits for no longer than this.
const COURTESY: Duration = Duration::from_micros(200);

/// What a disk is, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskSpec {
    /// Its name, unique in its guest.
    pub name: String,
    /// The storage location where it is.
    pub on: String,
    /// The name of its file there; given by the agent that makes it.
    #[serde(default)]
    pub file: String,
    /// The size of its file, all of which a copy copies.
    pub bytes: Bytes,
    /// Of it, what is written when it is made, and where the guest reads and writes.
    pub used: Bytes,
    /// What the guest reads, anywhere in the used part.
    pub read: ByteRate,
    /// What the guest writes, anywhere in the used part.
    pub write: ByteRate,
    /// The size of a read or write, in whole sectors of 4 KiB.
    pub block: Bytes,
}

impl DiskSpec {
    /// Sectors of its file.
    pub(crate) fn sectors(&self) -> usize {
        self.bytes.get().div_ceil(SECTOR as u64) as usize
    }

    /// Sectors that hold something.
    pub(crate) fn used_sectors(&self) -> usize {
        (self.used.get().div_ceil(SECTOR as u64) as usize).min(self.sectors())
    }

    /// Sectors of one read or write of the guest.
    pub(crate) fn block_sectors(&self) -> usize {
        (self.block.get().div_ceil(SECTOR as u64) as usize).clamp(1, self.used_sectors().clamp(1, CHUNK))
    }

    /// Where it is.
    pub(crate) fn place(&self) -> DiskPlace {
        DiskPlace { on: self.on.clone(), file: self.file.clone() }
    }

    /// What is wrong with it, if anything: it may come from a stranger's file.
    pub fn problem(&self) -> Option<String> {
        let name = &self.name;
        if ![name, &self.on].into_iter().all(|name| is_file_name(name)) {
            return Some("disks and storage have names of 1 to 100 letters, digits, `-`, `_` and `.`".into());
        }
        if !self.file.is_empty() && !is_file_name(&self.file) {
            return Some(format!("the file of disk `{name}` is no name"));
        }
        if self.bytes == Bytes::ZERO || self.bytes.get() > MOST_SECTORS * SECTOR as u64 {
            return Some(format!("disk `{name}` has {}; 1 B to 8 TiB are possible", self.bytes));
        }
        let most = CHUNK * SECTOR;
        if self.block == Bytes::ZERO || self.block.get() > most as u64 {
            return Some(format!(
                "disk `{name}` is read and written {} at a time; 1 B to 256 KiB can be run",
                self.block
            ));
        }
        None
    }
}

/// Whether this can be a file's name in a directory of ours.
pub(crate) fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 300
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && !name.starts_with('.')
}

/// A file of a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskPlace {
    /// The storage location.
    pub on: String,
    /// The file's name there.
    pub file: String,
}

/// What a disk goes on from at another host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskState {
    /// What its sectors must be, and how often each was written, in one number.
    pub digest: u64,
    /// Where the guest's chance is that says where it reads and writes.
    pub chance: u64,
}

/// What looking at all sectors of a guest's disks found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DiskProof {
    /// Sectors looked at.
    pub sectors: u64,
    /// Writes of sectors that they hold: never less than before, wherever the disk went meanwhile.
    pub writes: u64,
}

/// A disk that exists here.
#[derive(Debug)]
pub struct Disk {
    spec: DiskSpec,
    /// By its place among the guest's disks.
    number: u32,
    random: usize,
    /// Under no other lock: who asks where it is must not wait for a copy that takes nothing in.
    place: Mutex<DiskPlace>,
    inner: Mutex<Inner>,
    /// Those who wait to read or write while it is copied.
    waiting: AtomicUsize,
}

/// What is done to a disk, one thing at a time.
#[derive(Debug)]
struct Inner {
    path: PathBuf,
    contents: Contents,
    mirror: Option<mirror::Mirror>,
    /// Written by the guest to both sides, in all mirrors of the move under way.
    mirrored: u64,
    wrong: Vec<String>,
}

impl Disk {
    /// Makes the file of a new disk at `path`, where none may be, and fills its used part.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where it cannot be written; what was is left.
    pub(crate) fn create(spec: DiskSpec, number: u32, ratio: f64, path: PathBuf) -> Result<Disk, LiveError> {
        let disk = Disk::empty(spec, number, ratio, path)?;
        {
            let mut inner = lock(&disk.inner);
            let (used, random) = (disk.spec.used_sectors(), disk.random);
            let mut from = 0;
            while from < used {
                let count = (used - from).min(CHUNK);
                inner.contents.write(from, count, random)?;
                from += count;
            }
            inner.contents.sync()?;
        }
        Ok(disk)
    }

    /// Makes an empty file at `path`, where none may be: a copy that is to come.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where it cannot be made.
    pub(crate) fn empty(spec: DiskSpec, number: u32, ratio: f64, path: PathBuf) -> Result<Disk, LiveError> {
        let made = File::options().read(true).write(true).create_new(true).open(&path);
        let file = made.map_err(full_or("make", &spec.on, &path))?;
        let length = (spec.sectors() * SECTOR) as u64;
        file.set_len(length).map_err(full_or("write", &spec.on, &path))?;
        let contents = Contents::unwritten(file, &spec, number, &path);
        Ok(Disk::of(spec, number, ratio, path, contents))
    }

    /// Opens the file of a disk that is there.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where there is none, or not of this size.
    pub(crate) fn open(spec: DiskSpec, number: u32, ratio: f64, path: PathBuf) -> Result<Disk, LiveError> {
        let failed = || LiveError::file("open", &path);
        let file = File::options().read(true).write(true).open(&path).map_err(failed())?;
        let length = file.metadata().map_err(failed())?.len();
        if length != (spec.sectors() * SECTOR) as u64 {
            let reason = format!("disk `{}` has {} and its file {length} bytes", spec.name, spec.bytes);
            return Err(LiveError::Stored { path: path.display().to_string(), line: 1, reason });
        }
        let contents = Contents::unknown(file, &spec, number, &path);
        Ok(Disk::of(spec, number, ratio, path, contents))
    }

    fn of(spec: DiskSpec, number: u32, ratio: f64, path: PathBuf, contents: Contents) -> Disk {
        let place = Mutex::new(spec.place());
        let inner = Inner { path, contents, mirror: None, mirrored: 0, wrong: vec![] };
        let (random, waiting) = (stamp::random_words(ratio), AtomicUsize::new(0));
        Disk { spec, number, random, place, inner: Mutex::new(inner), waiting }
    }

    /// What it is, and where it is now.
    pub fn spec(&self) -> DiskSpec {
        let DiskPlace { on, file } = lock(&self.place).clone();
        DiskSpec { on, file, ..self.spec.clone() }
    }

    /// Writes once where the guest's chance falls; the bytes of it.
    pub(crate) fn write_somewhere(&self, chance: &mut u64) -> u64 {
        let (from, count) = self.somewhere(chance);
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let mut inner = lock(&self.inner);
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        let Inner { contents, mirror, mirrored, wrong, .. } = &mut *inner;
        contents.look_at(from, count, wrong);
        match contents.write(from, count, self.random) {
            Ok(bytes) => {
                if let Some(mirror) = mirror {
                    *mirrored += mirror.write(self.number, from, bytes);
                }
            }
            Err(error) => note(wrong, error.to_string()),
        }
        (count * SECTOR) as u64
    }

    /// Reads once where the guest's chance falls, and looks at what it finds; the bytes of it.
    pub(crate) fn read_somewhere(&self, chance: &mut u64) -> u64 {
        let (from, count) = self.somewhere(chance);
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let mut inner = lock(&self.inner);
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        let Inner { contents, wrong, .. } = &mut *inner;
        contents.look_at(from, count, wrong);
        (count * SECTOR) as u64
    }

    fn somewhere(&self, chance: &mut u64) -> (usize, usize) {
        *chance = chance.wrapping_add(1);
        let count = self.spec.block_sectors();
        let blocks = (self.spec.used_sectors() / count).max(1) as u128;
        // The high half of the product is as good as even for so few blocks.
        let block = ((u128::from(mix(*chance)) * blocks) >> 64) as usize;
        (block * count, count)
    }

    /// Takes in sectors that came from a source, from `from` on.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where they are none of this disk, or cannot be written.
    pub(crate) fn put(&self, from: u64, bytes: &[u8]) -> Result<(), LiveError> {
        lock(&self.inner).contents.put(from, bytes)
    }

    /// One number for all sectors and how often each was written. Source and destination agree on it
    /// exactly when no write was lost and no sector is torn.
    pub(crate) fn digest(&self) -> u64 {
        lock(&self.inner).contents.digest()
    }

    /// Has all that was written on disk when it returns.
    pub(crate) fn sync(&self) -> Result<(), LiveError> {
        lock(&self.inner).contents.sync()
    }

    /// Looks at every sector, while the guest goes on between them; what it found, and what is wrong.
    pub(crate) fn verify(&self) -> (DiskProof, Vec<String>) {
        let mut proof = DiskProof::default();
        let (mut from, sectors) = (0, self.spec.sectors());
        let mut found = Vec::new();
        while from < sectors {
            let count = (sectors - from).min(CHUNK);
            let mut inner = lock(&self.inner);
            if from == 0 {
                found.clone_from(&inner.wrong);
            }
            inner.contents.look_at(from, count, &mut found);
            proof.writes += inner.contents.writes(from, count);
            proof.sectors += count as u64;
            from += count;
        }
        (proof, found)
    }
}

fn note(wrong: &mut Vec<String>, what: String) {
    if wrong.len() < MOST_WRONG {
        wrong.push(what);
    }
}

/// For `map_err`: storage `on` that is full, or a file that could not be read or written.
pub(crate) fn full_or(
    verb: &str,
    on: &str,
    path: &std::path::Path,
) -> impl FnOnce(std::io::Error) -> LiveError {
    use std::io::ErrorKind as Kind;
    move |error| match error.kind() {
        // A limit on a file's size is a limit on space too.
        Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => {
            let reason = format!("cannot {verb} {}: {error}", path.display());
            LiveError::Full { storage: on.to_string(), reason }
        }
        _ => LiveError::file(verb, path)(error),
    }
}
