//! What the orchestrator does when something breaks: it goes on with what still can be done.
//!
//! A host that has died takes no more guests, and none leaves it. Moves that wait in a queue to go to it
//! look for another place where the orchestrator had chosen it, and are refused where the plan names
//! it. Migrations under way end by themselves. Clustered roles of a dead node are started on another. Nothing
//! that failed is tried again: `Move-VM` does not, and of a cluster's drain it is only known that it can be told to
//! (`CLUSAPI_NODE_PAUSE_RETRY_DRAIN_ON_FAILURE` of `PauseClusterNodeEx`), not how often it then does.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sim_core::{Bytes, SimTime};

use super::cluster::NoPlace;
use super::messages::Declining;
use super::tasks::{Purpose, RoleTask};
use super::{Assignment, Orchestrator, Run, Waiting};
use crate::failover::Priority;
use crate::ids::{HostId, StorageId, VmId};

/// What happened to the cluster beside what the plan asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Incident {
    /// A host has died, and with it every guest that ran there. It does not come back.
    HostDied(HostId),
    /// Guests that are not ours have taken memory of a host.
    MemoryTaken(HostId, Bytes),
    /// Others have taken the rest of a storage location's space.
    StorageFilled(StorageId),
    /// No host reaches a storage location any more.
    StorageLost(StorageId),
    /// The storage is there again.
    StorageBack(StorageId),
}

impl Orchestrator {
    /// Whether an incident is about a host or storage that there is.
    pub(super) fn concerns(&self, incident: Incident) -> bool {
        match incident {
            Incident::HostDied(host) | Incident::MemoryTaken(host, _) => self.cluster.has_host(host),
            Incident::StorageFilled(location)
            | Incident::StorageLost(location)
            | Incident::StorageBack(location) => self.cluster.storage().has_location(location),
        }
    }

    pub(super) fn befall(&mut self, now: SimTime, incident: Incident) {
        match incident {
            Incident::HostDied(host) => self.host_died(now, host),
            Incident::MemoryTaken(host, memory) => self.cluster.take_memory(host, memory),
            Incident::StorageFilled(location) => self.cluster.storage_mut().fill(location),
            Incident::StorageLost(location) => self.cluster.storage_mut().lose(location),
            Incident::StorageBack(location) => self.cluster.storage_mut().mend(location),
        }
    }

    fn host_died(&mut self, now: SimTime, host: HostId) {
        self.cluster.bury(host);
        let concerned = |each: &Assignment| each.source == host || each.destination == host;
        let mut stranded = Vec::new();
        self.queues.retain(|_, queue| {
            stranded.extend(queue.iter().copied().filter(concerned));
            queue.retain(|each| !concerned(each));
            !queue.is_empty()
        });
        stranded.sort_by_key(|each: &Assignment| each.migration);
        for assignment in stranded {
            self.cluster.unassigned(&assignment);
            let chosen = self.chosen.remove(&assignment.migration);
            if let Some(storage) = chosen.filter(|_| assignment.source != host) {
                let (vm, destination, follows) = (assignment.vm, None, BTreeSet::new());
                self.waiting.insert(
                    assignment.migration,
                    Waiting { vm, destination, storage, due: now, follows, role: None },
                );
            } else {
                self.strand(assignment, host);
            }
        }
    }

    /// Roles whose node has died go offline, and are started elsewhere when the cluster has noticed; those that
    /// are on their way wait for the end of that. Whether there were any.
    pub(super) fn begin_failovers(&mut self, now: SimTime) -> bool {
        let dead = self.cluster.dead_hosts();
        if dead.is_empty() {
            return false;
        }
        let mut any = false;
        // A guest is on one host: what begins here for one node concerns no role of another.
        let busy = self.busy();
        for node in dead {
            for vm in self.roles_on(node).into_iter().filter(|vm| !busy.contains(vm)) {
                any = true;
                self.fail_over(now, vm, node);
            }
        }
        any
    }

    fn fail_over(&mut self, now: SimTime, vm: VmId, node: HostId) {
        self.cluster.crashed(vm, now);
        let failover = self.cluster.failover();
        if failover.role(vm).is_some_and(|role| role.priority == Priority::NoAutoStart) {
            return self.log_role(
                now,
                vm,
                node,
                "is not started elsewhere: its priority is No Auto Start".into(),
            );
        }
        let noticed = now + failover.settings.failover_after;
        self.wait(Waiting::of_role(vm, None, noticed, RoleTask { purpose: Purpose::Failover(node) }));
    }

    /// A role that was being started by failover is started again where its new node has died too.
    pub(super) fn start_again(&mut self, now: SimTime, vm: VmId, task: RoleTask, node: HostId) {
        let goes_on = self.run == Run::UnderWay;
        if goes_on && matches!(task.purpose, Purpose::Failover(_)) && self.cluster.is_dead(node) {
            let noticed = now + self.cluster.failover().settings.failover_after;
            self.wait(Waiting::of_role(vm, None, noticed, RoleTask { purpose: Purpose::Failover(node) }));
        }
    }

    /// A queued move cannot take place, for `host` has died.
    fn strand(&mut self, assignment: Assignment, host: HostId) {
        let Assignment { migration, vm, source, destination, kind, .. } = assignment;
        let NoPlace { reason, refusal } = self.cluster.died(host, host == source).into();
        let destination = Some(destination);
        self.decline(Declining { migration, vm, source, destination, kind, reason, refusal });
    }
}
