//! `migtwin events`: the log of a simulated run, as an operator reads Get-WinEvent.
//!
//! The newest line is the last, so that it stands above the prompt; Get-WinEvent has it first.

mod workers;

use std::io::Write;

use algorithms::ids::Name;
use algorithms::records::{Advice, EventRecord, Level, RunRecords};
use models::world::{Metering, RunOptions, simulate};
use reports::{TableOptions, plain_table};
use scenarios::{Scenario, ScenarioRun};
use serde::Serialize;

use crate::arguments::{EventLevel, Events, Format};
use crate::failure::Failure;
use crate::terminal;

/// The JSON of this command, version 1.
#[derive(Serialize)]
struct Report {
    schema: u32,
    runs: Vec<RunLog>,
}

#[derive(Serialize)]
struct RunLog {
    scenario: Name,
    alternative: Option<Name>,
    seed: u64,
    /// Lines of the levels asked for, of which `events` has the last.
    matching: usize,
    events: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    /// Since the run began.
    time_created_s: f64,
    id: Option<u32>,
    level: Level,
    vm: Option<Name>,
    host: Option<Name>,
    message: String,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    advice: Option<Box<Advice>>,
}

/// Runs the command.
pub fn run(arguments: &Events) -> Result<(), Failure> {
    let scenario = scenarios::load(&arguments.file)?;
    let logs = scenario.runs.iter().map(|run| log(&scenario, run, arguments));
    let runs = logs.collect::<Result<Vec<_>, Failure>>()?;
    let text = match arguments.output.format {
        Format::Table => runs.iter().map(table).collect::<Vec<_>>().join("\n"),
        Format::Json => {
            let report = Report { schema: 1, runs };
            serde_json::to_string_pretty(&report).map_err(std::io::Error::from)? + "\n"
        }
    };
    Ok(std::io::stdout().lock().write_all(text.as_bytes())?)
}

fn log(scenario: &Scenario, run: &ScenarioRun, arguments: &Events) -> Result<RunLog, Failure> {
    let seed = arguments.seed.unwrap_or(scenario.seed);
    let options = RunOptions { seed, metering: Metering::Off, ..RunOptions::default() };
    let records = simulate(&run.model, &options)
        .map_err(|source| Failure::Model { scenario: scenario.name.to_string(), source })?;
    let mut records = records;
    workers::add(&mut records, &run.model);
    let RunRecords { events, run, .. } = records;
    let wanted =
        |event: &EventRecord| arguments.level.is_empty() || arguments.level.contains(&level_of(event));
    let mut lines: Vec<Line> = events.into_iter().filter(wanted).map(line).collect();
    let matching = lines.len();
    if arguments.last > 0 {
        lines.drain(..matching.saturating_sub(arguments.last));
    }
    Ok(RunLog { scenario: run.scenario, alternative: run.alternative, seed, matching, events: lines })
}

fn level_of(event: &EventRecord) -> EventLevel {
    match event.level {
        Level::Information => EventLevel::Information,
        Level::Warning => EventLevel::Warning,
        Level::Error => EventLevel::Error,
    }
}

fn line(event: EventRecord) -> Line {
    Line {
        time_created_s: event.time.as_secs_f64(),
        id: event.event_id,
        level: event.level,
        vm: event.vm,
        host: event.host,
        message: event.message,
        advice: event.advice,
    }
}

fn table(log: &RunLog) -> String {
    let alternative = log.alternative.as_ref().map(|name| format!(" · {name}")).unwrap_or_default();
    let heading = format!("{}{alternative} · seed {}", log.scenario, log.seed);
    if log.events.is_empty() {
        return format!("{heading} · no such events\n");
    }
    let left_out = log.matching - log.events.len();
    let note = if left_out > 0 { format!(" · {left_out} earlier lines left out") } else { String::new() };
    let rows: Vec<Vec<String>> = log.events.iter().map(cells).collect();
    let columns = ["TimeCreated", "Id", "LevelDisplayName", "VM", "Host", "Message"];
    let options = TableOptions { most_rows: usize::MAX, ..terminal::table_options() };
    format!("{heading}{note}\n{}", plain_table(&columns, &rows, options))
}

fn cells(line: &Line) -> Vec<String> {
    let text = |name: &Option<Name>| name.as_deref().unwrap_or("").to_string();
    let level = match line.level {
        Level::Information => "Information",
        Level::Warning => "Warning",
        Level::Error => "Error",
    };
    vec![
        format!("{:>10.3} s", line.time_created_s),
        line.id.map(|id| id.to_string()).unwrap_or_default(),
        level.to_string(),
        text(&line.vm),
        text(&line.host),
        line.message.clone(),
    ]
}
