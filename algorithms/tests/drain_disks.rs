//! Drains of guests with disks: what the orchestrator takes along, what the plan's inventory knows of disks, and what
//! the operation asks hosts for.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::VecDeque;

use algorithms::drain_plan::{
    DrainPlan, Expected, Inventory, InventoryDisk, InventoryGuest, InventoryHost, PlanError, PlannedLocation,
    PlannedMove, PlannedStorage, SCHEMA,
};
use algorithms::ids::{HostId, StorageId, VmId};
use algorithms::operation::{Attempt, Command, Gates, Input, Operation, Rules};
use algorithms::orchestrator::{self, ClusterView, DiskMove, MoveOrder, Orchestrator, Reach, StorageView};
use algorithms::plan::{Phase, Placement, Plan};
use algorithms::policy::{HyperV, Policy};
use algorithms::records::{MigrationKind, Outcome};
use algorithms::storage_mirror::{DiskOrder, Switch};
use sim_core::Bytes;
use support::tell;

const DISK: Bytes = Bytes::from_gib(10);

/// Where a guest goes, how, and which disks are copied; or why it stays.
type Found = Result<(u32, MigrationKind, Vec<DiskMove>), String>;

/// Hosts a, b and c with a default storage each but c, of which b's holds `room`; storage 3 is reached by a and c. On a
/// run a guest with a disk on a's own storage, one with a disk on storage 3, and one with a disk on each.
fn drained(disks_along: Vec<HostId>, room: Bytes) -> Vec<Found> {
    let mut storage = StorageView::default();
    for (name, hosts, capacity) in
        [("a1", vec![0], None), ("b1", vec![1], Some(room)), ("c1", vec![2], None), ("san", vec![0, 2], None)]
    {
        storage.add_location(name.into(), hosts.into_iter().map(HostId).collect(), capacity);
    }
    for default in [Some(0), Some(1), None] {
        storage.add_host(default.map(StorageId), Some(2));
    }
    storage.add_disk(VmId(0), "os".into(), StorageId(0), DISK);
    storage.add_disk(VmId(1), "data".into(), StorageId(3), DISK);
    storage.add_disk(VmId(2), "os".into(), StorageId(0), DISK);
    storage.add_disk(VmId(2), "data".into(), StorageId(3), DISK);
    let mut cluster = ClusterView::new(Placement::MostFreeMemory, Reach::All);
    // The most memory is free on c, so that only storage can be why a guest does not go there.
    for (name, gib) in [("a", 16), ("b", 32), ("c", 64)] {
        cluster.add_host(name.into(), Bytes::from_gib(gib), None);
    }
    for vm in 0..3 {
        cluster.add_guest(format!("vm{vm}").into(), HostId(0), Bytes::from_gib(1));
    }
    cluster.set_storage(storage);
    let drains = vec![HostId(0)];
    let plan = Plan { phases: vec![Phase { drains, disks_along, ..Phase::default() }] };
    let mut orchestrator = Orchestrator::new(plan, cluster);
    let mut found = vec![Err("never spoken of".to_string()); 3];
    let mut inputs = VecDeque::from([orchestrator::Input::Begin]);
    while let Some(input) = inputs.pop_front() {
        let said = tell(&mut orchestrator, 0, input);
        for (vm, reason) in said.reasons() {
            found[vm as usize] = Err(reason);
        }
        for MoveOrder { assignment: each, disks, .. } in said.started() {
            found[each.vm.index()] = Ok((each.destination.0, each.kind, disks.clone()));
            let (migration, outcome) = (each.migration, Outcome::Completed);
            inputs.push_back(orchestrator::Input::Ended { migration, outcome });
        }
    }
    found
}

fn copied(disk: u32, from: u32, to: u32) -> DiskMove {
    DiskMove { disk, from: StorageId(from), to: StorageId(to), bytes: DISK }
}

#[test]
fn a_drain_takes_disks_along_where_it_is_told_to_and_the_destination_does_not_reach_them() {
    let found = drained(vec![HostId(0)], Bytes::from_gib(100));
    assert_eq!(found[0], Ok((1, MigrationKind::SharedNothing, vec![copied(0, 0, 1)])));
    assert_eq!(found[1], Ok((2, MigrationKind::Live, vec![])), "c has the most memory, and reaches the disk");
    let both = vec![copied(0, 0, 1), copied(1, 3, 1)];
    assert_eq!(found[2], Ok((1, MigrationKind::SharedNothing, both)), "c has no storage of its own for `os`");
}

#[test]
fn a_guest_whose_disks_cannot_go_stays_with_the_reason() {
    let found = drained(vec![HostId(0)], Bytes::from_gib(12));
    assert_eq!(found[0].as_ref().unwrap().0, 1, "there is room for one disk");
    assert_eq!(found[1].as_ref().unwrap().0, 2);
    let stays = found[2].as_ref().unwrap_err();
    assert!(
        stays.starts_with("no host can take its disks: the destination has no storage location"),
        "{stays}"
    );
    assert!(stays.ends_with("`b1` has 2 GiB of free space, and 20 GiB are needed for its disks"), "{stays}");
}

