//! Files of measured migrations, as the command line gives them: files, or directories of them.

use std::path::{Path, PathBuf};

use calibration::datasets::{LoggedMigration, MOST_BYTES, Measurements, Source};

use crate::failure::Failure;

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
    let (mut sources, mut recorded) = (Vec::new(), Vec::new());
    for path in files {
        if has_ending(&path, &["parquet"]) {
            recorded.extend(from_records(&path)?);
        } else {
            sources.push(source(&path)?);
        }
    }
    let mut all = Measurements::read(&sources).map_err(|error| Failure::Measurements(error.to_string()))?;
    all.logged.extend(recorded);
    for name in &all.passed_over {
        eprintln!("passed over {name}: no measurements that are known");
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
    for entry in entries {
        if (entry.is_dir() && depth < MOST_DEPTH) || (entry.is_file() && has_ending(&entry, &ENDINGS)) {
            find(&entry, depth + 1, files)?;
        }
    }
    Ok(())
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
    ending.is_some_and(|ending| endings.iter().any(|known| ending == *known))
}

fn source(path: &Path) -> Result<Source, Failure> {
    let name = path.display().to_string();
    let size = std::fs::metadata(path).map_err(|error| failure(path, error))?.len();
    if size > MOST_BYTES as u64 {
        let message = format!("{name}: {size} bytes are more than the {MOST_BYTES} that are read");
        return Err(Failure::Measurements(message));
    }
    let bytes = std::fs::read(path).map_err(|error| failure(path, error))?;
    Ok(Source { name, text: String::from_utf8_lossy(&bytes).into_owned() })
}

/// Migrations of our own records that were completed.
fn from_records(path: &Path) -> Result<Vec<LoggedMigration>, Failure> {
    let migrations = reports::read_migrations(path)?;
    let completed = migrations.into_iter().filter(|each| each.is_completed && each.total > 0.0);
    Ok(completed
        .map(|each| LoggedMigration {
            name: format!("{}: {}", path.display(), each.vm),
            memory: each.first_round_bytes.unwrap_or(each.memory_bytes_sent),
            total: each.total,
            downtime: Some(each.blackout),
            bytes: each.memory_bytes_sent,
            rate: None,
            dirty_rate: None,
            zero_bytes: None,
            downtime_limit: None,
        })
        .filter(|each| each.memory > 0.0 && each.bytes > 0.0)
        .collect())
}

fn failure(path: &Path, source: std::io::Error) -> Failure {
    Failure::File { path: path.display().to_string(), source }
}
