//! `migtwin calibrate` and `predict` on runs whose truth is known, and on logs as others write them.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn migtwin(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_migtwin")).args(arguments).current_dir(directory).output().unwrap()
}

fn works(directory: &Path, arguments: &[&str]) -> String {
    let output = migtwin(directory, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "migtwin {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Why a command did not work.
fn fails(directory: &Path, arguments: &[&str]) -> String {
    let output = migtwin(directory, arguments);
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

/// Three hosts on 10 GbE, guests that dirty 150 MB/s of 1 GiB; what the calibration does not know.
fn scenario(hypervisor: &str, vms: &str, plan: &str) -> String {
    format!(
        r#"(
            name: "truth",
            hosts: [(name: "host{{1..3}}", memory: "256 GiB", nic: "10GbE")],
            workloads: {{"w": Uniform(rate: "150 MB/s", working_set: "1 GiB")}},
            vms: [{vms}],
            hypervisor: {hypervisor},
            transport: "tcp",
            plan: [{plan}],
        )"#
    )
}

fn vm(name: &str, host: &str, gib: u32) -> String {
    format!(r#"(name: "{name}", host: "{host}", memory: "{gib} GiB", workload: "w"),"#)
}

/// Runs a scenario and leaves what `--out` leaves of it in a directory of that name.
fn run(directory: &Path, name: &str, scenario: &str) {
    let file = format!("{name}.ron");
    std::fs::write(directory.join(&file), scenario).unwrap();
    works(directory, &["simulate", &file, "--out", name]);
}

/// One after the other, and two from one host at once.
fn measured(directory: &Path, hypervisor: &str) {
    let vms = [vm("a", "host1", 4), vm("b", "host1", 8), vm("c", "host2", 16)].concat();
    let plan =
        r#"Together([Move(vm: "a", to: "host2"), Move(vm: "b", to: "host3")]), Move(vm: "c", to: "host3")"#;
    run(directory, "measured", &scenario(hypervisor, &vms, plan));
}

fn unseen(directory: &Path, hypervisor: &str) {
    let vms = [vm("d", "host1", 6), vm("e", "host1", 24), vm("f", "host3", 12)].concat();
    let plan =
        r#"Together([Move(vm: "d", to: "host2"), Move(vm: "e", to: "host2")]), Move(vm: "f", to: "host1")"#;
    run(directory, "unseen", &scenario(hypervisor, &vms, plan));
}

fn calibrated(directory: &Path, records: &str) -> Value {
    let text = works(directory, &["calibrate", records, "--out", "preset.ron", "--format", "json"]);
    serde_json::from_str(&text).unwrap()
}

/// Total time and bytes of runs that the fit did not see, in per cent on average.
fn mean_error(directory: &Path, records: &str, quantity: &str) -> f64 {
    let text = works(directory, &["predict", "preset.ron", records, "--format", "json"]);
    let json: Value = serde_json::from_str(&text).unwrap();
    json["experiments"][0]["errors"][quantity]["mean"].as_f64().unwrap()
}

fn near(preset: &Value, parameter: &str, truth: f64, percent: f64) {
    let value = preset["fits"]["recorded"]["parameters"][parameter]["value"].as_f64().unwrap();
    let off = 100.0 * (value / truth - 1.0);
    assert!(off.abs() < percent, "{parameter} is {value}, {off:.2} % off {truth}");
}

#[test]
fn what_a_scenario_was_made_with_comes_out_of_its_records_again() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    measured(at, r#""hyper-v-2022""#);
    let preset = calibrated(at, "measured");
    near(&preset, "rate", 1.25e9 * 1448.0 / 1538.0, 1.0);
    near(&preset, "prepare", 2.5, 1.0);
    near(&preset, "prepare_serial", 0.89, 2.0);
    near(&preset, "resume", 0.45, 2.0);
    near(&preset, "finish", 1.55, 2.0);
    near(&preset, "dirty_rate", 150e6, 3.0);
    near(&preset, "working_set", 1_073_741_824.0, 5.0);
    unseen(at, r#""hyper-v-2022""#);
    for (quantity, percent) in [("total", 3.0), ("bytes", 1.0), ("blackout", 3.0)] {
        let mean = mean_error(at, "unseen", quantity);
        assert!(mean < percent, "{quantity}: {mean:.2} %");
    }
    let table = works(at, &["predict", "preset.ron", "unseen"]);
    assert!(table.contains("note: not in the preset: 3 of 3 guests (d, e, f)"), "{table}");
}

/// A cluster of 64 guests that write differently, each moved out and back in three replications.
fn many(directory: &Path) {
    let workloads = [
        r#"Uniform(rate: "300 MB/s", working_set: "3 GiB")"#,
        r#"Uniform(rate: "10 MB/s", working_set: "500 MiB")"#,
        r#"Classes([(rate: "200 MB/s", size: "200 MiB"), (rate: "20 MB/s", size: "2 GiB")])"#,
        "Idle",
    ];
    let vms = (0..4).map(|kind| {
        let (first, last) = (16 * kind + 1, 16 * kind + 16);
        let workload = workloads[kind];
        format!(
            r#"(name: "vm{{{first:02}..{last}}}", host: "host1", memory: "{} GiB", workload: {workload}, speed_variation: 0.1),"#,
            4 + 2 * kind
        )
    });
    let to = |host: usize| (1..=64).map(move |vm| format!(r#"Move(vm: "vm{vm:02}", to: "host{host}")"#));
    let out: Vec<String> = to(2).collect();
    let out = out.chunks(2).map(|pair| format!("Together([{}])", pair.join(", ")));
    let plan = out.chain(to(1)).collect::<Vec<_>>().join(", ");
    let scenario =
        scenario(r#""hyper-v-2022""#, &vms.collect::<String>(), &plan).replace("256 GiB", "1024 GiB");
    std::fs::write(directory.join("many.ron"), scenario).unwrap();
    works(directory, &["simulate", "many.ron", "--replications", "3", "--out", "many"]);
}

#[test]
fn sixty_four_guests_have_each_its_own_curve_and_two_rows_in_the_table() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    many(at);
    let table = works(at, &["calibrate", "many", "--out", "preset.ron"]);
    assert!(table.contains("D(t) of 64 guests, each its own"), "{table}");
    let lines: Vec<&str> = table.lines().collect();
    let shown = |name: &str| lines.iter().filter(|line| line.trim_start().starts_with(name)).count();
    assert_eq!(
        (shown("dirty_rate"), shown("working_set")),
        (2, 2),
        "the typical guest's, and all guests':\n{table}"
    );
    assert!(lines.len() < 50 && lines.iter().all(|line| line.chars().count() < 330), "{table}");
    assert!(
        table.contains("16 of 64 guests (vm49, vm50, vm51, vm52 and 12 more)"),
        "the idle ones:\n{table}"
    );
    let preset = std::fs::read_to_string(at.join("preset.ron")).unwrap();
    assert!((1..=64).all(|vm| preset.contains(&format!("\"vm{vm:02}\": ("))));
    let errors = works(at, &["predict", "preset.ron", "many", "--format", "json"]);
    let json: Value = serde_json::from_str(&errors).unwrap();
    let of = |quantity: &str| json["experiments"][0]["errors"][quantity]["mean"].as_f64().unwrap();
    assert!(of("total") < 1.0 && of("bytes") < 1.5, "{} and {}", of("total"), of("bytes"));
    assert_eq!(json["experiments"][0]["notes"].as_array().unwrap().len(), 0);
}

/// What `docs/calibration.md` says of scenarios: a guest's rate and working set go into one as they stand in the preset.
#[test]
fn a_guests_curve_goes_from_the_preset_into_a_scenario() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let truth = |workload: &str| {
        let vm = format!(r#"(name: "a", host: "host1", memory: "8 GiB", workload: {workload}),"#);
        scenario(r#""hyper-v-2022""#, &vm, r#"Move(vm: "a", to: "host2")"#)
    };
    run(at, "truth", &truth(r#"Uniform(rate: "200 MB/s", working_set: "2 GiB")"#));
    let preset = calibrated(at, "truth");
    let guest = &preset["fits"]["recorded"]["guests"]["a"];
    let value = |name: &str| {
        let value = &guest[name];
        format!("{} {}", value["value"].as_f64().unwrap(), value["unit"].as_str().unwrap())
    };
    let workload =
        format!(r#"Uniform(rate: "{}", working_set: "{}")"#, value("dirty_rate"), value("working_set"));
    run(at, "twin", &truth(&workload));
    works(at, &["calibrate", "truth", "--out", "preset.ron"]);
    for (quantity, percent) in [("total", 1.0), ("bytes", 1.0)] {
        let mean = mean_error(at, "twin", quantity);
        assert!(mean < percent, "{quantity}: {mean:.2} %");
    }
}

#[test]
fn records_go_before_the_parquet_beside_them_which_says_the_same() {
    let directory = tempfile::tempdir().unwrap();
    measured(directory.path(), r#""hyper-v-2022""#);
    let [whole, parquet, json] = ["measured", "measured/migrations.parquet", "measured/records.json"]
        .map(|records| calibrated(directory.path(), records)["fits"]["recorded"]["parameters"].clone());
    assert_eq!(whole, json, "what lies beside it is not counted twice");
    for (name, value) in parquet.as_object().unwrap() {
        let [a, b] = [value, &json[name]].map(|value| value["value"].as_f64().unwrap());
        assert!((a / b - 1.0).abs() < 1e-3, "{name}: {a} and {b}");
    }
    std::fs::remove_file(directory.path().join("measured/records.json")).unwrap();
    let without = calibrated(directory.path(), "measured")["fits"]["recorded"]["parameters"].clone();
    assert_eq!(without, parquet, "the Parquet is read where there are no records");
}

#[test]
fn rounds_that_end_by_a_threshold_are_known_as_such() {
    let directory = tempfile::tempdir().unwrap();
    let (at, qemu) = (directory.path(), r#"(preset: "qemu-7.2", policy: Qemu(max_bandwidth: Unlimited))"#);
    measured(at, qemu);
    let preset = calibrated(at, "measured");
    let limit = preset["fits"]["recorded"]["facts"]["downtime limit, in seconds"].as_f64().unwrap();
    assert!((0.27..0.33).contains(&limit), "QEMU's is 300 ms, not {limit} s");
    near(&preset, "rate", 1.25e9 * 1448.0 / 1538.0, 2.0);
    near(&preset, "prepare", 0.1, 5.0);
    unseen(at, qemu);
    for (quantity, percent) in [("total", 5.0), ("bytes", 3.0)] {
        let mean = mean_error(at, "unseen", quantity);
        assert!(mean < percent, "{quantity}: {mean:.2} %");
    }
}

#[test]
fn broken_records_are_refused_with_their_place() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    measured(at, r#""hyper-v-2022""#);
    let whole = std::fs::read(at.join("measured/migrations.parquet")).unwrap();
    std::fs::write(at.join("cut.parquet"), &whole[..whole.len() / 2]).unwrap();
    let error = fails(at, &["calibrate", "cut.parquet"]);
    assert!(error.contains("cut.parquet"), "{error}");
    std::fs::write(at.join("odd.json"), r#"{"schema": 2, "runs": [{"scenario": 3}]}"#).unwrap();
    let error = fails(at, &["calibrate", "odd.json"]);
    assert!(error.contains("odd.json") && error.contains("line 1"), "{error}");
    std::fs::write(at.join("new.json"), r#"{"schema": 7, "runs": []}"#).unwrap();
    assert!(fails(at, &["calibrate", "new.json"]).contains("version 7, made by a newer migtwin"));
    std::fs::write(at.join("old.json"), r#"{"schema": 1, "runs": []}"#).unwrap();
    assert!(fails(at, &["calibrate", "old.json"]).contains("made by an older migtwin"));
}

const PROXMOX: &str = "2024-05-02 10:00:00 starting migration of VM 104 to node 'pve2' (10.0.0.2)\n\
    2024-05-02 10:00:00 starting VM 104 on remote node 'pve2'\n\
    2024-05-02 10:00:02 start remote tunnel\n\
    2024-05-02 10:00:03 ssh tunnel ver 1\n\
    2024-05-02 10:00:03 starting online/live migration on unix:/run/qemu-server/104.migrate\n\
    2024-05-02 10:00:03 set migration capabilities\n\
    2024-05-02 10:00:03 migration downtime limit: 100 ms\n\
    2024-05-02 10:00:03 migration cachesize: SIZE MiB\n\
    2024-05-02 10:00:03 set migration parameters\n\
    2024-05-02 10:00:03 start migrate command to unix:/run/qemu-server/104.migrate\n\
    2024-05-02 10:00:04 migration active, transferred 110.3 MiB of SIZE GiB VM-state, 112.0 MiB/s\n\
    2024-05-02 10:00:05 migration active, transferred SENT GiB of SIZE GiB VM-state, 112.0 MiB/s\n\
    2024-05-02 10:00:09 average migration speed: 112.0 MiB/s - downtime 61 ms\n\
    2024-05-02 10:00:09 migration status: completed\n\
    2024-05-02 10:00:12 migration finished successfully (duration DURATION)\n";

/// Guests of these sizes in GiB, moved at 112 MiB/s with 9 s beside, as each kind of log has them.
const SIZES: [f64; 5] = [1.0, 2.0, 4.0, 8.0, 12.0];

fn seconds(size: f64) -> f64 {
    9.0 + size * 1024.0 / 112.0
}

fn logs(directory: &Path, name: &str, of: impl Fn(f64) -> String) {
    let logs = directory.join(name);
    std::fs::create_dir(&logs).unwrap();
    for (index, size) in SIZES.into_iter().enumerate() {
        std::fs::write(logs.join(format!("{index}.log")), of(size)).unwrap();
    }
}

/// The rate in MiB/s and the fixed seconds that a fit of logs finds.
fn fitted(directory: &Path, name: &str) -> [f64; 2] {
    let preset = calibrated(directory, name);
    let value =
        |parameter: &str| preset["fits"]["logged"]["parameters"][parameter]["value"].as_f64().unwrap();
    [value("rate") / f64::from(1 << 20), value("overhead")]
}

#[test]
fn logs_of_proxmox_libvirt_and_qemu_give_the_rate_and_the_overhead_that_are_in_them() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    logs(at, "proxmox", |size| {
        let duration = seconds(size).round() as u64;
        PROXMOX
            .replace("SIZE", &format!("{size:.1}"))
            .replace("SENT", &format!("{size:.1}"))
            .replace("DURATION", &format!("00:{:02}:{:02}", duration / 60, duration % 60))
    });
    logs(at, "libvirt", |size| {
        format!(
            "Job type:         Completed   \nOperation:        Outgoing migration\n\
             Time elapsed:     {:.0}        ms\nTime elapsed w/o network: 2 ms\n\
             Data processed:   {size:.3} GiB\nData remaining:   0.000 B\nData total:       {size:.3} GiB\n\
             Memory processed: {size:.3} GiB\nMemory remaining: 0.000 B\nMemory total:     {size:.3} GiB\n\
             Memory bandwidth: 112.000 MiB/s\nDirty rate:       0            pages/s\nPage size:        4096         bytes\n\
             Iteration:        3           \nConstant pages:   0       \nNormal pages:     1000      \n\
             Total downtime:   45           ms\n",
            seconds(size) * 1e3
        )
    });
    logs(at, "qmp", |size| {
        let bytes = (size * f64::from(1 << 30)) as u64;
        let active = format!(
            r#"{{"return": {{"status": "active", "total-time": 500, "ram": {{"total": {bytes}, "transferred": 9000,
                "remaining": {bytes}, "mbps": 939.5, "dirty-pages-rate": 0, "page-size": 4096}}}}}}"#
        );
        let completed = format!(
            r#"{{"return": {{"status": "completed", "total-time": {:.0}, "downtime": 61, "setup-time": 4, "ram":
                {{"total": {bytes}, "transferred": {bytes}, "remaining": 0, "duplicate": 0, "mbps": 939.5,
                "dirty-sync-count": 4, "page-size": 4096}}}}}}"#,
            seconds(size) * 1e3
        );
        format!("{active}\n{completed}\n")
    });
    for name in ["proxmox", "libvirt", "qmp"] {
        let [rate, overhead] = fitted(at, name);
        assert!((rate / 112.0 - 1.0).abs() < 0.03, "{name}: {rate} MiB/s");
        assert!((overhead / 9.0 - 1.0).abs() < 0.1, "{name}: {overhead} s");
    }
}

#[test]
fn logs_that_say_nothing_of_a_whole_migration_are_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let broken = [
        (
            "proxmox.log",
            PROXMOX.replace("SIZE", "4.0").lines().take(11).collect::<Vec<_>>().join("\n"),
            "no migration that ended",
        ),
        (
            "speed.log",
            PROXMOX.replace("SIZE", "4.0").replace("SENT", "4.0").replace("speed: 112.0", "speed: many"),
            "speed.log:13:",
        ),
        ("libvirt.txt", "Job type:         Completed\nTime elapsed:     many ms\n".into(), "Time elapsed"),
        (
            "active.json",
            r#"{"return": {"status": "active", "ram": {"total": 1}}}"#.into(),
            "no migration that ended",
        ),
        (
            "odd.json",
            r#"[{"status": "completed", "total-time": "long", "ram": {"total": 4096}}]"#.into(),
            "total-time",
        ),
        ("cut.json", r#"[{"status": "completed", "#.into(), "cut.json:1:"),
    ];
    for (name, text, why) in broken {
        std::fs::write(at.join(name), text).unwrap();
        let error = fails(at, &["calibrate", name]);
        assert!(error.contains(name) && error.contains(why), "{name}: {error}");
    }
}
