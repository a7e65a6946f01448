//! `migtwin predict`: measured migrations, predicted from a preset, with the errors.

use std::collections::BTreeMap;
use std::io::Write;

use calibration::fit::Prediction;
use calibration::predict::{Errors, Predicted, predict};
use calibration::preset::{Preset, by_quantity};
use reports::plain_table;
use serde::Serialize;

use crate::arguments::{Format, Predict};
use crate::calibrate::{ERROR_HEADINGS, error_row};
use crate::failure::Failure;
use crate::{measurements, terminal};

/// The JSON of this command, version 1.
#[derive(Serialize)]
struct Report {
    schema: u32,
    experiments: Vec<OfAKind>,
}

#[derive(Serialize)]
struct OfAKind {
    kind: String,
    errors: BTreeMap<String, Errors>,
    predictions: Vec<Row>,
    /// What the preset does not know of these runs.
    notes: Vec<String>,
}

#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    prediction: Prediction,
    error_pct: f64,
}

/// Runs the command.
pub fn run(arguments: &Predict) -> Result<(), Failure> {
    let path = arguments.preset.display().to_string();
    let text = std::fs::read_to_string(&arguments.preset)
        .map_err(|source| Failure::File { path: path.clone(), source })?;
    let preset = Preset::from_ron(&path, &text).map_err(|error| Failure::Measurements(error.to_string()))?;
    let measurements = measurements::read(&arguments.measured)?;
    let predicted =
        predict(&preset, &measurements).map_err(|error| Failure::Measurements(error.to_string()))?;
    let text = match arguments.output.format {
        Format::Table => table(&predicted),
        Format::Json => json(predicted)?,
    };
    Ok(std::io::stdout().lock().write_all(text.as_bytes())?)
}

fn table(predicted: &[Predicted]) -> String {
    let mut text = String::new();
    for of_a_kind in predicted {
        let rows = of_a_kind.predictions.iter().map(|each| {
            // A migration's bytes are millions and more.
            let value = |value: f64| match each.unit.as_str() {
                "B" => format!("{:.1} MB", value / 1e6),
                unit => format!("{value:.2} {unit}").trim_end().to_string(),
            };
            vec![
                each.run.clone(),
                each.subject.clone(),
                each.quantity.clone(),
                value(each.measured),
                value(each.predicted),
                format!("{:+.1} %", each.error_percent()),
            ]
        });
        let rows: Vec<Vec<String>> = rows.collect();
        let headings = ["run", "of", "quantity", "measured", "predicted", "error"];
        text += &plain_table(&headings, &rows, terminal::table_options());
        let errors = by_quantity(&of_a_kind.predictions);
        let rows: Vec<Vec<String>> =
            errors.iter().map(|(quantity, errors)| error_row(quantity, &of_a_kind.kind, errors)).collect();
        text += &format!("\nErrors of {}\n", of_a_kind.kind);
        text += &plain_table(&ERROR_HEADINGS, &rows, terminal::table_options());
        for note in &of_a_kind.notes {
            text += &format!("note: {note}\n");
        }
    }
    text
}

fn json(predicted: Vec<Predicted>) -> Result<String, Failure> {
    let row = |prediction: Prediction| Row { error_pct: prediction.error_percent(), prediction };
    let of_a_kind = |each: Predicted| OfAKind {
        errors: by_quantity(&each.predictions),
        predictions: each.predictions.into_iter().map(row).collect(),
        kind: each.kind,
        notes: each.notes,
    };
    let report = Report { schema: 1, experiments: predicted.into_iter().map(of_a_kind).collect() };
    let text = serde_json::to_string_pretty(&report).map_err(std::io::Error::from)?;
    Ok(text + "\n")
}
