//! A drain of real agents whose guests have disks, from plan to comparison, by the commands of docs/live.md; agents are over
//! the loopback interface here, so that it needs no root.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::{Command, Output};

use live::client::Client;
use live::identity::load_identity;
use live::tls::Credentials;
use serde_json::Value;

const SCENARIO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/library/live-drain-disks.ron");

const MIB: u64 = 1 << 20;

/// A lab that is ended when the test is, however that ends.
struct Lab(tempfile::TempDir);

impl Lab {
    /// Three agents that share `san`, with the scenario's guests on the first.
    fn up() -> Lab {
        let lab = Lab(tempfile::tempdir().unwrap());
        let size = ["--memory", "1 GiB", "--shared-storage", "san"];
        lab.done(&[&["live", "lab", "up", "--hosts", "3", "--loopback"], &size[..]].concat());
        lab.done(&["live", "create", SCENARIO, "--lab", "migtwin-lab"]);
        lab
    }

    fn migtwin(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_migtwin"));
        command.args(arguments).current_dir(self.0.path()).output().unwrap()
    }

    /// Runs a command that must succeed; what it printed, and what it told.
    fn works(&self, arguments: &[&str]) -> (String, String) {
        let output = self.migtwin(arguments);
        let told = String::from_utf8_lossy(&output.stderr).to_string();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {told}");
        (String::from_utf8(output.stdout).unwrap(), told)
    }

    fn done(&self, arguments: &[&str]) -> String {
        self.works(arguments).0
    }

    /// The agent of a host.
    fn client(&self, host: &str) -> Client {
        let lab = live::lab::load(&self.0.path().join("migtwin-lab")).unwrap();
        let credentials = Credentials::new(&load_identity(&lab.operator).unwrap()).unwrap();
        let host = lab.hosts.iter().find(|each| each.name == host).unwrap();
        Client::connect(&host.address, &credentials).unwrap()
    }

    /// Looks at every page and every sector of what a host has; its guests, and on which storage their disks are.
    fn verified(&self, host: &str) -> Vec<(String, Vec<String>)> {
        let mut client = self.client(host);
        let mut found = Vec::new();
        for guest in client.describe().unwrap().guests {
            let spec = guest.spec;
            let proof = client.verify(&spec.name).unwrap();
            assert_eq!(proof.wrong, [""; 0], "{} on {host}", spec.name);
            assert_eq!(proof.pages, 32 * MIB / 4096);
            let bytes: u64 = spec.disks.iter().map(|disk| disk.bytes.get()).sum();
            assert_eq!(proof.disks.sectors, bytes / 4096, "{} on {host}", spec.name);
            found.push((spec.name, spec.disks.into_iter().map(|disk| disk.on).collect()));
        }
        found.sort();
        found
    }

    /// Files of disks below a directory of the lab.
    fn files(&self, below: &str) -> usize {
        count(&self.0.path().join("migtwin-lab").join(below))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.migtwin(&["live", "lab", "down"]);
    }
}

fn count(directory: &Path) -> usize {
    let entries = std::fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { count(&path) } else { usize::from(is_disk(&path)) }).sum()
}

fn is_disk(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "disk")
}

