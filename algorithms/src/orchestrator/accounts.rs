//! What migrations take at both ends, from when they are assigned until they have ended: memory, slots, space.

use sim_core::Bytes;

use super::Assignment;
use super::cluster::ClusterView;
use super::storage::DiskMove;
use crate::ids::HostId;
use crate::records::{MigrationKind, Outcome};

impl ClusterView {
    /// From now on the guest takes memory, and its disks space, at the destination too.
    pub(super) fn assigned(&mut self, assignment: &Assignment, disks: Vec<DiskMove>) {
        if takes_memory(assignment.kind) {
            self.take(assignment.destination, self.memory_of(assignment.vm));
            self.bound.insert(assignment.vm, assignment.destination);
        }
        self.moving.insert(assignment.vm);
        self.storage.reserve(assignment, disks);
    }

    /// An assignment will not be carried out.
    pub(super) fn unassigned(&mut self, assignment: &Assignment) {
        if takes_memory(assignment.kind) {
            self.leave(assignment.destination, self.memory_of(assignment.vm));
            self.bound.remove(&assignment.vm);
        }
        self.moving.remove(&assignment.vm);
        self.storage.settle(assignment, Outcome::NotStarted);
    }

    pub(super) fn has_slots(&self, assignment: &Assignment) -> bool {
        let free = |host: HostId| self.slots[host.index()].is_free();
        let for_memory =
            !takes_slots(assignment.kind) || free(assignment.source) && free(assignment.destination);
        for_memory && self.storage.has_slots(assignment)
    }

    pub(super) fn started(&mut self, assignment: &Assignment) {
        if takes_slots(assignment.kind) {
            self.slots[assignment.source.index()].used += 1;
            self.slots[assignment.destination.index()].used += 1;
        }
        self.storage.started(assignment);
    }

    /// A migration has ended: the guest gives up its memory at the host where it is not.
    pub(super) fn ended(&mut self, assignment: &Assignment, outcome: Outcome) {
        let arrived = self.arrived(assignment, outcome);
        self.storage.ended(assignment, if arrived { Outcome::Completed } else { outcome });
        self.moving.remove(&assignment.vm);
        if takes_slots(assignment.kind) {
            self.slots[assignment.source.index()].used -= 1;
            self.slots[assignment.destination.index()].used -= 1;
        }
        if assignment.kind == MigrationKind::Storage {
            return;
        }
        self.bound.remove(&assignment.vm);
        let Assignment { vm, source, destination, kind, .. } = *assignment;
        let memory = self.memory_of(vm);
        match (arrived, kind) {
            (true, MigrationKind::Start) => {
                self.guests[vm.index()].host = destination;
                self.offline.remove(&vm);
            }
            (true, _) => {
                self.guests[vm.index()].host = destination;
                self.leave(source, memory);
            }
            (false, _) if takes_memory(kind) => self.leave(destination, memory),
            (false, _) => {}
        }
    }

    pub(super) fn leave(&mut self, host: HostId, memory: Bytes) {
        let host = &mut self.hosts[host.index()];
        host.taken = host.taken - memory;
        host.guests -= 1;
    }

    pub(super) fn take(&mut self, host: HostId, memory: Bytes) {
        let host = &mut self.hosts[host.index()];
        host.taken += memory;
        host.guests += 1;
    }
}

/// Whether a migration of this kind takes one of the slots for migrations at both ends. What goes offline
/// does not: quick migrations go on beside live ones (A. Finn, aidanfinn.com ?p=13715).
const fn takes_slots(kind: MigrationKind) -> bool {
    matches!(kind, MigrationKind::Live | MigrationKind::SharedNothing)
}

/// Whether the guest takes memory at its destination from when it is assigned.
const fn takes_memory(kind: MigrationKind) -> bool {
    !matches!(kind, MigrationKind::Storage | MigrationKind::Stop)
}
