//! Planned beside actual: pairs, bands, and causes that add up.

#![allow(clippy::unwrap_used, reason = "tests")]

mod fixtures;

use algorithms::records::{Origin, Outcome, RunRecords, Whereabouts};
use fixtures::{LINK, name, small};
use reports::{TableOptions, comparison_page, comparison_text, planned_actual};
use sim_core::{Bandwidth, Bytes, Span};

/// `run` over a network that is slower by `factor`, the guests and the bytes as they were.
fn slowed(mut run: RunRecords, factor: f64) -> RunRecords {
    let longer = |span: Span| Span::from_secs_f64(span.as_secs_f64() * factor);
    run.run.origin = Origin::Actual;
    for round in &mut run.rounds {
        round.duration = longer(round.duration);
        round.rate = Bandwidth::from_bits_per_sec((LINK.bits_per_sec() as f64 / factor) as u64);
    }
    for migration in &mut run.migrations {
        migration.total = longer(migration.total);
        migration.blackout = longer(migration.blackout);
    }
    run
}

/// `run` with every later round larger: the guest dirtied more, and sending that took longer.
fn busier(mut run: RunRecords, factor: f64) -> RunRecords {
    run.run.origin = Origin::Actual;
    let mut more = vec![0.0; run.migrations.len()];
    for round in &mut run.rounds {
        round.dirty_bytes_left = Bytes::from_f64_floor(round.dirty_bytes_left.as_f64() * factor);
        if round.round > 1 {
            let longer = round.duration.as_secs_f64() * factor;
            more[round.migration.0 as usize] += longer - round.duration.as_secs_f64();
            round.duration = Span::from_secs_f64(longer);
            round.bytes_sent = Bytes::from_f64_floor(round.bytes_sent.as_f64() * factor);
        }
    }
    for migration in &mut run.migrations {
        migration.total += Span::from_secs_f64(more[migration.migration.0 as usize]);
    }
    run
}

fn causes(planned: &RunRecords, actual: &RunRecords) -> Vec<reports::planned_actual::why::Why> {
    let (planned, actual) = ([planned.clone()], [actual.clone()]);
    let compared = planned_actual(&planned, &actual).unwrap();
    compared.runs[0].migrations.iter().filter_map(|pair| pair.why).collect()
}

#[test]
fn the_same_run_has_no_error_and_no_cause() {
    let run = small();
    let compared_runs = [run.clone()];
    let compared = planned_actual(&compared_runs, &compared_runs).unwrap();
    let pair = &compared.runs[0];
    assert_eq!(pair.makespan.error_pct, Some(0.0));
    assert_eq!(pair.summary.compared, 2);
    assert_eq!(pair.summary.not_compared, 1, "the guest that never began");
    assert_eq!(pair.summary.total_worst_pct, Some(0.0));
    for why in causes(&run, &run) {
        assert_eq!((why.total_s, why.bandwidth_s, why.dirty_rate_s), (0.0, 0.0, 0.0));
    }
}

#[test]
fn a_slower_network_is_told_from_a_busier_guest() {
    let planned = small();
    // The guests of the fixture dirty at a constant rate; so a slower network also has them send more.
    for why in causes(&planned, &slowed(planned.clone(), 1.3)) {
        assert!(why.total_s > 0.0 && why.bandwidth_s > 0.9 * why.total_s, "{why:?}");
    }
    for why in causes(&planned, &busier(planned.clone(), 1.3)) {
        assert!(why.total_s > 0.0 && why.dirty_rate_s > 0.7 * why.total_s, "{why:?}");
        assert!(why.bandwidth_s.abs() < 0.1 * why.total_s, "{why:?}");
    }
}

#[test]
fn causes_add_up_and_queueing_and_overheads_are_apart() {
    let planned = small();
    let mut actual = slowed(planned.clone(), 1.1);
    for migration in &mut actual.migrations {
        migration.total += Span::from_secs(2);
        migration.started = migration.started.map(|started| started + Span::from_secs(5));
    }
    for why in causes(&planned, &actual) {
        let sum = why.bandwidth_s + why.dirty_rate_s + why.overheads_s + why.rest_s;
        assert!((sum - why.total_s).abs() < 1e-9, "{why:?}");
        assert!((why.overheads_s - 2.0).abs() < 1e-6, "{why:?}");
        assert!((why.queueing_s - 5.0).abs() < 1e-6, "{why:?}");
    }
}

#[test]
fn what_one_side_has_not_is_listed_with_its_reason() {
    let planned = [small()];
    let mut other = small();
    other.migrations[0].vm = name("stranger");
    other.migrations[1].outcome = Outcome::Failed;
    other.migrations[1].reason = "the link went down".into();
    other.migrations[1].whereabouts = Whereabouts::InDoubt;
    let actual = [other];
    let compared = planned_actual(&planned, &actual).unwrap();
    let text = comparison_text(&compared, TableOptions::default());
    for expected in ["did not happen", "was not planned", "actual: failed, VM in doubt, the link went down"] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    assert_eq!(compared.runs[0].summary.compared, 0);
    assert_eq!(compared.runs[0].migrations.len(), 4);
}

#[test]
fn replications_of_the_plan_give_a_band() {
    let planned: Vec<RunRecords> =
        (0..20).map(|step| slowed(small(), 1.0 + f64::from(step) * 0.01)).collect();
    let inside = planned_actual(&planned, &planned[10..11]).unwrap();
    assert!(inside.runs[0].migrations[0].total.within_band == Some(true));
    let far = [slowed(small(), 2.0)];
    let outside = planned_actual(&planned, &far).unwrap();
    let total = outside.runs[0].migrations[0].total;
    assert_eq!(total.within_band, Some(false));
    assert!(total.planned_p5.unwrap() < total.planned_p95.unwrap());
}

#[test]
fn text_and_page_show_the_same_tables() {
    let (planned, actual) = ([small()], [slowed(small(), 1.3)]);
    let compared = planned_actual(&planned, &actual).unwrap();
    insta::assert_snapshot!(comparison_text(&compared, TableOptions::default()));
    let page = comparison_page(&compared);
    for expected in
        ["<title>precopy-101: planned beside actual</title>", "queueing, before", "Rounds of web01"]
    {
        assert!(page.contains(expected), "{expected}");
    }
}
