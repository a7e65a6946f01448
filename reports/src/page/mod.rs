//! One self-contained HTML page: no script, no font, no image from elsewhere.
//!
//! It can be mailed, archived and printed. Light or dark follows the reader's setting; figures keep
//! their white ground in both, so that their colours mean the same.

mod html;
mod section;

use algorithms::records::{Origin, RunRecords};

pub(crate) use html::{Html, escape};
pub(crate) use section::migrations_with_charts;

use crate::compare::Comparison;
use crate::error::ReportError;
use crate::figures::alternatives_figure;
use crate::grid;
use crate::report::ReportInput;
use crate::summary::{Alternative, alternatives};
use section::Place;

const STYLE: &str = include_str!("style.css");

/// The page of a report: with several alternatives, an overview and a section each.
pub fn page(input: &ReportInput) -> Result<String, ReportError> {
    let groups = alternatives(&input.runs);
    let mut body = Html::default();
    body.raw("<header>");
    body.heading(1, &title_of(&input.runs));
    body.paragraph("muted", &format!("migtwin {}, {}", input.version, counts(&groups)));
    body.raw("</header>\n<main>");
    if groups.len() > 1 {
        overview(&mut body, input, &groups)?;
    }
    for (index, group) in groups.iter().enumerate() {
        section::write(&mut body, input, group, Place::of(group, index, groups.len()))?;
    }
    how_it_was_made(&mut body, input);
    body.raw("</main>");
    Ok(document(&title_of(&input.runs), &body.into_text()))
}

/// A whole page around `body`.
pub(crate) fn document(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n",
        escape(title)
    )
}

fn overview(body: &mut Html, input: &ReportInput, groups: &[Alternative]) -> Result<(), ReportError> {
    let (sources, compared) = input.compared_alternatives(groups);
    body.heading(2, "Alternatives side by side");
    body.figure(&alternatives_figure(groups)?);
    body.grid(&grid::alternatives(groups, &compared));
    let sending = grid::sending(groups);
    if !sending.rows.is_empty() {
        body.heading(3, "What sending took, and what held it back");
        body.grid(&sending);
    }
    if groups.iter().any(|group| group.runs.len() > 1) {
        body.paragraph("muted", "Of an alternative with several replications, medians.");
    }
    body.raw("<nav><ul>");
    for (index, group) in groups.iter().enumerate() {
        body.link(&Place::of(group, index, groups.len()).anchor, &group.label);
    }
    body.raw("</ul></nav>");
    if !compared.is_empty() {
        let all: Vec<Comparison> = compared.into_iter().flat_map(|(_, each)| each).collect();
        body.paragraph("muted", &format!("Measured: {}", sources.join("; ")));
        grid::summary_lines(&all).iter().for_each(|line| body.paragraph("finding", line));
    }
    Ok(())
}

fn how_it_was_made(body: &mut Html, input: &ReportInput) {
    body.heading(2, "How this was made");
    let mut seeds: Vec<u64> = input.runs.iter().map(|run| run.run.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
    let mut facts = vec![("made by", format!("migtwin {}", input.version)), ("seed", seeds.join(", "))];
    if let Some(command) = &input.command {
        facts.push(("command", command.clone()));
    }
    body.facts(&facts);
    if input.runs.iter().all(|run| run.run.origin == Origin::Planned) {
        body.paragraph("muted", "The same scenario, seed and version give the same records, byte for byte.");
    }
    let beside =
        "The numbers behind the figures stand beside this page as Parquet and CSV, and in records.json.";
    body.paragraph("muted", beside);
}

fn title_of(runs: &[RunRecords]) -> String {
    let mut scenarios: Vec<&str> = runs.iter().map(|run| &*run.run.scenario).collect();
    scenarios.dedup();
    match scenarios.as_slice() {
        [] => "No runs".to_string(),
        [one] => one.to_string(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    }
}

fn counts(groups: &[Alternative]) -> String {
    let runs: usize = groups.iter().map(|group| group.runs.len()).sum();
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    match groups.len() {
        0 | 1 => plural(runs, "run"),
        count => format!("{} of {}", plural(runs, "run"), plural(count, "alternative")),
    }
}
