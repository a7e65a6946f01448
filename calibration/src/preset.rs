//! What fits found, as a RON file that people can read and `predict` takes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::experiments::{Experiment, Values};
use crate::fit::{Fitted, Prediction, Shown};
use crate::predict::Errors;

/// The version of the format.
const SCHEMA: u32 = 1;

/// Parameters of every kind of experiment that was fitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// 1.
    pub schema: u32,
    /// By kind of experiment.
    pub fits: BTreeMap<String, Calibrated>,
}

/// One kind of experiment.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibrated {
    /// The parameters.
    pub parameters: BTreeMap<String, Value>,
    /// Guests that have a D(t) of their own, by name; presets of old have none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub guests: BTreeMap<String, GuestCurve>,
    /// What is known of the test bed.
    pub facts: Values,
    /// Errors on the data that were fitted, by quantity.
    pub seen: BTreeMap<String, Errors>,
    /// Errors on each part of the data by a fit of the others, by quantity.
    pub unseen: BTreeMap<String, Errors>,
    /// What the data cannot tell.
    pub warnings: Vec<String>,
}

/// A parameter's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Value {
    /// In its unit.
    pub value: f64,
    /// `B/s`, `s`, …
    pub unit: String,
    /// Its standard error in per cent of it; absent where the data say nothing of it.
    pub error_percent: Option<f64>,
}

/// A guest's D(t) = W·(1 − e^(−r·t ÷ W)): `Uniform(rate: r, working_set: W)` in a scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestCurve {
    /// r.
    pub dirty_rate: Value,
    /// W.
    pub working_set: Value,
    /// The runs that it was read from.
    pub runs: usize,
}

/// Why a preset cannot be used.
#[derive(Debug, Error, Clone, PartialEq)]
pub enum PresetError {
    /// Not RON, or not this format.
    #[error("{file}:{line}:{column}: {what}")]
    Syntax {
        /// Its file.
        file: String,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What the reader said.
        what: String,
    },
    /// Of another version.
    #[error("{file}: this is a preset of version {found}; this program reads version {SCHEMA}")]
    Version {
        /// Its file.
        file: String,
        /// The version.
        found: u32,
    },
    /// A parameter is not there.
    #[error("the preset says nothing of `{parameter}` of {kind}; calibrate with such runs first")]
    Missing {
        /// The experiment.
        kind: String,
        /// The parameter.
        parameter: String,
    },
}

impl Preset {
    /// A preset without anything in it.
    pub fn new() -> Preset {
        Preset { schema: SCHEMA, fits: BTreeMap::new() }
    }

    /// Adds what a fit found.
    pub fn add(&mut self, experiment: &dyn Experiment, fitted: &Fitted) {
        let value = |parameter: &crate::fit::FittedParameter| {
            let error_percent = Some(parameter.relative_error * 100.0).filter(|error| error.is_finite());
            let unit = parameter.unit.to_string();
            (parameter.name.clone(), Value { value: parameter.value, unit, error_percent })
        };
        let calibrated = Calibrated {
            parameters: fitted.parameters.iter().map(value).collect(),
            guests: experiment.guests(fitted),
            facts: experiment.facts(),
            seen: by_quantity(&fitted.seen),
            unseen: by_quantity(&fitted.unseen),
            warnings: fitted.warnings.clone(),
        };
        self.fits.insert(experiment.kind().to_string(), calibrated);
    }

    /// What is known of test beds, by kind of experiment.
    pub fn facts(&self) -> BTreeMap<String, Values> {
        self.fits.iter().map(|(kind, fit)| (kind.clone(), fit.facts.clone())).collect()
    }

    /// The values that an experiment asks for, in its order.
    ///
    /// # Errors
    ///
    /// [`PresetError::Missing`] where one was not fitted.
    pub fn values(&self, experiment: &dyn Experiment) -> Result<Vec<f64>, PresetError> {
        let kind = experiment.kind();
        let fit = self.fits.get(kind);
        let value = |parameter: crate::fit::Parameter| {
            let found = fit.and_then(|fit| fit.parameters.get(&parameter.name));
            let missing =
                || PresetError::Missing { kind: kind.to_string(), parameter: parameter.name.clone() };
            found
                .map(|value| value.value)
                .filter(|value| value.is_finite() && *value > 0.0)
                .ok_or_else(missing)
        };
        experiment.parameters().into_iter().map(value).collect()
    }

    /// What stands beside those values for the guests of these runs, and what the preset does not know of them.
    ///
    /// # Errors
    ///
    /// [`PresetError::Missing`] where a guest's value is none.
    pub fn of_guests(&self, experiment: &dyn Experiment, values: &[f64]) -> Result<Shown, PresetError> {
        let kind = experiment.kind();
        let none = BTreeMap::new();
        let guests = self.fits.get(kind).map_or(&none, |fit| &fit.guests);
        for (guest, curve) in guests {
            for (name, value) in [("dirty_rate", &curve.dirty_rate), ("working_set", &curve.working_set)] {
                if !value.value.is_finite() || value.value <= 0.0 {
                    let parameter = format!("{name} of {guest}");
                    return Err(PresetError::Missing { kind: kind.to_string(), parameter });
                }
            }
        }
        Ok(experiment.carried_over(values, guests))
    }

    /// As RON.
    pub fn to_ron(&self) -> String {
        let style = ron::ser::PrettyConfig::default().struct_names(false);
        ron::ser::to_string_pretty(self, style).unwrap_or_default() + "\n"
    }

    /// From RON.
    ///
    /// # Errors
    ///
    /// [`PresetError`] where it is no preset of this version.
    pub fn from_ron(file: &str, text: &str) -> Result<Preset, PresetError> {
        let preset: Preset = ron::from_str(text).map_err(|error| PresetError::Syntax {
            file: file.to_string(),
            line: error.span.start.line,
            column: error.span.start.col,
            what: error.code.to_string(),
        })?;
        if preset.schema != SCHEMA {
            return Err(PresetError::Version { file: file.to_string(), found: preset.schema });
        }
        Ok(preset)
    }
}

impl Default for Preset {
    fn default() -> Preset {
        Preset::new()
    }
}

/// Errors of the predictions of each quantity.
pub fn by_quantity(predictions: &[Prediction]) -> BTreeMap<String, Errors> {
    let mut sorted: BTreeMap<String, Vec<&Prediction>> = BTreeMap::new();
    for prediction in predictions {
        sorted.entry(prediction.quantity.clone()).or_default().push(prediction);
    }
    sorted.into_iter().map(|(quantity, all)| (quantity, Errors::of(&all))).collect()
}
