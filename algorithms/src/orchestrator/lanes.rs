//! What is done to nodes of the failover cluster: drained, serviced, resumed; one after the other in a lane,
//! lanes beside each other.
//!
//! ```text
//!   next node ─▶ Draining ─┬─ drained ─▶ InService ─ its time is over ─▶ FailingBack ─▶ next node
//!       ▲                  └─ a role stays: not serviced ───────────────────▲  │
//!       └──────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! A node is paused before its roles are placed, so that drains beside each other do not take each other's
//! roles; what was queued for it is placed anew, and what arrives nevertheless is drained too. Guests that are
//! no roles take no part: the cluster does not know them.

use std::cmp::Reverse;
use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use sim_core::SimTime;

use super::tasks::{Purpose, RoleTask};
use super::{Orchestrator, Waiting};
use crate::failover::AutoFailback;
use crate::ids::{HostId, MigrationId, VmId};
use crate::plan::{DrainOptions, Failback, NodeTask, NodeWork};
use crate::records::{EventRecord, Level, Record};

/// Nodes that something is done to, one after the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Lane {
    nodes: VecDeque<HostId>,
    work: NodeWork,
    step: Step,
    /// Migrations that the step waits for.
    pending: BTreeSet<MigrationId>,
    /// Roles that the step could not move.
    stayed: Vec<VmId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Step {
    Next,
    Draining(HostId, DrainOptions),
    InService(HostId, SimTime),
    FailingBack,
    Over,
}

/// A role that goes back when its window opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LateFailback {
    pub(super) vm: VmId,
    pub(super) node: HostId,
    pub(super) due: SimTime,
}

impl Lane {
    pub(super) fn new(task: NodeTask) -> Lane {
        let (pending, stayed) = (BTreeSet::new(), Vec::new());
        Lane { nodes: task.nodes.into(), work: task.work, step: Step::Next, pending, stayed }
    }

    /// When the node in service is done.
    pub(super) fn serviced_until(&self) -> Option<SimTime> {
        match self.step {
            Step::InService(_, until) => Some(until),
            _ => None,
        }
    }

    pub(super) fn waits_for(&self, migration: MigrationId) -> bool {
        self.pending.contains(&migration)
    }

    pub(super) fn moved(&mut self, migration: MigrationId) {
        self.pending.remove(&migration);
    }

    /// A role was not moved; `stopped` is the migration that stops it, where that is tried.
    pub(super) fn stayed(&mut self, migration: MigrationId, vm: VmId, stopped: Option<MigrationId>) {
        self.pending.remove(&migration);
        match stopped {
            Some(stop) => _ = self.pending.insert(stop),
            None => self.stayed.push(vm),
        }
    }
}

impl Orchestrator {
    /// Moves every lane on as far as it goes; whether any did.
    pub(super) fn go_along(&mut self, now: SimTime) -> bool {
        let mut any = false;
        for lane in 0..self.lanes.len() {
            any |= self.go_one_step(now, lane);
        }
        self.lanes.retain(|lane| lane.step != Step::Over);
        any
    }

    fn go_one_step(&mut self, now: SimTime, index: usize) -> bool {
        let lane = &mut self.lanes[index];
        match lane.step {
            Step::Next => match (lane.nodes.pop_front(), lane.work) {
                (None, _) => lane.step = Step::Over,
                (Some(node), NodeWork::Drain(options)) => self.drain(now, index, node, options),
                (Some(node), NodeWork::Maintain { drain, .. }) => self.drain(now, index, node, drain),
                (Some(node), NodeWork::Resume(failback)) => self.resume(now, index, node, failback),
            },
            Step::Draining(node, options) if lane.pending.is_empty() => {
                return self.drain_on(now, index, node, options);
            }
            Step::InService(node, until) if until <= now => {
                let (NodeWork::Maintain { failback, .. } | NodeWork::Resume(failback)) = lane.work else {
                    return false;
                };
                self.log(now, Level::Information, node, "serviced".into());
                self.resume(now, index, node, failback);
            }
            Step::FailingBack if lane.pending.is_empty() => lane.step = Step::Next,
            _ => return false,
        }
        true
    }

