//! The cluster as the orchestrator knows it: who is where, what is taken, which slots are in use.

use serde::{Deserialize, Serialize};
use sim_core::Bytes;

use super::Assignment;
use super::storage::{DiskMove, StorageView};
use crate::ids::{HostId, VmId};
use crate::plan::{Placement, StorageMove};
use crate::planner::{self, HostView};
use crate::records::{MigrationKind, Outcome};

/// Hosts and guests, kept up to date as migrations are assigned and end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterView {
    placement: Placement,
    hosts: Vec<HostView>,
    slots: Vec<Slots>,
    guests: Vec<GuestView>,
    reach: Reach,
    storage: StorageView,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Slots {
    pub(super) limit: Option<u32>,
    pub(super) used: u32,
}

impl Slots {
    pub(super) fn is_free(self) -> bool {
        self.limit.is_none_or(|limit| self.used < limit)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct GuestView {
    host: HostId,
    memory: Bytes,
}

/// Which hosts reach which over the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reach {
    /// All reach all.
    All,
    /// Hosts with the same number reach each other.
    Islands(Vec<u32>),
}

impl ClusterView {
    /// A cluster without hosts and guests.
    pub fn new(placement: Placement, reach: Reach) -> ClusterView {
        let (hosts, slots, guests) = (Vec::new(), Vec::new(), Vec::new());
        ClusterView { placement, hosts, slots, guests, reach, storage: StorageView::default() }
    }

    /// Where the guests' disks are; without this there are none.
    pub fn set_storage(&mut self, storage: StorageView) {
        self.storage = storage;
    }

    /// Where the guests' disks are.
    pub fn storage(&self) -> &StorageView {
        &self.storage
    }

    /// Adds the next host: its memory, and how many migrations it allows at a time.
    pub fn add_host(&mut self, memory: Bytes, limit: Option<u32>) {
        self.hosts.push(HostView { memory, taken: Bytes::ZERO, guests: 0, open: true });
        self.slots.push(Slots { limit, used: 0 });
    }

    /// Adds the next guest. Its host must have been added.
    pub fn add_guest(&mut self, host: HostId, memory: Bytes) {
        self.guests.push(GuestView { host, memory });
        self.take(host, memory);
    }

    /// Where a guest runs.
    pub fn host_of(&self, vm: VmId) -> HostId {
        self.guests[vm.index()].host
    }

    /// The guests that run on `host`, by number.
    pub fn guests_on(&self, host: HostId) -> Vec<VmId> {
        let on_host =
            |(index, guest): (usize, &GuestView)| (guest.host == host).then_some(VmId(index as u32));
        self.guests.iter().enumerate().filter_map(on_host).collect()
    }

    /// No guest may be placed on these hosts; on all others it may.
    pub(super) fn close_only(&mut self, closed: &[HostId]) {
        for (index, host) in self.hosts.iter_mut().enumerate() {
            let forbidden = self.slots[index].limit == Some(0);
            host.open = !forbidden && !closed.iter().any(|id| id.index() == index);
        }
    }

    /// Where `vm` goes, to `wanted` if that can be, else to the best place; and what moves with it.
    pub(super) fn place(
        &self,
        vm: VmId,
        wanted: Option<HostId>,
        storage: &StorageMove,
    ) -> Result<(HostId, MigrationKind, Vec<DiskMove>), String> {
        let source = self.guests[vm.index()].host;
        if let StorageMove::Only(_) = storage {
            let disks = self.storage.plan(vm, source, source, storage)?;
            return Ok((source, MigrationKind::Storage, disks));
        }
        let destination = self.place_guest(vm, wanted, storage)?;
        let disks = self.storage.plan(vm, source, destination, storage)?;
        let kind = if disks.is_empty() { MigrationKind::Live } else { MigrationKind::SharedNothing };
        Ok((destination, kind, disks))
    }

