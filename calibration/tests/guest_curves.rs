//! Guests of recorded runs that write differently: each has a D(t) of its own, as far as its rounds show it.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use std::collections::BTreeMap;

use calibration::datasets::{Measurements, recorded};
use calibration::experiments::{Recorded, Values};
use calibration::fit::{Effort, Fitted, Prediction, Problem, fit};
use calibration::predict::{Errors, Predicted, predict};
use calibration::preset::{GuestCurve, Preset};
use models::world::{Metering, RunOptions, simulate};

/// A guest: its name, gibibytes of memory, what it does.
type Guest = (&'static str, u32, &'static str);

const HEAVY: &str = r#"Uniform(rate: "400 MB/s", working_set: "6 GiB")"#;
const LIGHT: &str = r#"Uniform(rate: "8 MB/s", working_set: "600 MiB")"#;
const HOT_COLD: &str = r#"Classes([(rate: "300 MB/s", size: "200 MiB"), (rate: "20 MB/s", size: "4 GiB")])"#;
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
fn by_guest(predictions: &[Prediction], quantity: &str) -> BTreeMap<String, f64> {
    let mut sorted: BTreeMap<String, Vec<&Prediction>> = BTreeMap::new();
    for each in predictions.iter().filter(|each| each.quantity == quantity) {
        sorted.entry(each.subject.clone()).or_default().push(each);
    }
    sorted.into_iter().map(|(guest, all)| (guest, Errors::of(&all).mean)).collect()
}

/// As if all guests were one: then they have one curve, which is fitted to all of them.
fn as_one(measurements: &Measurements) -> Measurements {
    let mut one = measurements.clone();
    for migration in one.recorded.iter_mut().flat_map(|run| &mut run.migrations) {
        migration.vm = "all".into();
    }
    one
}

/// Predictions of `unseen` by one curve fitted to all guests of `seen`, with the guests' names.
fn by_one_curve(seen: &Measurements, unseen: &Measurements) -> Vec<Prediction> {
    let (preset, _) = calibrated(&as_one(seen));
    let predictions = predicted(&preset, &as_one(unseen)).predictions;
    let named = predicted(&preset, unseen).predictions;
    let subject =
        |(each, named): (Prediction, &Prediction)| Prediction { subject: named.subject.clone(), ..each };
    predictions.into_iter().zip(&named).map(subject).collect()
}

fn guest<'a>(preset: &'a Preset, name: &str) -> &'a GuestCurve {
    &preset.fits["recorded"].guests[name]
}

/// The first warning that says this.
fn warned<'a>(warnings: &'a [String], what: &str) -> &'a str {
    warnings
        .iter()
        .find(|warning| warning.contains(what))
        .unwrap_or_else(|| panic!("no {what}: {warnings:#?}"))
}

/// How far a curve is off a known D(t), in per cent.
fn off(curve: &GuestCurve, rate: f64, working_set: f64, seconds: f64) -> f64 {
    let dirtied = |rate: f64, set: f64| -set * sim_core::math::exp_m1(-rate * seconds / set);
    let found = dirtied(curve.dirty_rate.value, curve.working_set.value);
    100.0 * (found / dirtied(rate, working_set) - 1.0).abs()
}

/// Of each guest, total time and bytes of runs that the fit did not see: near with a curve of its own, and some are far off
/// with one for all.
fn predicts_each(hypervisor: &str, most_off: f64) {
    let text = scenario(&GUESTS, hypervisor, 0.1);
    let (seen, unseen) = (measured(&text, 0..5), measured(&text, 5..9));
    let own = predicted(&calibrated(&seen).0, &unseen);
    assert!(own.notes.is_empty(), "{:?}", own.notes);
    let one = by_one_curve(&seen, &unseen);
    for quantity in ["total", "bytes"] {
        let (own, one) = (by_guest(&own.predictions, quantity), by_guest(&one, quantity));
        eprintln!("{hypervisor} {quantity}: own {own:.1?}, one {one:.1?}");
        assert_eq!(own.len(), GUESTS.len());
        assert!(own.values().all(|error| *error < most_off), "{quantity}: {own:.1?}");
        let mean = |errors: &BTreeMap<String, f64>| errors.values().sum::<f64>() / errors.len() as f64;
        let worst = one.values().copied().fold(0.0, f64::max);
        assert!(worst > 10.0 && mean(&one) > 4.0 * mean(&own), "{quantity}: {own:.1?}, with one {one:.1?}");
    }
}

