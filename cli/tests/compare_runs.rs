//! `migtwin compare-runs`, as a user meets it.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn migtwin(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_migtwin")).args(arguments).output().unwrap()
}

fn library(name: &str) -> String {
    format!("{}/../scenarios/library/{name}.ron", env!("CARGO_MANIFEST_DIR"))
}

/// The records of a scenario in a file of `directory`.
fn records(directory: &Path, scenario: &str, seed: &str) -> PathBuf {
    let output = migtwin(&["simulate", &library(scenario), "--seed", seed, "--format", "json"]);
    let path = directory.join(format!("{scenario}-{seed}.json"));
    std::fs::write(&path, output.stdout).unwrap();
    path
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn two_runs_of_a_drain_are_compared_in_text_json_and_page() {
    let directory = tempfile::tempdir().unwrap();
    let (planned, actual) =
        (records(directory.path(), "drain-rack", "1"), records(directory.path(), "drain-rack", "2"));
    let page = directory.path().join("comparison.html");
    let output = migtwin(&["compare-runs", text(&planned), text(&actual), "--html", text(&page)]);
    assert_eq!(output.status.code(), Some(0));
    let shown = String::from_utf8(output.stdout).unwrap();
    for expected in ["What made the difference", "Error of total time: mean", "(whole run)"] {
        assert!(shown.contains(expected), "{expected} in {shown}");
    }
    assert!(std::fs::read_to_string(page).unwrap().contains("Planned beside actual"));
    let output = migtwin(&["compare-runs", text(&planned), text(&actual), "--format", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["schema"], 2);
    let first = &json["runs"][0]["migrations"][0];
    let difference =
        first["actual"]["total_s"].as_f64().unwrap() - first["planned"]["total_s"].as_f64().unwrap();
    assert!((first["why"]["total_s"].as_f64().unwrap() - difference).abs() < 1e-6);
}

#[test]
fn the_directory_of_a_report_is_a_plan_too() {
    let directory = tempfile::tempdir().unwrap();
    let report = directory.path().join("report");
    migtwin(&["simulate", &library("precopy-101"), "--out", text(&report)]);
    let output = migtwin(&["compare-runs", text(&report), text(&report)]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8(output.stdout).unwrap().contains("mean 0.0 %"));
}

#[test]
fn what_cannot_be_compared_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let several = records(directory.path(), "finn-10gbe", "1");
    let scenario = library("finn-10gbe");
    for (arguments, expected) in [
        (vec!["compare-runs", text(&several), text(&several)], "name one by --alternative: 1 GbE, 1 guest"),
        (vec!["compare-runs", &scenario, text(&several)], "not the records of a run"),
        (vec!["compare-runs", "/nowhere/records.json", text(&several)], "No such file"),
    ] {
        let output = migtwin(&arguments);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(expected), "{told}");
    }
    let chosen = ["compare-runs", text(&several), text(&several), "--alternative", "10 GbE, 20 guests"];
    let output = migtwin(&chosen);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}
