//! Guests of recorded runs that write differently: each has a D(t) of its own, as far as its rounds show it.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use std::collections::BTreeMap;
use std::time::Instant;

use calibration::datasets::{Measurements, recorded};
use calibration::experiments::{Experiment, Recorded, Values, experiments};
use calibration::fit::{Effort, Fitted, Prediction, Problem, fit, fit_groups};
use calibration::predict::{Errors, Predicted, predict};
use calibration::preset::Preset;
use models::world::{Metering, RunOptions, simulate};

/// A guest: its name, gibibytes of memory, what it does.
type Guest = (&'static str, u32, &'static str);

const HEAVY: &str = r#"Uniform(rate: "400 MB/s", working_set: "6 GiB")"#;
const LIGHT: &str = r#"Uniform(rate: "8 MB/s", working_set: "600 MiB")"#;
const HOT_COLD: &str =
    r#"Classes([(rate: "300 MB/s", size: "200 MiB"), (rate: "20 MB/s", size: "4 GiB")])"#;
const SMALL: &str = r#"Uniform(rate: "500 MB/s", working_set: "100 MiB")"#;

const GUESTS: [Guest; 6] = [
    ("heavy", 16, HEAVY),
    ("light", 8, LIGHT),
    ("hotcold", 12, HOT_COLD),
    ("small", 8, SMALL),
    ("idle", 4, "Idle"),
    ("web", 8, r#"Uniform(rate: "90 MB/s", working_set: "2 GiB")"#),
];

const HYPER_V: &str = r#""hyper-v-2022""#;
const QEMU: &str = r#"(preset: "qemu-7.2", policy: Qemu(max_bandwidth: Unlimited))"#;

/// All go from the first host to the second and third and back, some at once; rounds of a guest that shares its
/// link are longer.
fn scenario(guests: &[Guest], hypervisor: &str, variation: f64) -> String {
    let vms: String = guests
        .iter()
        .map(|(name, gib, workload)| {
            format!(
                r#"(name: "{name}", host: "host1", memory: "{gib} GiB", workload: {workload}, speed_variation: {variation}),"#
            )
        })
        .collect();
    let to = |host: usize| {
        let moves: Vec<String> = guests
            .iter()
            .enumerate()
            .map(|(place, (name, ..))| format!(r#"Move(vm: "{name}", to: "host{}")"#, host + place % 2))
            .collect();
        moves
    };
    let out: Vec<String> = to(2).chunks(2).map(|pair| format!("Together([{}])", pair.join(", "))).collect();
    let back: Vec<String> =
        guests.iter().map(|(name, ..)| format!(r#"Move(vm: "{name}", to: "host1")"#)).collect();
    format!(
        r#"(name: "truth", hosts: [(name: "host{{1..3}}", memory: "2048 GiB", nic: "10GbE")], vms: [{vms}],
            hypervisor: {hypervisor}, transport: "tcp", plan: [{}, {}])"#,
        out.join(", "),
        back.join(", ")
    )
}

/// So many replications of a scenario, as they were measured.
fn measured(text: &str, replications: std::ops::Range<u32>) -> Measurements {
    let scenario = scenarios::parse(text, "truth.ron").unwrap_or_else(|error| panic!("{error:?}"));
    let runs = replications.map(|replication| {
        let options = RunOptions { replication, metering: Metering::Off, ..RunOptions::default() };
        simulate(&scenario.runs[0].model, &options).unwrap()
    });
    let files = [("truth".to_string(), runs.collect())];
    Measurements { recorded: recorded(&files), ..Measurements::default() }
}

fn calibrated(measurements: &Measurements) -> (Preset, Fitted) {
    let experiment = Recorded::new(measurements, &Values::new());
    let fitted = fit(&experiment, experiment.loss()).unwrap();
    let mut preset = Preset::new();
    preset.add(&experiment, &fitted);
    (Preset::from_ron("preset.ron", &preset.to_ron()).unwrap(), fitted)
}

fn predicted(preset: &Preset, measurements: &Measurements) -> Predicted {
    predict(preset, measurements).unwrap().remove(0)
}

/// The mean error of a quantity by guest, in per cent.
fn by_guest(predictions: &[Prediction], quantity: &str) -> BTreeMap<String, Errors> {
    let mut sorted: BTreeMap<String, Vec<&Prediction>> = BTreeMap::new();
    for each in predictions.iter().filter(|each| each.quantity == quantity) {
        sorted.entry(each.subject.clone()).or_default().push(each);
    }
    sorted.into_iter().map(|(guest, all)| (guest, Errors::of(&all))).collect()
}

/// The same preset with one curve for all guests, as presets were before guests had their own.
fn with_one_curve(preset: &Preset) -> Preset {
    let mut older = preset.clone();
    older.fits.get_mut("recorded").unwrap().guests.clear();
    Preset::from_ron("older.ron", &older.to_ron()).unwrap()
}

#[test]
fn explore() {
    for (hypervisor, variation) in [(HYPER_V, 0.0), (HYPER_V, 0.1), (QEMU, 0.1)] {
        let text = scenario(&GUESTS, hypervisor, variation);
        let began = Instant::now();
        let (preset, fitted) = calibrated(&measured(&text, 0..5));
        eprintln!("{hypervisor} {variation}: fitted in {:?}", began.elapsed());
        for parameter in &fitted.parameters {
            eprintln!("  {} {:.4e} ± {:.1} %", parameter.name, parameter.value, 100.0 * parameter.relative_error);
        }
        for (guest, curve) in &preset.fits["recorded"].guests {
            eprintln!(
                "  {guest}: {:.2e} ± {:?} %, {:.3e} ± {:?} %",
                curve.dirty_rate.value,
                curve.dirty_rate.error_percent,
                curve.working_set.value,
                curve.working_set.error_percent
            );
        }
        eprintln!("  {:#?}", fitted.warnings);
        let unseen = measured(&text, 5..9);
        for (name, preset) in [("own", preset.clone()), ("one", with_one_curve(&preset))] {
            let predicted = predicted(&preset, &unseen);
            for quantity in ["total", "bytes", "blackout", "left after round 1", "left after round 2"] {
                let all: Vec<String> = by_guest(&predicted.predictions, quantity)
                    .iter()
                    .map(|(guest, errors)| format!("{guest} {:.1} ({:+.1})", errors.mean, errors.bias))
                    .collect();
                eprintln!("  {name} {quantity}: {}", all.join(", "));
            }
        }
    }
}
