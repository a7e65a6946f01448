//! The worker's part in moving disks: copies beside the guest's writes, and which file counts then.
//!
//! What is copied when, and when the guest changes over, is [`algorithms::storage_mirror`]'s; here are the
//! files and the connection. Copies on this host are in the ledger before they are made, and the old
//! files until they are removed; those at another host are in its ledger.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use algorithms::controller::Input;
use algorithms::storage_mirror::{DiskOrder, MirrorCommand, MirrorInput, StorageOrder, Switch};
use sim_core::Bytes;

use super::pacer::Pacer;
use super::worker::Worker;
use crate::agent::Agent;
use crate::connection::Connection;
use crate::disk::copy::Copied;
use crate::disk::{BlockStream, Disk, DiskPlace, DiskSpec, Target};
use crate::error::LiveError;
use crate::guest::{Guest, GuestSpec};
use crate::ledger::declined;
use crate::protocol::{MigrateRequest, Purpose, Request, StorageRequest};
use crate::steps::Step;
use crate::storage::file_name;
use crate::sync::lock;
use crate::token::Token;

/// What the worker knows of the disks that move.
#[derive(Default)]
pub(super) struct DiskSide {
    stream: Option<Arc<BlockStream>>,
    barrier: u64,
    /// Copied of a disk that was not copied whole.
    partly: u64,
}

/// Whether the guest stays on its host.
pub(super) fn stays(request: &MigrateRequest) -> bool {
    request.storage.as_ref().is_some_and(|storage| storage.switch == Switch::WhenCopied)
}

/// The disks that are copied, by their places.
pub(super) fn moved(request: &MigrateRequest) -> Vec<u32> {
    request.storage.iter().flat_map(|storage| &storage.disks).map(|target| target.disk).collect()
}

/// What is wrong with what is asked for, if anything.
pub(super) fn problem(request: &MigrateRequest, guest: &Guest) -> Option<String> {
    let StorageRequest { disks, .. } = request.storage.as_ref()?;
    if disks.is_empty() {
        return Some("no disk is to move".into());
    }
    for (index, target) in disks.iter().enumerate() {
        let Some(disk) = guest.disks().get(target.disk as usize) else {
            return Some(format!("{} has no disk {}", request.guest, target.disk));
        };
        let spec = DiskSpec { on: target.to.clone(), ..disk.spec() };
        if let Some(problem) = spec.problem() {
            return Some(problem);
        }
        if disks[..index].iter().any(|other| other.disk == target.disk) {
            return Some(format!("disk {} would move twice", disk.spec().name));
        }
    }
    None
}

/// The order for the machine that moves them.
pub(super) fn order(request: &MigrateRequest, guest: &Guest) -> Option<StorageOrder> {
    let StorageRequest { disks, switch } = request.storage.as_ref()?;
    let disk = |target: &crate::protocol::DiskTarget| {
        let spec = guest.disks().get(target.disk as usize)?.spec();
        let (name, from) = (spec.name.as_str().into(), spec.on.as_str().into());
        Some(DiskOrder { disk: target.disk, name, bytes: spec.bytes, from, to: target.to.as_str().into() })
    };
    Some(StorageOrder { disks: disks.iter().filter_map(disk).collect(), switch: *switch })
}

/// Files that are not needed here any more when the guest has followed its disks.
pub(super) fn leaving(request: &MigrateRequest, guest: &Guest) -> Vec<DiskPlace> {
    let disks = guest.disks();
    moved(request).iter().filter_map(|disk| Some(disks.get(*disk as usize)?.spec().place())).collect()
}

/// The guest, with its disks where the request wants them.
pub(super) fn wanted(request: &MigrateRequest, guest: &Guest, token: &Token) -> GuestSpec {
    let mut spec = guest.spec_now();
    for target in request.storage.iter().flat_map(|storage| &storage.disks) {
        if let Some(disk) = spec.disks.get_mut(target.disk as usize) {
            disk.on.clone_from(&target.to);
            disk.file = file_name(&spec.name, disk, token);
        }
    }
    spec
}

/// Notes the copies that a move on this host will make, and looks whether there is room.
pub(super) fn begin_copies(
    agent: &Agent,
    request: &MigrateRequest,
    guest: &Guest,
    token: &Token,
) -> Result<(), LiveError> {
    let disks = wanted(request, guest, token).disks;
    let copied = moved(request);
    let copies: Vec<&DiskSpec> = copied.iter().filter_map(|disk| disks.get(*disk as usize)).collect();
    agent.check_disk_room(&copies)?;
    lock(&agent.ledger).begin_copies(&request.guest, copies.into_iter().map(DiskSpec::place).collect())
}

impl Worker {
    /// Opens the connection for disks, where some go to another host.
    pub(super) fn connect_disks(&mut self) -> Result<(), LiveError> {
        if self.request.storage.is_some() {
            let purpose = Purpose::Disks { token: self.token.clone() };
            let (address, encryption) = (&self.request.address, self.request.sending.encryption);
            let connection = Connection::pages(address, &self.agent.credentials, encryption, purpose)?;
            self.disks.stream = Some(Arc::new(BlockStream::over(connection)?));
        }
        Ok(())
    }