#[test]
fn a_host_is_drained_of_guests_with_their_disks_and_compared_with_its_plan() {
    let lab = Lab::up();
    assert_eq!((lab.files("host1"), lab.files("storage")), (2, 3));
    lab.done(&["simulate", SCENARIO, "--out", "planned"]);
    let planned =
        lab.done(&["plan", "drain", "host1", SCENARIO, "--replications", "20", "--out", "tonight.json"]);
    for line in ["Their disks", "24 MiB", "host1-disk", "shared nothing"] {
        assert!(planned.contains(line), "`{line}` is missing: {planned}");
    }
    let rows: Vec<&str> = planned.lines().skip_while(|line| !line.contains("Their disks")).collect();
    let row = |vm: &str, disk: &str| {
        let words = |line: &&&str| line.contains(&format!(" {vm} ")) && line.contains(&format!(" {disk} "));
        rows.iter().find(words).unwrap_or_else(|| panic!("{vm} {disk}: {planned}")).to_string()
    };
    assert!(row("db1", "os").contains("-disk ") && !row("db1", "os").contains("stays"), "{planned}");
    assert!(row("db2", "data").contains("stays; host"), "{planned}");
    assert!(row("web", "os").contains("stays; host"), "{planned}");

    // What would be done says the same, and touches nothing.
    let apply = ["live", "apply", "tonight.json", "--lab", "migtwin-lab"];
    let what_if = lab.done(&[&apply[..], &["--what-if"]].concat());
    assert_eq!(what_if, planned);
    assert_eq!(lab.verified("host1").len(), 4);

    let go_on = ["--on-deviation", "go-on", "--limit", "400 Mbit/s", "--out", "actual"];
    let (records, told) = lab.works(&[&apply[..], &go_on[..]].concat());
    assert!(told.contains("with 24 MiB of disks: started"), "{told}");
    assert!(told.contains("storage 0 %: copying disk `os`, 24 MiB, from `host1-disk`"), "{told}");
    assert!(records.contains("storage"), "the table has what was sent of disks: {records}");

    assert_eq!(lab.verified("host1"), []);
    let mut all = Vec::new();
    for host in ["host2", "host3"] {
        for (guest, disks) in lab.verified(host) {
            let own = format!("{host}-disk");
            let expected = match guest.as_str() {
                "db1" | "db2" => vec![own, "san".to_string()],
                "web" => vec!["san".to_string()],
                _ => vec![],
            };
            assert_eq!(disks, expected, "{guest}");
            all.push(guest);
        }
    }
    all.sort();
    assert_eq!(all, ["cache", "db1", "db2", "web"]);
    let left = (lab.files("host1"), lab.files("host2") + lab.files("host3"), lab.files("storage"));
    assert_eq!(left, (0, 2, 3), "one copy of each disk, and what is shared stays");

    let json = lab.done(&["compare-runs", "planned", "actual", "--format", "json"]);
    let compared: Value = serde_json::from_str(&json).unwrap();
    let run = &compared["runs"][0];
    assert_eq!(run["summary"]["compared"], 4, "{run}");
    for pair in run["migrations"].as_array().unwrap() {
        let vm = pair["vm"].as_str().unwrap();
        assert_eq!(pair["planned"]["destination"], pair["actual"]["destination"], "{vm}");
        assert_eq!(pair["planned"]["kind"], pair["actual"]["kind"], "{vm}");
        let sent = &pair["storage_bytes_sent"];
        if !vm.starts_with("db") {
            assert!(sent.is_null(), "{pair}");
            continue;
        }
        for side in ["planned", "actual"] {
            assert!(sent[side].as_f64().unwrap() >= (24 * MIB) as f64, "{pair}");
        }
    }
    let table = lab.done(&["compare-runs", "planned", "actual"]);
    assert!(table.contains("storage sent"), "{table}");
    assert_eq!(lab.done(&["live", "recover", "--lab", "migtwin-lab"]), "no hand-over is open\n");
}

#[test]
fn a_plan_is_refused_after_a_disk_was_moved_and_after_an_older_migtwin() {
    let lab = Lab::up();
    lab.done(&["plan", "drain", "host1", SCENARIO, "--replications", "2", "--out", "tonight.json"]);
    let refusal = |plan: &str| {
        let output = lab.migtwin(&["live", "apply", plan, "--lab", "migtwin-lab", "--what-if"]);
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    // As one that knew of no disks would have written it.
    let path = lab.0.path().join("tonight.json");
    let mut old: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    old["schema"] = 1.into();
    old.as_object_mut().unwrap().remove("storage").unwrap();
    for guest in old["inventory"]["guests"].as_array_mut().unwrap() {
        guest.as_object_mut().unwrap().remove("disks");
    }
    for each in old["moves"].as_array_mut().unwrap() {
        each.as_object_mut().unwrap().remove("disks");
    }
    let inventory: algorithms::drain_plan::Inventory =
        serde_json::from_value(old["inventory"].clone()).unwrap();
    old["fingerprint"] = inventory.fingerprint().into();
    std::fs::write(lab.0.path().join("old.json"), old.to_string()).unwrap();
    let told = refusal("old.json");
    assert!(told.contains("made by an older migtwin, which planned nothing for disks"), "{told}");

    let text = std::fs::read_to_string(SCENARIO).unwrap();
    let move_storage = r#"plan: [MoveStorage(vm: "db1", to: "host1-spare", disks: ["os"])]"#;
    let text = text.replace(r#"plan: [Drain(host: "host1", storage: Default)]"#, move_storage);
    let spare = r#"storage: [(name: "host1-spare", on: "host1"), "#;
    std::fs::write(lab.0.path().join("move.ron"), text.replacen("storage: [", spare, 1)).unwrap();
    lab.done(&["live", "migrate", "move.ron", "--vm", "db1", "--to", "host1", "--lab", "migtwin-lab"]);
    let told = refusal("tonight.json");
    let changed = "disk `os` of guest `db1` was on `host1-disk` and is on `host1-spare`; make the plan anew";
    assert!(told.contains(changed), "{told}");
}
