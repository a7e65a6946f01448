//! The part of the page that is about one alternative.

use std::collections::BTreeSet;

use algorithms::ids::MigrationId;
use algorithms::records::{ResourceKind, RunRecords};

use super::html::Html;
use crate::error::ReportError;
use crate::figures::{gantt_figure, rounds_figure, usage_figure};
use crate::grid;
use crate::report::ReportInput;
use crate::summary::Alternative;

/// How many migrations have a chart of their rounds: of more, the longest.
const MOST_ROUND_CHARTS: usize = 6;

/// Where a section stands on the page.
pub(crate) struct Place<'a> {
    /// The name by which the overview links to it.
    pub anchor: String,
    /// What stands above it.
    pub title: &'a str,
}

impl Place<'_> {
    /// The place of the section number `index` of `sections`. Anchors are numbered, so that they are
    /// the same whatever an alternative is called.
    pub fn of<'a>(group: &'a Alternative, index: usize, sections: usize) -> Place<'a> {
        let title = if sections == 1 { "Summary" } else { &group.label };
        Place { anchor: format!("alternative-{}", index + 1), title }
    }
}

/// Writes summary, comparison, figures and tables of one alternative.
pub(crate) fn write(
    body: &mut Html,
    input: &ReportInput,
    group: &Alternative,
    Place { anchor, title }: Place,
) -> Result<(), ReportError> {
    let Some(&(index, run)) = group.runs.first() else {
        return Ok(());
    };
    body.raw(&format!("<section id=\"{anchor}\">"));
    body.heading(2, title);
    let facts = grid::summary(run).rows;
    body.facts(&facts.iter().map(|row| (row.cells[0].as_str(), row.cells[1].clone())).collect::<Vec<_>>());
    body.folding_grid("What went wrong, and what helps", &grid::failures(run));
    replications(body, group);
    comparison(body, input, index);
    plan(body, run)?;
    rounds(body, input, (index, run))?;
    usage(body, run)?;
    if !(run.migrations.is_empty() && run.events.is_empty()) {
        body.heading(3, "Tables");
    }
    body.folding_grid("Migrations", &grid::migrations_in_full(run));
    body.folding_grid("Events", &grid::events(run));
    body.raw("</section>");
    Ok(())
}

/// The longest migrations that have rounds, at most six, in the order of their numbers.
pub(crate) fn migrations_with_charts(run: &RunRecords) -> Vec<MigrationId> {
    // A large run may have been recorded without its rounds.
    let recorded: BTreeSet<MigrationId> = run.rounds.iter().map(|round| round.migration).collect();
    let migrations = run.migrations.iter();
    let mut with_rounds: Vec<_> = migrations.filter(|each| recorded.contains(&each.migration)).collect();
    with_rounds.sort_by_key(|each| (std::cmp::Reverse(each.total), each.migration));
    let mut charted: Vec<MigrationId> =
        with_rounds.into_iter().take(MOST_ROUND_CHARTS).map(|each| each.migration).collect();
    charted.sort_unstable();
    charted
}

fn replications(body: &mut Html, group: &Alternative) {
    if group.runs.len() < 2 {
        return;
    }
    body.heading(3, &format!("Over {} replications", group.runs.len()));
    body.grid(&grid::replications(group));
    body.paragraph("muted", "All figures and tables around this one show the first replication.");
}

fn comparison(body: &mut Html, input: &ReportInput, index: usize) {
    let Some((source, comparisons)) = input.compared(index) else {
        return;
    };
    body.heading(3, "Planned beside measured");
    body.paragraph("muted", &format!("Measured: {source}"));
    for line in grid::summary_lines(&comparisons) {
        body.paragraph("finding", &line);
    }
    body.folding_grid("Measured values", &grid::comparison(&comparisons));
}

fn plan(body: &mut Html, run: &RunRecords) -> Result<(), ReportError> {
    if run.migrations.is_empty() {
        body.paragraph("muted", "This run had no migrations.");
        return Ok(());
    }
    body.heading(3, "The plan over time");
    body.figure(&gantt_figure(run)?);
    Ok(())
}

fn rounds(
    body: &mut Html,
    input: &ReportInput,
    (index, run): (usize, &RunRecords),
) -> Result<(), ReportError> {
    let charted = migrations_with_charts(run);
    if charted.is_empty() {
        return Ok(());
    }
    body.heading(3, "Round by round");
    if charted.len() < run.migrations.len() {
        let note = format!("The {} longest of {} migrations.", charted.len(), run.migrations.len());
        body.paragraph("muted", &note);
    }
    for migration in charted {
        body.figure(&rounds_figure(run, migration, input.closed_form(index, migration))?);
    }
    Ok(())
}

fn usage(body: &mut Html, run: &RunRecords) -> Result<(), ReportError> {
    let kinds = [
        (ResourceKind::Link, "Links"),
        (ResourceKind::Cpu, "Processors"),
        (ResourceKind::Disk, "Storage"),
        (ResourceKind::Iops, "Storage operations"),
    ];
    for (kind, title) in kinds {
        if run.resources.iter().any(|each| each.kind == kind) {
            body.heading(3, title);
            body.figure(&usage_figure(run, kind)?);
        }
    }
    Ok(())
}
