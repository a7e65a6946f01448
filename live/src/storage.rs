//! An agent's storage: where files of disks are, and how much room there is for them.
//!
//! A storage location of a scenario is a directory: `disks/LOCATION` in the agent's own, unless it is told
//! another. Two agents that are told the same directory (or one that both have mounted) share it: what is
//! there need not be copied when a guest moves between them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use sim_core::Bytes;

use crate::disk::{Disk, DiskPlace, DiskSpec, MOST_DISKS, SECTOR, is_file_name};
use crate::error::LiveError;
use crate::guest::GuestSpec;
use crate::ledger::{Entry, declined};
use crate::token::Token;

/// How an agent's storage is set up.
#[derive(Debug, Clone, Default)]
pub struct StorageOptions {
    /// Directories of storage locations that are not in the agent's own directory.
    pub places: BTreeMap<String, PathBuf>,
    /// The most that files of disks may take; no limit but the file systems' where `None`.
    pub limit: Option<Bytes>,
}

/// Where files of disks are.
#[derive(Debug)]
pub(crate) struct Storage {
    own: PathBuf,
    options: StorageOptions,
}

impl Storage {
    pub(crate) fn new(directory: &std::path::Path, options: StorageOptions) -> Storage {
        Storage { own: directory.join("disks"), options }
    }

    /// The directory of a location, which is made where it is one of our own.
    fn directory(&self, on: &str) -> Result<PathBuf, LiveError> {
        if !is_file_name(on) {
            return Err(declined(format!("`{on}` is no name of a storage location")));
        }
        if let Some(directory) = self.options.places.get(on) {
            return Ok(directory.clone());
        }
        let directory = self.own.join(on);
        std::fs::create_dir_all(&directory).map_err(LiveError::file("make", &directory))?;
        Ok(directory)
    }

    /// The path of a disk's file.
    pub(crate) fn path(&self, place: &DiskPlace) -> Result<PathBuf, LiveError> {
        if !is_file_name(&place.file) {
            return Err(declined(format!("`{}` is no file of a disk", place.file)));
        }
        Ok(self.directory(&place.on)?.join(&place.file))
    }

    /// Removes a file of a disk, where there is one.
    pub(crate) fn remove(&self, place: &DiskPlace) -> Result<(), LiveError> {
        let path = self.path(place)?;
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(LiveError::file("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Opens the disks of a guest that is here.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where a file is not there, or is none of such a disk.
    pub(crate) fn open(&self, spec: &GuestSpec) -> Result<Vec<Arc<Disk>>, LiveError> {
        let ratio = spec.compression_ratio;
        let open = |(number, disk): (u32, &DiskSpec)| {
            Ok(Arc::new(Disk::open(disk.clone(), number, ratio, self.path(&disk.place())?)?))
        };
        (0..).zip(&spec.disks).map(open).collect()
    }

    /// Makes the disks of a new guest.
    ///
    /// # Errors
    ///
    /// [`LiveError`] where one cannot be made; what was is left.
    pub(crate) fn create(&self, spec: &GuestSpec) -> Result<Vec<Arc<Disk>>, LiveError> {
        let ratio = spec.compression_ratio;
        let create = |(number, disk): (u32, &DiskSpec)| {
            Ok(Arc::new(Disk::create(disk.clone(), number, ratio, self.path(&disk.place())?)?))
        };
        (0..).zip(&spec.disks).map(create).collect()
    }

    /// Whether there is room for so much more beside what these guests have.
    ///
    /// # Errors
    ///
    /// [`LiveError::Full`] where there is not.
    pub(crate) fn check_room<'a>(
        &self,
        guests: impl Iterator<Item = &'a Entry>,
        wanted: &[(&str, Bytes)],
    ) -> Result<(), LiveError> {
        let Some(limit) = self.options.limit else {
            return Ok(());
        };
        let here = guests.filter(|entry| entry.standing.owns() || entry.standing.is_open());
        let used: Bytes = here.flat_map(|entry| &entry.spec.disks).map(|disk| disk.bytes).sum();
        let needed: Bytes = wanted.iter().map(|(_, bytes)| *bytes).sum();
        match wanted.first() {
            Some((storage, _)) if needed > limit.saturating_sub(used) => {
                let left = limit.saturating_sub(used);
                let reason = format!("{needed} are needed, and {left} of {limit} for disks are left here");
                Err(LiveError::Full { storage: (*storage).to_string(), reason })
            }
            _ => Ok(()),
        }
    }
}

/// What is wrong with a guest's disks, if anything.
pub(crate) fn problem(disks: &[DiskSpec]) -> Option<String> {
    if disks.len() > MOST_DISKS {
        return Some(format!("a guest has at most {MOST_DISKS} disks"));
    }
    let twice =
        |(index, disk): (usize, &DiskSpec)| disks[..index].iter().any(|other| other.name == disk.name);
    if disks.iter().enumerate().any(twice) {
        return Some("two disks of a guest have one name".into());
    }
    disks.iter().find_map(DiskSpec::problem)
}

/// The name of a new file for a disk; no two are the same.
pub(crate) fn file_name(guest: &str, disk: &DiskSpec, token: &Token) -> String {
    format!("{guest}.{}.{token}.disk", disk.name)
}

/// What a file of this disk takes.
pub(crate) fn room(disk: &DiskSpec) -> Bytes {
    Bytes::new((disk.sectors() * SECTOR) as u64)
}
