//! Two runs side by side: what was planned, and what happened.
//!
//! Migrations are paired by guest, the first of one run with the first of the other. What only one side has
//! stands in the result without a counterpart; nothing is dropped. Where the plan was simulated several times,
//! its first replication is paired, and what happened is held against the band of all.
//!
//! [`why`] splits the difference of a migration's time by its causes.

mod show;
pub mod why;

use std::collections::BTreeMap;

use algorithms::records::{MigrationRecord, Outcome, RunRecords};
use serde::Serialize;
use sim_core::{Bytes, Quantiles};

use crate::json::{MigrationJson, Rounds, SCHEMA, migration_json, rounds_by_migration};
pub use show::{comparison_page, comparison_text};
use why::{Timing, Why};

/// One plan beside one run, or several, that followed it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedActual<'a> {
    /// The version of this JSON.
    pub schema: u32,
    /// The plan: its scenario, its alternative, and how often it was simulated.
    pub planned: About<'a>,
    /// The same of what happened.
    pub actual: About<'a>,
    /// A comparison for each run that happened.
    pub runs: Vec<RunPair<'a>>,
}

/// Which runs these are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct About<'a> {
    /// The scenario's name.
    pub scenario: &'a str,
    /// The alternative within it.
    pub alternative: Option<&'a str>,
    /// Runs of it.
    pub runs: usize,
}

/// A run beside its plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunPair<'a> {
    /// The replication that the actual run was, from 0.
    pub replication: u32,
    /// The whole plan's time in seconds.
    pub makespan: Value,
    /// Every migration of either side, by guest in the plan's order.
    pub migrations: Vec<MigrationPair<'a>>,
    /// How far off the plan was.
    pub summary: Summary,
}

/// A migration as planned and as it was.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MigrationPair<'a> {
    /// The guest.
    pub vm: &'a str,
    /// As planned; null where the plan has no such migration.
    pub planned: Option<MigrationJson<'a>>,
    /// As it was; null where it did not happen.
    pub actual: Option<MigrationJson<'a>>,
    /// Total time in seconds.
    pub total: Value,
    /// The pause in seconds.
    pub blackout: Value,
    /// Memory sent in bytes.
    pub memory_bytes_sent: Value,
    /// Disk content written at the destination, copied and mirrored, in bytes; absent where no disk moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_bytes_sent: Option<Value>,
    /// What made the difference in time; null where one side was not completed.
    pub why: Option<Why>,
}

/// One quantity of both sides; null where a side has none, for it did not complete.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Value {
    /// As planned.
    pub planned: Option<f64>,
    /// As it was.
    pub actual: Option<f64>,
    /// (planned − actual) ÷ actual × 100.
    pub error_pct: Option<f64>,
    /// The 5th percentile of the plan's replications; null where there is only one.
    pub planned_p5: Option<f64>,
    /// Their 95th percentile.
    pub planned_p95: Option<f64>,
    /// Whether what was lies between the two.
    pub within_band: Option<bool>,
}

/// Errors over the migrations that were completed on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Summary {
    /// Migrations completed on both sides.
    pub compared: usize,
    /// Migrations that one side has not, or has not completed.
    pub not_compared: usize,
    /// Mean of the absolute errors of total time, in percent.
    pub total_mean_pct: Option<f64>,
    /// The error of total time furthest from zero, with its sign.
    pub total_worst_pct: Option<f64>,
    /// Mean of the absolute errors of the pause, in percent.
    pub blackout_mean_pct: Option<f64>,
    /// The error of the pause furthest from zero, with its sign.
    pub blackout_worst_pct: Option<f64>,
}

/// Compares what was planned, in one or more replications, with every run in `actual`.
/// `None` where either side has no runs.
pub fn planned_actual<'a>(planned: &'a [RunRecords], actual: &'a [RunRecords]) -> Option<PlannedActual<'a>> {
    Some(PlannedActual {
        schema: SCHEMA,
        planned: About::of(planned)?,
        actual: About::of(actual)?,
        runs: actual.iter().map(|run| pair_runs(planned, run)).collect(),
    })
}

impl<'a> About<'a> {
    fn of(runs: &'a [RunRecords]) -> Option<About<'a>> {
        let first = &runs.first()?.run;
        let alternative = first.alternative.as_deref();
        Some(About { scenario: &first.scenario, alternative, runs: runs.len() })
    }
}

/// The migrations of one side by guest and by which of the guest's it is, from 0.
type ByGuest<'a> = BTreeMap<(&'a str, usize), &'a MigrationRecord>;