    fn drain(&mut self, now: SimTime, lane: usize, node: HostId, options: DrainOptions) {
        self.cluster.pause(node);
        self.pull_back(now, node);
        self.lanes[lane].stayed.clear();
        self.lanes[lane].step = Step::Draining(node, options);
        let roles = self.roles_on(node).len();
        self.log(now, Level::Information, node, format!("paused; {} to drain", count(roles)));
        let guests = self.cluster.guests_on(node).into_iter();
        let others: Vec<VmId> = guests.filter(|vm| self.cluster.failover().role(*vm).is_none()).collect();
        if !others.is_empty() {
            let names = self.guest_names(&others);
            let message = format!("no clustered roles, so the drain leaves them where they are: {names}");
            self.log(now, Level::Warning, node, message);
        }
        self.move_roles_off(now, lane, node, options);
    }

    /// Asks for every role on `node` that was not asked for before; whether there was one.
    fn move_roles_off(&mut self, now: SimTime, lane: usize, node: HostId, options: DrainOptions) -> bool {
        let busy = self.busy();
        let stayed = &self.lanes[lane].stayed;
        let mut roles = self.roles_on(node);
        roles.retain(|vm| !stayed.contains(vm) && !busy.contains(vm));
        for vm in &roles {
            let task = RoleTask { purpose: Purpose::Drain(node, options.force) };
            let migration = self.wait(Waiting::of_role(*vm, options.target, now, task));
            self.lanes[lane].pending.insert(migration);
        }
        !roles.is_empty()
    }

    /// All that was asked for has ended: the drain too, unless roles have come meanwhile or are about to.
    fn drain_on(&mut self, now: SimTime, lane: usize, node: HostId, options: DrainOptions) -> bool {
        if self.move_roles_off(now, lane, node, options) {
            return true;
        }
        let busy = self.busy();
        let comes = self.under_way.values().any(|assignment| assignment.destination == node);
        if comes || self.roles_on(node).iter().any(|vm| busy.contains(vm)) {
            return false;
        }
        let stayed = std::mem::take(&mut self.lanes[lane].stayed);
        let failed = !stayed.is_empty();
        if failed {
            let names = self.guest_names(&stayed);
            let message = format!("drain failed: {} could not be moved: {names}", count(stayed.len()));
            self.log(now, Level::Error, node, message);
        } else {
            self.log(now, Level::Information, node, "drained".into());
        }
        match self.lanes[lane].work {
            NodeWork::Maintain { failback, .. } if failed => {
                self.log(now, Level::Warning, node, "not serviced, as it could not be drained".into());
                self.resume(now, lane, node, failback);
            }
            NodeWork::Maintain { time, .. } => {
                self.log(now, Level::Information, node, format!("in service for {time}"));
                self.lanes[lane].step = Step::InService(node, now + time);
            }
            NodeWork::Drain(_) | NodeWork::Resume(_) => self.lanes[lane].step = Step::Next,
        }
        true
    }

    fn resume(&mut self, now: SimTime, lane: usize, node: HostId, failback: Failback) {
        self.cluster.resume(node);
        self.lanes[lane].step = Step::FailingBack;
        let mut roles = self.drained.remove(&node).unwrap_or_default();
        roles.retain(|vm| self.cluster.host_of(*vm) != node || self.cluster.is_offline(*vm));
        self.sort_by_priority(&mut roles);
        roles.dedup();
        self.log(now, Level::Information, node, format!("resumed; {} drained from it", were(roles.len())));
        for vm in roles {
            match self.goes_back(now, vm, node, failback) {
                Ok(due) if due > now => {
                    let hours = (due - now).as_secs_f64() / 3600.0;
                    self.failbacks.push(LateFailback { vm, node, due });
                    self.log_role(now, vm, node, format!("goes back when its window opens, in {hours:.1} h"));
                }
                Ok(_) => {
                    let task = RoleTask { purpose: Purpose::Failback(node) };
                    let migration = self.wait(Waiting::of_role(vm, Some(node), now, task));
                    self.lanes[lane].pending.insert(migration);
                }
                Err(why) => self.log_role(now, vm, node, format!("does not go back: {why}")),
            }
        }
    }

