//! The search for the parameters.

use levenberg_marquardt::{LeastSquaresProblem, LevenbergMarquardt};
use nalgebra::{DMatrix, DVector, Dyn, storage::Owned};
use rayon::prelude::*;

use super::{Effort, FitError, Landscape, Loss, Parameter, Prediction, Problem};

/// A step in the unbounded parameter for the slope: the simulator works in steps of its own, which a
/// shorter one would fall between.
const STEP: f64 = 0.02;

/// The bound of the first step, in units of the start: a long one ends where nothing has a slope.
const FIRST_STEP: f64 = 0.3;

/// Evaluations of all residuals beyond which the search is ended, in units of parameters + 1.
const PATIENCE: usize = 12;

/// Steps in the unbounded parameter of [`Search::polish`]: across steps of the loss, and along its edges.
const POLISH: [f64; 8] = [0.3, 0.3, 0.1, 0.1, 0.05, 0.05, 0.02, 0.01];
const POLISH_EDGES: [f64; 4] = [0.1, 0.05, 0.02, 0.01];

/// Up to about this difference, [`Loss::Absolute`] is rounded off, so that it has slopes everywhere.
const ROUNDED: f64 = 0.1;

/// What the search found.
pub(super) struct Solution {
    pub(super) parameters: Vec<Parameter>,
    pub(super) values: Vec<f64>,
    /// d residual ÷ d ln value, weighted as the loss does.
    pub(super) jacobian: DMatrix<f64>,
    pub(super) residuals: DVector<f64>,
    pub(super) predictions: Vec<Prediction>,
}

struct Search<'a> {
    problem: &'a dyn Problem,
    groups: &'a [usize],
    /// What the groups show directly.
    shown: &'a [f64],
    parameters: Vec<Parameter>,
    loss: Loss,
    at: DVector<f64>,
    /// At `at`; `None` where the model could not be run.
    residuals: Option<DVector<f64>>,
}

/// Finds the parameters for these groups, beside what the groups show directly.
pub(super) fn solve(
    problem: &dyn Problem,
    groups: &[usize],
    loss: Loss,
    shown: &[f64],
) -> Result<Solution, FitError> {
    let parameters = problem.parameters();
    let start = parameters.iter().map(|parameter| parameter.to_unbounded(parameter.start));
    let mut search = Search {
        problem,
        groups,
        shown,
        loss,
        at: DVector::from_iterator(parameters.len(), start),
        parameters,
        residuals: None,
    };
    let runs = search.evaluate(&search.at)?.len();
    if runs < search.parameters.len() {
        return Err(FitError::TooFew { runs, parameters: search.parameters.len() });
    }
    search.residuals = Some(search.evaluate(&search.at)?);
    let method =
        LevenbergMarquardt::new().with_ftol(1e-5).with_xtol(1e-4).with_gtol(1e-8).with_stepbound(FIRST_STEP);
    let (mut search, _) = method.with_patience(PATIENCE).minimize(search);
    match problem.landscape() {
        Landscape::Smooth => {}
        Landscape::Edged => search.polish(&POLISH_EDGES),
        Landscape::Stepped => search.polish(&POLISH),
    }
    search.solution()
}

