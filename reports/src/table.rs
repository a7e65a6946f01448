//! Tables for the terminal, as text.
//!
//! No colour and no line breaking unless [`TableOptions`] asks for it: whether a terminal is there,
//! and how wide it is, only the command line knows.

use std::collections::BTreeSet;

use algorithms::records::RunRecords;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, LineStyle, Table};

use crate::compare::Comparison;
use crate::failures::failures_text;
use crate::grid::{self, Grid, Row, Side, Tone};
use crate::report::ReportInput;
use crate::summary::{Alternative, alternatives};
use crate::words;

/// How tables are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableOptions {
    /// Whether rows that want attention are coloured.
    pub colour: Colour,
    /// The width in characters into which a table must fit; `None` lets it grow.
    pub width: Option<u16>,
    /// How many rows a table has at most before its middle is left out.
    pub most_rows: usize,
}

/// Whether to use terminal colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Plain text.
    Never,
    /// ANSI escape codes.
    Always,
}

impl Default for TableOptions {
    /// Plain text, as wide as it needs, at most 40 rows.
    fn default() -> TableOptions {
        TableOptions { colour: Colour::Never, width: None, most_rows: 40 }
    }
}

/// Up to how many alternatives have their migrations listed in the terminal.
const MOST_ALTERNATIVES_IN_FULL: usize = 3;

/// The letters that padding and border take beside each column.
const BETWEEN_COLUMNS: usize = 2;

/// The least width that columns of text together are left with, when numbers are kept whole.
const ROOM_FOR_TEXT: usize = 20;

/// Up to how many migrations have their rounds shown in the terminal.
const MOST_MIGRATIONS_WITH_ROUNDS: usize = 3;

/// Everything a terminal shows of a report.
///
/// For each alternative its summary, and quantiles where it has replications; its migrations, where
/// there are at most three alternatives; the rounds of a run of one to three migrations. Then the
/// alternatives side by side, and planned beside measured.
pub fn report_text(input: &ReportInput, options: TableOptions) -> String {
    let groups = alternatives(&input.runs);
    let detail = if groups.len() <= MOST_ALTERNATIVES_IN_FULL { Detail::Full } else { Detail::Summary };
    let mut parts: Vec<String> =
        groups.iter().map(|group| alternative_text(group, detail, options)).collect();
    if groups.len() > 1 {
        parts.push(format!("Alternatives side by side\n{}", alternatives_table(input, options)));
        let sending = grid::sending(&groups);
        if !sending.rows.is_empty() {
            parts.push(format!("What sending took, and what held it back\n{}", show(&sending, options)));
        }
    }
    parts.extend(measured_text(input, &groups, options));
    parts.join("\n")
}

/// Makespan, outcomes, mean and worst times, bytes sent: a line each under a heading.
pub fn summary_text(run: &RunRecords) -> String {
    let mut text = format!("{}\n", heading(run));
    for row in grid::summary(run).rows {
        text.push_str(&format!("  {:<13} {}\n", row.cells[0], row.cells[1]));
    }
    text
}

/// The migrations of a run. Where they do not fit the width, the reasons stand below the table.
pub fn migrations_table(run: &RunRecords, options: TableOptions) -> String {
    let mut grid = grid::migrations(run);
    if grid.rows.is_empty() {
        return "(no migrations)\n".to_string();
    }
    if fits(&grid, options.width) {
        return show(&grid, options);
    }
    let whys = grid.take_column("why");
    let reasons = grid.take_column("reason");
    let notes =
        reason_notes(&grid, &reasons, options.most_rows) + &why_notes(&grid, &whys, options.most_rows);
    if !fits(&grid, options.width) {
        // The notes name every outcome that is not "completed".
        grid.take_column("outcome");
    }
    show(&grid, options) + &notes
}

/// The rounds of every migration of a run, each under its guest's name.
pub fn rounds_tables(run: &RunRecords, options: TableOptions) -> String {
    let mut text = String::new();
    for record in &run.migrations {
        let rounds = grid::rounds(run, record.migration);
        if rounds.rows.is_empty() {
            continue;
        }
        text.push_str(&format!("Rounds of {} ({})\n{}", record.vm, record.reason, show(&rounds, options)));
    }
    text
}

