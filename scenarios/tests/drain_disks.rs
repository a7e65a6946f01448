//! Drains of guests with disks: how a scenario says it, what a run shows, and what the plan of a drain says.

#![allow(clippy::unwrap_used)]

use algorithms::drain_plan::{DrainPlan, PlannedMove};
use algorithms::ids::HostId;
use algorithms::plan::StorageMove;
use algorithms::records::{MigrationKind, Outcome};
use models::cluster::ClusterModel;
use models::planning::{PlanOptions, inventory, plan_drain};
use models::world::{RunOptions, simulate};
use sim_core::Bytes;

/// Three nodes of which node3 has the most memory and no storage of its own; node1's guests, which are `db` with a disk
/// on node1 and `web` with one that all reach; what is asked for of them; and how much node2's storage holds.
fn model(plan: &str, room: &str) -> ClusterModel {
    let text = format!(
        r#"(
            hosts: [(name: "node{{1..2}}", memory: "64 GiB"), (name: "node3", memory: "96 GiB")],
            storage: [
                (name: "d1", on: "node1", throughput: "1 GB/s"),
                (name: "d2", on: "node2", throughput: "500 MB/s", capacity: "{room}"),
                (name: "san", shared: ["node1", "node3"], throughput: "1 GB/s"),
                (name: "far", shared: ["node1", "node2"], throughput: "1 GB/s"),
            ],
            hypervisor: (preset: "hyper-v-2022"),
            vms: [
                (name: "db", host: "node1", memory: "8 GiB", disks: [
                    (name: "os", size: "40 GiB"), (name: "data", on: "far", size: "9 GiB"),
                ]),
                (name: "web", host: "node1", memory: "8 GiB", disks: [(on: "san", size: "40 GiB")]),
            ],
            plan: [{plan}],
        )"#
    );
    let scenario = scenarios::parse(&text, "test.ron").unwrap_or_else(|error| panic!("{error}"));
    let mut model = scenario.runs[0].model.clone();
    // Shared storage is a host's default where it has no other; here a host has its own or none.
    model.hosts[2].storage.default = None;
    model
}

fn plan(model: &ClusterModel) -> DrainPlan {
    let options = PlanOptions { seed: 3, replications: 5 };
    plan_drain(model, HostId(0), options, |_| {}).unwrap()
}

fn planned<'a>(plan: &'a DrainPlan, vm: &str) -> &'a PlannedMove {
    plan.moves.iter().find(|each| &*each.vm == vm).unwrap()
}

