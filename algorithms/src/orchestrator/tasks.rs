//! Moves of single roles: what makes the cluster move one, how it goes, and what follows where it cannot.
//!
//! ```text
//!   asked for ─┐                     ┌─ live            ─▶ queue of the source, with slots
//!   drain ─────┼─▶ placed ─▶ kind ───┼─ quick, start    ─▶ beside it, without
//!   failback ──┘      └─ no place ─▶ it stays and says why; under force: stopped, its owner moved
//! ```

use serde::{Deserialize, Serialize};
use sim_core::SimTime;

use super::cluster::{NoPlace, Offline};
use super::messages::Declining;
use super::{Assignment, Line, Orchestrator, Waiting};
use crate::failover::OfflineAction;
use crate::ids::{HostId, MigrationId, Name, VmId};
use crate::plan::{Force, RoleMoveType};
use crate::quick_migration::QuickKind;
use crate::records::{MigrationKind, Outcome};

/// What is to be done with a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RoleTask {
    pub(super) purpose: Purpose,
}

/// What makes the cluster move a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Purpose {
    /// The plan.
    Asked(RoleMoveType),
    /// Its node is drained.
    Drain(HostId, Force),
    /// Its node is drained by force, and it could not be moved for this reason.
    Forced(HostId, String),
    /// The node from which it was drained is back.
    Failback(HostId),
    /// The node on which it ran has died.
    Failover(HostId),
}

/// A role that has got its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RoleOrder {
    task: RoleTask,
    wanted: Option<HostId>,
    pub(super) why: Name,
    offline: OfflineAction,
    since: Option<SimTime>,
}

impl RoleOrder {
    /// How far the role goes offline and online in a migration of that kind, and by which action.
    pub(super) fn quick(&self, kind: MigrationKind) -> Option<(QuickKind, OfflineAction)> {
        let kind = match kind {
            MigrationKind::Quick => QuickKind::Move,
            MigrationKind::Stop => QuickKind::Stop,
            MigrationKind::Start => QuickKind::Start { since: self.since? },
            MigrationKind::Live | MigrationKind::Storage | MigrationKind::SharedNothing => return None,
        };
        Some((kind, self.offline))
    }
}

impl Orchestrator {
    pub(super) fn enqueue_role(
        &mut self,
        now: SimTime,
        migration: MigrationId,
        waiting: &Waiting,
        task: RoleTask,
    ) {
        let Waiting { vm, destination: wanted, .. } = *waiting;
        let (source, (kind, offline)) = (self.cluster.host_of(vm), self.kind_of(vm, &task.purpose));
        let since = self.cluster.offline(vm).map(|offline| offline.since);
        let placed = self.cluster.place_role(vm, wanted, kind);
        let chosen = placed.as_ref().ok().cloned();
        let why: Name = self.why_of(vm, &task.purpose, kind, chosen).into();
        match placed {
            Ok((destination, _)) => {
                let assignment = Assignment { migration, vm, source, destination, queued: now, kind };
                self.cluster.assigned(&assignment, Vec::new());
                let line = if kind == MigrationKind::Live { Line::Guests } else { Line::Offline };
                self.queues.entry((source, line)).or_default().push_back(assignment);
                self.orders.insert(migration, RoleOrder { task, wanted, why, offline, since });
            }
            Err(NoPlace { reason, .. }) if self.is_forced(&task.purpose).is_some() => {
                let node = self.is_forced(&task.purpose).unwrap_or(source);
                let forced = RoleTask { purpose: Purpose::Forced(node, reason) };
                self.waiting.insert(migration, Waiting::of_role(vm, None, now, forced));
            }
            Err(NoPlace { reason, refusal }) => {
                self.orders.insert(migration, RoleOrder { task, wanted, why, offline, since });
                self.decline(Declining { migration, vm, source, destination: wanted, kind, reason, refusal });
            }
        }
    }

    /// The node that is drained by force, if that is why.
    fn is_forced(&self, purpose: &Purpose) -> Option<HostId> {
        match purpose {
            Purpose::Drain(node, Force::On) => Some(*node),
            _ => None,
        }
    }

