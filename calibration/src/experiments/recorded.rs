//! Our own records, of runs that were simulated or carried out by our agents: rates, fixed steps and the guests'
//! D(t), from rounds.
//!
//! | parameter | meaning |
//! |---|---|
//! | `rate` | bytes of memory a second that a host's link carries; migrations share it as they did |
//! | `prepare`, `resume`, `finish` | seconds before the first round, in the pause beside the rest, and after it |
//! | `prepare_serial` | of `prepare`, what a host does for one migration at a time; where several began at once |
//! | `dirty_rate`, `working_set` | the D(t) of a typical guest: W·(1 − e^(−r·t ÷ W)) |
//!
//! Each guest has a D(t) of its own beside, which its rounds show without a simulation: see [`guests`].
//!
//! Every migration begins when it began, so that what ran at once shares the links again. When pre-copy ends is no
//! parameter but a fact that the records show, and that a preset carries over: what was left when it was enough, and
//! what was left when it was not; or how many rounds were allowed. Rounds that sent all that was dirty are sent whole,
//! and end by bytes (Hyper-V); where they left some of it, they end by the time that the rest would take (QEMU).

mod curve;
mod guests;
mod spread;
mod words;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use algorithms::policy::{HyperV, Policy, Qemu};
use algorithms::records::{MigrationRecord, RoundPhase, RoundRecord};
use models::cluster::Timing;
use models::workload::Workload;
use nalgebra::Vector2;
use sim_core::{ByteRate, Bytes, Span};

use self::curve::NOTHING;
use super::cluster::{Bed, Moving, bytes, pages, seconds, stream};
use super::{Experiment, Values};
use crate::datasets::{Ended, Measurements, RecordedMigration, RecordedRound, RecordedRun, finished};
use crate::fit::{Effort, FitError, Fitted, Parameter, Prediction, Problem, Shown};
use crate::preset::GuestCurve;

/// The name under which presets keep it.
pub(super) const KIND: &str = "recorded";

/// A relative difference of this counts as 1; of what a round leaves, which follows how busy a guest is at the time
/// (as far as guests vary where nothing else is known), of this.
const SCALE: f64 = 0.02;
const SCALE_OF_LEFT: f64 = spread::SCATTER;
/// Rounds of which it is looked at what they left.
const ROUNDS: usize = 3;
/// What a round sends of what was dirty, at least, where rounds are sent whole: counting takes a moment.
const WHOLE: f64 = 0.97;
/// Rounds where the records show no limit.
const NO_LIMIT: u32 = 1_000;

const STOP_BELOW: &str = "stop below, in bytes";
const LIMIT: &str = "downtime limit, in seconds";
const MOST_ROUNDS: &str = "most rounds";
const TOGETHER: &str = "some begin together";

/// Places of the typical guest's D(t) among the values.
const DIRTY_RATE: usize = 4;
const WORKING_SET: usize = 5;

/// Migrations that begin so close to each other begin together, in seconds.
const CLOSE: f64 = 0.1;

/// Runs of our own.
pub struct Recorded {
    runs: Vec<RecordedRun>,
    /// Their guests, sorted.
    guests: Vec<String>,
    /// ln r and ln W of the typical one of them, once asked for.
    typical: OnceLock<Vector2<f64>>,
    facts: Values,
}

impl Recorded {
    /// All of them; what a preset knows of when pre-copy ends goes before what they show.
    pub fn new(measurements: &Measurements, facts: &Values) -> Recorded {
        let runs = measurements.recorded.clone();
        let facts = if facts.is_empty() { shown(&runs) } else { facts.clone() };
        Recorded { guests: guests::names(&runs), typical: OnceLock::new(), runs, facts }
    }

    fn migrations(&self) -> impl Iterator<Item = &RecordedMigration> {
        self.runs.iter().flat_map(|run| &run.migrations)
    }

    /// How many values are not single guests'.
    fn constants(&self) -> usize {
        WORKING_SET + 1 + usize::from(self.fact(TOGETHER) > 0.0)
    }

    fn fact(&self, name: &str) -> f64 {
        self.facts.get(name).copied().filter(|value| value.is_finite() && *value >= 0.0).unwrap_or(0.0)
    }

    fn policy(&self) -> Policy {
        let limit = self.fact(LIMIT);
        if limit == 0.0 {
            let max_passes = (self.fact(MOST_ROUNDS) as u32).clamp(1, NO_LIMIT);
            return Policy::HyperV(HyperV { max_passes, stop_below: bytes(self.fact(STOP_BELOW)) });
        }
        let downtime_limit = seconds(limit).max(Span::from_nanos(1));
        Policy::Qemu(Qemu { max_bandwidth: None, downtime_limit, ..Qemu::default() })
    }

