//! The failover cluster: quick migration, drains with and without force, failback, as the library's
//! scenarios show them.

#![allow(clippy::unwrap_used)]

mod support;

use algorithms::records::{EventRecord, Level, MigrationKind, MigrationRecord, Outcome, RunRecords};
use scenarios::parse;
use sim_core::Span;
use support::{alternative, logged, of, run, scenario, shown};

fn why(record: &MigrationRecord) -> &str {
    record.why.as_deref().unwrap_or_default()
}

/// A guest's only migration: how, where to, how it ended.
fn only(records: &RunRecords, vm: &str) -> (MigrationKind, Option<String>, Outcome) {
    let all = of(records, vm);
    assert_eq!(all.len(), 1, "{vm}");
    (all[0].kind, all[0].destination.as_deref().map(str::to_string), all[0].outcome)
}

fn went(kind: MigrationKind, to: &str) -> (MigrationKind, Option<String>, Outcome) {
    (kind, Some(to.to_string()), Outcome::Completed)
}

#[test]
fn quick_migration_pauses_the_guest_for_saving_and_restoring_and_sends_nothing() {
    let quick = shown("cluster-quick-migration", "quick");
    let record = &quick.migrations[0];
    assert_eq!(only(&quick, "web"), went(MigrationKind::Quick, "node2"));
    let memory = 16.0 * 1024.0 * 1024.0 * 1024.0;
    let steps = 0.45; // The pause and the resumption of the Hyper-V preset.
    let expected = memory / 1e9 + memory / 2e9 + steps;
    assert!((record.blackout.as_secs_f64() - expected).abs() < 1e-3, "{}", record.blackout);
    assert_eq!((record.memory_bytes_sent.get(), record.storage_bytes_sent.get()), (0, 16 << 30));
    let live = shown("cluster-quick-migration", "live");
    assert_eq!(only(&live, "web"), went(MigrationKind::Live, "node2"));
    assert!(live.migrations[0].blackout < Span::from_secs(1));
}

#[test]
fn a_role_is_shut_down_or_turned_off_moved_and_started() {
    let seconds = |name: &str| {
        let records = shown("cluster-quick-migration", name);
        let record = &records.migrations[0];
        (record.total.as_secs_f64(), record.blackout.as_secs_f64(), record.storage_bytes_sent.get())
    };
    assert_eq!(seconds("shut down"), (90.0, 60.0, 0), "30 s to shut down, 60 s to boot");
    assert_eq!(seconds("turned off"), (60.0, 60.0, 0));
}

#[test]
fn a_drain_goes_by_priority_owners_and_anti_affinity_and_low_priority_goes_quick() {
    let records = shown("cluster-drain", "drain");
    let order: Vec<&str> = records.migrations.iter().map(|record| &*record.vm).collect();
    assert_eq!(order, ["sql", "licence", "web1", "batch"], "High, Medium, Low");
    assert_eq!(only(&records, "sql"), went(MigrationKind::Live, "node4"));
    assert!(why(of(&records, "sql")[0]).contains("preferred owner 2 of 3"), "the first is the node itself");
    assert_eq!(only(&records, "web1"), went(MigrationKind::Live, "node3"), "node2 has web2 and more memory");
    assert_eq!(only(&records, "batch"), went(MigrationKind::Quick, "node2"));
    let (batch, sql) = (of(&records, "batch")[0], of(&records, "sql")[0]);
    assert_eq!(batch.started, sql.started, "quick migrations go beside the live ones");
}

#[test]
fn what_cannot_be_drained_stays_says_why_and_fails_the_drain() {
    let records = shown("cluster-drain", "drain");
    let licence = of(&records, "licence")[0];
    assert_eq!(licence.outcome, Outcome::NotStarted);
    assert!(licence.reason.contains("no possible owner of it"), "{}", licence.reason);
    assert!(why(licence).starts_with("drain of node1"), "{}", why(licence));
    let failed = logged(&records, "node1", "drain failed");
    assert_eq!((failed.len(), failed[0].level), (1, Level::Error));
    assert!(failed[0].message.ends_with("licence"));
}

#[test]
fn guests_that_are_no_roles_take_no_part_in_a_drain_of_a_node() {
    let records = shown("cluster-drain", "drain");
    assert!(of(&records, "print").is_empty());
    let left = logged(&records, "node1", "no clustered roles");
    assert_eq!((left.len(), left[0].level), (1, Level::Warning));
    assert!(left[0].message.ends_with("print"));
}

