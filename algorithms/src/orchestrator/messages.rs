//! What the orchestrator is told, and what it wants done. Commands are complete: names, disks, kind and reason are in
//! them, and nobody asks the orchestrator back. This is the one place where its numbers become names.

use serde::{Deserialize, Serialize};
use sim_core::{Bytes, SimTime};

use super::Orchestrator;
use super::cluster::ClusterView;
use super::failures::Incident;
use super::storage::DiskMove;
use super::tasks::RoleOrder;
use crate::controller::{Deadline, LoopOwner, MigrationOrder};
use crate::failover::OfflineAction;
use crate::ids::{HostId, MigrationId, Name, VmId};
use crate::policy::Policy;
use crate::preflight::Refusal;
use crate::preflight::facts::HostSettings;
use crate::quick_migration::{QuickKind, QuickOrder};
use crate::records::{MigrationKind, NeverBegun, Outcome, Record, Whereabouts};
use crate::storage_mirror::{StorageOrder, Switch};

/// What the orchestrator is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// Begin the first phase.
    Begin,
    /// The time that it waited for has come.
    Tick,
    /// Start nothing more.
    Stop,
    /// Something broke.
    Befell(Incident),
    /// A host's settings have changed: what is asked for or started from now on is checked against these.
    HostChanged {
        /// Which.
        host: HostId,
        /// Its settings from now on.
        settings: Box<HostSettings>,
    },
    /// A migration has ended.
    Ended {
        /// Which.
        migration: MigrationId,
        /// How.
        outcome: Outcome,
    },
}

/// What the orchestrator wants done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Start a migration; its end comes back as [`Input::Ended`].
    Start(Box<MoveOrder>),
    /// Keep the [records](Declined::records) of a move that will not take place. It is not answered.
    Refuse(Box<Declined>),
}

/// A migration to start, with everything that whoever carries it out needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveOrder {
    /// The same in numbers.
    pub assignment: Assignment,
    /// The VM.
    pub vm: Name,
    /// Where it runs.
    pub source: Name,
    /// Where it goes.
    pub destination: Name,
    /// The VM's memory.
    pub memory: Bytes,
    /// The disks that move, by numbers.
    pub disks: Vec<DiskMove>,
    /// The same by names; `None` where none moves.
    pub storage: Option<StorageOrder>,
    /// Of a role that goes offline or comes online: how far, and by which action. `None` for all others.
    pub quick: Option<(QuickKind, OfflineAction)>,
    /// Of what a failover cluster moves: what made it move, how, and why to there.
    pub why: Option<Name>,
}

/// A migration in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Its number.
    pub migration: MigrationId,
    /// The guest.
    pub vm: VmId,
    /// Where it runs.
    pub source: HostId,
    /// Where it goes.
    pub destination: HostId,
    /// When it joined its source's queue.
    pub queued: SimTime,
    /// What is moved, and how.
    pub kind: MigrationKind,
}

/// How whoever carries out a move does it; the orchestrator does not know.
#[derive(Debug, Clone, PartialEq)]
pub struct MigrationRules {
    /// The transport's name.
    pub transport: Name,
    /// The hypervisor's rules.
    pub policy: Policy,
    /// The limit on the migration's time, if any.
    pub deadline: Option<Deadline>,
    /// Whose the page loop is.
    pub page_loop: LoopOwner,
}

impl MoveOrder {
    /// Returns the order for a [controller](crate::controller::MigrationController) that moves by these rules.
    pub fn migration(&self, rules: MigrationRules) -> MigrationOrder {
        let MigrationRules { transport, policy, deadline, page_loop } = rules;
        MigrationOrder {
            migration: self.assignment.migration,
            vm: self.vm.clone(),
            source: self.source.clone(),
            destination: self.destination.clone(),
            transport,
            memory: self.memory,
            policy,
            deadline,
            queued: self.assignment.queued,
            storage: self.storage.clone(),
            page_loop,
            why: self.why.clone(),
        }
    }

