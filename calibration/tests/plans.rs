//! Plans of several migrations: sessions with a line of their own length, and logs in whole seconds.

#![allow(clippy::unwrap_used, reason = "tests")]

use calibration::datasets::{Measurements, Source};
use calibration::experiments::{Experiment, Plans, Values};
use calibration::fit::{Effort, Prediction, Problem, fit_groups};
use calibration::predict::predict;
use calibration::preset::Preset;

const COLUMNS: &str = "rep,plan,vm,from,to,bw_mbps,memMB,start_s,end_s,dur_s\n";

/// Four plans, twice: guest 0 comes into node 0 while guest 1 leaves it, and took so long in each repetition.
fn measured(first: f64, second: f64) -> Measurements {
    let mut text = COLUMNS.to_string();
    for (repetition, slowed) in [(1, first), (2, second)] {
        for plan in 1..=4 {
            for (vm, from, to, seconds) in [(0, 2, 0, slowed), (1, 0, 3, 56.25)] {
                text += &format!("{repetition},{plan},{vm},{from},{to},500,3000,0,{seconds},{seconds}\n");
            }
            // A guest of another size alone, which tells overhead from speed.
            text += &format!("{repetition},{plan},2,1,3,500,2000,100,138.25,38.25\n");
        }
    }
    let source = Source { name: "migrations.csv".into(), text };
    Measurements::read(&[source]).unwrap()
}

fn totals(plans: &Plans, values: &[f64]) -> Vec<Prediction> {
    let all = plans.predict(values, &[0], Effort::Everything).unwrap();
    all.into_iter().filter(|each| each.quantity == "total" && each.subject.starts_with("vm 0")).collect()
}

#[test]
fn a_session_in_which_acknowledgements_waited_longer_is_told_from_another() {
    let plans = Plans::new(&measured(61.5, 66.5), &Values::new());
    let fitted = fit_groups(&plans, &[1, 2, 3], plans.loss()).unwrap();
    let values: Vec<f64> = fitted.parameters.iter().map(|each| each.value).collect();
    // The plan that was not fitted.
    let of: Vec<f64> = totals(&plans, &values).iter().map(|each| each.predicted).collect();
    // Three runs of each are believed in part.
    assert!((of[0] / 61.5 - 1.0).abs() < 0.02 && (of[1] / 66.5 - 1.0).abs() < 0.04, "{of:?}");
    assert!(of[1] - of[0] > 2.0, "{of:?}");
}

#[test]
fn a_session_that_was_not_fitted_is_taken_for_one_like_all() {
    let plans = Plans::new(&measured(61.5, 66.5), &Values::new());
    let known = plans.facts();
    let others = measured(61.5, 61.5);
    let rows = others
        .plan_migrations
        .into_iter()
        .map(|row| calibration::datasets::PlanMigration { repetition: row.repetition + 7, ..row });
    let others = Measurements { plan_migrations: rows.collect(), ..Measurements::default() };
    let unseen = Plans::new(&others, &known);
    assert_eq!(unseen.parameters(), plans.parameters());
    let mut values: Vec<f64> = plans.parameters().iter().map(|parameter| parameter.start).collect();
    let alike: Vec<f64> = totals(&unseen, &values).iter().map(|each| each.predicted).collect();
    *values.last_mut().unwrap() = 1.5;
    let still: Vec<f64> = totals(&unseen, &values).iter().map(|each| each.predicted).collect();
    assert_eq!(alike, still);
    assert_eq!(alike[0], alike[1]);
}

#[test]
fn a_log_in_whole_seconds_is_predicted_as_it_would_be_written() {
    let values = |plans: &Plans| plans.parameters().iter().map(|each| each.start).collect::<Vec<_>>();
    let mut all = measured(61.5, 66.5);
    let fine = Plans::new(&all, &Values::new());
    let fine = totals(&fine, &values(&fine))[0].predicted;
    assert!(fine.fract() > 0.0, "{fine}");
    for row in &mut all.plan_migrations {
        row.seconds = row.seconds.round();
    }
    let whole = Plans::new(&all, &Values::new());
    assert_eq!(totals(&whole, &values(&whole))[0].predicted, fine.round());
    // What is fitted keeps its slopes.
    let fitted = whole.predict(&values(&whole), &[0], Effort::Fit).unwrap();
    assert!(fitted.iter().any(|each| each.predicted == fine));
}

/// As presets were written before sessions were told apart.
const OLDER: &str = r#"(schema: 1, fits: {"plans": (
    parameters: {
        "speed_500": (value: 5.9e7, unit: "B/s", error_percent: Some(0.3)),
        "overhead": (value: 0.7, unit: "s", error_percent: Some(20.0)),
        "dirty_rate": (value: 2e6, unit: "B/s", error_percent: Some(20.0)),
        "queue": (value: 5e6, unit: "B", error_percent: None),
    },
    facts: {"node_0": 500.0, "node_1": 500.0, "node_2": 500.0, "node_3": 500.0},
    seen: {}, unseen: {}, warnings: [],
)})"#;

#[test]
fn a_preset_from_before_sessions_were_told_apart_is_read_and_predicts() {
    let preset = Preset::from_ron("older.ron", OLDER).unwrap();
    let predicted = predict(&preset, &measured(61.5, 61.5)).unwrap().remove(0);
    assert!(predicted.notes.is_empty(), "{:?}", predicted.notes);
    let alone: Vec<&Prediction> = predicted
        .predictions
        .iter()
        .filter(|each| each.quantity == "total" && each.subject.starts_with("vm 2"))
        .collect();
    assert_eq!(alone.len(), 8);
    assert!(alone.iter().all(|each| each.error_percent().abs() < 5.0), "{alone:?}");
}
