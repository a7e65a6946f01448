//! The cluster as the orchestrator knows it: who is where, what is taken, which slots are in use.

mod failures;
mod no_place;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sim_core::{Bytes, SimTime};

use super::Assignment;
use super::storage::{DiskMove, StorageView};
use crate::failover::{Failover, OfflineAction};
use crate::ids::{HostId, Name, VmId};
use crate::plan::{Placement, StorageMove};
use crate::planner::{self, HostView};
use crate::preflight::facts::HostSettings;
use crate::preflight::{Prerequisites, Refusal};
use crate::records::MigrationKind;
pub(super) use no_place::NoPlace;
use no_place::{all_refuse, no_host_for_disks};

/// Hosts and guests, kept up to date as migrations are assigned and end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterView {
    pub(super) placement: Placement,
    host_names: Vec<Name>,
    guest_names: Vec<Name>,
    pub(super) hosts: Vec<HostView>,
    pub(super) slots: Vec<Slots>,
    pub(super) guests: Vec<GuestView>,
    reach: Reach,
    pub(super) storage: StorageView,
    #[serde(default)]
    prerequisites: Prerequisites,
    /// Hosts that have died.
    dead: BTreeSet<HostId>,
    /// Memory that guests which are not ours have taken.
    foreign: BTreeMap<HostId, Bytes>,
    failover: Failover,
    /// Hosts that the phase under way empties.
    closed: BTreeSet<HostId>,
    /// Nodes that take no roles until they are resumed.
    paused: BTreeSet<HostId>,
    /// Where guests on their way will be.
    pub(super) bound: BTreeMap<VmId, HostId>,
    /// Guests that have a migration queued or under way.
    pub(super) moving: BTreeSet<VmId>,
    /// Roles that run nowhere.
    pub(super) offline: BTreeMap<VmId, Offline>,
}

