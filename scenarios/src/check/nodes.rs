//! Steps of a plan that are the cluster's: roles to move, nodes to drain, service and resume.

use std::collections::HashMap;

use algorithms::failover::OfflineAction;
use algorithms::ids::{HostId, VmId};
use algorithms::plan::{DrainOptions, Failback, Force, NodeTask, NodeWork, RoleMove, RoleMoveType};

use super::Checker;
use super::plan::{Ground, can_leave};
use crate::error::Problem;
use crate::file::{DrainNodeFile, FailbackFile, HowFile, MaintainFile, MoveRoleFile, ResumeFile};
use crate::read::at::{At, Place};

/// A task of the cluster, wherever it is written.
pub(super) enum ClusterTask<'a> {
    MoveRole(&'a MoveRoleFile),
    DrainNode(&'a DrainNodeFile),
    Resume(&'a ResumeFile),
    Maintain(&'a MaintainFile),
}

/// What the cluster does in a step.
#[derive(Default)]
pub(super) struct ClusterSteps {
    pub(super) roles: Vec<RoleMove>,
    pub(super) nodes: Vec<NodeTask>,
    /// By node: where a step names it.
    named: HashMap<HostId, Place>,
    /// By guest: where a step moves it.
    moved: HashMap<u32, Place>,
}

impl Checker {
    pub(super) fn cluster_task(
        &mut self,
        task: &ClusterTask<'_>,
        ground: &Ground<'_>,
        steps: &mut ClusterSteps,
    ) {
        let added = match task {
            ClusterTask::MoveRole(file) => self.move_roles(file, ground, steps),
            ClusterTask::DrainNode(file) => self.drain_nodes(file, ground, steps),
            ClusterTask::Resume(file) => self.nodes(&file.node, ground, steps).map(|nodes| {
                let work = NodeWork::Resume(failback(file.failback));
                steps.nodes.extend(nodes.into_iter().map(|node| NodeTask { nodes: vec![node], work }));
            }),
            ClusterTask::Maintain(file) => self.nodes(&file.nodes, ground, steps).and_then(|nodes| {
                nodes.iter().try_for_each(|node| can_leave(*node, &file.nodes, ground))?;
                let drain = DrainOptions { force: force(file.force), target: None };
                let work = NodeWork::Maintain { drain, time: file.time, failback: failback(file.failback) };
                steps.nodes.push(NodeTask { nodes, work });
                Ok(())
            }),
        };
        self.problems.take(added);
    }

    fn drain_nodes(
        &mut self,
        file: &DrainNodeFile,
        ground: &Ground<'_>,
        steps: &mut ClusterSteps,
    ) -> Result<(), Problem> {
        let target = file.to.as_ref().map(|to| ground.hosts.table.one(to)).transpose()?.map(HostId);
        let work = NodeWork::Drain(DrainOptions { force: force(file.force), target });
        for node in self.nodes(&file.node, ground, steps)? {
            can_leave(node, &file.node, ground)?;
            if let (Some(to), true) = (&file.to, target == Some(node)) {
                return Err(Problem::at(
                    to.place,
                    "a node cannot be drained to itself",
                    "is the node itself",
                ));
            }
            steps.nodes.push(NodeTask { nodes: vec![node], work });
        }
        Ok(())
    }

    /// The nodes that a pattern stands for, each named once in a step.
    fn nodes(
        &mut self,
        pattern: &At<String>,
        ground: &Ground<'_>,
        steps: &mut ClusterSteps,
    ) -> Result<Vec<HostId>, Problem> {
        if ground.guests.roles.is_empty() {
            let message = "no virtual machine of the scenario is a clustered role";
            return Err(Problem::at(pattern.place, message, "so there is nothing to drain or to bring back")
                .help("give those that are clustered a `role: ()`, or empty the host with Drain(…)"));
        }
        let nodes = ground.hosts.table.all(pattern, &mut self.budget)?.into_iter().map(HostId);
        let nodes: Vec<HostId> = nodes.collect();
        for node in &nodes {
            if let Some(first) = steps.named.insert(*node, pattern.place) {
                let message = format!("`{}` is named twice in this step", ground.hosts.table.name(node.0));
                return Err(Problem::at(pattern.place, message, "again here").also(first, "named here"));
            }
        }
        Ok(nodes)
    }

    fn move_roles(
        &mut self,
        file: &MoveRoleFile,
        ground: &Ground<'_>,
        steps: &mut ClusterSteps,
    ) -> Result<(), Problem> {
        let destination = file.to.as_ref().map(|to| ground.hosts.table.one(to)).transpose()?.map(HostId);
        for vm in ground.guests.table.all(&file.vm, &mut self.budget)? {
            let name = ground.guests.table.name(vm);
            let Some(role) = ground.guests.roles.get(&VmId(vm)) else {
                let message = format!("`{name}` is no clustered role");
                return Err(Problem::at(file.vm.place, message, "the cluster does not know it")
                    .help("give it a `role: ()`, or move it with Move(…)"));
            };
            if let (Some(to), Some(host)) =
                (&file.to, destination.filter(|host| !role.may_be_owned_by(*host)))
            {
                let host = ground.hosts.table.name(host.0);
                let message = format!("`{host}` is no possible owner of `{name}`");
                return Err(Problem::at(to.place, message, "may not own it"));
            }
            if let Some(first) = steps.moved.insert(vm, file.vm.place) {
                let message = format!("`{name}` is moved twice in one step");
                return Err(Problem::at(file.vm.place, message, "moved again here").also(first, "moved here"));
            }
            steps.roles.push(RoleMove { vm: VmId(vm), destination, how: how(file.how) });
        }
        Ok(())
    }
}

fn how(file: Option<HowFile>) -> RoleMoveType {
    match file {
        None | Some(HowFile::Live) => RoleMoveType::Live,
        Some(HowFile::Quick) => RoleMoveType::Offline(OfflineAction::Save),
        Some(HowFile::ShutDown) => RoleMoveType::Offline(OfflineAction::ShutDown),
        Some(HowFile::TurnOff) => RoleMoveType::Offline(OfflineAction::TurnOff),
    }
}

fn force(file: Option<bool>) -> Force {
    if file == Some(true) { Force::On } else { Force::Off }
}

fn failback(file: Option<FailbackFile>) -> Failback {
    match file {
        None | Some(FailbackFile::Immediate) => Failback::Immediate,
        Some(FailbackFile::Policy) => Failback::Policy,
        Some(FailbackFile::NoFailback) => Failback::NoFailback,
    }
}
