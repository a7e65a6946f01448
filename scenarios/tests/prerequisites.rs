//! Prerequisites of a live migration: every alternative of the library's scenarios is refused for its
//! reason, by the check before and by the run itself.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use algorithms::preflight::{Category, Rule};
use algorithms::records::{Level, Outcome, RunRecords};
use models::preflight::preflight;
use models::world::{RunOptions, simulate};
use scenarios::{Scenario, ScenarioRun, load, parse};

/// What a scenario's alternative shows: nothing in the way, or these rules, in their category, with the
/// event that is logged.
type Expected = (&'static str, &'static [Rule], Option<(Category, u32)>);

fn scenario(name: &str) -> Scenario {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("library");
    match load(library.join(name).with_extension("ron")) {
        Ok(scenario) => scenario,
        Err(error) => panic!("{name}: {:?}", miette::Report::new(error)),
    }
}

fn run(run: &ScenarioRun) -> RunRecords {
    simulate(&run.model, &RunOptions::default()).unwrap()
}

/// Checks and runs every alternative, and compares what came of its last move.
fn shows(name: &str, expected: &[Expected]) {
    let scenario = scenario(name);
    let names: Vec<&str> = scenario.runs.iter().map(|run| run.alternative.as_deref().unwrap()).collect();
    let expected_names: Vec<&str> = expected.iter().map(|(name, ..)| *name).collect();
    assert_eq!(names, expected_names);
    for (alternative, (name, rules, refusal)) in scenario.runs.iter().zip(expected) {
        let checked = preflight(&alternative.model);
        assert_eq!(checked.can_run(), rules.is_empty(), "{name}");
        let last = checked.moves.last().unwrap();
        let refused = last.refused.iter().flat_map(|by| &by.refusals);
        let found: Vec<Rule> = refused.clone().map(|refusal| refusal.rule).collect();
        assert_eq!(found, *rules, "{name}");
        let records = run(alternative);
        let migration = records.migrations.last().unwrap();
        let Some((category, event)) = refusal else {
            assert_eq!(migration.outcome, Outcome::Completed, "{name}: {}", migration.reason);
            assert!(records.events.iter().all(|event| event.level == Level::Information), "{name}");
            continue;
        };
        let first = refused.clone().next().unwrap();
        assert_eq!((migration.outcome, migration.event_id), (Outcome::NotStarted, Some(*event)), "{name}");
        assert_eq!(migration.reason, first.message, "{name}");
        assert_eq!(migration.memory_bytes_sent.get(), 0, "{name}: refused before anything moves");
        let error = records.events.iter().find(|event| event.level == Level::Error).unwrap();
        let advice = error.advice.as_deref().unwrap();
        assert_eq!((error.event_id, advice.category), (Some(*event), *category), "{name}");
        assert_eq!((&advice.cause, &advice.fix), (&first.cause, &first.fix), "{name}");
        assert!(error.message.contains(&first.message), "{name}: {}", error.message);
    }
}

const AUTHENTICATION: Category = Category::Authentication;
const NETWORK: Category = Category::Network;
const COMPATIBILITY: Category = Category::Compatibility;

#[test]
fn authentication_needs_delegation_of_both_services_in_the_direction_needed_trust_or_a_session_at_the_source()
{
    let delegation: (&[Rule], _) = (&[Rule::Delegation], Some((AUTHENTICATION, 21111)));
    let domain: (&[Rule], _) = (&[Rule::Domain], Some((AUTHENTICATION, 20306)));
    let session: (&[Rule], _) = (&[Rule::Session], Some((AUTHENTICATION, 20306)));
    shows(
        "prerequisites-authentication",
        &[
            ("all set up", &[], None),
            ("no delegation", delegation.0, delegation.1),
            ("one service only", delegation.0, delegation.1),
            ("other direction only", delegation.0, delegation.1),
            ("two domains", domain.0, domain.1),
            ("two domains that trust each other", &[], None),
            ("workgroup", domain.0, domain.1),
            ("workgroup with CredSSP", &[], None),
            ("CredSSP from afar", session.0, session.1),
            ("CredSSP from the destination", session.0, session.1),
            ("one Kerberos, one CredSSP", &[Rule::AuthenticationType], Some((AUTHENTICATION, 21502))),
            ("no delegation, by the cluster", &[], None),
        ],
    );
}

#[test]
fn the_fix_delegates_exactly_the_services_that_are_missing() {
    let scenario = scenario("prerequisites-authentication");
    let fix = |alternative: &str| {
        let run = scenario.runs.iter().find(|run| run.alternative.as_deref() == Some(alternative)).unwrap();
        let checked = preflight(&run.model);
        checked.moves.last().unwrap().refused[0].refusals[0].fix.clone()
    };
    let both = fix("no delegation");
    assert!(
        both.contains("\"cifs/$name\"") && both.contains("Virtual System Migration Service/$name"),
        "{both}"
    );
    let one = fix("one service only");
    assert!(one.contains("\"cifs/$name\"") && !one.contains("Virtual System"), "{one}");
    let back = fix("other direction only");
    assert!(back.contains("Set-ADComputer \"node2\""), "{back}");
}

#[test]
fn a_guest_cannot_lose_processor_features_unless_it_is_compatible_and_never_changes_vendor() {
    shows(
        "prerequisites-processor",
        &[
            ("to an older one", &[Rule::ProcessorFeatures], Some((COMPATIBILITY, 21502))),
            ("to an older one, compatible", &[], None),
            ("to a newer one and back", &[], None),
            ("to another vendor, compatible", &[Rule::ProcessorVendor], Some((COMPATIBILITY, 21502))),
        ],
    );
}

