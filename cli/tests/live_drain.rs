//! A drain of real agents from plan to comparison, by the commands that docs/live.md gives; agents are
//! over the loopback interface here, so that it needs no root.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// A lab that is ended when the test is, however that ends.
struct Lab {
    directory: tempfile::TempDir,
}

impl Lab {
    fn up() -> Lab {
        let lab = Lab { directory: tempfile::tempdir().unwrap() };
        lab.done(&[
            "live",
            "lab",
            "up",
            "--hosts",
            "3",
            "--loopback",
            "--memory",
            "1 GiB",
            "--directory",
            "lab",
        ]);
        lab
    }

    fn migtwin(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_migtwin"));
        command.args(arguments).current_dir(self.directory.path()).output().unwrap()
    }

    /// Runs a command that must succeed; what it printed.
    fn done(&self, arguments: &[&str]) -> String {
        let output = self.migtwin(arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {told}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.migtwin(&["live", "lab", "down", "--directory", "lab"]);
    }
}

fn scenario() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/library/live-drain.ron");
    path.to_str().unwrap().to_string()
}

#[test]
fn a_host_of_six_guests_is_drained_and_compared_with_its_plan() {
    let (lab, file) = (Lab::up(), scenario());
    lab.done(&["live", "create", &file, "--lab", "lab"]);
    lab.done(&["simulate", &file, "--out", "planned"]);
    lab.done(&["plan", "drain", "host1", &file, "--replications", "20", "--out", "tonight.json"]);

    // What would be done touches nothing.
    let what_if = lab.done(&["live", "apply", "tonight.json", "--lab", "lab", "--what-if"]);
    assert!(what_if.contains("Moves, in their order"), "{what_if}");
    let held = lab.done(&["live", "lab", "status", "--directory", "lab"]);
    assert!(held.lines().next().unwrap().contains("vm6"), "all are still on host1: {held}");

    let go_on = ["--on-deviation", "go-on", "--limit", "400 Mbit/s"];
    let apply = ["live", "apply", "tonight.json", "--lab", "lab", "--out", "actual"];
    lab.done(&[&apply[..], &go_on[..]].concat());
    let held = lab.done(&["live", "lab", "status", "--directory", "lab"]);
    assert!(held.lines().next().unwrap().contains("no guests"), "{held}");

    let json = lab.done(&["compare-runs", "planned", "actual", "--format", "json"]);
    let compared: Value = serde_json::from_str(&json).unwrap();
    let run = &compared["runs"][0];
    assert_eq!(run["summary"]["compared"], 6, "{run}");
    for pair in run["migrations"].as_array().unwrap() {
        assert_eq!(pair["planned"]["destination"], pair["actual"]["destination"], "{pair}");
        assert!(pair["why"]["total_s"].is_number(), "{pair}");
    }

    // The hosts are no longer what the plan was made for.
    let again = lab.migtwin(&apply);
    let told = String::from_utf8_lossy(&again.stderr);
    assert_eq!(again.status.code(), Some(2), "{told}");
    assert!(told.contains("the inventory has changed since the plan was made"), "{told}");

    // Its journal says what would have become of each, at any moment of it.
    let journals = lab.directory.path().join("lab/host1/journals");
    let journal = std::fs::read_dir(journals).unwrap().next().unwrap().unwrap().path();
    let ended = lab.migtwin(&["live", "forecast", journal.to_str().unwrap()]);
    assert_eq!(ended.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("the migration had ended by then"));
    let at = after_the_first_round(&journal);
    let forecast = lab.done(&["live", "forecast", journal.to_str().unwrap(), "--at", &at, "--futures", "50"]);
    assert!(forecast.contains("leave it alone") && forecast.contains("pause after this round"), "{forecast}");
}

/// The time of the journal's first count, as the command line takes it.
fn after_the_first_round(journal: &Path) -> String {
    let text = std::fs::read_to_string(journal).unwrap();
    let counted = text.lines().find(|line| line.contains("Told") && line.contains("Counted")).unwrap();
    let line: Value = serde_json::from_str(counted).unwrap();
    line["Told"][0].as_str().unwrap().to_string()
}