/// Planned beside measured, then the mean and worst error.
pub fn comparison_table(comparisons: &[Comparison], options: TableOptions) -> String {
    show(&grid::comparison(comparisons), options) + &error_lines(comparisons)
}

/// Quantiles over the replications of one alternative.
pub fn replications_table(alternative: &Alternative, options: TableOptions) -> String {
    show(&grid::replications(alternative), options)
}

/// The alternatives side by side, a row each.
pub fn alternatives_table(input: &ReportInput, options: TableOptions) -> String {
    let groups = alternatives(&input.runs);
    let (_, compared) = input.compared_alternatives(&groups);
    show(&grid::alternatives(&groups, &compared), options)
}

/// How much of an alternative is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Detail {
    Full,
    Summary,
}

fn alternative_text(group: &Alternative, detail: Detail, options: TableOptions) -> String {
    let Some(&(_, run)) = group.runs.first() else {
        return String::new();
    };
    let mut text = summary_text(run);
    if detail == Detail::Full {
        if group.runs.len() > 1 {
            text.push_str(&format!("The first of {} replications:\n", group.runs.len()));
        }
        text.push_str(&migrations_table(run, options));
        text.push_str(&failures_text(run));
        if (1..=MOST_MIGRATIONS_WITH_ROUNDS).contains(&run.migrations.len()) {
            text.push_str(&format!("\n{}", rounds_tables(run, options)));
        }
    }
    if group.runs.len() > 1 {
        let table = replications_table(group, options);
        text.push_str(&format!("\nQuantiles over {} replications\n{table}", group.runs.len()));
    }
    text
}

/// Planned beside measured of all alternatives in one table; nothing where nothing was measured.
fn measured_text(input: &ReportInput, groups: &[Alternative], options: TableOptions) -> Option<String> {
    let (sources, mut compared) = input.compared_alternatives(groups);
    if compared.is_empty() {
        return None;
    }
    if let ([_], [(label, _)]) = (groups, compared.as_mut_slice()) {
        label.clear();
    }
    let table = show(&grid::labelled_comparison(&compared), options);
    let all: Vec<Comparison> = compared.into_iter().flat_map(|(_, each)| each).collect();
    let heading = format!("Planned beside measured ({})", sources.join("; "));
    Some(format!("{heading}\n{table}{}", error_lines(&all)))
}

fn error_lines(comparisons: &[Comparison]) -> String {
    grid::summary_lines(comparisons).iter().map(|line| format!("{line}\n")).collect()
}

/// A line for each migration that was not completed.
fn reason_notes(grid: &Grid, reasons: &[String], most: usize) -> String {
    let noted = || grid.rows.iter().zip(reasons).filter(|(row, _)| row.tone != Tone::Plain);
    let notes =
        noted().take(most).map(|(row, reason)| format!("{}, {}: {reason}\n", row.cells[0], row.cells[2]));
    let mut notes: String = notes.collect();
    if noted().count() > most {
        notes.push_str(&format!("and {} more that were not completed\n", noted().count() - most));
    }
    notes
}

/// A line for each migration of which the records say what made it.
fn why_notes(grid: &Grid, whys: &[String], most: usize) -> String {
    let noted = || grid.rows.iter().zip(whys).filter(|(_, why)| !why.is_empty());
    let notes = noted().take(most).map(|(row, why)| format!("{}, {}: {why}\n", row.cells[0], row.cells[1]));
    let mut notes: String = notes.collect();
    if noted().count() > most {
        notes.push_str(&format!("and {} more; `--format json` says why\n", noted().count() - most));
    }
    notes
}