#[test]
fn windows_server_goes_forward_only_and_configuration_versions_must_be_supported() {
    let old = Some((COMPATIBILITY, 21502));
    shows(
        "prerequisites-versions",
        &[
            ("2019 to 2022", &[], None),
            ("2022 to 2019", &[Rule::OperatingSystem], old),
            ("version too old", &[Rule::ConfigurationVersion], old),
            ("2022 to 2019, new guest", &[Rule::OperatingSystem, Rule::ConfigurationVersion], old),
        ],
    );
}

#[test]
fn both_hosts_must_take_part_share_a_network_open_their_firewalls_and_have_the_switch() {
    let network = Some((NETWORK, 21502));
    shows(
        "prerequisites-network",
        &[
            ("all set up", &[], None),
            ("not enabled at the destination", &[Rule::MigrationEnabled], network),
            ("not enabled at the source", &[Rule::MigrationEnabled], network),
            ("no common network", &[Rule::MigrationNetwork], network),
            ("firewall", &[Rule::Firewall], network),
            ("no such switch", &[Rule::VirtualSwitch], network),
        ],
    );
}

#[test]
fn memory_pass_through_disks_and_images_block_and_checkpoints_move_along() {
    shows(
        "prerequisites-resources",
        &[
            ("room for it", &[], None),
            ("no memory", &[Rule::Memory], Some((Category::Resources, 21502))),
            ("pass-through disk", &[Rule::PassThroughDisks], Some((Category::Storage, 21502))),
            ("ISO image", &[Rule::IsoImage], Some((Category::Storage, 21502))),
        ],
    );
}

#[test]
fn a_drain_skips_hosts_that_refuse_and_says_why_when_none_is_left() {
    let scenario = scenario("prerequisites-drain");
    let [room, too_little, _] = &scenario.runs[..] else { panic!("three alternatives") };
    let records = run(room);
    assert_eq!(records.migrations.len(), 8);
    let elsewhere = records.migrations.iter().find(|m| m.destination.as_deref() != Some("node2"));
    assert!(elsewhere.is_none(), "{elsewhere:?}");
    let records = run(too_little);
    let stay: Vec<_> = records.migrations.iter().filter(|m| m.outcome == Outcome::NotStarted).collect();
    assert_eq!(stay.len(), 4);
    for migration in stay {
        assert!(migration.reason.contains("may not delegate") && migration.reason.contains("node4 lacks"));
        assert_eq!(migration.event_id, Some(21111));
    }
}

/// The most migrations at a time in which node1 took part.
fn most_at_a_time(records: &RunRecords) -> usize {
    let spans: Vec<_> =
        records.migrations.iter().map(|m| (m.started.unwrap(), m.started.unwrap() + m.total)).collect();
    let at = |time| spans.iter().filter(|(start, end)| *start <= time && time < *end).count();
    spans.iter().map(|(start, _)| at(*start)).max().unwrap()
}

#[test]
fn of_the_hosts_limit_and_the_clusters_the_smaller_holds() {
    let scenario = scenario("prerequisites-drain");
    assert_eq!(most_at_a_time(&run(&scenario.runs[0])), 2, "Hyper-V's default");
    assert_eq!(most_at_a_time(&run(&scenario.runs[2])), 1);
    let limits = |host: u32, cluster: u32| {
        let text = format!(
            r#"(hosts: [(name: "node{{1..2}}", memory: "64 GiB", migration: (simultaneous: {host}))],
            vms: [(name: "vm{{1..8}}", host: "node1", memory: "1 GiB")], plan: [Drain("node1")],
            administration: (maximum_parallel_migrations: {cluster}))"#
        );
        most_at_a_time(&run(&parse(&text, "limits.ron").unwrap().runs[0]))
    };
    assert_eq!((limits(3, 8), limits(8, 3), limits(10, 10)), (3, 3, 8));
}

#[test]
fn host_settings_default_to_those_of_hyper_v_and_are_read() {
    let text = r#"(hosts: [
        (name: "node1", memory: "64 GiB"),
        (name: "node2", memory: "64 GiB", migration: (simultaneous: 10)),
        (name: "node3", memory: "64 GiB", migration_limit: 20),
        (name: "node4", memory: "64 GiB", migration_limit: Unlimited),
    ], vms: [], plan: [])"#;
    let scenario = parse(text, "settings.ron").unwrap();
    let hosts = &scenario.runs[0].model.hosts;
    let limits: Vec<_> = hosts.iter().map(|host| host.migration_limit).collect();
    assert_eq!(limits, [Some(2), Some(10), Some(20), None]);
}

#[test]
fn the_check_grows_with_the_plan_and_not_with_time() {
    // Two phases an hour apart: the check follows the plan to its end, and runs nothing.
    let text = r#"(hosts: [(name: "node{1..3}", memory: "64 GiB")],
        vms: [(name: "vm{1..4}", host: "node1", memory: "8 GiB", workload: "database")],
        plan: [Drain("node1"), Phase(not_before: "1 h", tasks: [Drain("node2"), Drain("node3")])])"#;
    let checked = preflight(&parse(text, "phases.ron").unwrap().runs[0].model);
    // Drained hosts are closed to one another; node1 has room for all.
    assert_eq!(checked.moves.len(), 8);
    assert!(checked.can_run());
    assert!(checked.moves[4..].iter().all(|checked| checked.result.as_ref().is_ok_and(|host| host.0 == 0)));
}
