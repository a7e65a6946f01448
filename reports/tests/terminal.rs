//! What the terminal shows.

#![allow(clippy::unwrap_used, reason = "tests")]

mod fixtures;

use std::collections::BTreeMap;

use reports::{Colour, ReportInput, TableOptions, migrations_table, report_text};

#[test]
fn a_small_run_with_measured_values() {
    let measured = BTreeMap::from([(0, fixtures::measured())]);
    let input = ReportInput { runs: vec![fixtures::small()], measured, ..Default::default() };
    insta::assert_snapshot!(report_text(&input, TableOptions::default()));
}

#[test]
fn a_long_run_loses_its_middle_but_not_what_went_wrong() {
    let text = migrations_table(&fixtures::drain(320), TableOptions::default());
    assert_eq!(text.matches("refused the connection").count(), 8);
    insta::assert_snapshot!(text);
}

#[test]
fn alternatives_and_replications() {
    let mut runs = Vec::new();
    for replication in 0..3 {
        for alternative in ["10 GbE", "RDMA"] {
            let mut run = fixtures::drain(4 + replication);
            run.run.alternative = Some(fixtures::name(alternative));
            run.run.replication = replication;
            runs.push(run);
        }
    }
    insta::assert_snapshot!(report_text(
        &ReportInput { runs, ..Default::default() },
        TableOptions::default()
    ));
}

#[test]
fn many_alternatives_are_summed_up_beside_what_was_measured() {
    let mut input = ReportInput::default();
    for (index, alternative) in ["1 GbE", "10 GbE", "25 GbE", "RDMA"].iter().enumerate() {
        let mut run = fixtures::small();
        run.run.alternative = Some(fixtures::name(alternative));
        input.runs.push(run);
        let mut measured = fixtures::measured();
        measured.values.truncate(3 - index % 2);
        input.measured.insert(index, measured);
    }
    insta::assert_snapshot!(report_text(&input, TableOptions::default()));
}

#[test]
fn a_width_is_kept_and_numbers_stay_whole() {
    for width in [80, 100, 120] {
        let options = TableOptions { width: Some(width), ..Default::default() };
        let text = migrations_table(&fixtures::small(), options);
        let table = text.lines().filter(|line| !line.contains(':'));
        assert!(table.clone().all(|line| line.chars().count() <= usize::from(width)), "{text}");
        insta::assert_snapshot!(format!("width_{width}"), text);
    }
}

#[test]
fn colour_only_when_asked_for() {
    let run = fixtures::small();
    assert!(!migrations_table(&run, TableOptions::default()).contains('\u{1b}'));
    let coloured = migrations_table(&run, TableOptions { colour: Colour::Always, ..Default::default() });
    assert!(coloured.contains('\u{1b}'));
}

#[test]
fn nothing_is_shown_as_nothing() {
    let input = ReportInput { runs: vec![fixtures::empty("nothing")], ..Default::default() };
    insta::assert_snapshot!(report_text(&input, TableOptions::default()));
    assert_eq!(report_text(&ReportInput::default(), TableOptions::default()), "");
}
