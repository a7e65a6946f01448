//! Disks on storage: how long they take, what is written where, what competes, what is refused.

#![allow(clippy::unwrap_used)]

mod support;

use algorithms::controller::{Deadline, DeadlineAction};
use algorithms::ids::{HostId, StorageId, VmId};
use algorithms::plan::{DiskTarget, Move, Phase, StorageMove};
use algorithms::records::{MigrationKind, Outcome, ResourceKind, RunRecords};
use models::cluster::ClusterModel;
use models::storage::{Disk, DiskFormat, DiskIo, StorageKind, StorageLocation, Throughput};
use models::world::{ModelError, RunOptions, simulate};
use proptest::prelude::*;
use sim_core::{ByteRate, Bytes, Span};

fn location(model: &mut ClusterModel, hosts: &[u32], throughput: Throughput) -> StorageId {
    let id = StorageId(model.storage.len() as u32);
    model.storage.push(StorageLocation {
        name: format!("storage{}", id.0).into(),
        path: None,
        kind: StorageKind::Local,
        hosts: hosts.iter().copied().map(HostId).collect(),
        capacity: None,
        throughput,
        iops: None,
    });
    id
}

fn separate(read: u64, write: u64) -> Throughput {
    Throughput::Separate { read: ByteRate::from_mb(read), write: ByteRate::from_mb(write) }
}

/// A disk of whole GiB that is read and written at whole MB/s.
fn disk(model: &mut ClusterModel, vm: VmId, on: StorageId, gib: u64, (read, write): (u64, u64)) {
    let disks = &mut model.guests[vm.index()].disks;
    let io = DiskIo { read: ByteRate::from_mb(read), write: ByteRate::from_mb(write), ..DiskIo::default() };
    let (size, used) = (Bytes::from_gib(2 * gib), Bytes::from_gib(gib));
    disks.push(Disk {
        name: format!("disk{}", disks.len()).into(),
        on,
        size,
        used,
        format: DiskFormat::Dynamic,
        io,
    });
}

fn go(model: &mut ClusterModel, vm: VmId, destination: Option<u32>, storage: StorageMove) {
    let destination = destination.map(HostId);
    model.plan.phases[0].moves.push(Move { vm, destination, delay: Span::ZERO, after: vec![], storage });
}

fn all(disks: u32, to: StorageId) -> Vec<DiskTarget> {
    (0..disks).map(|disk| DiskTarget { disk, to }).collect()
}

fn run(model: &ClusterModel) -> RunRecords {
    simulate(model, &RunOptions::default()).unwrap()
}

fn near(seconds: Span, expected: f64) {
    let seconds = seconds.as_secs_f64();
    assert!((seconds / expected - 1.0).abs() < 1e-6, "{seconds} s, not {expected} s");
}

const GIB: f64 = 1_073_741_824.0;

/// What a resource did in all, in its unit; where the run ends within the last interval, that one
/// counts in part.
fn total(records: &RunRecords, name: &str) -> f64 {
    let end = records.events.iter().map(|event| event.time).max().unwrap().as_nanos();
    let Some(record) = records.resources.iter().find(|record| &*record.resource == name) else { return 0.0 };
    let whole = record.interval.as_nanos();
    let part = |(index, mean): (usize, &f64)| {
        mean * Span::from_nanos(end.saturating_sub(index as u64 * whole).min(whole)).as_secs_f64()
    };
    record.used.iter().enumerate().map(part).sum()
}

