//! Guests with disks from outside: a lab with shared storage, moves of a guest with its disk, of the disk alone, and
//! of a guest whose memory follows it, each beside its prediction; the commands of `docs/live.md`.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const SCENARIO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/library/live-disks.ron");

const MIB: u64 = 1 << 20;

fn migtwin(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_migtwin")).args(arguments).current_dir(directory).output().unwrap()
}

fn works(directory: &Path, arguments: &[&str]) -> (String, String) {
    let output = migtwin(directory, arguments);
    let errors = String::from_utf8_lossy(&output.stderr).to_string();
    assert!(output.status.success(), "migtwin {arguments:?}: {errors}");
    (String::from_utf8(output.stdout).unwrap(), errors)
}

/// Ends the lab also where a test fails.
struct Lab<'a>(&'a Path);

impl Drop for Lab<'_> {
    fn drop(&mut self) {
        migtwin(self.0, &["live", "lab", "down"]);
    }
}

/// Moves `db` to `host`; the JSON of the run, and what was said meanwhile.
fn migrate(lab: &Lab<'_>, host: &str, more: &[&str]) -> (Value, String) {
    let mut arguments = vec!["live", "migrate", SCENARIO, "--vm", "db", "--to", host, "--format", "json"];
    arguments.extend(["--lab", "migtwin-lab"]);
    arguments.extend(more);
    let (run, said) = works(lab.0, &arguments);
    (serde_json::from_str(&run).unwrap(), said)
}

fn sides(run: &Value) -> [&Value; 2] {
    ["planned", "actual"].map(|side| &run[side]["migrations"][0])
}

fn storage_sent(migration: &Value) -> u64 {
    migration["storage_bytes_sent"].as_u64().unwrap()
}

/// Files of disks below the lab's directory.
fn files(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "disk") {
            found.push(path.display().to_string());
        }
    }
    found.sort();
    found
}

#[test]
fn a_disk_moves_alone_and_then_with_its_guest() {
    let directory = tempfile::tempdir().unwrap();
    let lab = Lab(directory.path());
    works(lab.0, &["live", "lab", "up", "--loopback", "--memory", "512 MiB", "--shared-storage", "san"]);
    let (run, _) = migrate(&lab, "host1", &["--alternative", "alone", "--limit", "800 Mbit/s"]);
    for migration in sides(&run) {
        assert_eq!((&migration["kind"], &migration["memory_bytes_sent"]), (&"storage".into(), &0.into()));
        assert!((48 * MIB..64 * MIB).contains(&storage_sent(migration)), "{migration}");
    }
    let left = files(&lab.0.join("migtwin-lab"));
    assert!(left.len() == 2 && left[0].contains("host1/disks/host1-slow/db.os."), "{left:?}");

    let (run, said) = migrate(&lab, "host2", &["--limit", "800 Mbit/s", "--out", "records"]);
    assert!(
        said.contains("all 16384 pages and 20480 sectors of disks are as the guest wrote them"),
        "{said}"
    );
    for migration in sides(&run) {
        assert_eq!(
            (&migration["outcome"], &migration["kind"]),
            (&"completed".into(), &"shared_nothing".into())
        );
        let sent = storage_sent(migration);
        assert!(
            (48 * MIB..64 * MIB).contains(&sent),
            "the disk on host1, and what was written meanwhile: {sent}"
        );
    }
    assert_eq!(run["planned"]["measured"].as_array().unwrap().len(), 5, "storage sent is compared too");
    let (compared, _) = works(lab.0, &["compare-runs", "records/planned.json", "records/actual.json"]);
    assert!(compared.contains("storage sent"), "{compared}");
    let left = files(&lab.0.join("migtwin-lab"));
    let [on_host2, shared] = &left[..] else { panic!("one file for each of two disks: {left:?}") };
    assert!(on_host2.contains("host2/disks/host2-fast/db.os."), "{left:?}");
    assert!(shared.contains("/san/db.data."), "{left:?}");
    let (recovered, _) = works(lab.0, &["live", "recover", "--lab", "migtwin-lab"]);
    assert_eq!(recovered, "no hand-over is open\n");
}

#[test]
fn a_guest_runs_at_its_destination_before_its_memory() {
    let directory = tempfile::tempdir().unwrap();
    let lab = Lab(directory.path());
    works(lab.0, &["live", "lab", "up", "--loopback", "--memory", "512 MiB", "--shared-storage", "san"]);
    let (run, _) = migrate(&lab, "host2", &["--alternative", "post-copy", "--limit", "200 Mbit/s"]);
    for migration in sides(&run) {
        assert_eq!(
            (&migration["outcome"], &migration["reason"]),
            (&"completed".into(), &"switched to post-copy".into())
        );
        let rounds = migration["rounds"].as_array().unwrap();
        assert_eq!(rounds[rounds.len() - 1]["phase"], "post_copy", "{rounds:?}");
        let followed = &migration["impact"]["post_copy"];
        assert!(
            followed["duration_s"].as_f64().unwrap() > migration["blackout_s"].as_f64().unwrap(),
            "{migration}"
        );
    }
}

#[test]
fn an_agent_is_told_where_storage_is_and_how_much_disks_may_take() {
    let directory = tempfile::tempdir().unwrap();
    works(directory.path(), &["live", "identity", "--out", "ids", "a"]);
    let wrong = ["live", "agent", "--listen", "127.0.0.1:0", "--identity", "ids/a.json", "--storage", "san"];
    let output = migtwin(directory.path(), &wrong);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("storage is NAME=DIR, such as san=/mnt/san"), "{said}");
}
