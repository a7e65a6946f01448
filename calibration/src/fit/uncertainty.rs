//! How sure a fit is of each parameter, and which it cannot tell apart.
//!
//! From the Jacobian J of the weighted residuals r: covariance = (JᵀJ)⁻¹ · rᵀr ÷ (n − p), of the logarithms of
//! the parameters. Two whose correlation is near 1, or a condition number of J that is large, say
//! that other values would fit the data as well.

use nalgebra::DMatrix;

use super::solve::Solution;
use super::{Parameter, Prediction, Shown};

/// From here on, two parameters are said not to be told apart.
const CORRELATED: f64 = 0.95;
/// From here on, so is the whole of them (of the column-scaled Jacobian).
const ILL_CONDITIONED: f64 = 100.0;
/// Standard errors of this share of a value and more leave it open.
const HARDLY_KNOWN: f64 = 0.5;
/// What share of its range at either end counts as a bound.
const AT_BOUND: f64 = 0.01;

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// Every parameter.
    pub parameters: Vec<FittedParameter>,
    /// What the runs showed directly.
    pub shown: Shown,
    /// Predictions of the runs that were fitted.
    pub seen: Vec<Prediction>,
    /// Parts of the k-fold check; 0 where there was too little data.
    pub folds: usize,
    /// Predictions of every run by a fit that did not see it.
    pub unseen: Vec<Prediction>,
    /// The condition number of the column-scaled Jacobian; infinite where it is singular.
    pub condition: f64,
    /// What the data cannot tell, in words.
    pub warnings: Vec<String>,
}

impl Fitted {
    /// What [`super::Problem::predict`] asks for.
    pub fn values(&self) -> Vec<f64> {
        let found = self.parameters.iter().map(|parameter| parameter.value);
        found.chain(self.shown.values.iter().copied()).collect()
    }
}

/// A parameter that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct FittedParameter {
    /// Its name.
    pub name: String,
    /// Its unit.
    pub unit: &'static str,
    /// Its value.
    pub value: f64,
    /// Its standard error as a share of the value; infinite where the data say nothing of it.
    pub relative_error: f64,
}

/// Judges a solution, which was found beside what is shown.
pub(super) fn judge(solution: Solution, shown: Shown) -> Fitted {
    let Solution { parameters, values, jacobian, residuals, predictions } = solution;
    let norms: Vec<f64> = jacobian.column_iter().map(|column| column.norm()).collect();
    let mut scaled = jacobian;
    for (mut column, norm) in scaled.column_iter_mut().zip(&norms) {
        column /= if *norm > 0.0 { *norm } else { 1.0 };
    }
    let singular = scaled.clone().singular_values();
    let (least, most) = (singular.min(), singular.max());
    let condition = if least > 0.0 { most / least } else { f64::INFINITY };
    let freedom = residuals.len().saturating_sub(values.len() + shown.values.len()).max(1) as f64;
    let variance = residuals.norm_squared() / freedom;
    // What the data say nothing of has no column, and must not make the others unknown.
    let mut squares = scaled.transpose() * &scaled;
    for (index, norm) in norms.iter().enumerate().filter(|(_, norm)| **norm == 0.0) {
        squares[(index, index)] = 1.0 + norm;
    }
    let inverse = squares.try_inverse();
    let deviation = |index: usize| match &inverse {
        Some(inverse) if norms[index] > 0.0 => {
            (inverse[(index, index)].abs() * variance).sqrt() / norms[index]
        }
        _ => f64::INFINITY,
    };
    let mut warnings = shown.warnings.clone();
    for (index, parameter) in parameters.iter().enumerate() {
        let deviation = (norms[index] > 0.0).then(|| deviation(index));
        warnings.extend(doubts(parameter, values[index], deviation));
    }
    if inverse.is_none() {
        warnings.push(
            "how sure the parameters are is not known at all: several sets of them fit the data alike \
             (their errors are shown as not told by the data); add runs that differ in speed or in memory"
                .to_string(),
        );
    }
    if let Some(inverse) = &inverse {
        warnings
            .extend(correlations(inverse, &parameters.iter().map(|p| p.name.as_str()).collect::<Vec<_>>()));
    }
    if condition >= ILL_CONDITIONED {
        warnings.push(format!(
            "the parameters together are badly determined (condition number {condition:.0}); \
             runs that differ more, in speed or in memory, would help"
        ));
    }
    let found =
        parameters.iter().zip(&values).enumerate().map(|(index, (parameter, value))| FittedParameter {
            name: parameter.name.clone(),
            unit: parameter.unit,
            value: *value,
            relative_error: deviation(index),
        });
    Fitted {
        parameters: found.collect(),
        shown,
        seen: predictions,
        folds: 0,
        unseen: Vec::new(),
        condition,
        warnings,
    }
}

/// What is to be said of one parameter; its `deviation` is `None` where the data say nothing of it, and infinite where
/// it is not known.
fn doubts(parameter: &Parameter, value: f64, deviation: Option<f64>) -> Vec<String> {
    let place = (value / parameter.low).ln() / (parameter.high / parameter.low).ln();
    let Some(deviation) = deviation else {
        return vec![format!("the data say nothing of {}", parameter.name)];
    };
    let mut doubts = Vec::new();
    if !(AT_BOUND..=1.0 - AT_BOUND).contains(&place) {
        doubts.push(format!("{} lies at the end of its range", parameter.name));
    }
    if deviation.is_finite() && deviation >= HARDLY_KNOWN {
        doubts.push(format!(
            "{} is hardly known: its standard error is {:.0} % of it; what it is used for may still be \
             predicted well, but do not read a fact from it",
            parameter.name,
            100.0 * deviation
        ));
    }
    doubts
}

fn correlations(inverse: &DMatrix<f64>, names: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (first, name) in names.iter().enumerate() {
        for (second, other) in names.iter().enumerate().skip(first + 1) {
            let both = (inverse[(first, first)] * inverse[(second, second)]).abs().sqrt();
            let correlation = if both > 0.0 { inverse[(first, second)] / both } else { 0.0 };
            if correlation.abs() >= CORRELATED {
                found.push(format!(
                    "the data cannot tell {name} from {other} (correlation {correlation:.2}): \
                     their values hold together, not each for itself"
                ));
            }
        }
    }
    found
}
