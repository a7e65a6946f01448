//! The moves of a phase, from being asked for to the start of each: waiting, queues, refusals.

use std::collections::BTreeSet;

use sim_core::SimTime;

use super::cluster::NoPlace;
use super::lanes::Lane;
use super::messages::Declining;
use super::tasks::{Purpose, RoleTask};
use super::{Assignment, Command, Line, Orchestrator, Waiting};
use crate::ids::{HostId, MigrationId, VmId};
use crate::plan::{Move, Phase, StorageMove};
use crate::records::MigrationKind;

impl Orchestrator {
    pub(super) fn begin_phase(&mut self, now: SimTime) {
        let phase = std::mem::take(&mut self.plan.phases[self.next_phase]);
        self.next_phase += 1;
        self.cluster.close_only(&phase.drains);
        self.followers.clear();
        let first = self.next_migration;
        for (index, move_) in phase.moves.iter().enumerate() {
            let follows = followed_by(&phase, index).map(|other| MigrationId(first + other as u32)).collect();
            let (due, storage) = (now + move_.delay, move_.storage.clone());
            let (vm, destination) = (move_.vm, move_.destination);
            self.wait(Waiting { vm, destination, storage, due, follows, role: None });
        }
        for asked in &phase.roles {
            let task = RoleTask { purpose: Purpose::Asked(asked.how) };
            self.wait(Waiting::of_role(asked.vm, asked.destination, now, task));
        }
        let asked = phase.roles.iter().map(|asked| asked.vm);
        self.drain_hosts(now, &phase, &phase.moves.iter().map(|move_| move_.vm).chain(asked).collect());
        self.lanes = phase.nodes.into_iter().map(Lane::new).collect();
    }

    /// A guest that this phase moves by itself is not drained as well.
    fn drain_hosts(&mut self, now: SimTime, phase: &Phase, moved: &BTreeSet<VmId>) {
        for host in phase.drains.iter().collect::<BTreeSet<_>>() {
            for vm in self.cluster.guests_on(*host) {
                if !moved.contains(&vm) && !self.cluster.is_offline(vm) {
                    let (storage, follows) = (phase.storage_of_drain(*host), BTreeSet::new());
                    self.wait(Waiting { vm, destination: None, storage, due: now, follows, role: None });
                }
            }
        }
    }

    pub(super) fn wait(&mut self, waiting: Waiting) -> MigrationId {
        let migration = MigrationId(self.next_migration);
        self.next_migration += 1;
        for followed in &waiting.follows {
            self.followers.entry(*followed).or_default().push(migration);
        }
        self.waiting.insert(migration, waiting);
        migration
    }

    pub(super) fn release_followers(&mut self, ended: MigrationId) {
        for follower in self.followers.remove(&ended).unwrap_or_default() {
            if let Some(move_) = self.waiting.get_mut(&follower) {
                move_.follows.remove(&ended);
            }
        }
    }

    pub(super) fn refuse_all(&mut self, reason: &str) {
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
            self.decline(Declining { migration, vm, source, destination, kind, reason, refusal });
        }
    }

    pub(super) fn decline(&mut self, declining: Declining) {
        let (migration, vm) = (declining.migration, declining.vm);
        let reason = declining.reason.clone();
        let declined = self.declined(declining);
        self.outbox.command(Command::Refuse(Box::new(declined)));
        self.not_moved(migration, vm, reason);
        self.release_followers(migration);
    }

    /// Gives every due move its destination and a place in its source's queue, in order; whether there
    /// was any.
    pub(super) fn enqueue_due(&mut self, now: SimTime) -> bool {
        let due: Vec<MigrationId> =
            self.waiting.iter().filter(|(_, move_)| self.due(move_) <= now).map(|(id, _)| *id).collect();
        for migration in &due {
            // An earlier one of these may have begun to move the same guest: then it waits for that.
            let Some(mut move_) = self.waiting.remove(migration) else { continue };
            if self.due(&move_) > now {
                self.waiting.insert(*migration, move_);
                continue;
            }
            match move_.role.take() {
                None => self.enqueue(now, *migration, &move_),
                Some(task) => self.enqueue_role(now, *migration, &move_, task),
            }
        }
        !due.is_empty()
    }

    /// When a move can be placed, as far as it is known; a guest moves once at a time.
    pub(super) fn due(&self, move_: &Waiting) -> SimTime {
        let can = move_.follows.is_empty() && !self.cluster.is_moving(move_.vm);
        if can { move_.due } else { SimTime::MAX }
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
                self.decline(Declining { migration, vm, source, destination, kind, reason, refusal });
            }
        }
    }

    /// Starts the head of every queue for which both ends have a slot, unless a prerequisite that was
    /// met when it was asked for is so no longer; whether any was refused for that.
    pub(super) fn dispatch(&mut self) -> bool {
        let Orchestrator { queues, cluster, under_way, chosen, outbox, orders, .. } = self;
        let mut refused = Vec::new();
        queues.retain(|_, queue| {
            while let Some(assignment) = queue.front().filter(|assignment| cluster.has_slots(assignment)) {
                let refusal = match orders.contains_key(&assignment.migration) {
                    true => cluster.refusal_of_role_at_start(assignment),
                    false => cluster.refusal_at_start(assignment),
                };
                if let Some(refusal) = refusal {
                    cluster.unassigned(assignment);
                    refused.push((*assignment, refusal));
                } else {
                    cluster.started(assignment);
                    under_way.insert(assignment.migration, *assignment);
                    let order = cluster.move_order(*assignment, orders.get(&assignment.migration));
                    outbox.command(Command::Start(Box::new(order)));
                }
                chosen.remove(&assignment.migration);
                queue.pop_front();
            }
            !queue.is_empty()
        });
        let any = !refused.is_empty();
        for (Assignment { migration, vm, source, destination, kind, .. }, refusal) in refused {
            let (reason, refusal) = (refusal.message.clone(), Some(Box::new(refusal)));
            let destination = Some(destination);
            self.decline(Declining { migration, vm, source, destination, kind, reason, refusal });
        }
        any
    }
}

impl Waiting {
    /// A role that the cluster moves, due at once.
    pub(super) fn of_role(vm: VmId, destination: Option<HostId>, now: SimTime, task: RoleTask) -> Waiting {
        let (storage, follows) = (StorageMove::Stays, BTreeSet::new());
        Waiting { vm, destination, storage, due: now, follows, role: Some(task) }
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
