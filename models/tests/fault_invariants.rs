//! Whatever breaks, and whenever: every guest ends on exactly one host or is off because that host died,
//! every move leaves one record, and no byte, no memory and no space is lost. (That memory, space and
//! slots are given back is asserted by the world itself at the end of such a run.)

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use algorithms::failures::{Breakage, FailurePoint, Side};
use algorithms::ids::{HostId, StorageId, VmId};
use algorithms::plan::StorageMove;
use algorithms::policy::{HyperV, Policy, Qemu, Xen};
use algorithms::records::{Outcome, Power, ResourceKind, RunRecords, Whereabouts};
use models::cluster::{ClusterModel, Timing};
use models::faults::{Fault, MigrationStep, RandomFaults, Recurring, ScheduledFault, When};
use models::storage::{Disk, DiskFormat, DiskIo, StorageKind, StorageLocation, Throughput};
use models::world::{Metering, RunOptions, simulate};
use proptest::prelude::*;
use sim_core::{ByteRate, Bytes, SimTime, Span};

const HOSTS: u32 = 4;
const GUESTS: u32 = 6;
const SECONDS: Span = Span::from_secs(7);

fn step() -> impl Strategy<Value = MigrationStep> {
    prop_oneof![
        Just(MigrationStep::Preparation),
        Just(MigrationStep::Disks),
        (1u32..4).prop_map(MigrationStep::Round),
        Just(MigrationStep::Pause),
        Just(MigrationStep::HandOver),
        Just(MigrationStep::CleanUp),
    ]
}

