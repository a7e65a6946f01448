//! Carrying out a plan: phases, order, limits, destinations.
//!
//! A move waits until it is due (its delay is over, the moves that it follows have ended), then
//! gets its destination and joins its source's queue. Queues are first in, first out; the head goes
//! when both ends have a free slot, and those behind it wait for it. Hosts are served in the order of
//! their numbers.
//!
//! ```text
//!   plan ─▶ phase ─▶ waiting ─ due ─▶ queue of the source ─ slots free ─▶ under way ─▶ ended
//!                       └─ no place, or a prerequisite not met ─▶ refused
//! ```
//!
//! Migrations of storage alone have slots, and so a queue, of their own; see `orchestrator/storage.rs`.

mod cluster;
mod failures;
mod storage;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use sim_core::SimTime;

use crate::ids::{HostId, MigrationId, VmId};
use crate::machine::{Outbox, Output, Refused};
use crate::plan::{Move, Phase, Plan, StorageMove};
use crate::preflight::Refusal;
use crate::preflight::facts::HostSettings;
use crate::records::{MigrationKind, Outcome};
use cluster::NoPlace;
pub use cluster::{ClusterView, Reach};
pub use failures::Incident;
pub use storage::{DiskMove, StorageView};

/// What the orchestrator is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// Begin the first phase.
    Begin,
    /// The time that it waited for has come.
    Tick,
    /// Start nothing more.
    Stop,
    /// Something broke.
    Befell(Incident),
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
    Start(Assignment),
    /// Record that a move will not take place.
    Refuse(Declined),
}

/// A move that will not take place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declined {
    /// Its number.
    pub migration: MigrationId,
    /// The guest.
    pub vm: VmId,
    /// Where it stays.
    pub source: HostId,
    /// Where it should have gone, if that was said.
    pub destination: Option<HostId>,
    /// What was to be moved.
    pub kind: MigrationKind,
    /// Why not.
    pub reason: String,
    /// The prerequisite that is not met, where that is why.
    pub refusal: Option<Box<Refusal>>,
}

/// A migration to start.
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
    /// What is moved; [`StorageView::moves`] has the disks.
    pub kind: MigrationKind,
}

/// The state machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Orchestrator {
    plan: Plan,
    next_phase: usize,
    cluster: ClusterView,
    next_migration: u32,
    /// Moves of this phase that have not joined a queue.
    waiting: BTreeMap<MigrationId, Waiting>,
    /// Moves of this phase that others follow, by the followed.
    followers: BTreeMap<MigrationId, Vec<MigrationId>>,
    queues: BTreeMap<(HostId, Line), VecDeque<Assignment>>,
    under_way: BTreeMap<MigrationId, Assignment>,
    /// Of moves that are queued for a destination that the plan does not name: what becomes of disks.
    #[serde(default)]
    chosen: BTreeMap<MigrationId, StorageMove>,
    outbox: Outbox<Command, ()>,
}

/// What stands in a queue: neither line waits for the other, as they need different slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Line {
    /// Guests that leave the host, with or without their disks.
    Guests,
    /// Disks only.
    Disks,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Waiting {
    vm: VmId,
    destination: Option<HostId>,
    storage: StorageMove,
    due: SimTime,
    follows: BTreeSet<MigrationId>,
}

impl Orchestrator {
    /// An orchestrator that waits for [`Input::Begin`].
    pub fn new(plan: Plan, cluster: ClusterView) -> Orchestrator {
        Orchestrator {
            plan,
            next_phase: 0,
            cluster,
            next_migration: 0,
            waiting: BTreeMap::new(),
            followers: BTreeMap::new(),
            queues: BTreeMap::new(),
            under_way: BTreeMap::new(),
            chosen: BTreeMap::new(),
            outbox: Outbox::new(),
        }
    }

    /// Takes in what happened at `now`.
    ///
    /// # Errors
    ///
    /// [`Refused`] where a migration is said to have ended that is not under way.
    pub fn handle(&mut self, now: SimTime, input: Input) -> Result<(), Refused> {
        match input {
            Input::Begin | Input::Tick => {}
            Input::Stop => {
                self.plan.phases.truncate(self.next_phase);
                self.refuse_all("the run ended before its turn");
            }
            Input::Befell(incident) => {
                self.befall(now, incident);
                // What befalls before the plan has begun does not begin it.
                if self.next_phase == 0 {
                    return Ok(());
                }
            }
            Input::Ended { migration, outcome } => {
                let Some(assignment) = self.under_way.remove(&migration) else {
                    return Err(Refused { input: format!("{input:?}"), state: "it is not under way".into() });
                };
                self.cluster.ended(&assignment, outcome);
                self.release_followers(migration);
            }
        }
        self.go_on(now);
        Ok(())
    }