#[test]
fn a_disk_alone_takes_its_file_by_the_slowest_rate_on_its_way() {
    // The slowest is the source, the destination, and the network (10 Gbit/s).
    for (read, write, slowest) in [(300, 900, 300e6), (900, 200, 200e6), (5000, 5000, 1.25e9)] {
        let mut model = support::star(2);
        let from = location(&mut model, &[0], separate(read, 5000));
        let to = location(&mut model, &[1], separate(5000, write));
        let vm = support::guest(&mut model, 0, 1, 0);
        disk(&mut model, vm, from, 20, (0, 0));
        go(&mut model, vm, Some(1), StorageMove::To(all(1, to)));
        let records = run(&model);
        let copied = records.events.iter().find(|event| event.message.contains("100 %")).unwrap().time;
        near(copied.since(sim_core::SimTime::ZERO), 20.0 * GIB / slowest);
        let migration = &records.migrations[0];
        assert_eq!((migration.outcome, migration.kind), (Outcome::Completed, MigrationKind::SharedNothing));
        assert_eq!(migration.storage_bytes_sent, Bytes::from_gib(20), "the used half of the disk");
    }
}

#[test]
fn mirrored_writes_lengthen_the_copy_as_the_closed_form_says() {
    // At the destination 100 MB/s of mirrored writes leave 400 of 500 MB/s to the copy.
    let mut model = support::star(1);
    let from = location(&mut model, &[0], separate(5000, 5000));
    let to = location(&mut model, &[0], separate(5000, 500));
    let vm = support::guest(&mut model, 0, 1, 0);
    disk(&mut model, vm, from, 20, (0, 100));
    go(&mut model, vm, None, StorageMove::Only(all(1, to)));
    let records = run(&model);
    let migration = &records.migrations[0];
    near(migration.total, 20.0 * GIB / 400e6);
    let mirrored = migration.storage_bytes_sent.as_f64() - 20.0 * GIB;
    assert!((mirrored / (100e6 * migration.total.as_secs_f64()) - 1.0).abs() < 1e-6, "{mirrored}");
    assert_eq!((migration.kind, migration.blackout), (MigrationKind::Storage, Span::ZERO));
    assert!(records.resources.iter().all(|resource| resource.kind != ResourceKind::Link), "no network");
}

#[test]
fn a_guests_own_reads_take_their_part_by_weight() {
    let took = |weight: f64| {
        let mut model = support::star(1);
        let from = location(&mut model, &[0], Throughput::Common(ByteRate::from_mb(400)));
        let to = location(&mut model, &[0], separate(5000, 5000));
        let vm = support::guest(&mut model, 0, 1, 0);
        disk(&mut model, vm, from, 10, (1000, 0));
        model.guests[0].disks[0].io.weight = weight;
        go(&mut model, vm, None, StorageMove::Only(all(1, to)));
        run(&model).migrations[0].total
    };
    near(took(1.0), 10.0 * GIB / 200e6);
    near(took(3.0), 10.0 * GIB / 100e6);
}

#[test]
fn operations_limit_a_copy_too_by_the_size_of_each() {
    let mut model = support::star(1);
    let from = location(&mut model, &[0], separate(5000, 5000));
    let to = location(&mut model, &[0], separate(5000, 5000));
    model.storage[0].iops = Some(100);
    let vm = support::guest(&mut model, 0, 1, 0);
    disk(&mut model, vm, from, 10, (0, 0));
    go(&mut model, vm, None, StorageMove::Only(all(1, to)));
    // Operations of 1 MiB.
    near(run(&model).migrations[0].total, 10.0 * 1024.0 / 100.0);
}

#[test]
fn disks_that_are_there_already_are_not_moved() {
    let mut model = support::star(1);
    let from = location(&mut model, &[0], Throughput::Unlimited);
    let vm = support::guest(&mut model, 0, 1, 0);
    disk(&mut model, vm, from, 10, (0, 0));
    go(&mut model, vm, None, StorageMove::Only(all(1, from)));
    let refused = &run(&model).migrations[0];
    assert_eq!(
        (refused.outcome, refused.reason.as_str()),
        (Outcome::NotStarted, "its disks are there already")
    );
}