fn breakage() -> impl Strategy<Value = Breakage> {
    prop_oneof![
        Just(Breakage::Authentication),
        Just(Breakage::Connection),
        Just(Breakage::Memory),
        Just(Breakage::Space { storage: "d0".into() }),
        Just(Breakage::Storage { storage: None }),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    let lasts = (0u64..40_000).prop_map(Span::from_millis).boxed();
    let host = (0..HOSTS).prop_map(HostId).boxed();
    let storage = (0..HOSTS).prop_map(StorageId).boxed();
    prop_oneof![
        host.clone().prop_map(Fault::HostDies),
        prop_oneof![Just(Side::Source), Just(Side::Destination)].prop_map(Fault::SideDies),
        (prop::collection::vec(0..HOSTS as usize, 1..3), lasts.clone())
            .prop_map(|(links, lasts)| Fault::LinkDown { links, lasts }),
        lasts.clone().prop_map(|lasts| Fault::NetworkDown { lasts }),
        (host.clone(), lasts.clone()).prop_map(|(host, lasts)| Fault::AuthenticationFails { host, lasts }),
        (host, 0u64..200).prop_map(|(host, gib)| Fault::MemoryTaken { host, amount: Bytes::from_gib(gib) }),
        storage.clone().prop_map(Fault::StorageFull),
        (storage, lasts).prop_map(|(storage, lasts)| Fault::StorageLost { storage, lasts }),
        breakage().prop_map(Fault::Fails),
    ]
}

fn scheduled() -> impl Strategy<Value = ScheduledFault> {
    let millis = || (0u64..30_000).prop_map(Span::from_millis);
    let when = prop_oneof![
        millis().prop_map(|span| When::At(SimTime::ZERO + span)),
        ((0..GUESTS).prop_map(VmId), step(), (0u64..3000).prop_map(Span::from_millis))
            .prop_map(|(vm, step, after)| When::InStep { vm, step, after }),
    ];
    (when, fault()).prop_map(|(when, fault)| match (when, &fault) {
        // These are of a migration, and so in a step of it.
        (When::At(_), Fault::SideDies(_) | Fault::NetworkDown { .. } | Fault::Fails(_)) => {
            let (vm, step, after) = (VmId(0), MigrationStep::Round(1), Span::ZERO);
            ScheduledFault { when: When::InStep { vm, step, after }, fault }
        }
        _ => ScheduledFault { when, fault },
    })
}

fn random() -> impl Strategy<Value = RandomFaults> {
    let often = |secs: u64| Recurring { every: Span::from_secs(secs), lasts: Span::from_secs(8) };
    prop_oneof![
        Just(RandomFaults::default()),
        (20u64..200).prop_map(move |secs| RandomFaults {
            host_dies: Some(Span::from_secs(secs * 2)),
            link_flaps: Some(often(secs)),
            authentication_fails: Some(often(secs)),
            storage_lost: Some(often(secs)),
        }),
    ]
}

/// Hosts with a disk device each, guests with disks there, every guest moved with or without its disks,
/// or its disks alone.
fn cluster(millis: u64, limit: Option<u32>, moves: &[(u32, u64, u64, u32, u8)]) -> ClusterModel {
    let mut model = support::star(HOSTS);
    let step = Span::from_millis(millis);
    model.hypervisor.timing =
        Timing { prepare: step, prepare_serial: step, pause: step, resume: step, finish: step };
    for host in 0..HOSTS {
        model.hosts[host as usize].memory = Bytes::from_gib(64);
        model.hosts[host as usize].migration_limit = limit;
        model.hosts[host as usize].storage.default = Some(StorageId(host));
        model.storage.push(StorageLocation {
            name: format!("d{host}").into(),
            path: None,
            kind: StorageKind::Local,
            // The last is shared by all.
            hosts: if host == HOSTS - 1 { (0..HOSTS).map(HostId).collect() } else { vec![HostId(host)] },
            capacity: Some(Bytes::from_gib(400)),
            throughput: Throughput::Common(ByteRate::from_mb(2000)),
            iops: None,
        });
    }
    for (host, gib, mb, hop, form) in moves {
        let vm = support::guest(&mut model, host % HOSTS, *gib, *mb);
        let size = Bytes::from_gib(*gib);
        model.guests[vm.index()].disks.push(Disk {
            name: "os".into(),
            on: StorageId(if form % 2 == 0 { HOSTS - 1 } else { host % HOSTS }),
            size,
            used: size,
            format: DiskFormat::Fixed,
            io: DiskIo { write: ByteRate::from_mb(5), ..DiskIo::default() },
        });
        support::move_to(&mut model, vm, (host + hop) % HOSTS);
        let planned = model.plan.phases[0].moves.last_mut().unwrap();
        match form {
            0..4 => planned.storage = StorageMove::Default,
            4..6 => (planned.destination, planned.storage) = (None, StorageMove::Default),
            6 => planned.storage = StorageMove::Stays,
            _ => {
                let target = algorithms::plan::DiskTarget { disk: 0, to: StorageId(HOSTS - 1) };
                (planned.destination, planned.storage) = (None, StorageMove::Only(vec![target]));
            }
        }
    }
    model
}

prop_compose! {
    fn model()(
        policy in prop_oneof![Just(Policy::HyperV(HyperV::default())), Just(Policy::Xen(Xen::default())), Just(Policy::Qemu(Qemu::default()))],
        millis in prop_oneof![Just(0u64), 0u64..2000],
        limit in prop_oneof![Just(None), (1u32..4).prop_map(Some)],
        moves in prop::collection::vec((0..HOSTS, 1u64..8, 0u64..400, 1..HOSTS, 0u8..8), GUESTS as usize),
        scheduled in prop::collection::vec(scheduled(), 1..6),
        random in random(),
    ) -> ClusterModel {
        let mut model = cluster(millis, limit, &moves);
        model.hypervisor.policy = policy;
        (model.faults.scheduled, model.faults.random) = (scheduled, random);
        model
    }
}

/// The hosts that died, as the log tells.
fn dead(records: &RunRecords) -> BTreeSet<&str> {
    let died = records.events.iter().filter(|event| event.message.starts_with("the host has died"));
    died.map(|event| event.host.as_deref().unwrap()).collect()
}

/// Bits that every link carried, by its direction's name.
fn carried(records: &RunRecords) -> BTreeMap<&str, f64> {
    let end = records.events.iter().map(|event| event.time).max().unwrap_or_default().as_nanos();
    let links = records.resources.iter().filter(|record| record.kind == ResourceKind::Link);
    let total = |record: &algorithms::records::ResourceRecord| -> f64 {
        let whole = record.interval.as_nanos();
        let elapsed = |index: usize| end.saturating_sub(index as u64 * whole).min(whole);
        let seconds = |index: usize| Span::from_nanos(elapsed(index)).as_secs_f64();
        record.used.iter().enumerate().map(|(index, mean)| mean * seconds(index)).sum()
    };
    links.map(|record| (&*record.resource, total(record))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_guest_is_on_one_host_or_off_with_it_and_every_move_leaves_one_record(model in model()) {
        let options = RunOptions { horizon: Span::from_secs(3600), ..RunOptions::default() };
        let records = simulate(&model, &options).unwrap();
        prop_assert_eq!(records.migrations.len(), model.guests.len());
        prop_assert_eq!(records.guests.len(), model.guests.len());
        let dead = dead(&records);
        for (guest, state) in model.guests.iter().zip(&records.guests) {
            let moves: Vec<_> = records.migrations.iter().filter(|record| record.vm == guest.name).collect();
            prop_assert_eq!(moves.len(), 1);
            let (record, first) = (moves[0], &model.hosts[guest.host.index()].name);
            let failed = record.failure.is_some();
            let lost_there = record.failure.as_deref().is_some_and(|it| it.point == FailurePoint::CleanUp);
            let arrived = record.outcome == Outcome::Completed || record.outcome == Outcome::Lost && lost_there;
            let expected = if arrived { record.destination.as_ref().unwrap() } else { first };
            prop_assert_eq!(&state.host, expected, "{:?} {}", record.outcome, record.reason);
            prop_assert_eq!(state.power == Power::Off, dead.contains(&*state.host));
            match record.outcome {
                Outcome::Lost => {
                    prop_assert_eq!((record.whereabouts, state.power), (Whereabouts::Off, Power::Off));
                    prop_assert!(failed);
                }
                Outcome::Failed => prop_assert_eq!((failed, record.whereabouts), (true, Whereabouts::AtSource)),
                _ => prop_assert!(!failed),
            }
        }
    }

    #[test]
    fn bytes_are_conserved_whatever_breaks(model in model()) {
        let mut model = model;
        // Disks share the links; without them memory is all that is sent.
        model.guests.iter_mut().for_each(|guest| guest.disks.clear());
        model.plan.phases[0].moves.retain(|each| !matches!(each.storage, StorageMove::Only(_)));
        let options = RunOptions { metering: Metering::On, horizon: Span::from_secs(3600), ..RunOptions::default() };
        let records = simulate(&model, &options).unwrap();
        let links = carried(&records);
        for host in &model.hosts {
            let link = |name: String| links.get(&*name).copied().unwrap_or(0.0);
            let (mut out, mut into) = (0.0, 0.0);
            for record in records.migrations.iter().filter(|record| record.started.is_some()) {
                let bits = record.memory_bytes_sent.as_f64() * 8.0;
                out += if record.source == host.name { bits } else { 0.0 };
                into += if record.destination.as_ref() == Some(&host.name) { bits } else { 0.0 };
            }
            // What was under way when it was given up is told in whole bytes.
            let close = |a: f64, b: f64| (a - b).abs() <= 1e-6 * a.max(b) + 8.0 * f64::from(GUESTS);
            let name = &host.name;
            prop_assert!(close(link(format!("{name} → switch")), out), "{name} sent {out}");
            prop_assert!(close(link(format!("switch → {name}")), into), "{name} received {into}");
        }
    }

    #[test]
    fn a_further_guest_shifts_nobodys_luck(model in model()) {
        let mut model = model;
        // What is aimed at a guest's migration comes when that does.
        model.faults.scheduled.clear();
        model.faults.random.link_flaps = Some(Recurring { every: SECONDS, lasts: SECONDS });
        let mut more = model.clone();
        support::guest(&mut more, 0, 1, 0);
        let options = RunOptions { horizon: Span::from_secs(600), ..RunOptions::default() };
        let of = |model: &ClusterModel| {
            let records = simulate(model, &options).unwrap();
            let first = |event: &&algorithms::records::EventRecord| event.message.starts_with("the network is down");
            records.events.iter().filter(first).map(|event| (event.time, event.message.clone())).collect::<Vec<_>>()
        };
        let (before, after) = (of(&model), of(&more));
        let both = before.len().min(after.len());
        prop_assert_eq!(&before[..both], &after[..both]);
    }
}
