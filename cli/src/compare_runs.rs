//! `migtwin compare-runs`: what was planned beside what happened.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use algorithms::records::RunRecords;
use reports::{alternatives, comparison_page, comparison_text, planned_actual, read_runs, write_text};

use crate::arguments::{CompareRuns, Format};
use crate::failure::Failure;
use crate::measurements::MOST_RECORDS_BYTES;
use crate::terminal;

/// Runs the command.
pub fn run(arguments: &CompareRuns) -> Result<(), Failure> {
    let alternative = arguments.alternative.as_deref();
    let planned = runs(&arguments.planned, alternative)?;
    let actual = runs(&arguments.actual, alternative)?;
    let compared = planned_actual(&planned, &actual).ok_or_else(|| Failure::NoRecords {
        path: arguments.planned.clone(),
        what: "it holds no runs".into(),
    })?;
    let text = match arguments.output.format {
        Format::Json => serde_json::to_string_pretty(&compared).map_err(std::io::Error::from)? + "\n",
        Format::Table => comparison_text(&compared, terminal::table_options()),
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    if let Some(path) = &arguments.html {
        eprintln!("wrote {}", write_text(path.clone(), &comparison_page(&compared))?.display());
    }
    Ok(())
}

/// The runs of one alternative in a file of records, or in the `records.json` of a directory.
fn runs(path: &Path, alternative: Option<&str>) -> Result<Vec<RunRecords>, Failure> {
    let path = if path.is_dir() { path.join("records.json") } else { path.to_path_buf() };
    let failed = |what: String| Failure::NoRecords { path: path.clone(), what };
    let mut text = String::new();
    let file = File::open(&path).map_err(|error| failed(error.to_string()))?;
    let read = file
        .take(MOST_RECORDS_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|error| failed(error.to_string()))?;
    if read as u64 > MOST_RECORDS_BYTES {
        return Err(failed(format!("it is longer than {MOST_RECORDS_BYTES} bytes")));
    }
    let mut runs = read_runs(&text).map_err(|error| failed(error.to_string()))?;
    let names: Vec<String> = alternatives(&runs).into_iter().map(|group| group.label).collect();
    if names.len() > 1 {
        let wanted = alternative.ok_or_else(|| several(&path, &names))?;
        runs.retain(|run| run.run.alternative.as_deref() == Some(wanted));
        if runs.is_empty() {
            return Err(several(&path, &names));
        }
    }
    Ok(runs)
}

fn several(path: &Path, names: &[String]) -> Failure {
    let what = format!("it holds several alternatives; name one by --alternative: {}", names.join(", "));
    Failure::NoRecords { path: PathBuf::from(path), what }
}