fn heading(run: &RunRecords) -> String {
    let about = &run.run;
    let alternative = about.alternative.as_ref().map(|name| format!(" · {name}")).unwrap_or_default();
    let replication = match about.replication {
        0 => String::new(),
        number => format!(" · replication {number}"),
    };
    let origin = words::origin(about.origin);
    format!("{}{alternative} · seed {}{replication} · {origin}", about.scenario, about.seed)
}

pub(crate) fn show(grid: &Grid, options: TableOptions) -> String {
    if grid.rows.is_empty() {
        return "(nothing)\n".to_string();
    }
    let kept = kept_rows(&grid.rows, options.most_rows);
    let mut table = empty_table(grid, options);
    let mut next = 0;
    for &index in &kept {
        if index > next {
            table.add_row(["⋮"]);
        }
        table.add_row(grid.rows[index].cells.iter().map(|cell| coloured(cell, grid.rows[index].tone)));
        next = index + 1;
    }
    let left_out = grid.rows.len() - kept.len();
    let note = match left_out {
        0 => String::new(),
        _ => format!("{left_out} rows are left out; `--out DIR` or `--format json` gives them all\n"),
    };
    format!("{}\n{note}", table.trim_fmt())
}

/// A table of any text, in the same look: for lists that are no part of a report.
pub fn plain_table(headings: &[&str], rows: &[Vec<String>], options: TableOptions) -> String {
    let mut table = bare_table(options);
    table.set_header(headings);
    table.column_iter_mut().for_each(|column| {
        column.set_padding((1, 0));
    });
    table.add_rows(rows);
    format!("{}\n", table.trim_fmt())
}

fn bare_table(options: TableOptions) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).force_no_tty();
    table.style_mut().row_separator = LineStyle::none();
    table.style_mut().header_separator = LineStyle::none().fill('─').junction('─');
    if options.colour == Colour::Always {
        table.enforce_styling();
    }
    if let Some(width) = options.width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    table
}

fn empty_table(grid: &Grid, options: TableOptions) -> Table {
    let mut table = bare_table(options);
    table.set_header(grid.columns.iter().map(|column| column.heading));
    for (column, shown) in grid.columns.iter().zip(table.column_iter_mut()) {
        shown.set_padding((1, 0));
        shown.set_cell_alignment(match column.side {
            Side::Left => CellAlignment::Left,
            Side::Right => CellAlignment::Right,
        });
    }
    if options.width.is_some_and(|width| unbroken(grid) + ROOM_FOR_TEXT <= usize::from(width)) {
        keep_numbers_whole(grid, &mut table);
    }
    table
}

/// Lets only columns of text be broken into lines.
fn keep_numbers_whole(grid: &Grid, table: &mut Table) {
    for (column, shown) in grid.columns.iter().zip(table.column_iter_mut()) {
        if column.side == Side::Right {
            shown.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
}

/// What the columns of numbers need, with the space between them.
fn unbroken(grid: &Grid) -> usize {
    let columns = grid.columns.iter().zip(grid.widths());
    columns.filter(|(column, _)| column.side == Side::Right).map(|(_, width)| width + BETWEEN_COLUMNS).sum()
}

fn fits(grid: &Grid, width: Option<u16>) -> bool {
    let needed: usize = grid.widths().iter().map(|width| width + BETWEEN_COLUMNS).sum();
    width.is_none_or(|width| needed <= usize::from(width))
}

fn coloured(cell: &str, tone: Tone) -> Cell {
    match tone {
        Tone::Plain => Cell::new(cell),
        Tone::Warning => Cell::new(cell).fg(Color::Yellow),
        Tone::Bad => Cell::new(cell).fg(Color::Red),
    }
}

/// Which rows to show: all, or the first, the last, and those in between that want attention.
fn kept_rows(rows: &[Row], most: usize) -> BTreeSet<usize> {
    if rows.len() <= most {
        return (0..rows.len()).collect();
    }
    let ends = most * 3 / 8;
    let middle = ends..rows.len() - ends;
    let attention = middle.clone().filter(|index| rows[*index].tone != Tone::Plain).take(most / 4);
    (0..ends).chain(attention).chain(middle.end..rows.len()).collect()
}
