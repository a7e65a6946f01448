//! Predicting measured runs from a preset, and how far off that is.

use serde::{Deserialize, Serialize};

use crate::datasets::Measurements;
use crate::experiments::experiments;
use crate::fit::{Effort, FitError, Prediction};
use crate::preset::{Preset, PresetError};
use thiserror::Error;

/// From here on, a prediction is badly off (per cent).
const BADLY_OFF: f64 = 25.0;

/// How far a set of predictions is off; all in per cent of what was measured.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Errors {
    /// How many predictions.
    pub count: usize,
    /// The mean of the absolute errors (MAPE).
    pub mean: f64,
    /// Half are off by no more.
    pub median: f64,
    /// Nine tenths are off by no more.
    pub p90: f64,
    /// The largest.
    pub worst: f64,
    /// The mean of the errors with their signs.
    pub bias: f64,
    /// The share that is off by 25 % or more.
    pub badly_off: f64,
}

/// What was predicted of one kind of experiment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Predicted {
    /// Which experiment.
    pub kind: String,
    /// Every prediction.
    pub predictions: Vec<Prediction>,
    /// What the preset does not know of these runs.
    pub notes: Vec<String>,
}

/// Why nothing was predicted.
#[derive(Debug, Error)]
pub enum PredictError {
    /// The preset does not know such runs.
    #[error(transparent)]
    Preset(#[from] PresetError),
    /// A model could not be run.
    #[error(transparent)]
    Model(#[from] FitError),
    /// No run was found.
    #[error("no measured run was found in these files{}", passed_over(.0))]
    Nothing(Vec<String>),
}

/// Predicts every run of these measurements.
///
/// # Errors
///
/// [`PredictError`] where there is no run, or the preset does not know its kind.
pub fn predict(preset: &Preset, measurements: &Measurements) -> Result<Vec<Predicted>, PredictError> {
    let mut all = Vec::new();
    for experiment in experiments(measurements, &preset.facts()) {
        let values = preset.values(&*experiment)?;
        let guests = preset.of_guests(&*experiment, &values)?;
        let groups: Vec<usize> = (0..experiment.groups()).collect();
        let values = [values, guests.values].concat();
        let predictions = experiment.predict(&values, &groups, Effort::Everything)?;
        all.push(Predicted { kind: experiment.kind().to_string(), predictions, notes: guests.warnings });
    }
    if all.is_empty() { Err(PredictError::Nothing(measurements.without_runs())) } else { Ok(all) }
}

fn passed_over(files: &[String]) -> String {
    if files.is_empty() { String::new() } else { format!("; {}", files.join("; ")) }
}

impl Errors {
    /// Of these predictions.
    pub fn of(predictions: &[&Prediction]) -> Errors {
        let signed: Vec<f64> = predictions.iter().map(|each| each.error_percent()).collect();
        let mut sizes: Vec<f64> = signed.iter().map(|error| error.abs()).collect();
        sizes.sort_by(f64::total_cmp);
        let count = sizes.len();
        let mean = |all: &[f64]| all.iter().sum::<f64>() / count.max(1) as f64;
        let quantile = |share: f64| {
            let place = share * count.saturating_sub(1) as f64;
            let (low, high) = (place.floor() as usize, place.ceil() as usize);
            let at = |index: usize| sizes.get(index).copied().unwrap_or(0.0);
            at(low) + (at(high) - at(low)) * place.fract()
        };
        let badly = sizes.iter().filter(|size| **size >= BADLY_OFF).count();
        Errors {
            count,
            mean: mean(&sizes),
            median: quantile(0.5),
            p90: quantile(0.9),
            worst: quantile(1.0),
            bias: mean(&signed),
            badly_off: 100.0 * badly as f64 / count.max(1) as f64,
        }
    }
}
