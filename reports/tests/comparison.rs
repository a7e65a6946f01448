//! Planned beside measured: no value is dropped, and calibrated ones are kept apart.

#![allow(clippy::unwrap_used, reason = "tests")]

mod fixtures;

use algorithms::ids::MigrationId;
use algorithms::measured::{Measured, MeasuredValue, Quantity, Subject};
use reports::{compare, summarise};
use sim_core::Span;

fn one(subject: Subject, quantity: Quantity, value: f64) -> Measured {
    let values = vec![MeasuredValue { subject, quantity, value, calibrated: false }];
    Measured { source: "a test".to_string(), values }
}

#[test]
fn every_measured_value_is_listed() {
    let (run, measured) = (fixtures::small(), fixtures::measured());
    let compared = compare(&run, &measured);
    assert_eq!(compared.len(), measured.values.len());
    let ghost = &compared[6];
    assert_eq!((ghost.planned, ghost.error_pct), (None, None));
    assert!(ghost.missing.is_some());
}

#[test]
fn errors_carry_the_sign_of_the_plan() {
    let mut run = fixtures::empty("signs");
    run.run.makespan = Span::from_secs(90);
    let compared = compare(&run, &one(Subject::Run, Quantity::Makespan, 100.0));
    assert_eq!(compared[0].error_pct, Some(-10.0));
}

#[test]
fn a_guest_is_judged_by_its_last_migration() {
    let mut run = fixtures::empty("twice");
    fixtures::add_migration(&mut run, "web01", 8, 50, 0.0);
    fixtures::add_migration(&mut run, "web01", 16, 50, 20.0);
    let vm = Subject::Vm(fixtures::name("web01"));
    let compared = compare(&run, &one(vm, Quantity::Started, 20.0));
    assert_eq!((compared[0].planned, compared[0].error_pct), (Some(20.0), Some(0.0)));
    // The order of the records does not matter, their numbers do.
    run.migrations.reverse();
    assert_eq!(run.migrations[0].migration, MigrationId(1));
    let vm = Subject::Vm(fixtures::name("web01"));
    assert_eq!(compare(&run, &one(vm, Quantity::Started, 20.0))[0].planned, Some(20.0));
}

#[test]
fn nothing_is_divided_by_zero_and_no_quantity_is_misread() {
    let run = fixtures::small();
    let vm = Subject::Vm(fixtures::name("web01"));
    for (subject, quantity, value) in [
        (vm.clone(), Quantity::Rounds, 0.0),
        (vm.clone(), Quantity::Total, f64::NAN),
        (vm, Quantity::Makespan, 10.0),
        (Subject::Run, Quantity::Blackout, 1.0),
    ] {
        assert_eq!(compare(&run, &one(subject, quantity, value))[0].error_pct, None, "{quantity:?}");
    }
}

#[test]
fn calibrated_values_do_not_flatter_the_error() {
    let summary = summarise(&compare(&fixtures::small(), &fixtures::measured()));
    let predicted = summary.predicted;
    assert_eq!((predicted.compared, predicted.not_compared, predicted.at_zero), (4, 2, 1));
    assert_eq!((summary.calibrated.compared, summary.calibrated.not_compared), (1, 0));
    let worst = summary.predicted.worst_pct.unwrap();
    assert!((worst - 15.1).abs() < 0.1, "{worst}");
}

#[test]
fn no_values_give_no_error() {
    assert_eq!(summarise(&[]).predicted.mean_absolute_pct, None);
}
