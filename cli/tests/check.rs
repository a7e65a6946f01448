//! `migtwin check` and `migtwin events` as programs and people use them.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const DRAIN: &str = "scenarios/library/prerequisites-drain.ron";
const AUTHENTICATION: &str = "scenarios/library/prerequisites-authentication.ron";

fn run(arguments: &[&str]) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    Command::new(env!("CARGO_BIN_EXE_migtwin")).args(arguments).current_dir(root).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Standard output as JSON, and the exit status.
fn json(arguments: &[&str]) -> (Value, i32) {
    let output = run(&[arguments, &["--format", "json"]].concat());
    (serde_json::from_slice(&output.stdout).unwrap(), output.status.code().unwrap())
}

#[test]
fn a_plan_that_can_run_exits_with_0_and_one_that_cannot_with_1() {
    let good = run(&["check", "scenarios/library/drain-rack.ron", "scenarios/library/precopy-101.ron"]);
    assert_eq!(good.status.code(), Some(0), "{}", text(&good.stderr));
    assert!(text(&good.stdout).contains("20 moves, all can run") && good.stderr.is_empty());
    let bad = run(&["check", "scenarios/library/precopy-101.ron", DRAIN]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(text(&bad.stderr).contains("the plan cannot run as it stands: 4 moves"), "{}", text(&bad.stderr));
    let nowhere = run(&["check", "no-such-file.ron"]);
    assert_eq!(nowhere.status.code(), Some(2));
}

#[test]
fn one_missing_delegation_is_told_once_for_all_guests() {
    let output = run(&["check", DRAIN]);
    let table = text(&output.stdout);
    let too_little = table.split("\n\nprerequisites-drain").nth(1).unwrap();
    assert_eq!(too_little.matches("event 21111").count(), 1, "{too_little}");
    assert!(too_little.contains("vm5, vm6, vm7, vm8, vm1, vm2 and 2 more"), "{too_little}");
    assert!(too_little.contains("Set-ADComputer \"node1\""), "{too_little}");
}

#[test]
fn json_has_every_move_and_every_finding_with_its_fix() {
    let (report, status) = json(&["check", DRAIN]);
    assert_eq!((status, &report["schema"]), (1, &1.into()));
    let check = &report["checks"][1];
    assert_eq!(check["blocked"], 4);
    let moves = check["moves"].as_array().unwrap();
    let stay = moves.iter().filter(|each| each["destination"].is_null() && each["reason"].is_string());
    assert_eq!((moves.len(), stay.count()), (8, 4));
    let finding = &check["findings"][0];
    assert_eq!((&finding["rule"], &finding["event_id"]), (&"delegation".into(), &21111.into()));
    assert_eq!((&finding["blocks"], &finding["diverts"]), (&4.into(), &4.into()));
    assert_eq!(finding["destinations"], serde_json::json!(["node3"]));
    assert!(["message", "cause", "fix"].iter().all(|key| finding[key].is_string()));
}

#[test]
fn explain_says_of_every_rule_why_it_holds_or_not() {
    let (report, status) = json(&["check", DRAIN, "--explain", "vm1", "node4"]);
    assert_eq!(status, 1);
    let rules = report["explanations"][0]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 16);
    assert!(rules.iter().all(|rule| rule["why"].as_str().is_some_and(|why| !why.is_empty())));
    let broken: Vec<&Value> = rules.iter().filter(|rule| rule["holds"] == false).collect();
    assert_eq!(broken.len(), 1);
    assert_eq!(broken[0]["rule"], "processor_features");
    let (_, status) = json(&["check", DRAIN, "--explain", "vm1", "node2"]);
    assert_eq!(status, 0);
    let output = run(&["check", DRAIN, "--explain", "vm1", "node4"]);
    let table = text(&output.stdout);
    assert!(table.contains("FAIL") && table.contains("pass") && table.contains("Set-VMProcessor"), "{table}");
    let unknown = run(&["check", DRAIN, "--explain", "vm1", "node9"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("there is no host `node9`"), "{}", text(&unknown.stderr));
}

#[test]
fn the_networks_that_were_chosen_are_explained() {
    let network = "scenarios/library/prerequisites-network.ron";
    let output = run(&["check", network, "--explain", "vm1", "node2"]);
    assert!(text(&output.stdout).contains("10.10.50.0/24, priority 1"), "{}", text(&output.stdout));
}

#[test]
fn events_show_the_log_with_the_newest_last_by_level_and_number() {
    let (all, status) = json(&["events", DRAIN, "--last", "0"]);
    assert_eq!(status, 0);
    let events = all["runs"][0]["events"].as_array().unwrap();
    // Eight guests, each started and completed, with three lines of its worker.
    assert_eq!(events.len(), 40);
    let times: Vec<f64> = events.iter().map(|event| event["time_created_s"].as_f64().unwrap()).collect();
    assert!(times.is_sorted() && times[0] == 0.0);
    let (few, _) = json(&["events", DRAIN, "--last", "3"]);
    assert_eq!(few["runs"][0]["events"].as_array().unwrap()[..], events[37..]);
    let (errors, _) = json(&["events", DRAIN, "--level", "warning,error"]);
    let of_run = |index: usize| errors["runs"][index]["events"].as_array().unwrap().clone();
    assert_eq!((of_run(0).len(), of_run(1).len()), (0, 4));
    for event in of_run(1) {
        assert_eq!((&event["id"], &event["level"]), (&21111.into(), &"error".into()));
        assert!(event["fix"].as_str().unwrap().contains("Set-ADComputer"), "{event}");
        assert_eq!(event["category"], "authentication");
    }
}

#[test]
fn the_log_has_what_a_worker_logs_of_a_migration_that_went_well() {
    let (log, _) = json(&["events", "scenarios/library/precopy-101.ron", "--last", "0"]);
    let events = log["runs"][0]["events"].as_array().unwrap();
    let ids: Vec<u64> = events.iter().filter_map(|event| event["id"].as_u64()).collect();
    assert_eq!(ids, [20413, 20418, 22508, 22509, 22507]);
    let message = |id: u64| {
        let event = events.iter().find(|event| event["id"] == id).unwrap();
        event["message"].as_str().unwrap().to_string()
    };
    assert!(message(22509).contains("stood still") && message(22507).contains("rounds"), "{log}");
}

#[test]
fn failures_stand_in_the_log_with_category_cause_and_fix() {
    let failures = "scenarios/library/failures.ron";
    let (log, _) = json(&["events", failures, "--level", "error"]);
    let run = |name: &str| {
        let runs = log["runs"].as_array().unwrap().iter();
        runs.clone().find(|run| run["alternative"] == name).unwrap()["events"].as_array().unwrap().clone()
    };
    let flap = run("long flap");
    assert_eq!((&flap[0]["id"], &flap[0]["category"]), (&21502.into(), &"network".into()));
    assert!(flap[0]["fix"].as_str().unwrap().contains("Test-NetConnection"), "{}", flap[0]);
    assert_eq!(run("destination dies").len(), 3, "the host's death, and both migrations to it");
    assert!(run("short flap").is_empty() && run("clean-up fails").is_empty());
    let (check, status) = json(&["check", failures]);
    assert_eq!(status, 0, "what breaks later is not known before: {check}");
}

#[test]
fn a_check_names_rule_event_and_fix_of_what_storage_refuses() {
    let (report, status) = json(&["check", "scenarios/library/shared-storage-refusal.ron"]);
    assert_eq!(status, 1);
    let checks = report["checks"].as_array().unwrap().iter();
    let findings: Vec<&Value> = checks.flat_map(|check| check["findings"].as_array().unwrap()).collect();
    let storage = findings.iter().find(|finding| finding["rule"] == "storage_reachable").unwrap();
    assert_eq!((&storage["category"], &storage["event_id"]), (&"storage".into(), &21502.into()));
    assert!(storage["fix"].as_str().unwrap().contains("-IncludeStorage"), "{storage}");
}

#[test]
fn events_are_a_table_with_the_columns_of_get_winevent() {
    let output = run(&["events", AUTHENTICATION, "--level", "error"]);
    let table = text(&output.stdout);
    for column in ["TimeCreated", "Id", "LevelDisplayName", "Message"] {
        assert!(table.contains(column), "{table}");
    }
    assert!(
        table.contains("21111") && table.contains("Error") && table.contains("no such events"),
        "{table}"
    );
    assert!(!table.contains("Information"), "{table}");
}

#[test]
fn events_follow_the_seed() {
    let of = |seed| {
        json(&["events", "scenarios/library/drain-rack.ron", "--seed", seed]).0["runs"][0]["events"].clone()
    };
    assert_eq!(of("5"), of("5"));
    assert_ne!(of("5"), of("6"));
}

const MAINTENANCE: &str = "scenarios/library/rolling-maintenance-16.ron";

#[test]
fn the_check_of_a_night_of_maintenance_names_what_stays_and_what_is_stopped() {
    let output = run(&["check", MAINTENANCE]);
    assert_eq!(output.status.code(), Some(1));
    let all = text(&output.stdout);
    let plans: Vec<&str> = all.split("rolling-maintenance-16 · ").skip(1).collect();
    let [one_by_one, forced, _] = plans[..] else { panic!("{all}") };
    assert!(one_by_one.contains("144 GiB are needed"), "{one_by_one}");
    assert!(one_by_one.contains("no possible owner of it"), "{one_by_one}");
    assert!(one_by_one.contains("event 21111 · blocks 1 move"), "{one_by_one}");
    assert!(forced.contains("stops 1 guest") && forced.contains("forced drain of node12"), "{forced}");
    let (report, status) = json(&["check", MAINTENANCE]);
    assert_eq!((status, &report["checks"][0]["blocked"]), (1, &3.into()));
    let moves = report["checks"][0]["moves"].as_array().unwrap();
    let front = moves.iter().find(|each| each["vm"] == "front1").unwrap();
    assert_eq!(front["kind"], "live");
    assert!(front["why"].as_str().unwrap().starts_with("drain of node01"), "{front}");
}

#[test]
fn the_report_of_a_night_of_maintenance_says_how_and_why_each_role_moved() {
    let output = run(&["simulate", MAINTENANCE]);
    let table = text(&output.stdout);
    assert!(table.contains("drain of node01, High priority; to node06: the most free memory"), "{table}");
    assert!(table.contains("failback to node01, Low priority, below the threshold and so quick"), "{table}");
    let log = run(&["events", MAINTENANCE, "--level", "error", "--last", "0"]);
    assert!(text(&log.stdout).contains("drain failed: 1 role could not be moved: warehouse"));
}