#[test]
fn a_drain_that_is_not_told_so_leaves_disks_and_their_guests() {
    let found = drained(vec![], Bytes::from_gib(100));
    assert!(
        found[0].as_ref().unwrap_err().contains("which the destination does not reach"),
        "{:?}",
        found[0]
    );
    assert_eq!(found[1], Ok((2, MigrationKind::Live, vec![])));
    assert!(found[2].is_err());
}

fn guest(name: &str, disks: &[(&str, &str)]) -> InventoryGuest {
    let disk = |(name, on): &(&str, &str)| InventoryDisk {
        name: (*name).into(),
        on: (*on).into(),
        bytes: Bytes::from_mib(64),
    };
    let disks = disks.iter().map(disk).collect();
    InventoryGuest { name: name.into(), host: "a".into(), memory: Bytes::from_gib(1), disks }
}

fn inventory() -> Inventory {
    let host = |name: &str| InventoryHost { name: name.into(), memory: Bytes::from_gib(64) };
    let guests = vec![
        guest("db", &[("os", "a1"), ("data", "san")]),
        guest("web", &[("os", "a1")]),
        guest("app", &[("os", "san")]),
    ];
    Inventory { hosts: vec![host("a"), host("b")], guests }
}

/// All guests of a go to b: `os` of db and of web go along, all else is on the SAN.
fn plan() -> DrainPlan {
    let inventory = inventory();
    let os = DiskOrder {
        disk: 0,
        name: "os".into(),
        bytes: Bytes::from_mib(64),
        from: "a1".into(),
        to: "b1".into(),
    };
    let planned = |vm: &str, disks: &[DiskOrder]| PlannedMove {
        vm: vm.into(),
        destination: "b".into(),
        kind: if disks.is_empty() { MigrationKind::Live } else { MigrationKind::SharedNothing },
        disks: disks.to_vec(),
        reason: "the most free memory".into(),
        completes: 1.0,
        start_s: Expected::default(),
        total_s: Expected { p50: 10.0, p95: 12.0 },
        blackout_s: Expected { p50: 0.1, p95: 0.2 },
    };
    let location = |name: &str, hosts: &[&str], capacity| PlannedLocation {
        name: name.into(),
        hosts: hosts.iter().map(|host| (*host).into()).collect(),
        capacity,
    };
    let locations = vec![
        location("a1", &["a"], None),
        location("b1", &["b"], Some(Bytes::from_mib(128))),
        location("san", &["a", "b"], None),
    ];
    let moves = vec![
        planned("db", std::slice::from_ref(&os)),
        planned("web", std::slice::from_ref(&os)),
        planned("app", &[]),
    ];
    DrainPlan {
        limit: Some(2),
        storage: PlannedStorage { locations, limits: [("a".into(), 1)].into() },
        ..DrainPlan::new("a".into(), inventory, Policy::HyperV(HyperV::default()), moves)
    }
}

/// The attempts that an operation starts, and its questions, after each input.
struct Bench {
    operation: Operation,
    running: Vec<Attempt>,
    questions: Vec<String>,
}

impl Bench {
    fn new(plan: DrainPlan, rules: Rules) -> Bench {
        let operation = Operation::new(plan, &inventory(), rules).unwrap();
        let mut bench = Bench { operation, running: vec![], questions: vec![] };
        bench.tell(0, Input::Begin);
        bench
    }

    fn tell(&mut self, seconds: u64, input: Input) {
        for command in tell(&mut self.operation, seconds, input).commands {
            match command {
                Command::Start(attempt) => self.running.push(attempt),
                Command::Ask { question } => self.questions.push(question),
                Command::Cancel { .. } => {}
            }
        }
    }

    fn end(&mut self, seconds: u64, outcome: Outcome) {
        let migration = self.running.remove(0).migration();
        self.tell(seconds, Input::Ended { migration, outcome, reason: "as told".into() });
    }

    fn names(&self) -> Vec<&str> {
        self.running.iter().map(|attempt| &*attempt.order.vm).collect()
    }
}

#[test]
fn hosts_are_asked_to_move_the_disks_that_the_plan_says_at_every_attempt() {
    let mut bench = Bench::new(plan(), Rules::default());
    assert_eq!(bench.names(), ["db"], "one migration with storage at a time, and the queue keeps its order");
    let first = bench.running[0].clone();
    let storage = first.order.storage.clone().unwrap();
    assert_eq!(
        (first.order.assignment.kind, storage.switch),
        (MigrationKind::SharedNothing, Switch::WithMemory)
    );
    assert_eq!(storage.disks, plan().moves[0].disks);
    bench.end(3, Outcome::Failed);
    bench.tell(13, Input::Tick);
    assert_eq!(bench.running[0], Attempt { attempt: 2, ..first }, "the same again");
    bench.end(20, Outcome::Completed);
    assert_eq!(bench.names(), ["web", "app"]);
    assert_eq!(
        (bench.running[1].order.assignment.kind, &bench.running[1].order.storage),
        (MigrationKind::Live, &None)
    );
}

