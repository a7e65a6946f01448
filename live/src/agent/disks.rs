//! Disks of a guest that is on its way here, and what becomes of files that nobody needs any more.

use std::sync::{Arc, Condvar, Mutex};

use crate::connection::{Connection, is_silence};
use crate::disk::{Disk, DiskPlace, DiskState};
use crate::error::LiveError;
use crate::ledger::declined;
use crate::protocol::blocks::{self, Arrived};
use crate::protocol::{ProtocolError, ReceiveRequest};
use crate::steps::{Step, Watch};
use crate::storage::{Storage, file_name};
use crate::sync::lock;

use super::Agent;
use super::heartbeats;
use super::incoming::Incoming;

/// The disks that a guest will have here.
#[derive(Debug)]
pub(super) struct Arriving {
    disks: Vec<Arc<Disk>>,
    /// Which of them are copied to here, by their places.
    moved: Vec<u32>,
    progress: Mutex<Progress>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Progress {
    barrier: u64,
    failed: Option<Trouble>,
}

/// Why no more of the disks can be taken in.
#[derive(Debug, Clone)]
enum Trouble {
    Full { storage: String, reason: String },
    Other(String),
}

impl From<LiveError> for Trouble {
    fn from(error: LiveError) -> Trouble {
        match error {
            LiveError::Full { storage, reason } => Trouble::Full { storage, reason },
            other => Trouble::Other(other.to_string()),
        }
    }
}

impl From<Trouble> for LiveError {
    fn from(trouble: Trouble) -> LiveError {
        match trouble {
            Trouble::Full { storage, reason } => LiveError::Full { storage, reason },
            Trouble::Other(reason) => declined(reason),
        }
    }
}

/// Names the files of the disks that are to come; where they will be.
pub(super) fn name_copies(request: &mut ReceiveRequest) -> Result<Vec<DiskPlace>, LiveError> {
    let (guest, token) = (request.spec.name.clone(), request.token.clone());
    let mut places = Vec::new();
    for number in &request.moved {
        let disk = request.spec.disks.get_mut(*number as usize);
        let disk = disk.ok_or_else(|| declined(format!("there is no disk {number}")))?;
        disk.file = file_name(&guest, disk, &token);
        places.push(disk.place());
    }
    Ok(places)
}

impl Arriving {
    /// Makes files for what is to come, and opens what both hosts reach.
    pub(super) fn new(request: &ReceiveRequest, storage: &Storage) -> Result<Arriving, LiveError> {
        let ratio = request.spec.compression_ratio;
        let disk = |(number, spec): (u32, &crate::disk::DiskSpec)| {
            let path = storage.path(&spec.place())?;
            let (name, on) = (&spec.name, &spec.on);
            if request.moved.contains(&number) {
                return Ok(Arc::new(Disk::empty(spec.clone(), number, ratio, path)?));
            }
            let disk = Disk::open(spec.clone(), number, ratio, path);
            disk.map(Arc::new).map_err(|error| {
                declined(format!(
                    "disk {name} on storage {on} is not reached from here: {error}; move it too"
                ))
            })
        };
        let disks = (0..).zip(&request.spec.disks).map(disk).collect::<Result<_, LiveError>>()?;
        let moved = request.moved.clone();
        Ok(Arriving { disks, moved, progress: Mutex::default(), changed: Condvar::new() })
    }

    /// Takes in sectors until the stream ends.
    pub(super) fn take_blocks(
        &self,
        incoming: &Incoming,
        mut connection: Connection,
        watch: &Watch,
    ) -> Result<(), LiveError> {
        let result = self.take_until_end(incoming, &mut connection, watch);
        if let Err(error) = result {
            let mut progress = lock(&self.progress);
            tracing::info!(guest = incoming.spec.name, %error, "disks stop coming");
            progress.failed.get_or_insert_with(|| error.into());
        }
        self.changed.notify_all();
        Ok(())
    }

