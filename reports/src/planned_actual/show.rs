//! A comparison as text for the terminal and as a page: the same grids in both.

use std::borrow::Cow;

use algorithms::records::{MigrationRecord, Outcome, RoundRecord};

use super::why::Why;
use super::{About, MigrationPair, PlannedActual, RunPair, Summary, Value};
use crate::grid::{Grid, Tone, left, right};
use crate::human;
use crate::json::MigrationJson;
use crate::page::{Html, document};
use crate::table::{TableOptions, show};
use crate::words;

/// Up to how many migrations have their rounds shown in the terminal.
const MOST_MIGRATIONS_WITH_ROUNDS: usize = 3;

/// Everything that a terminal shows of a comparison.
pub fn comparison_text(compared: &PlannedActual, options: TableOptions) -> String {
    let mut text = format!("{}\n", heading(compared));
    for run in &compared.runs {
        for (title, grid) in grids(run, run.migrations.len() <= MOST_MIGRATIONS_WITH_ROUNDS) {
            text.push_str(&format!("\n{title}\n{}", show(&grid, options)));
        }
        for line in summary_lines(&run.summary) {
            text.push_str(&format!("{line}\n"));
        }
    }
    text
}

/// The same as one self-contained HTML page.
pub fn comparison_page(compared: &PlannedActual) -> String {
    let mut body = Html::default();
    body.raw("<header>");
    body.heading(1, "Planned beside actual");
    body.paragraph("muted", &heading(compared));
    body.raw("</header>\n<main>");
    for run in &compared.runs {
        if compared.runs.len() > 1 {
            body.heading(2, &format!("Replication {}", run.replication));
        }
        for line in summary_lines(&run.summary) {
            body.paragraph("finding", &line);
        }
        for (title, grid) in grids(run, true) {
            body.folding_grid(&title, &grid);
        }
    }
    body.raw("</main>");
    document(&format!("{}: planned beside actual", compared.planned.scenario), &body.into_text())
}

fn heading(compared: &PlannedActual) -> String {
    format!("planned {} · actual {}", label(&compared.planned), label(&compared.actual))
}

fn label(about: &About) -> String {
    let alternative = about.alternative.map(|name| format!(" ({name})")).unwrap_or_default();
    let runs = if about.runs > 1 { format!(", {} runs", about.runs) } else { String::new() };
    format!("{}{alternative}{runs}", about.scenario)
}

/// All tables of a run under their titles; the empty are left out.
fn grids(run: &RunPair, with_rounds: bool) -> Vec<(String, Grid)> {
    let mut grids = vec![
        ("Migrations".to_string(), migrations(run)),
        ("What made the difference (actual − planned)".to_string(), causes(run)),
    ];
    if with_rounds {
        grids.extend(run.migrations.iter().map(|pair| (format!("Rounds of {}", pair.vm), rounds(pair))));
    }
    grids.retain(|(_, grid)| !grid.rows.is_empty());
    grids
}

fn migrations(run: &RunPair) -> Grid {
    let mut grid = Grid::new([
        left("of"),
        left("quantity"),
        right("planned"),
        right("planned p5–p95"),
        right("actual"),
        right("error"),
        left("note"),
    ]);
    grid.push(
        tone(&run.makespan),
        cells("(whole run)", "makespan", &run.makespan, human::seconds, String::new()),
    );
    for pair in &run.migrations {
        let note = note(pair);
        if pair.total.planned.is_none() || pair.total.actual.is_none() {
            grid.push(Tone::Warning, cells(pair.vm, "total", &pair.total, human::seconds, note));
            continue;
        }
        grid.push(tone(&pair.total), cells(pair.vm, "total", &pair.total, human::seconds, note));
        grid.push(tone(&pair.blackout), cells("", "blackout", &pair.blackout, human::pause, String::new()));
        let sent = &pair.memory_bytes_sent;
        grid.push(tone(sent), cells("", "memory sent", sent, human::bytes, String::new()));
        if let Some(sent) = &pair.storage_bytes_sent {
            grid.push(tone(sent), cells("", "storage sent", sent, human::bytes, String::new()));
        }
    }
    grid.without_if_empty("note").without_if_empty("planned p5–p95")
}

/// What lies outside of the plan's band wants to be seen.
fn tone(value: &Value) -> Tone {
    if value.within_band == Some(false) { Tone::Warning } else { Tone::Plain }
}