fn pair_runs<'a>(planned: &'a [RunRecords], actual: &'a RunRecords) -> RunPair<'a> {
    let plan = &planned[0];
    let others: Vec<ByGuest> = planned.iter().map(by_guest).collect();
    let (plans, actuals) = (&others[0], by_guest(actual));
    let (plan_rounds, actual_rounds) = (rounds_by_migration(plan), rounds_by_migration(actual));
    let (plan_sides, actual_sides) = (sides(plan, &plan_rounds), sides(actual, &actual_rounds));
    let mut keys: Vec<(&str, usize)> = plans.keys().chain(actuals.keys()).copied().collect();
    let place = |key: &(&str, usize)| plans.get(key).map_or(u32::MAX, |record| record.migration.0);
    keys.sort_by(|one, other| place(one).cmp(&place(other)).then(one.cmp(other)));
    keys.dedup();
    let pair = |key: (&'a str, usize)| {
        let replications: Vec<&MigrationRecord> =
            others.iter().filter_map(|each| each.get(&key).copied()).collect();
        let side =
            |sides: &Sides<'a>, record: Option<&MigrationRecord>| sides.get(&record?.migration.0).cloned();
        let (planned, happened) = (plans.get(&key).copied(), actuals.get(&key).copied());
        MigrationPair {
            vm: key.0,
            planned: side(&plan_sides, planned),
            actual: side(&actual_sides, happened),
            total: value(&replications, happened, |record| record.total.as_secs_f64()),
            blackout: value(&replications, happened, |record| record.blackout.as_secs_f64()),
            memory_bytes_sent: value(&replications, happened, |record| record.memory_bytes_sent.as_f64()),
            storage_bytes_sent: planned
                .into_iter()
                .chain(happened)
                .any(|record| record.storage_bytes_sent > Bytes::ZERO)
                .then(|| value(&replications, happened, |record| record.storage_bytes_sent.as_f64())),
            why: planned.zip(happened).and_then(|(planned, happened)| {
                why::why(&timing(&plan_rounds, planned)?, &timing(&actual_rounds, happened)?)
            }),
        }
    };
    let migrations: Vec<MigrationPair> = keys.into_iter().map(pair).collect();
    let makespans = planned.iter().map(|run| run.run.makespan.as_secs_f64()).collect::<Vec<_>>();
    RunPair {
        replication: actual.run.replication,
        makespan: Value::of(&makespans, Some(actual.run.makespan.as_secs_f64())),
        summary: Summary::of(&migrations),
        migrations,
    }
}

/// Migrations as they are shown, by their numbers.
type Sides<'a> = BTreeMap<u32, MigrationJson<'a>>;

fn sides<'a>(run: &'a RunRecords, rounds: &Rounds<'a>) -> Sides<'a> {
    run.migrations.iter().map(|record| (record.migration.0, migration_json(record, rounds))).collect()
}

fn by_guest(run: &RunRecords) -> ByGuest<'_> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut found = BTreeMap::new();
    for record in &run.migrations {
        let count = counts.entry(&record.vm).or_default();
        found.insert((&*record.vm, *count), record);
        *count += 1;
    }
    found
}

fn timing<'a>(rounds: &Rounds<'a>, record: &'a MigrationRecord) -> Option<Timing<'a>> {
    let rounds = rounds.get(&record.migration).cloned().unwrap_or_default();
    (record.outcome == Outcome::Completed).then_some(Timing { record, rounds })
}

fn value(
    planned: &[&MigrationRecord],
    actual: Option<&MigrationRecord>,
    quantity: impl Fn(&MigrationRecord) -> f64,
) -> Value {
    let completed = |record: &&&MigrationRecord| record.outcome == Outcome::Completed;
    let planned: Vec<f64> = planned.iter().filter(completed).map(|record| quantity(record)).collect();
    Value::of(&planned, actual.filter(|record| completed(&record)).map(quantity))
}

impl Value {
    /// The first of `planned` beside what was, with the band of all.
    fn of(planned: &[f64], actual: Option<f64>) -> Value {
        let first = planned.first().copied();
        let band = Quantiles::of(planned.iter().copied()).filter(|_| planned.len() > 1);
        let error = |(planned, actual): (f64, f64)| (planned - actual) / actual * 100.0;
        Value {
            planned: first,
            actual,
            error_pct: first.zip(actual).map(error).filter(|error| error.is_finite()),
            planned_p5: band.map(|band| band.p5),
            planned_p95: band.map(|band| band.p95),
            within_band: band.zip(actual).map(|(band, actual)| (band.p5..=band.p95).contains(&actual)),
        }
    }
}

impl Summary {
    fn of(migrations: &[MigrationPair]) -> Summary {
        let compared = migrations.iter().filter(|pair| pair.total.error_pct.is_some()).count();
        let (total_mean_pct, total_worst_pct) = mean_and_worst(migrations, |pair| pair.total);
        let (blackout_mean_pct, blackout_worst_pct) = mean_and_worst(migrations, |pair| pair.blackout);
        let not_compared = migrations.len() - compared;
        Summary {
            compared,
            not_compared,
            total_mean_pct,
            total_worst_pct,
            blackout_mean_pct,
            blackout_worst_pct,
        }
    }
}

fn mean_and_worst(
    migrations: &[MigrationPair],
    of: impl Fn(&MigrationPair) -> Value,
) -> (Option<f64>, Option<f64>) {
    let errors: Vec<f64> = migrations.iter().filter_map(|pair| of(pair).error_pct).collect();
    let worst = errors.iter().copied().max_by(|one, other| one.abs().total_cmp(&other.abs()));
    let sum: f64 = errors.iter().map(|error| error.abs()).sum();
    (worst.map(|_| sum / errors.len() as f64), worst)
}