    /// What to do now. Call it until it gives [`Output::Wait`] or [`Output::Done`].
    pub fn poll(&mut self) -> Output<Command, ()> {
        match self.outbox.pop() {
            Some(output) => output,
            None if self.is_idle() && self.next_phase >= self.plan.phases.len() => Output::Done(()),
            None => Output::Wait(self.next_due()),
        }
    }

    /// The cluster as it stands.
    pub fn cluster(&self) -> &ClusterView {
        &self.cluster
    }

    /// A host's settings have changed: what is asked for or started from now on is checked against
    /// these.
    pub fn change_host(&mut self, host: HostId, settings: HostSettings) {
        self.cluster.change_host(host, settings);
    }

    /// Migrations asked for so far, the refused included.
    pub fn asked_for(&self) -> u32 {
        self.next_migration
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.queues.is_empty() && self.under_way.is_empty()
    }

    fn next_due(&self) -> SimTime {
        let due = self.waiting.values().filter(|move_| move_.follows.is_empty()).map(|move_| move_.due);
        let phase = match self.plan.phases.get(self.next_phase) {
            Some(phase) if self.is_idle() => phase.not_before.unwrap_or(SimTime::ZERO),
            _ => SimTime::MAX,
        };
        due.min().unwrap_or(SimTime::MAX).min(phase)
    }

    /// Does everything that can be done at `now`.
    fn go_on(&mut self, now: SimTime) {
        loop {
            if self.is_idle() {
                match self.plan.phases.get(self.next_phase) {
                    Some(phase) if phase.not_before.is_none_or(|time| time <= now) => self.begin_phase(now),
                    _ => return,
                }
            }
            self.enqueue_due(now);
            self.dispatch();
            if self.is_stuck() {
                self.refuse_all("it follows a move that waits for it in turn");
            }
            if !self.is_idle() {
                return;
            }
        }
    }

    /// Whether everything that waits follows something else that waits.
    fn is_stuck(&self) -> bool {
        let none_can_go = self.waiting.values().all(|move_| !move_.follows.is_empty());
        self.under_way.is_empty() && self.queues.is_empty() && none_can_go
    }

    fn refuse_all(&mut self, reason: &str) {
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        let waiting = waiting
            .map(|(migration, move_)| (migration, move_.vm, move_.destination, kind_wanted(&move_.storage)));
        let queued = std::mem::take(&mut self.queues).into_values().flatten();
        let queued = queued.map(|each| {
            self.cluster.unassigned(&each);
            (each.migration, each.vm, Some(each.destination), each.kind)
        });
        let refused: Vec<_> = waiting.chain(queued).collect();
        for (migration, vm, destination, kind) in refused {
            let (source, reason) = (self.cluster.host_of(vm), reason.to_string());
            let refusal = None;
            self.decline(Declined { migration, vm, source, destination, kind, reason, refusal });
        }
    }

    fn decline(&mut self, declined: Declined) {
        let migration = declined.migration;
        self.outbox.command(Command::Refuse(declined));
        self.release_followers(migration);
    }

    fn begin_phase(&mut self, now: SimTime) {
        let phase = std::mem::take(&mut self.plan.phases[self.next_phase]);
        self.next_phase += 1;
        self.cluster.close_only(&phase.drains);
        self.followers.clear();
        let first = self.next_migration;
        for (index, move_) in phase.moves.iter().enumerate() {
            let follows = followed_by(&phase, index).map(|other| MigrationId(first + other as u32)).collect();
            let (due, storage) = (now + move_.delay, move_.storage.clone());
            let (vm, destination) = (move_.vm, move_.destination);
            self.wait(Waiting { vm, destination, storage, due, follows });
        }
        // A guest that this phase moves by itself is not drained as well.
        let moved: BTreeSet<VmId> = phase.moves.iter().map(|move_| move_.vm).collect();
        for host in phase.drains.iter().collect::<BTreeSet<_>>() {
            for vm in self.cluster.guests_on(*host) {
                if !moved.contains(&vm) {
                    let (storage, follows) = (StorageMove::Stays, BTreeSet::new());
                    self.wait(Waiting { vm, destination: None, storage, due: now, follows });
                }
            }
        }
    }

