//! A plan over time: one bar for each migration, in the order in which they began.

use std::collections::BTreeSet;

use algorithms::records::{MigrationRecord, Outcome, RunRecords};
use sim_core::Span;

use super::axis::Axis;
use super::canvas::{
    self, Anchor, Canvas, DrawError, GREY, HEADING_HEIGHT, INK, Lettering, PALE_GREY, PURPLE, SKY,
    VERMILLION, WIDTH, fill, write,
};
use super::legend::{self, Entry, Sample, draw_cross};
use super::plot::{Frame, Plot};
use crate::error::ReportError;
use crate::human;
use crate::summary::RunSummary;

/// How many migrations have a bar; of more, at most that many are picked.
const MOST_BARS: usize = 400;
/// The height of all bars together, from which the height of one follows.
const MOST_BARS_HEIGHT: i32 = 1200;
const TALLEST_BAR: i32 = 22;
/// Rows between labels must be this far apart to be readable, in pixels.
const LABEL_HEIGHT: i32 = 12;
/// Rows of at most this height are dense: lines in them are thinner and paler.
const DENSE_ROW: i32 = 6;
const LONGEST_LABEL: usize = 26;

/// All migrations of a run over time, as SVG text.
///
/// Grey is waiting, light blue the brownout, vermillion the blackout, which is always drawn at
/// least two pixels wide; what was not completed is purple and ends in a cross.
pub fn gantt_figure(run: &RunRecords) -> Result<String, ReportError> {
    let rows = picked(sorted(run));
    let title = title_of(run);
    let subtitle = subtitle_of(run, rows.len());
    let entries = entries_of(&rows);
    let top = HEADING_HEIGHT + legend::height(&entries) + 4;
    let bottom = top + row_height(rows.len()) * rows.len().max(1) as i32 + 4;
    canvas::draw("the plan over time", &title, bottom + 56, |canvas| {
        canvas::heading(canvas, &title, &subtitle)?;
        legend::draw(canvas, &entries, HEADING_HEIGHT)?;
        let frame = Frame { left: left_of(&rows), right: WIDTH - 32, top, bottom };
        paint(canvas, frame, &rows, end_of(run))
    })
}

fn paint(canvas: &Canvas, frame: Frame, rows: &[&MigrationRecord], end_s: f64) -> Result<(), DrawError> {
    let x = Axis::time("Time since the run began", end_s);
    let plot = Plot { canvas, x, y: Axis::bare(1.0), frame };
    plot.draw_axes()?;
    let height = row_height(rows.len());
    let every = (LABEL_HEIGHT + height - 1) / height;
    for (index, record) in rows.iter().enumerate() {
        let top = frame.top + 2 + height * index as i32;
        draw_row(&plot, record, (top, height))?;
        if index as i32 % every == 0 {
            let middle = (frame.left - 8, top + height / 2);
            let look = Lettering::TICK.size(11.0).anchor(Anchor::End);
            write(canvas, &label_of(record), middle, look)?;
        }
    }
    Ok(())
}

/// Draws one migration's bar into a row given by its top and height.
fn draw_row(plot: &Plot, record: &MigrationRecord, (top, height): (i32, i32)) -> Result<(), DrawError> {
    let pad = (height / 6).clamp(0, 3);
    let (above, below, middle) = (top + pad, top + height - pad.max(i32::from(height > 3)), top + height / 2);
    let x = |seconds: f64| plot.pixel((seconds, 0.0)).0;
    let arm = (height / 3).clamp(2, 4);
    let queued = x(record.queued.as_secs_f64());
    let Some(started) = record.started.map(|time| time.as_secs_f64()) else {
        return draw_cross(plot.canvas, (queued.max(plot.frame.left + arm), middle), arm, INK);
    };
    let ended = started + record.total.as_secs_f64();
    let colour = if record.outcome == Outcome::Completed { SKY } else { PURPLE };
    // Hundreds of waiting lines side by side would outshout the bars.
    let (thin, waiting, widest) = if height > DENSE_ROW { (1, GREY, 3) } else { (0, PALE_GREY, 2) };
    fill(plot.canvas, (queued, middle - thin), (x(started), middle + 1), waiting)?;
    fill(plot.canvas, (x(started), above), (x(ended).max(x(started) + 1), below), colour)?;
    if record.outcome != Outcome::Completed {
        return draw_cross(plot.canvas, (x(ended) + arm + 2, middle), arm, INK);
    }
    // Disks that move on one host pause nobody.
    if record.blackout == Span::ZERO {
        return Ok(());
    }
    let paused = started + record.brownout.as_secs_f64();
    let resumed = x(paused + record.blackout.as_secs_f64());
    fill(plot.canvas, (x(paused).min(resumed - widest), above - pad), (resumed, below + pad), VERMILLION)
}

