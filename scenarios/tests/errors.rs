//! What an operator sees: the report of every bad file in `tests/bad`, and of a file that is not there.

// Helpers of tests are tests too; clippy allows unwrap only within test functions themselves.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use miette::{GraphicalReportHandler, GraphicalTheme};
use scenarios::{ScenarioError, load};

fn rendered(error: &ScenarioError) -> String {
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor()).with_width(100);
    let mut text = String::new();
    handler.render_report(&mut text, error).unwrap();
    text
}

/// Tests run in the crate's folder, so that paths in reports are the same everywhere.
fn bad_files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir("tests/bad").unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "ron"));
    files.sort();
    files
}

#[test]
fn every_bad_file_is_refused_with_a_report_that_helps() {
    let files = bad_files();
    assert!(files.len() > 40);
    for path in files {
        let name = path.file_stem().unwrap().to_str().unwrap().to_string();
        let error = load(&path).expect_err(&name);
        insta::with_settings!({prepend_module_to_snapshot => false, omit_expression => true}, {
            insta::assert_snapshot!(name, rendered(&error));
        });
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = load(Path::new("tests/bad/nowhere.ron")).unwrap_err();
    insta::assert_snapshot!(rendered(&error), @"× cannot read tests/bad/nowhere.ron: No such file or directory (os error 2)");
}