    pub(super) fn storage(&mut self, command: MirrorCommand) -> Result<Input, LiveError> {
        match command {
            MirrorCommand::Copy { disk, .. } => {
                self.copy(disk)?;
                Ok(Input::Storage(MirrorInput::Copied))
            }
            MirrorCommand::SwitchOver => {
                self.switch_over()?;
                Ok(Input::Storage(MirrorInput::SwitchedOver))
            }
        }
    }

    fn copy(&mut self, number: u32) -> Result<(), LiveError> {
        let disk = self.guest.disks().get(number as usize).cloned();
        let disk = disk.ok_or_else(|| declined(format!("there is no disk {number}")))?;
        self.disks.partly = 0;
        disk.begin_mirror(self.target(number)?);
        self.copy_all(&disk).map_err(|error| self.real_reason(error))?;
        match self.disks.stream {
            Some(_) => self.await_disks()?,
            None => disk.sync_copy()?,
        }
        self.disks.partly = 0;
        self.agent.reached(Step::DiskCopied);
        Ok(())
    }

    /// Where a disk is copied to: over the connection, or to a file that the ledger knows.
    fn target(&self, number: u32) -> Result<Target, LiveError> {
        if let Some(stream) = &self.disks.stream {
            return Ok(Target::Stream(Arc::clone(stream)));
        }
        let spec = wanted(&self.request, &self.guest, &self.token);
        let disk = spec.disks.get(number as usize);
        let place = disk.ok_or_else(|| declined(format!("there is no disk {number}")))?.place();
        let path: PathBuf = self.agent.storage.path(&place)?;
        Target::file(place, &path)
    }

    fn copy_all(&mut self, disk: &Disk) -> Result<(), LiveError> {
        let (pacer, mut at) = (Pacer::new(), 0);
        while !self.stop.load(Ordering::SeqCst) {
            let (bytes, is_last) = match disk.copy_chunk(&mut at)? {
                Copied::Some(bytes) => (bytes, false),
                Copied::All(bytes) => (bytes, true),
            };
            self.disks.partly += bytes;
            if is_last {
                return Ok(());
            }
            if let Some(limit) = self.request.sending.limit {
                pacer.pace(bytes as usize, limit);
            }
        }
        Err(LiveError::system("copy a disk")(std::io::Error::other("it was given up")))
    }

    /// Waits until the destination has written all that was sent of disks.
    pub(super) fn await_disks(&mut self) -> Result<(), LiveError> {
        let Some(stream) = self.disks.stream.clone() else {
            return Ok(());
        };
        self.disks.barrier += 1;
        let barrier = self.disks.barrier;
        stream.barrier(barrier).map_err(|error| self.real_reason(error))?;
        self.control()?.order(&Request::AwaitDisks { barrier })
    }

    /// Fails where what the guest writes does not reach the copies any more.
    pub(super) fn check_mirrors(&mut self) -> Result<(), LiveError> {
        let problem = self.guest.disks().iter().find_map(|disk| disk.mirror_problem());
        match problem {
            None => Ok(()),
            Some(problem) => {
                let error = LiveError::system("copy a disk")(std::io::Error::other(problem));
                Err(self.real_reason(error))
            }
        }
    }

    /// What the destination says of a stream that broke; where it says nothing, what is seen here.
    fn real_reason(&mut self, error: LiveError) -> LiveError {
        let (Some(stream), false) = (&self.disks.stream, self.stop.load(Ordering::SeqCst)) else {
            return error;
        };
        stream.cut();
        let barrier = u64::MAX;
        match self.control().and_then(|control| control.order(&Request::AwaitDisks { barrier })) {
            Err(told) => told,
            Ok(()) => error,
        }
    }

    /// The guest uses the copies on this host from now on.
    fn switch_over(&mut self) -> Result<(), LiveError> {
        let moved = moved(&self.request);
        let disks: Vec<Arc<Disk>> =
            moved.iter().filter_map(|disk| self.guest.disks().get(*disk as usize).cloned()).collect();
        disks.iter().try_for_each(|disk| disk.sync_copy())?;
        let spec = wanted(&self.request, &self.guest, &self.token);
        lock(&self.agent.ledger).switch_disks(&self.request.guest, spec.disks)?;
        disks.iter().for_each(|disk| disk.switch_over());
        self.agent.reached(Step::SwitchedOver);
        Ok(())
    }

    /// Writes go to one file only; what the guest wrote to both.
    pub(super) fn end_mirrors(&mut self) -> Bytes {
        Bytes::new(self.guest.disks().iter().map(|disk| disk.end_mirror()).sum())
    }

    /// Copied of a disk that was not copied whole, and told of only once.
    pub(super) fn partly_copied(&mut self) -> Bytes {
        Bytes::new(std::mem::take(&mut self.disks.partly))
    }
}

/// However it ended, no disk is mirrored any more.
impl Drop for Worker {
    fn drop(&mut self) {
        self.end_mirrors();
    }
}
