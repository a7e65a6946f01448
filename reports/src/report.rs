//! A whole report in a directory: the page, the figures, the frames and the JSON.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use algorithms::closed_form::ClosedFormRound;
use algorithms::ids::MigrationId;
use algorithms::measured::Measured;
use algorithms::records::{ResourceKind, RunRecords};

use crate::compare::{Comparison, compare};
use crate::error::ReportError;
use crate::export::{make_directory, write_frames, write_text};
use crate::figures::{alternatives_figure, gantt_figure, rounds_figure, usage_figure};
use crate::json::json_text;
use crate::page::{migrations_with_charts, page};
use crate::summary::{Alternative, alternatives};

/// What a report is made of.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ReportInput {
    /// The runs: alternatives and replications in any order.
    pub runs: Vec<RunRecords>,
    /// What was measured in place of a run, by the run's index in `runs`. Of an alternative with
    /// replications, tables and page show the first; give it for that one at least.
    pub measured: BTreeMap<usize, Measured>,
    /// The closed form of a migration, by its run's index in `runs` and its number.
    pub closed_forms: BTreeMap<(usize, MigrationId), Vec<ClosedFormRound>>,
    /// The version of migtwin that made the runs.
    pub version: String,
    /// The command line that made the runs, where there was one.
    pub command: Option<String>,
}

/// An alternative's label, and its planned beside measured.
pub(crate) type LabelledComparisons = (String, Vec<Comparison>);

impl ReportInput {
    /// The source of what was measured in place of a run, and planned beside measured; `None` where nothing was.
    pub fn compared(&self, run: usize) -> Option<(&str, Vec<Comparison>)> {
        let measured = self.measured.get(&run)?;
        Some((&measured.source, compare(self.runs.get(run)?, measured)))
    }

    /// Planned beside measured of every alternative where something was measured, each by its first
    /// replication, with the sources of what was measured.
    pub(crate) fn compared_alternatives(
        &self,
        groups: &[Alternative],
    ) -> (Vec<&str>, Vec<LabelledComparisons>) {
        let (mut sources, mut all) = (Vec::new(), Vec::new());
        for group in groups {
            let Some((source, comparisons)) = group.runs.first().and_then(|(index, _)| self.compared(*index))
            else {
                continue;
            };
            if !sources.contains(&source) {
                sources.push(source);
            }
            all.push((group.label.clone(), comparisons));
        }
        (sources, all)
    }

    /// The closed form of a migration of a run; empty where there is none.
    pub fn closed_form(&self, run: usize, migration: MigrationId) -> &[ClosedFormRound] {
        self.closed_forms.get(&(run, migration)).map_or(&[], Vec::as_slice)
    }
}

/// Writes `report.html`, `records.json`, every frame as Parquet and CSV, and `figures/*.svg` into
/// `directory`, which is created where it is missing. Returns what was written, the page first.
///
/// A file is whole or not there; files of an earlier report with the same names are replaced.
pub fn write_report(directory: &Path, input: &ReportInput) -> Result<Vec<PathBuf>, ReportError> {
    make_directory(directory)?;
    let mut written = vec![write_text(directory.join("report.html"), &page(input)?)?];
    written.push(write_text(directory.join("records.json"), &report_json(input)?)?);
    written.extend(write_frames(directory, &input.runs)?);
    written.extend(write_figures(&directory.join("figures"), input)?);
    Ok(written)
}

/// The JSON text of all runs, planned beside measured included: a single run's object where there is
/// one run, else `{"schema":2,"runs":[…]}`.
pub fn report_json(input: &ReportInput) -> Result<String, ReportError> {
    let compared = |run: &usize| Some((*run, input.compared(*run)?.1));
    let measured: BTreeMap<usize, Vec<Comparison>> = input.measured.keys().filter_map(compared).collect();
    json_text(&input.runs, &measured)
}

fn write_figures(directory: &Path, input: &ReportInput) -> Result<Vec<PathBuf>, ReportError> {
    make_directory(directory)?;
    let groups = alternatives(&input.runs);
    let mut written = Vec::new();
    if groups.len() > 1 {
        written.push(write_text(directory.join("alternatives.svg"), &alternatives_figure(&groups)?)?);
    }
    for (number, group) in groups.iter().enumerate() {
        let Some(&(index, _)) = group.runs.first() else {
            continue;
        };
        // Numbers, not labels: a label may hold what no file name may.
        let prefix = if groups.len() == 1 { String::new() } else { format!("alternative-{}-", number + 1) };
        for (name, svg) in figures_of(input, index)? {
            written.push(write_text(directory.join(format!("{prefix}{name}.svg")), &svg)?);
        }
    }
    Ok(written)
}

fn figures_of(input: &ReportInput, index: usize) -> Result<Vec<(String, String)>, ReportError> {
    let run = &input.runs[index];
    let mut figures = vec![("plan".to_string(), gantt_figure(run)?)];
    for migration in migrations_with_charts(run) {
        let svg = rounds_figure(run, migration, input.closed_form(index, migration))?;
        figures.push((format!("rounds-{}", migration.0), svg));
    }
    let kinds = [
        (ResourceKind::Link, "links"),
        (ResourceKind::Cpu, "processors"),
        (ResourceKind::Disk, "storage"),
        (ResourceKind::Iops, "storage-operations"),
    ];
    for (kind, name) in kinds {
        if run.resources.iter().any(|each| each.kind == kind) {
            figures.push((name.to_string(), usage_figure(run, kind)?));
        }
    }
    Ok(figures)
}
