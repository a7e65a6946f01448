//! Planned beside measured, with the error that makes a plan trustworthy or not.
//!
//! Every measured value gives exactly one [`Comparison`]: what the plan has no counterpart for is
//! listed with the reason, never dropped, since a dropped value would flatter the mean error.
//! Values to which a parameter was fitted are summed up apart: their error proves nothing.

use algorithms::measured::{Measured, MeasuredValue, Quantity, Subject};
use algorithms::records::{MigrationRecord, Outcome, RunRecords};
use serde::Serialize;

use crate::words;

/// One measured value, and what the run has in its place.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Of what: `"run"`, or `{"vm": NAME}`.
    pub subject: Subject,
    /// Which quantity.
    pub quantity: Quantity,
    /// `s`, `B`, or empty for counts.
    pub unit: &'static str,
    /// The run's value in `unit`; `None` where it has none, see `missing`.
    pub planned: Option<f64>,
    /// The measured value in `unit`.
    pub measured: f64,
    /// (planned − measured) ÷ measured × 100; `None` where either is missing or measured is zero.
    pub error_pct: Option<f64>,
    /// Whether a parameter was fitted to this very value.
    pub calibrated: bool,
    /// Why there is no planned value.
    #[serde(skip)]
    pub missing: Option<String>,
}

/// The errors of a set of comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ErrorSummary {
    /// How many values have an error.
    pub compared: usize,
    /// How many have none since nothing was planned.
    pub not_compared: usize,
    /// How many have none since zero was measured, of which nothing is a percentage.
    pub at_zero: usize,
    /// The mean of the absolute errors, in percent.
    pub mean_absolute_pct: Option<f64>,
    /// The error furthest from zero, with its sign, in percent.
    pub worst_pct: Option<f64>,
}

/// The errors of the values that were predicted, and of those that were fitted.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ComparisonSummary {
    /// Values not used for calibration: these say how good the plan is.
    pub predicted: ErrorSummary,
    /// Values used for calibration: these only say how well the fit went.
    pub calibrated: ErrorSummary,
}

/// Every measured value beside the run's, a guest's by its last migration.
pub fn compare(run: &RunRecords, measured: &Measured) -> Vec<Comparison> {
    measured.values.iter().map(|value| compare_value(run, value)).collect()
}

/// Mean and worst errors, predicted and calibrated values apart.
pub fn summarise(comparisons: &[Comparison]) -> ComparisonSummary {
    ComparisonSummary {
        predicted: errors_of(comparisons.iter().filter(|each| !each.calibrated)),
        calibrated: errors_of(comparisons.iter().filter(|each| each.calibrated)),
    }
}

fn compare_value(run: &RunRecords, value: &MeasuredValue) -> Comparison {
    let found = match &value.subject {
        Subject::Run => of_run(run, value.quantity),
        Subject::Vm(name) => of_guest(run, name, value.quantity),
    };
    let planned = found.as_ref().ok().copied();
    Comparison {
        subject: value.subject.clone(),
        quantity: value.quantity,
        unit: value.quantity.unit(),
        planned,
        measured: value.value,
        error_pct: planned.and_then(|planned| error_pct(planned, value.value)),
        calibrated: value.calibrated,
        missing: found.err(),
    }
}

fn of_run(run: &RunRecords, quantity: Quantity) -> Result<f64, String> {
    match quantity {
        Quantity::Makespan => Ok(run.run.makespan.as_secs_f64()),
        Quantity::MemoryBytesSent => {
            Ok(run.migrations.iter().map(|each| each.memory_bytes_sent.as_f64()).sum())
        }
        Quantity::StorageBytesSent => {
            Ok(run.migrations.iter().map(|each| each.storage_bytes_sent.as_f64()).sum())
        }
        Quantity::Rounds => Ok(run.migrations.iter().map(|each| f64::from(each.rounds)).sum()),
        Quantity::Started | Quantity::Total | Quantity::Blackout => {
            Err(format!("`{}` is of a guest, name one", words::quantity(quantity)))
        }
    }
}

fn of_guest(run: &RunRecords, name: &str, quantity: Quantity) -> Result<f64, String> {
    let last = run.migrations.iter().filter(|each| *each.vm == *name).max_by_key(|each| each.migration);
    let Some(last) = last else {
        return Err("no migration of this guest in the run".to_string());
    };
    if quantity == Quantity::Makespan {
        return Err("`makespan` is of the whole run".to_string());
    }
    if let (Quantity::Started, Some(started)) = (quantity, last.started) {
        return Ok(started.as_secs_f64());
    }
    // What was measured is a migration that was completed; half of one is nothing to set beside it.
    if last.outcome != Outcome::Completed {
        let outcome = words::spoken(words::outcome(last.outcome));
        return Err(format!("{outcome} in the run: {}", last.reason));
    }
    of_migration(last, quantity)
}

fn of_migration(record: &MigrationRecord, quantity: Quantity) -> Result<f64, String> {
    match quantity {
        Quantity::Total => Ok(record.total.as_secs_f64()),
        Quantity::Blackout => Ok(record.blackout.as_secs_f64()),
        Quantity::MemoryBytesSent => Ok(record.memory_bytes_sent.as_f64()),
        Quantity::StorageBytesSent => Ok(record.storage_bytes_sent.as_f64()),
        Quantity::Rounds => Ok(f64::from(record.rounds)),
        Quantity::Started | Quantity::Makespan => Err("the run does not say".to_string()),
    }
}

fn error_pct(planned: f64, measured: f64) -> Option<f64> {
    let error = (planned - measured) / measured * 100.0;
    (measured != 0.0 && error.is_finite()).then_some(error)
}

fn errors_of<'a>(comparisons: impl Iterator<Item = &'a Comparison>) -> ErrorSummary {
    let mut summary = ErrorSummary::default();
    let mut sum = 0.0;
    for comparison in comparisons {
        let Some(error) = comparison.error_pct else {
            match comparison.planned {
                Some(_) => summary.at_zero += 1,
                None => summary.not_compared += 1,
            }
            continue;
        };
        summary.compared += 1;
        sum += error.abs();
        if summary.worst_pct.is_none_or(|worst| error.abs() > worst.abs()) {
            summary.worst_pct = Some(error);
        }
    }
    if summary.compared > 0 {
        summary.mean_absolute_pct = Some(sum / summary.compared as f64);
    }
    summary
}
