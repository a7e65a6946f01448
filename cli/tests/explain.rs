//! `migtwin explain`: what it says of guests that converge and of guests that do not.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn library(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/library").join(name)
}

fn explain(name: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_migtwin"));
    command.arg("explain").arg(library(name)).args(arguments).output().unwrap()
}

fn json(name: &str, arguments: &[&str]) -> Value {
    let output = explain(name, &[&["--format", "json"], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn one_guest_converges_and_the_other_does_not_and_both_say_why() {
    let (good, bad) = (json("precopy-101.ron", &[]), json("precopy-diverges.ron", &[]));
    let of = |report: &Value| report["explanations"][0].clone();
    assert_eq!(
        (of(&good)["converges"].as_bool(), of(&bad)["converges"].as_bool()),
        (Some(true), Some(false))
    );
    let lambda =
        |report: &Value| of(report)["explanation"]["convergence"]["lambda_at_stop"].as_f64().unwrap();
    assert!(lambda(&good) < 0.2 && lambda(&bad) > 1.2);
    let text = String::from_utf8(explain("precopy-diverges.ron", &[]).stdout).unwrap();
    assert!(text.contains("does not converge, stops after 10 passes"), "{text}");
}

/// What the closed form says of a quiet cluster, the simulation does.
#[test]
fn the_simulation_takes_as_many_passes_as_the_closed_form_says() {
    let passes =
        json("precopy-101.ron", &[])["explanations"][0]["explanation"]["convergence"]["passes"].clone();
    let mut command = Command::new(env!("CARGO_BIN_EXE_migtwin"));
    let output =
        command.arg("simulate").arg(library("precopy-101.ron")).args(["--format", "json"]).output().unwrap();
    let run: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rounds = run["migrations"][0]["rounds"].as_array().unwrap().len() as u64;
    assert_eq!(passes.as_u64(), Some(rounds - 1), "the last round is the pause");
}

#[test]
fn a_map_is_drawn_and_shown() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().to_str().unwrap();
    let output = explain("hypervisors.ron", &["--vm", "vm1", "--map", "downtime", "--out", out]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(" # #") && text.contains(" . .") && text.contains(" o"), "{text}");
    let svg = std::fs::read_to_string(directory.path().join("convergence-001.svg")).unwrap();
    assert!(svg.contains("Downtime limit") && svg.ends_with("</svg>\n"), "{}", &svg[svg.len() - 20..]);
}

#[test]
fn a_guest_that_is_not_there_is_named() {
    let output = explain("precopy-101.ron", &["--vm", "vm9"]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("there is no virtual machine `vm9`"), "{text}");
}
