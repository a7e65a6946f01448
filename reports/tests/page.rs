//! The page and the report directory: self-contained, escaped, whole.

#![allow(clippy::unwrap_used, reason = "tests")]

mod fixtures;

use std::collections::BTreeMap;
use std::path::Path;

use algorithms::ids::MigrationId;
use algorithms::records::RunRecords;
use reports::{ReportInput, page, write_report};

fn input(runs: Vec<RunRecords>) -> ReportInput {
    ReportInput { runs, version: "0.1.0".to_string(), ..Default::default() }
}

#[test]
fn nothing_is_fetched_and_nothing_runs() {
    let mut input = input(vec![fixtures::small()]);
    input.measured = BTreeMap::from([(0, fixtures::measured())]);
    input.closed_forms = BTreeMap::from([((0, MigrationId(0)), fixtures::closed_form(8, 50))]);
    let html = page(&input).unwrap();
    for forbidden in ["<script", "<link", "<img", "@import", "url(", "src=", "javascript:"] {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
    let outside = html.replace("http://www.w3.org/2000/svg", "");
    assert!(!outside.contains("http://") && !outside.contains("https://"));
    for part in
        ["Planned beside measured", "The plan over time", "Round by round", "Links", "How this was made"]
    {
        assert!(html.contains(part), "{part}");
    }
}

#[test]
fn names_are_escaped_everywhere() {
    let evil = "<script>alert(1)</script>";
    let mut run = fixtures::small();
    run.run.scenario = fixtures::name(evil);
    run.run.alternative = Some(fixtures::name(evil));
    run.migrations[0].vm = fixtures::name(evil);
    run.migrations[1].source = fixtures::name(evil);
    run.migrations[2].reason = evil.to_string();
    run.events[0].message = evil.to_string();
    run.resources[0].resource = fixtures::name(evil);
    let mut input = input(vec![run.clone(), run]);
    input.version = evil.to_string();
    input.command = Some(evil.to_string());
    let mut measured = fixtures::measured();
    measured.source = evil.to_string();
    input.measured.insert(0, measured);
    let html = page(&input).unwrap();
    assert!(!html.contains("<script") && html.contains("&lt;script&gt;"));
}

#[test]
fn alternatives_have_an_overview_and_a_section_each() {
    let mut runs = vec![fixtures::drain(3), fixtures::drain(4)];
    runs[0].run.alternative = Some(fixtures::name("10 GbE"));
    runs[1].run.alternative = Some(fixtures::name("RDMA"));
    let html = page(&input(runs)).unwrap();
    assert!(html.contains("Alternatives side by side"));
    for section in ["alternative-1", "alternative-2"] {
        assert!(
            html.contains(&format!("href=\"#{section}\"")) && html.contains(&format!("id=\"{section}\""))
        );
    }
}

#[test]
fn long_tables_are_folded_and_complete() {
    let html = page(&input(vec![fixtures::drain(120)])).unwrap();
    assert!(html.contains("<details><summary>Migrations (120)</summary>"));
    assert!(html.contains("<td>vm060</td>"));
}

#[test]
fn no_runs_and_empty_runs_give_a_page() {
    assert!(page(&ReportInput::default()).unwrap().contains("No runs"));
    assert!(page(&input(vec![fixtures::empty("nothing")])).unwrap().contains("This run had no migrations."));
}

#[test]
fn a_report_is_a_directory_of_known_files() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("deep/report");
    let written = write_report(&target, &input(vec![fixtures::small()])).unwrap();
    assert!(written.iter().all(|path| path.is_file()));
    let names: Vec<String> = written.iter().map(|path| relative(path, &target)).collect();
    insta::assert_snapshot!(names.join("\n"));
}

#[test]
fn a_report_is_the_same_every_time() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let input = input(vec![fixtures::small(), fixtures::drain(50)]);
    let one = write_report(first.path(), &input).unwrap();
    let other = write_report(second.path(), &input).unwrap();
    for (one, other) in one.iter().zip(&other) {
        assert_eq!(std::fs::read(one).unwrap(), std::fs::read(other).unwrap(), "{}", one.display());
    }
}

fn relative(path: &Path, directory: &Path) -> String {
    path.strip_prefix(directory).unwrap().display().to_string()
}
