//! Nominal, measured, predicted: real QEMU migrations beside their simulation, as a table for docs/live-qemu.md.
//!
//! `cargo run --release -p benches --bin qemu_accuracy [REPETITIONS]`. Each configuration boots a guest, measures for
//! three seconds how fast it really writes, predicts, and migrates. Run it on a quiet machine: timings
//! taken while others took more than 6 % of the processor time are marked and left out of the means.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use algorithms::records::{MigrationRecord, Outcome};
use live::machine::MOST_STEAL;
use live::qemu::accelerator::probe;
use live::qemu::process::QEMU;
use live::qemu::run::{RunOptions, run};
use models::world::{self, simulate};

/// Memory in MiB, working set in MiB, rate in MB/s, limit in Mbit/s; the last does not converge before its
/// deadline.
const CONFIGURATIONS: [(u64, u64, u64, u64); 8] = [
    (128, 10, 2, 100),
    (192, 40, 6, 200),
    (256, 100, 10, 200),
    (256, 20, 20, 400),
    (256, 80, 15, 400),
    (256, 150, 30, 400),
    (256, 60, 40, 800),
    (256, 150, 60, 800),
];

type Failed = Box<dyn std::error::Error>;

fn scenario(memory: u64, set: u64, rate: u64, limit: u64) -> String {
    format!(
        r#"(
    name: "qemu-accuracy",
    hosts: [(name: "a", memory: "8 GiB", nic: "100GbE"), (name: "b", memory: "8 GiB", nic: "100GbE")],
    vms: [(name: "vm1", host: "a", memory: "{memory} MiB",
           workload: Uniform(rate: "{rate} MB/s", working_set: "{set} MiB"))],
    hypervisor: (preset: "qemu-7.2", policy: Qemu(max_bandwidth: "{limit} Mbit/s")),
    transport: (preset: "tcp", wire_overhead: 1.002, per_stream: Unlimited),
    plan: [Move(vm: "vm1", to: "b")],
)"#
    )
}

fn main() -> Result<(), Failed> {
    let repetitions: u32 = std::env::args().nth(1).map_or(Ok(1), |text| text.parse())?;
    let directory = tempfile::Builder::new().prefix("mtq").tempdir()?;
    let accelerator = probe(QEMU, directory.path(), None)?;
    eprintln!("{}: {}", accelerator.kind, accelerator.why);
    let mut lines = vec![
        "| memory, MiB | set, MiB | asked, MB/s | written, MB/s | limit, Mbit/s | total, s | predicted | error | with the asked rate | blackout, ms | predicted | rounds | stolen | load |".to_string(),
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|".to_string(),
    ];
    let mut errors = Vec::new();
    for configuration in CONFIGURATIONS.iter().cycle().take(CONFIGURATIONS.len() * repetitions as usize) {
        let (line, error) = one(*configuration, directory.path(), &accelerator)?;
        eprintln!("{line}");
        lines.push(line);
        errors.extend(error);
    }
    let mean = |which: fn(&(f64, f64)) -> f64| errors.iter().map(which).sum::<f64>() / errors.len() as f64;
    let worst = errors.iter().map(|error| error.0).fold(0.0, f64::max);
    lines.push(format!(
        "\n{} comparable runs: total off by {:.1} % on average, {:.1} % at worst; blackout by {:.1} % on average",
        errors.len(),
        mean(|error| error.0),
        worst,
        mean(|error| error.1)
    ));
    use std::io::Write;
    Ok(writeln!(std::io::stdout().lock(), "{}", lines.join("\n"))?)
}

/// One row, and the errors of total and blackout in percent where they count.
fn one(
    (memory, set, rate, limit): (u64, u64, u64, u64),
    directory: &std::path::Path,
    accelerator: &live::qemu::accelerator::Accelerator,
) -> Result<(String, Option<(f64, f64)>), Failed> {
    let scenario = scenarios::parse(&scenario(memory, set, rate, limit), "accuracy.ron")?;
    let chosen = &scenario.runs[0];
    let levers = chosen.qemu.as_ref().ok_or("the scenario's hypervisor is QEMU")?;
    let place = tempfile::Builder::new().prefix("r").tempdir_in(directory)?;
    let options = RunOptions {
        binary: QEMU,
        directory: place.path(),
        accelerator,
        levers,
        attached: &[],
        measure_for: Duration::from_secs(3),
        cancel: &AtomicBool::new(false),
        progress: &|_| {},
    };
    let actual = run(&chosen.model, options)?;
    let nominal = simulate(&chosen.model, &world::RunOptions::default())?;
    let mut measured = chosen.model.clone();
    let guest = &mut measured.guests[0];
    guest.workload = actual.guests[0].applied_to(&guest.workload);
    let predicted = simulate(&measured, &world::RunOptions::default())?;
    let (real, planned) = (&actual.records.migrations[0], &predicted.migrations[0]);
    let off = |value: fn(&MigrationRecord) -> f64, planned: &MigrationRecord| {
        (value(planned) / value(real) - 1.0) * 100.0
    };
    let total = |record: &MigrationRecord| record.total.as_secs_f64();
    let blackout = |record: &MigrationRecord| record.blackout.as_secs_f64() * 1e3;
    let counts = actual.steal <= MOST_STEAL && real.outcome == Outcome::Completed;
    let written = actual.guests[0].sets[0].1 * 4096.0 / 1e6;
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let line = format!(
        "| {memory} | {set} | {rate} | {written:.1} | {limit} | {:.2} | {:.2} | {:+.1} % | {:+.1} % | {:.0} | {:.0} | {} ({}) | {:.1} %{} | {} |",
        total(real),
        total(planned),
        off(total, planned),
        off(total, &nominal.migrations[0]),
        blackout(real),
        blackout(planned),
        real.rounds,
        planned.rounds,
        actual.steal * 100.0,
        if counts { "" } else { ", not comparable" },
        load.split(' ').next().unwrap_or_default(),
    );
    Ok((line, counts.then(|| (off(total, planned).abs(), off(blackout, planned).abs()))))
}
