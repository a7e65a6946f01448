//! A night of rolling maintenance of sixteen nodes, as the library's scenario shows it, checked and run.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use algorithms::ids::VmId;
use algorithms::preflight::Rule;
use algorithms::records::{MigrationKind, MigrationRecord, Outcome, RunRecords};
use models::preflight::preflight;
use scenarios::ScenarioRun;
use sim_core::{SimTime, Span};
use support::{alternative, logged, of, run, scenario, shown};

fn end(record: &MigrationRecord) -> SimTime {
    record.started.unwrap() + record.total
}

/// Where every guest runs in the end, by what the records say.
fn finally(run: &ScenarioRun, records: &RunRecords) -> BTreeMap<String, String> {
    let model = &run.model;
    let first = |guest: &models::cluster::Guest| {
        (guest.name.to_string(), model.hosts[guest.host.index()].name.to_string())
    };
    let mut at: BTreeMap<String, String> = model.guests.iter().map(first).collect();
    let mut done: Vec<_> = records.migrations.iter().filter(|m| m.outcome == Outcome::Completed).collect();
    done.sort_by_key(|record| end(record));
    for record in done {
        at.insert(record.vm.to_string(), record.destination.as_deref().unwrap().to_string());
    }
    at
}

/// Nodes that the events say were serviced, each with when and how long.
fn serviced(records: &RunRecords) -> BTreeMap<String, (SimTime, SimTime)> {
    let starts = records.events.iter().filter(|event| event.message.starts_with("in service"));
    starts
        .map(|start| {
            let node = start.host.as_deref().unwrap();
            let over =
                logged(records, node, "serviced").into_iter().find(|event| event.message == "serviced");
            (node.to_string(), (start.time, over.unwrap().time))
        })
        .collect()
}

#[test]
fn rolling_maintenance_services_every_node_that_can_be_drained_and_brings_all_roles_home() {
    let all = scenario("rolling-maintenance-16");
    for (name, expected) in [("one after the other", 14), ("by force", 16), ("two lanes", 14)] {
        let alternative = alternative(&all, name);
        let records = run(alternative);
        let nodes = serviced(&records);
        assert_eq!(nodes.len(), expected, "{name}");
        for (node, (from, to)) in &nodes {
            assert_eq!(*to - *from, Span::from_secs(1200), "{name}: the maintenance time of {node}");
        }
        let skipped: Vec<&str> =
            ["node09", "node12"].into_iter().filter(|node| !nodes.contains_key(*node)).collect();
        assert_eq!(skipped.len(), 16 - expected, "{name}: only nodes with a reason are left out");
        let at_last = finally(alternative, &records);
        for (vm, guest) in (0u32..).zip(&alternative.model.guests) {
            let home = &alternative.model.hosts[guest.host.index()].name;
            if alternative.model.failover.role(VmId(vm)).is_some() {
                assert_eq!(at_last[&*guest.name], **home, "{name}: {} is home again", guest.name);
            }
        }
        assert_eq!(at_last["build03"], "node05", "{name}: moved by Move-VM");
        assert_eq!(at_last["build07"], "node07", "{name}: nobody may delegate");
    }
}

#[test]
fn rolling_maintenance_says_of_every_move_and_of_every_non_move_why() {
    let all = scenario("rolling-maintenance-16");
    for (name, expected) in [
        ("one after the other", vec!["build07", "licence", "warehouse"]),
        ("by force", vec!["build07"]),
        ("two lanes", vec!["build07", "licence", "warehouse"]),
    ] {
        let records = run(alternative(&all, name));
        let mut stayed: Vec<&str> = Vec::new();
        for record in &records.migrations {
            assert!(!record.reason.is_empty());
            let by_cluster = !record.vm.starts_with("build");
            assert_eq!(record.why.is_some(), by_cluster, "{name}: {record:?}");
            if record.outcome != Outcome::Completed {
                stayed.push(&record.vm);
            }
        }
        stayed.sort_unstable();
        assert_eq!(stayed, expected, "{name}");
        let build = of(&records, "build07")[0];
        assert_eq!(build.event_id, Some(21111), "{}", build.reason);
        if stayed.len() > 1 {
            assert!(of(&records, "licence")[0].reason.contains("no possible owner"));
            let warehouse = &of(&records, "warehouse")[0].reason;
            assert!(warehouse.contains("144 GiB are needed") && warehouse.contains("Intel"), "{warehouse}");
        }
    }
    let forced = shown("rolling-maintenance-16", "by force");
    let kinds = |vm| of(&forced, vm).iter().map(|record| record.kind).collect::<Vec<_>>();
    assert_eq!(kinds("licence"), [MigrationKind::Stop, MigrationKind::Start]);
    assert_eq!(kinds("warehouse"), [MigrationKind::Stop, MigrationKind::Start]);
    let start = of(&forced, "warehouse")[1];
    assert!(start.blackout > Span::from_secs(1200), "off while its node was serviced: {}", start.blackout);
}