#[test]
fn by_force_what_cannot_be_moved_goes_offline_by_its_offline_action() {
    let records = shown("cluster-drain", "by force");
    let (kind, destination, outcome) = only(&records, "licence");
    assert_eq!((kind, outcome), (MigrationKind::Stop, Outcome::Completed));
    assert_eq!(destination.as_deref(), Some("node1"), "no other host may own it");
    let licence = of(&records, "licence")[0];
    assert_eq!(licence.reason, "shut down");
    assert!(why(licence).contains("forced drain of node1: no host can take it"), "{}", why(licence));
    assert_eq!(logged(&records, "node1", "drained").len(), 1, "the drain has not failed");
}

#[test]
fn a_threshold_of_1000_moves_low_priority_live() {
    let records = shown("cluster-drain", "all live");
    assert_eq!(only(&records, "batch").0, MigrationKind::Live);
}

#[test]
fn a_target_node_takes_all_and_enforced_anti_affinity_keeps_roles_apart() {
    let records = shown("cluster-drain", "to node2");
    assert_eq!(only(&records, "web1"), went(MigrationKind::Live, "node2"));
    assert!(why(of(&records, "web1")[0]).contains("together with web2"));
    let records = shown("cluster-drain", "to node2, enforced");
    assert_eq!(only(&records, "web1").2, Outcome::NotStarted);
    assert!(of(&records, "web1")[0].reason.contains("web2"));
}

#[test]
fn nodes_drained_beside_each_other_do_not_take_each_others_roles() {
    let records = shown("cluster-drain", "two at once");
    for record in records.migrations.iter().filter(|record| record.kind != MigrationKind::Stop) {
        assert!(matches!(record.destination.as_deref(), Some("node3" | "node4")), "{record:?}");
    }
}

#[test]
fn roles_go_back_at_once_by_policy_within_their_window_or_not_at_all() {
    let all = scenario("cluster-failback");
    let backs = |name: &str| {
        let records = run(alternative(&all, name));
        let back = records.migrations.iter().filter(|record| why(record).starts_with("failback to node1"));
        back.map(|record| (record.vm.to_string(), record.queued.as_secs_f64())).collect::<Vec<_>>()
    };
    let half_an_hour = 1800.0;
    assert_eq!(
        backs("immediate"),
        ["any", "night", "stays", "rootless"].map(|vm| (vm.to_string(), half_an_hour))
    );
    assert_eq!(backs("none"), []);
    let night = 3.0 * 3600.0; // 1:00, three hours after 22:00.
    assert_eq!(backs("policy"), [("any".to_string(), half_an_hour), ("night".to_string(), night)]);
    let records = run(alternative(&all, "policy"));
    let stayed = |vm: &str, because: &str| {
        let about = |event: &&EventRecord| event.vm.as_deref() == Some(vm) && event.message.contains(because);
        assert_eq!(records.events.iter().filter(about).count(), 1, "{vm}: {because}");
    };
    stayed("stays", "prevents failback");
    stayed("rootless", "this node is none");
}

#[test]
fn a_saved_state_is_bound_to_its_processor_and_needs_no_migration_network() {
    let text = |second: &str| {
        format!(
            r#"(
                hosts: [
                    (name: "a", memory: "16 GiB", processor: (vendor: Intel, family: "Ice Lake-SP")),
                    (name: "b", memory: "16 GiB", {second}),
                ],
                vms: [(name: "vm", host: "a", memory: "4 GiB", role: ())],
                plan: [MoveRole(vm: "vm", to: "b", how: Quick), MoveRole(vm: "vm", to: "a")],
            )"#
        )
    };
    let outcomes = |second: &str| {
        let scenario = parse(&text(second), "test.ron").unwrap();
        let records = run(&scenario.runs[0]);
        records.migrations.iter().map(|m| (m.outcome, m.event_id)).collect::<Vec<_>>()
    };
    let amd = outcomes(r#"processor: (vendor: AMD, family: "Milan")"#);
    assert_eq!(amd[0], (Outcome::NotStarted, Some(21502)));
    let off = outcomes("migration: (enabled: false)");
    assert_eq!(off[0], (Outcome::Completed, None), "nothing listens on b, and nothing needs it");
    assert_eq!(off[1].0, Outcome::NotStarted, "live it does");
}
