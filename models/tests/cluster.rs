//! Random failover clusters under random maintenance: whatever is drained, forced, resumed beside what, every
//! role is accounted for, no host has more than its memory, and every move that was asked for has a record.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;

use algorithms::failover::{AntiAffinity, AutoFailback, OfflineAction, Priority, Role};
use algorithms::ids::{HostId, VmId};
use algorithms::plan::{DrainOptions, Failback, Force, NodeTask, NodeWork, Phase, RoleMove, RoleMoveType};
use algorithms::records::{MigrationKind, MigrationRecord, Outcome, RunRecords};
use models::cluster::ClusterModel;
use models::preflight::preflight;
use models::world::{RunOptions, simulate};
use proptest::prelude::*;
use sim_core::{Bytes, Span};
use support::{guest, move_to, star};

const HOSTS: u32 = 5;

fn role() -> impl Strategy<Value = Role> {
    let priority = prop_oneof![
        Just(Priority::NoAutoStart),
        Just(Priority::Low),
        Just(Priority::Medium),
        Just(Priority::High)
    ];
    let action =
        prop_oneof![Just(OfflineAction::Save), Just(OfflineAction::ShutDown), Just(OfflineAction::TurnOff)];
    let failback = prop_oneof![
        Just(AutoFailback::Prevent),
        Just(AutoFailback::Allow),
        Just(AutoFailback::Window { start: 1, end: 3 })
    ];
    let hosts = || prop::collection::btree_set((0..HOSTS).prop_map(HostId), 0..4);
    let classes = prop::collection::btree_set(0..3u32, 0..2);
    (priority, action, failback, hosts(), hosts(), classes).prop_map(
        |(priority, offline_action, failback, possible, preferred, classes)| Role {
            priority,
            possible_owners: possible.into_iter().collect(),
            preferred_owners: preferred.into_iter().collect(),
            anti_affinity: classes.into_iter().map(|class| format!("class{class}").into()).collect(),
            offline_action,
            failback,
        },
    )
}

fn work() -> impl Strategy<Value = NodeWork> {
    let force = prop_oneof![Just(Force::Off), Just(Force::On)];
    let failback = prop_oneof![Just(Failback::Immediate), Just(Failback::Policy), Just(Failback::NoFailback)];
    let drain = force.prop_map(|force| DrainOptions { force, target: None });
    prop_oneof![
        drain.clone().prop_map(NodeWork::Drain),
        failback.clone().prop_map(NodeWork::Resume),
        (drain, failback).prop_map(|(drain, failback)| NodeWork::Maintain {
            drain,
            time: Span::from_secs(60),
            failback
        }),
    ]
}

fn phase() -> impl Strategy<Value = Phase> {
    let nodes = prop::collection::vec((0..HOSTS).prop_map(HostId), 1..4);
    let tasks =
        prop::collection::vec((nodes, work()).prop_map(|(nodes, work)| NodeTask { nodes, work }), 0..3);
    let how = prop_oneof![Just(RoleMoveType::Live), Just(RoleMoveType::Offline(OfflineAction::Save))];
    let moved = (0..8u32, prop::option::of((0..HOSTS).prop_map(HostId)), how);
    let roles = prop::collection::vec(moved, 0..3);
    (tasks, roles).prop_map(|(nodes, roles)| {
        let mut seen = BTreeSet::new();
        let roles = roles.into_iter().filter(|(vm, ..)| seen.insert(*vm));
        let roles = roles.map(|(vm, destination, how)| RoleMove { vm: VmId(vm), destination, how }).collect();
        Phase { nodes, roles, ..Phase::default() }
    })
}

fn model() -> impl Strategy<Value = ClusterModel> {
    let roles = prop::collection::vec((role(), 0..HOSTS, 1..6u64), 8);
    let phases = prop::collection::vec(phase(), 1..4);
    (roles, phases, any::<bool>(), 2..12u64).prop_map(|(roles, phases, enforced, memory)| {
        let mut model = star(HOSTS);
        for (mut role, host, gib) in roles {
            let vm = guest(&mut model, host, gib, 20);
            if !role.may_be_owned_by(HostId(host)) {
                role.possible_owners.push(HostId(host));
            }
            model.failover.roles.insert(vm, role);
        }
        // One that is no role.
        guest(&mut model, 0, 1, 0);
        for (id, host) in (0..).map(HostId).zip(&mut model.hosts) {
            let taken: Bytes = model.guests.iter().filter(|g| g.host == id).map(|g| g.memory).sum();
            host.memory = taken + Bytes::from_gib(memory);
            host.migration_limit = Some(2);
        }
        if enforced {
            model.failover.settings.anti_affinity = AntiAffinity::Enforced;
        }
        model.plan.phases = phases;
        model
    })
}

