//! A drain of guests with disks from one agent to two others: disks go with their guests or stay on what both reach; and
//! after a failure, a kill or an interrupt nothing is left that stands against the next attempt.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::collections::BTreeMap;

use algorithms::controller::{Deadline, DeadlineAction};
use algorithms::drain_plan::{
    DrainPlan, Expected, InventoryGuest, PlanError, PlannedLocation, PlannedMove, PlannedStorage,
};
use algorithms::ids::Name;
use algorithms::operation::{Attempt, Deviation, Finish, Operation, Rules};
use algorithms::policy::{HyperV, Policy};
use algorithms::records::{MigrationKind, MigrationRecord, Outcome, Record};
use algorithms::storage_mirror::{DiskOrder, Switch};
use live::AgentOptions;
use live::apply::{Applied, Fleet, How, Operator, Signals, apply, signals};
use live::guest::GuestSpec;
use live::protocol::{MigrateRequest, Sending};
use live::recover::recover;
use live::steps::Step;
use live::storage::StorageOptions;
use sim_core::{Bandwidth, Bytes, Span};
use support::process::{Process, replay_all};
use support::{Bench, Host, both_disks, disk_files, holders, migrate, request, start, with_disks};

const DISKS: Bytes = Bytes::from_mib(6);

/// Not a test: the agent that the tests here start and kill.
#[test]
#[ignore = "an agent, which the other tests start"]
fn agent_process() {
    support::process::be_an_agent();
}

/// A small guest with two disks on that storage.
fn guest(name: &str, on: &str) -> GuestSpec {
    let mut guest = GuestSpec { memory: Bytes::from_mib(8), ..with_disks(name) };
    guest.disks.iter_mut().for_each(|disk| disk.on = on.into());
    guest
}

fn fleet(bench: &Bench, addresses: &[(&str, &str)]) -> Fleet {
    let addresses: BTreeMap<Name, String> =
        addresses.iter().map(|(name, address)| ((*name).into(), (*address).to_string())).collect();
    Fleet::new(bench.operator.clone(), addresses)
}

/// All guests of `a` go to the other hosts by turns, and disks on `fast` to `disk-HOST`.
fn plan(fleet: &Fleet) -> DrainPlan {
    let inventory = fleet.inventory().unwrap();
    let others: Vec<Name> =
        inventory.hosts.iter().map(|host| host.name.clone()).filter(|name| &**name != "a").collect();
    let expected = Expected { p50: 60.0, p95: 60.0 };
    let planned = |(place, guest): (usize, &InventoryGuest)| {
        let destination = others[place % others.len()].clone();
        let local = (0..).zip(&guest.disks).filter(|(_, disk)| &*disk.on == "fast");
        let order = |(number, disk): (u32, &algorithms::drain_plan::InventoryDisk)| DiskOrder {
            disk: number,
            name: disk.name.clone(),
            bytes: disk.bytes,
            from: disk.on.clone(),
            to: format!("disk-{destination}").into(),
        };
        let disks: Vec<DiskOrder> = local.map(order).collect();
        PlannedMove {
            vm: guest.name.clone(),
            kind: if disks.is_empty() { MigrationKind::Live } else { MigrationKind::SharedNothing },
            disks,
            reason: "by turns".into(),
            completes: 1.0,
            start_s: Expected::default(),
            total_s: expected,
            blackout_s: Expected::default(),
            destination,
        }
    };
    let moves =
        inventory.guests.iter().filter(|guest| &*guest.host == "a").enumerate().map(planned).collect();
    let own = |name: String, host: &Name| PlannedLocation {
        name: name.into(),
        hosts: vec![host.clone()],
        capacity: None,
    };
    let everyone = inventory.hosts.iter().map(|host| host.name.clone()).collect();
    let mut locations = vec![
        own("fast".into(), &"a".into()),
        PlannedLocation { name: "san".into(), hosts: everyone, capacity: None },
    ];
    locations.extend(others.iter().map(|host| own(format!("disk-{host}"), host)));
    DrainPlan {
        limit: Some(2),
        storage: PlannedStorage { locations, limits: BTreeMap::new() },
        ..DrainPlan::new("a".into(), inventory, Policy::HyperV(HyperV::default()), moves)
    }
}

