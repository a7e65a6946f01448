//! `migtwin live qemu`: a drain of two real guests, planned beside actual. Needs qemu-system-x86_64, `as` and `ld`;
//! says so where they are missing, and fails then under CI_REQUIRE_LIVE=1.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

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
    let planned = &run["qemu"]["planned"];
    let of = |run: &Value| run["migrations"].as_array().unwrap().clone();
    let moved = |of_run: &Value| -> Vec<(String, String, String)> {
        let text = |record: &Value, field: &str| record[field].as_str().unwrap().to_string();
        of(of_run).iter().map(|one| (text(one, "vm"), text(one, "source"), text(one, "outcome"))).collect()
    };
    assert_eq!(moved(&run).len(), 4, "there and back: {said}");
    assert_eq!(moved(planned), moved(&run), "the same orchestrator gives the same moves");
    assert_eq!(
        (&run["origin"], &run["schema"], &planned["schema"]),
        (&"actual".into(), &2.into(), &2.into())
    );
    for proof in run["qemu"]["proofs"].as_array().unwrap() {
        assert!(proof["damage"].is_null() && proof["pages_verified"].as_u64() > Some(5_000), "{proof}");
    }
    for name in ["planned.json", "predicted.json", "actual.json", "0.journal", "3.journal"] {
        assert!(out.join(name).metadata().unwrap().len() > 100, "{name}");
    }
    // The passes of each tell of the network, and of what its guest writes.
    let seen = run["qemu"]["seen"].as_array().unwrap();
    assert!(!seen.is_empty(), "{said}");
    for each in seen {
        // However short its passes: no faster than the limit; and slower only on a machine with little time to spare.
        assert!(
            each["bytes_per_s"].as_f64() > Some(5e6) && each["bytes_per_s"].as_f64() < Some(51e6),
            "{each}"
        );
    }
    let mut forecast = Command::new(env!("CARGO_BIN_EXE_migtwin"));
    let ended = forecast.args(["live", "forecast"]).arg(out.join("0.journal")).output().unwrap();
    assert_eq!(ended.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("the migration had ended by then"));

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
    assert!(status == Some(2) && said.contains("qemu-7.2"), "{said}");
    std::fs::write(&file, SCENARIO).unwrap();
    let (status, said) = run(&file, "qemu-that-is-not-there");
    assert!(status == Some(3) && said.contains("apt-get install"), "{said}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_migtwin"));
    let output = command.args(["live", "qemu", "--incoming", "web=/nowhere"]).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("--attach web=SOCKET"), "{said}");
    let two = SCENARIO.replace("plan: [", "alternatives: {\"x\": (), \"y\": ()}, plan: [");
    std::fs::write(&file, two).unwrap();
    let (status, said) = run(&file, "qemu-system-x86_64");
    assert!(status == Some(2) && said.contains("--alternative"), "{said}");
}

/// One guest that is slow enough to be caught on its way.
const SLOW: &str = r#"(
    hosts: [(name: "a", memory: "4 GiB"), (name: "b", memory: "4 GiB")],
    vms: [(name: "web", host: "a", memory: "48 MiB", workload: Uniform(rate: "4 MB/s", working_set: "16 MiB"))],
    hypervisor: (preset: "qemu-7.2", policy: Qemu(max_bandwidth: "100 Mbit/s")),
    plan: [Move(vm: "web", to: "b")],
)"#;

/// The run states of all machines of a run, by their second sockets.
fn states(directory: &Path) -> Vec<String> {
    use std::io::{BufRead, BufReader, Write};
    let mut states = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "operator") {
            continue;
        }
        let Ok(mut stream) = std::os::unix::net::UnixStream::connect(&path) else { continue };
        let commands = "{\"execute\":\"qmp_capabilities\"}{\"execute\":\"query-status\"}";
        if stream.write_all(commands.as_bytes()).is_err() {
            continue;
        }
        // One that recovery has just told to quit may end before it answers.
        let lines = BufReader::new(stream).lines().map_while(Result::ok);
        let state = lines
            .filter_map(|line| {
                serde_json::from_str::<Value>(&line).unwrap()["return"]["status"].as_str().map(String::from)
            })
            .next();
        states.extend(state);
    }
    states
}

/// Ends the machines of a run, by their sockets.
fn quit_all(directory: &Path) {
    use std::io::{Read, Write};
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "operator")
            && let Ok(mut stream) = std::os::unix::net::UnixStream::connect(&path)
        {
            let _ = stream.write_all(b"{\"execute\":\"qmp_capabilities\"}{\"execute\":\"quit\"}");
            let _ = stream.read_to_end(&mut Vec::new());
        }
    }
}

#[test]
fn a_run_that_was_killed_is_recovered_with_exactly_one_machine_running_its_guest() {
    if !is_there() {
        return;
    }
    for step in ["Prepare", "Pass", "Stopped"] {
        let directory = tempfile::Builder::new().prefix("mt").tempdir_in("/tmp").unwrap();
        let (file, run) = (directory.path().join("slow.ron"), directory.path().join("run"));
        std::fs::write(&file, SLOW).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_migtwin"));
        command.args(["live", "qemu", "--accelerator", "tcg", "--directory"]).arg(&run).arg(&file);
        let mut child =
            command.stderr(std::process::Stdio::null()).stdout(std::process::Stdio::null()).spawn().unwrap();
        let until = Instant::now() + Duration::from_secs(120);
        while !std::fs::read_to_string(run.join("0.journal")).is_ok_and(|text| text.contains(step)) {
            assert!(
                Instant::now() < until && child.try_wait().unwrap().is_none(),
                "{step} was never reached"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        let recover = |run: &Path| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_migtwin"));
            let output = command.args(["live", "recover", "--qemu"]).arg(run).output().unwrap();
            let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
            (output.status.code(), said.join(""))
        };
        if step == "Prepare" {
            let (status, said) = recover(&run);
            assert!(status == Some(3) && said.contains("still drives it"), "{said}");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let (status, said) = recover(&run);
        let states = states(&run);
        quit_all(&run);
        assert_eq!(status, Some(0), "{step}: {said}");
        assert!(said.contains("web: the guest runs at the"), "{step}: {said}");
        assert_eq!(
            states.iter().filter(|state| *state == "running").count(),
            1,
            "{step}: {states:?}, {said}"
        );
    }
}