fn ends(record: &MigrationRecord) -> u64 {
    (record.started.unwrap() + record.total).as_nanos()
}

/// Follows every guest through its completed migrations: each begins where the one before has ended.
fn follow(model: &ClusterModel, records: &RunRecords) {
    for guest in &model.guests {
        let mut done: Vec<_> = records
            .migrations
            .iter()
            .filter(|m| m.vm == guest.name && m.outcome == Outcome::Completed)
            .collect();
        done.sort_by_key(|record| ends(record));
        let (mut at, mut runs) = (model.hosts[guest.host.index()].name.clone(), true);
        for record in done {
            assert_eq!(record.source, at, "{record:?}");
            assert_eq!(runs, record.kind != MigrationKind::Start, "{record:?}");
            runs = record.kind != MigrationKind::Stop;
            at = record.destination.clone().unwrap();
        }
    }
}

/// At no time has a host more guests than memory: what arrives counts from its start, what leaves to its end.
fn fits(model: &ClusterModel, records: &RunRecords) {
    for (id, host) in (0..).map(HostId).zip(&model.hosts) {
        let mut changes: Vec<(u64, i128)> = Vec::new();
        for guest in &model.guests {
            let memory = i128::from(guest.memory.get());
            if guest.host == id {
                changes.push((0, memory));
            }
            let of = |record: &&MigrationRecord| record.vm == guest.name && record.started.is_some();
            for record in records.migrations.iter().filter(of) {
                let (completed, to_here) =
                    (record.outcome == Outcome::Completed, record.destination.as_ref() == Some(&host.name));
                if to_here && record.kind != MigrationKind::Stop {
                    changes.push((record.started.unwrap().as_nanos(), memory));
                    if !completed {
                        changes.push((ends(record), -memory));
                    }
                }
                if record.source == host.name && completed && record.kind != MigrationKind::Start {
                    changes.push((ends(record), -memory));
                }
            }
        }
        changes.sort_unstable();
        let mut taken = 0;
        for (_, change) in changes {
            taken += change;
            assert!(taken <= i128::from(host.memory.get()), "{} has too many guests", host.name);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_to_nodes_every_role_is_accounted_for_and_fits(model in model()) {
        let records = simulate(&model, &RunOptions::default()).unwrap();
        follow(&model, &records);
        fits(&model, &records);
        for record in &records.migrations {
            prop_assert!(record.why.is_some() && !record.reason.is_empty());
        }
        let unclustered = &model.guests.last().unwrap().name;
        prop_assert!(records.migrations.iter().all(|record| record.vm != *unclustered));
        let again = simulate(&model, &RunOptions::default()).unwrap();
        prop_assert_eq!(records, again);
        preflight(&model);
    }
}

#[test]
fn what_cannot_end_is_given_up_with_quick_migrations_brought_back() {
    let mut model = star(2);
    let vm = guest(&mut model, 0, 8, 20);
    model.failover.roles.insert(vm, Role::default());
    let how = RoleMoveType::Offline(OfflineAction::Save);
    model.plan.phases[0].roles.push(RoleMove { vm, destination: None, how });
    let options = RunOptions { horizon: Span::from_secs(3), ..RunOptions::default() };
    let other = guest(&mut model, 0, 1, 0);
    move_to(&mut model, other, 1);
    let records = simulate(&model, &options).unwrap();
    assert_eq!(records.migrations[0].outcome, Outcome::Completed, "a move beside it");
    let record = &records.migrations[1];
    assert_eq!((record.outcome, record.total), (Outcome::Cancelled, Span::from_secs(3)));
    assert_eq!(record.blackout, Span::from_secs(3), "it stood still while it was saved");
}