    /// How a role goes: as asked, or as the cluster moves roles of its priority.
    fn kind_of(&self, vm: VmId, purpose: &Purpose) -> (MigrationKind, OfflineAction) {
        let failover = self.cluster.failover();
        let own = failover.role(vm).map(|role| role.offline_action).unwrap_or_default();
        match (purpose, self.cluster.offline(vm)) {
            (Purpose::Forced(..), _) => (MigrationKind::Stop, own),
            (_, Some(Offline { action, .. })) => (MigrationKind::Start, action),
            (Purpose::Asked(RoleMoveType::Live), None) => (MigrationKind::Live, own),
            (Purpose::Asked(RoleMoveType::Offline(action)), None) => (MigrationKind::Quick, *action),
            (Purpose::Drain(..) | Purpose::Failback(_) | Purpose::Failover(_), None) => {
                let priority = failover.role(vm).map(|role| role.priority).unwrap_or_default();
                (failover.move_type(priority), OfflineAction::Save)
            }
        }
    }

    fn why_of(
        &self,
        vm: VmId,
        purpose: &Purpose,
        kind: MigrationKind,
        chosen: Option<(HostId, String)>,
    ) -> String {
        let name = |node: &HostId| self.cluster.host_name(*node);
        let role = self.cluster.failover().role(vm);
        let priority = role.map(|role| role.priority).unwrap_or_default();
        let by_priority = match kind {
            MigrationKind::Quick => format!(", {priority} priority, below the threshold and so quick"),
            MigrationKind::Start => ", brought online again".to_string(),
            _ => format!(", {priority} priority"),
        };
        let purpose = match purpose {
            Purpose::Asked(RoleMoveType::Live) => "Move-ClusterVirtualMachineRole".to_string(),
            Purpose::Asked(RoleMoveType::Offline(action)) => {
                format!("Move-ClusterVirtualMachineRole, {}", action.done())
            }
            Purpose::Drain(node, _) => format!("drain of {}{by_priority}", name(node)),
            Purpose::Forced(node, because) => format!("forced drain of {}: {because}", name(node)),
            Purpose::Failback(node) => format!("failback to {}{by_priority}", name(node)),
            Purpose::Failover(node) => format!("failover: {} has died{by_priority}", name(node)),
        };
        match chosen {
            Some((host, how)) if !how.is_empty() => format!("{purpose}; to {}: {how}", name(&host)),
            _ => purpose,
        }
    }

    /// A migration has ended: of a role, what that means to its drain or failback.
    pub(super) fn role_ended(&mut self, now: SimTime, assignment: &Assignment, outcome: Outcome) {
        let Assignment { migration, vm, kind, .. } = *assignment;
        let Some(order) = self.orders.get(&migration) else { return };
        if outcome != Outcome::Completed {
            self.start_again(now, vm, order.task.clone(), assignment.destination);
            return self.not_moved(migration, vm, "its migration did not complete".into());
        }
        if kind == MigrationKind::Stop {
            self.cluster.gone_offline(vm, Offline { action: order.offline, since: now });
        }
        if let Purpose::Drain(node, _) | Purpose::Forced(node, _) = order.task.purpose {
            self.drained.entry(node).or_default().push(vm);
        }
        for lane in &mut self.lanes {
            lane.moved(migration);
        }
    }

    /// A role was not moved: under force it is stopped, else its drain has failed.
    pub(super) fn not_moved(&mut self, migration: MigrationId, vm: VmId, reason: String) {
        let Some(order) = self.orders.get(&migration) else { return };
        let Some(lane) = self.lanes.iter().position(|lane| lane.waits_for(migration)) else { return };
        let forced = match &order.task.purpose {
            Purpose::Drain(node, Force::On) => Some(Purpose::Forced(*node, reason)),
            _ => None,
        };
        let stopped = forced.map(|purpose| {
            let due_at_once = SimTime::ZERO;
            self.wait(Waiting::of_role(vm, None, due_at_once, RoleTask { purpose }))
        });
        self.lanes[lane].stayed(migration, vm, stopped);
    }

    /// Roles that are queued for `node`, which takes none any more, are placed anew.
    pub(super) fn pull_back(&mut self, now: SimTime, node: HostId) {
        let Orchestrator { queues, cluster, orders, waiting, .. } = self;
        queues.retain(|_, queue| {
            queue.retain(|assignment| {
                let order = orders.get(&assignment.migration);
                let Some(order) = order.filter(|_| assignment.destination == node) else { return true };
                cluster.unassigned(assignment);
                let task = order.task.clone();
                waiting
                    .insert(assignment.migration, Waiting::of_role(assignment.vm, order.wanted, now, task));
                false
            });
            !queue.is_empty()
        });
    }
}
