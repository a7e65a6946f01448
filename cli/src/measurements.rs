//! Files of measured migrations, as the command line gives them: files, or directories of them.

use std::path::{Path, PathBuf};

use algorithms::records::RunRecords;
use calibration::datasets::{MOST_BYTES, Measurements, Source, recorded};

use crate::failure::Failure;

/// The file of `--out DIR` that holds all records of its runs. The frames in the same directory hold less.
const RECORDS: &str = "records.json";
/// What it calls the frame of migrations: read where the records are missing, or where it is named itself.
const MIGRATIONS: &str = "migrations.parquet";
/// Records are read from files of at most this many bytes, so that a wrong one cannot fill the memory.
pub const MOST_RECORDS_BYTES: u64 = 4 << 30;
/// Files that one command reads at most.
const MOST_FILES: usize = 20_000;
/// How deep directories are looked through.
const MOST_DEPTH: usize = 16;
/// What may hold measurements, in directories; a file that is named itself may be called anything.
const ENDINGS: [&str; 7] = ["csv", "json", "jsonl", "ndjson", "log", "txt", "parquet"];

/// Reads everything that there is.
pub fn read(paths: &[PathBuf]) -> Result<Measurements, Failure> {
    let mut files = Vec::new();
    for path in paths {
        find(path, 0, &mut files)?;
    }
    let (mut sources, mut runs) = (Vec::new(), Vec::new());
    for path in files {
        if has_ending(&path, &["parquet"]) {
            runs.push((path.display().to_string(), reports::read_parquet(&path)?));
            continue;
        }
        let source = source(&path)?;
        match from_json(&source)? {
            Some(records) => runs.push((source.name, records)),
            None => sources.push(source),
        }
    }
    let mut all = Measurements::read(&sources).map_err(|error| Failure::Measurements(error.to_string()))?;
    all.recorded = recorded(&runs);
    for why in all.without_runs() {
        eprintln!("passed over {why}");
    }
    Ok(all)
}

fn find(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    if files.len() >= MOST_FILES {
        return Err(Failure::Measurements(format!("more than {MOST_FILES} files; name fewer")));
    }
    if !path.is_dir() {
        files.push(path.to_path_buf());
        return Ok(());
    }
    let entries = std::fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut entries: Vec<PathBuf> =
        entries.map_err(|error| failure(path, error))?.iter().map(std::fs::DirEntry::path).collect();
    entries.sort();
    // What `--out DIR` leaves says the same three times over; the records say most.
    let has = |name: &str| entries.iter().any(|entry| entry.ends_with(name));
    let of_a_run = [RECORDS, MIGRATIONS].into_iter().find(|name| has(name));
    for entry in
        entries.into_iter().filter(|entry| of_a_run.is_none_or(|name| !is_a_further_one(entry, name)))
    {
        if (entry.is_dir() && depth < MOST_DEPTH) || (entry.is_file() && has_ending(&entry, &ENDINGS)) {
            find(&entry, depth + 1, files)?;
        }
    }
    Ok(())
}

/// Whether a file of `--out DIR` repeats what `taken` in the same directory says, or says nothing of migrations.
fn is_a_further_one(path: &Path, taken: &str) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stem = name.split('.').next().unwrap_or_default();
    matches!(stem, "migrations" | "rounds" | "resources" | "events") && name != taken
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
    ending.is_some_and(|ending| endings.iter().any(|known| ending == *known))
}

fn source(path: &Path) -> Result<Source, Failure> {
    let name = path.display().to_string();
    let size = std::fs::metadata(path).map_err(|error| failure(path, error))?.len();
    let most = if path.ends_with(RECORDS) { MOST_RECORDS_BYTES } else { MOST_BYTES as u64 };
    if size > most {
        let message = format!("{name}: {size} bytes are more than the {most} that are read");
        return Err(Failure::Measurements(message));
    }
    let bytes = std::fs::read(path).map_err(|error| failure(path, error))?;
    Ok(Source { name, text: String::from_utf8_lossy(&bytes).into_owned() })
}

/// The runs of our own records as JSON; `None` where the text is something else.
fn from_json(source: &Source) -> Result<Option<Vec<RunRecords>>, Failure> {
    if !reports::are_records(&source.text) {
        return Ok(None);
    }
    let runs = reports::read_runs(&source.text)
        .map_err(|error| Failure::Measurements(format!("{}: {error}", source.name)))?;
    Ok(Some(runs))
}

fn failure(path: &Path, source: std::io::Error) -> Failure {
    Failure::File { path: path.display().to_string(), source }
}
