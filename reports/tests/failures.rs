//! Failures are named with their cause and with what helps, wherever a run is shown.

#![allow(clippy::unwrap_used, reason = "tests")]

mod fixtures;

use algorithms::failures::{FailurePoint, FailureRecord};
use algorithms::preflight::Category;
use algorithms::records::{Advice, GuestRecord, Level, Outcome, Power, RunRecords, Whereabouts};
use reports::{ReportInput, TableOptions, failures_text, page, report_text, run_json};
use sim_core::Span;

fn advice() -> Advice {
    Advice {
        category: Category::Network,
        cause: "a link was down for longer than the connection waits".into(),
        fix: "Test-NetConnection -ComputerName \"node02\" -Port 6600".into(),
    }
}

/// Two guests whose migrations fail alike, and one that is lost with its host.
fn failed() -> RunRecords {
    let mut run = fixtures::empty("failures");
    for (vm, outcome) in [("web01", Outcome::Failed), ("web02", Outcome::Failed), ("db01", Outcome::Lost)] {
        fixtures::add_migration(&mut run, vm, 8, 50, 0.0);
        let last = run.migrations.last_mut().unwrap();
        (last.outcome, last.event_id, last.blackout) = (outcome, Some(21502), Span::ZERO);
        last.whereabouts = outcome.whereabouts();
        let (point, evidence) = (FailurePoint::Round(2), None);
        last.failure = Some(Box::new(FailureRecord { point, evidence, advice: Some(advice()) }));
        let mut event = fixtures::event(3.0, Level::Error, Some(21502), Some(vm), "given up in round 2");
        event.advice = Some(Box::new(advice()));
        run.events.push(event);
        let (vm, host) = (fixtures::name(vm), fixtures::name("node01"));
        let power = if outcome == Outcome::Lost { Power::Off } else { Power::Running };
        run.guests.push(GuestRecord { vm, host, power });
    }
    run
}

#[test]
fn failures_of_one_kind_are_told_once_with_cause_and_command() {
    let text = failures_text(&failed());
    let expected = "What went wrong\n  network, event 21502, 3 times: web01, web02, db01: given up in round 2\n    \
                    likely: a link was down for longer than the connection waits\n    \
                    try: Test-NetConnection -ComputerName \"node02\" -Port 6600\n";
    assert_eq!(text, expected);
    assert_eq!(failures_text(&fixtures::empty("nothing")), "");
    let input = ReportInput { runs: vec![failed()], ..Default::default() };
    let shown = report_text(&input, TableOptions::default());
    assert!(shown.contains(expected) && shown.contains("2 failed, 1 lost"), "{shown}");
}

#[test]
fn the_page_has_them_too() {
    let input = ReportInput { runs: vec![failed()], ..Default::default() };
    let html = page(&input).unwrap();
    for part in ["What went wrong, and what helps", "Test-NetConnection", "longer than the connection waits"]
    {
        assert!(html.contains(part), "{part}");
    }
}

#[test]
fn a_vm_in_doubt_is_told_as_such_in_text_and_page() {
    let mut run = failed();
    run.migrations[1].whereabouts = Whereabouts::InDoubt;
    let input = ReportInput { runs: vec![run], ..Default::default() };
    assert!(report_text(&input, TableOptions::default()).contains("VM in doubt"));
    assert!(page(&input).unwrap().contains("VM in doubt"));
    let input = ReportInput { runs: vec![failed()], ..Default::default() };
    assert!(!report_text(&input, TableOptions::default()).contains("whereabouts"), "as the outcomes say");
}

#[test]
fn frames_and_json_say_how_far_it_came_and_where_the_guest_is() {
    let frame = reports::frames::migrations(&[failed()]).unwrap();
    let column = |name: &str| {
        let column = frame.column(name).unwrap().str().unwrap();
        (0..3).map(|row| column.get(row).unwrap().to_string()).collect::<Vec<String>>()
    };
    assert_eq!(column("failed_at"), ["round 2"; 3]);
    assert_eq!(column("failure_category"), ["network"; 3]);
    assert_eq!(column("whereabouts"), ["at_source", "at_source", "off"]);
    let run = failed();
    let json = serde_json::to_string(&run_json(&run, &[])).unwrap();
    let read = reports::read_runs(&json).unwrap().remove(0);
    assert_eq!((read.guests, &read.migrations[2].failure), (run.guests, &run.migrations[2].failure));
}
