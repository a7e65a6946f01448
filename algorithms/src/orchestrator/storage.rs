//! Storage as the orchestrator knows it: which disk is where, who reaches it, what space is taken,
//! which slots for storage migrations are in use.
//!
//! Limits are Hyper-V's: `MaximumStorageMigrations` of a host (`Set-VMHost`) counts beside
//! `MaximumVirtualMachineMigrations`; a shared-nothing migration takes one slot of each at both ends.

mod refusals;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sim_core::Bytes;

use super::Assignment;
use super::cluster::Slots;
use crate::ids::{HostId, MigrationId, Name, StorageId, VmId};
use crate::plan::{DiskTarget, StorageMove};
use crate::preflight::Refusal;
use crate::records::{MigrationKind, Outcome};
use crate::storage_mirror::DiskOrder;
use refusals::{already_there, no_path, no_space, not_allowed, not_reachable, offline};

/// Storage locations and disks, kept up to date as migrations are assigned and end.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct StorageView {
    locations: Vec<LocationView>,
    /// By host, where there are storage locations at all.
    hosts: Vec<HostStorageView>,
    /// By guest; guests beyond its end have none.
    disks: Vec<Vec<DiskView>>,
    /// Of migrations that are queued or under way.
    moves: BTreeMap<MigrationId, Vec<DiskMove>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct LocationView {
    name: Name,
    /// Hosts that reach it, in order.
    hosts: Vec<HostId>,
    capacity: Option<Bytes>,
    taken: Bytes,
    #[serde(default)]
    trouble: Trouble,
}

/// What is wrong with a storage location.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Trouble {
    /// Others have taken the rest of its space.
    full: bool,
    /// So many things keep all hosts from reaching it.
    outages: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct HostStorageView {
    default: Option<StorageId>,
    slots: Slots,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct DiskView {
    name: Name,
    at: StorageId,
    file: Bytes,
}

/// A disk that goes from one storage location to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskMove {
    /// By its place among the guest's disks.
    pub disk: u32,
    /// Where it is.
    pub from: StorageId,
    /// Where it goes.
    pub to: StorageId,
    /// The size of its file.
    pub bytes: Bytes,
}

impl StorageView {
    /// Adds the next storage location: who reaches it, and how much it holds (`None`: no limit).
    pub fn add_location(&mut self, name: Name, mut hosts: Vec<HostId>, capacity: Option<Bytes>) {
        hosts.sort_unstable();
        self.locations.push(LocationView {
            name,
            hosts,
            capacity,
            taken: Bytes::ZERO,
            trouble: Trouble::default(),
        });
    }

    /// Adds the next host: where disks go by default, and storage migrations at a time.
    pub fn add_host(&mut self, default: Option<StorageId>, limit: Option<u32>) {
        self.hosts.push(HostStorageView { default, slots: Slots { limit, used: 0 } });
    }

    /// Adds the next disk of a guest; `file` is the space that it takes. Its location must be there.
    pub fn add_disk(&mut self, vm: VmId, name: Name, at: StorageId, file: Bytes) {
        if self.disks.len() <= vm.index() {
            self.disks.resize(vm.index() + 1, Vec::new());
        }
        self.disks[vm.index()].push(DiskView { name, at, file });
        self.locations[at.index()].taken += file;
    }

    /// The disks that a migration moves, while it is queued or under way.
    pub fn moves(&self, migration: MigrationId) -> &[DiskMove] {
        self.moves.get(&migration).map_or(&[], Vec::as_slice)
    }

    /// Whether there is such a location.
    pub(super) fn has_location(&self, location: StorageId) -> bool {
        location.index() < self.locations.len()
    }

    /// The same disks by their names.
    pub fn orders(&self, vm: VmId, moves: &[DiskMove]) -> Vec<DiskOrder> {
        let location = |at: StorageId| self.locations[at.index()].name.clone();
        let order = |each: &DiskMove| DiskOrder {
            disk: each.disk,
            name: self.disks_of(vm)[each.disk as usize].name.clone(),
            bytes: each.bytes,
            from: location(each.from),
            to: location(each.to),
        };
        moves.iter().map(order).collect()
    }

    /// The space taken at a location, by what is there and by what is on its way there.
    pub fn taken(&self, location: StorageId) -> Bytes {
        self.locations[location.index()].taken
    }

    /// Others take the rest of a location's space, for good.
    pub(super) fn fill(&mut self, location: StorageId) {
        self.locations[location.index()].trouble.full = true;
    }

    /// No host reaches a location from now on.
    pub(super) fn lose(&mut self, location: StorageId) {
        self.locations[location.index()].trouble.outages += 1;
    }

    /// What kept hosts from reaching a location is mended.
    pub(super) fn mend(&mut self, location: StorageId) {
        let outages = &mut self.locations[location.index()].trouble.outages;
        *outages = outages.saturating_sub(1);
    }

    /// Where a guest's disk is.
    pub fn disk_at(&self, vm: VmId, disk: u32) -> Option<StorageId> {
        Some(self.disks_of(vm).get(disk as usize)?.at)
    }

    pub(super) fn has_disks(&self, vm: VmId) -> bool {
        !self.disks_of(vm).is_empty()
    }

    fn disks_of(&self, vm: VmId) -> &[DiskView] {
        self.disks.get(vm.index()).map_or(&[], Vec::as_slice)
    }

