//! Planning a drain: it is simulated many times, and what happens in all of them is the plan.
//!
//! Order and destinations are those of the first replication; how long things take, and how surely, is
//! read off all of them.

use std::collections::BTreeMap;

use algorithms::drain_plan::{
    DrainPlan, Expected, Inventory, InventoryDisk, InventoryGuest, InventoryHost, PlannedLocation,
    PlannedMove, PlannedStay, PlannedStorage,
};
use algorithms::ids::{HostId, Name, VmId};
use algorithms::orchestrator::ClusterView;
use algorithms::plan::{Phase, Placement, Plan, StorageMove};
use algorithms::records::{MigrationRecord, Outcome, RunRecords};
use sim_core::{Quantiles, replicate};

use crate::cluster::ClusterModel;
use crate::hardware::Host;
use crate::preflight::{cluster_view, preflight};
use crate::storage::{Disk, StorageLocation};
use crate::world::{Metering, ModelError, RunOptions, simulate};

/// How to make a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanOptions {
    /// The seed of every random stream.
    pub seed: u64,
    /// How often the drain is simulated; once at least.
    pub replications: u32,
}

/// Plans the emptying of `host`. Of what the model's own plan asks for, only what it says of disks where it drains
/// this host counts. `done` is told how many replications have ended.
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
    let storage = storage_of_drain(model, host);
    let model = ClusterModel { plan: drain(host, &storage), ..model.clone() };
    let run = |replication| {
        let options =
            RunOptions { seed: options.seed, replication, metering: Metering::Off, ..RunOptions::default() };
        simulate(&model, &options)
    };
    let runs = replicate(options.replications.max(1), run, done);
    let runs = runs.into_iter().collect::<Result<Vec<RunRecords>, ModelError>>()?;
    let (view, reasons) = (cluster_view(&model), reasons(&model));
    let asked = Asked { model: &model, view, storage, reasons };
    let first = &runs[0];
    let mut moves: Vec<(&MigrationRecord, PlannedMove)> = Vec::new();
    let mut stays = Vec::new();
    for record in &first.migrations {
        match (record.started, &record.destination) {
            (Some(_), Some(destination)) => {
                moves.push((record, planned_move(&runs, record, destination, &asked)));
            }
            _ => stays.push(planned_stay(first, record)),
        }
    }
    moves.sort_by_key(|(record, _)| (record.started, record.migration));
    let moves = moves.into_iter().map(|(_, planned)| planned).collect();
    let (host, policy) = (model.hosts[host.index()].name.clone(), model.hypervisor.policy.clone());
    Ok(DrainPlan {
        scenario: model.name.clone(),
        alternative: model.alternative.clone(),
        seed: options.seed,
        replications: options.replications.max(1),
        deadline: model.hypervisor.deadline,
        limits: limits(&model),
        storage: planned_storage(&model),
        makespan_s: expected(runs.iter().map(|run| run.run.makespan.as_secs_f64())),
        stays,
        ..DrainPlan::new(host, inventory(&model), policy, moves)
    })
}

/// What becomes of disks: as the model's plan says where it drains this host; else they go along where they must, as
/// those of a [single move](crate::one_move::storage_move) do.
fn storage_of_drain(model: &ClusterModel, host: HostId) -> StorageMove {
    let phase = model.plan.phases.iter().find(|phase| phase.drains.contains(&host));
    phase.map_or(StorageMove::Default, |phase| phase.storage_of_drain(host))
}

fn drain(host: HostId, storage: &StorageMove) -> Plan {
    let disks_along = if *storage == StorageMove::Stays { vec![] } else { vec![host] };
    Plan { phases: vec![Phase { drains: vec![host], disks_along, ..Phase::default() }] }
}

/// What is asked of the drain, and what is known before it.
struct Asked<'a> {
    model: &'a ClusterModel,
    /// The cluster before it.
    view: ClusterView,
    storage: StorageMove,
    reasons: BTreeMap<Name, String>,
}

impl Asked<'_> {
    /// Why a guest goes where it goes.
    fn reason(&self, vm: &Name) -> String {
        let reason = self.reasons.get(vm).cloned().unwrap_or_default();
        let Some(place) = self.model.guests.iter().position(|guest| guest.name == *vm) else { return reason };
        let (vm, source) = (VmId(place as u32), self.model.guests[place].host);
        let hosts = (0..).map(HostId).zip(&self.model.hosts).filter(|(id, _)| *id != source);
        let storage = self.view.storage();
        let refused = hosts.filter(|(id, _)| storage.plan(vm, source, *id, &self.storage).is_err());
        let refused: Vec<&str> = refused.map(|(_, host)| &*host.name).collect();
        if refused.is_empty() {
            reason
        } else {
            format!("{reason}; its disks cannot go to {}", refused.join(", "))
        }
    }
}

/// Storage, where there is any.
fn planned_storage(model: &ClusterModel) -> PlannedStorage {
    let host = |host: &HostId| model.hosts[host.index()].name.clone();
    let location = |location: &StorageLocation| PlannedLocation {
        name: location.name.clone(),
        hosts: location.hosts.iter().map(host).collect(),
        capacity: location.capacity,
    };
    let limit = |host: &Host| Some((host.name.clone(), host.storage.migration_limit?));
    match model.storage.is_empty() {
        true => PlannedStorage::default(),
        false => PlannedStorage {
            locations: model.storage.iter().map(location).collect(),
            limits: model.hosts.iter().filter_map(limit).collect(),
        },
    }
}

/// The limits of hosts that have one: their own or the cluster's, whichever is smaller.
fn limits(model: &ClusterModel) -> BTreeMap<Name, u32> {
    let of_all = model.administration.maximum_parallel_migrations;
    let limit = |host: &Host| {
        let limit = host.migration_limit.into_iter().chain(of_all).min()?;
        Some((host.name.clone(), limit))
    };
    model.hosts.iter().filter_map(limit).collect()
}

/// The hosts and guests of a model.
pub fn inventory(model: &ClusterModel) -> Inventory {
    let host_name = |host: HostId| model.hosts[host.index()].name.clone();
    let disk = |disk: &Disk| InventoryDisk {
        name: disk.name.clone(),
        on: model.storage[disk.on.index()].name.clone(),
        bytes: disk.file(),
    };
    let guest = |guest: &crate::cluster::Guest| InventoryGuest {
        name: guest.name.clone(),
        host: host_name(guest.host),
        memory: guest.memory,
        disks: guest.disks.iter().map(disk).collect(),
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
    asked: &Asked<'_>,
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
        disks: record.disks.clone(),
        reason: asked.reason(&record.vm),
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
    let reason = |checked: crate::preflight::CheckedMove| {
        let refusing = checked.refused.iter().map(|each| &*model.hosts[each.destination.index()].name);
        let refusing: Vec<&str> = refusing.collect();
        let refused =
            if refusing.is_empty() { String::new() } else { format!("; refused by {}", refusing.join(", ")) };
        (model.guests[checked.vm.index()].name.clone(), format!("{rule}{refused}"))
    };
    preflight(model).moves.into_iter().map(reason).collect()
}

fn expected(seconds: impl Iterator<Item = f64>) -> Expected {
    Quantiles::of(seconds).map_or(Expected::default(), |all| Expected { p50: all.p50, p95: all.p95 })
}
