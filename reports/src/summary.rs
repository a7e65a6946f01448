//! A run in a few numbers, and several replications in quantiles.

use std::collections::BTreeMap;

use algorithms::ids::Name;
use algorithms::records::{MigrationRecord, Origin, Outcome, RunRecords};
use sim_core::{Bytes, Span};

use crate::words;

/// A run in a few numbers. Means and worst are over the completed migrations.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSummary {
    /// A whole plan's time.
    pub makespan: Span,
    /// How many migrations were asked for.
    pub migrations: usize,
    /// How many were completed.
    pub completed: usize,
    /// How many were cancelled.
    pub cancelled: usize,
    /// How many failed.
    pub failed: usize,
    /// How many ended with the death of the host that the guest ran on.
    pub lost: usize,
    /// How many never began.
    pub not_started: usize,
    /// Mean total migration time in seconds.
    pub mean_total_s: Option<f64>,
    /// The longest total migration time, and whose it was.
    pub worst_total: Option<(Span, Name)>,
    /// Mean pause in seconds.
    pub mean_blackout_s: Option<f64>,
    /// The longest pause, and whose it was.
    pub worst_blackout: Option<(Span, Name)>,
    /// Memory sent, by all migrations, completed or not.
    pub memory_bytes_sent: Bytes,
    /// Disk content sent, by all migrations.
    pub storage_bytes_sent: Bytes,
}

/// The runs of one alternative: its replications, in the order given.
#[derive(Debug, Clone, PartialEq)]
pub struct Alternative<'a> {
    /// What to call it: as much of scenario, alternative and origin as tells it from the others.
    pub label: String,
    /// Its runs, each with its index in the slice that was grouped.
    pub runs: Vec<(usize, &'a RunRecords)>,
}

impl RunSummary {
    /// The summary of `run`.
    pub fn of(run: &RunRecords) -> RunSummary {
        let count = |outcome| run.migrations.iter().filter(|each| each.outcome == outcome).count();
        let completed: Vec<_> =
            run.migrations.iter().filter(|each| each.outcome == Outcome::Completed).collect();
        RunSummary {
            makespan: run.run.makespan,
            migrations: run.migrations.len(),
            completed: completed.len(),
            cancelled: count(Outcome::Cancelled),
            failed: count(Outcome::Failed),
            lost: count(Outcome::Lost),
            not_started: count(Outcome::NotStarted),
            mean_total_s: mean(completed.iter().map(|each| each.total)),
            worst_total: worst(&completed, |each| each.total),
            mean_blackout_s: mean(completed.iter().map(|each| each.blackout)),
            worst_blackout: worst(&completed, |each| each.blackout),
            memory_bytes_sent: run.migrations.iter().map(|each| each.memory_bytes_sent).sum(),
            storage_bytes_sent: run.migrations.iter().map(|each| each.storage_bytes_sent).sum(),
        }
    }

    /// The share of the migrations that were not completed, from 0 to 1; 0 where there are none.
    pub fn share_not_completed(&self) -> f64 {
        if self.migrations == 0 {
            return 0.0;
        }
        (self.migrations - self.completed) as f64 / self.migrations as f64
    }
}

/// Groups runs by scenario, alternative and origin, in the order in which each first appears.
pub fn alternatives(runs: &[RunRecords]) -> Vec<Alternative<'_>> {
    let mut places: BTreeMap<Key, usize> = BTreeMap::new();
    let mut groups: Vec<Alternative> = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        let place = *places.entry(key_of(run)).or_insert(groups.len());
        if place == groups.len() {
            groups.push(Alternative { label: label_of(run, runs), runs: Vec::new() });
        }
        groups[place].runs.push((index, run));
    }
    groups
}

/// Scenario, alternative, and whether it was actual.
type Key<'a> = (&'a str, Option<&'a str>, bool);

fn key_of(run: &RunRecords) -> Key<'_> {
    let actual = run.run.origin == Origin::Actual;
    (&run.run.scenario, run.run.alternative.as_deref(), actual)
}

fn label_of(run: &RunRecords, all: &[RunRecords]) -> String {
    let one_scenario = all.iter().all(|each| each.run.scenario == run.run.scenario);
    let one_origin = all.iter().all(|each| each.run.origin == run.run.origin);
    let mut label = match &run.run.alternative {
        Some(alternative) if one_scenario => alternative.to_string(),
        Some(alternative) => format!("{}, {alternative}", run.run.scenario),
        None => run.run.scenario.to_string(),
    };
    if !one_origin {
        label = format!("{label} ({})", words::origin(run.run.origin));
    }
    label
}

fn mean(spans: impl ExactSizeIterator<Item = Span>) -> Option<f64> {
    let count = spans.len();
    (count > 0).then(|| spans.map(Span::as_secs_f64).sum::<f64>() / count as f64)
}

fn worst(records: &[&MigrationRecord], span: impl Fn(&MigrationRecord) -> Span) -> Option<(Span, Name)> {
    // `max_by_key` gives the last of equals; reversed, the first, which is the one a reader finds.
    let worst = records.iter().rev().max_by_key(|each| span(each))?;
    Some((span(worst), worst.vm.clone()))
}
