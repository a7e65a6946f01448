//! `migtwin live` from outside: a lab, a migration in it beside its prediction, and nothing left behind.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const SCENARIO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/library/live-lab.ron");

fn migtwin(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_migtwin")).args(arguments).current_dir(directory).output().unwrap()
}

fn works(directory: &Path, arguments: &[&str]) -> String {
    let output = migtwin(directory, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "migtwin {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Ends the lab also where a test fails.
struct Lab<'a>(&'a Path);

impl Drop for Lab<'_> {
    fn drop(&mut self) {
        migtwin(self.0, &["live", "lab", "down"]);
    }
}

/// Whether there can be namespaces here; where not, says so, and fails in CI.
fn namespaces() -> bool {
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    let iproute = Command::new("ip").arg("-V").output().is_ok_and(|output| output.status.success());
    let there = root && iproute;
    if !there {
        let absent = "namespaces are absent: root and iproute2 are needed";
        assert!(std::env::var_os("CI_REQUIRE_LIVE").is_none(), "{absent}");
        eprintln!("NOT TESTED: {absent}");
    }
    there
}

/// Moves the scenario's guest to host2; the JSON of the run.
fn migrate(directory: &Path, more: &[&str]) -> Value {
    let mut arguments = vec!["live", "migrate", SCENARIO, "--vm", "vm1", "--to", "host2", "--format", "json"];
    arguments.extend(["--lab", "migtwin-lab"]);
    arguments.extend(more);
    serde_json::from_str(&works(directory, &arguments)).unwrap()
}

fn check_run(run: &Value) {
    assert_eq!((&run["planned"]["origin"], &run["actual"]["origin"]), (&"planned".into(), &"actual".into()));
    let [planned, actual] = ["planned", "actual"].map(|side| &run[side]["migrations"][0]);
    assert_eq!((&planned["outcome"], &actual["outcome"]), (&"completed".into(), &"completed".into()));
    let compared = run["planned"]["measured"].as_array().unwrap();
    assert_eq!(compared.len(), 4, "total, blackout, memory sent and rounds stand side by side");
    assert!(compared.iter().all(|each| each["planned"].is_number() && each["measured"].is_number()));
}

#[test]
fn a_lab_of_namespaces_is_made_used_and_leaves_nothing_behind() {
    if !namespaces() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let lab = Lab(directory.path());
    works(lab.0, &["live", "lab", "up", "--hosts", "2", "--link", "400mbit", "--memory", "512 MiB"]);
    let state = std::fs::read_to_string(lab.0.join("migtwin-lab/lab.json")).unwrap();
    let state: Value = serde_json::from_str(&state).unwrap();
    let prefix = state["prefix"].as_str().unwrap();
    assert!(belongings(prefix).len() >= 3, "a switch and two hosts");

    let again = migtwin(lab.0, &["live", "lab", "up"]);
    assert!(!again.status.success(), "there is one already");
    let run = migrate(lab.0, &["--streams", "2", "--out", "records"]);
    check_run(&run);
    assert!(lab.0.join("records/planned.json").exists() && lab.0.join("records/actual.json").exists());
    let compared = works(lab.0, &["compare-runs", "records/planned.json", "records/actual.json"]);
    assert!(compared.contains("vm1"), "{compared}");
    // What was measured calibrates; the prediction that lies beside it is no measurement.
    let fitted = works(lab.0, &["calibrate", "records", "--out", "preset.ron", "--format", "json"]);
    let fitted: Value = serde_json::from_str(&fitted).unwrap();
    let rate = fitted["fits"]["recorded"]["parameters"]["rate"]["value"].as_f64().unwrap() * 8.0;
    assert!((200e6..440e6).contains(&rate), "{rate} bit/s over a link of 400 Mbit/s");
    let predicted = works(lab.0, &["predict", "preset.ron", "records"]);
    assert!(predicted.contains("actual.json") && !predicted.contains("planned.json"), "{predicted}");
    let status = works(lab.0, &["live", "status", "--lab", "migtwin-lab"]);
    assert!(status.contains("vm1 running"), "{status}");
    assert_eq!(works(lab.0, &["live", "recover", "--lab", "migtwin-lab"]), "no hand-over is open\n");

    // As after a crash: an agent is killed, and a namespace is gone.
    let agent = std::fs::read_to_string(lab.0.join("migtwin-lab/host1/agent.pid")).unwrap();
    let agent: Value = serde_json::from_str(&agent).unwrap();
    let pid = agent["pid"].to_string();
    assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    assert!(Command::new("ip").args(["netns", "del", &format!("{prefix}h1")]).status().unwrap().success());
    let status = works(lab.0, &["live", "lab", "status"]);
    assert!(status.contains("does not answer") && status.contains("vm1"), "{status}");
    works(lab.0, &["live", "lab", "down"]);
    assert_eq!(belongings(prefix), [""; 0], "nothing is left");
    assert!(!lab.0.join("migtwin-lab").exists());
}

