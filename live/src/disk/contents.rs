//! A disk's file, and how often each of its sectors was written.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{CHUNK, DiskSpec, SECTOR, full_or, note};
use crate::error::LiveError;
use crate::ledger::declined;
use crate::memory::WORDS;
use crate::stamp::{self, Found};

/// The count of a sector of which nothing is known yet.
const UNKNOWN: u64 = u64::MAX;

/// The count of a sector that arrived torn.
const TORN: u64 = u64::MAX - 1;

/// The file, what it must hold, and room to work in.
#[derive(Debug)]
pub(super) struct Contents {
    file: File,
    /// For messages.
    on: String,
    path: PathBuf,
    name: String,
    /// Added to a sector's number, so that no sector of another disk looks like it.
    tag: u64,
    /// Writes made to each sector.
    counts: Vec<u64>,
    bytes: Vec<u8>,
    words: Box<[AtomicU64; WORDS]>,
}

impl Contents {
    /// Of a file that holds nothing yet.
    pub(super) fn unwritten(file: File, spec: &DiskSpec, number: u32, path: &Path) -> Contents {
        Contents::new(file, spec, number, path, 0)
    }

    /// Of a file of which nothing is known.
    pub(super) fn unknown(file: File, spec: &DiskSpec, number: u32, path: &Path) -> Contents {
        Contents::new(file, spec, number, path, UNKNOWN)
    }

    fn new(file: File, spec: &DiskSpec, number: u32, path: &Path, count: u64) -> Contents {
        Contents {
            file,
            on: spec.on.clone(),
            path: path.to_path_buf(),
            name: spec.name.clone(),
            tag: (u64::from(number) + 1) << 40,
            counts: vec![count; spec.sectors()],
            bytes: vec![0; CHUNK * SECTOR],
            words: Box::new(std::array::from_fn(|_| AtomicU64::new(0))),
        }
    }

    /// Goes on in another file of the same content.
    pub(super) fn change_file(&mut self, file: File, on: String, path: PathBuf) {
        (self.file, self.on, self.path) = (file, on, path);
    }

    /// Writes these sectors once more; what is in them now.
    pub(super) fn write(&mut self, from: usize, count: usize, random: usize) -> Result<&[u8], LiveError> {
        for index in 0..count {
            let sector = from + index;
            let sequence = if self.counts[sector] >= TORN { 1 } else { self.counts[sector] + 1 };
            stamp::write(&self.words, self.tag + sector as u64, sequence, random);
            let into = &mut self.bytes[index * SECTOR..(index + 1) * SECTOR];
            for (word, eight) in self.words.iter().zip(into.chunks_exact_mut(8)) {
                eight.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
            }
        }
        let bytes = &self.bytes[..count * SECTOR];
        let written = self.file.write_all_at(bytes, (from * SECTOR) as u64);
        written.map_err(full_or("write", &self.on, &self.path))?;
        for sector in from..from + count {
            let known = self.counts[sector];
            self.counts[sector] = if known >= TORN { 1 } else { known + 1 };
        }
        Ok(bytes)
    }

    /// Reads these sectors, and notes what is wrong with them; what is in them.
    pub(super) fn look_at(&mut self, from: usize, count: usize, wrong: &mut Vec<String>) -> &[u8] {
        if let Err(error) = self.read(from, count) {
            note(wrong, error.to_string());
            return &[];
        }
        for index in 0..count {
            let (found, known) = (self.found(index, from + index), self.counts[from + index]);
            match found {
                Found::Zero if known == UNKNOWN => self.counts[from + index] = 0,
                Found::Whole { sequence } if known == UNKNOWN => self.counts[from + index] = sequence,
                Found::Zero if known == 0 => {}
                Found::Whole { sequence } if known == sequence => {}
                found => note(wrong, self.problem(from + index, known, found)),
            }
        }
        &self.bytes[..count * SECTOR]
    }

    /// Reads these sectors into `bytes`.
    fn read(&mut self, from: usize, count: usize) -> Result<(), LiveError> {
        let into = &mut self.bytes[..count * SECTOR];
        let read = self.file.read_exact_at(into, (from * SECTOR) as u64);
        read.map_err(LiveError::file("read", &self.path))
    }

    /// What the `index`-th sector of `bytes` is, if it is to be `sector`.
    fn found(&mut self, index: usize, sector: usize) -> Found {
        let bytes = &self.bytes[index * SECTOR..(index + 1) * SECTOR];
        stamp::read_bytes(bytes, self.tag + sector as u64)
    }

    fn problem(&self, sector: usize, known: u64, found: Found) -> String {
        let name = &self.name;
        match (found, known) {
            (Found::Torn, _) => format!("disk {name}: sector {sector} is torn"),
            (Found::Zero, writes) => {
                format!("disk {name}: sector {sector} is empty and was written {writes} times")
            }
            (Found::Whole { sequence }, writes) => {
                format!("disk {name}: sector {sector} has write {sequence} and was written {writes} times")
            }
        }
    }

    /// Takes in what came from a source.
    pub(super) fn put(&mut self, from: u64, bytes: &[u8]) -> Result<(), LiveError> {
        let count = bytes.len() / SECTOR;
        let end = from.checked_add(count as u64).filter(|end| *end <= self.counts.len() as u64);
        let Some(end) = end else {
            return Err(declined(format!("sector {from} and {count} more came, of {}", self.counts.len())));
        };
        let written = self.file.write_all_at(bytes, from * SECTOR as u64);
        written.map_err(full_or("write", &self.on, &self.path))?;
        for (sector, bytes) in (from..end).zip(bytes.chunks_exact(SECTOR)) {
            self.counts[sector as usize] = match stamp::read_bytes(bytes, self.tag + sector) {
                Found::Zero => 0,
                Found::Whole { sequence } => sequence,
                Found::Torn => TORN,
            };
        }
        Ok(())
    }

    /// Writes that these sectors hold, of those that are known.
    pub(super) fn writes(&self, from: usize, count: usize) -> u64 {
        self.counts[from..from + count].iter().filter(|count| **count < TORN).sum()
    }

    pub(super) fn digest(&self) -> u64 {
        let sectors = self.counts.iter().zip(self.tag..);
        sectors.fold(0, |sum, (count, sector)| sum.wrapping_add(stamp::fingerprint(sector, *count)))
    }

    pub(super) fn sync(&self) -> Result<(), LiveError> {
        self.file.sync_data().map_err(full_or("write", &self.on, &self.path))
    }
}