#[test]
fn guests_that_write_differently_are_predicted_each_by_its_own_curve() {
    predicts_each(HYPER_V, 3.5);
}

#[test]
fn so_they_are_where_rounds_leave_some_unsent() {
    predicts_each(QEMU, 3.5);
}

#[test]
fn curves_are_those_that_the_guests_have_and_say_what_is_not_known() {
    let (preset, fitted) = calibrated(&measured(&scenario(&GUESTS, HYPER_V, 0.0), 0..3));
    for (name, rate, set) in [("heavy", 400e6, 6442e6), ("web", 90e6, 2147e6), ("small", 500e6, 104.9e6)] {
        for seconds in [0.2, 2.0, 15.0] {
            let off = off(guest(&preset, name), rate, set, seconds);
            assert!(off < 3.0, "{name} after {seconds} s: {off:.1} % off");
        }
    }
    assert_eq!(guest(&preset, "web").runs, 3);
    // What wrote nothing is known by that alone.
    assert!(guest(&preset, "idle").dirty_rate.value < 1e5, "{:?}", guest(&preset, "idle"));
    assert!(warned(&fitted.warnings, "next to nothing").contains("1 of 6 guests (idle)"));
    assert!(guest(&preset, "heavy").working_set.error_percent.unwrap() < 10.0);
}