/// Namespaces and links whose names begin so.
fn belongings(prefix: &str) -> Vec<String> {
    let names = |arguments: &[&str]| {
        let output = Command::new("ip").args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let text = names(&["netns", "list"]) + &names(&["-brief", "link"]);
    let words = text.lines().filter_map(|line| line.split([' ', '@']).next());
    words.filter(|word| word.starts_with(prefix)).map(str::to_string).collect()
}

#[test]
fn agents_over_loopback_need_no_root() {
    let directory = tempfile::tempdir().unwrap();
    let lab = Lab(directory.path());
    works(lab.0, &["live", "lab", "up", "--loopback", "--memory", "512 MiB"]);
    check_run(&migrate(lab.0, &["--plain", "--compression", "lz4", "--limit", "1 Gbit/s"]));
    // It is there already: nothing is moved, and the exit status says so.
    let arguments = ["live", "migrate", SCENARIO, "--vm", "vm1", "--to", "host2", "--lab", "migtwin-lab"];
    let output = migtwin(lab.0, &arguments);
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    works(lab.0, &["live", "lab", "down"]);
    assert!(!lab.0.join("migtwin-lab").exists());
}

#[test]
fn identities_are_for_their_owner_and_are_not_replaced() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    works(directory.path(), &["live", "identity", "--out", "ids", "a", "b"]);
    let mode = std::fs::metadata(directory.path().join("ids/a.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    works(directory.path(), &["live", "identity", "--out", "ids", "c"]);
    let again = migtwin(directory.path(), &["live", "identity", "--out", "ids", "a"]);
    assert_eq!(again.status.code(), Some(3));
    let odd = migtwin(directory.path(), &["live", "identity", "--out", "ids", "../a"]);
    assert!(!odd.status.success(), "a name is a name, and no path");
}

#[test]
fn what_a_probe_measures_is_what_a_plan_with_its_preset_says() {
    let directory = tempfile::tempdir().unwrap();
    let lab = Lab(directory.path());
    works(lab.0, &["live", "lab", "up", "--loopback", "--memory", "256 MiB"]);
    let probe =
        ["live", "probe", "host1", "host2", "--lab", "migtwin-lab", "--for", "200 ms", "--memory", "8 MiB"];
    let few = ["--streams", "1,2", "--compression", "none,lz4", "--out", "probed.ron", "--format", "json"];
    let report: Value = serde_json::from_str(&works(lab.0, &[&probe[..], &few[..]].concat())).unwrap();
    let ways = report["ways"].as_array().unwrap();
    let seen: Vec<_> =
        ways.iter().map(|way| (way["streams"].as_u64(), way["compression"].as_str())).collect();
    let wanted = [(1, "none"), (2, "none"), (1, "lz4"), (2, "lz4")];
    assert_eq!(seen, wanted.map(|(streams, compression)| (Some(streams), Some(compression))));
    assert_eq!(report["comparable"], report["steal"].as_f64().unwrap() <= 0.06);

    let scenario = r#"(
        include: ["probed.ron"],
        hosts: [(name: "host{1..2}", memory: "16 GiB")],
        vms: [(name: "vm1", host: "host1", memory: "4 GiB")],
        hypervisor: (timing: (prepare: "0 s", prepare_serial: "0 s", pause: "0 s", resume: "0 s", finish: "0 s")),
        plan: [Drain("host1")],
    )"#;
    std::fs::write(lab.0.join("tonight.ron"), scenario).unwrap();
    let run = works(lab.0, &["simulate", "tonight.ron", "--format", "json"]);
    let run: Value = serde_json::from_str(&run).unwrap();
    let total = run["migrations"][0]["total_s"].as_f64().unwrap();
    let best = &ways[report["best"].as_u64().unwrap() as usize];
    let expected = (4_u64 << 30) as f64 / best["memory_bytes_per_s"].as_f64().unwrap();
    assert!((total / expected - 1.0).abs() < 0.02, "{total} s planned, {expected} s by the probe");
    works(lab.0, &["plan", "drain", "host1", "tonight.ron", "--replications", "3", "--out", "tonight.json"]);

    // One way only, for people; and nothing stays on the agents.
    let table = works(lab.0, &[&probe[..], &["--streams", "1", "--compression", "none", "--plain"]].concat());
    assert!(table.contains("not encrypted") && table.contains("core-s/GB"), "{table}");
    let status = works(lab.0, &["live", "status", "--lab", "migtwin-lab"]);
    assert!(!status.contains("probe"), "{status}");
    let unknown = migtwin(lab.0, &["live", "probe", "host1", "host9", "--lab", "migtwin-lab"]);
    assert_eq!(unknown.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("host9"));
}
