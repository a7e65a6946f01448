//! `migtwin plan drain`: what emptying a host will do, kept as a file that can be carried out.

use std::io::Write;

use algorithms::ids::HostId;
use models::planning::{PlanOptions, plan_drain};
use reports::{drain_plan_text, write_text};
use scenarios::{Scenario, ScenarioRun};

use crate::arguments::{Format, PlanDrain};
use crate::failure::Failure;
use crate::terminal;

/// Runs the command.
pub fn run(arguments: &PlanDrain) -> Result<(), Failure> {
    let scenario = scenarios::load(&arguments.file)?;
    let run = alternative(&scenario, arguments.alternative.as_deref())?;
    let host = host(&scenario, run, &arguments.host)?;
    let options =
        PlanOptions { seed: arguments.seed.unwrap_or(scenario.seed), replications: arguments.replications };
    let bar = terminal::progress(arguments.replications as usize);
    let plan = plan_drain(&run.model, host, options, |done| bar.set_position(u64::from(done)));
    bar.finish_and_clear();
    let plan = plan.map_err(|source| Failure::Model { scenario: scenario.name.to_string(), source })?;
    let json = serde_json::to_string_pretty(&plan).map_err(std::io::Error::from)? + "\n";
    let text = match arguments.output.format {
        Format::Json => json.clone(),
        Format::Table => drain_plan_text(&plan, terminal::table_options()),
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    if let Some(path) = &arguments.out {
        eprintln!("wrote {}", write_text(path.clone(), &json)?.display());
    }
    match plan.stays.len() {
        0 => Ok(()),
        1 => Err(Failure::CannotRun("1 guest would stay".into())),
        count => Err(Failure::CannotRun(format!("{count} guests would stay"))),
    }
}

/// The alternative of this name, or the only one.
fn alternative<'a>(scenario: &'a Scenario, name: Option<&str>) -> Result<&'a ScenarioRun, Failure> {
    let names = || scenario.runs.iter().filter_map(|run| run.model.alternative.as_deref());
    match (scenario.runs.as_slice(), name) {
        ([only], None) => Ok(only),
        (runs, Some(name)) => {
            let found = runs.iter().find(|run| run.model.alternative.as_deref() == Some(name));
            found.ok_or_else(|| unknown("alternative", name, scenario, names().collect()))
        }
        (_, None) => unknown_choice(scenario, names().collect()),
    }
}

fn unknown_choice<'a>(scenario: &Scenario, names: Vec<&str>) -> Result<&'a ScenarioRun, Failure> {
    Err(Failure::SeveralAlternatives { scenario: scenario.name.to_string(), known: names.join(", ") })
}

fn host(scenario: &Scenario, run: &ScenarioRun, name: &str) -> Result<HostId, Failure> {
    let place = run.model.hosts.iter().position(|host| &*host.name == name);
    let names = || run.model.hosts.iter().map(|host| &*host.name).collect();
    let place = place.ok_or_else(|| unknown("host", name, scenario, names()))?;
    Ok(HostId(place as u32))
}

fn unknown(what: &'static str, name: &str, scenario: &Scenario, known: Vec<&str>) -> Failure {
    let (name, known) = (name.to_string(), known.join(", "));
    Failure::Unknown { what, name, scenario: scenario.name.to_string(), known }
}
