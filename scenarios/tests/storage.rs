//! Storage in scenarios: what can be written, what comes of it, and what the library's scenarios of
//! storage show.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use algorithms::ids::{HostId, StorageId};
use algorithms::plan::{DiskTarget, StorageMove};
use algorithms::records::{MigrationKind, MigrationRecord, Outcome, RunRecords};
use models::cluster::ClusterModel;
use models::storage::{DiskFormat, StorageKind, Throughput};
use models::world::{RunOptions, simulate};
use scenarios::{load, parse};
use sim_core::{ByteRate, Bytes, SimTime, Span};

const STORAGE: &str = r#"hosts: [(name: "node{1..2}", memory: "64 GiB")],
    storage: [
        (name: "san", shared: ["*"], kind: San, throughput: "1 GB/s"),
        (name: "c{1..2}", on: "node{1..2}", path: "C:\\VMs", read: "2 GB/s", write: "1 GB/s", iops: 9000),
    ],"#;

fn parsed(rest: &str) -> Result<ClusterModel, String> {
    let scenario = parse(&format!("({STORAGE} {rest})"), "test.ron");
    scenario.map(|mut scenario| scenario.runs.remove(0).model).map_err(|error| error.to_string())
}

fn model(rest: &str) -> ClusterModel {
    parsed(rest).unwrap_or_else(|error| panic!("{error}"))
}

const VM: &str = r#"vms: [(name: "vm1", host: "node1", memory: "8 GiB", disks: [
    (name: "os", size: "100 GiB", used: "30 %"),
    (name: "data", on: "san", size: "10 GiB", format: Fixed, used: "1 GiB"),
])],"#;

/// The runs of a scenario of the library, by alternative.
fn library(name: &str) -> Vec<(String, RunRecords)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("library").join(name).with_extension("ron");
    let scenario = load(path).unwrap_or_else(|error| panic!("{:?}", miette::Report::new(error)));
    let run = |run: &scenarios::ScenarioRun| {
        let records = simulate(&run.model, &RunOptions::default()).unwrap();
        (run.alternative.as_deref().unwrap_or_default().to_string(), records)
    };
    scenario.runs.iter().map(run).collect()
}

fn of<'a>(runs: &'a [(String, RunRecords)], alternative: &str) -> &'a RunRecords {
    &runs.iter().find(|(name, _)| name == alternative).unwrap().1
}

fn only(records: &RunRecords) -> &MigrationRecord {
    assert_eq!(records.migrations.len(), 1);
    &records.migrations[0]
}

#[test]
fn storage_and_disks_take_their_defaults() {
    let model = model(&format!("{VM} plan: []"));
    let [san, c1, c2] = &model.storage[..] else { panic!("{:?}", model.storage) };
    assert_eq!(
        (san.kind, san.hosts.len(), san.throughput),
        (StorageKind::San, 2, Throughput::Common(ByteRate::from_mb(1000)))
    );
    assert_eq!((c1.kind, &c1.hosts[..], c2.hosts[0]), (StorageKind::Local, &[HostId(0)][..], HostId(1)));
    assert_eq!((c1.iops, c1.path.as_deref()), (Some(9000), Some("C:\\VMs")));
    assert_eq!(model.hosts[1].storage.default, Some(StorageId(2)), "a host's own storage comes first");
    assert_eq!(model.hosts[1].storage.migration_limit, Some(2));
    let [os, data] = &model.guests[0].disks[..] else { panic!("{:?}", model.guests) };
    assert_eq!((os.on, os.format, os.file()), (StorageId(1), DiskFormat::Dynamic, Bytes::from_gib(30)));
    assert_eq!(
        (data.on, data.file()),
        (StorageId(0), Bytes::from_gib(10)),
        "a fixed disk's file has its size"
    );
}

