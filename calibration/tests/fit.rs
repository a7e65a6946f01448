//! The fit finds what made the data, says how sure it is, and what it cannot tell apart.

#![allow(clippy::unwrap_used, reason = "tests")]

use calibration::fit::{Effort, FitError, Landscape, Loss, Parameter, Prediction, Problem, fit, fit_groups};

/// Total time = overhead + memory ÷ rate, at these memories, measured with some mistakes.
struct Line {
    memories: Vec<f64>,
    measured: Vec<f64>,
    /// How near 3 s the overhead is likely to be.
    overhead_within: Option<f64>,
    /// Whether there is a third parameter, which changes nothing.
    idle_parameter: bool,
    /// Predictions are whole multiples of this many seconds.
    steps: Option<f64>,
}

impl Problem for Line {
    fn parameters(&self) -> Vec<Parameter> {
        let start = if self.overhead_within.is_some() { 3.0 } else { 1.0 };
        let overhead = Parameter::new("overhead", "s", start, 0.01, 100.0);
        let overhead = Parameter { likely_within: self.overhead_within, ..overhead };
        let mut all = vec![Parameter::new("rate", "B/s", 5e7, 1e6, 1e10), overhead];
        all.extend(self.idle_parameter.then(|| Parameter::new("idle", "", 1.0, 0.1, 10.0)));
        all
    }

    fn landscape(&self) -> Landscape {
        if self.steps.is_some() { Landscape::Stepped } else { Landscape::Smooth }
    }

    fn groups(&self) -> usize {
        self.memories.len()
    }

    fn predict(&self, values: &[f64], groups: &[usize], _: Effort) -> Result<Vec<Prediction>, FitError> {
        let seconds = |group: &usize| {
            let seconds = values[1] + self.memories[*group] / values[0];
            self.steps.map_or(seconds, |step| (seconds / step).round() * step)
        };
        let one = |group: &usize| Prediction {
            run: format!("run {group}"),
            subject: String::new(),
            quantity: "total".into(),
            unit: "s".into(),
            measured: self.measured[*group],
            predicted: seconds(group),
            scale: 0.02,
        };
        Ok(groups.iter().map(one).collect())
    }
}

fn line(memories: &[f64]) -> Line {
    let measured = memories.iter().enumerate();
    let mistake = |index: usize| 1.0 + 0.005 * if index.is_multiple_of(2) { 1.0 } else { -1.0 };
    let measured = measured.map(|(index, memory)| (3.0 + memory / 1.1e8) * mistake(index)).collect();
    let memories = memories.to_vec();
    Line { memories, measured, overhead_within: None, idle_parameter: false, steps: None }
}

#[test]
fn it_finds_the_parameters_and_covers_them_with_its_uncertainty() {
    let fitted = fit(&line(&[1e9, 2e9, 3e9, 4e9, 6e9, 8e9, 1e10, 1.2e10]), Loss::Cauchy).unwrap();
    for (parameter, truth) in fitted.parameters.iter().zip([1.1e8, 3.0]) {
        let off = (parameter.value / truth - 1.0).abs();
        assert!(off < 0.05 && off < 4.0 * parameter.relative_error, "{parameter:?}");
    }
    assert_eq!((fitted.folds, fitted.unseen.len()), (5, 8));
    assert!(fitted.unseen.iter().all(|each| each.error_percent().abs() < 3.0));
}

#[test]
fn a_run_in_which_something_went_wrong_pulls_little() {
    let mut problem = line(&[1e9, 2e9, 3e9, 4e9, 6e9, 8e9, 1e10, 1.2e10]);
    problem.measured[3] *= 3.0;
    let robust = fit(&problem, Loss::Cauchy).unwrap();
    let squares = fit(&problem, Loss::Squares).unwrap();
    let off = |value: f64| (value / 1.1e8 - 1.0).abs();
    assert!(off(robust.parameters[0].value) < 0.05, "{:?}", robust.parameters);
    assert!(off(squares.parameters[0].value) > off(robust.parameters[0].value));
}

/// Of three runs alike the third took 30 % longer: the median is what the other two took.
#[test]
fn the_absolute_loss_finds_medians() {
    let mut problem = line(&[1e9, 1e9, 1e9, 4e9, 4e9, 4e9, 1.2e10, 1.2e10, 1.2e10]);
    for (index, (measured, memory)) in problem.measured.iter_mut().zip(&problem.memories).enumerate() {
        *measured = (3.0 + memory / 1.1e8) * if index % 3 == 2 { 1.3 } else { 1.0 };
    }
    let off = |loss| (fit(&problem, loss).unwrap().parameters[0].value / 1.1e8 - 1.0).abs();
    assert!(off(Loss::Absolute) < 0.01, "{}", off(Loss::Absolute));
    assert!(off(Loss::Squares) > 0.05, "{}", off(Loss::Squares));
}

#[test]
fn it_says_when_the_data_cannot_tell_two_parameters_apart() {
    // Guests of one size: the rate and the overhead explain the same.
    let fitted = fit(&line(&[4e9; 6]), Loss::Cauchy).unwrap();
    assert!(
        fitted.warnings.iter().any(|warning| warning.contains("rate") || warning.contains("together")),
        "{fitted:?}"
    );
    let told = fit(&line(&[1e9, 2e9, 4e9, 8e9, 1.6e10, 3e10]), Loss::Cauchy).unwrap();
    assert!(told.warnings.is_empty(), "{:?}", told.warnings);
}

#[test]
fn less_data_than_parameters_is_refused() {
    let error = fit_groups(&line(&[1e9]), &[0], Loss::Cauchy).unwrap_err();
    assert!(matches!(error, FitError::TooFew { runs: 1, parameters: 2 }));
}

#[test]
fn what_is_known_of_a_parameter_tells_it_from_another() {
    let mut problem = line(&[4e9; 6]);
    problem.overhead_within = Some(0.05);
    let fitted = fit(&problem, Loss::Cauchy).unwrap();
    assert!((fitted.parameters[0].value / 1.1e8 - 1.0).abs() < 0.01, "{:?}", fitted.parameters);
    assert!(fitted.parameters.iter().all(|each| each.relative_error < 0.2), "{:?}", fitted.parameters);
}

#[test]
fn a_parameter_that_the_data_say_nothing_of_leaves_the_others_known() {
    let mut problem = line(&[1e9, 2e9, 3e9, 4e9, 6e9, 8e9, 1e10, 1.2e10]);
    problem.idle_parameter = true;
    let fitted = fit(&problem, Loss::Cauchy).unwrap();
    assert!(fitted.parameters[..2].iter().all(|each| each.relative_error < 0.1), "{:?}", fitted.parameters);
    assert!(fitted.parameters[2].relative_error.is_infinite());
    assert!(fitted.warnings.contains(&"the data say nothing of idle".to_string()), "{:?}", fitted.warnings);
}

#[test]
fn it_finds_its_way_where_predictions_make_steps() {
    let mut problem = line(&[1e9, 2e9, 3e9, 4e9, 6e9, 8e9, 1e10, 1.2e10]);
    problem.steps = Some(25.0);
    let fitted = fit(&problem, Loss::Cauchy).unwrap();
    assert!((fitted.parameters[0].value / 1.1e8 - 1.0).abs() < 0.15, "{:?}", fitted.parameters);
}
