//! What a plan would meet, without running it: every move with what stands against it.
//!
//! The orchestrator itself carries the plan out, on hosts that migrate in no time at all; so order,
//! placement and limits are the simulation's own. What is told may differ from a run where guests
//! that are still on their way take memory that here is free again.

use std::collections::BTreeSet;
use std::convert::Infallible;

use algorithms::ids::{HostId, Name, VmId};
use algorithms::machine::{Host, Settled, settle};
use algorithms::orchestrator::{
    Assignment, ClusterView, Command, Declined, Input, MoveOrder, Orchestrator, StorageView,
};
use algorithms::preflight::facts::{GuestFacts, HostFacts};
use algorithms::preflight::{Finding, Prerequisites, Refusal, Rule};
use algorithms::records::{MigrationKind, NeverBegun, Outcome, Record};
use sim_core::{Bytes, SimTime};

use crate::cluster::ClusterModel;

/// What a plan would meet.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Preflight {
    /// Every move that the plan asks for, in the order in which they would start.
    pub moves: Vec<CheckedMove>,
}

/// A move, and what stands against it.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckedMove {
    /// The guest.
    pub vm: VmId,
    /// Where it would be then.
    pub source: HostId,
    /// Where it would go, or why it would stay.
    pub result: Result<HostId, String>,
    /// Why it would stay, where that is a rule about the cluster as it stands, such as storage.
    pub refusal: Option<Refusal>,
    /// Hosts that came into question and refuse: the destination that the plan names, or every
    /// candidate where it names none.
    pub refused: Vec<RefusedBy>,
    /// How it would move.
    pub kind: MigrationKind,
    /// Of a role that the cluster moves: what makes it, and why to there.
    pub why: Option<Name>,
}

/// A host that a guest may not move to.
#[derive(Debug, Clone, PartialEq)]
pub struct RefusedBy {
    /// Which.
    pub destination: HostId,
    /// Why not: every reason.
    pub refusals: Vec<Refusal>,
}

impl Preflight {
    /// Whether every move can be carried out.
    pub fn can_run(&self) -> bool {
        self.moves.iter().all(|checked| checked.result.is_ok())
    }
}

/// Checks the model's plan.
pub fn preflight(model: &ClusterModel) -> Preflight {
    let view = cluster_view(model);
    let mut orchestrator = Orchestrator::new(model.plan.clone(), view.clone());
    let named = named_destinations(model);
    let mut rehearsal = Rehearsal { model, view, named, preflight: Preflight::default() };
    let mut next = (SimTime::ZERO, Input::Begin);
    // Where nothing is left to wait for, the plan waits for what cannot come: all that it moves has been told.
    while let Ok(Settled::Wait(until)) = settle(&mut orchestrator, next.0, next.1, &mut rehearsal)
        && until < SimTime::MAX
    {
        next = (until, Input::Tick);
    }
    rehearsal.preflight
}

/// Hosts that migrate in no time at all. What rules say of a move is asked of the cluster as it was at first, but for
/// its memory.
struct Rehearsal<'a> {
    model: &'a ClusterModel,
    view: ClusterView,
    named: BTreeSet<(VmId, HostId)>,
    preflight: Preflight,
}

impl Host<Orchestrator> for Rehearsal<'_> {
    type Error = Infallible;

    fn carry_out(&mut self, _: SimTime, command: Command) -> Result<Option<Input>, Infallible> {
        Ok(match command {
            Command::Start(order) => Some(self.started(*order)),
            Command::Refuse(declined) => {
                let checked = self.declined(*declined);
                self.preflight.moves.push(checked);
                None
            }
        })
    }

    fn record(&mut self, _: Record) {}
}

impl Rehearsal<'_> {
    fn started(&mut self, order: MoveOrder) -> Input {
        let Assignment { migration, vm, source, destination, kind, .. } = order.assignment;
        // A role has its place; one that is stopped has none, and its reason says why.
        let chosen =
            order.why.is_none() && kind != MigrationKind::Storage && !self.named.contains(&(vm, destination));
        let others = if chosen { others(self.model, source) } else { Vec::new() };
        let refused = refused_by(&self.view, vm, source, &others);
        let (result, refusal, why) = (Ok(destination), None, order.why);
        self.preflight.moves.push(CheckedMove { vm, source, result, refusal, refused, kind, why });
        Input::Ended { migration, outcome: Outcome::Completed }
    }

    fn declined(&self, declined: Declined) -> CheckedMove {
        let Declined { vm, source, destination, refusal, never_begun } = declined;
        let NeverBegun { kind, reason, why, .. } = never_begun;
        let asked = match destination {
            _ if kind == MigrationKind::Storage => Vec::new(),
            Some(host) => vec![host],
            None => others(self.model, source),
        };
        let mut refused = match &why {
            None => refused_by(&self.view, vm, source, &asked),
            Some(_) => role_refused_by(&self.view, vm, source, (&asked, kind)),
        };
        let (memory, other) = match refusal {
            Some(refusal) if refusal.rule == Rule::Memory => (Some(refusal), None),
            other => (None, other),
        };
        let refusal = other.filter(|it| Rule::OF_THE_CLUSTER.contains(&it.rule)).map(|it| *it);
        if let (Some(refusal), Some(destination)) = (memory, destination) {
            refused.push(RefusedBy { destination, refusals: vec![*refusal] });
        }
        CheckedMove { vm, source, result: Err(reason), refusal, refused, kind, why }
    }
}

