//! Disks of a scenario's guests, as agents are to have and to move them.

use algorithms::ids::{HostId, StorageId, VmId};
use live::disk::DiskSpec;
use live::protocol::StorageRequest;
use models::cluster::{ClusterModel, Guest};
use models::one_move;

use crate::failure::Failure;

/// A guest's disks, where they are at first.
pub(super) fn specs(model: &ClusterModel, guest: &Guest) -> Vec<DiskSpec> {
    let spec = |disk: &models::storage::Disk| DiskSpec {
        name: disk.name.to_string(),
        on: model.storage[disk.on.index()].name.to_string(),
        file: String::new(),
        bytes: disk.file(),
        used: disk.used.min(disk.file()),
        read: disk.io.read,
        write: disk.io.write,
        block: disk.io.block,
    };
    guest.disks.iter().map(spec).collect()
}

/// Puts the guest and its disks where the agents have them.
pub(super) fn as_found(model: &mut ClusterModel, vm: VmId, host: HostId, disks: &[DiskSpec]) {
    let places: Vec<Option<StorageId>> = disks
        .iter()
        .map(|disk| model.storage.iter().position(|location| *location.name == *disk.on))
        .map(|place| place.map(|index| StorageId(index as u32)))
        .collect();
    let guest = &mut model.guests[vm.index()];
    guest.host = host;
    for (disk, place) in guest.disks.iter_mut().zip(places) {
        disk.on = place.unwrap_or(disk.on);
    }
}

/// The model with only this move in its plan, and the disks that this moves; by the rules of a plan.
pub(super) fn one_move(
    model: &ClusterModel,
    vm: VmId,
    destination: HostId,
) -> Result<(ClusterModel, Option<StorageRequest>), Failure> {
    let guest = &model.guests[vm.index()];
    let host = &model.hosts[destination.index()].name;
    let Some(storage) = one_move::storage_move(model, vm, guest.host, destination) else {
        return Err(Failure::NotMoved(format!(
            "{} is at {host} already, and the plan has no MoveStorage of its disks",
            guest.name
        )));
    };
    let alone = one_move::alone(model, vm, destination, storage);
    let stays = |reason| Failure::NotMoved(format!("{} stays: {reason}", guest.name));
    let found = one_move::resolve(&alone).map_err(stays)?;
    let request = found.storage.as_ref().map(StorageRequest::from);
    Ok((alone, request))
}