impl Search<'_> {
    /// Where the loss has steps or edges, the search by slopes may have ended on one of them: one parameter after the
    /// other is tried on either side, in ever shorter steps (Hooke and Jeeves 1961).
    fn polish(&mut self, steps: &[f64]) {
        let Some(mut best) = self.loss_at(&self.at) else {
            return;
        };
        for step in steps.iter().copied() {
            for column in 0..self.at.len() {
                for signed in [step, -step] {
                    let mut at = self.at.clone();
                    at[column] += signed;
                    if let Some(loss) = self.loss_at(&at).filter(|loss| *loss < best) {
                        (best, self.at) = (loss, at);
                        break;
                    }
                }
            }
        }
    }

    fn loss_at(&self, at: &DVector<f64>) -> Option<f64> {
        self.evaluate(at).ok().map(|residuals| residuals.norm_squared())
    }

    fn values(&self, at: &DVector<f64>) -> Vec<f64> {
        self.parameters.iter().zip(at.iter()).map(|(parameter, x)| parameter.bounded(*x)).collect()
    }

    fn evaluate(&self, at: &DVector<f64>) -> Result<DVector<f64>, FitError> {
        let values = self.values(at);
        let predictions = self.predict(&values, Effort::Fit)?;
        Ok(self.residuals_of(&predictions, &values))
    }

    fn predict(&self, values: &[f64], effort: Effort) -> Result<Vec<Prediction>, FitError> {
        self.problem.predict(&[values, self.shown].concat(), self.groups, effort)
    }

    fn residuals_of(&self, predictions: &[Prediction], values: &[f64]) -> DVector<f64> {
        let counted = predictions.iter().filter(|each| each.scale > 0.0);
        let measured = counted.map(|each| self.loss.root(difference(each)));
        let known = self.parameters.iter().zip(values);
        let known = known.filter_map(|(parameter, value)| {
            parameter.likely_within.map(|share| (value / parameter.start).ln() / share)
        });
        DVector::from_vec(measured.chain(known).collect())
    }

    fn slopes(&self) -> Option<DMatrix<f64>> {
        let rows = self.residuals.as_ref()?.len();
        let mut jacobian = DMatrix::zeros(rows, self.at.len());
        // Columns are found side by side; each is what it would be alone.
        let slope = |column: usize| {
            let (mut above, mut below) = (self.at.clone(), self.at.clone());
            above[column] += STEP;
            below[column] -= STEP;
            Some((self.evaluate(&above).ok()? - self.evaluate(&below).ok()?) / (2.0 * STEP))
        };
        let slopes: Option<Vec<_>> = (0..self.at.len()).into_par_iter().map(slope).collect();
        for (column, slope) in slopes?.iter().enumerate() {
            jacobian.set_column(column, slope);
        }
        Some(jacobian)
    }

    fn solution(mut self) -> Result<Solution, FitError> {
        self.residuals = Some(self.evaluate(&self.at)?);
        let values = self.values(&self.at);
        let predictions = self.predict(&values, Effort::Everything)?;
        let residuals = self.residuals_of(&predictions, &values);
        let mut jacobian =
            self.slopes().unwrap_or_else(|| DMatrix::zeros(residuals.len(), self.parameters.len()));
        for (column, parameter) in self.parameters.iter().enumerate() {
            let slope = parameter.slope_of_logarithm(self.at[column]);
            let scaled = jacobian.column(column) / slope.max(f64::MIN_POSITIVE);
            jacobian.set_column(column, &scaled);
        }
        Ok(Solution { parameters: self.parameters, values, jacobian, residuals, predictions })
    }
}

impl LeastSquaresProblem<f64, Dyn, Dyn> for Search<'_> {
    type ParameterStorage = Owned<f64, Dyn>;
    type ResidualStorage = Owned<f64, Dyn>;
    type JacobianStorage = Owned<f64, Dyn, Dyn>;

    fn set_params(&mut self, at: &DVector<f64>) {
        self.at.copy_from(at);
        self.residuals = self.evaluate(at).ok();
    }

    fn params(&self) -> DVector<f64> {
        self.at.clone()
    }

    fn residuals(&self) -> Option<DVector<f64>> {
        self.residuals.clone()
    }

    fn jacobian(&self) -> Option<DMatrix<f64>> {
        self.slopes()
    }
}

/// ln(predicted ÷ measured) in units of the scale; a prediction of nothing is off by very much.
fn difference(prediction: &Prediction) -> f64 {
    let ratio = (prediction.predicted / prediction.measured).max(1e-6);
    ratio.ln() / prediction.scale
}

impl Loss {
    /// The number whose square is the loss of a difference.
    fn root(self, difference: f64) -> f64 {
        let size = difference.abs();
        let loss = match self {
            Loss::Squares => size,
            Loss::Huber if size <= 1.0 => size,
            Loss::Huber => (2.0 * size - 1.0).sqrt(),
            Loss::Absolute => (2.0 * (size.hypot(ROUNDED) - ROUNDED)).sqrt(),
            Loss::Cauchy => (size * size).ln_1p().sqrt(),
        };
        loss.copysign(difference)
    }
}

impl Parameter {
    fn span(&self) -> f64 {
        (self.high / self.low).ln()
    }

    fn bounded(&self, x: f64) -> f64 {
        self.low * (self.span() / (1.0 + (-x).exp())).exp()
    }

    fn to_unbounded(&self, value: f64) -> f64 {
        let share = ((value / self.low).ln() / self.span()).clamp(1e-3, 1.0 - 1e-3);
        (share / (1.0 - share)).ln()
    }

    /// d ln value ÷ d x.
    fn slope_of_logarithm(&self, x: f64) -> f64 {
        let share = 1.0 / (1.0 + (-x).exp());
        self.span() * share * (1.0 - share)
    }
}