    /// All memory: what the first round sent, and what it left unsent.
    fn memory(&self, migration: &RecordedMigration) -> Bytes {
        let first = migration.rounds[0];
        pages(first.sent + self.unsent(&first))
    }

    /// What a round leaves unsent; it ends by up to a step under the limit.
    fn unsent(&self, round: &RecordedRound) -> f64 {
        self.fact(LIMIT) * rate(round)
    }
}

fn rate(round: &RecordedRound) -> f64 {
    round.sent / round.duration.max(1e-9)
}

/// What the records show of when pre-copy ends, and of how migrations begin.
fn shown(runs: &[RecordedRun]) -> Values {
    let migrations = || runs.iter().flat_map(|run| &run.migrations);
    let limited = migrations().filter(|migration| migration.ended == Ended::RoundLimit);
    let most = limited.map(|migration| migration.rounds.len()).max().unwrap_or(NO_LIMIT as usize);
    let pairs = || migrations().flat_map(|migration| migration.rounds.windows(2));
    let left_some = pairs().filter(|pair| pair[1].sent < WHOLE * pair[0].left).count();
    let (stop_below, limit) = if 2 * left_some > pairs().count() {
        (0.0, between(runs, |round| round.left / rate(round).max(1e-9)))
    } else {
        (between(runs, |round| round.left).max(1.0), 0.0)
    };
    let together = f64::from(u8::from(runs.iter().any(begin_together)));
    [(STOP_BELOW, stop_below), (LIMIT, limit), (MOST_ROUNDS, most as f64), (TOGETHER, together)]
        .map(|(name, value)| (name.to_string(), value))
        .into()
}

/// A bound between what a last round before the pause left and what others left, where the records
/// leave a gap; else what the last ones left at most.
fn between(runs: &[RecordedRun], left: impl Fn(&RecordedRound) -> f64) -> f64 {
    let (mut enough, mut too_much) = (0.0f64, f64::INFINITY);
    for migration in runs.iter().flat_map(|run| &run.migrations) {
        let Some((last, before)) = migration.rounds.split_last() else { continue };
        if migration.ended == Ended::Converged {
            enough = enough.max(left(last));
        }
        too_much = before.iter().map(&left).fold(too_much, f64::min);
    }
    if too_much.is_finite() && too_much > enough { (enough * too_much).sqrt() } else { enough }
}

fn begin_together(run: &RecordedRun) -> bool {
    let mut starts: Vec<f64> = run.migrations.iter().map(|migration| migration.started).collect();
    starts.sort_by(f64::total_cmp);
    starts.windows(2).any(|pair| pair[1] - pair[0] < CLOSE)
}

impl Problem for Recorded {
    /// Where to begin is read off the records: medians of what they show directly.
    fn parameters(&self) -> Vec<Parameter> {
        let migrations = || self.migrations();
        let median = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or(0.0)
        };
        let rounds = || migrations().flat_map(|migration| &migration.rounds);
        let fastest = rounds().map(rate).fold(1.0, f64::max);
        let typical = self.typical.get_or_init(|| self.read_typical()).map(f64::exp);
        let mut prepared: Vec<f64> = migrations().map(|each| each.prepared).collect();
        prepared.sort_by(f64::total_cmp);
        let prepare = prepared.first().copied().unwrap_or(0.0);
        let waited = prepared.last().copied().unwrap_or(0.0) - prepare;
        let resume = median(migrations().map(|each| each.blackout - each.rest).collect());
        let finish = median(migrations().map(|each| each.finished).collect());
        let parameter = |name: &str, unit, start: f64, around: f64| {
            let start = start.max(1e-4);
            Parameter::new(name, unit, start, start / around, start * around)
        };
        let mut all = vec![
            parameter("rate", "B/s", fastest, 4.0),
            parameter("prepare", "s", prepare, 10.0),
            parameter("resume", "s", resume, 10.0),
            parameter("finish", "s", finish, 10.0),
            parameter("dirty_rate", "B/s", typical[0], 20.0),
            parameter("working_set", "B", typical[1], 20.0),
        ];
        if self.fact(TOGETHER) > 0.0 {
            all.push(parameter("prepare_serial", "s", waited, 10.0));
        }
        all
    }

    fn shown(&self, groups: &[usize]) -> Shown {
        self.read_off(groups)
    }

    fn groups(&self) -> usize {
        self.runs.len()
    }

    fn predict(
        &self,
        values: &[f64],
        groups: &[usize],
        _effort: Effort,
    ) -> Result<Vec<Prediction>, FitError> {
        let mut all = Vec::new();
        for run in groups.iter().map(|group| &self.runs[*group]) {
            let moves = run.migrations.iter().map(|migration| self.moving(migration, values)).collect();
            let records = self.bed(run, values).run_under(self.policy(), &run.name, moves)?;
            for (measured, predicted) in run.migrations.iter().zip(&records.migrations) {
                let rounds: Vec<&RoundRecord> = records
                    .rounds
                    .iter()
                    .filter(|round| {
                        round.migration == predicted.migration && round.phase == RoundPhase::PreCopy
                    })
                    .collect();
                all.extend(beside(run, measured, predicted, &rounds));
            }
        }
        Ok(all)
    }
}