#[test]
fn a_drain_says_what_becomes_of_disks() {
    let storage = |step: &str| {
        let model = model(step, "100 GiB");
        let phase = &model.plan.phases[0];
        (phase.drains.clone(), phase.storage_of_drain(HostId(0)))
    };
    let node1 = vec![HostId(0)];
    assert_eq!(storage(r#"Drain("node1")"#), (node1.clone(), StorageMove::Stays));
    assert_eq!(storage(r#"Drain(host: "node1")"#), (node1.clone(), StorageMove::Stays));
    assert_eq!(storage(r#"Drain(host: "node1", storage: Excluded)"#), (node1.clone(), StorageMove::Stays));
    assert_eq!(storage(r#"Drain(host: "node1", storage: Default)"#), (node1, StorageMove::Default));
    let both = r#"Together([Drain("node2"), Drain(host: "node1", storage: Default)])"#;
    assert_eq!(storage(both), (vec![HostId(1), HostId(0)], StorageMove::Default));
    assert_eq!(model(both, "1 TiB").plan.phases[0].storage_of_drain(HostId(1)), StorageMove::Stays);
}

#[test]
fn a_plan_says_which_disks_go_where_and_how_long_that_takes() {
    let model = model(r#"Drain(host: "node1", storage: Default)"#, "100 GiB");
    let plan = plan(&model);
    assert_eq!((plan.moves.len(), plan.stays.len()), (2, 0));
    let (db, web) = (planned(&plan, "db"), planned(&plan, "web"));
    assert_eq!((&*db.destination, db.kind), ("node2", MigrationKind::SharedNothing));
    let [os] = &db.disks[..] else { panic!("`data` is on storage that both reach: {:?}", db.disks) };
    assert_eq!((os.disk, &*os.name, &*os.from, &*os.to), (0, "os", "d1", "d2"));
    assert_eq!(db.disk_bytes(), Bytes::from_gib(40));
    assert!(db.reason.ends_with("; its disks cannot go to node3"), "{}", db.reason);
    // 40 GiB at 500 MB/s, and the memory after it.
    assert!((85.9..120.0).contains(&db.total_s.p50), "{:?}", db.total_s);
    assert!(db.blackout_s.p50 < 5.0);
    assert_eq!((&*web.destination, web.kind, web.disks.len()), ("node3", MigrationKind::Live, 0));
    assert!(web.total_s.p50 < 40.0, "{:?}", web.total_s);

    // What is simulated is what is planned.
    let run = simulate(&model, &RunOptions { seed: 3, ..RunOptions::default() }).unwrap();
    let simulated = run.migrations.iter().find(|each| &*each.vm == "db").unwrap();
    assert_eq!((simulated.kind, simulated.outcome), (MigrationKind::SharedNothing, Outcome::Completed));
    assert_eq!(simulated.destination.as_ref(), Some(&db.destination));
    assert_eq!(plan.fits(&inventory(&model)), Ok(()));
    let locations: Vec<&str> = plan.storage.locations.iter().map(|location| &*location.name).collect();
    assert_eq!(locations, ["d1", "d2", "san", "far"]);
}

#[test]
fn a_guest_whose_disks_have_no_room_or_no_place_stays_with_the_reason() {
    let plan = plan(&model(r#"Drain(host: "node1", storage: Default)"#, "30 GiB"));
    assert_eq!((plan.moves.len(), &*plan.moves[0].vm), (1, "web"));
    let [stay] = &plan.stays[..] else { panic!("{:?}", plan.stays) };
    assert_eq!(&*stay.vm, "db");
    assert!(stay.reason.contains("the destination has no storage location for disk `os`"), "{}", stay.reason);
    assert!(stay.reason.contains("`d2` has 30 GiB of free space, and 40 GiB are needed"), "{}", stay.reason);
}

#[test]
fn a_plan_does_with_disks_what_the_scenario_says_and_else_takes_them_along_where_they_must() {
    let kept = plan(&model(r#"Drain("node1")"#, "100 GiB"));
    assert!(kept.stays[0].reason.contains("which the destination does not reach"), "{:?}", kept.stays);
    assert_eq!(kept.moves.len(), 1);
    for other in [r#"Drain("node2")"#, ""] {
        let along = plan(&model(other, "100 GiB"));
        assert_eq!(planned(&along, "db").disks.len(), 1, "nothing is said of draining node1: {other}");
    }
}

#[test]
fn the_inventory_has_every_disk_with_its_place_and_the_size_of_its_file() {
    let found = inventory(&model("", "100 GiB"));
    let [os, data] = &found.guests[0].disks[..] else { panic!("{:?}", found.guests) };
    assert_eq!((&*os.name, &*os.on, os.bytes), ("os", "d1", Bytes::from_gib(40)));
    assert_eq!((&*data.name, &*data.on, data.bytes), ("data", "far", Bytes::from_gib(9)));
}

#[test]
fn a_plan_has_each_hosts_own_limit_of_migrations() {
    let mut model = model("", "100 GiB");
    model.hosts[2].migration_limit = Some(0);
    model.hosts[1].migration_limit = Some(4);
    model.hosts[0].migration_limit = None;
    let planned = plan(&model);
    let of = |plan: &DrainPlan, host: &str| plan.limit_of(&host.into());
    assert_eq!(["node1", "node2", "node3"].map(|host| of(&planned, host)), [None, Some(4), Some(0)]);
    model.administration.maximum_parallel_migrations = Some(3);
    let planned = plan(&model);
    assert_eq!(["node1", "node2", "node3"].map(|host| of(&planned, host)), [Some(3), Some(3), Some(0)]);
}
