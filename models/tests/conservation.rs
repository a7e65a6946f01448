//! What leaves one host arrives at another, and every byte is accounted for, in any generated case.

mod support;

use std::collections::BTreeMap;

use algorithms::ids::HostId;
use algorithms::policy::{HyperV, Policy, Qemu, Xen};
use algorithms::records::{Outcome, ResourceKind, RunRecords};
use models::cluster::{ClusterModel, Timing};
use models::transport::Transport;
use models::world::{Metering, RunOptions, simulate};
use proptest::prelude::*;
use sim_core::{Bytes, Span};

fn policy() -> impl Strategy<Value = Policy> {
    prop_oneof![
        Just(Policy::HyperV(HyperV::default())),
        Just(Policy::Xen(Xen::default())),
        Just(Policy::Xen(Xen::clark())),
        Just(Policy::Qemu(Qemu::default())),
    ]
}

fn transport() -> impl Strategy<Value = Transport> {
    prop_oneof![Just(Transport::tcp()), Just(Transport::ideal())]
}

prop_compose! {
    fn model()(
        hosts in 2u32..6,
        limit in prop_oneof![Just(None), (1u32..4).prop_map(Some)],
        policy in policy(),
        transport in transport(),
        millis in 0u64..2000,
        guests in prop::collection::vec((0u32..6, 1u64..8, 0u64..400, 1u32..6), 1..12),
    ) -> ClusterModel {
        let mut model = support::star(hosts);
        model.hypervisor.policy = policy;
        model.transport = transport;
        let step = Span::from_millis(millis);
        model.hypervisor.timing = Timing { prepare: step, prepare_serial: step, pause: step, resume: step, finish: step };
        model.hosts.iter_mut().for_each(|host| host.migration_limit = limit);
        for (host, gib, mb, hop) in guests {
            let vm = support::guest(&mut model, host % hosts, gib, mb);
            support::move_to(&mut model, vm, (host + hop) % hosts);
        }
        model
    }
}

/// The bytes that every link carried, by its direction's name, and the processor time.
fn carried(records: &RunRecords, kind: ResourceKind) -> BTreeMap<&str, f64> {
    let total = |record: &algorithms::records::ResourceRecord| {
        let end = records.events.iter().map(|event| event.time).max().unwrap_or_default().as_nanos();
        let whole = record.interval.as_nanos();
        let intervals = record.used.iter().enumerate();
        intervals
            .map(|(index, mean)| {
                let elapsed = end.saturating_sub(index as u64 * whole).min(whole);
                mean * Span::from_nanos(elapsed).as_secs_f64()
            })
            .sum::<f64>()
    };
    let of_kind = records.resources.iter().filter(|record| record.kind == kind);
    of_kind.map(|record| (&*record.resource, total(record))).collect()
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-6 * a.abs().max(b.abs()).max(1.0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_sent_are_bytes_received(model in model()) {
        let options = RunOptions { metering: Metering::On, horizon: Span::from_secs(3600), ..RunOptions::default() };
        let records = simulate(&model, &options).unwrap();
        let links = carried(&records, ResourceKind::Link);
        for (index, host) in model.hosts.iter().enumerate() {
            let sent = |is_mine: &dyn Fn(&algorithms::records::MigrationRecord) -> bool| {
                let mine = records.migrations.iter().filter(|migration| is_mine(migration));
                mine.map(|migration| migration.memory_bytes_sent).sum::<Bytes>().as_f64()
            };
            let name = &host.name;
            let out = sent(&|migration| migration.source == *name && migration.started.is_some());
            let into = sent(&|migration| migration.destination.as_ref() == Some(name));
            let wire = |bytes: f64| bytes * 8.0 * model.transport.wire_overhead;
            let link = |name: String| links.get(&*name).copied().unwrap_or(0.0);
            prop_assert!(close(link(format!("{name} → switch")), wire(out)), "host {index} sent {}, metered {}", wire(out), link(format!("{name} → switch")));
            prop_assert!(close(link(format!("switch → {name}")), wire(into)), "host {index} received {into}");
            let cpu = carried(&records, ResourceKind::Cpu).get(&*format!("{name} cpu")).copied().unwrap_or(0.0);
            let transport = &model.transport;
            let expected = out * transport.send_core_seconds_per_gb + into * transport.receive_core_seconds_per_gb;
            let of_record = |end: fn(&algorithms::records::TransferRecord) -> f64, is_mine: &dyn Fn(&algorithms::records::MigrationRecord) -> bool| {
                let mine = records.migrations.iter().filter(|migration| is_mine(migration));
                mine.filter_map(|migration| migration.transfer.as_deref()).map(end).sum::<f64>()
            };
            let recorded = of_record(|each| each.source_core_seconds, &|migration| migration.source == *name)
                + of_record(|each| each.destination_core_seconds, &|migration| migration.destination.as_ref() == Some(name));
            prop_assert!(close(cpu, recorded), "host {index}: {cpu} core-seconds metered, {recorded} in the records");
            prop_assert!(close(cpu, expected / 1e9), "host {index}: {cpu} core-seconds, expected {}", expected / 1e9);
        }
    }

    #[test]
    fn every_migration_is_accounted_for(model in model()) {
        let options = RunOptions { horizon: Span::from_secs(3600), ..RunOptions::default() };
        let records = simulate(&model, &options).unwrap();
        prop_assert_eq!(records.migrations.len(), model.guests.len());
        for migration in &records.migrations {
            let rounds = records.rounds.iter().filter(|round| round.migration == migration.migration);
            let (mut sent, mut number, mut last_end) = (Bytes::ZERO, 0, None);
            for round in rounds {
                number += 1;
                prop_assert_eq!(round.round, number);
                prop_assert!(last_end.is_none_or(|end| round.start >= end), "rounds follow one another");
                last_end = Some(round.start + round.duration);
                sent += round.bytes_sent;
            }
            if migration.outcome == Outcome::Completed {
                let guest = model.guests.iter().find(|guest| guest.name == migration.vm).unwrap();
                prop_assert_eq!(sent, migration.memory_bytes_sent);
                prop_assert_eq!(number, migration.rounds);
                prop_assert!(sent >= guest.memory, "the destination has all the memory");
                let timing = model.hypervisor.timing;
                prop_assert_eq!(migration.brownout + migration.blackout + timing.finish, migration.total);
            }
        }
    }

    /// At no time are more migrations under way at a host than its limit.
    #[test]
    fn limits_hold_on_both_ends(model in model()) {
        let options = RunOptions { horizon: Span::from_secs(3600), ..RunOptions::default() };
        let records = simulate(&model, &options).unwrap();
        for (index, host) in model.hosts.iter().enumerate() {
            let Some(limit) = host.migration_limit else { continue };
            let at_host = |migration: &&algorithms::records::MigrationRecord| {
                migration.started.is_some() && (migration.source == host.name || migration.destination.as_ref() == Some(&host.name))
            };
            let mine: Vec<_> = records.migrations.iter().filter(at_host).collect();
            for migration in &mine {
                let start = migration.started.unwrap();
                let under_way = mine.iter().filter(|other| {
                    let began = other.started.unwrap();
                    began <= start && began + other.total > start
                });
                prop_assert!(under_way.count() <= limit as usize, "host {} ({:?})", index, HostId(index as u32));
            }
        }
    }
}
