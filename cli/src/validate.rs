//! `migtwin validate`: the table of published and measured cases.

use std::io::Write;

use calibration::validate::{Case, Validation, validate};
use reports::plain_table;

use crate::arguments::{Format, Validate};
use crate::failure::Failure;
use crate::terminal;

/// Runs the command.
pub fn run(arguments: &Validate) -> Result<(), Failure> {
    let validation =
        validate(arguments.case.as_deref()).map_err(|error| Failure::Measurements(error.to_string()))?;
    let text = match arguments.output.format {
        Format::Table => table(&validation),
        Format::Json => serde_json::to_string_pretty(&validation).map_err(std::io::Error::from)? + "\n",
    };
    Ok(std::io::stdout().lock().write_all(text.as_bytes())?)
}

fn table(validation: &Validation) -> String {
    let rows = validation.cases.iter().map(|case| {
        vec![
            case.id.clone(),
            case.quantity.clone(),
            number(case.expected, &case.unit),
            number(case.got, &case.unit),
            case.error_pct.map_or_else(String::new, |error| format!("{error:+.1} %")),
            format!("{} %", case.tolerance_pct),
            if case.calibrated_on { "yes" } else { "no" }.to_string(),
            if case.pass { "met" } else { "MISSED" }.to_string(),
        ]
    });
    let headings = ["case", "quantity", "expected", "got", "error", "allowed", "fitted", ""];
    let mut text = plain_table(&headings, &rows.collect::<Vec<_>>(), terminal::table_options());
    text += &sources(&validation.cases);
    let summary = &validation.summary;
    text + &format!(
        "{} of {} figures met, {} missed; of {} that nothing was fitted to {} met, {:.1} % off on average\n",
        summary.passed,
        summary.cases,
        summary.missed,
        summary.cases - summary.calibrated_on,
        summary.passed_unseen,
        summary.mean_error_unseen_pct,
    )
}

/// Where each case comes from, and what others reach on it.
fn sources(cases: &[Case]) -> String {
    let mut text = String::from("\n");
    let mut last = "";
    for case in cases {
        let name = case.id.split('/').next().unwrap_or_default();
        if name != last {
            text += &format!("{name}: {}\n", case.source);
            if !case.literature.is_empty() {
                text += &format!("  others: {}\n", case.literature);
            }
            last = name;
        }
    }
    text + "\n"
}

/// A number as people write it; a dash for what does not converge.
fn number(value: Option<f64>, unit: &str) -> String {
    let Some(value) = value else { return "–".to_string() };
    let text = match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
    format!("{text} {unit}").trim_end().to_string()
}
