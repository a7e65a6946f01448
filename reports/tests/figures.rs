//! Figures: well-formed whatever the records hold, and nothing of the plan left out silently.

#![allow(clippy::unwrap_used, reason = "tests")]

mod fixtures;

use algorithms::closed_form::ClosedFormRound;
use algorithms::ids::MigrationId;
use algorithms::records::{ResourceKind, RunRecords};
use reports::{gantt_figure, rounds_figure, usage_figure};
use sim_core::{SimTime, Span};

fn all(run: &RunRecords, closed_form: &[ClosedFormRound]) -> Vec<String> {
    vec![
        gantt_figure(run).unwrap(),
        rounds_figure(run, MigrationId(0), closed_form).unwrap(),
        usage_figure(run, ResourceKind::Link).unwrap(),
        usage_figure(run, ResourceKind::Cpu).unwrap(),
    ]
}

/// A check of XML in a few lines: tags pair up, and no bare `&` or `<` stands in text.
fn assert_well_formed(svg: &str) {
    let mut open = Vec::new();
    for part in svg.split('<').skip(1) {
        let (tag, text) = part.split_once('>').expect("every tag ends");
        assert!(!text.chars().any(|letter| letter.is_control() && letter != '\n'), "{text:?}");
        for reference in text.split('&').skip(1) {
            assert!(reference.contains(';'), "a bare & in {text:?}");
        }
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name)),
            None if tag.ends_with('/') => {}
            None => open.push(tag.split_whitespace().next().unwrap()),
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
    assert!(svg.starts_with("<svg ") && !svg.contains("NaN") && !svg.contains("inf"));
}

#[test]
fn figures_are_well_formed() {
    for run in [fixtures::empty("nothing"), fixtures::small(), fixtures::drain(1), fixtures::drain(400)] {
        for svg in all(&run, &fixtures::closed_form(8, 50)) {
            assert_well_formed(&svg);
        }
    }
}

#[test]
fn names_are_escaped() {
    let mut run = fixtures::small();
    run.migrations[0].vm = fixtures::name("<script>alert('&')</script>\u{0}");
    run.resources[0].resource = fixtures::name("a \"link\" & <more>");
    for svg in all(&run, &[]) {
        assert!(!svg.contains("<script"));
        assert_well_formed(&svg);
    }
}

#[test]
fn nonsense_does_not_panic() {
    let mut run = fixtures::small();
    run.migrations[0].queued = SimTime::MAX;
    run.migrations[1].started = Some(SimTime::MAX);
    run.migrations[1].total = Span::MAX;
    run.rounds[0].duration = Span::ZERO;
    run.resources[0].used = vec![f64::NAN, f64::INFINITY, -1.0];
    run.resources[1].capacity = f64::NAN;
    run.resources[2].interval = Span::ZERO;
    run.resources[3].used = vec![];
    let form = |bytes| ClosedFormRound {
        round: 1,
        bytes_sent: bytes,
        duration_s: f64::NAN,
        dirty_bytes_left: -bytes,
    };
    for svg in all(&run, &[form(f64::NAN), form(f64::INFINITY), form(0.0)]) {
        assert_well_formed(&svg);
    }
}

#[test]
fn a_gantt_chart_has_a_blackout_for_every_completed_migration() {
    let blackout = "fill=\"#D55E00\"";
    for (count, shown) in [(1, 1), (30, 29), (400, 390)] {
        let svg = gantt_figure(&fixtures::drain(count)).unwrap();
        // One more stands in the legend.
        assert_eq!(svg.matches(blackout).count(), shown + 1, "{count}");
    }
}

#[test]
fn of_thousands_some_are_shown_and_the_figure_says_so() {
    let svg = gantt_figure(&fixtures::drain(2000)).unwrap();
    assert!(svg.contains("2000 migrations in") && svg.contains("shown: those that went wrong"));
    assert!(svg.len() < 400_000, "{} bytes", svg.len());
}

#[test]
fn sizes_over_more_than_two_decades_are_on_a_logarithmic_axis() {
    let run = fixtures::small();
    assert!(rounds_figure(&run, MigrationId(0), &[]).unwrap().contains("logarithmic"));
    let mut even = run.clone();
    even.rounds.retain(|round| round.round == 1);
    assert!(!rounds_figure(&even, MigrationId(0), &[]).unwrap().contains("logarithmic"));
}

#[test]
fn the_closed_form_is_drawn_only_where_there_is_one() {
    let run = fixtures::small();
    assert!(
        rounds_figure(&run, MigrationId(0), &fixtures::closed_form(8, 50)).unwrap().contains("closed form")
    );
    assert!(!rounds_figure(&run, MigrationId(0), &[]).unwrap().contains("closed form"));
}

#[test]
fn the_busiest_links_are_shown_with_their_capacity() {
    let svg = usage_figure(&fixtures::small(), ResourceKind::Link).unwrap();
    assert!(svg.contains("busiest 8 of 10") && svg.contains("capacity 10 Gbit/s"));
    assert!(!svg.contains("node10"));
}

/// Disks that move on one host pause nobody: no pause is drawn where there was none.
#[test]
fn a_migration_without_a_pause_shows_none() {
    let mut run = fixtures::drain(1);
    let pauses = |run: &RunRecords| gantt_figure(run).unwrap().matches("#D55E00").count();
    let with_pause = pauses(&run);
    run.migrations[0].blackout = Span::ZERO;
    assert_eq!(pauses(&run) + 1, with_pause, "the legend's mark is left");
}

#[test]
fn alternatives_stand_side_by_side_on_one_scale_for_each_quantity() {
    let named = |name: &str, mut run: algorithms::records::RunRecords| {
        run.run.alternative = Some(fixtures::name(name));
        run
    };
    let runs = [named("10 GbE", fixtures::small()), named("nothing", fixtures::empty("precopy-101"))];
    let svg = reports::alternatives_figure(&reports::alternatives(&runs)).unwrap();
    for expected in ["2 alternatives side by side", "10 GbE", "makespan", "worst blackout", "107.2 s"] {
        assert!(svg.contains(expected), "{expected}");
    }
    assert!(!svg.contains("processors"), "what no run could tell has no panel");
}
