//! `migtwin check`: whether plans can run, without running them.

mod explain;
mod findings;
mod text;

use std::io::Write;

use models::preflight::preflight;
use scenarios::Scenario;
use serde::Serialize;

use crate::arguments::{Check, Format};
use crate::failure::Failure;
use findings::Checked;

/// The JSON of this command, version 1.
#[derive(Serialize)]
struct Report {
    schema: u32,
    checks: Vec<Checked>,
}

/// Runs the command.
pub fn run(arguments: &Check) -> Result<(), Failure> {
    let scenarios = arguments.files.iter().map(scenarios::load).collect::<Result<Vec<_>, _>>()?;
    if let Some([vm, host]) = arguments.explain.as_deref() {
        return explain::run(&scenarios, vm, host, arguments.output.format);
    }
    let checks: Vec<Checked> = scenarios.iter().flat_map(check).collect();
    let blocked: usize = checks.iter().map(|checked| checked.blocked).sum();
    let plans = checks.iter().filter(|checked| checked.blocked > 0).count();
    let text = match arguments.output.format {
        Format::Table => checks.iter().map(text::of).collect::<Vec<_>>().join("\n"),
        Format::Json => json(&Report { schema: 1, checks })?,
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    verdict(plans, blocked)
}

/// One check for each alternative.
fn check(scenario: &Scenario) -> impl Iterator<Item = Checked> {
    scenario.runs.iter().map(|run| findings::of(&run.model, &preflight(&run.model)))
}

fn verdict(plans: usize, blocked: usize) -> Result<(), Failure> {
    match plans {
        0 => Ok(()),
        1 => Err(Failure::CannotRun(format!("the plan cannot run as it stands: {}", text::moves(blocked)))),
        _ => Err(Failure::CannotRun(format!(
            "{plans} plans cannot run as they stand: {}",
            text::moves(blocked)
        ))),
    }
}

/// Anything as JSON text that ends its last line.
fn json(value: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value).map_err(std::io::Error::from)?;
    Ok(text + "\n")
}