impl Recorded {
    fn moving(&self, migration: &RecordedMigration, values: &[f64]) -> Moving {
        let memory = self.memory(migration);
        let (by_rate, by_working_set) = self.multiples(&migration.vm, values);
        Moving {
            from: migration.source,
            to: migration.destination,
            memory,
            zeros: Bytes::ZERO,
            workload: Workload::Uniform {
                rate: ByteRate::from_bytes_per_sec((values[DIRTY_RATE] * by_rate).max(1.0) as u64),
                working_set: pages(values[WORKING_SET] * by_working_set).min(memory),
            },
            after: Vec::new(),
            start: seconds(migration.started),
            disk: Bytes::ZERO,
        }
    }

    fn bed(&self, run: &RecordedRun, values: &[f64]) -> Bed {
        let prepare_serial = values[WORKING_SET + 1..self.constants()].first().copied();
        Bed {
            speeds: vec![values[0] * 8.0; run.hosts],
            queue: None,
            transport: stream(None),
            policy: Qemu::default(),
            timing: Timing {
                prepare: seconds(values[1]),
                prepare_serial: seconds(prepare_serial.unwrap_or(0.0)),
                resume: seconds(values[2]),
                finish: seconds(values[3]),
                ..Timing::default()
            },
            limit: None,
            cores: 16,
            disk_rate: None,
        }
    }
}

/// What was measured of a migration beside what was predicted.
fn beside(
    run: &RecordedRun,
    measured: &RecordedMigration,
    predicted: &MigrationRecord,
    rounds: &[&RoundRecord],
) -> Vec<Prediction> {
    let prepared = rounds
        .first()
        .zip(predicted.started)
        .map_or(0.0, |(first, started)| (first.start - started).as_secs_f64());
    let mut quantities = vec![
        ("total".to_string(), "s", SCALE, measured.total, predicted.total.as_secs_f64()),
        ("blackout".into(), "s", SCALE, measured.blackout, predicted.blackout.as_secs_f64()),
        ("bytes".into(), "B", SCALE, measured.bytes, predicted.memory_bytes_sent.as_f64()),
        ("prepared".into(), "s", SCALE, measured.prepared, prepared),
        ("finished".into(), "s", SCALE, measured.finished, finished(predicted)),
    ];
    // How far off a prediction is of next to nothing says nothing.
    let first = measured.rounds.iter().take(ROUNDS).enumerate();
    for (index, round) in first.filter(|(_, round)| round.left > NOTHING) {
        // One that ended earlier had no more left than at its end.
        let left = rounds.get(index).or(rounds.last()).map_or(0.0, |round| round.dirty_bytes_left.as_f64());
        quantities.push((format!("left after round {}", index + 1), "B", SCALE_OF_LEFT, round.left, left));
    }
    let prediction = |(quantity, unit, scale, value, predicted): (String, &str, f64, f64, f64)| Prediction {
        run: run.name.clone(),
        subject: measured.vm.clone(),
        quantity,
        unit: unit.into(),
        measured: value,
        predicted,
        // Never by what is predicted: how many values there are must not change while a fit looks for it.
        scale: if value > 0.0 { scale } else { 0.0 },
    };
    quantities.into_iter().map(prediction).collect()
}

impl Experiment for Recorded {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn facts(&self) -> Values {
        self.facts.clone()
    }

    fn guests(&self, fitted: &Fitted) -> BTreeMap<String, GuestCurve> {
        self.kept(fitted)
    }

    fn carried_over(&self, values: &[f64], guests: &BTreeMap<String, GuestCurve>) -> Shown {
        self.taken_over(values, guests)
    }
}
