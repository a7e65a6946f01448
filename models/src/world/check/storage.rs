//! Checks of storage locations, disks, and where disks are to go.

use algorithms::ids::StorageId;
use algorithms::plan::{Move, StorageMove};
use sim_core::Bytes;

use super::{ModelError, bad, host, number};
use crate::cluster::{ClusterModel, Guest};
use crate::storage::{Disk, StorageLocation, Throughput};

/// The most that a disk is written: what a run counts to the byte ends at 2^53 bytes, a week of this.
const MOST_WRITES_PER_SEC: f64 = 14e9;

pub(super) fn check_storage(model: &ClusterModel) -> Result<(), ModelError> {
    for location in &model.storage {
        check_location(model, location)?;
    }
    for each in &model.hosts {
        if let Some(default) = each.storage.default {
            location(model, &format!("host `{}`", each.name), default)?;
        }
    }
    for guest in &model.guests {
        for disk in &guest.disks {
            check_disk(model, guest, disk)?;
        }
    }
    let moves = model.plan.phases.iter().flat_map(|phase| &phase.moves);
    moves.into_iter().try_for_each(|each| check_move(model, each))
}

fn check_location(model: &ClusterModel, location: &StorageLocation) -> Result<(), ModelError> {
    let what = format!("storage `{}`", location.name);
    for each in &location.hosts {
        host(model, &what, *each)?;
    }
    let rates = match location.throughput {
        Throughput::Unlimited => vec![],
        Throughput::Common(rate) => vec![rate],
        Throughput::Separate { read, write } => vec![read, write],
    };
    for rate in rates {
        number(&format!("the throughput of {what}"), rate.as_f64(), rate.as_f64() > 0.0, "above zero")?;
    }
    if location.iops == Some(0) {
        return Err(bad(&format!("the operations a second of {what}"), "above zero", 0.0));
    }
    Ok(())
}

fn check_disk(model: &ClusterModel, guest: &Guest, disk: &Disk) -> Result<(), ModelError> {
    let what = format!("disk `{}` of guest `{}`", disk.name, guest.name);
    let at = location(model, &what, disk.on)?;
    if !at.hosts.contains(&guest.host) {
        return Err(ModelError::StorageNotReached { what, storage: at.name.clone() });
    }
    let io = disk.io;
    let writes = io.write.as_f64();
    number(&format!("the weight of {what}"), io.weight, io.weight > 0.0, "above zero")?;
    number(&format!("what is written to {what}"), writes, writes <= MOST_WRITES_PER_SEC, "14 GB/s at most")?;
    number(&format!("the block of {what}"), io.block.as_f64(), io.block > Bytes::ZERO, "above zero")?;
    let (used, size) = (disk.used.as_f64(), disk.size.as_f64());
    number(&format!("the used part of {what}"), used, used <= size, "no more than its size")
}

fn check_move(model: &ClusterModel, each: &Move) -> Result<(), ModelError> {
    let (StorageMove::To(targets) | StorageMove::Only(targets)) = &each.storage else {
        return Ok(());
    };
    let Some(guest) = model.guests.get(each.vm.index()) else {
        return Err(ModelError::NoSuchGuest { vm: each.vm.0, guests: model.guests.len() });
    };
    for target in targets {
        location(model, "a move", target.to)?;
        let (disk, disks) = (target.disk, guest.disks.len());
        let what = format!("the number of a disk of `{}`", guest.name);
        number(&what, f64::from(disk), (disk as usize) < disks, "that of a disk that it has")?;
    }
    Ok(())
}

pub(super) fn location<'a>(
    model: &'a ClusterModel,
    what: &str,
    id: StorageId,
) -> Result<&'a StorageLocation, ModelError> {
    let locations = model.storage.len();
    model.storage.get(id.index()).ok_or_else(|| ModelError::NoSuchStorage {
        what: what.into(),
        storage: id,
        locations,
    })
}