    /// The disks that must be copied for `vm` to run on `destination` with its disks as `storage` says.
    ///
    /// # Errors
    ///
    /// Why they cannot go, or the guest cannot run there.
    pub fn plan(
        &self,
        vm: VmId,
        source: HostId,
        destination: HostId,
        storage: &StorageMove,
    ) -> Result<Vec<DiskMove>, Refusal> {
        let disks = self.disks_of(vm);
        let only_disks = matches!(storage, StorageMove::Only(_));
        let mut moves = Vec::new();
        for (index, disk) in (0u32..).zip(disks) {
            let to = self.target(index, disk, destination, storage)?;
            if !self.reaches(destination, to) {
                return Err(self.not_reached(disk, to, storage));
            }
            if to != disk.at {
                moves.push(DiskMove { disk: index, from: disk.at, to, bytes: disk.file });
            }
        }
        if only_disks && moves.is_empty() {
            return Err(already_there());
        }
        if moves.is_empty() {
            return Ok(moves);
        }
        self.check_slots(source, destination)?;
        self.check_space(&moves)?;
        Ok(moves)
    }

    fn target(
        &self,
        index: u32,
        disk: &DiskView,
        destination: HostId,
        storage: &StorageMove,
    ) -> Result<StorageId, Refusal> {
        match storage {
            StorageMove::Stays => Ok(disk.at),
            StorageMove::To(targets) | StorageMove::Only(targets) => Ok(targets
                .iter()
                .find(|DiskTarget { disk, .. }| *disk == index)
                .map_or(disk.at, |target| target.to)),
            StorageMove::Default if self.reaches(destination, disk.at) => Ok(disk.at),
            StorageMove::Default => self.hosts[destination.index()].default.ok_or_else(|| {
                let message = format!(
                    "the destination has no storage location for disk `{}`; give it one, or name one that it reaches",
                    disk.name
                );
                no_path(message)
            }),
        }
    }

    fn reaches(&self, host: HostId, location: StorageId) -> bool {
        let location = &self.locations[location.index()];
        location.trouble.outages == 0 && location.hosts.binary_search(&host).is_ok()
    }

    fn not_reached(&self, disk: &DiskView, to: StorageId, storage: &StorageMove) -> Refusal {
        let LocationView { name: location, trouble, .. } = &self.locations[to.index()];
        if trouble.outages > 0 {
            return offline(&disk.name, location);
        }
        let stays = to == disk.at;
        let advice = match storage {
            StorageMove::Stays if stays => {
                "move its storage too, or keep it on storage that both hosts reach"
            }
            _ if stays => "say where this disk goes too",
            _ => "name one that it reaches",
        };
        let is = if stays { "is on" } else { "was to go to" };
        let message =
            format!("disk `{}` {is} `{location}`, which the destination does not reach; {advice}", disk.name);
        not_reachable(message, stays)
    }

    fn check_slots(&self, source: HostId, destination: HostId) -> Result<(), Refusal> {
        let forbids = |host: HostId| self.hosts[host.index()].slots.limit == Some(0);
        match (forbids(source), forbids(destination)) {
            (true, _) => Err(not_allowed("its host allows no storage migrations")),
            (_, true) => Err(not_allowed("the destination allows no storage migrations")),
            _ => Ok(()),
        }
    }

    fn check_space(&self, moves: &[DiskMove]) -> Result<(), Refusal> {
        for DiskMove { to, .. } in moves {
            let location = &self.locations[to.index()];
            let needed: Bytes = moves.iter().filter(|other| other.to == *to).map(|other| other.bytes).sum();
            let free = match location.capacity {
                _ if location.trouble.full => Bytes::ZERO,
                Some(capacity) => capacity.saturating_sub(location.taken),
                None => continue,
            };
            if free < needed {
                return Err(no_space(&location.name, free, needed));
            }
        }
        Ok(())
    }

    /// Space at the destination is taken from the time at which a migration is assigned.
    pub(super) fn reserve(&mut self, assignment: &Assignment, disks: Vec<DiskMove>) {
        for DiskMove { to, bytes, .. } in &disks {
            self.locations[to.index()].taken += *bytes;
        }
        if !disks.is_empty() {
            self.moves.insert(assignment.migration, disks);
        }
    }

    /// Space is given back where the disks are not: at the source after success, else at the
    /// destination.
    pub(super) fn settle(&mut self, assignment: &Assignment, outcome: Outcome) {
        for DiskMove { disk, from, to, bytes } in self.moves.remove(&assignment.migration).unwrap_or_default()
        {
            let left = if outcome == Outcome::Completed {
                self.disks[assignment.vm.index()][disk as usize].at = to;
                from
            } else {
                to
            };
            let location = &mut self.locations[left.index()];
            location.taken = location.taken - bytes;
        }
    }

    pub(super) fn has_slots(&self, assignment: &Assignment) -> bool {
        ends(assignment).all(|host| self.hosts[host.index()].slots.is_free())
    }

    pub(super) fn started(&mut self, assignment: &Assignment) {
        ends(assignment).for_each(|host| self.hosts[host.index()].slots.used += 1);
    }

    pub(super) fn ended(&mut self, assignment: &Assignment, outcome: Outcome) {
        ends(assignment).for_each(|host| self.hosts[host.index()].slots.used -= 1);
        self.settle(assignment, outcome);
    }
}

/// The hosts whose slots for storage migrations a migration takes.
fn ends(assignment: &Assignment) -> impl Iterator<Item = HostId> + use<> {
    let (source, destination) = (assignment.source, assignment.destination);
    let (first, second) = match assignment.kind {
        MigrationKind::Live | MigrationKind::Quick | MigrationKind::Stop | MigrationKind::Start => {
            (None, None)
        }
        MigrationKind::Storage => (Some(source), None),
        MigrationKind::SharedNothing => (Some(source), Some(destination)),
    };
    first.into_iter().chain(second)
}
