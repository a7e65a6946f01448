//! What storage has against a move: the words of its refusals. `<vm>`, `<source>` and `<destination>` in
//! a command stand for names that storage does not know; [`ClusterView`](super::super::ClusterView)
//! puts them in.

use sim_core::Bytes;

use super::super::Assignment;
use super::StorageView;
use crate::ids::VmId;
use crate::preflight::{Category, Refusal, Rule};

impl StorageView {
    /// Whether space and slots are taken by the disks that are there, and by nothing else.
    pub(in super::super) fn is_settled(&self) -> bool {
        let mut taken = vec![Bytes::ZERO; self.locations.len()];
        for disk in self.disks.iter().flatten() {
            taken[disk.at.index()] += disk.file;
        }
        let space = self.locations.iter().zip(&taken).all(|(location, taken)| location.taken == *taken);
        space && self.moves.is_empty() && self.hosts.iter().all(|host| host.slots.used == 0)
    }

    /// What stands against a migration that is about to start and was allowed when it was asked for.
    pub(in super::super) fn refusal_at_start(&self, assignment: &Assignment) -> Option<Refusal> {
        let moves = self.moves(assignment.migration);
        let full = moves.iter().find(|each| self.locations[each.to.index()].trouble.full);
        let lost = moves.iter().find(|each| self.locations[each.to.index()].trouble.outages > 0);
        match (full, lost) {
            (_, Some(each)) => {
                let disk = &self.disks[assignment.vm.index()][each.disk as usize];
                Some(offline(&disk.name, &self.locations[each.to.index()].name))
            }
            (Some(each), None) => {
                Some(no_space(&self.locations[each.to.index()].name, Bytes::ZERO, each.bytes))
            }
            (None, None) => self.offline_disk(assignment.vm),
        }
    }

    fn offline_disk(&self, vm: VmId) -> Option<Refusal> {
        let lost = |at: crate::ids::StorageId| self.locations[at.index()].trouble.outages > 0;
        let disk = self.disks_of(vm).iter().find(|disk| lost(disk.at))?;
        Some(offline(&disk.name, &self.locations[disk.at.index()].name))
    }
}

/// A disk would be out of the destination's reach.
pub(super) fn not_reachable(message: String, stays: bool) -> Refusal {
    let cause = if stays {
        "the disk is on storage of its host alone, or the destination is not connected to what is shared"
    } else {
        "the path belongs to another host, or the share or volume is not connected there"
    };
    let fix = "Compare-VM -Name <vm> -DestinationHost <destination> | Select-Object -ExpandProperty Incompatibilities  \
               # then Move-VM with -IncludeStorage -DestinationStoragePath";
    refused(Rule::StorageReachable, message, cause, fix)
}

/// A disk is on storage, or goes to storage, that nobody reaches just now.
pub(super) fn offline(disk: &str, location: &str) -> Refusal {
    let message = format!("`{location}`, which disk `{disk}` needs, cannot be reached from any host");
    let fix = "Get-ClusterSharedVolume | Select-Object Name, State; Get-SmbConnection; Get-IscsiSession";
    refused(Rule::StorageReachable, message, "the path to the storage is down, or it is offline", fix)
}

/// The destination has no place for a disk.
pub(super) fn no_path(message: String) -> Refusal {
    let fix =
        "Set-VMHost -ComputerName <destination> -VirtualHardDiskPath D:\\VMs -VirtualMachinePath D:\\VMs";
    refused(
        Rule::StoragePath,
        message,
        "no default path is set at the destination, and the move names none",
        fix,
    )
}

/// The disks are where they are to go.
pub(super) fn already_there() -> Refusal {
    let fix = "Get-VMHardDiskDrive -VMName <vm> | Select-Object Path";
    let cause = "the move was carried out before, or names the wrong path";
    refused(Rule::StoragePath, "its disks are there already".into(), cause, fix)
}

/// There is too little space.
pub(super) fn no_space(location: &str, free: Bytes, needed: Bytes) -> Refusal {
    let message = format!("`{location}` has {free} of free space, and {needed} are needed for its disks");
    let fix = "Get-Volume -CimSession <destination> | Select-Object DriveLetter, SizeRemaining, Size  \
               # then make room, or choose another path";
    refused(Rule::StorageSpace, message, "other disks, there or on their way, have taken the space", fix)
}

/// A host allows no storage migrations at all.
pub(super) fn not_allowed(message: &str) -> Refusal {
    let fix = "Set-VMHost -ComputerName <host> -MaximumStorageMigrations 2";
    refused(Rule::StorageMigrations, message.into(), "its limit of storage migrations is 0", fix)
}

fn refused(rule: Rule, message: String, cause: &str, fix: &str) -> Refusal {
    let (category, event) = (Category::Storage, rule.event());
    Refusal { rule, category, event, message, cause: cause.into(), fix: fix.into() }
}
