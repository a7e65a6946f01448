//! The plan: steps become phases of single moves and drains.

use algorithms::ids::HostId;
use algorithms::plan::{Phase, Plan, StorageMove};
use sim_core::SimTime;

use super::background::no_path;
use super::guests::Guests;
use super::hosts::Hosts;
use super::moves::Moves;
use super::network::Joined;
use super::nodes::{ClusterSteps, ClusterTask};
use super::storage::Storages;
use super::{Checker, missing};
use crate::error::Problem;
use crate::file::{DrainFile, DrainStorageFile, MoveFile, MoveStorageFile, StepFile, TaskFile};
use crate::read::at::{At, Place};

/// What a plan is checked against.
pub(super) struct Ground<'a> {
    pub(super) hosts: &'a Hosts,
    pub(super) guests: &'a Guests,
    pub(super) network: &'a Joined,
    pub(super) storage: &'a Storages,
    /// Whether they are without mistakes.
    pub(super) sound: bool,
}

/// Where guests are, as far as the plan itself tells, from step to step.
struct Whereabouts {
    /// `None` after a move whose destination the placement rule chooses.
    of_guest: Vec<Option<HostId>>,
    /// Guests that came to a host; those that left since are no longer `of_guest` there.
    at_host: Vec<Vec<u32>>,
}

