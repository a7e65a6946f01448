//! Alternatives side by side: a row each, and in it a bar for each quantity, all of a quantity on one scale.

use plotters::style::RGBColor;
use sim_core::Quantiles;

use super::canvas::{
    self, Anchor, BLUE, Canvas, DrawError, GREEN, HEADING_HEIGHT, Lettering, ORANGE, SKY, VERMILLION, WIDTH,
    fill, write,
};
use crate::error::ReportError;
use crate::human;
use crate::sending::SendingSummary;
use crate::summary::{Alternative, RunSummary};

/// How many alternatives have a row; of more, the first.
const MOST_ROWS: usize = 60;
const ROW_HEIGHT: i32 = 20;
const HEADINGS_HEIGHT: i32 = 24;
const BETWEEN_PANELS: i32 = 14;
const LONGEST_LABEL: usize = 34;
/// Room for a value beside the longest bar.
const VALUE_WIDTH: i32 = 74;

/// A quantity: its heading, its colour, how it is read off a run, and how it is written.
struct Panel {
    heading: &'static str,
    colour: RGBColor,
    values: Vec<Option<f64>>,
    shown: fn(f64) -> String,
}

/// Makespan, mean and worst total, worst blackout and processor time of all alternatives, as SVG text; medians
/// where they have replications.
pub fn alternatives_figure(alternatives: &[Alternative]) -> Result<String, ReportError> {
    let rows = &alternatives[..alternatives.len().min(MOST_ROWS)];
    let panels: Vec<Panel> = panels(rows).into_iter().filter(|panel| panel.most() > 0.0).collect();
    let bottom = HEADING_HEIGHT + HEADINGS_HEIGHT + ROW_HEIGHT * rows.len().max(1) as i32 + 16;
    let title = format!("{} alternatives side by side", alternatives.len());
    let left_out = alternatives.len() - rows.len();
    let subtitle = match left_out {
        0 => "bars of one colour share a scale, which begins at zero".to_string(),
        _ => format!("the first {MOST_ROWS}; bars of one colour share a scale, which begins at zero"),
    };
    canvas::draw("the alternatives side by side", &title, bottom, |canvas| {
        canvas::heading(canvas, &title, &subtitle)?;
        let left = labels(canvas, rows)?;
        let count = panels.len().max(1) as i32;
        let width = (WIDTH - 24 - left - BETWEEN_PANELS * (count - 1)) / count;
        for (place, panel) in (0..).zip(&panels) {
            draw_panel(canvas, panel, left + place * (width + BETWEEN_PANELS), width)?;
        }
        Ok(())
    })
}

/// Writes the alternatives' names; where the panels begin.
fn labels(canvas: &Canvas, rows: &[Alternative]) -> Result<i32, DrawError> {
    let names: Vec<String> = rows.iter().map(|row| human::shortened(&row.label, LONGEST_LABEL)).collect();
    let widest = names.iter().map(|name| canvas::text_width(name, 12.0)).max().unwrap_or(0);
    let right = 24 + widest;
    for (row, name) in (0..).zip(&names) {
        write(canvas, name, (right, middle_of(row)), Lettering::LABEL.anchor(Anchor::End))?;
    }
    Ok(right + 12)
}

fn draw_panel(canvas: &Canvas, panel: &Panel, left: i32, width: i32) -> Result<(), DrawError> {
    write(canvas, panel.heading, (left, HEADING_HEIGHT + 10), Lettering::TICK)?;
    let longest = f64::from((width - VALUE_WIDTH).max(1));
    for (row, value) in (0..).zip(&panel.values) {
        let Some(value) = *value else {
            write(canvas, human::NOTHING, (left, middle_of(row)), Lettering::TICK)?;
            continue;
        };
        let end = left + (value / panel.most() * longest).round() as i32;
        let (above, below) = (middle_of(row) - 6, middle_of(row) + 6);
        fill(canvas, (left, above), (end.max(left + 1), below), panel.colour)?;
        let shown = (panel.shown)(value);
        write(canvas, &shown, (end.max(left + 1) + 5, middle_of(row)), Lettering::TICK.size(11.0))?;
    }
    Ok(())
}

fn middle_of(row: i32) -> i32 {
    HEADING_HEIGHT + HEADINGS_HEIGHT + ROW_HEIGHT * row + ROW_HEIGHT / 2
}

impl Panel {
    fn most(&self) -> f64 {
        self.values.iter().flatten().copied().fold(0.0, f64::max)
    }
}

fn panels(rows: &[Alternative]) -> Vec<Panel> {
    let panel = |heading, colour, value: fn(&RunSummary) -> Option<f64>, shown| {
        let median = |row: &Alternative| {
            let values = row.runs.iter().filter_map(|(_, run)| value(&RunSummary::of(run)));
            Quantiles::of(values).map(|all| all.p50)
        };
        Panel { heading, colour, values: rows.iter().map(median).collect(), shown }
    };
    let processors = |row: &Alternative| {
        let sending = row.runs.first().and_then(|(_, run)| SendingSummary::of(run))?;
        Some(sending.source_core_seconds + sending.destination_core_seconds)
    };
    vec![
        panel("makespan", BLUE, |run| Some(run.makespan.as_secs_f64()), human::seconds),
        panel("mean total", SKY, |run| run.mean_total_s, human::seconds),
        panel("worst total", GREEN, |run| Some(run.worst_total.as_ref()?.0.as_secs_f64()), human::seconds),
        panel(
            "worst blackout",
            VERMILLION,
            |run| Some(run.worst_blackout.as_ref()?.0.as_secs_f64()),
            human::pause,
        ),
        Panel {
            heading: "processors, both ends",
            colour: ORANGE,
            values: rows.iter().map(processors).collect(),
            shown: |value| format!("{} core-s", human::digits(value, 3)),
        },
    ]
}
