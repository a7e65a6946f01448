//! `migtwin presets`: the names that scenarios can use.

use std::io::Write;

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{ContentArrangement, Table};
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
    Ok(writeln!(std::io::stdout().lock(), "{text}")?)
}

fn table(presets: &[Preset]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header(["kind", "name", "what it is", "source"]);
    if let Some(width) = terminal::output_width() {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    for preset in presets {
        table.add_row([&preset.kind.to_string(), preset.name, preset.summary, preset.source]);
    }
    table.to_string()
}

fn json(presets: Vec<Preset>) -> Result<String, Failure> {
    let entry = |preset: Preset| Entry {
        kind: preset.kind.to_string(),
        name: preset.name,
        summary: preset.summary,
        source: preset.source,
    };
    let listing = Listing { schema: 1, presets: presets.into_iter().map(entry).collect() };
    serde_json::to_string_pretty(&listing).map_err(|error| Failure::Output(error.into()))
}