/// A role that runs nowhere, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Offline {
    pub(super) action: OfflineAction,
    pub(super) since: SimTime,
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
pub(super) struct GuestView {
    pub(super) host: HostId,
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
        let (storage, prerequisites) = (StorageView::default(), Prerequisites::default());
        let (dead, foreign) = (BTreeSet::new(), BTreeMap::new());
        let (closed, paused) = (BTreeSet::new(), BTreeSet::new());
        let (failover, bound, offline) = (Failover::default(), BTreeMap::new(), BTreeMap::new());
        ClusterView {
            placement,
            host_names: Vec::new(),
            guest_names: Vec::new(),
            hosts,
            slots,
            guests,
            reach,
            storage,
            prerequisites,
            dead,
            foreign,
            failover,
            closed,
            paused,
            bound,
            moving: BTreeSet::new(),
            offline,
        }
    }

    /// With the roles of a failover cluster; without, no guest is clustered.
    pub fn with_failover(self, failover: Failover) -> ClusterView {
        ClusterView { failover, ..self }
    }

    /// The failover cluster's settings and roles.
    pub fn failover(&self) -> &Failover {
        &self.failover
    }

    /// With what is known of prerequisites; without, nothing is refused for want of one.
    pub fn with_prerequisites(self, prerequisites: Prerequisites) -> ClusterView {
        ClusterView { prerequisites, ..self }
    }

    /// Where the guests' disks are; without this there are none.
    pub fn set_storage(&mut self, storage: StorageView) {
        self.storage = storage;
    }

    /// Where the guests' disks are.
    pub fn storage(&self) -> &StorageView {
        &self.storage
    }

    /// Adds the next host: its name, its memory, and how many migrations it allows at a time.
    pub fn add_host(&mut self, name: Name, memory: Bytes, limit: Option<u32>) {
        self.host_names.push(name);
        self.hosts.push(HostView { memory, taken: Bytes::ZERO, guests: 0, open: true });
        self.slots.push(Slots { limit, used: 0 });
    }

    /// Adds the next guest. Its host must have been added.
    pub fn add_guest(&mut self, name: Name, host: HostId, memory: Bytes) {
        self.guest_names.push(name);
        self.guests.push(GuestView { host, memory });
        self.take(host, memory);
    }

    /// A host's name.
    pub fn host_name(&self, host: HostId) -> Name {
        self.host_names[host.index()].clone()
    }

    /// A guest's name.
    pub fn guest_name(&self, vm: VmId) -> Name {
        self.guest_names[vm.index()].clone()
    }

    /// Whether there is such a host.
    pub(super) fn has_host(&self, host: HostId) -> bool {
        host.index() < self.hosts.len()
    }

    /// Where a guest runs; of a role that is offline, who owns it.
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
        self.closed = closed.iter().copied().collect();
        self.open_others();
    }

    /// A node takes no roles any more, or takes them again.
    pub(super) fn pause(&mut self, node: HostId) {
        self.paused.insert(node);
        self.open_others();
    }

    pub(super) fn resume(&mut self, node: HostId) {
        self.paused.remove(&node);
        self.open_others();
    }

    fn open_others(&mut self) {
        for (id, host) in (0..).map(HostId).zip(&mut self.hosts) {
            let forbidden = self.slots[id.index()].limit == Some(0);
            host.open = !forbidden
                && !self.dead.contains(&id)
                && !self.closed.contains(&id)
                && !self.paused.contains(&id);
        }
    }

    pub(super) fn is_open(&self, host: HostId) -> bool {
        self.hosts[host.index()].open
    }

    /// Whether a node is paused.
    pub fn is_paused(&self, host: HostId) -> bool {
        self.paused.contains(&host)
    }

    /// Whether a role runs nowhere.
    pub fn is_offline(&self, vm: VmId) -> bool {
        self.offline.contains_key(&vm)
    }

    pub(super) fn offline(&self, vm: VmId) -> Option<Offline> {
        self.offline.get(&vm).copied()
    }

    pub(super) fn gone_offline(&mut self, vm: VmId, offline: Offline) {
        self.offline.insert(vm, offline);
    }

    /// Whether a guest has a migration queued or under way.
    pub(super) fn is_moving(&self, vm: VmId) -> bool {
        self.moving.contains(&vm)
    }

    /// Where a guest on its way will be.
    pub(super) fn bound_for(&self, vm: VmId) -> Option<HostId> {
        self.bound.get(&vm).copied()
    }

    pub(super) fn host_ids(&self) -> impl Iterator<Item = HostId> + use<> {
        (0..self.hosts.len() as u32).map(HostId)
    }

    pub(super) fn memory_of(&self, vm: VmId) -> Bytes {
        self.guests[vm.index()].memory
    }

    pub(super) fn forbids(&self, host: HostId) -> bool {
        self.slots[host.index()].limit == Some(0)
    }

    /// Where `vm` goes, to `wanted` if that can be, else to the best place; and what moves with it.
    pub(super) fn place(
        &self,
        vm: VmId,
        wanted: Option<HostId>,
        storage: &StorageMove,
    ) -> Result<(HostId, MigrationKind, Vec<DiskMove>), NoPlace> {
        let source = self.guests[vm.index()].host;
        if let StorageMove::Only(_) = storage {
            self.refuse_the_dead(source, None)?;
            let disks = self.planned(vm, source, source, storage)?;
            return Ok((source, MigrationKind::Storage, disks));
        }
        let destination = self.place_guest(vm, wanted, storage)?;
        let disks = self.planned(vm, source, destination, storage)?;
        let kind = if disks.is_empty() { MigrationKind::Live } else { MigrationKind::SharedNothing };
        Ok((destination, kind, disks))
    }

    fn place_guest(
        &self,
        vm: VmId,
        wanted: Option<HostId>,
        storage: &StorageMove,
    ) -> Result<HostId, NoPlace> {
        let GuestView { host: source, memory } = self.guests[vm.index()];
        self.refuse_the_dead(source, wanted)?;
        if self.forbids(source) {
            return Err("its host allows no migrations".into());
        }
        let Some(destination) = wanted else {
            return self.best_place(vm, storage);
        };
        let free = self.free(destination);
        if destination == source {
            Err("it is there already".into())
        } else if self.forbids(destination) {
            Err("the destination allows no migrations".into())
        } else if self.is_paused(destination) {
            Err("the destination is a paused node".into())
        } else if !self.reaches(source, destination) {
            Err("the network does not lead from its host to the destination".into())
        } else if let Some(refusal) = self.prerequisites.first_refusal(vm, source, destination, free) {
            Err(refusal.into())
        } else if free < memory {
            Err(format!("the destination has {free} of free memory, and {memory} are needed").into())
        } else {
            Ok(destination)
        }
    }

    /// What stands against a migration that is about to start, its memory being reserved.
    pub(super) fn refusal_at_start(&self, assignment: &Assignment) -> Option<Refusal> {
        let Assignment { vm, source, destination, kind, .. } = *assignment;
        if let Some(refusal) = self.storage.refusal_at_start(assignment) {
            return Some(self.named(refusal, vm, source, destination));
        }
        if kind == MigrationKind::Storage {
            return None;
        }
        // What is free without what it has reserved itself; others may have taken that meanwhile.
        let HostView { memory, taken, .. } = self.hosts[destination.index()];
        let free = memory.saturating_sub(taken - self.guests[vm.index()].memory);
        self.prerequisites.first_refusal(vm, source, destination, free)
    }

    /// The same of a role that the cluster moves.
    pub(super) fn refusal_of_role_at_start(&self, assignment: &Assignment) -> Option<Refusal> {
        let Assignment { vm, source, destination, kind, .. } = *assignment;
        let free = self.free(destination) + self.memory_of(vm);
        self.prerequisites.refusals_of_role(vm, (source, destination), kind, free).into_iter().next()
    }

    pub(super) fn change_host(&mut self, host: HostId, settings: HostSettings) {
        self.prerequisites.change_host(host, settings);
    }

    /// Memory that is free at `host`, what is on its way to it counted as there.
    pub fn free(&self, host: HostId) -> Bytes {
        self.hosts[host.index()].free()
    }

    /// What is known of prerequisites.
    pub fn prerequisites(&self) -> &Prerequisites {
        &self.prerequisites
    }

    fn best_place(&self, vm: VmId, storage: &StorageMove) -> Result<HostId, NoPlace> {
        let GuestView { host: source, memory } = self.guests[vm.index()];
        let refusal = |host| self.prerequisites.first_refusal(vm, source, host, self.free(host));
        let choose = |suits: &dyn Fn(HostId) -> bool| {
            let reachable = |host| self.reaches(source, host) && refusal(host).is_none() && suits(host);
            planner::choose(self.placement, &self.hosts, source, memory, reachable)
        };
        let anywhere = || choose(&|_| true).map_err(|reason| self.no_place(vm, reason));
        if !self.storage.has_disks(vm) {
            return anywhere();
        }
        let plan = |host| self.planned(vm, source, host, storage);
        choose(&|host| plan(host).is_ok()).or_else(|_| {
            // It fails on storage only where it would have a place without.
            let best = anywhere()?;
            let others = self.host_ids().filter(|host| {
                *host != best && self.has_room(*host, source, memory) && refusal(*host).is_none()
            });
            let refusals = std::iter::once(best).chain(others).filter_map(|host| plan(host).err());
            Err(no_host_for_disks(refusals.collect()))
        })
    }

    /// Why no host was chosen: what those that have room refuse for, or else the planner's `reason`.
    fn no_place(&self, vm: VmId, reason: String) -> NoPlace {
        let GuestView { host: source, memory } = self.guests[vm.index()];
        let ids = (0..self.hosts.len() as u32).map(HostId);
        let fits = |id: &HostId| self.has_room(*id, source, memory);
        let refusal = |host| self.prerequisites.first_refusal(vm, source, host, self.free(host));
        let refusals: Vec<Refusal> = ids.filter(fits).filter_map(refusal).collect();
        all_refuse(refusals).unwrap_or_else(|| reason.into())
    }

    /// Whether a guest of that size could come from `source`, as far as memory and the network go.
    fn has_room(&self, host: HostId, source: HostId, memory: Bytes) -> bool {
        let open = host != source && self.hosts[host.index()].open;
        open && self.free(host) >= memory && self.reaches(source, host)
    }

    pub(super) fn reaches(&self, a: HostId, b: HostId) -> bool {
        match &self.reach {
            Reach::All => true,
            Reach::Islands(islands) => islands[a.index()] == islands[b.index()],
        }
    }
}
