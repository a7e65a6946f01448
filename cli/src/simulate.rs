//! `migtwin simulate`: scenarios in, runs on all processors, report out.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use algorithms::closed_form::ClosedFormRound;
use algorithms::ids::{HostId, MigrationId, VmId};
use algorithms::measured::Measured;
use algorithms::records::RunRecords;
use models::closed_form::closed_form;
use models::cluster::ClusterModel;
use models::world::{Metering, ModelError, RunOptions, simulate};
use reports::{ReportInput, report_json, report_text, write_report};
use scenarios::{Scenario, ScenarioRun};

use crate::arguments::{Format, Simulate};
use crate::failure::Failure;
use crate::terminal;

/// Closed forms stand beside so many migrations of a run, and no more: nobody looks at thousands.
const MOST_CLOSED_FORMS: usize = 64;

/// One run to make: what, with which luck.
struct Job<'a> {
    scenario: &'a Scenario,
    run: &'a ScenarioRun,
    options: RunOptions,
}

/// Runs the command.
pub fn run(arguments: &Simulate) -> Result<(), Failure> {
    let scenarios = arguments.files.iter().map(scenarios::load).collect::<Result<Vec<_>, _>>()?;
    let jobs = jobs(&scenarios, arguments);
    let interrupted = watch_for_interrupts();
    let runs = run_all(&jobs, &interrupted)?;
    if runs.is_empty() {
        return Err(Failure::Interrupted);
    }
    let input = report_input(runs);
    let text = match arguments.output.format {
        Format::Json => report_json(&input)? + "\n",
        Format::Table => report_text(&input, terminal::table_options()),
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    if let Some(directory) = &arguments.out {
        for path in write_report(directory, &input)? {
            eprintln!("wrote {}", path.display());
        }
    }
    if interrupted.load(Ordering::Relaxed) { Err(Failure::Interrupted) } else { Ok(()) }
}

/// Every alternative of every scenario, in every replication.
fn jobs<'a>(scenarios: &'a [Scenario], arguments: &Simulate) -> Vec<Job<'a>> {
    let mut jobs = Vec::new();
    for scenario in scenarios {
        for run in &scenario.runs {
            for replication in 0..arguments.replications {
                // Of replications only the first is drawn, and needs what its resources did.
                let metering =
                    if arguments.out.is_some() && replication == 0 { Metering::On } else { Metering::Off };
                let seed = arguments.seed.unwrap_or(scenario.seed);
                jobs.push(Job {
                    scenario,
                    run,
                    options: RunOptions { seed, replication, metering, ..RunOptions::default() },
                });
            }
        }
    }
    jobs
}

/// Runs the jobs on all processors. After Ctrl-C no further one is begun; those done are kept.
fn run_all<'a, 'b>(
    jobs: &'b [Job<'a>],
    interrupted: &AtomicBool,
) -> Result<Vec<(&'b Job<'a>, RunRecords)>, Failure> {
    let bar = terminal::progress(jobs.len());
    let one = |index: u32| {
        let job = &jobs[index as usize];
        if interrupted.load(Ordering::Relaxed) {
            None
        } else {
            Some((job, simulate(&job.run.model, &job.options)))
        }
    };
    let count = u32::try_from(jobs.len()).unwrap_or(u32::MAX);
    let results = sim_core::replicate(count, one, |done| bar.set_position(u64::from(done)));
    bar.finish_and_clear();
    let failed =
        |job: &Job, source: ModelError| Failure::Model { scenario: job.scenario.name.to_string(), source };
    results
        .into_iter()
        .flatten()
        .map(|(job, result)| Ok((job, result.map_err(|error| failed(job, error))?)))
        .collect()
}

/// Set when the user has pressed Ctrl-C; pressed twice, the program ends at once.
fn watch_for_interrupts() -> Arc<AtomicBool> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    let handler = move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        eprintln!("warning: Ctrl-C will end the program without a report: {error}");
    }
    interrupted
}

fn report_input(runs: Vec<(&Job<'_>, RunRecords)>) -> ReportInput {
    let mut input = ReportInput {
        version: env!("CARGO_PKG_VERSION").into(),
        command: Some(std::env::args().collect::<Vec<_>>().join(" ")),
        ..ReportInput::default()
    };
    for (index, (job, records)) in runs.into_iter().enumerate() {
        if job.options.replication == 0 {
            input
                .closed_forms
                .extend(closed_forms(&job.run.model, &records).map(|(id, rounds)| ((index, id), rounds)));
        }
        if let Some(measured) = together(&job.run.measured) {
            input.measured.insert(index, measured);
        }
        input.runs.push(records);
    }
    input
}

/// All that was measured in place of a run, with all its sources.
fn together(measured: &[Measured]) -> Option<Measured> {
    let sources: Vec<&str> = measured.iter().map(|each| each.source.as_str()).collect();
    let values: Vec<_> = measured.iter().flat_map(|each| each.values.clone()).collect();
    (!values.is_empty()).then(|| Measured { source: sources.join("; "), values })
}

fn closed_forms(
    model: &ClusterModel,
    records: &RunRecords,
) -> impl Iterator<Item = (MigrationId, Vec<ClosedFormRound>)> {
    let hosts: HashMap<&str, u32> = model.hosts.iter().zip(0..).map(|(host, id)| (&*host.name, id)).collect();
    let guests: HashMap<&str, u32> =
        model.guests.iter().zip(0..).map(|(guest, id)| (&*guest.name, id)).collect();
    let of_records = records.migrations.iter().take(MOST_CLOSED_FORMS).filter_map(|migration| {
        let vm = VmId(*guests.get(&*migration.vm)?);
        let source = HostId(*hosts.get(&*migration.source)?);
        let destination = HostId(*hosts.get(&**migration.destination.as_ref()?)?);
        Some((migration.migration, closed_form(model, vm, source, destination)))
    });
    of_records.filter(|(_, rounds)| !rounds.is_empty()).collect::<BTreeMap<_, _>>().into_iter()
}
