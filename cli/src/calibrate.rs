//! `migtwin calibrate`: measured migrations in, a preset out.

use std::collections::BTreeMap;
use std::io::Write;

use calibration::experiments::experiments;
use calibration::fit::fit;
use calibration::predict::Errors;
use calibration::preset::{Calibrated, GuestCurve, Preset, Value};
use reports::plain_table;

use crate::arguments::{Calibrate, Format};
use crate::failure::Failure;
use crate::{measurements, terminal};

/// Runs the command.
pub fn run(arguments: &Calibrate) -> Result<(), Failure> {
    let measurements = measurements::read(&arguments.records)?;
    let experiments = experiments(&measurements, &BTreeMap::new());
    if experiments.is_empty() {
        let why = measurements.without_runs();
        let why = if why.is_empty() { String::new() } else { format!("; {}", why.join("; ")) };
        return Err(Failure::Measurements(format!("no measured run was found in these files{why}")));
    }
    let mut preset = Preset::new();
    for experiment in experiments {
        let kind = experiment.kind();
        eprintln!("fitting {} parameters of {kind} …", experiment.parameters().len());
        let fitted = fit(&*experiment, experiment.loss());
        let said = |error| Failure::Measurements(format!("{kind}: {error}"));
        preset.add(&*experiment, &fitted.map_err(said)?);
    }
    let text = preset.to_ron();
    let report = match arguments.output.format {
        Format::Table => table(&preset),
        Format::Json => json(&preset)?,
    };
    match &arguments.out {
        Some(path) => {
            std::fs::write(path, text)
                .map_err(|source| Failure::File { path: path.display().to_string(), source })?;
            std::io::stdout().lock().write_all(report.as_bytes())?;
            eprintln!("wrote {}", path.display());
        }
        None => std::io::stdout().lock().write_all(text.as_bytes())?,
    }
    Ok(())
}

fn json(preset: &Preset) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(preset).map_err(std::io::Error::from)?;
    Ok(text + "\n")
}

fn table(preset: &Preset) -> String {
    preset.fits.iter().map(|(kind, fit)| format!("{kind}\n{}", of_a_kind(fit))).collect::<Vec<_>>().join("\n")
}

fn of_a_kind(fit: &Calibrated) -> String {
    let rows = fit.parameters.iter().map(|(name, value)| {
        let error =
            value.error_percent.map_or("not told by the data".into(), |error| format!("{error:.1} %"));
        vec![name.clone(), number(value.value), value.unit.clone(), error]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let headings = ["parameter", "value", "unit", "standard error"];
    let mut text = plain_table(&headings, &rows, terminal::table_options());
    text += &of_guests(&fit.guests);
    text += "Errors of runs that were fitted, and of each part by a fit of the others\n";
    let seen = fit.seen.iter().map(|(quantity, errors)| error_row(quantity, "fitted", errors));
    let unseen = fit.unseen.iter().map(|(quantity, errors)| error_row(quantity, "not seen", errors));
    let rows: Vec<Vec<String>> = seen.chain(unseen).collect();
    text += &plain_table(&ERROR_HEADINGS, &rows, terminal::table_options());
    for warning in &fit.warnings {
        text += &format!("warning: {warning}\n");
    }
    text
}

/// How guests differ, in two rows however many they are; each of them is in the preset.
fn of_guests(guests: &BTreeMap<String, GuestCurve>) -> String {
    if guests.is_empty() {
        return String::new();
    }
    let row = |name: &str, unit: &str, of: fn(&GuestCurve) -> &Value| {
        let values = sorted(guests.values().map(|guest| of(guest).value));
        let errors = guests.values().map(|guest| of(guest).error_percent.unwrap_or(f64::INFINITY));
        let error = at(&sorted(errors), 0.5);
        let mut row = vec![name.to_string()];
        row.extend([0.0, 0.25, 0.5, 0.75, 1.0].map(|share| format!("{:.1}", at(&values, share) / 1e6)));
        let open = "not told by the data".to_string();
        row.extend([unit.to_string(), if error.is_finite() { format!("{error:.1} %") } else { open }]);
        row
    };
    let rows = [
        row("dirty_rate", "MB/s", |guest| &guest.dirty_rate),
        row("working_set", "MB", |guest| &guest.working_set),
    ];
    let headings =
        ["guests' own", "least", "25 %", "median", "75 %", "most", "unit", "standard error, median"];
    let count = guests.len();
    format!("D(t) of {count} guests, each its own (by name in the preset)\n")
        + &plain_table(&headings, &rows, terminal::table_options())
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut all: Vec<f64> = values.collect();
    all.sort_by(f64::total_cmp);
    all
}

/// What lies at this share of the way through what is sorted, which is something.
fn at(sorted: &[f64], share: f64) -> f64 {
    sorted[(share * (sorted.len() - 1) as f64).round() as usize]
}

/// The columns of [`error_row`].
pub const ERROR_HEADINGS: [&str; 8] =
    ["quantity", "of", "count", "MAPE", "median", "p90", "worst", ">= 25 % off"];

/// Errors, as both commands show them.
pub fn error_row(quantity: &str, of: &str, errors: &Errors) -> Vec<String> {
    let percent = |share: f64| format!("{share:.1} %");
    let shares = [errors.mean, errors.median, errors.p90, errors.worst, errors.badly_off];
    let mut row = vec![quantity.to_string(), of.to_string(), errors.count.to_string()];
    row.extend(shares.map(percent));
    row
}

/// With some four digits.
fn number(value: f64) -> String {
    if (0.01..1e5).contains(&value) { format!("{value:.4}") } else { format!("{value:.4e}") }
}
