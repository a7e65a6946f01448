//! The grids above single migrations: a run, its replications, the alternatives side by side.

use algorithms::ids::Name;
use algorithms::records::RunRecords;
use sim_core::{Quantiles, Span};

use super::{Grid, Tone, left, right};
use crate::compare::summarise;
use crate::human;
use crate::report::LabelledComparisons;
use crate::sending::SendingSummary;
use crate::summary::{Alternative, RunSummary};

/// A run in a few lines: what, and how much.
pub(crate) fn summary(run: &RunRecords) -> Grid {
    let summary = RunSummary::of(run);
    let mut grid = Grid::new([left("what"), left("how much")]);
    let mut line = |what: &str, how_much: String| grid.push(Tone::Plain, vec![what.to_string(), how_much]);
    line("makespan", human::seconds(summary.makespan.as_secs_f64()));
    line("migrations", outcomes(&summary));
    if let (Some(mean), Some(worst)) = (summary.mean_total_s, &summary.worst_total) {
        line("total", mean_and_worst(&summary, mean, worst, human::seconds));
    }
    if let (Some(mean), Some(worst)) = (summary.mean_blackout_s, &summary.worst_blackout) {
        line("blackout", mean_and_worst(&summary, mean, worst, human::pause));
    }
    line("memory sent", human::bytes(summary.memory_bytes_sent.as_f64()));
    if summary.storage_bytes_sent.get() > 0 {
        line("storage sent", human::bytes(summary.storage_bytes_sent.as_f64()));
    }
    if let Some(sending) = SendingSummary::of(run) {
        if let Some(bottleneck) = &sending.bottleneck {
            line("held back by", held_back_by(bottleneck));
        }
        let [source, destination] = [sending.source_core_seconds, sending.destination_core_seconds];
        if source + destination > 0.0 {
            let (source, destination) = (core_seconds(source), core_seconds(destination));
            line("processors", format!("{source} to send, {destination} to receive"));
        }
    }
    grid
}

/// What the sending of each alternative took and what held it back, by its first replication; no rows
/// where no driver could tell.
pub(crate) fn sending(alternatives: &[Alternative]) -> Grid {
    let mut grid = Grid::new([
        left("alternative"),
        left("transport"),
        right("CPU source"),
        right("CPU dest."),
        right("on the wire"),
        left("held back by"),
    ]);
    for alternative in alternatives {
        let Some(&(_, run)) = alternative.runs.first() else { continue };
        let Some(sending) = SendingSummary::of(run) else { continue };
        let cells = vec![
            alternative.label.clone(),
            transports(run),
            core_seconds(sending.source_core_seconds),
            core_seconds(sending.destination_core_seconds),
            human::bytes(sending.wire_bytes),
            sending.bottleneck.as_ref().map_or(human::NOTHING.to_string(), held_back_by),
        ];
        grid.push(Tone::Plain, cells);
    }
    grid
}

