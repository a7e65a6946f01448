//! `migtwin plan drain`: the plan as an artifact.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::process::{Command, Output};

use algorithms::drain_plan::{DrainPlan, PlanError};

fn library(name: &str) -> String {
    format!("{}/../scenarios/library/{name}.ron", env!("CARGO_MANIFEST_DIR"))
}

fn drain(host: &str, scenario: &str, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_migtwin"));
    command.args(["plan", "drain", host, &library(scenario)]).args(more).output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_plan_names_every_move_in_order_and_is_kept_in_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tonight.json");
    let path = path.to_str().unwrap();
    let output = drain("node01", "drain-rack", &["--replications", "20", "--out", path]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("Moves, in their order") && shown.contains("simulated 20 times"), "{shown}");
    let plan: DrainPlan = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    plan.check().unwrap();
    let on_node01 = plan.inventory.guests.iter().filter(|guest| &*guest.host == "node01").count();
    assert_eq!(plan.moves.len(), on_node01);
    assert!(plan.stays.is_empty());
    assert!(plan.moves.is_sorted_by(|one, other| one.start_s.p50 <= other.start_s.p50));
    for each in &plan.moves {
        assert!(&*each.destination != "node01" && !each.reason.is_empty(), "{each:?}");
        assert!(each.total_s.p50 <= each.total_s.p95 && each.blackout_s.p50 < each.total_s.p50, "{each:?}");
        assert!(each.start_s.p95 + each.total_s.p50 <= plan.makespan_s.p95 * 1.5, "{each:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_plan() {
    let plan = || drain("node01", "drain-rack", &["--replications", "5", "--format", "json"]).stdout;
    assert_eq!(plan(), plan());
}

#[test]
fn guests_that_stay_are_told_with_their_reason() {
    let more = ["--replications", "3", "--alternative", "too little room on node2"];
    let output = drain("node1", "prerequisites-drain", &more);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let shown = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(shown.contains("Guests that stay"), "{shown}");
    assert!(shown.contains("refused by node3"), "{shown}");
}

#[test]
fn names_that_are_not_there_are_answered_with_those_that_are() {
    let output = drain("node99", "drain-rack", &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(told(&output).contains("there is no host `node99`"), "{}", told(&output));
    let output = drain("host", "finn-10gbe", &[]);
    assert!(told(&output).contains("name one by --alternative"), "{}", told(&output));
}

#[test]
fn a_plan_is_refused_where_the_inventory_has_changed() {
    let output = drain("node01", "drain-rack", &["--replications", "1", "--format", "json"]);
    let plan: DrainPlan = serde_json::from_slice(&output.stdout).unwrap();
    let mut now = plan.inventory.clone();
    now.guests.reverse();
    assert_eq!(plan.fits(&now), Ok(()), "order does not matter");
    now.guests[0].host = now.hosts[5].name.clone();
    let Err(PlanError::Changed { what }) = plan.fits(&now) else { panic!("a guest has moved") };
    assert!(what.contains("ran on"), "{what}");
    now.guests.remove(0);
    assert!(plan.fits(&now).unwrap_err().to_string().contains("is gone"));
    let mut altered = plan.clone();
    altered.inventory.guests.pop();
    assert_eq!(altered.check(), Err(PlanError::Altered));
}
