//! `migtwin live forecast`: what will become of a migration, from its journal.

use std::io::Write;

use algorithms::journal::opened;
use live::journal;
use models::forecast::{Forecast, ForecastError, Odds, Situation};
use reports::plain_table;
use sim_core::{Bandwidth, Bytes, SimTime};

use super::arguments;
use crate::arguments::Format;
use crate::failure::Failure;
use crate::terminal;

/// Runs the command.
pub(super) fn run(arguments: &arguments::Forecast) -> Result<(), Failure> {
    let failed = |what: String| Failure::NoForecast { path: arguments.journal.clone(), what };
    let entries = journal::read(&arguments.journal)?;
    let (order, entries) = opened(&entries).map_err(|error| failed(error.to_string()))?;
    let at = arguments.at.map_or(SimTime::MAX, |span| SimTime::ZERO + span);
    let situation = Situation::of(order.clone(), entries, at);
    let forecast = situation
        .and_then(|situation| situation.forecast(arguments.seed, arguments.futures))
        .map_err(|error: ForecastError| failed(error.to_string()))?;
    let text = match arguments.output.format {
        Format::Json => serde_json::to_string_pretty(&forecast).map_err(std::io::Error::from)? + "\n",
        Format::Table => table(&forecast),
    };
    Ok(std::io::stdout().lock().write_all(text.as_bytes())?)
}

fn table(forecast: &Forecast) -> String {
    let seen = &forecast.evidence;
    let rate = Bandwidth::from_bits_per_sec((seen.bytes_per_s * 8.0) as u64);
    let dirtied = Bandwidth::from_bits_per_sec((seen.dirtied_bytes_per_s * 8.0) as u64);
    let set = Bytes::from_f64_floor(seen.working_set_bytes);
    let rows: Vec<Vec<String>> = forecast.lines.iter().map(row).collect();
    let headings = ["lever", "completes", "converges", "ends at", "p95", "blackout", "p95"];
    format!(
        "{} · {:.1} s after it began · {} futures for each lever\n  seen so far   memory goes at {rate} (±{:.0} %), \
         the guest writes {dirtied} (±{:.0} %) in {set}\n\n{}",
        forecast.vm,
        forecast.at_s,
        forecast.futures,
        seen.bytes_per_s_spread * 100.0,
        seen.dirtied_spread * 100.0,
        plain_table(&headings, &rows, terminal::table_options()),
    )
}

fn row(odds: &Odds) -> Vec<String> {
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    let seconds = |value: Option<f64>| value.map_or("–".to_string(), |value| format!("{value:.1} s"));
    let pause =
        |value: Option<f64>| value.map_or("–".to_string(), |value| format!("{:.0} ms", value * 1e3));
    vec![
        odds.lever.to_string(),
        percent(odds.completes),
        percent(odds.converges),
        seconds(odds.finish_s.map(|band| band.p50)),
        seconds(odds.finish_s.map(|band| band.p95)),
        pause(odds.blackout_s.map(|band| band.p50)),
        pause(odds.blackout_s.map(|band| band.p95)),
    ]
}
