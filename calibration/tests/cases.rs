//! The validation cases: every file is one, every one can be run, and its figures come out whole.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::Path;

use calibration::validate::{CASES, validate};

fn files(directory: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios").join(directory);
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let scenarios = entries.filter(|path| path.extension().is_some_and(|end| end == "ron"));
    scenarios.map(|path| path.file_stem().unwrap().to_str().unwrap().to_string()).collect()
}

#[test]
fn every_file_is_a_case_and_says_what_is_expected() {
    let cases: BTreeSet<String> = CASES.iter().map(|(id, ..)| (*id).to_string()).collect();
    assert_eq!(cases, files("validation"));
    assert_eq!(cases, files("validation/expected"));
}

#[test]
fn every_case_runs_and_says_where_it_comes_from() {
    let all = validate(None).unwrap();
    assert_eq!(all.summary.cases, all.cases.len());
    assert_eq!(all.summary.passed + all.summary.missed, all.cases.len());
    for case in &all.cases {
        assert!(!case.source.is_empty(), "{}", case.id);
        assert_eq!(case.error_pct.is_some(), case.expected.is_some() && case.got.is_some(), "{}", case.id);
        // What misses is not hidden, and what passes is within what is allowed.
        if let (true, Some(expected), Some(got)) = (case.pass, case.expected, case.got) {
            let allowed = (expected * case.tolerance_pct / 100.0).max(2.0);
            assert!((got - expected).abs() <= allowed, "{}", case.id);
        }
    }
}

#[test]
fn one_case_can_be_asked_for_and_an_unknown_one_is_said() {
    let one = validate(Some("clark-muncher")).unwrap();
    assert!(one.cases.iter().all(|case| case.id == "clark-muncher"));
    let cell = validate(Some("qemu-predictor/10 Gb, 1 s")).unwrap();
    assert_eq!(cell.cases.len(), 1);
    assert!(validate(Some("nothing")).unwrap_err().to_string().contains("clark-muncher"));
}