    /// Returns the order for a [quick migration](crate::quick_migration::QuickMigration), where it is one.
    pub fn quick_migration(&self) -> Option<QuickOrder> {
        let (kind, offline) = self.quick?;
        Some(QuickOrder {
            migration: self.assignment.migration,
            vm: self.vm.clone(),
            source: self.source.clone(),
            destination: self.destination.clone(),
            memory: self.memory,
            queued: self.assignment.queued,
            kind,
            offline,
            why: self.why.clone(),
        })
    }

    /// Returns the move as one that will not take place after all, for `reason`.
    pub fn never_begun(&self, reason: String) -> NeverBegun {
        NeverBegun {
            migration: self.assignment.migration,
            vm: self.vm.clone(),
            source: self.source.clone(),
            destination: Some(self.destination.clone()),
            kind: self.assignment.kind,
            reason,
            whereabouts: match self.assignment.kind {
                // It was to be brought online.
                MigrationKind::Start => Whereabouts::Off,
                _ => Whereabouts::AtSource,
            },
            event_id: None,
            why: self.why.clone(),
        }
    }
}

/// A move that will not take place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declined {
    /// The VM.
    pub vm: VmId,
    /// Where it stays.
    pub source: HostId,
    /// Where it should have gone, if that was said.
    pub destination: Option<HostId>,
    /// The prerequisite that is not met, where that is why.
    pub refusal: Option<Box<Refusal>>,
    /// The move itself, by names, and why it does not take place.
    pub never_begun: NeverBegun,
}

impl Declined {
    /// Returns what is recorded of it: a line of the log, and the migration that never began.
    pub fn records(self, now: SimTime) -> [Record; 2] {
        let event = self.never_begun.event(now, self.refusal.as_deref());
        [event, self.never_begun.record(now)]
    }
}

/// A move that is about to be declined, in numbers.
pub(super) struct Declining {
    pub(super) migration: MigrationId,
    pub(super) vm: VmId,
    pub(super) source: HostId,
    pub(super) destination: Option<HostId>,
    pub(super) kind: MigrationKind,
    pub(super) reason: String,
    pub(super) refusal: Option<Box<Refusal>>,
}

impl Orchestrator {
    pub(super) fn declined(&self, declining: Declining) -> Declined {
        let Declining { migration, vm, source, destination, kind, reason, refusal } = declining;
        let cluster = &self.cluster;
        let off = cluster.is_dead(source) || cluster.is_offline(vm);
        let never_begun = NeverBegun {
            migration,
            vm: cluster.guest_name(vm),
            source: cluster.host_name(source),
            destination: destination.map(|host| cluster.host_name(host)),
            kind,
            reason,
            whereabouts: if off { Whereabouts::Off } else { Whereabouts::AtSource },
            event_id: refusal.as_ref().map(|refusal| refusal.event.id),
            why: self.orders.get(&migration).map(|order| order.why.clone()),
        };
        Declined { vm, source, destination, refusal, never_begun }
    }
}

impl ClusterView {
    /// The order to carry out an assignment that has its slots; `role` is that of a role which the cluster moves.
    pub(super) fn move_order(&self, assignment: Assignment, role: Option<&RoleOrder>) -> MoveOrder {
        let Assignment { migration, vm, source, destination, kind, .. } = assignment;
        let disks = self.storage().moves(migration).to_vec();
        let switch = if kind == MigrationKind::Storage { Switch::WhenCopied } else { Switch::WithMemory };
        let orders = || self.storage().orders(vm, &disks);
        let storage = (!disks.is_empty()).then(|| StorageOrder { disks: orders(), switch });
        MoveOrder {
            assignment,
            vm: self.guest_name(vm),
            source: self.host_name(source),
            destination: self.host_name(destination),
            memory: self.memory_of(vm),
            storage,
            disks,
            quick: role.and_then(|role| role.quick(kind)),
            why: role.map(|role| role.why.clone()),
        }
    }
}