/// Every rule for one guest and one destination, as the cluster stands at first; `None` where there
/// is no such guest or host.
pub fn explain(model: &ClusterModel, vm: VmId, destination: HostId) -> Option<Vec<Finding>> {
    let view = cluster_view(model);
    let source = model.guests.get(vm.index())?.host;
    let free = (destination.index() < model.hosts.len()).then(|| view.free(destination))?;
    let mut findings = view.prerequisites().pair(vm, source, destination, free)?.explain();
    findings.extend(view.explain_storage(vm, destination));
    Some(findings)
}

/// The cluster as the orchestrator is to know it.
pub fn cluster_view(model: &ClusterModel) -> ClusterView {
    let reach = model.network.reach(model.hosts.len());
    let view = ClusterView::new(model.placement, reach).with_prerequisites(prerequisites(model));
    let mut view = view.with_failover(model.failover.clone());
    for host in &model.hosts {
        let limits = [host.migration_limit, model.administration.maximum_parallel_migrations];
        view.add_host(host.name.clone(), host.memory, limits.into_iter().flatten().min());
    }
    for guest in &model.guests {
        view.add_guest(guest.name.clone(), guest.host, guest.memory);
    }
    if !model.storage.is_empty() {
        view.set_storage(storage_view(model));
    }
    view
}

fn storage_view(model: &ClusterModel) -> StorageView {
    let mut view = StorageView::default();
    for location in &model.storage {
        view.add_location(location.name.clone(), location.hosts.clone(), location.capacity);
    }
    for host in &model.hosts {
        view.add_host(host.storage.default, host.storage.migration_limit);
    }
    for (vm, guest) in (0..).map(VmId).zip(&model.guests) {
        for disk in &guest.disks {
            view.add_disk(vm, disk.name.clone(), disk.on, disk.file());
        }
    }
    view
}

fn prerequisites(model: &ClusterModel) -> Prerequisites {
    let mut prerequisites = Prerequisites::new(model.administration.clone());
    for host in &model.hosts {
        prerequisites.add_host(HostFacts { name: host.name.clone(), settings: host.settings.clone() });
    }
    for guest in &model.guests {
        prerequisites.add_guest(GuestFacts {
            name: guest.name.clone(),
            memory: guest.memory,
            started_on: guest.host,
            configuration: guest.configuration.clone(),
        });
    }
    prerequisites
}

/// Guests and hosts of moves for which the plan names the destination.
fn named_destinations(model: &ClusterModel) -> BTreeSet<(VmId, HostId)> {
    let moves = model.plan.phases.iter().flat_map(|phase| &phase.moves);
    moves.filter_map(|move_| Some((move_.vm, move_.destination?))).collect()
}

fn others(model: &ClusterModel, source: HostId) -> Vec<HostId> {
    (0..model.hosts.len() as u32).map(HostId).filter(|host| *host != source).collect()
}

/// What stands against each candidate, whatever memory it has: that changes as the plan goes on, and
/// the orchestrator has looked at it.
fn refused_by(view: &ClusterView, vm: VmId, source: HostId, candidates: &[HostId]) -> Vec<RefusedBy> {
    let enough = Bytes::new(u64::MAX);
    let one = |destination: &HostId| {
        view.prerequisites().first_refusal(vm, source, *destination, enough)?;
        let refusals = view.prerequisites().pair(vm, source, *destination, enough)?.refusals();
        Some(RefusedBy { destination: *destination, refusals })
    };
    candidates.iter().filter_map(one).collect()
}

/// The same for a role that the cluster moves, of the hosts that may own it.
fn role_refused_by(
    view: &ClusterView,
    vm: VmId,
    source: HostId,
    (candidates, kind): (&[HostId], MigrationKind),
) -> Vec<RefusedBy> {
    let enough = Bytes::new(u64::MAX);
    let role = view.failover().role(vm);
    let owners = candidates.iter().filter(|host| role.is_none_or(|role| role.may_be_owned_by(**host)));
    let one = |destination: &HostId| {
        let refusals = view.prerequisites().refusals_of_role(vm, (source, *destination), kind, enough);
        (!refusals.is_empty()).then_some(RefusedBy { destination: *destination, refusals })
    };
    owners.filter_map(one).collect()
}
