//! Failover: what becomes of the guests of a node that dies.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use algorithms::records::{MigrationKind, MigrationRecord, Outcome, Power, RunRecords};
use models::world::{RunOptions, simulate};
use scenarios::{load, parse};
use sim_core::{SimTime, Span};

fn run(text: Option<&str>) -> RunRecords {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("library/cluster-failover.ron");
    let scenario = match text {
        Some(text) => parse(text, "test.ron").unwrap(),
        None => load(path).unwrap(),
    };
    simulate(&scenario.runs[0].model, &RunOptions { seed: scenario.seed, ..RunOptions::default() }).unwrap()
}

fn started<'a>(records: &'a RunRecords, vm: &str) -> &'a MigrationRecord {
    let of = |record: &&MigrationRecord| &*record.vm == vm && record.kind == MigrationKind::Start;
    records.migrations.iter().find(of).unwrap()
}

/// Where a guest runs in the end; `None` where it is off.
fn runs_on<'a>(records: &'a RunRecords, vm: &str) -> Option<&'a str> {
    let guest = records.guests.iter().find(|guest| &*guest.vm == vm).unwrap();
    (guest.power == Power::Running).then_some(&*guest.host)
}

fn at(seconds: u64) -> SimTime {
    SimTime::ZERO + Span::from_secs(seconds)
}

#[test]
fn roles_of_a_dead_node_are_started_where_they_can_be_when_it_was_noticed() {
    let records = run(None);
    let web = started(&records, "web");
    assert_eq!((web.outcome, web.started), (Outcome::Completed, Some(at(70))), "ten heartbeats are missed");
    assert!(web.why.as_ref().unwrap().starts_with("failover: node1 has died"), "{:?}", web.why);
    assert_eq!(web.blackout, Span::from_secs(70), "ten seconds, and a minute to boot");
    assert_eq!(runs_on(&records, "web"), Some("node2"));
    let db = started(&records, "db");
    assert_eq!(db.destination.as_deref(), Some("node3"));
    assert!(db.why.as_ref().unwrap().contains("preferred owner 1"), "{:?}", db.why);
    assert_eq!(runs_on(&records, "db"), Some("node2"), "it can be moved again, when it runs");
}

#[test]
fn what_was_on_its_way_is_lost_and_started_elsewhere() {
    let records = run(None);
    let lost = records.migrations.iter().find(|record| &*record.vm == "moving").unwrap();
    assert_eq!((lost.kind, lost.outcome), (MigrationKind::Live, Outcome::Lost));
    assert_eq!(started(&records, "moving").outcome, Outcome::Completed);
    assert!(runs_on(&records, "moving").is_some_and(|host| host != "node1"));
}

#[test]
fn what_fits_nowhere_is_not_clustered_or_not_to_be_started_stays_off() {
    let records = run(None);
    let huge = started(&records, "huge");
    assert_eq!(huge.outcome, Outcome::NotStarted);
    assert!(huge.reason.contains("node4: 32 GiB of free memory, and 36 GiB are needed"), "{}", huge.reason);
    for vm in ["huge", "manual", "plain"] {
        assert_eq!(runs_on(&records, vm), None, "{vm}");
    }
    let said = |text: &str| records.events.iter().any(|event| event.message.contains(text));
    assert!(said("is not started elsewhere: its priority is No Auto Start"));
}

#[test]
fn a_second_death_starts_it_again_where_it_is_still_alive() {
    let records = run(Some(
        r#"(
            name: "two deaths",
            hosts: [(name: "node{1..3}", memory: "32 GiB", nic: "10GbE")],
            vms: [(name: "web", host: "node1", memory: "8 GiB", role: (preferred_owners: ["node2", "node3"]))],
            cluster: (failover_after: "20 s", boot: "90 s"),
            plan: [Phase(not_before: "10 min", tasks: [MoveRole(vm: "web", to: "node3")])],
            faults: [(at: "1 min", fault: HostDies("node1")), (at: "2 min", fault: HostDies("node2"))],
        )"#,
    ));
    let starts: Vec<_> =
        records.migrations.iter().filter(|record| record.kind == MigrationKind::Start).collect();
    let ends: Vec<_> =
        starts.iter().map(|start| (start.destination.as_deref().unwrap(), start.started)).collect();
    assert_eq!(ends, [("node2", Some(at(80))), ("node3", Some(at(140)))]);
    assert_eq!(starts[1].outcome, Outcome::Completed);
    assert_eq!(runs_on(&records, "web"), Some("node3"));
}
