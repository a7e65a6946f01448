//! `migtwin simulate` as programs and people use it.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn migtwin(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_migtwin"));
    command.args(arguments).current_dir(root());
    command
}

fn run(arguments: &[&str]) -> Output {
    migtwin(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn json(arguments: &[&str]) -> Value {
    let output = run(arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn library() -> Vec<PathBuf> {
    let files = std::fs::read_dir(root().join("scenarios/library")).unwrap();
    let mut files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "ron"));
    files.sort();
    files
}

#[test]
fn every_scenario_of_the_library_runs() {
    let files = library();
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        let output = run(&["simulate", file.to_str().unwrap()]);
        assert!(output.status.success(), "{}: {}", file.display(), text(&output.stderr));
        assert!(text(&output.stdout).contains("makespan"), "{}", file.display());
    }
}

#[test]
fn json_has_the_keys_of_version_2() {
    let run = json(&["simulate", "scenarios/library/precopy-101.ron", "--format", "json", "--seed", "9"]);
    assert_eq!(
        (&run["schema"], &run["seed"], &run["scenario"]),
        (&2.into(), &9.into(), &"precopy-101".into())
    );
    let migration = &run["migrations"][0];
    let keys = [
        "vm",
        "source",
        "destination",
        "kind",
        "transport",
        "outcome",
        "whereabouts",
        "stop",
        "reason",
        "event_id",
        "queued_s",
        "started_s",
        "total_s",
        "brownout_s",
        "blackout_s",
        "memory_bytes_sent",
        "storage_bytes_sent",
        "rounds",
    ];
    for key in keys {
        assert!(migration.get(key).is_some(), "a migration has no `{key}`");
    }
    for key in ["round", "start_s", "duration_s", "bytes_sent", "dirty_bytes_left", "rate_bits_per_s"] {
        assert!(migration["rounds"][0].get(key).is_some(), "a round has no `{key}`");
    }
    assert_eq!(run["makespan_s"], migration["total_s"]);
    assert!(run["events"].as_array().is_some_and(|events| !events.is_empty()));
}

#[test]
fn planned_stands_beside_measured_with_the_error() {
    let output = run(&["simulate", "scenarios/library/grid5000-plan.ron"]);
    let table = text(&output.stdout);
    assert!(table.contains("Planned beside measured") && table.contains("kherbache"), "{table}");
    assert!(table.contains("Error over the values that were predicted"), "{table}");
    let run = json(&["simulate", "scenarios/library/grid5000-plan.ron", "--format", "json"]);
    let total =
        run["measured"].as_array().unwrap().iter().find(|value| value["quantity"] == "makespan").unwrap();
    let (planned, measured) = (total["planned"].as_f64().unwrap(), total["measured"].as_f64().unwrap());
    let error = total["error_pct"].as_f64().unwrap();
    assert!((error - 100.0 * (planned / measured - 1.0)).abs() < 1e-9);
    // Kherbache's own planner is 19.4 % off on makespans; nothing here was fitted to this one.
    assert!(error.abs() < 10.0, "{error} %");
}

/// Same scenario, seed and version: byte-identical, on any number of threads.
#[test]
fn output_does_not_depend_on_the_number_of_threads() {
    let arguments =
        ["simulate", "scenarios/library/drain-rack.ron", "--replications", "6", "--format", "json"];
    let with_threads =
        |threads: &str| migtwin(&arguments).env("RAYON_NUM_THREADS", threads).output().unwrap().stdout;
    let alone = with_threads("1");
    assert!(!alone.is_empty());
    assert!(alone == with_threads("2"), "the output differs");
}

#[test]
fn replications_differ_in_their_luck_and_seeds_repeat_it() {
    let runs = |seed| {
        let arguments = [
            "simulate",
            "scenarios/library/drain-rack.ron",
            "--replications",
            "2",
            "--seed",
            seed,
            "--format",
            "json",
        ];
        let value = json(&arguments);
        [0, 1].map(|index| value["runs"][index]["makespan_s"].as_f64().unwrap())
    };
    let first = runs("5");
    assert_ne!(first[0], first[1]);
    assert_eq!(first, runs("5"));
    assert_ne!(first, runs("6"));
}

#[test]
fn a_report_is_written_whole() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("deep/report");
    let output = run(&["simulate", "scenarios/library/precopy-101.ron", "--out", out.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let mut files =
        vec!["report.html", "records.json", "figures/plan.svg", "figures/rounds-0.svg", "figures/links.svg"];
    files.extend(["migrations.parquet", "migrations.csv", "rounds.parquet", "resources.csv", "events.csv"]);
    for file in files {
        assert!(std::fs::metadata(out.join(file)).is_ok_and(|data| data.len() > 0), "{file} is missing");
        assert!(text(&output.stderr).contains(file), "what was written is said");
    }
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(
        page.contains("<svg") && !page.contains("http://") || page.contains("www.w3.org"),
        "it needs no network"
    );
}

#[test]
fn bad_input_exits_with_2_and_says_where() {
    let cases = [
        (vec!["simulate", "no-such-file.ron"], "cannot read no-such-file.ron"),
        (vec!["simulate", "scenarios/tests/bad/bad-unit.ron"], "bad-unit.ron:"),
        (vec!["simulate", "scenarios/tests/bad/unknown-host.ron"], "did you mean"),
        (vec!["simulate", "scenarios/tests/bad/negative-size.ron"], "negative"),
        (vec!["simulate", "scenarios/tests/bad/vm-on-no-host.ron"], "host"),
        (vec!["simulate", "scenarios/tests/bad/no-path.ron"], "path"),
        (vec!["simulate", "scenarios/tests/bad/cyclic-include.ron"], "include"),
        (vec!["simulate"], "<FILE>"),
        (vec!["simulate", "scenarios/library/precopy-101.ron", "--replications", "0"], "--replications"),
        (vec!["simulate", "scenarios/library/precopy-101.ron", "--seed", "-1"], "--seed"),
        (vec!["simulated"], "simulate"),
    ];
    for (arguments, expected) in cases {
        let output = run(&arguments);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.contains(expected), "{arguments:?}: {error}");
        assert!(output.stdout.is_empty(), "{arguments:?} prints data");
        assert!(!error.contains("panicked") && !error.contains('\u{1b}'), "{error}");
    }
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let output = run(&["simulate", "scenarios/library/precopy-101.ron", "--out", "/proc/no/report"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("/proc/no/report"), "{}", text(&output.stderr));
}

#[test]
fn a_reader_that_has_enough_is_no_failure() {
    let mut child = migtwin(&["schema"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn schema_presets_and_completions_are_for_programs_too() {
    let schema = json(&["schema"]);
    assert!(schema["$schema"].is_string() && schema["properties"]["hosts"].is_object());
    let presets = json(&["presets", "--format", "json"]);
    let names: Vec<&str> = presets["presets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|preset| preset["name"].as_str().unwrap())
        .collect();
    assert!(
        ["10GbE", "tcp", "hyper-v-2022", "database"].iter().all(|name| names.contains(name)),
        "{names:?}"
    );
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = run(&["completions", shell]);
        assert!(output.status.success() && text(&output.stdout).contains("migtwin"), "{shell}");
    }
}