    /// When a role goes back to `node`, or why it does not. `AutoFailbackType` has no effect on groups
    /// without a list of preferred owners.
    fn goes_back(&self, now: SimTime, vm: VmId, node: HostId, failback: Failback) -> Result<SimTime, String> {
        let failover = self.cluster.failover();
        let role = failover.role(vm).ok_or("it is no role any more")?;
        match (failback, role.failback) {
            (Failback::NoFailback, _) => Err("the node was resumed without failback".into()),
            (Failback::Immediate, _) => Ok(now),
            (Failback::Policy, AutoFailback::Prevent) => Err("its policy prevents failback".into()),
            (Failback::Policy, _) if !role.preferred_owners.contains(&node) => {
                Err("its policy allows failback to preferred owners, and this node is none".into())
            }
            (Failback::Policy, AutoFailback::Allow) => Ok(now),
            (Failback::Policy, AutoFailback::Window { start, end }) => {
                Ok(failover.next_in_window(now, start, end))
            }
        }
    }

    /// Roles whose window has opened go back; whether there were any.
    pub(super) fn begin_failbacks(&mut self, now: SimTime) -> bool {
        let (due, later): (Vec<_>, Vec<_>) = self.failbacks.iter().partition(|failback| failback.due <= now);
        self.failbacks = later;
        for LateFailback { vm, node, .. } in &due {
            let task = RoleTask { purpose: Purpose::Failback(*node) };
            self.wait(Waiting::of_role(*vm, Some(*node), now, task));
        }
        !due.is_empty()
    }

    /// The roles that run on `node`, in the order in which they are moved: by priority. Among equals
    /// Microsoft documents no order; here it is that of their numbers.
    pub(super) fn roles_on(&self, node: HostId) -> Vec<VmId> {
        let mut roles = self.cluster.guests_on(node);
        roles.retain(|vm| self.cluster.failover().role(*vm).is_some() && !self.cluster.is_offline(*vm));
        self.sort_by_priority(&mut roles);
        roles
    }

    fn sort_by_priority(&self, roles: &mut [VmId]) {
        let priority = |vm: &VmId| self.cluster.failover().role(*vm).map(|role| role.priority);
        roles.sort_by_key(|vm| (Reverse(priority(vm)), *vm));
    }

    /// Guests that something is being done to already.
    pub(super) fn busy(&self) -> BTreeSet<VmId> {
        let queued = self.queues.values().flatten().chain(self.under_way.values());
        let waiting = self.waiting.values().map(|waiting| waiting.vm);
        queued.map(|assignment| assignment.vm).chain(waiting).collect()
    }

    fn guest_names(&self, vms: &[VmId]) -> String {
        let names = vms.iter().map(|vm| self.cluster.guest_name(*vm).to_string());
        names.collect::<Vec<_>>().join(", ")
    }

    fn log(&mut self, now: SimTime, level: Level, node: HostId, message: String) {
        self.keep(now, level, None, node, message);
    }

    pub(super) fn log_role(&mut self, now: SimTime, vm: VmId, node: HostId, message: String) {
        self.keep(now, Level::Information, Some(vm), node, message);
    }

    fn keep(&mut self, time: SimTime, level: Level, vm: Option<VmId>, node: HostId, message: String) {
        let event = EventRecord::new(time, level, message).at(&self.cluster.host_name(node));
        let event = match vm {
            Some(vm) => event.of_vm(&self.cluster.guest_name(vm)),
            None => event,
        };
        self.outbox.record(Record::Event(event));
    }
}

fn count(roles: usize) -> String {
    if roles == 1 { "1 role".to_string() } else { format!("{roles} roles") }
}

fn were(roles: usize) -> String {
    if roles == 1 { "1 role was".to_string() } else { format!("{roles} roles were") }
}