#[test]
fn guests_that_hardly_differ_are_predicted_no_worse_than_by_one_curve() {
    let names = ["a", "b", "c", "d", "e", "f"];
    let guests = names.map(|name| (name, 8, r#"Uniform(rate: "150 MB/s", working_set: "1 GiB")"#));
    let text = scenario(&guests, HYPER_V, 0.1);
    let (seen, unseen) = (measured(&text, 0..2), measured(&text, 2..8));
    let own = predicted(&calibrated(&seen).0, &unseen).predictions;
    let one = by_one_curve(&seen, &unseen);
    for quantity in ["total", "bytes", "blackout"] {
        let of = |all: &[Prediction]| {
            Errors::of(&all.iter().filter(|each| each.quantity == quantity).collect::<Vec<_>>()).mean
        };
        eprintln!("{quantity}: own {:.3}, one {:.3}", of(&own), of(&one));
        assert!(of(&own) < 1.1 * of(&one), "{quantity}: own {:.3}, one {:.3}", of(&own), of(&one));
    }
}

/// Then the typical guest is an idle one, far from those that write.
#[test]
fn where_most_guests_are_idle_the_others_keep_their_curves() {
    let idle = ["i1", "i2", "i3", "i4", "i5"].map(|name| (name, 4, "Idle"));
    let text = scenario(&[&idle[..], &GUESTS[..1], &GUESTS[5..]].concat(), HYPER_V, 0.0);
    let (preset, _) = calibrated(&measured(&text, 0..2));
    let errors = by_guest(&predicted(&preset, &measured(&text, 2..3)).predictions, "bytes");
    assert!(errors.len() == 7 && errors.values().all(|error| *error < 1.0), "{errors:.2?}");
    assert!(off(guest(&preset, "heavy"), 400e6, 6442e6, 5.0) < 3.0, "{:?}", guest(&preset, "heavy"));
}

/// One more guest, measured in a single run: it has a curve of its own too, and the fit says how little stands behind it.
#[test]
fn a_guest_that_was_measured_once_has_its_own_curve_with_a_warning() {
    let late: Guest = ("late", 10, r#"Uniform(rate: "250 MB/s", working_set: "3 GiB")"#);
    let slow: Guest = ("slow", 4, r#"Uniform(rate: "4 MB/s", working_set: "4 GiB")"#);
    let with_late = scenario(&[&GUESTS[..], &[late, slow]].concat(), HYPER_V, 0.1);
    let mut seen = measured(&scenario(&GUESTS, HYPER_V, 0.1), 0..4);
    let mut once = measured(&with_late, 4..5).recorded;
    // Of the two ways of the plan that it went, the last, which it went alone.
    let is_late = |name: &str| name == "late" || name == "slow";
    once[0].migrations.retain(|migration| !is_late(&migration.vm) || migration.destination == 0);
    seen.recorded.extend(once);
    let (preset, fitted) = calibrated(&seen);
    let warning = warned(&fitted.warnings, "measured in one run only");
    assert!(warning.contains("2 of 8 guests (late, slow)") && warning.contains("vary by"), "{warning}");
    // Eight seconds of 4 MB/s do not show where that ends.
    assert!(
        warned(&fitted.warnings, "in the long run is not known").contains("slow"),
        "{:#?}",
        fitted.warnings
    );
    assert!(guest(&preset, "slow").working_set.error_percent.unwrap() > 50.0);
    let known = guest(&preset, "web").dirty_rate.error_percent.unwrap();
    let less_known = guest(&preset, "late").dirty_rate.error_percent.unwrap();
    assert!(less_known > 1.5 * known, "{less_known} and {known}");
    let unseen = measured(&with_late, 5..9);
    let errors = by_guest(&predicted(&preset, &unseen).predictions, "total");
    eprintln!("{errors:.1?}");
    assert!(errors["late"] < 6.0 && errors["slow"] < 1.0, "{errors:.1?}");
}

#[test]
fn where_no_guest_was_measured_twice_it_is_said() {
    let all = GUESTS.map(|(name, gib, workload)| {
        format!(r#"(name: "{name}", host: "host1", memory: "{gib} GiB", workload: {workload}),"#)
    });
    let moves = GUESTS.map(|(name, ..)| format!(r#"Move(vm: "{name}", to: "host2")"#));
    let text = format!(
        r#"(name: "once", hosts: [(name: "host{{1..2}}", memory: "256 GiB", nic: "10GbE")], vms: [{}],
            hypervisor: {HYPER_V}, transport: "tcp", plan: [{}])"#,
        all.concat(),
        moves.join(", ")
    );
    let (_, fitted) = calibrated(&measured(&text, 0..1));
    warned(&fitted.warnings, "no guest was measured in two runs");
}

#[test]
fn a_guest_that_the_preset_does_not_know_is_a_typical_one_and_it_is_said() {
    let text = scenario(&GUESTS[..5], HYPER_V, 0.0);
    let (preset, _) = calibrated(&measured(&text, 0..2));
    let unseen = measured(&scenario(&GUESTS, HYPER_V, 0.0), 0..1);
    let predicted = predicted(&preset, &unseen);
    let note = warned(&predicted.notes, "not in the preset");
    assert!(note.contains("1 of 6 guests (web)") && note.contains("median"), "{note}");
    // The typical one is the median of five: a guest of that name would be predicted likewise.
    let of = |of: fn(&GuestCurve) -> f64| {
        let mut all: Vec<f64> = preset.fits["recorded"].guests.values().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[2]
    };
    let mut knowing = preset.clone();
    let mut web = guest(&preset, "light").clone();
    web.dirty_rate.value = of(|curve| curve.dirty_rate.value);
    web.working_set.value = of(|curve| curve.working_set.value);
    knowing.fits.get_mut("recorded").unwrap().guests.insert("web".into(), web);
    let known = predict(&knowing, &unseen).unwrap().remove(0);
    assert!(known.notes.is_empty());
    for (known, typical) in known.predictions.iter().zip(&predicted.predictions) {
        let off = (known.predicted - typical.predicted).abs() / known.predicted.max(1e-9);
        assert!(off < 1e-3, "{known:?}, {typical:?}");
    }
}

/// What is left out shows nothing of itself: neither changed rounds nor a guest that only it has.
#[test]
fn the_k_fold_check_reads_no_curve_off_what_it_leaves_out() {
    let all = measured(&scenario(&GUESTS, HYPER_V, 0.1), 0..3);
    let problem = |measurements: &Measurements| Recorded::new(measurements, &Values::new());
    let mut changed = all.clone();
    for migration in &mut changed.recorded[2].migrations {
        migration.vm = if migration.vm == "web" { "other".into() } else { migration.vm.clone() };
        migration.rounds.iter_mut().for_each(|round| round.left *= 0.5);
    }
    let (within, with_other) = (problem(&all).shown(&[0, 1]), problem(&changed).shown(&[0, 1]));
    assert_ne!(problem(&all).shown(&[0, 1, 2]).values, within.values);
    // Sorted by name, `other` stands before `small` and `web`, and is a typical guest as long as it is not seen.
    let place = 2 * 4;
    assert_eq!(with_other.values[place..place + 2], [1.0, 1.0]);
    let others = [&with_other.values[..place], &with_other.values[place + 2..]].concat();
    assert_eq!(others, within.values);
    let fitted = fit(&problem(&all), problem(&all).loss()).unwrap();
    let errors = by_guest(&fitted.unseen, "total");
    assert!(fitted.folds == 3 && errors.values().all(|error| *error < 5.0), "{errors:.1?}");
}

/// Idle guests leave now a page and now none; the fit must have as many values wherever it looks.
#[test]
fn how_many_values_count_does_not_depend_on_what_is_predicted() {
    let recorded = Recorded::new(&measured(&scenario(&GUESTS, HYPER_V, 0.1), 0..2), &Values::new());
    let mut values: Vec<f64> = recorded.parameters().iter().map(|parameter| parameter.start).collect();
    values.extend(recorded.shown(&[0, 1]).values);
    let counted = |values: &[f64]| {
        let all = recorded.predict(values, &[0, 1], Effort::Fit).unwrap();
        let nothing = all.iter().filter(|each| each.scale > 0.0 && each.predicted == 0.0).count();
        (all.iter().filter(|each| each.scale > 0.0).count(), nothing)
    };
    let (before, _) = counted(&values);
    // A working set of less than a page leaves nothing.
    values[5] = 1.0;
    let (after, nothing) = counted(&values);
    assert!(before == after && nothing > 0, "{before}, {after}, {nothing}");
}

/// As presets were written before guests had curves of their own, and before a fit looked at what begins together.
const OLDER: &str = r#"(schema: 1, fits: {"recorded": (
    parameters: {
        "rate": (value: 1.1766e9, unit: "B/s", error_percent: Some(0.4)),
        "prepare": (value: 2.5, unit: "s", error_percent: Some(0.4)),
        "resume": (value: 0.45, unit: "s", error_percent: Some(0.4)),
        "finish": (value: 1.55, unit: "s", error_percent: Some(0.4)),
        "dirty_rate": (value: 90e6, unit: "B/s", error_percent: None),
        "working_set": (value: 2.147e9, unit: "B", error_percent: None),
    },
    facts: {"stop below, in bytes": 8e6, "downtime limit, in seconds": 0.0, "most rounds": 10.0},
    seen: {}, unseen: {}, warnings: [],
)})"#;

#[test]
fn a_preset_from_before_guests_had_curves_is_read_and_predicts_with_its_one() {
    let preset = Preset::from_ron("older.ron", OLDER).unwrap();
    let predicted = predicted(&preset, &measured(&scenario(&GUESTS, HYPER_V, 0.0), 0..1));
    warned(&predicted.notes, "one D(t) for all guests");
    let errors = by_guest(&predicted.predictions, "bytes");
    assert!(errors["web"] < 1.0 && errors["heavy"] > 10.0, "{errors:.1?}");
}

#[test]
fn a_preset_with_a_value_that_is_none_is_refused_by_the_guests_name() {
    let (mut preset, _) = calibrated(&measured(&scenario(&GUESTS, HYPER_V, 0.0), 0..1));
    let kept = preset.fits.get_mut("recorded").unwrap().guests.get_mut("web").unwrap();
    kept.working_set.value = -1.0;
    let error = predict(&preset, &measured(&scenario(&GUESTS, HYPER_V, 0.0), 0..1)).unwrap_err();
    assert!(error.to_string().contains("working_set of web"), "{error}");
}
