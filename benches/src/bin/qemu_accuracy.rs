//! Nominal, measured, predicted: real QEMU migrations beside their simulation, as a table for docs/live-qemu.md.
//!
//! ```text
//! cargo run --release -p benches --bin qemu_accuracy [-- --repetitions 3]
//! ```
//!
//! Each configuration boots a guest, measures for three seconds how fast it really writes, predicts, and
//! migrates. Run it on a quiet machine: timings taken while others took more than 6 % of the processor time are
//! marked, left out of the means and taken again.

use std::io::Write;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use algorithms::records::{MigrationRecord, Outcome};
use benches::accuracy::{Accuracy, Row};
use benches::agents::Failed;
use clap::Parser;
use live::qemu::accelerator::probe;
use live::qemu::process::QEMU;
use live::qemu::run::{RunOptions, run};
use models::world::{self, simulate};

/// Memory in MiB, working set in MiB, rate in MB/s, limit in Mbit/s.
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

/// Holds the simulation against real QEMU.
#[derive(Parser)]
struct Arguments {
    /// How many runs of each configuration are to count.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    repetitions: u32,
}

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
    let arguments = Arguments::parse();
    let directory = tempfile::Builder::new().prefix("mtq").tempdir()?;
    let accelerator = probe(QEMU, directory.path(), None)?;
    eprintln!("{}: {}", accelerator.kind, accelerator.why);
    writeln!(
        std::io::stdout(),
        "| memory, MiB | set, MiB | asked, MB/s | written, MB/s | limit, Mbit/s | total, s | predicted | error | by what was asked | blackout, ms | predicted | rounds | predicted | stolen |\n|{}",
        "---:|".repeat(14)
    )?;
    let mut accuracy = Accuracy::default();
    for configuration in CONFIGURATIONS {
        for _ in 0..arguments.repetitions {
            accuracy.of(|| one(configuration, directory.path(), &accelerator))?;
        }
    }
    Ok(writeln!(std::io::stdout(), "\n{accuracy}")?)
}

fn one(
    (memory, set, rate, limit): (u64, u64, u64, u64),
    directory: &std::path::Path,
    accelerator: &live::qemu::accelerator::Accelerator,
) -> Result<Row, Failed> {
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
    if real.outcome != Outcome::Completed {
        return Err(format!("the machine was not moved: {:?}", real.outcome).into());
    }
    let (total_error, blackout_error) = (off(total, planned), off(blackout, planned));
    let cells = format!(
        "| {memory} | {set} | {rate} | {:.1} | {limit} | {:.2} | {:.2} | {total_error:+.1} % | {:+.1} % | {:.0} | {:.0} | {} | {} |",
        actual.guests[0].sets[0].1 * 4096.0 / 1e6,
        total(real),
        total(planned),
        off(total, &nominal.migrations[0]),
        blackout(real),
        blackout(planned),
        real.rounds,
        planned.rounds,
    );
    Ok(Row { cells, steal: actual.steal, total_error, blackout_error })
}