/// An operator who interrupts when it is time.
#[derive(Default)]
struct Watching {
    interrupt: Option<Signals>,
    started: Vec<Attempt>,
    messages: Vec<String>,
}

impl Operator for Watching {
    fn ask(&mut self, question: &str) {
        panic!("nobody wanted to be asked: {question}");
    }

    fn started(&mut self, attempt: &Attempt) {
        self.started.push(attempt.clone());
    }

    fn record(&mut self, record: &Record) {
        if let Record::Event(event) = record {
            self.messages.push(event.message.clone());
            if event.message.contains("copying disk")
                && let Some(signals) = self.interrupt.take()
            {
                signals.interrupt();
            }
        }
    }
}

const AS_FAST_AS_CAN_BE: Option<Bandwidth> = None;
const SLOW: Option<Bandwidth> = Some(Bandwidth::from_mbit(8));

fn carry_out(fleet: &Fleet, plan: DrainPlan, rules: Rules, how: How, operator: &mut Watching) -> Applied {
    let operation = Operation::new(plan, &fleet.inventory().unwrap(), rules).unwrap();
    let (out, inbox) = signals();
    if operator.interrupt.is_some() {
        operator.interrupt = Some(out.clone());
    }
    apply(operation, fleet, &how, (out, inbox), operator)
}

fn how(limit: Option<Bandwidth>) -> How {
    let policy = Policy::HyperV(HyperV { max_passes: 5, stop_below: Bytes::from_mib(1) });
    How { policy, sending: Sending { limit, ..Sending::default() }, deadline: None }
}

/// No timing here is compared with a plan: the machine may be busy.
fn patient() -> Rules {
    Rules { deviation: Deviation::GoOn, ..Rules::default() }
}

fn outcomes(applied: &Applied) -> Vec<Outcome> {
    applied.records.migrations.iter().map(|record| record.outcome).collect()
}

/// Every page and every sector is as the guest wrote it.
fn is_whole(bench: &Bench, address: &str, guest: &str) {
    let verified = bench.client(address).verify(guest).unwrap();
    assert_eq!(verified.wrong, [""; 0], "{guest}");
    assert_eq!(verified.disks.sectors, DISKS.get() / 4096, "{guest}");
}

/// Three agents that share `san`.
fn hosts(bench: &Bench) -> [Host; 3] {
    let shared = bench.directory.path().join("shared");
    std::fs::create_dir_all(&shared).unwrap();
    ["a", "b", "c"].map(|name| {
        let places = BTreeMap::from([("san".to_string(), shared.clone())]);
        start(AgentOptions { storage: StorageOptions { places, limit: None }, ..bench.options(name) })
    })
}

fn fleet_of(bench: &Bench, hosts: &[Host; 3]) -> Fleet {
    let addresses = hosts.each_ref().map(|host| (host.agent.name(), &*host.address));
    fleet(bench, &addresses)
}

fn files(bench: &Bench, directory: &str) -> Vec<String> {
    disk_files(&bench.directory.path().join(directory))
}

fn address<'a>(hosts: &'a [Host; 3], name: &str) -> &'a str {
    &hosts.iter().find(|host| host.agent.name() == name).unwrap().address
}