#[test]
fn several_disks_go_one_after_another_and_stay_mirrored() {
    let mut model = support::star(2);
    let from = location(&mut model, &[0], separate(500, 500));
    let to = location(&mut model, &[1], separate(500, 500));
    let vm = support::guest(&mut model, 0, 1, 0);
    disk(&mut model, vm, from, 10, (0, 50));
    disk(&mut model, vm, from, 30, (0, 0));
    go(&mut model, vm, Some(1), StorageMove::To(all(2, to)));
    let records = run(&model);
    let percents: Vec<&str> = ["storage 0 %", "storage 25 %", "storage 100 %"]
        .into_iter()
        .filter(|words| records.events.iter().any(|event| event.message.contains(words)))
        .collect();
    assert_eq!(percents.len(), 3, "{:?}", records.events);
    let migration = &records.migrations[0];
    let mirrored = migration.storage_bytes_sent.as_f64() - 40.0 * GIB;
    // The first disk's writes go to both sides until the pause: all through the second's copy, too.
    let expected = 50e6 * migration.brownout.as_secs_f64();
    assert!((mirrored / expected - 1.0).abs() < 1e-3, "{mirrored}, not {expected}");
}

#[test]
fn local_disks_do_not_move_without_storage_and_shared_ones_do() {
    let mut model = support::star(2);
    let own = location(&mut model, &[0], Throughput::Unlimited);
    let shared = location(&mut model, &[0, 1], Throughput::Unlimited);
    for on in [own, shared] {
        let vm = support::guest(&mut model, 0, 1, 0);
        disk(&mut model, vm, on, 10, (0, 10));
        support::move_to(&mut model, vm, 1);
    }
    let records = run(&model);
    let [local, shared] = &records.migrations[..] else { panic!("two moves") };
    assert_eq!(local.outcome, Outcome::NotStarted);
    assert!(local.reason.contains("`storage0`, which the destination does not reach"), "{}", local.reason);
    assert_eq!((shared.outcome, shared.kind), (Outcome::Completed, MigrationKind::Live));
    assert_eq!(shared.storage_bytes_sent, Bytes::ZERO);
}

#[test]
fn a_drain_places_guests_where_their_disks_are_reached() {
    let mut model = support::star(3);
    let shared = location(&mut model, &[0, 2], Throughput::Unlimited);
    for _ in 0..4 {
        let vm = support::guest(&mut model, 0, 1, 0);
        disk(&mut model, vm, shared, 1, (0, 0));
    }
    model.plan.phases[0].drains.push(HostId(0));
    let records = run(&model);
    assert!(records.migrations.iter().all(|each| each.destination.as_deref() == Some("host2")));
}

#[test]
fn space_is_taken_before_a_copy_begins_and_given_back_where_disks_are_not() {
    let mut model = support::star(2);
    let from = location(&mut model, &[0], separate(500, 500));
    let to = location(&mut model, &[1], separate(500, 500));
    model.storage[1].capacity = Some(Bytes::from_gib(15));
    let mut other = Vec::new();
    for _ in 0..2 {
        let vm = support::guest(&mut model, 0, 1, 0);
        disk(&mut model, vm, from, 10, (0, 0));
        go(&mut model, vm, Some(1), StorageMove::To(all(1, to)));
        other.push(vm);
    }
    // The first goes back in the second phase; then there is room.
    let phase = |vm: VmId, destination, to| {
        let (destination, storage) = (Some(HostId(destination)), StorageMove::To(all(1, to)));
        Phase {
            moves: vec![Move { vm, destination, delay: Span::ZERO, after: vec![], storage }],
            ..Phase::default()
        }
    };
    model.plan.phases.push(phase(other[0], 0, from));
    model.plan.phases.push(phase(other[1], 1, to));
    let records = run(&model);
    let outcomes: Vec<Outcome> = records.migrations.iter().map(|each| each.outcome).collect();
    assert_eq!(outcomes, [Outcome::Completed, Outcome::NotStarted, Outcome::Completed, Outcome::Completed]);
    let reason = &records.migrations[1].reason;
    assert_eq!(reason, "`storage1` has 5 GiB of free space, and 10 GiB are needed for its disks");
}

