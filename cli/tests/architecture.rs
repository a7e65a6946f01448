//! The shape of the tree: which crate may depend on which, and how files look.
//!
//! ARCHITECTURE.md says the same in words; a change here is a change there.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A crate, the crates of ours that it may depend on, and those of others that only it may name.
const LAYERS: [(&str, &[&str]); 9] = [
    ("sim-core", &[]),
    ("algorithms", &["sim-core"]),
    ("models", &["sim-core", "algorithms"]),
    ("scenarios", &["sim-core", "algorithms", "models"]),
    ("calibration", &["sim-core", "algorithms", "models", "scenarios"]),
    ("reports", &["sim-core", "algorithms"]),
    ("live", &["sim-core", "algorithms", "models"]),
    ("migtwin", &["sim-core", "algorithms", "models", "scenarios", "calibration", "reports", "live"]),
    ("benches", &["sim-core", "algorithms", "models", "scenarios", "live"]),
];

/// Crates that only the ones named may depend on.
const CONFINED: [(&str, &[&str]); 6] = [
    ("polars", &["reports"]),
    ("polars-io", &["reports"]),
    ("plotters", &["reports"]),
    ("tokio", &["live", "migtwin"]),
    ("rustls", &["live"]),
    ("libc", &["live"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// What cargo says of our packages.
fn metadata() -> Vec<Value> {
    let arguments = ["metadata", "--no-deps", "--format-version", "1", "--offline"];
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// Each of our packages, and what it depends on when it is built for use.
fn packages() -> Vec<(String, BTreeSet<String>)> {
    let package = |package: &Value| {
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let used = dependencies.filter(|dependency| dependency["kind"] != "dev");
        let names = used.map(|dependency| dependency["name"].as_str().unwrap().to_string());
        (package["name"].as_str().unwrap().to_string(), names.collect())
    };
    metadata().iter().map(package).collect()
}

#[test]
fn arrows_point_down_only() {
    let packages = packages();
    assert_eq!(packages.len(), LAYERS.len(), "a crate that LAYERS does not name: {packages:?}");
    let ours: BTreeSet<&str> = LAYERS.iter().map(|(name, _)| *name).collect();
    for (name, dependencies) in &packages {
        let (_, allowed) = LAYERS.iter().find(|(layer, _)| layer == name).unwrap();
        for dependency in dependencies.iter().filter(|dependency| ours.contains(dependency.as_str())) {
            assert!(allowed.contains(&dependency.as_str()), "{name} must not depend on {dependency}");
        }
        for (confined, owners) in CONFINED {
            let may = owners.contains(&name.as_str());
            assert!(may || !dependencies.contains(confined), "{name} must not depend on {confined}");
        }
    }
}

/// Each crate may be used under either licence, and the texts of both are there.
#[test]
fn every_crate_names_its_licence() {
    let packages = metadata();
    assert_eq!(packages.len(), LAYERS.len());
    for package in packages {
        assert_eq!(package["license"], "MIT OR Apache-2.0", "{}", package["name"]);
    }
    for (file, begins) in [("LICENSE-MIT", "MIT License"), ("LICENSE-APACHE", "Apache License")] {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        assert!(text.trim_start().starts_with(begins), "{file}");
    }
}

fn source_files() -> Vec<PathBuf> {
    let output = Command::new("git").args(["ls-files", "*.rs"]).current_dir(root()).output();
    if let Ok(output) = output
        && output.status.success()
    {
        return String::from_utf8(output.stdout).unwrap().lines().map(|line| root().join(line)).collect();
    }
    // An archive without git: look for them.
    let mut found = Vec::new();
    let mut directories: Vec<PathBuf> =
        LAYERS.iter().map(|(name, _)| root().join(name.replace("migtwin", "cli"))).collect();
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn files_open_by_saying_what_they_are() {
    let files = source_files();
    assert!(files.len() > 50, "only {} files were found", files.len());
    for file in files.iter().filter(|file| file.exists()) {
        let text = std::fs::read_to_string(file).unwrap();
        assert!(text.starts_with("//!"), "{} does not open with //!", file.display());
    }
}

/// The longest that a function may be, its signature included. A file is cut where its idea ends, never by length.
const LONGEST_FUNCTION: usize = 70;

#[test]
fn functions_stay_short() {
    for file in source_files().iter().filter(|file| file.exists()) {
        let text = std::fs::read_to_string(file).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for (start, line) in lines.iter().enumerate().filter(|(_, line)| begins_function(line)) {
            // The files are formatted: a function ends where a brace stands as far in as its first line.
            let indent = &line[..line.len() - line.trim_start().len()];
            let ends = |line: &&str| line.strip_prefix(indent).is_some_and(|rest| rest.starts_with('}'));
            let length = lines[start..].iter().position(ends).map_or(1, |last| last + 1);
            // One that is declared only has no brace of its own.
            let declared =
                lines[start..].iter().take_while(|line| !line.contains('{')).any(|line| line.ends_with(';'));
            let (file, line) = (file.display(), line.trim());
            assert!(declared || length <= LONGEST_FUNCTION, "{file}: {length} lines: {line}");
        }
    }
}

fn begins_function(line: &str) -> bool {
    let mut words = line.split_whitespace().skip_while(|word| {
        word.starts_with("pub") || ["const", "unsafe", "extern", "\"C\"", "in", "super)"].contains(word)
    });
    words.next() == Some("fn")
}

/// Machines are drained by `settle` alone: what drives one is a `Host`.
#[test]
fn the_loop_that_drains_a_machine_stands_once() {
    let loops = ["algorithms/src/machine.rs", "algorithms/src/journal.rs"];
    let mut found = 0;
    for file in source_files().iter().filter(|file| file.exists()) {
        let relative = file.strip_prefix(root()).unwrap();
        let may = loops.iter().any(|path| relative == Path::new(path));
        let text = std::fs::read_to_string(file).unwrap();
        let polls = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .any(|line| line.contains(".poll()") && !line.contains("contains("));
        found += usize::from(polls);
        assert!(
            may || !polls,
            "{} drains a machine by itself; give it a Host and call settle",
            relative.display()
        );
    }
    assert_eq!(found, loops.len(), "the loop, and the machine with a journal that polls the one in it");
}

/// Pure crates read no clock, environment, file or thread, and draw from no global generator.
#[test]
fn pure_crates_do_no_io() {
    let forbidden = [
        "std::fs",
        "std::env",
        "std::net",
        "std::thread",
        "Instant::now",
        "SystemTime",
        "thread_rng",
        "rand::rng(",
        "std::process",
    ];
    for file in source_files().iter().filter(|file| file.exists()) {
        let relative = file.strip_prefix(root()).unwrap();
        let pure =
            ["sim-core/src", "algorithms/src", "models/src"].iter().any(|part| relative.starts_with(part));
        let text = std::fs::read_to_string(file).unwrap();
        for word in forbidden.iter().filter(|_| pure) {
            assert!(!text.contains(word), "{} names {word}", relative.display());
        }
    }
}