#[test]
fn disks_go_with_their_guests_and_stay_where_both_hosts_reach_them() {
    let bench = Bench::new();
    let hosts = hosts(&bench);
    let mut client = bench.client(&hosts[0].address);
    for (name, on) in [("db0", "fast"), ("db1", "fast"), ("web", "san")] {
        client.create(guest(name, on)).unwrap();
    }
    let fleet = fleet_of(&bench, &hosts);
    let plan = plan(&fleet);
    let mut operator = Watching::default();
    let applied = carry_out(&fleet, plan.clone(), patient(), how(AS_FAST_AS_CAN_BE), &mut operator);
    assert_eq!(applied.finish, Finish::AllMoved, "{:?}", operator.messages);
    for (name, host) in [("db0", "b"), ("db1", "c"), ("web", "b")] {
        assert_eq!(holders(&hosts.each_ref(), name), [host], "{name}");
        is_whole(&bench, address(&hosts, host), name);
    }
    let record = |name: &str| -> &MigrationRecord {
        applied.records.migrations.iter().find(|record| &*record.vm == name).unwrap()
    };
    for name in ["db0", "db1"] {
        assert_eq!(record(name).kind, MigrationKind::SharedNothing);
        assert!(record(name).storage_bytes_sent >= DISKS);
    }
    assert_eq!((record("web").kind, record("web").storage_bytes_sent), (MigrationKind::Live, Bytes::ZERO));
    assert_eq!(files(&bench, "a"), [""; 0]);
    let at = |host: &str| {
        files(&bench, host).iter().filter(|file| file.contains(&format!("/disk-{host}/"))).count()
    };
    assert_eq!((at("b"), at("c"), files(&bench, "shared").len()), (2, 2, 2));

    let refused = Operation::new(plan, &fleet.inventory().unwrap(), patient()).unwrap_err();
    assert!(matches!(refused, PlanError::Changed { .. }), "{refused}");
}

#[test]
fn a_plan_is_refused_where_a_disk_was_moved_meanwhile() {
    let bench = Bench::new();
    let hosts = hosts(&bench);
    let mut client = bench.client(&hosts[0].address);
    client.create(guest("db", "fast")).unwrap();
    let fleet = fleet_of(&bench, &hosts);
    let plan = plan(&fleet);
    assert_eq!(plan.fits(&fleet.inventory().unwrap()), Ok(()));
    let alone = both_disks("slow", Switch::WhenCopied);
    let order = MigrateRequest { storage: alone, ..request("db", &hosts[0], Sending::default()) };
    assert_eq!(migrate(&mut client, order).unwrap().0.outcome, Outcome::Completed);
    let refused = Operation::new(plan, &fleet.inventory().unwrap(), patient()).unwrap_err();
    assert!(
        refused.to_string().contains("disk `os` of guest `db` was on `fast` and is on `slow`"),
        "{refused}"
    );
}

#[test]
fn what_is_given_up_while_disks_are_copied_stays_whole_and_can_be_begun_again() {
    let bench = Bench::new();
    let hosts = hosts(&bench);
    let mut client = bench.client(&hosts[0].address);
    client.create(guest("db0", "fast")).unwrap();
    client.create(guest("db1", "fast")).unwrap();
    let fleet = fleet_of(&bench, &hosts);
    let plan = plan(&fleet);
    let unmoved = |why: &str| {
        for name in ["db0", "db1"] {
            assert_eq!(holders(&hosts.each_ref(), name), ["a"], "{why}");
            is_whole(&bench, &hosts[0].address, name);
        }
        assert_eq!(files(&bench, "a").len(), 4, "{why}");
        assert_eq!((files(&bench, "b"), files(&bench, "c")), (vec![], vec![]), "{why}: nothing is left over");
        assert_eq!(plan.fits(&fleet.inventory().unwrap()), Ok(()), "{why}");
    };

    let mut operator = Watching { interrupt: Some(signals().0), ..Watching::default() };
    let applied = carry_out(&fleet, plan.clone(), patient(), how(SLOW), &mut operator);
    assert_eq!(applied.finish, Finish::Partly);
    assert!(outcomes(&applied).contains(&Outcome::Cancelled), "{:?}", outcomes(&applied));
    unmoved("interrupted");

    // 6 MiB at 8 Mbit/s take six seconds, where a tenth of one was planned.
    let mut optimistic = plan.clone();
    optimistic.moves.iter_mut().for_each(|each| each.total_s = Expected { p50: 0.1, p95: 0.1 });
    let rules = Rules { deviation: Deviation::Abort, ..Rules::default() };
    let mut operator = Watching::default();
    let applied = carry_out(&fleet, optimistic, rules, how(SLOW), &mut operator);
    assert!(operator.messages.iter().any(|message| message.contains("takes longer than")));
    // On a slow machine one may be given up before its agent was asked.
    let given_up = |outcome: &Outcome| matches!(outcome, Outcome::Cancelled | Outcome::NotStarted);
    assert!(outcomes(&applied).iter().all(given_up), "{:?}", outcomes(&applied));
    unmoved("late");

    let deadline = Some(Deadline { after: Span::from_millis(500), action: DeadlineAction::Cancel });
    let applied =
        carry_out(&fleet, plan.clone(), patient(), How { deadline, ..how(SLOW) }, &mut Watching::default());
    assert_eq!(outcomes(&applied), [Outcome::Cancelled; 2]);
    unmoved("deadline");

    let applied =
        carry_out(&fleet, plan.clone(), patient(), how(AS_FAST_AS_CAN_BE), &mut Watching::default());
    assert_eq!((applied.finish, files(&bench, "a").len()), (Finish::AllMoved, 0));
}

