//! Runs as we record them ourselves, simulated or on real hosts: every migration with its rounds.
//!
//! Of the records of a run only live migrations that were completed are taken. Where there are runs on real hosts, with
//! the predictions beside them, only the real ones were measured.

use std::collections::BTreeMap;

use algorithms::policy::StopReason;
use algorithms::records::{
    MigrationKind, MigrationRecord, Origin, Outcome, RoundPhase, RoundRecord, RunRecords,
};

/// One run.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedRun {
    /// Where it stands, for messages.
    pub name: String,
    /// Hosts that took part, by number; names are not looked at further.
    pub hosts: usize,
    /// Its migrations.
    pub migrations: Vec<RecordedMigration>,
}

/// One migration; times in seconds, sizes in bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedMigration {
    /// The guest.
    pub vm: String,
    /// Number of the host that it left.
    pub source: usize,
    /// Number of the host that it went to.
    pub destination: usize,
    /// Since the beginning of the run.
    pub started: f64,
    /// From `started` until the first round.
    pub prepared: f64,
    /// From `started` to its end.
    pub total: f64,
    /// The pause.
    pub blackout: f64,
    /// From the end of the pause to its end.
    pub finished: f64,
    /// All rounds together.
    pub bytes: f64,
    /// The rounds before the pause.
    pub rounds: Vec<RecordedRound>,
    /// How long the rest took in the pause.
    pub rest: f64,
    /// Why the last round before the pause was the last.
    pub ended: Ended,
}

/// A round before the pause.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RecordedRound {
    /// In seconds.
    pub duration: f64,
    /// Bytes sent.
    pub sent: f64,
    /// Bytes dirty when it ended.
    pub left: f64,
}

/// Why pre-copy ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Little was left.
    Converged,
    /// There had been enough rounds.
    RoundLimit,
    /// Anything else.
    Otherwise,
}

/// The runs in these files that were measured: those on real hosts, or all where there are none.
pub fn recorded(files: &[(String, Vec<RunRecords>)]) -> Vec<RecordedRun> {
    let all = || files.iter().flat_map(|(file, runs)| runs.iter().map(move |run| (file, run)));
    let real = all().any(|(_, run)| run.run.origin == Origin::Actual);
    let measured = all().filter(|(_, run)| !real || run.run.origin == Origin::Actual);
    measured.map(|(file, run)| of_run(file, run)).filter(|run| !run.migrations.is_empty()).collect()
}

fn of_run(file: &str, run: &RunRecords) -> RecordedRun {
    let mut hosts = BTreeMap::new();
    let completed = run
        .migrations
        .iter()
        .filter(|migration| migration.kind == MigrationKind::Live && migration.outcome == Outcome::Completed);
    let migrations: Vec<_> =
        completed.filter_map(|migration| of_migration(run, migration, &mut hosts)).collect();
    let alternative = run.run.alternative.as_ref().map(|name| format!(", {name}")).unwrap_or_default();
    let replication = match run.run.replication {
        0 => String::new(),
        number => format!(", replication {number}"),
    };
    RecordedRun {
        name: format!("{file}: {}{alternative}{replication}", run.run.scenario),
        hosts: hosts.len(),
        migrations,
    }
}

fn of_migration<'a>(
    run: &'a RunRecords,
    migration: &'a MigrationRecord,
    hosts: &mut BTreeMap<&'a str, usize>,
) -> Option<RecordedMigration> {
    let of_this = || run.rounds.iter().filter(|round| round.migration == migration.migration);
    let started = migration.started?;
    let first = of_this().map(|round| round.start).min().filter(|first| *first >= started)?;
    let rest = of_this().find(|round| round.phase == RoundPhase::StopAndCopy)?;
    let mut rounds: Vec<&RoundRecord> =
        of_this().filter(|round| round.phase == RoundPhase::PreCopy).collect();
    rounds.sort_by_key(|round| round.round);
    let rounds: Vec<_> = rounds.into_iter().map(of_round).collect();
    if rounds.first().is_none_or(|first| first.sent <= 0.0 || first.duration <= 0.0) {
        return None;
    }
    let mut number = |name: &'a str| {
        let next = hosts.len();
        *hosts.entry(name).or_insert(next)
    };
    Some(RecordedMigration {
        vm: migration.vm.to_string(),
        source: number(&migration.source),
        destination: number(migration.destination.as_deref()?),
        started: started.as_secs_f64(),
        prepared: (first - started).as_secs_f64(),
        total: migration.total.as_secs_f64(),
        blackout: migration.blackout.as_secs_f64(),
        finished: finished(migration),
        bytes: migration.memory_bytes_sent.as_f64(),
        rounds,
        rest: rest.duration.as_secs_f64(),
        ended: ended(migration.stop),
    })
}

/// Seconds from the end of the pause to the end of a migration.
pub(crate) fn finished(migration: &MigrationRecord) -> f64 {
    migration.total.saturating_sub(migration.brownout).saturating_sub(migration.blackout).as_secs_f64()
}

fn of_round(round: &RoundRecord) -> RecordedRound {
    RecordedRound {
        duration: round.duration.as_secs_f64(),
        sent: round.bytes_sent.as_f64(),
        left: round.dirty_bytes_left.as_f64(),
    }
}

fn ended(stop: Option<StopReason>) -> Ended {
    match stop {
        Some(StopReason::Converged) => Ended::Converged,
        Some(StopReason::RoundLimit) => Ended::RoundLimit,
        _ => Ended::Otherwise,
    }
}