/// The transports of a run's migrations, each once.
fn transports(run: &RunRecords) -> String {
    let mut names: Vec<&str> =
        run.migrations.iter().filter_map(|record| record.transport.as_deref()).collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

fn held_back_by((name, share): &(String, f64)) -> String {
    format!("{name} ({})", human::share(*share))
}

fn core_seconds(value: f64) -> String {
    format!("{} core-s", human::digits(value, 3))
}

/// Quantiles over the replications of one alternative.
pub(crate) fn replications(alternative: &Alternative) -> Grid {
    let summaries: Vec<RunSummary> = alternative.runs.iter().map(|(_, run)| RunSummary::of(run)).collect();
    let mut grid = Grid::new([left("quantity"), right("p5"), right("p50"), right("p95")]);
    let mut line = |quantity: &str, values: Vec<f64>, shown: fn(f64) -> String| {
        let cell = |value: Option<f64>| value.map_or(human::NOTHING.to_string(), shown);
        let quantiles = Quantiles::of(values);
        let [p5, p50, p95] =
            [quantiles.map(|each| each.p5), quantiles.map(|each| each.p50), quantiles.map(|each| each.p95)];
        grid.push(Tone::Plain, vec![quantity.to_string(), cell(p5), cell(p50), cell(p95)]);
    };
    line("makespan", each(&summaries, |run| Some(run.makespan.as_secs_f64())), human::seconds);
    line("mean total", each(&summaries, |run| run.mean_total_s), human::seconds);
    line("worst blackout", each(&summaries, worst_blackout_s), human::pause);
    line("not completed", each(&summaries, |run| Some(run.share_not_completed())), human::share);
    grid
}

/// One row for each alternative; medians where it has replications, and the mean error over what was
/// predicted where something was measured.
pub(crate) fn alternatives(alternatives: &[Alternative], compared: &[LabelledComparisons]) -> Grid {
    let mut grid = Grid::new([
        left("alternative"),
        right("runs"),
        right("makespan"),
        right("makespan p95"),
        right("mean total"),
        right("worst total"),
        right("mean blackout"),
        right("worst blackout"),
        right("memory sent"),
        right("not completed"),
        right("mean error"),
    ]);
    for alternative in alternatives {
        let comparisons = compared.iter().find(|(label, _)| *label == alternative.label);
        let error = comparisons.and_then(|(_, all)| summarise(all).predicted.mean_absolute_pct);
        let (tone, mut cells) = alternative_cells(alternative);
        cells.push(error.map_or(String::new(), human::percent));
        grid.push(tone, cells);
    }
    grid.without_if_empty("makespan p95").without_if_empty("mean error")
}

fn alternative_cells(alternative: &Alternative) -> (Tone, Vec<String>) {
    let summaries: Vec<RunSummary> = alternative.runs.iter().map(|(_, run)| RunSummary::of(run)).collect();
    let median = |value: fn(&RunSummary) -> Option<f64>, shown: fn(f64) -> String| {
        Quantiles::of(each(&summaries, value)).map_or(human::NOTHING.to_string(), |all| shown(all.p50))
    };
    let makespan_s = |run: &RunSummary| Some(run.makespan.as_secs_f64());
    let slow = Quantiles::of(each(&summaries, makespan_s)).filter(|_| summaries.len() > 1);
    let incomplete = summaries.iter().any(|run| run.completed < run.migrations);
    let cells = vec![
        alternative.label.clone(),
        summaries.len().to_string(),
        median(makespan_s, human::seconds),
        slow.map_or(String::new(), |all| human::seconds(all.p95)),
        median(|run| run.mean_total_s, human::seconds),
        median(|run| Some(run.worst_total.as_ref()?.0.as_secs_f64()), human::seconds),
        median(|run| run.mean_blackout_s, human::pause),
        median(worst_blackout_s, human::pause),
        median(|run| Some(run.memory_bytes_sent.as_f64()), human::bytes),
        median(|run| Some(run.share_not_completed()), human::share),
    ];
    (if incomplete { Tone::Warning } else { Tone::Plain }, cells)
}

fn each(summaries: &[RunSummary], value: impl Fn(&RunSummary) -> Option<f64>) -> Vec<f64> {
    summaries.iter().filter_map(value).collect()
}

fn worst_blackout_s(run: &RunSummary) -> Option<f64> {
    run.worst_blackout.as_ref().map(|(span, _)| span.as_secs_f64())
}

fn outcomes(summary: &RunSummary) -> String {
    let counts = [
        (summary.completed, "completed"),
        (summary.cancelled, "cancelled"),
        (summary.failed, "failed"),
        (summary.lost, "lost"),
        (summary.not_started, "not started"),
    ];
    let named: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    match named.len() {
        0 => "none".to_string(),
        1 => named[0].clone(),
        _ => format!("{}: {}", summary.migrations, named.join(", ")),
    }
}

fn mean_and_worst(
    summary: &RunSummary,
    mean_s: f64,
    worst: &(Span, Name),
    shown: fn(f64) -> String,
) -> String {
    let (longest, vm) = (shown(worst.0.as_secs_f64()), &worst.1);
    if summary.completed == 1 {
        return format!("{longest} ({vm})");
    }
    format!("mean {}, worst {longest} ({vm})", shown(mean_s))
}