    fn take_until_end(
        &self,
        incoming: &Incoming,
        connection: &mut Connection,
        watch: &Watch,
    ) -> Result<(), LiveError> {
        let (peer, mut body, mut first) = (connection.peer.clone(), Vec::new(), true);
        loop {
            match blocks::read(connection, &peer, &mut body) {
                Ok(Arrived::Blocks { disk, from, bytes }) => {
                    let coming = self.disks.get(disk as usize).filter(|_| self.moved.contains(&disk));
                    let unknown = || declined(format!("sectors of disk {disk} came, which does not move"));
                    if incoming.is_sealed() {
                        return Err(declined("sectors came after the last".into()));
                    }
                    coming.ok_or_else(unknown)?.put(from, bytes)?;
                    if std::mem::take(&mut first) {
                        watch(Step::DisksCame);
                    }
                }
                Ok(Arrived::Barrier(barrier)) => {
                    // Here, where the source has heartbeats meanwhile: what came of a disk is not left to be kept in
                    // the blackout.
                    self.sync()?;
                    lock(&self.progress).barrier = barrier;
                    self.changed.notify_all();
                }
                // The guest may write nothing for long.
                Err(ProtocolError::Lost { source, .. }) if is_silence(&source) && incoming.is_attended() => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits until all sectors up to `barrier` are in their files and on disk, with heartbeats to `source`.
    pub(super) fn wait(&self, barrier: u64, source: &mut Connection) -> Result<(), LiveError> {
        heartbeats::wait((&self.progress, &self.changed), source, |progress| match &progress.failed {
            _ if progress.barrier >= barrier => Some(Ok(())),
            Some(trouble) => Some(Err(trouble.clone().into())),
            None => None,
        })
    }

    /// Has all that came on disk.
    fn sync(&self) -> Result<(), LiveError> {
        self.moved.iter().try_for_each(|number| self.disks[*number as usize].sync())
    }

    /// All has come: the disks, on disk, if every write of them is there.
    pub(super) fn complete(&self, states: &[DiskState]) -> Result<Vec<Arc<Disk>>, LiveError> {
        for number in &self.moved {
            let (disk, state) = (&self.disks[*number as usize], states.get(*number as usize));
            if state.is_none_or(|state| state.digest != disk.digest()) {
                return Err(declined(format!("disk {} did not arrive as it was", disk.spec().name)));
            }
        }
        self.sync()?;
        Ok(self.disks.clone())
    }
}

impl Agent {
    /// Removes the files of a guest that nobody needs any more, where no move of it is under way.
    pub(crate) fn collect(&self, guest: &str) {
        let garbage = lock(&self.ledger).garbage(guest);
        if garbage.is_empty() {
            return;
        }
        let removed = garbage.iter().try_for_each(|place| self.storage.remove(place));
        let noted = removed.and_then(|()| lock(&self.ledger).removed(guest));
        if let Err(error) = noted {
            // It stays noted, and is tried again when the agent starts.
            tracing::error!(guest, %error, "files of disks that nobody needs are left");
        }
    }

    /// The same of a guest that is not this agent's.
    pub(super) fn collect_of_others(&self, guest: &str) {
        let own = lock(&self.ledger)
            .get(guest)
            .is_some_and(|entry| entry.standing.owns() || entry.standing.is_open());
        if !own {
            self.collect(guest);
        }
    }

    /// What creating guests that never came to be has left, and all else that nobody needs.
    pub(super) fn collect_all(&self) -> Result<(), LiveError> {
        let entries: Vec<_> = lock(&self.ledger).entries().cloned().collect();
        for entry in entries {
            let guest = &entry.spec.name;
            if entry.is_unborn() {
                tracing::warn!(guest, "was not made whole before the agent ended; removed");
                self.undo_create(guest);
            } else {
                self.collect(guest);
            }
        }
        Ok(())
    }

    /// A guest could not be made: removes what was of it.
    pub(super) fn undo_create(&self, guest: &str) {
        let garbage = lock(&self.ledger).garbage(guest);
        let removed = garbage.iter().try_for_each(|place| self.storage.remove(place));
        if let Err(error) = removed.and_then(|()| lock(&self.ledger).remove(guest)) {
            tracing::error!(guest, %error, "a guest that was not made has left files");
        }
    }
}
