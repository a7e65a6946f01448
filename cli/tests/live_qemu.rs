//! `migtwin live qemu`: a drain of two real guests, planned beside actual. Needs qemu-system-x86_64, `as` and `ld`;
//! says so where they are missing, and fails then under CI_REQUIRE_LIVE=1.

#![allow(clippy::unwrap_used)]

use std::process::Command;

use serde_json::Value;

const SCENARIO: &str = r#"(
    hosts: [(name: "a", memory: "4 GiB", migration_limit: 2), (name: "b", memory: "4 GiB", migration_limit: 2)],
    vms: [
        (name: "web", host: "a", memory: "48 MiB", workload: Uniform(rate: "4 MB/s", working_set: "16 MiB")),
        (name: "log", host: "a", memory: "32 MiB", workload: Linear(rate: "2 MB/s", working_set: "16 MiB")),
    ],
    hypervisor: (preset: "qemu-7.2", policy: Qemu(max_bandwidth: "400 Mbit/s")),
    plan: [Drain("a"), Drain("b")],
)"#;

fn is_there() -> bool {
    let needed = ["qemu-system-x86_64", "as", "ld"];
    let missing = needed.iter().find(|program| Command::new(program).arg("--version").output().is_err());
    let Some(program) = missing else { return true };
    let words = format!("NOT TESTED: there is no {program}; apt-get install qemu-system-x86 binutils");
    assert!(std::env::var("CI_REQUIRE_LIVE").as_deref() != Ok("1"), "{words}");
    eprintln!("{words}");
    false
}

#[test]
fn live_qemu_drains_a_host_and_back_for_real() {
    if !is_there() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (file, out) = (directory.path().join("drain.ron"), directory.path().join("out"));
    std::fs::write(&file, SCENARIO).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_migtwin"));
    command.args(["live", "qemu", "--accelerator", "tcg", "--format", "json", "--out"]).arg(&out).arg(&file);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let run: Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = |which: &str| run[which]["migrations"].as_array().unwrap().clone();
    let moved = |which: &str| -> Vec<(String, String, String)> {
        let text = |record: &Value, field: &str| record[field].as_str().unwrap().to_string();
        of(which).iter().map(|one| (text(one, "vm"), text(one, "source"), text(one, "outcome"))).collect()
    };
    assert_eq!(moved("actual").len(), 4, "there and back: {said}");
    assert_eq!(moved("planned"), moved("actual"), "the same orchestrator gives the same moves");
    assert_eq!(run["actual"]["run"]["origin"], "actual");
    for proof in run["proofs"].as_array().unwrap() {
        assert!(proof["damage"].is_null() && proof["pages_verified"].as_u64() > Some(5_000), "{proof}");
    }
    for name in ["planned.json", "predicted.json", "actual.json", "0.journal", "3.journal"] {
        assert!(out.join(name).metadata().unwrap().len() > 100, "{name}");
    }
    let mut compare = Command::new(env!("CARGO_BIN_EXE_migtwin"));
    compare.arg("compare-runs").arg(out.join("planned.json")).arg(out.join("actual.json"));
    assert!(compare.output().unwrap().status.success());
}

#[test]
fn live_qemu_says_what_it_needs() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("hyper-v.ron");
    std::fs::write(
        &file,
        SCENARIO.replace("(preset: \"qemu-7.2\", policy: Qemu(max_bandwidth: \"400 Mbit/s\"))", "\"xen\""),
    )
    .unwrap();
    let run = |file: &std::path::Path, program: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_migtwin"));
        let output = command.args(["live", "qemu", "--qemu", program]).arg(file).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (status, said) = run(&file, "qemu-system-x86_64");
    assert!(status == Some(3) && said.contains("qemu-7.2"), "{said}");
    std::fs::write(&file, SCENARIO).unwrap();
    let (status, said) = run(&file, "qemu-that-is-not-there");
    assert!(status == Some(3) && said.contains("apt-get install"), "{said}");
}
