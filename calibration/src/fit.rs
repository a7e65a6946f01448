//! Least squares with a robust loss, how sure each parameter is, and what the data cannot tell apart.
//!
//! Parameters are bounded and positive. They are solved for in the logistic of their logarithm, so that the
//! solver (Levenberg–Marquardt, Moré 1978, of the `levenberg-marquardt` crate) knows no bounds.
//! Every difference is relative: ln(predicted ÷ measured) in units of its scale. The loss of a difference
//! r is Cauchy's ln(1 + r²) or Huber's, so that a run in which something else went wrong pulls little.

mod solve;
mod uncertainty;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use uncertainty::{Fitted, FittedParameter};

/// A parameter to be found.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its name in presets.
    pub name: String,
    /// Its unit, for people.
    pub unit: &'static str,
    /// Where to begin; between the bounds.
    pub start: f64,
    /// It is above this, which is above zero.
    pub low: f64,
    /// It is below this.
    pub high: f64,
    /// Where something is known of it before any run: so far from `start`, as a share of it, is likely.
    /// It then counts as one more measured value.
    pub likely_within: Option<f64>,
}

impl Parameter {
    /// One of which nothing is known but its bounds.
    pub fn new(name: impl Into<String>, unit: &'static str, start: f64, low: f64, high: f64) -> Parameter {
        Parameter { name: name.into(), unit, start, low, high, likely_within: None }
    }

    /// The same, likely no further from its start than this share of it.
    pub fn likely_within(self, share: f64) -> Parameter {
        Parameter { likely_within: Some(share), ..self }
    }
}

/// How a difference counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Loss {
    /// Its square.
    Squares,
    /// Its square up to 1, its double beyond, less 1 (Huber 1964).
    Huber,
    /// Its size twice, rounded off near 0 (pseudo-Huber): what is found are medians, for which the mean size of an
    /// error is least.
    Absolute,
    /// The logarithm of 1 and its square: what is far off counts hardly at all.
    #[default]
    Cauchy,
}

/// A prediction beside its measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Which run, such as `plan 5, repetition 2`.
    pub run: String,
    /// Of what in it, such as `vm 3`; empty for the run as a whole.
    pub subject: String,
    /// Which quantity, such as `total`.
    pub quantity: String,
    /// Its unit.
    pub unit: String,
    /// As measured.
    pub measured: f64,
    /// As predicted.
    pub predicted: f64,
    /// A relative difference of this counts as 1 in a fit; 0 leaves it out.
    #[serde(skip)]
    pub scale: f64,
}

impl Prediction {
    /// predicted ÷ measured − 1, in per cent.
    pub fn error_percent(&self) -> f64 {
        if self.measured == self.predicted { 0.0 } else { 100.0 * (self.predicted / self.measured - 1.0) }
    }
}

/// How much to predict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// What a fit looks at.
    Fit,
    /// Everything that was measured.
    Everything,
}

/// How predictions follow parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Landscape {
    /// Smoothly enough for slopes.
    #[default]
    Smooth,
    /// Smoothly, but the loss has edges, on which a search by slopes may end: [`Loss::Absolute`].
    Edged,
    /// With steps, for what is counted in whole numbers is predicted: a search by slopes may end on one of them.
    Stepped,
}

/// What groups show directly, without a model being run: it is read off and not sought.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Shown {
    /// They follow the values of the parameters in [`Problem::predict`].
    pub values: Vec<f64>,
    /// The standard error of each as a share of it.
    pub relative_errors: Vec<f64>,
    /// What the groups do not show, in words.
    pub warnings: Vec<String>,
}

/// What can be fitted: groups of runs, predicted from parameters.
pub trait Problem: Sync {
    /// What to find.
    fn parameters(&self) -> Vec<Parameter>;
    /// What these groups show beside, without a model being run. A part of a k-fold check is shown only the groups that
    /// it fits, so that what is left out leaves nothing of itself.
    fn shown(&self, _groups: &[usize]) -> Shown {
        Shown::default()
    }
    /// How differences count.
    fn loss(&self) -> Loss {
        Loss::default()
    }
    /// How predictions follow them.
    fn landscape(&self) -> Landscape {
        Landscape::Smooth
    }
    /// How many groups there are; one is wholly inside a part of the k-fold check, or outside.
    fn groups(&self) -> usize;
    /// Predicts the runs of these groups from these values, in the order of [`Problem::parameters`], and those of
    /// [`Problem::shown`] after them.
    ///
    /// # Errors
    ///
    /// What the simulator said against the model that follows from the data.
    fn predict(&self, values: &[f64], groups: &[usize], effort: Effort) -> Result<Vec<Prediction>, FitError>;
}

/// Why nothing was fitted.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum FitError {
    /// Less data than parameters.
    #[error("{runs} measured values cannot tell {parameters} parameters; give more runs")]
    TooFew {
        /// Values.
        runs: usize,
        /// Parameters.
        parameters: usize,
    },
    /// A model could not be run.
    #[error("{run} cannot be simulated: {what}")]
    Model {
        /// Which.
        run: String,
        /// Why.
        what: String,
    },
}

/// Where runs are too few for one.
const NO_FOLDS: &str =
    "too few runs to leave some out: how far runs are off that were not fitted is not known";

/// Most parts of a k-fold check.
const MOST_FOLDS: usize = 5;

/// Fits all groups; then, to see how it does on what it has not seen, all but every k-th.
///
/// # Errors
///
/// [`FitError`] where there is too little data, or a model cannot be run.
pub fn fit(problem: &dyn Problem, loss: Loss) -> Result<Fitted, FitError> {
    let all: Vec<usize> = (0..problem.groups()).collect();
    let mut fitted = fit_groups(problem, &all, loss)?;
    let folds = MOST_FOLDS.min(all.len());
    if folds >= 2 {
        let without = |fold: usize| {
            let (out, within): (Vec<usize>, Vec<usize>) =
                all.iter().partition(|group| *group % folds == fold);
            let part = fit_groups(problem, &within, loss)?;
            problem.predict(&part.values(), &out, Effort::Everything)
        };
        let parts: Result<Vec<_>, FitError> = (0..folds).into_par_iter().map(without).collect();
        match parts {
            Ok(parts) => (fitted.folds, fitted.unseen) = (folds, parts.concat()),
            // Too few groups to leave some out: the check says nothing then, and the fit says so.
            Err(FitError::TooFew { .. }) => fitted.warnings.push(NO_FOLDS.to_string()),
            Err(error) => return Err(error),
        }
    }
    Ok(fitted)
}

/// Fits these groups alone.
///
/// # Errors
///
/// As [`fit`].
pub fn fit_groups(problem: &dyn Problem, groups: &[usize], loss: Loss) -> Result<Fitted, FitError> {
    let shown = problem.shown(groups);
    let solution = solve::solve(problem, groups, loss, &shown.values)?;
    Ok(uncertainty::judge(solution, shown))
}