#[test]
fn moves_say_what_becomes_of_disks() {
    let storage = |step: &str| {
        let model = model(&format!("{VM} plan: [{step}]"));
        model.plan.phases[0].moves[0].storage.clone()
    };
    let target = |disk, to| DiskTarget { disk, to: StorageId(to) };
    assert_eq!(storage(r#"Move(vm: "vm1", to: "node2")"#), StorageMove::Stays);
    assert_eq!(storage(r#"Move(vm: "vm1", to: "node2", storage: Excluded)"#), StorageMove::Stays);
    assert_eq!(storage(r#"Move(vm: "vm1", to: "node2", storage: Default)"#), StorageMove::Default);
    let both = StorageMove::To(vec![target(0, 2), target(1, 2)]);
    assert_eq!(storage(r#"Move(vm: "vm1", to: "node2", storage: "c2")"#), both);
    let one = StorageMove::To(vec![target(0, 2)]);
    assert_eq!(storage(r#"Move(vm: "vm1", to: "node2", storage: Disks({"os": "c2"}))"#), one);
    let all = StorageMove::Only(vec![target(0, 0), target(1, 0)]);
    assert_eq!(storage(r#"MoveStorage(vm: "vm1", to: "san")"#), all);
    let chosen = StorageMove::Only(vec![target(1, 1)]);
    assert_eq!(storage(r#"Together([MoveStorage(vm: "vm1", to: "c1", disks: ["data"])])"#), chosen);
}

#[test]
fn mistakes_in_storage_are_told() {
    let told = |rest: &str| parsed(rest).unwrap_err();
    let vm = |disks: &str| {
        format!(r#"vms: [(name: "vm1", host: "node1", memory: "8 GiB", disks: [{disks}])], plan: []"#)
    };
    assert_eq!(told(&vm(r#"(on: "c3", size: "1 GiB")"#)), "vms[0].disks[0].on: there is no storage `c3`");
    assert_eq!(
        told(&vm(r#"(on: "c2", size: "1 GiB")"#)),
        "vms[0].disks[0].on: `node1`, where the guest starts, does not reach `c2`"
    );
    assert_eq!(
        told(&vm(r#"(size: "1 GiB", used: "2 GiB")"#)),
        "vms[0].disks[0].used: 2 GiB is more than the disk holds, 1 GiB"
    );
    assert_eq!(
        told(&format!(r#"{VM} plan: [MoveStorage(vm: "vm1", to: "c2", disks: ["dat"])]"#)),
        "plan[0].disks[0]: `vm1` has no disk `dat`"
    );
    assert_eq!(
        told(&format!(r#"{VM} plan: [Together([Drain("node1"), MoveStorage(vm: "vm1", to: "san")])]"#)),
        "plan[0][1].vm: `vm1` would be moved twice in this step: `node1` is drained in it"
    );
    let text = r#"(hosts: [(name: "a", memory: "9 GiB")], storage: [(name: "x")], vms: [], plan: [])"#;
    assert_eq!(
        parse(text, "t.ron").unwrap_err().to_string(),
        "storage[0].name: no host reaches this storage"
    );
    let text = r#"(hosts: [(name: "a", memory: "9 GiB")], storage: [(name: "x", on: "a", capacity: "1 GiB")],
        vms: [(name: "v{1..2}", host: "a", memory: "1 GiB", disks: [(size: "600 MiB")])], plan: [])"#;
    let error = parse(text, "t.ron").unwrap_err().to_string();
    assert!(error.contains("disk `disk1` of `v2` does not fit on `x`"), "{error}");
}

#[test]
fn shared_nothing_copies_disks_first_and_what_is_shared_not_at_all() {
    let runs = library("shared-nothing");
    let usual = of(&runs, "to the default storage");
    let web = only(usual);
    assert_eq!((web.outcome, web.kind), (Outcome::Completed, MigrationKind::SharedNothing));
    assert!(
        web.storage_bytes_sent > Bytes::from_gib(70),
        "30 GiB, all 40 of a fixed disk, and mirrored writes"
    );
    assert!(web.blackout < Span::from_secs(1), "{web:?}");
    let position = |words: &str| usual.events.iter().position(|event| event.message.contains(words)).unwrap();
    let order = ["storage 0 %", "storage 42 %", "storage 100 %", "completed"].map(position);
    assert!(order.is_sorted(), "{order:?}");
    let copied: SimTime = usual.events[order[2]].time;
    assert!(usual.rounds.iter().all(|round| round.start >= copied), "memory follows the disks");
    // 70 GiB at 180 MB/s, and no more, though the network has 1.1 GB/s.
    let slow = only(of(&runs, "to a slow disk"));
    let least = Span::from_secs_f64(70.0 * 1.073_741_824e9 / 180e6);
    assert!(slow.total > least && slow.total < Span::from_secs(600), "{slow:?}");
    assert_eq!(only(of(&runs, "each disk its place")).kind, MigrationKind::SharedNothing);
    let live = only(of(&runs, "on the SAN already"));
    assert_eq!((live.kind, live.storage_bytes_sent), (MigrationKind::Live, Bytes::ZERO));
}

#[test]
fn storage_migration_competes_with_the_guests_and_keeps_its_own_limit() {
    let runs = library("storage-migration");
    for (name, records) in &runs {
        assert_eq!(records.migrations.len(), 3);
        for migration in &records.migrations {
            assert_eq!(
                (migration.outcome, migration.kind),
                (Outcome::Completed, MigrationKind::Storage),
                "{name}"
            );
            assert_eq!((migration.blackout, migration.memory_bytes_sent), (Span::ZERO, Bytes::ZERO));
            assert_eq!(migration.source, *migration.destination.as_ref().unwrap());
            // One of the two disks, and what was written to it meanwhile.
            let least = Bytes::from_gib(60);
            assert!(
                migration.storage_bytes_sent >= least && migration.storage_bytes_sent < Bytes::from_gib(90)
            );
        }
    }
    let busiest = |records: &RunRecords| {
        let started = records.migrations.iter().map(|migration| migration.started.unwrap());
        let at = |time| {
            let goes = |each: &&MigrationRecord| {
                each.started.unwrap() <= time && time < each.started.unwrap() + each.total
            };
            records.migrations.iter().filter(goes).count()
        };
        started.map(at).max().unwrap()
    };
    assert_eq!(busiest(of(&runs, "two at a time")), 2, "Hyper-V's default");
    assert_eq!(busiest(of(&runs, "one at a time")), 1);
    let [busy, idle] = ["two at a time", "idle guests"].map(|name| of(&runs, name).run.makespan);
    assert!(busy > idle + Span::from_secs(60), "the guests' own I/O takes its part: {busy} and {idle}");
}

#[test]
fn local_disks_refuse_a_move_without_storage_and_say_so() {
    let runs = library("shared-storage-refusal");
    for name in ["refused", "a drain passes it over"] {
        let refused = only(of(&runs, name));
        assert_eq!(refused.outcome, Outcome::NotStarted, "{name}");
        assert_eq!(
            refused.reason,
            "disk `disk1` is on `local1`, which the destination does not reach; \
             move its storage too, or keep it on storage that both hosts reach"
        );
    }
    let included = only(of(&runs, "storage included"));
    assert_eq!((included.outcome, included.kind), (Outcome::Completed, MigrationKind::SharedNothing));
    assert_eq!(included.storage_bytes_sent, Bytes::from_gib(20));
    let shared = only(of(&runs, "on shared storage"));
    assert_eq!((shared.outcome, shared.kind), (Outcome::Completed, MigrationKind::Live));
    let kinds: Vec<_> = of(&runs, "storage first, then live")
        .migrations
        .iter()
        .map(|each| (each.kind, each.outcome))
        .collect();
    assert_eq!(
        kinds,
        [(MigrationKind::Storage, Outcome::Completed), (MigrationKind::Live, Outcome::Completed)]
    );
}
