//! Runs every scenario of the library and of the validation, and prints a digest of what each leaves.
//!
//! ```text
//! cargo run --release -p benches --bin digests                                   prints them
//! cargo run --release -p benches --bin digests -- --check benches/digests.txt    fails where one differs
//! cargo run --release -p benches --bin digests -- --write benches/digests.txt    writes the file anew
//! ```
//!
//! It goes by `scenarios::load` and `models::world::simulate`, not by the command line: what it shows is
//! what the models and the algorithms do, not how it is presented.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use benches::digest::listing::{Entry, differences, text};
use benches::digest::{COLUMNS, Digests, texts};
use clap::Parser;
use models::world::{Metering, RunOptions, simulate};
use scenarios::ScenarioRun;

/// Directories with scenarios, below that of `--scenarios`. What is in directories within them, such as
/// `library/common`, is included by scenarios and is none.
const DIRECTORIES: [&str; 2] = ["library", "validation"];

type Failed = Box<dyn std::error::Error>;

/// Digests of the records of every scenario, all alternatives, seed 1.
#[derive(Parser)]
struct Arguments {
    /// Compares with this file, and fails with the lines that differ.
    #[arg(long, value_name = "FILE", conflicts_with = "write")]
    check: Option<PathBuf>,
    /// Writes this file.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Writes the texts that are digested into this directory, a file for each run: with those of another
    /// build beside them, `diff -r` shows what changed.
    #[arg(long, value_name = "DIRECTORY")]
    texts: Option<PathBuf>,
    /// Where the scenarios are.
    #[arg(long, value_name = "DIRECTORY", default_value = "scenarios")]
    scenarios: PathBuf,
}

fn main() -> Result<ExitCode, Failed> {
    let arguments = Arguments::parse();
    let mut entries = Vec::new();
    for directory in DIRECTORIES {
        for file in scenario_files(&arguments.scenarios.join(directory))? {
            entries.extend(digests_of(&file, directory, arguments.texts.as_deref())?);
        }
    }
    let new = text(&entries);
    if let Some(path) = &arguments.write {
        fs::write(path, &new).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let Some(path) = &arguments.check else {
        io::stdout().write_all(new.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    };
    let old = fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let found = differences(&old, &new);
    let mut out = io::stdout().lock();
    for difference in &found {
        writeln!(out, "{difference}")?;
    }
    if found.is_empty() {
        writeln!(out, "{} runs leave what {} says", entries.len(), path.display())?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "{} of {} runs differ from {}", found.len(), entries.len(), path.display())?;
    writeln!(out, "Where that is meant, write the file with --write and say in the commit why.")?;
    Ok(ExitCode::FAILURE)
}

/// The scenarios in a directory, by name.
fn scenario_files(directory: &Path) -> Result<Vec<PathBuf>, Failed> {
    let unreadable = |error: io::Error| format!("cannot read {}: {error}", directory.display());
    let entries: Result<Vec<_>, _> = fs::read_dir(directory).map_err(unreadable)?.collect();
    let paths = entries.map_err(unreadable)?.into_iter().map(|entry| entry.path());
    let mut files: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "ron")).collect();
    files.sort();
    if files.is_empty() {
        return Err(format!("{} has no scenarios", directory.display()).into());
    }
    Ok(files)
}

/// The entries of a file: one for each alternative, or one that says why it cannot be read.
fn digests_of(path: &Path, directory: &str, texts: Option<&Path>) -> Result<Vec<Entry>, Failed> {
    let file = format!("{directory}/{}", path.file_name().unwrap_or_default().to_string_lossy());
    let scenario = match scenarios::load(path) {
        Ok(scenario) => scenario,
        Err(error) => return Ok(vec![Entry::new(&file, None, Err(error.to_string()))]),
    };
    scenario.runs.iter().map(|run| entry(run, &file, texts)).collect()
}

fn entry(run: &ScenarioRun, file: &str, directory: Option<&Path>) -> Result<Entry, Failed> {
    let options = RunOptions { seed: 1, replication: 0, metering: Metering::On, ..RunOptions::default() };
    let alternative = run.alternative.as_deref();
    let records = match simulate(&run.model, &options) {
        Ok(records) => records,
        Err(error) => return Ok(Entry::new(file, alternative, Err(error.to_string()))),
    };
    let entry = Entry::new(file, alternative, Ok(Digests::of(&records)));
    if let Some(directory) = directory {
        fs::create_dir_all(directory)?;
        let text: String =
            COLUMNS.iter().zip(texts(&records)).map(|(of, text)| format!("# {of}\n{text}")).collect();
        fs::write(directory.join(entry.name.replace('/', "-")), text)?;
    }
    Ok(entry)
}