#[test]
fn space_that_a_move_has_reserved_is_given_to_no_other() {
    let mut plan = plan();
    plan.storage.locations[1].capacity = Some(Bytes::from_mib(100));
    let bench = Bench::new(plan, Rules::default());
    assert_eq!(bench.names(), ["db", "app"], "web's disk has no room at b1 any more");
}

#[test]
fn a_question_says_how_much_of_disks_goes_too() {
    let bench = Bench::new(plan(), Rules { gates: Gates::All, ..Rules::default() });
    assert!(
        bench.questions[0].starts_with("Move db to b with 64 MiB of disks, in 10.0 s"),
        "{:?}",
        bench.questions
    );
}

#[test]
fn a_plan_is_refused_where_a_disk_was_moved_or_changed_and_says_which() {
    let refused = |change: fn(&mut Inventory)| {
        let mut now = inventory();
        change(&mut now);
        assert_ne!(now.fingerprint(), inventory().fingerprint());
        match plan().fits(&now) {
            Err(PlanError::Changed { what }) => what,
            other => panic!("{other:?}"),
        }
    };
    let moved = refused(|now| now.guests[0].disks[0].on = "a2".into());
    assert_eq!(moved, "disk `os` of guest `db` was on `a1` and is on `a2`");
    let grown = refused(|now| now.guests[1].disks[0].bytes = Bytes::from_mib(65));
    assert_eq!(grown, "disk `os` of guest `web` had 64 MiB and has 65 MiB");
    let gone = refused(|now| now.guests[1].disks.clear());
    assert_eq!(gone, "disk `os` of guest `web` is gone");
    let new = refused(|now| now.guests[2].disks.extend(guest("", &[("data", "san")]).disks));
    assert_eq!(new, "disk `data` of guest `app` is new");
    let turned = refused(|now| now.guests[0].disks.reverse());
    assert_eq!(turned, "the disks of guest `db` are in another order");
    let mut same = inventory();
    same.guests.reverse();
    assert_eq!(plan().fits(&same), Ok(()), "guests have no order");
}

#[test]
fn plans_from_before_disks_are_carried_out_where_no_guest_has_any_and_refused_elsewhere() {
    let mut now = inventory();
    now.guests.iter_mut().for_each(|guest| guest.disks.clear());
    let mut old = DrainPlan { inventory: now.clone(), fingerprint: now.fingerprint(), ..plan() };
    old.storage = PlannedStorage::default();
    old.moves.iter_mut().for_each(|each| each.disks.clear());
    old.schema = 1;
    // As a migtwin wrote it that knew of no disks: its fields, and its fingerprint of the same lines.
    let text = serde_json::to_string(&old).unwrap();
    assert!(!text.contains("disks") && !text.contains("storage"), "{text}");
    // By `sha256sum` of a line for each guest and host.
    assert_eq!(now.fingerprint(), "315f772aa1469aaa87d22ff1e2ea3e82c09904a63de428f863a0a4da63fafcbd");
    let read: DrainPlan = serde_json::from_str(&text).unwrap();
    assert_eq!(read.fits(&now), Ok(()));
    assert!(Operation::new(read.clone(), &now, Rules::default()).is_ok());

    let refused = read.fits(&inventory()).unwrap_err();
    assert!(matches!(&refused, PlanError::NoDisks { guest, .. } if &**guest == "db"), "{refused}");
    assert!(refused.to_string().ends_with("make the plan anew"), "{refused}");
    let newer = DrainPlan { schema: SCHEMA + 1, ..plan() };
    assert_eq!(newer.check(), Err(PlanError::Version { found: SCHEMA + 1 }));
}

#[test]
fn a_plan_that_moves_disks_which_it_does_not_know_is_refused() {
    let refused = |change: fn(&mut DiskOrder)| {
        let mut plan = plan();
        change(&mut plan.moves[0].disks[0]);
        Operation::new(plan, &inventory(), Rules::default()).map(|_| ()).unwrap_err()
    };
    let unknown = |what| move |error: &PlanError| matches!(error, PlanError::Unknown { what: found, .. } if *found == what);
    assert!(unknown("disk")(&refused(|order| order.disk = 7)));
    assert!(unknown("disk")(&refused(|order| order.from = "san".into())));
    assert!(unknown("storage")(&refused(|order| order.to = "z".into())));
    let mut plan = plan();
    plan.storage.locations.truncate(2);
    let refused = Operation::new(plan, &inventory(), Rules::default()).unwrap_err();
    assert!(unknown("storage")(&refused), "{refused}");
}
