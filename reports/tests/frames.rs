//! Frames: shape and stacking, and that files give back what was put into them.

#![allow(clippy::unwrap_used, reason = "tests")]

mod fixtures;

use std::fs::File;

use algorithms::records::{Origin, RunRecords};
use polars::prelude::{DataFrame, DataType};
use polars_io::SerReader;
use polars_io::parquet::read::ParquetReader;
use reports::frames;

fn all(runs: &[RunRecords]) -> Vec<(&'static str, DataFrame)> {
    vec![
        ("migrations", frames::migrations(runs).unwrap()),
        ("rounds", frames::rounds(runs).unwrap()),
        ("resources", frames::resources(runs).unwrap()),
        ("events", frames::events(runs).unwrap()),
    ]
}

#[test]
fn every_record_is_a_row() {
    let run = fixtures::small();
    let samples: usize = run.resources.iter().map(|each| each.used.len()).sum();
    let heights: Vec<usize> = all(&[run]).iter().map(|(_, frame)| frame.height()).collect();
    assert_eq!(heights, [3, 13, samples, 2]);
}

#[test]
fn planned_and_actual_stack_under_the_same_columns() {
    let planned = fixtures::small();
    let mut actual = planned.clone();
    actual.run.origin = Origin::Actual;
    actual.run.alternative = Some(fixtures::name("rdma"));
    let frame = frames::migrations(&[planned, actual]).unwrap();
    let column = |name: &str| -> Vec<String> {
        let column = frame.column(name).unwrap();
        (0..frame.height()).map(|row| column.get(row).unwrap().to_string()).collect()
    };
    assert_eq!(column("origin")[2..4], ["\"planned\"", "\"actual\""]);
    assert_eq!(column("alternative")[2..4], ["null", "\"rdma\""]);
    assert_eq!(column("started_s")[..3], ["0.0", "1.5", "null"]);
}

#[test]
fn a_frame_of_nothing_has_the_same_columns_and_types() {
    let (empty, full) = (all(&[]), all(&[fixtures::small()]));
    for ((name, empty), (_, full)) in empty.iter().zip(&full) {
        assert_eq!(empty.height(), 0, "{name}");
        let untyped = full.columns().iter().any(|column| *column.dtype() == DataType::Null);
        assert!(!untyped, "{name} has a column without a type");
        assert_eq!(empty.schema(), full.schema(), "{name}");
    }
}

#[test]
fn parquet_gives_back_the_frame() {
    let directory = tempfile::tempdir().unwrap();
    let runs = [fixtures::small(), fixtures::drain(40)];
    reports::write_frames(directory.path(), &runs).unwrap();
    for (name, frame) in all(&runs) {
        let file = File::open(directory.path().join(format!("{name}.parquet"))).unwrap();
        let read = ParquetReader::new(file).finish().unwrap();
        assert!(read.equals_missing(&frame), "{name}");
    }
}

#[test]
fn parquet_of_nothing_can_be_read() {
    let directory = tempfile::tempdir().unwrap();
    reports::write_frames(directory.path(), &[]).unwrap();
    let file = File::open(directory.path().join("rounds.parquet")).unwrap();
    assert_eq!(ParquetReader::new(file).finish().unwrap().height(), 0);
}

#[test]
fn csv_names_units_and_quotes_what_it_must() {
    let directory = tempfile::tempdir().unwrap();
    let mut run = fixtures::small();
    run.migrations.truncate(1);
    run.migrations[0].reason = "too busy, \"really\"".to_string();
    reports::write_frames(directory.path(), &[run]).unwrap();
    insta::assert_snapshot!(std::fs::read_to_string(directory.path().join("migrations.csv")).unwrap());
}

#[test]
fn no_partial_file_is_left_and_old_files_are_replaced() {
    let directory = tempfile::tempdir().unwrap();
    reports::write_frames(directory.path(), &[fixtures::small()]).unwrap();
    let written = reports::write_frames(directory.path(), &[]).unwrap();
    let found = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!((written.len(), found), (8, 8));
    let header_only = std::fs::read_to_string(directory.path().join("rounds.csv")).unwrap();
    assert_eq!(header_only.lines().count(), 1);
}

#[test]
fn an_error_names_the_path_and_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let blocked = directory.path().join("report");
    std::fs::write(&blocked, "a file where a directory should be").unwrap();
    let error = reports::write_frames(&blocked.join("frames"), &[]).unwrap_err().to_string();
    assert!(error.contains("report/frames") && error.contains("--out"), "{error}");
}
