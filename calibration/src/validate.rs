//! The published and measured cases that the simulator is held against.
//!
//! A case is a scenario of `scenarios/validation` and what is expected of it, in a file of the same name in
//! `scenarios/validation/expected`, with where that comes from. Both are part of the program. A case
//! that misses stays in the table as a miss.

mod cases;

use models::world::{Metering, RunOptions, simulate};
use serde::{Deserialize, Serialize};
use sim_core::Span;
use thiserror::Error;

use algorithms::records::{MigrationRecord, Outcome, RoundRecord, RunRecords};
pub use cases::CASES;

/// The version of the JSON.
pub const SCHEMA: u32 = 1;

/// A case as it stands in its file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    /// Where the figures come from.
    source: String,
    /// What published predictors reach on it, or on its like.
    #[serde(default)]
    literature: String,
    /// Of how many replications the mean is judged, where luck has a part in the guest's doing; one else.
    #[serde(default = "one")]
    replications: u32,
    checks: Vec<Check>,
}

fn one() -> u32 {
    1
}

/// A figure that is expected.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Check {
    /// The alternative of the scenario; the only run where it is not given.
    #[serde(default)]
    of: Option<String>,
    /// The guest; the first where it is not given.
    #[serde(default)]
    vm: Option<String>,
    quantity: Quantity,
    /// In the quantity's unit; `None`: it does not converge.
    expected: Option<f64>,
    tolerance_pct: f64,
    /// It also passes when it is off by no more than this, in the quantity's unit.
    #[serde(default)]
    or_within: f64,
    /// Whether a parameter of the scenario was fitted to this figure.
    #[serde(default)]
    calibrated_on: bool,
}

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Quantity {
    /// A whole plan's time.
    Makespan,
    /// Total migration time.
    Total,
    /// The pause.
    Blackout,
    /// Memory sent.
    Memory,
    /// Memory sent in the pause.
    MemoryInPause,
    /// Memory sent in one round, from 1.
    MemoryInRound(u32),
    /// How long a round takes, from 1.
    RoundTime(u32),
    /// What a round carried a second, from 1.
    RoundRate(u32),
    /// Bytes on the stream.
    Stream,
    /// Rounds, the pause included.
    Rounds,
    /// Reads of QEMU's dirty log.
    Syncs,
    /// Processor time at the source, as a share of one core all through the migration.
    SendingCores,
    /// The same at the destination.
    ReceivingCores,
}

impl Quantity {
    fn name_and_unit(self) -> (String, &'static str) {
        match self {
            Quantity::Makespan => ("makespan".into(), "s"),
            Quantity::Total => ("total".into(), "s"),
            Quantity::Blackout => ("blackout".into(), "s"),
            Quantity::Memory => ("memory sent".into(), "MB"),
            Quantity::MemoryInPause => ("memory in the pause".into(), "MB"),
            Quantity::MemoryInRound(round) => (format!("memory in round {round}"), "MB"),
            Quantity::RoundTime(round) => (format!("round {round}"), "s"),
            Quantity::RoundRate(round) => (format!("rate of round {round}"), "Gb/s"),
            Quantity::Stream => ("bytes sent".into(), "MB"),
            Quantity::Rounds => ("rounds".into(), ""),
            Quantity::Syncs => ("syncs".into(), ""),
            Quantity::SendingCores => ("sending cores".into(), "cores"),
            Quantity::ReceivingCores => ("receiving cores".into(), "cores"),
        }
    }
}

/// A figure beside what the simulator says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Case {
    /// The case, and which of its runs.
    pub id: String,
    /// Where it comes from.
    pub source: String,
    /// Whether a parameter was fitted to it.
    pub calibrated_on: bool,
    /// Of what.
    pub quantity: String,
    /// Its unit.
    pub unit: String,
    /// `None`: that it does not converge.
    pub expected: Option<f64>,
    /// `None`: it did not converge.
    pub got: Option<f64>,
    /// Per cent of what was expected; `None` where there is no number.
    pub error_pct: Option<f64>,
    /// What passes.
    pub tolerance_pct: f64,
    /// Whether it does.
    pub pass: bool,
    /// What published predictors reach; for people.
    #[serde(skip)]
    pub literature: String,
}

/// All of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Validation {
    /// 1.
    pub schema: u32,
    /// In the order of the files.
    pub cases: Vec<Case>,
    /// Counts.
    pub summary: Summary,
}

/// Counts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Summary {
    /// Figures.
    pub cases: usize,
    /// Those that were met.
    pub passed: usize,
    /// Those that were not.
    pub missed: usize,
    /// Those to which a parameter was fitted.
    pub calibrated_on: usize,
    /// Those that were met without being fitted to.
    pub passed_unseen: usize,
    /// The mean of the absolute errors of those not fitted to, in per cent.
    pub mean_error_unseen_pct: f64,
}

/// Why a case could not be run: a mistake in its files.
#[derive(Debug, Error)]
#[error("case `{case}`: {what}")]
pub struct ValidationError {
    /// Which.
    pub case: String,
    /// What is wrong.
    pub what: String,
}

/// What has not converged by then never does.
const HORIZON: Span = Span::from_secs(2 * 3600);

/// Runs every case whose id begins with `only`.
///
/// # Errors
///
/// [`ValidationError`] where there is none, or its files are wrong.
pub fn validate(only: Option<&str>) -> Result<Validation, ValidationError> {
    let wanted = |id: &str| only.is_none_or(|only| id.starts_with(only) || only.starts_with(id));
    let mut cases = Vec::new();
    for (id, scenario, expected) in CASES.iter().filter(|(id, ..)| wanted(id)) {
        let mut all = run_case(id, scenario, expected)
            .map_err(|what| ValidationError { case: (*id).to_string(), what })?;
        all.retain(|case| only.is_none_or(|only| case.id.starts_with(only)));
        cases.extend(all);
    }
    if cases.is_empty() {
        let known: Vec<&str> = CASES.iter().map(|(id, ..)| *id).collect();
        let what = format!("there is no such case; there are {}", known.join(", "));
        return Err(ValidationError { case: only.unwrap_or_default().to_string(), what });
    }
    let summary = Summary::of(&cases);
    Ok(Validation { schema: SCHEMA, cases, summary })
}