    fn wait(&mut self, waiting: Waiting) {
        let migration = MigrationId(self.next_migration);
        self.next_migration += 1;
        for followed in &waiting.follows {
            self.followers.entry(*followed).or_default().push(migration);
        }
        self.waiting.insert(migration, waiting);
    }

    fn release_followers(&mut self, ended: MigrationId) {
        for follower in self.followers.remove(&ended).unwrap_or_default() {
            if let Some(move_) = self.waiting.get_mut(&follower) {
                move_.follows.remove(&ended);
            }
        }
    }

    /// Gives every due move its destination and a place in its source's queue, in order.
    fn enqueue_due(&mut self, now: SimTime) {
        // A refusal can make others due; each pass takes at least one away.
        loop {
            let is_due = |move_: &Waiting| move_.follows.is_empty() && move_.due <= now;
            let due: Vec<MigrationId> =
                self.waiting.iter().filter(|(_, move_)| is_due(move_)).map(|(id, _)| *id).collect();
            if due.is_empty() {
                return;
            }
            for migration in due {
                if let Some(move_) = self.waiting.remove(&migration) {
                    self.enqueue(now, migration, &move_);
                }
            }
        }
    }

    fn enqueue(&mut self, now: SimTime, migration: MigrationId, move_: &Waiting) {
        let Waiting { vm, destination, ref storage, .. } = *move_;
        let source = self.cluster.host_of(vm);
        match self.cluster.place(vm, destination, storage) {
            Ok((destination, kind, disks)) => {
                let assignment = Assignment { migration, vm, source, destination, queued: now, kind };
                if move_.destination.is_none() && kind != MigrationKind::Storage {
                    self.chosen.insert(migration, storage.clone());
                }
                self.cluster.assigned(&assignment, disks);
                let line = if kind == MigrationKind::Storage { Line::Disks } else { Line::Guests };
                self.queues.entry((source, line)).or_default().push_back(assignment);
            }
            Err(NoPlace { reason, refusal }) => {
                let kind = kind_wanted(storage);
                self.decline(Declined { migration, vm, source, destination, kind, reason, refusal });
            }
        }
    }

    /// Starts the head of every queue for which both ends have a slot, unless a prerequisite that was
    /// met when it was asked for is so no longer.
    fn dispatch(&mut self) {
        let Orchestrator { queues, cluster, under_way, chosen, outbox, .. } = self;
        let mut refused = Vec::new();
        queues.retain(|_, queue| {
            while let Some(assignment) = queue.front().filter(|assignment| cluster.has_slots(assignment)) {
                if let Some(refusal) = cluster.refusal_at_start(assignment) {
                    cluster.unassigned(assignment);
                    refused.push((*assignment, refusal));
                } else {
                    cluster.started(assignment);
                    under_way.insert(assignment.migration, *assignment);
                    outbox.command(Command::Start(*assignment));
                }
                chosen.remove(&assignment.migration);
                queue.pop_front();
            }
            !queue.is_empty()
        });
        for (Assignment { migration, vm, source, destination, kind, .. }, refusal) in refused {
            let (reason, refusal) = (refusal.message.clone(), Some(Box::new(refusal)));
            let destination = Some(destination);
            self.decline(Declined { migration, vm, source, destination, kind, reason, refusal });
        }
    }
}

/// What a move that was never begun would have been, as far as was said.
fn kind_wanted(storage: &StorageMove) -> MigrationKind {
    match storage {
        StorageMove::Stays | StorageMove::Default => MigrationKind::Live,
        StorageMove::To(_) => MigrationKind::SharedNothing,
        StorageMove::Only(_) => MigrationKind::Storage,
    }
}

/// The moves of `phase` that number `index` follows: those that it names, and an earlier move of the
/// same guest.
fn followed_by(phase: &Phase, index: usize) -> impl Iterator<Item = usize> {
    let Move { vm, after, .. } = &phase.moves[index];
    let earlier = phase.moves[..index].iter().rposition(|other| other.vm == *vm);
    after.iter().copied().chain(earlier)
}