#[test]
fn what_is_given_up_leaves_the_disks_and_frees_the_destination() {
    let mut model = support::star(2);
    let from = location(&mut model, &[0], separate(100, 500));
    let to = location(&mut model, &[1], separate(500, 500));
    model.storage[1].capacity = Some(Bytes::from_gib(10));
    model.hypervisor.deadline = Some(Deadline { after: Span::from_secs(50), action: DeadlineAction::Cancel });
    let vm = support::guest(&mut model, 0, 1, 0);
    disk(&mut model, vm, from, 10, (0, 20));
    go(&mut model, vm, Some(1), StorageMove::To(all(1, to)));
    let again = model.plan.phases[0].clone();
    model.plan.phases.push(again);
    let records = run(&model);
    assert_eq!(records.migrations.len(), 2, "the space reserved for the first try is there for the second");
    for migration in &records.migrations {
        assert_eq!((migration.outcome, &*migration.source), (Outcome::Cancelled, "host0"));
        // 50 s of a copy at 100 MB/s and of writes at 20 MB/s.
        let sent = migration.storage_bytes_sent.as_f64();
        assert!((sent - 50.0 * 120e6).abs() < 2.0, "{sent}");
        assert_eq!((migration.memory_bytes_sent, migration.rounds), (Bytes::ZERO, 0));
    }
}

#[test]
fn storage_migrations_have_a_limit_of_their_own() {
    let mut model = support::star(2);
    let from = location(&mut model, &[0], separate(1000, 1000));
    let to = location(&mut model, &[0], separate(1000, 1000));
    let there = location(&mut model, &[1], separate(1000, 1000));
    let shared = location(&mut model, &[0, 1], Throughput::Unlimited);
    model.hosts.iter_mut().for_each(|host| host.migration_limit = Some(1));
    for _ in 0..3 {
        let vm = support::guest(&mut model, 0, 1, 0);
        disk(&mut model, vm, from, 10, (0, 0));
        go(&mut model, vm, None, StorageMove::Only(all(1, to)));
    }
    let live = support::guest(&mut model, 0, 1, 0);
    disk(&mut model, live, shared, 10, (0, 0));
    go(&mut model, live, Some(1), StorageMove::Stays);
    let both = support::guest(&mut model, 0, 1, 0);
    disk(&mut model, both, from, 10, (0, 0));
    go(&mut model, both, Some(1), StorageMove::To(all(1, there)));
    let records = run(&model);
    let began: Vec<f64> = records.migrations.iter().map(|each| each.started.unwrap().as_secs_f64()).collect();
    assert_eq!((began[0], began[1], began[3]), (0.0, 0.0, 0.0), "two copies and a live migration");
    assert!(began[2] > 0.0, "the third copy waits");
    let end = |index: usize| began[index] + records.migrations[index].total.as_secs_f64();
    assert!(
        began[4] >= end(3) && began[4] >= end(0).min(end(1)),
        "with storage it needs a slot of each: {began:?}"
    );
}

#[test]
fn a_disk_on_storage_that_its_host_does_not_reach_is_no_model() {
    let mut model = support::star(2);
    let elsewhere = location(&mut model, &[1], Throughput::Unlimited);
    let vm = support::guest(&mut model, 0, 1, 0);
    disk(&mut model, vm, elsewhere, 1, (0, 0));
    let error = simulate(&model, &RunOptions::default());
    assert!(matches!(error, Err(ModelError::StorageNotReached { .. })));
}