/// Where guests are: from when they take a host's memory until they have left it.
struct Stay<'a> {
    vm: &'a str,
    host: &'a str,
    from: SimTime,
    to: SimTime,
}

fn stays<'a>(run: &'a ScenarioRun, records: &'a RunRecords) -> Vec<Stay<'a>> {
    let mut stays = Vec::new();
    for guest in &run.model.guests {
        let mut done: Vec<_> =
            of(records, &guest.name).into_iter().filter(|m| m.outcome == Outcome::Completed).collect();
        done.sort_by_key(|record| end(record));
        let (mut host, mut from) = (&*run.model.hosts[guest.host.index()].name, SimTime::ZERO);
        for record in done {
            stays.push(Stay { vm: &guest.name, host, from, to: end(record) });
            (host, from) = (record.destination.as_deref().unwrap(), record.started.unwrap());
        }
        stays.push(Stay { vm: &guest.name, host, from, to: SimTime::MAX });
    }
    stays
}

#[test]
fn rolling_maintenance_never_brings_a_shop_front_beside_another() {
    let all = scenario("rolling-maintenance-16");
    for name in ["one after the other", "by force"] {
        let alternative = alternative(&all, name);
        let records = run(alternative);
        let stays = stays(alternative, &records);
        let fronts: Vec<&Stay<'_>> = stays.iter().filter(|stay| stay.vm.starts_with("front")).collect();
        assert!(fronts.len() >= 12, "each of the four went and came back");
        for (index, a) in fronts.iter().enumerate() {
            for b in &fronts[index + 1..] {
                let together = a.vm != b.vm && a.host == b.host && a.from < b.to && b.from < a.to;
                assert!(!together, "{name}: {} and {} on {}", a.vm, b.vm, a.host);
            }
        }
    }
}

#[test]
fn rolling_maintenance_keeps_the_limit_and_no_role_is_on_a_node_in_service() {
    let all = scenario("rolling-maintenance-16");
    for name in ["one after the other", "by force", "two lanes"] {
        let alternative = alternative(&all, name);
        let records = run(alternative);
        let live: Vec<_> = records
            .migrations
            .iter()
            .filter(|m| m.kind == MigrationKind::Live && m.started.is_some())
            .collect();
        for record in &live {
            let begins = record.started.unwrap();
            for host in [Some(&*record.source), record.destination.as_deref()] {
                let at_host = |m: &&&MigrationRecord| {
                    let touches = Some(&*m.source) == host || m.destination.as_deref() == host;
                    touches && m.started.unwrap() <= begins && begins < end(m)
                };
                assert!(live.iter().filter(at_host).count() <= 2, "{name}: at most two at {host:?}");
            }
        }
        let model = &alternative.model;
        let is_role = |name: &str| {
            let vm = model.guests.iter().position(|guest| *guest.name == *name).unwrap();
            model.failover.role(VmId(vm as u32)).is_some()
        };
        let stopped = |name: &str| of(&records, name).iter().any(|m| m.kind == MigrationKind::Stop);
        for stay in stays(alternative, &records).iter().filter(|stay| is_role(stay.vm) && !stopped(stay.vm)) {
            for (node, (from, to)) in &serviced(&records) {
                let there = stay.host == *node && stay.from < *to && *from < stay.to;
                assert!(!there, "{name}: {} is on {node} while it is serviced", stay.vm);
            }
        }
    }
}

#[test]
fn the_check_finds_before_the_night_what_the_run_finds_in_it() {
    let all = scenario("rolling-maintenance-16");
    for name in ["one after the other", "by force"] {
        let alternative = alternative(&all, name);
        let (checked, records) = (preflight(&alternative.model), run(alternative));
        assert!(!checked.can_run(), "{name}");
        let blocked = checked.moves.iter().filter_map(|m| Some((m.vm.0, m.result.as_ref().err()?.clone())));
        let mut blocked: Vec<(u32, String)> = blocked.collect();
        blocked.sort();
        let index =
            |vm: &str| alternative.model.guests.iter().position(|guest| *guest.name == *vm).unwrap() as u32;
        let stayed = records.migrations.iter().filter(|m| m.outcome == Outcome::NotStarted);
        let mut stayed: Vec<(u32, String)> = stayed.map(|m| (index(&m.vm), m.reason.clone())).collect();
        stayed.sort();
        assert_eq!(blocked, stayed, "{name}");
        let rules = checked.moves.iter().flat_map(|m| &m.refused).flat_map(|by| &by.refusals);
        assert!(rules.map(|refusal| refusal.rule).any(|rule| rule == Rule::Delegation), "{name}");
        let stops = checked.moves.iter().filter(|m| m.kind == MigrationKind::Stop).count();
        assert_eq!(stops, if name == "by force" { 2 } else { 0 });
    }
}