/// A task, wherever it is written.
enum Task<'a> {
    Drain(&'a At<DrainFile>),
    Move(&'a MoveFile),
    MoveStorage(&'a MoveStorageFile),
    Cluster(ClusterTask<'a>),
}

impl Checker {
    pub(super) fn plan(&mut self, steps: Option<&[At<StepFile>]>, ground: &Ground<'_>, whole: Place) -> Plan {
        let Some(steps) = steps else {
            self.problems.push(missing("plan", whole, "plan: [Drain(\"node1\")]"));
            return Plan::default();
        };
        if !ground.sound {
            return Plan::default();
        }
        let mut whereabouts = Whereabouts::at_first(ground);
        let mut plan = Plan::default();
        for step in steps {
            if self.problems.are_enough() {
                break;
            }
            plan.phases.push(self.phase(step, ground, &mut whereabouts));
        }
        plan
    }

    fn phase(&mut self, step: &StepFile, ground: &Ground<'_>, whereabouts: &mut Whereabouts) -> Phase {
        let (not_before, tasks) = tasks_of(step);
        let drains = self.drains(&tasks, ground);
        let moves = self.moves(&tasks, ground);
        let checked = whereabouts.check(&moves, &drains, ground);
        self.problems.take(checked);
        whereabouts.follow(&moves, &drains);
        let steps = self.cluster_steps(&tasks, ground);
        whereabouts.follow_cluster(&steps, ground);
        let disks_along = self.disks_along(&tasks, ground);
        let drains = drains.into_iter().map(|(host, _)| host).collect();
        Phase { not_before, moves: moves.moves, drains, disks_along, roles: steps.roles, nodes: steps.nodes }
    }

    fn cluster_steps(&mut self, tasks: &[Task<'_>], ground: &Ground<'_>) -> ClusterSteps {
        let mut steps = ClusterSteps::default();
        for task in tasks {
            if let Task::Cluster(task) = task {
                self.cluster_task(task, ground, &mut steps);
            }
        }
        steps
    }

    fn drains(&mut self, tasks: &[Task<'_>], ground: &Ground<'_>) -> Vec<(HostId, Place)> {
        let mut drains: Vec<(HostId, Place)> = Vec::new();
        let mut drained = std::collections::HashSet::new();
        for task in tasks {
            let Task::Drain(drain) = task else { continue };
            let pattern = drain.host();
            let hosts = ground.hosts.table.all(&pattern, &mut self.budget);
            for host in self.problems.take(hosts).unwrap_or_default() {
                let checked = can_leave(HostId(host), &pattern, ground);
                self.problems.take(checked);
                if !drained.insert(host) {
                    let message =
                        format!("`{}` is drained twice in this step", ground.hosts.table.name(host));
                    self.problems.push(Problem::at(pattern.place, message, "again here"));
                    continue;
                }
                drains.push((HostId(host), pattern.place));
            }
        }
        drains
    }

    /// Hosts from which guests take disks along. Names that are not there were told of with the drains.
    fn disks_along(&mut self, tasks: &[Task<'_>], ground: &Ground<'_>) -> Vec<HostId> {
        let mut along = Vec::new();
        for task in tasks {
            if let Task::Drain(drain) = task
                && drain.storage() == DrainStorageFile::Default
            {
                let hosts = ground.hosts.table.all(&drain.host(), &mut self.budget);
                along.extend(hosts.unwrap_or_default().into_iter().map(HostId));
            }
        }
        along
    }

    fn moves(&mut self, tasks: &[Task<'_>], ground: &Ground<'_>) -> Moves {
        let mut moves = Moves::default();
        for task in tasks {
            let added = match task {
                Task::Drain(_) | Task::Cluster(_) => Ok(()),
                Task::Move(file) => moves.add(file, ground, &mut self.budget),
                Task::MoveStorage(file) => moves.add_storage(file, ground, &mut self.budget),
            };
            self.problems.take(added);
        }
        for task in tasks {
            let (vm, after) = match task {
                Task::Drain(_) | Task::Cluster(_) => continue,
                Task::Move(file) => (&file.vm, file.after.as_ref()),
                Task::MoveStorage(file) => (&file.vm, file.after.as_ref()),
            };
            let ordered = moves.order(vm, after, ground, &mut self.budget);
            self.problems.take(ordered);
        }
        let acyclic = moves.check_order(ground);
        self.problems.take(acyclic);
        moves
    }
}

fn tasks_of(step: &StepFile) -> (Option<SimTime>, Vec<Task<'_>>) {
    match step {
        StepFile::Drain(host) => (None, vec![Task::Drain(host)]),
        StepFile::Move(file) => (None, vec![Task::Move(file)]),
        StepFile::MoveStorage(file) => (None, vec![Task::MoveStorage(file)]),
        StepFile::MoveRole(file) => (None, vec![Task::Cluster(ClusterTask::MoveRole(file))]),
        StepFile::DrainNode(file) => (None, vec![Task::Cluster(ClusterTask::DrainNode(file))]),
        StepFile::Resume(file) => (None, vec![Task::Cluster(ClusterTask::Resume(file))]),
        StepFile::Maintain(file) => (None, vec![Task::Cluster(ClusterTask::Maintain(file))]),
        StepFile::Together(tasks) => (None, tasks.iter().map(task_of).collect()),
        StepFile::Phase(phase) => (phase.not_before, phase.tasks.iter().map(task_of).collect()),
    }
}

fn task_of(task: &At<TaskFile>) -> Task<'_> {
    match &task.value {
        TaskFile::Drain(host) => Task::Drain(host),
        TaskFile::Move(file) => Task::Move(file),
        TaskFile::MoveStorage(file) => Task::MoveStorage(file),
        TaskFile::MoveRole(file) => Task::Cluster(ClusterTask::MoveRole(file)),
        TaskFile::DrainNode(file) => Task::Cluster(ClusterTask::DrainNode(file)),
        TaskFile::Resume(file) => Task::Cluster(ClusterTask::Resume(file)),
        TaskFile::Maintain(file) => Task::Cluster(ClusterTask::Maintain(file)),
    }
}

/// A guest whose destination is still to be chosen may go to any other host: there must be one, and
/// a path to each.
pub(super) fn can_leave(host: HostId, at: &At<String>, ground: &Ground<'_>) -> Result<(), Problem> {
    let count = ground.hosts.hosts.len() as u32;
    if count < 2 {
        let message = "there is no other host to move to";
        return Err(Problem::at(at.place, message, "the only host").help("add a host to `hosts`"));
    }
    match ground.network.first_not_joined(host, count) {
        None => Ok(()),
        Some(other) => Err(no_path(at, ground.hosts, host, other, ground.network)),
    }
}

impl Whereabouts {
    fn at_first(ground: &Ground<'_>) -> Whereabouts {
        let mut at_host = vec![Vec::new(); ground.hosts.hosts.len()];
        for (vm, guest) in (0u32..).zip(&ground.guests.guests) {
            if let Some(there) = at_host.get_mut(guest.host.index()) {
                there.push(vm);
            }
        }
        Whereabouts { of_guest: ground.guests.guests.iter().map(|guest| Some(guest.host)).collect(), at_host }
    }

    /// Every move must lead somewhere else, on a path that there is, and be the only one.
    fn check(&self, moves: &Moves, drains: &[(HostId, Place)], ground: &Ground<'_>) -> Result<(), Problem> {
        let drained: std::collections::HashMap<HostId, Place> = drains.iter().copied().collect();
        for (step, vm) in moves.moves.iter().zip(&moves.written) {
            let Some(host) = self.of_guest[step.vm.index()] else {
                continue;
            };
            let guest = ground.guests.table.name(step.vm.0);
            let here = ground.hosts.table.name(host.0);
            if let Some(&drain) = drained.get(&host) {
                let message =
                    format!("`{guest}` would be moved twice in this step: `{here}` is drained in it");
                return Err(Problem::at(vm.vm.place, message, "moved here").also(drain, "and here"));
            }
            if let StorageMove::Only(_) = step.storage {
                continue; // The guest stays where it is.
            }
            match (step.destination, &vm.to) {
                (Some(destination), Some(to)) if destination == host => {
                    let message = format!("`{guest}` is on `{here}` already");
                    return Err(Problem::at(to.place, message, "it is there when this step begins"));
                }
                (Some(destination), Some(to)) if !ground.network.joins(host, destination) => {
                    return Err(no_path(to, ground.hosts, host, destination, ground.network));
                }
                (None, _) => can_leave(host, &vm.vm, ground)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Where the cluster has moved roles, only a run tells.
    fn follow_cluster(&mut self, steps: &ClusterSteps, ground: &Ground<'_>) {
        if !steps.nodes.is_empty() {
            ground.guests.roles.keys().for_each(|vm| self.of_guest[vm.index()] = None);
        }
        steps.roles.iter().for_each(|role| self.of_guest[role.vm.index()] = None);
    }

    /// Where guests are after the step.
    fn follow(&mut self, moves: &Moves, drains: &[(HostId, Place)]) {
        for (host, _) in drains {
            for vm in std::mem::take(&mut self.at_host[host.index()]) {
                if self.of_guest[vm as usize] == Some(*host) {
                    self.of_guest[vm as usize] = None;
                }
            }
        }
        for step in moves.moves.iter().filter(|step| !matches!(step.storage, StorageMove::Only(_))) {
            self.of_guest[step.vm.index()] = step.destination;
            if let Some(destination) = step.destination {
                self.at_host[destination.index()].push(step.vm.0);
            }
        }
    }
}
