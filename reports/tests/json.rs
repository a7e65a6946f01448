//! The JSON of version 2: exactly the promised keys, base units, and nothing that is no JSON.

#![allow(clippy::unwrap_used, reason = "tests")]

mod fixtures;

use std::collections::BTreeMap;

use reports::compare::compare;
use reports::{ReportInput, report_json, run_json};
use serde_json::Value;

const RUN: [&str; 6] = ["schema", "scenario", "seed", "makespan_s", "migrations", "events"];
const MIGRATION: [&str; 20] = [
    "migration",
    "vm",
    "source",
    "destination",
    "kind",
    "transport",
    "outcome",
    "whereabouts",
    "reason",
    "stop",
    "event_id",
    "queued_s",
    "started_s",
    "total_s",
    "brownout_s",
    "blackout_s",
    "memory_bytes_sent",
    "storage_bytes_sent",
    "round_count",
    "rounds",
];
const ROUND: [&str; 7] =
    ["migration", "round", "start_s", "duration_s", "bytes_sent", "dirty_bytes_left", "rate_bits_per_s"];
const EVENT: [&str; 8] = ["time_s", "level", "kind", "event_id", "migration", "vm", "host", "message"];
const MEASURED: [&str; 7] = ["subject", "quantity", "unit", "planned", "measured", "error_pct", "calibrated"];

fn sorted<'a>(keys: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut keys: Vec<String> = keys.into_iter().map(str::to_string).collect();
    keys.sort();
    keys
}

fn keys(value: &Value) -> Vec<String> {
    sorted(value.as_object().unwrap().keys().map(String::as_str))
}

#[test]
fn the_keys_are_those_that_were_promised() {
    let run = fixtures::small();
    let compared = compare(&run, &fixtures::measured());
    let json = serde_json::to_value(run_json(&run, &compared)).unwrap();
    let extra = ["alternative", "replication", "origin", "measured"];
    assert_eq!(keys(&json), sorted(RUN.into_iter().chain(extra)));
    assert_eq!(keys(&json["migrations"][0]), sorted(MIGRATION));
    assert_eq!(
        keys(&json["migrations"][0]["rounds"][0]),
        sorted(ROUND.into_iter().chain(["phase", "throttle_percent"]))
    );
    assert_eq!(keys(&json["events"][0]), sorted(EVENT));
    assert_eq!(keys(&json["measured"][0]), sorted(MEASURED));
}

#[test]
fn measured_stands_only_where_something_was_measured() {
    let run = fixtures::small();
    let json = serde_json::to_value(run_json(&run, &[])).unwrap();
    assert!(json.get("measured").is_none());
}

#[test]
fn bytes_are_integers_and_times_are_seconds() {
    let run = fixtures::small();
    let json = serde_json::to_value(run_json(&run, &[])).unwrap();
    let first = &json["migrations"][0];
    assert_eq!(first["memory_bytes_sent"].as_u64(), Some(run.migrations[0].memory_bytes_sent.get()));
    assert!(first["rounds"][0]["bytes_sent"].is_u64() && first["rounds"][0]["dirty_bytes_left"].is_u64());
    assert_eq!(first["blackout_s"].as_f64(), Some(run.migrations[0].blackout.as_secs_f64()));
    assert_eq!(first["rounds"].as_array().map(Vec::len), Some(3));
    let never_began = &json["migrations"][2];
    assert_eq!((&never_began["started_s"], &never_began["destination"]), (&Value::Null, &Value::Null));
    assert_eq!(never_began["outcome"], "not_started");
}

#[test]
fn one_run_is_an_object_and_several_are_a_list_of_them() {
    let one = ReportInput { runs: vec![fixtures::small()], ..Default::default() };
    let two = ReportInput { runs: vec![fixtures::small(), fixtures::small()], ..Default::default() };
    let one: Value = serde_json::from_str(&report_json(&one).unwrap()).unwrap();
    let two: Value = serde_json::from_str(&report_json(&two).unwrap()).unwrap();
    assert_eq!(one["scenario"], "precopy-101");
    assert_eq!((&two["schema"], &two["runs"][1]), (&Value::from(2), &one));
}

#[test]
fn the_text_of_a_small_run() {
    let mut run = fixtures::small();
    run.migrations.remove(1);
    let measured = BTreeMap::from([(0, fixtures::measured())]);
    let input = ReportInput { runs: vec![run], measured, ..Default::default() };
    insta::assert_snapshot!(report_json(&input).unwrap());
}