/// A retry soon after, since the agents are there again by then; and more than one, where they are not.
fn soon_again() -> Rules {
    Rules { retries: 5, retry_after: Span::from_secs(1), ..patient() }
}

/// A drain of `web` from a to b, of which `victim` is killed at `step` and started anew.
fn killed(victim: &str, step: Step) -> (Bench, [Process; 2], Applied, Watching) {
    let bench = Bench::new();
    let stop = |name: &str| (name == victim).then_some(step);
    let (mut a, mut b) = (Process::new(&bench, "a", stop("a")), Process::new(&bench, "b", stop("b")));
    bench.client(&a.address).create(guest("web", "fast")).unwrap();
    let fleet = fleet(&bench, &[("a", &a.address), ("b", &b.address)]);
    let plan = plan(&fleet);
    let drain = std::thread::spawn(move || {
        let mut operator = Watching::default();
        let applied = carry_out(&fleet, plan, soon_again(), how(AS_FAST_AS_CAN_BE), &mut operator);
        (applied, operator)
    });
    if victim == "a" {
        a.wait_for("reached");
        a = a.restart();
    } else {
        b.wait_for("reached");
        b = b.restart();
    }
    let (applied, operator) = drain.join().unwrap();
    (bench, [a, b], applied, operator)
}

/// Where the hand-over was not decided, the next attempt moves the guest; where it was, it ends what was left open.
#[test]
fn a_move_whose_host_was_killed_is_tried_again_and_leaves_one_copy() {
    for (victim, step, last) in [
        ("b", Step::DisksCame, Outcome::Completed),
        ("b", Step::Prepared, Outcome::Completed),
        ("a", Step::DiskCopied, Outcome::Completed),
        ("a", Step::Ready, Outcome::Completed),
        ("a", Step::Committed, Outcome::NotStarted),
    ] {
        let (bench, [a, b], applied, operator) = killed(victim, step);
        assert_eq!(applied.finish, Finish::AllMoved, "{victim} at {step:?}: {:?}", operator.messages);
        assert!(operator.started.len() >= 2, "{victim} at {step:?}");
        let all = outcomes(&applied);
        assert_eq!(all.last(), Some(&last), "{victim} at {step:?}: {all:?}");
        assert_eq!(all.len(), operator.started.len(), "a record of every attempt");
        assert!(operator.started.iter().all(|attempt| attempt.order == operator.started[0].order));
        is_whole(&bench, &b.address, "web");
        assert_eq!((files(&bench, "a").len(), files(&bench, "b").len()), (0, 2), "{victim} at {step:?}");
        assert!(applied.records.migrations.iter().all(|record| record.kind == MigrationKind::SharedNothing));
        assert_eq!(recover(&[a.address.clone(), b.address.clone()], &bench.operator).unwrap(), []);
        replay_all(&a.directory);
    }
}