fn cells(of: &str, quantity: &str, value: &Value, shown: fn(f64) -> String, note: String) -> Vec<String> {
    let or_nothing = |value: Option<f64>| value.map_or(human::NOTHING.to_string(), shown);
    let band = value.planned_p5.zip(value.planned_p95);
    vec![
        of.to_string(),
        quantity.to_string(),
        or_nothing(value.planned),
        band.map(|(low, high)| format!("{} – {}", shown(low), shown(high))).unwrap_or_default(),
        or_nothing(value.actual),
        value.error_pct.map_or(human::NOTHING.to_string(), human::signed_percent),
        note,
    ]
}

/// Why there is nothing to compare, and what else is not as planned.
fn note(pair: &MigrationPair) -> String {
    let (Some(planned), Some(actual)) = (&pair.planned, &pair.actual) else {
        return if pair.planned.is_some() { "did not happen" } else { "was not planned" }.to_string();
    };
    let ended = |side: &str, migration: &MigrationJson| {
        let MigrationRecord { outcome, reason, .. } = &*migration.record;
        let told = words::spoken(words::outcome(*outcome));
        let left = words::where_left(&migration.record).map(|place| format!(", {place}")).unwrap_or_default();
        (*outcome != Outcome::Completed || !left.is_empty())
            .then(|| format!("{side}: {told}{left}, {reason}"))
    };
    let elsewhere = (planned.record.destination != actual.record.destination).then(|| {
        let place = |migration: &MigrationJson| {
            migration.record.destination.as_deref().unwrap_or("nowhere").to_string()
        };
        format!("went to {}, not to {}", place(actual), place(planned))
    });
    let notes = [ended("planned", planned), ended("actual", actual), elsewhere];
    notes.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn causes(run: &RunPair) -> Grid {
    let mut grid = Grid::new([
        left("vm"),
        right("total"),
        right("bandwidth"),
        right("dirty rate"),
        right("overheads"),
        right("rest"),
        right("queueing, before"),
    ]);
    for (pair, why) in run.migrations.iter().filter_map(|pair| Some((pair, pair.why?))) {
        let Why { total_s, bandwidth_s, dirty_rate_s, overheads_s, rest_s, queueing_s } = why;
        let causes = [total_s, bandwidth_s, dirty_rate_s, overheads_s, rest_s, queueing_s].map(signed);
        grid.push(Tone::Plain, std::iter::once(pair.vm.to_string()).chain(causes).collect());
    }
    grid
}

/// A difference of times, to the millisecond.
fn signed(seconds: f64) -> String {
    let milliseconds = (seconds * 1e3).round() + 0.0;
    format!("{:+.3} s", milliseconds / 1e3)
}

fn rounds(pair: &MigrationPair) -> Grid {
    let mut grid = Grid::new([
        right("round"),
        right("planned took"),
        right("actual took"),
        right("planned sent"),
        right("actual sent"),
        right("planned rate"),
        right("actual rate"),
        right("planned dirty left"),
        right("actual dirty left"),
    ]);
    let (planned, actual) = (rounds_of(&pair.planned), rounds_of(&pair.actual));
    let quantities: [fn(&RoundRecord) -> String; 4] = [
        |round| human::seconds(round.duration.as_secs_f64()),
        |round| human::bytes(round.bytes_sent.as_f64()),
        |round| human::bits_per_second(round.rate.bits_per_sec() as f64),
        |round| human::bytes(round.dirty_bytes_left.as_f64()),
    ];
    for place in 0..planned.len().max(actual.len()) {
        let sides = [planned.get(place), actual.get(place)];
        let shown = |quantity: fn(&RoundRecord) -> String| {
            sides.map(|side| side.map_or(human::NOTHING.to_string(), |round| quantity(round)))
        };
        let number = std::iter::once((place + 1).to_string());
        grid.push(Tone::Plain, number.chain(quantities.into_iter().flat_map(shown)).collect());
    }
    grid
}

fn rounds_of<'a>(side: &'a Option<MigrationJson>) -> &'a [Cow<'a, RoundRecord>] {
    side.as_ref().map_or(&[], |side| &side.rounds)
}

fn summary_lines(summary: &Summary) -> Vec<String> {
    let line = |what: &str, mean: Option<f64>, worst: Option<f64>| {
        let (mean, worst) = (human::percent(mean?), human::signed_percent(worst?));
        Some(format!("Error of {what}: mean {mean}, worst {worst} ({} compared)", summary.compared))
    };
    let mut lines: Vec<String> = [
        line("total time", summary.total_mean_pct, summary.total_worst_pct),
        line("blackout", summary.blackout_mean_pct, summary.blackout_worst_pct),
    ]
    .into_iter()
    .flatten()
    .collect();
    if summary.not_compared > 0 {
        lines.push(format!("{} could not be compared, each with its reason above", summary.not_compared));
    }
    lines
}