    fn place_guest(&self, vm: VmId, wanted: Option<HostId>, storage: &StorageMove) -> Result<HostId, String> {
        let GuestView { host: source, memory } = self.guests[vm.index()];
        let forbids = |host: HostId| self.slots[host.index()].limit == Some(0);
        if forbids(source) {
            return Err("its host allows no migrations".into());
        }
        let Some(destination) = wanted else {
            return self.best_place(vm, storage);
        };
        let free = self.hosts[destination.index()].free();
        if destination == source {
            Err("it is there already".into())
        } else if forbids(destination) {
            Err("the destination allows no migrations".into())
        } else if !self.reaches(source, destination) {
            Err("the network does not lead from its host to the destination".into())
        } else if free < memory {
            Err(format!("the destination has {free} of free memory, and {memory} are needed"))
        } else {
            Ok(destination)
        }
    }

    fn best_place(&self, vm: VmId, storage: &StorageMove) -> Result<HostId, String> {
        let GuestView { host: source, memory } = self.guests[vm.index()];
        let choose = |suits: &dyn Fn(HostId) -> bool| {
            let reachable = |host| self.reaches(source, host) && suits(host);
            planner::choose(self.placement, &self.hosts, source, memory, reachable)
        };
        if !self.storage.has_disks(vm) {
            return choose(&|_| true);
        }
        let plan = |host| self.storage.plan(vm, source, host, storage);
        choose(&|host| plan(host).is_ok()).or_else(|_| {
            // It fails on storage only where it would have a place without.
            let best = choose(&|_| true)?;
            Err(plan(best).err().unwrap_or_else(|| "no host suits its disks".into()))
        })
    }

    /// From now on the guest takes memory, and its disks space, at the destination too.
    pub(super) fn assigned(&mut self, assignment: &Assignment, disks: Vec<DiskMove>) {
        if assignment.kind != MigrationKind::Storage {
            self.take(assignment.destination, self.guests[assignment.vm.index()].memory);
        }
        self.storage.reserve(assignment, disks);
    }

    /// An assignment will not be carried out.
    pub(super) fn unassigned(&mut self, assignment: &Assignment) {
        if assignment.kind != MigrationKind::Storage {
            self.leave(assignment.destination, self.guests[assignment.vm.index()].memory);
        }
        self.storage.settle(assignment, Outcome::NotStarted);
    }

    pub(super) fn has_slots(&self, assignment: &Assignment) -> bool {
        let free = |host: HostId| self.slots[host.index()].is_free();
        let for_memory = assignment.kind == MigrationKind::Storage
            || free(assignment.source) && free(assignment.destination);
        for_memory && self.storage.has_slots(assignment)
    }

    pub(super) fn started(&mut self, assignment: &Assignment) {
        if assignment.kind != MigrationKind::Storage {
            self.slots[assignment.source.index()].used += 1;
            self.slots[assignment.destination.index()].used += 1;
        }
        self.storage.started(assignment);
    }

    /// A migration has ended: the guest gives up its memory at the host where it is not.
    pub(super) fn ended(&mut self, assignment: &Assignment, outcome: Outcome) {
        self.storage.ended(assignment, outcome);
        if assignment.kind == MigrationKind::Storage {
            return;
        }
        self.slots[assignment.source.index()].used -= 1;
        self.slots[assignment.destination.index()].used -= 1;
        let guest = &mut self.guests[assignment.vm.index()];
        let memory = guest.memory;
        let left = match outcome {
            Outcome::Completed => {
                guest.host = assignment.destination;
                assignment.source
            }
            Outcome::Cancelled | Outcome::Failed | Outcome::NotStarted => assignment.destination,
        };
        self.leave(left, memory);
    }

    fn leave(&mut self, host: HostId, memory: Bytes) {
        let host = &mut self.hosts[host.index()];
        host.taken = host.taken - memory;
        host.guests -= 1;
    }

    fn take(&mut self, host: HostId, memory: Bytes) {
        let host = &mut self.hosts[host.index()];
        host.taken += memory;
        host.guests += 1;
    }

    fn reaches(&self, a: HostId, b: HostId) -> bool {
        match &self.reach {
            Reach::All => true,
            Reach::Islands(islands) => islands[a.index()] == islands[b.index()],
        }
    }
}
