//! What breaks in the cluster, as the orchestrator knows it: hosts that died, memory and space that others
//! took, storage that went away.

use sim_core::{Bytes, SimTime};

use super::{ClusterView, Offline};
use crate::failover::OfflineAction;
use crate::failures::{DIED, how_it_died};
use crate::ids::{HostId, Name, VmId};
use crate::orchestrator::Assignment;
use crate::orchestrator::storage::{DiskMove, StorageView};
use crate::plan::StorageMove;
use crate::planner::HostView;
use crate::preflight::{Category, Finding, Refusal, Rule};
use crate::records::{MigrationKind, Outcome};

impl ClusterView {
    /// Whether a host has died.
    pub fn is_dead(&self, host: HostId) -> bool {
        self.dead.contains(&host)
    }

    /// A host has died: its guests are off, and none comes to it.
    pub(in crate::orchestrator) fn bury(&mut self, host: HostId) {
        self.dead.insert(host);
        self.hosts[host.index()].open = false;
    }

    /// Hosts that have died.
    pub(in crate::orchestrator) fn dead_hosts(&self) -> Vec<HostId> {
        self.dead.iter().copied().collect()
    }

    /// A role's host has died: the role is offline, and takes nothing there.
    pub(in crate::orchestrator) fn crashed(&mut self, vm: VmId, since: SimTime) {
        self.leave(self.host_of(vm), self.memory_of(vm));
        self.gone_offline(vm, Offline { action: OfflineAction::TurnOff, since });
    }

    /// Guests that are not ours take memory of a host, for good.
    pub(in crate::orchestrator) fn take_memory(&mut self, host: HostId, memory: Bytes) {
        let view = &mut self.hosts[host.index()];
        let foreign = self.foreign.entry(host).or_default();
        // They cannot have more than there is.
        let memory = memory.min(view.memory.saturating_sub(*foreign));
        view.taken += memory;
        *foreign += memory;
    }

    /// Whether memory, space and slots are taken by what is there and by nothing else, as it must be when
    /// no migration is queued or under way.
    pub fn is_settled(&self) -> bool {
        let settled = |(index, host): (usize, &HostView)| {
            let on = |(vm, guest): (u32, &super::GuestView)| {
                (guest.host.index() == index && !self.offline.contains_key(&VmId(vm))).then_some(guest.memory)
            };
            let there: Vec<Bytes> = (0u32..).zip(&self.guests).filter_map(on).collect();
            let memory: Bytes = there.iter().copied().sum();
            let foreign = self.foreign.get(&HostId(index as u32)).copied().unwrap_or(Bytes::ZERO);
            let guests = there.len();
            host.taken == memory + foreign && host.guests as usize == guests && self.slots[index].used == 0
        };
        self.hosts.iter().enumerate().all(settled) && self.storage.is_settled()
    }

    pub(in crate::orchestrator) fn storage_mut(&mut self) -> &mut StorageView {
        &mut self.storage
    }

    /// Whether the guest is at the destination in the end, running or not.
    pub(in crate::orchestrator) fn arrived(&self, assignment: &Assignment, outcome: Outcome) -> bool {
        match outcome {
            Outcome::Completed => true,
            // It was lost with the host that it ran on: the destination, unless the source died. What goes offline
            // never runs at its destination.
            Outcome::Lost => {
                !matches!(assignment.kind, MigrationKind::Storage | MigrationKind::Stop)
                    && !self.is_dead(assignment.source)
            }
            Outcome::Cancelled | Outcome::Failed | Outcome::NotStarted => false,
        }
    }

    /// Refuses a move from a dead host, or to one.
    pub(in crate::orchestrator) fn refuse_the_dead(
        &self,
        source: HostId,
        wanted: Option<HostId>,
    ) -> Result<(), Refusal> {
        let dead = [Some(source), wanted].into_iter().flatten().find(|host| self.is_dead(*host));
        dead.map_or(Ok(()), |host| Err(self.died(host, host == source)))
    }

    /// What is to be said of a host's death.
    pub fn death_of(&self, host: HostId) -> Refusal {
        self.died(host, true)
    }

    /// Why nothing goes from a dead host, or to it.
    pub(in crate::orchestrator) fn died(&self, host: HostId, is_source: bool) -> Refusal {
        let name = self.host_name(host);
        let message = if is_source {
            format!("{name}, where it ran, has died; it is off")
        } else {
            format!("{name}, where it was to go, has died")
        };
        let (rule, cause) = (Rule::HostAlive, DIED.to_string());
        let (category, event, fix) = (Category::Resources, rule.event(), how_it_died(&name));
        Refusal { rule, category, event, message, cause, fix }
    }

    /// The disks that move along, or why they cannot.
    pub(super) fn planned(
        &self,
        vm: VmId,
        source: HostId,
        destination: HostId,
        storage: &StorageMove,
    ) -> Result<Vec<DiskMove>, Refusal> {
        let planned = self.storage.plan(vm, source, destination, storage);
        planned.map_err(|refusal| self.named(refusal, vm, source, destination))
    }

    /// The rules about storage, for a guest that would move to `destination`: without its disks where
    /// they are within reach there, and with them otherwise.
    pub fn explain_storage(&self, vm: VmId, destination: HostId) -> Vec<Finding> {
        if !self.storage.has_disks(vm) {
            return Vec::new();
        }
        let source = self.host_of(vm);
        let stays = self.planned(vm, source, destination, &StorageMove::Stays);
        let along = self.planned(vm, source, destination, &StorageMove::Default);
        let verdict = |rule: Rule| match (rule, &stays, &along) {
            (Rule::StorageReachable, Ok(_), _) => Ok("the destination reaches all its disks".to_string()),
            (Rule::StorageReachable, Err(refusal), _) => Err(refusal.clone()),
            (_, Ok(_), _) => Ok("no disk has to move".to_string()),
            (_, _, Err(refusal)) if refusal.rule == rule => Err(refusal.clone()),
            (Rule::StorageSpace, _, Ok(moves)) => {
                Ok(format!("{} of disks can go along", moves.iter().map(|each| each.bytes).sum::<Bytes>()))
            }
            _ => Ok("nothing against moving its disks along".to_string()),
        };
        let rules = [Rule::StorageReachable, Rule::StoragePath, Rule::StorageSpace, Rule::StorageMigrations];
        rules.into_iter().map(|rule| Finding { rule, verdict: verdict(rule) }).collect()
    }

    /// A refusal whose command names those whom it concerns.
    pub(super) fn named(&self, refusal: Refusal, vm: VmId, source: HostId, destination: HostId) -> Refusal {
        let quoted = |name: Name| format!("\"{name}\"");
        let fix = refusal
            .fix
            .replace("<vm>", &quoted(self.guest_name(vm)))
            .replace("<source>", &quoted(self.host_name(source)))
            .replace("<destination>", &quoted(self.host_name(destination)));
        Refusal { fix, ..refusal }
    }
}