prop_compose! {
    /// Guests with disks on the storage of three hosts, each sent on with them.
    fn with_disks()(
        guests in prop::collection::vec((0u32..3, 1u32..3, prop::collection::vec((1u64..6, 0u64..60, 0u64..60), 1..3)), 1..7),
        speeds in prop::collection::vec(100u64..2000, 3),
    ) -> ClusterModel {
        let mut model = support::star(3);
        model.hosts.iter_mut().for_each(|host| host.migration_limit = Some(2));
        for (host, speed) in (0..).zip(speeds) {
            location(&mut model, &[host], separate(speed, speed));
        }
        for (host, hop, disks) in guests {
            let vm = support::guest(&mut model, host, 1, 20);
            let to = (host + hop) % 3;
            for (gib, read, write) in &disks {
                disk(&mut model, vm, StorageId(host), *gib, (*read, *write));
            }
            go(&mut model, vm, Some(to), StorageMove::To(all(disks.len() as u32, StorageId(to))));
        }
        model
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// The network carries memory and disks; storage at a destination gets the used bytes and the
    /// mirrored writes, and the guests' own writes besides.
    #[test]
    fn what_is_written_at_the_destination_came_over_the_network(model in with_disks()) {
        let options = RunOptions { horizon: Span::from_secs(7200), ..RunOptions::default() };
        let records = simulate(&model, &options).unwrap();
        for host in 0..3u32 {
            let name = format!("host{host}");
            let mine = |leaves: bool| records.migrations.iter().filter(move |each| {
                let end = if leaves { Some(&each.source) } else { each.destination.as_ref() };
                each.started.is_some() && end.is_some_and(|end| **end == *format!("host{host}"))
            });
            let sent = |leaves: bool| mine(leaves).map(|each| each.memory_bytes_sent + each.storage_bytes_sent).sum::<Bytes>().as_f64();
            let close = |metered: f64, recorded: f64| (metered - recorded).abs() <= 1e-6 * recorded + 16.0 * records.migrations.len() as f64;
            let out = total(&records, &format!("{name} → switch")) / 8.0;
            prop_assert!(close(out, sent(true)), "out of {name}: {out}, recorded {}", sent(true));
            let into = total(&records, &format!("switch → {name}")) / 8.0;
            prop_assert!(close(into, sent(false)), "into {name}: {into}, recorded {}", sent(false));
            let written = total(&records, &format!("storage{host} write"));
            let copied = mine(false).map(|each| each.storage_bytes_sent).sum::<Bytes>().as_f64();
            prop_assert!(written >= copied * (1.0 - 1e-6), "storage{host}: {written} written, {copied} of them copies");
        }
        for migration in records.migrations.iter().filter(|each| each.outcome == Outcome::Completed) {
            let guest = model.guests.iter().find(|guest| guest.name == migration.vm).unwrap();
            let files: Bytes = guest.disks.iter().map(Disk::file).sum();
            let writes: f64 = guest.disks.iter().map(|disk| disk.io.write.as_f64()).sum();
            let most = files.as_f64() + writes * migration.total.as_secs_f64();
            let sent = migration.storage_bytes_sent;
            prop_assert!(sent >= files && sent.as_f64() <= most + 1.0, "{sent} of {files}, at most {most}");
        }
    }

    /// A guest whose disks nobody writes gives exactly its files to the destination's storage.
    #[test]
    fn without_writes_storage_gets_the_files_and_no_more(mut model in with_disks()) {
        model.guests.iter_mut().flat_map(|guest| &mut guest.disks).for_each(|disk| disk.io = DiskIo::default());
        let records = run(&model);
        for host in 0..3u32 {
            let into = records.migrations.iter().filter(|each| each.destination.as_deref() == Some(&*format!("host{host}")));
            let files = into.map(|each| {
                let guest = model.guests.iter().find(|guest| guest.name == each.vm).unwrap();
                guest.disks.iter().map(Disk::file).sum::<Bytes>()
            });
            let files = files.sum::<Bytes>().as_f64();
            let written = total(&records, &format!("storage{host} write"));
            prop_assert!((written - files).abs() <= 1e-6 * files + 16.0, "{written} written, {files} in files");
        }
    }
}
