//! `migtwin presets`: the names that scenarios can use.

use std::io::Write;

use reports::plain_table;
use scenarios::{Preset, presets};
use serde::Serialize;

use crate::arguments::Format;
use crate::failure::Failure;
use crate::terminal;

/// The JSON of this command, version 1.
#[derive(Serialize)]
struct Listing {
    schema: u32,
    presets: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    kind: String,
    name: &'static str,
    summary: &'static str,
    source: &'static str,
}

/// Runs the command.
pub fn run(format: Format) -> Result<(), Failure> {
    let text = match format {
        Format::Table => table(&presets()),
        Format::Json => json(presets())?,
    };
    Ok(std::io::stdout().lock().write_all(text.as_bytes())?)
}

fn table(presets: &[Preset]) -> String {
    let row = |preset: &Preset| {
        [&preset.kind.to_string(), preset.name, preset.summary, preset.source].map(str::to_string)
    };
    let rows: Vec<Vec<String>> = presets.iter().map(|preset| row(preset).to_vec()).collect();
    plain_table(&["kind", "name", "what it is", "source"], &rows, terminal::table_options())
}

fn json(presets: Vec<Preset>) -> Result<String, Failure> {
    let entry = |preset: Preset| Entry {
        kind: preset.kind.to_string(),
        name: preset.name,
        summary: preset.summary,
        source: preset.source,
    };
    let listing = Listing { schema: 1, presets: presets.into_iter().map(entry).collect() };
    let text = serde_json::to_string_pretty(&listing).map_err(|error| Failure::Output(error.into()))?;
    Ok(text + "\n")
}