fn run_case(id: &str, scenario: &str, expected: &str) -> Result<Vec<Case>, String> {
    let expected: Expected = ron::from_str(expected).map_err(|error| error.to_string())?;
    let scenario = scenarios::parse(scenario, &format!("{id}.ron")).map_err(|error| error.to_string())?;
    let mut runs = Vec::new();
    for run in &scenario.runs {
        let one = |replication| {
            let options = RunOptions {
                metering: Metering::Off,
                horizon: HORIZON,
                replication,
                ..RunOptions::default()
            };
            simulate(&run.model, &options).map_err(|error| error.to_string())
        };
        let records: Vec<RunRecords> = (0..expected.replications).map(one).collect::<Result<_, _>>()?;
        runs.push((run.alternative.as_ref().map(|name| name.to_string()), records));
    }
    expected.checks.iter().map(|check| judge(id, &expected, check, &runs)).collect()
}

fn judge(
    id: &str,
    expected: &Expected,
    check: &Check,
    runs: &[(Option<String>, Vec<RunRecords>)],
) -> Result<Case, String> {
    let found = runs.iter().find(|(alternative, _)| check.of.is_none() || *alternative == check.of);
    let (_, replications) = found.ok_or_else(|| format!("there is no alternative {:?}", check.of))?;
    let got = mean(check, replications)?;
    let (quantity, unit) = check.quantity.name_and_unit();
    let error = check.expected.zip(got).map(|(expected, got)| 100.0 * (got / expected - 1.0));
    let pass = match (check.expected, got) {
        (None, None) => true,
        (Some(expected), Some(got)) => {
            let off = (got - expected).abs();
            off <= check.or_within || off <= expected.abs() * check.tolerance_pct / 100.0
        }
        _ => false,
    };
    let parts = [Some(id), check.of.as_deref(), check.vm.as_deref()];
    Ok(Case {
        id: parts.into_iter().flatten().collect::<Vec<_>>().join("/"),
        source: expected.source.clone(),
        calibrated_on: check.calibrated_on,
        quantity,
        unit: unit.to_string(),
        expected: check.expected,
        got,
        error_pct: error,
        tolerance_pct: check.tolerance_pct,
        pass,
        literature: expected.literature.clone(),
    })
}

/// The mean of a figure over all replications; `None` where one of them did not converge.
fn mean(check: &Check, replications: &[RunRecords]) -> Result<Option<f64>, String> {
    let mut sum = Some(0.0);
    for records in replications {
        let migration =
            records.migrations.iter().find(|each| check.vm.as_deref().is_none_or(|vm| &*each.vm == vm));
        let migration = migration.ok_or_else(|| format!("there is no guest {:?}", check.vm))?;
        let figure = got(check.quantity, records, migration);
        sum = sum.zip(figure).map(|(sum, figure)| sum + figure);
    }
    Ok(sum.map(|sum| sum / replications.len().max(1) as f64))
}

const MB: f64 = 1e6;

/// The figure in its unit; `None` where the migration was not completed.
fn got(quantity: Quantity, records: &RunRecords, migration: &MigrationRecord) -> Option<f64> {
    if migration.outcome != Outcome::Completed {
        return None;
    }
    let rounds = || records.rounds.iter().filter(|round| round.migration == migration.migration);
    let sent = |round: &RoundRecord| round.bytes_sent.as_f64() / MB;
    let total = migration.total.as_secs_f64();
    let transfer = migration.transfer.as_ref();
    Some(match quantity {
        Quantity::Makespan => records.run.makespan.as_secs_f64(),
        Quantity::Total => total,
        Quantity::Blackout => migration.blackout.as_secs_f64(),
        Quantity::Memory => migration.memory_bytes_sent.as_f64() / MB,
        Quantity::MemoryInPause => sent(rounds().next_back()?),
        Quantity::MemoryInRound(number) => sent(rounds().find(|round| round.round == number)?),
        Quantity::RoundTime(number) => rounds().find(|round| round.round == number)?.duration.as_secs_f64(),
        Quantity::RoundRate(number) => {
            rounds().find(|round| round.round == number)?.rate.bits_per_sec() as f64 / 1e9
        }
        Quantity::Stream => transfer?.wire_bytes.as_f64() / MB,
        Quantity::Rounds => f64::from(migration.rounds),
        Quantity::Syncs => f64::from(migration.rounds + 1),
        Quantity::SendingCores => transfer?.source_core_seconds / total,
        Quantity::ReceivingCores => transfer?.destination_core_seconds / total,
    })
}

impl Summary {
    fn of(cases: &[Case]) -> Summary {
        let passed = cases.iter().filter(|case| case.pass).count();
        let unseen: Vec<&Case> = cases.iter().filter(|case| !case.calibrated_on).collect();
        let errors: Vec<f64> = unseen.iter().filter_map(|case| case.error_pct).map(f64::abs).collect();
        Summary {
            cases: cases.len(),
            passed,
            missed: cases.len() - passed,
            calibrated_on: cases.len() - unseen.len(),
            passed_unseen: unseen.iter().filter(|case| case.pass).count(),
            mean_error_unseen_pct: errors.iter().sum::<f64>() / errors.len().max(1) as f64,
        }
    }
}
