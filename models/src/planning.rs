//! Planning a drain: it is simulated many times, and what happens in all of them is the plan.
//!
//! Order and destinations are those of the first replication; how long things take, and how surely, is
//! read off all of them.

use std::collections::BTreeMap;

use algorithms::drain_plan::{
    DrainPlan, Expected, Inventory, InventoryGuest, InventoryHost, PlannedMove, PlannedStay, SCHEMA,
};
use algorithms::ids::{HostId, Name};
use algorithms::plan::{Phase, Placement, Plan};
use algorithms::records::{MigrationRecord, Outcome, RunRecords};
use sim_core::{Quantiles, replicate};

use crate::cluster::ClusterModel;
use crate::preflight::preflight;
use crate::world::{Metering, ModelError, RunOptions, simulate};

/// How to make a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanOptions {
    /// The seed of every random stream.
    pub seed: u64,
    /// How often the drain is simulated; once at least.
    pub replications: u32,
}

/// Plans the emptying of `host`. What the model's own plan asks for does not count. `done` is told how
/// many replications have ended.
///
/// # Errors
///
/// [`ModelError`] where the parts of the model do not fit together.
pub fn plan_drain(
    model: &ClusterModel,
    host: HostId,
    options: PlanOptions,
    done: impl Fn(u32) + Sync,
) -> Result<DrainPlan, ModelError> {
    let drain = Plan { phases: vec![Phase { drains: vec![host], ..Phase::default() }] };
    let model = ClusterModel { plan: drain, ..model.clone() };
    let run = |replication| {
        let options =
            RunOptions { seed: options.seed, replication, metering: Metering::Off, ..RunOptions::default() };
        simulate(&model, &options)
    };
    let runs = replicate(options.replications.max(1), run, done);
    let runs = runs.into_iter().collect::<Result<Vec<RunRecords>, ModelError>>()?;
    let inventory = inventory(&model);
    let reasons = reasons(&model);
    let first = &runs[0];
    let mut moves: Vec<(&MigrationRecord, PlannedMove)> = Vec::new();
    let mut stays = Vec::new();
    for record in &first.migrations {
        match (record.started, &record.destination) {
            (Some(_), Some(destination)) => {
                moves.push((record, planned_move(&runs, record, destination, &reasons)));
            }
            _ => stays.push(planned_stay(first, record)),
        }
    }
    moves.sort_by_key(|(record, _)| (record.started, record.migration));
    Ok(DrainPlan {
        schema: SCHEMA,
        scenario: model.name.clone(),
        alternative: model.alternative.clone(),
        seed: options.seed,
        replications: options.replications.max(1),
        host: model.hosts[host.index()].name.clone(),
        fingerprint: inventory.fingerprint(),
        inventory,
        policy: model.hypervisor.policy.clone(),
        deadline: model.hypervisor.deadline,
        limit: limits(&model).min(),
        makespan_s: expected(runs.iter().map(|run| run.run.makespan.as_secs_f64())),
        moves: moves.into_iter().map(|(_, planned)| planned).collect(),
        stays,
    })
}

/// The limits that count in a cluster: each host's, and the cluster's own.
fn limits(model: &ClusterModel) -> impl Iterator<Item = u32> {
    let of_hosts = model.hosts.iter().filter_map(|host| host.migration_limit);
    of_hosts.chain(model.administration.maximum_parallel_migrations)
}

/// The hosts and guests of a model.
pub fn inventory(model: &ClusterModel) -> Inventory {
    let host_name = |host: HostId| model.hosts[host.index()].name.clone();
    let guest = |guest: &crate::cluster::Guest| InventoryGuest {
        name: guest.name.clone(),
        host: host_name(guest.host),
        memory: guest.memory,
    };
    Inventory {
        hosts: model
            .hosts
            .iter()
            .map(|host| InventoryHost { name: host.name.clone(), memory: host.memory })
            .collect(),
        guests: model.guests.iter().map(guest).collect(),
    }
}

fn planned_move(
    runs: &[RunRecords],
    record: &MigrationRecord,
    destination: &Name,
    reasons: &BTreeMap<Name, String>,
) -> PlannedMove {
    // Numbers are given in the order in which moves are asked for, which is the same in all replications.
    let same: Vec<&MigrationRecord> = runs
        .iter()
        .filter_map(|run| run.migrations.get(record.migration.index()))
        .filter(|other| other.vm == record.vm && other.outcome == Outcome::Completed)
        .collect();
    PlannedMove {
        vm: record.vm.clone(),
        destination: destination.clone(),
        kind: record.kind,
        reason: reasons.get(&record.vm).cloned().unwrap_or_default(),
        completes: same.len() as f64 / runs.len() as f64,
        start_s: expected(same.iter().filter_map(|each| Some(each.started?.as_secs_f64()))),
        total_s: expected(same.iter().map(|each| each.total.as_secs_f64())),
        blackout_s: expected(same.iter().map(|each| each.blackout.as_secs_f64())),
    }
}

fn planned_stay(run: &RunRecords, record: &MigrationRecord) -> PlannedStay {
    let event = run.events.iter().find(|event| event.migration == Some(record.migration));
    let fix = event.and_then(|event| Some(event.advice.as_ref()?.fix.clone()));
    PlannedStay { vm: record.vm.clone(), reason: record.reason.clone(), event_id: record.event_id, fix }
}

/// Why each guest goes where it goes: the rule of placement, and which hosts refuse it.
fn reasons(model: &ClusterModel) -> BTreeMap<Name, String> {
    let rule = match model.placement {
        Placement::MostFreeMemory => "the most free memory of the hosts that take it",
        Placement::FewestVms => "the fewest guests of the hosts that take it",
    };
    // Where the plan cannot be followed without running it, it runs all the same.
    let moves = preflight(model).map(|preflight| preflight.moves).unwrap_or_default();
    let reason = |checked: crate::preflight::CheckedMove| {
        let refusing = checked.refused.iter().map(|each| &*model.hosts[each.destination.index()].name);
        let refusing: Vec<&str> = refusing.collect();
        let refused =
            if refusing.is_empty() { String::new() } else { format!("; refused by {}", refusing.join(", ")) };
        (model.guests[checked.vm.index()].name.clone(), format!("{rule}{refused}"))
    };
    moves.into_iter().map(reason).collect()
}

fn expected(seconds: impl Iterator<Item = f64>) -> Expected {
    Quantiles::of(seconds).map_or(Expected::default(), |all| Expected { p50: all.p50, p95: all.p95 })
}
