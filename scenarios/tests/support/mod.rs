//! What tests of the library's scenarios have in common.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use algorithms::records::{EventRecord, MigrationRecord, RunRecords};
use models::world::{RunOptions, simulate};
use scenarios::{Scenario, ScenarioRun, load};

pub fn scenario(name: &str) -> Scenario {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("library");
    match load(library.join(name).with_extension("ron")) {
        Ok(scenario) => scenario,
        Err(error) => panic!("{name}: {:?}", miette::Report::new(error)),
    }
}

pub fn alternative<'a>(scenario: &'a Scenario, name: &str) -> &'a ScenarioRun {
    scenario.runs.iter().find(|run| run.alternative.as_deref() == Some(name)).unwrap()
}

pub fn run(run: &ScenarioRun) -> RunRecords {
    simulate(&run.model, &RunOptions::default()).unwrap()
}

pub fn shown(scenario: &str, name: &str) -> RunRecords {
    run(alternative(&self::scenario(scenario), name))
}

pub fn of<'a>(records: &'a RunRecords, vm: &str) -> Vec<&'a MigrationRecord> {
    records.migrations.iter().filter(|record| *record.vm == *vm).collect()
}

pub fn logged<'a>(records: &'a RunRecords, host: &str, message: &str) -> Vec<&'a EventRecord> {
    let at = |event: &&EventRecord| event.host.as_deref() == Some(host) && event.message.contains(message);
    records.events.iter().filter(at).collect()
}