fn entries_of(rows: &[&MigrationRecord]) -> Vec<Entry> {
    let entry = |sample, colour, text: &str| Entry { sample, colour, text: text.to_string() };
    let mut entries = vec![
        entry(Sample::Thin, GREY, "waiting"),
        entry(Sample::Thick, SKY, "brownout (copying, guest runs)"),
        entry(Sample::Tick, VERMILLION, "blackout (guest paused; widened to be seen)"),
    ];
    if rows.iter().any(|row| row.outcome != Outcome::Completed) {
        entries.push(entry(Sample::Cross, INK, "not completed"));
    }
    entries
}

fn sorted(run: &RunRecords) -> Vec<&MigrationRecord> {
    let mut rows: Vec<&MigrationRecord> = run.migrations.iter().collect();
    // What never began comes last.
    rows.sort_by_key(|row| (row.started.is_none(), row.started.unwrap_or(row.queued), row.migration));
    rows
}

fn picked(rows: Vec<&MigrationRecord>) -> Vec<&MigrationRecord> {
    if rows.len() <= MOST_BARS {
        return rows;
    }
    // What went wrong must not be the thing that is left out; half the bars at most go to it.
    let went_wrong =
        (0..rows.len()).filter(|index| rows[*index].outcome != Outcome::Completed).take(MOST_BARS / 2);
    let mut kept: BTreeSet<usize> = went_wrong.collect();
    let evenly = MOST_BARS - kept.len();
    kept.extend((0..evenly).map(|index| index * rows.len() / evenly));
    kept.into_iter().map(|index| rows[index]).collect()
}

fn row_height(rows: usize) -> i32 {
    (MOST_BARS_HEIGHT / rows.max(1) as i32).clamp(1, TALLEST_BAR)
}

fn label_of(record: &MigrationRecord) -> String {
    let destination = record.destination.as_deref().unwrap_or(human::NOTHING);
    human::shortened(&format!("{} → {destination}", record.vm), LONGEST_LABEL)
}

fn left_of(rows: &[&MigrationRecord]) -> i32 {
    let widest = rows.iter().map(|row| canvas::text_width(&label_of(row), 12.0)).max();
    widest.unwrap_or(0) + 24
}

/// When the last bar ends; what was queued "never" does not count.
fn end_of(run: &RunRecords) -> f64 {
    let ends = run.migrations.iter().filter_map(|row| Some((row.started? + row.total).as_secs_f64()));
    ends.fold(run.run.makespan.as_secs_f64(), f64::max)
}

fn title_of(run: &RunRecords) -> String {
    let count = run.migrations.len();
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} migration{plural} in {}", human::seconds(run.run.makespan.as_secs_f64()))
}

fn subtitle_of(run: &RunRecords, shown: usize) -> String {
    let summary = RunSummary::of(run);
    let mut text = format!("{} · seed {} · {} completed", run.run.scenario, run.run.seed, summary.completed);
    if let Some((longest, vm)) = &summary.worst_blackout {
        text.push_str(&format!(", longest blackout {} ({vm})", human::pause(longest.as_secs_f64())));
    }
    if shown < run.migrations.len() {
        text.push_str(&format!(" · {shown} of them shown: those that went wrong, and evenly picked others"));
    }
    text
}
