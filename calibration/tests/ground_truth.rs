//! A fit on half of the runs of each data set predicts the other half.
//!
//! The data are others' and no part of this project: they are read from `../shared/ground-truth` beside
//! it where they are there. Where they are not, these tests say so, and check nothing.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use std::path::{Path, PathBuf};

use calibration::datasets::{Measurements, Source};
use calibration::experiments::{Drains, Experiment, Guests, Plans, Values};
use calibration::fit::{Effort, Loss, Prediction, Problem, fit_groups};
use calibration::predict::Errors;

fn ground_truth() -> Option<Measurements> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/ground-truth");
    if !root.exists() {
        eprintln!("NOT CHECKED: there are no measured migrations at {}", root.display());
        return None;
    }
    let mut sources = Vec::new();
    let mut directories: Vec<PathBuf> = vec![root];
    while let Some(directory) = directories.pop() {
        let mut entries: Vec<PathBuf> =
            std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|end| end == "csv" || end == "json") {
                let text = std::fs::read_to_string(&path).unwrap();
                sources.push(Source { name: path.display().to_string(), text });
            }
        }
    }
    Some(Measurements::read(&sources).unwrap())
}

/// Fits `seen` of the groups and predicts `unseen`.
fn predict(problem: &dyn Problem, seen: &[usize], unseen: &[usize]) -> Vec<Prediction> {
    let fitted = fit_groups(problem, seen, if std::env::var("HUBER").is_ok() { Loss::Huber } else { Loss::Cauchy }).unwrap();
    for parameter in &fitted.parameters {
        eprintln!("  {} = {:.4e} {} ± {:.1} %", parameter.name, parameter.value, parameter.unit, 100.0 * parameter.relative_error);
    }
    eprintln!("  condition {:.0}; {:?}", fitted.condition, fitted.warnings);
    let values: Vec<f64> = fitted.parameters.iter().map(|parameter| parameter.value).collect();
    problem.predict(&values, unseen, Effort::Everything).unwrap()
}

fn errors(predictions: &[Prediction], quantity: &str) -> Errors {
    let of: Vec<&Prediction> = predictions.iter().filter(|each| each.quantity == quantity).collect();
    let errors = Errors::of(&of);
    eprintln!("  {quantity}: {errors:.2?}");
    errors
}

/// Even and odd groups, each half to be predicted from the other.
fn halves(groups: usize) -> [(Vec<usize>, Vec<usize>); 2] {
    let (even, odd): (Vec<usize>, Vec<usize>) = (0..groups).partition(|group| group % 2 == 0);
    [(even.clone(), odd.clone()), (odd, even)]
}

#[test]
fn plans_of_several_migrations() {
    let Some(all) = ground_truth() else { return };
    let plans = Plans::new(&all, &Values::new());
    for (seen, unseen) in halves(plans.groups()) {
        let predictions = predict(&plans, &seen, &unseen);
        errors(&predictions, "total");
        errors(&predictions, "makespan");
        if std::env::var("VERBOSE").is_ok() { for p in &predictions { eprintln!("{} | {} | {} {:.1} {:.1}", p.run, p.subject, p.quantity, p.measured, p.predicted); } }
    }
}

#[test]
fn guests_with_a_database() {
    let Some(all) = ground_truth() else { return };
    let guests = Guests::new(&all, &Values::new());
    for (seen, unseen) in halves(guests.groups()) {
        let predictions = predict(&guests, &seen, &unseen);
        for quantity in ["total", "bytes", "syncs"] {
            errors(&predictions, quantity);
        }
        for p in predictions.iter().filter(|p| p.run.ends_with(" 1") || p.run.ends_with(" 4")) { eprintln!("{} {} {} {}", p.run, p.quantity, p.measured, p.predicted); }
    }
}

#[test]
fn drains_of_hosts() {
    let Some(all) = ground_truth() else { return };
    let drains = Drains::new(&all, &Values::new());
    for (seen, unseen) in halves(drains.groups()) {
        let predictions = predict(&drains, &seen, &unseen);
        errors(&predictions, "drain");
        errors(&predictions, "guest");
    }
    eprintln!("{:?}", drains.facts());
}
