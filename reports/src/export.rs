//! Frames on disk, as Parquet for programs and CSV for people and spreadsheets.
//!
//! A file is written under another name and then renamed, so that a half-written file never stands
//! under the final name, whether the disk is full or the user lost patience.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use algorithms::records::RunRecords;
use polars::prelude::DataFrame;
use polars_io::SerWriter;
use polars_io::csv::write::CsvWriter;
use polars_io::parquet::write::{ParquetCompression, ParquetWriter};

use crate::error::ReportError;
use crate::frames;

/// Writes every frame as `NAME.parquet` and `NAME.csv` into `directory`, which is created where
/// it is missing. Returns what was written.
pub fn write_frames(directory: &Path, runs: &[RunRecords]) -> Result<Vec<PathBuf>, ReportError> {
    let all = [
        ("migrations", frames::migrations(runs)?),
        ("rounds", frames::rounds(runs)?),
        ("resources", frames::resources(runs)?),
        ("events", frames::events(runs)?),
    ];
    make_directory(directory)?;
    let mut written = Vec::with_capacity(2 * all.len());
    for (name, mut frame) in all {
        written.push(write_parquet(&directory.join(format!("{name}.parquet")), &mut frame)?);
        written.push(write_csv(&directory.join(format!("{name}.csv")), &mut frame)?);
    }
    Ok(written)
}

/// Writes text to `path`, whole or not at all, and says where.
pub fn write_text(path: PathBuf, text: &str) -> Result<PathBuf, ReportError> {
    write_whole(&path, |file| {
        file.write_all(text.as_bytes()).map_err(|source| ReportError::Write { path: path.clone(), source })
    })?;
    Ok(path)
}

/// Creates `directory` and what leads to it.
pub(crate) fn make_directory(directory: &Path) -> Result<(), ReportError> {
    fs::create_dir_all(directory).map_err(|source| ReportError::Write { path: directory.into(), source })
}

fn write_parquet(path: &Path, frame: &mut DataFrame) -> Result<PathBuf, ReportError> {
    write_whole(path, |file| {
        // No compression codec is built in: the frames are small, and each codec is a C library.
        let writer = ParquetWriter::new(file).with_compression(ParquetCompression::Uncompressed);
        let written = writer.finish(frame);
        written.map(|_| ()).map_err(|source| ReportError::Encode { path: path.into(), source })
    })
}

fn write_csv(path: &Path, frame: &mut DataFrame) -> Result<PathBuf, ReportError> {
    write_whole(path, |file| {
        let written = CsvWriter::new(file).finish(frame);
        written.map_err(|source| ReportError::Encode { path: path.into(), source })
    })
}

fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<(), ReportError>,
) -> Result<PathBuf, ReportError> {
    let partial = partial_name(path);
    let result = write_and_rename(path, &partial, write);
    if result.is_err() {
        // The first error is the one to tell; a leftover that cannot be removed is harmless.
        let _ = fs::remove_file(&partial);
    }
    result.map(|()| path.to_path_buf())
}

fn write_and_rename(
    path: &Path,
    partial: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<(), ReportError>,
) -> Result<(), ReportError> {
    let refused = |source| ReportError::Write { path: path.into(), source };
    let mut file = BufWriter::new(File::create(partial).map_err(refused)?);
    write(&mut file)?;
    file.flush().map_err(refused)?;
    file.get_ref().sync_all().map_err(refused)?;
    drop(file);
    fs::rename(partial, path).map_err(refused)
}

fn partial_name(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".partial");
    path.with_file_name(name)
}
