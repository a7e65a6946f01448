//! Reconfiguration plans in btrplace's JSON, and how they were carried out.
//!
//! Source of the format: btrplace/scheduler, `btrplace-json`; of the runs: btrplace/kherbache-thesis,
//! `migrations.csv` with one row for each migration of each repetition of each plan.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::table::Table;
use super::{DataError, Source};

/// A plan: what is to move, and when by its planner's reckoning.
#[derive(Debug, Clone)]
pub struct PlanFile {
    /// The plan's number, taken from the last number in the file's name; `None` where it has none.
    pub plan: Option<u32>,
    /// By the guest's number.
    pub guests: BTreeMap<u32, PlanGuest>,
    /// Migrations in the order of the file.
    pub actions: Vec<PlanAction>,
}

/// What a plan says of a guest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlanGuest {
    /// Memory in use, in units of 10^6 or 2^20 bytes: the file does not say which.
    pub memory_mb: f64,
    /// Memory that is dirtied again and again, in the same units; zero where none is given.
    pub hot_mb: f64,
    /// Seconds until it is.
    pub hot_seconds: f64,
    /// Further memory dirtied, in the same units a second.
    pub cold_mb_per_s: f64,
}

/// A migration of a plan.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlanAction {
    /// The guest's number.
    pub vm: u32,
    /// The source's number.
    pub from: u32,
    /// The destination's number.
    pub to: u32,
    /// The rate that the planner gave it, in Mbit/s.
    pub mbit: f64,
    /// When it was to start, in seconds.
    pub start: f64,
    /// When it was to end, in seconds.
    pub end: f64,
}

/// A migration as it was carried out.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanMigration {
    /// Which plan.
    pub plan: u32,
    /// Which repetition of it.
    pub repetition: u32,
    /// The guest's number.
    pub vm: u32,
    /// The source's number.
    pub from: u32,
    /// The destination's number.
    pub to: u32,
    /// The slower end's speed in Mbit/s.
    pub mbit: f64,
    /// The guest's memory, in units of 10^6 or 2^20 bytes.
    pub memory_mb: f64,
    /// Since the plan began, in seconds.
    pub start: f64,
    /// In seconds.
    pub seconds: f64,
}

#[derive(Deserialize)]
struct Json {
    origin: Origin,
    actions: Vec<Action>,
}

#[derive(Deserialize)]
struct Origin {
    #[serde(default)]
    attributes: Attributes,
}

#[derive(Deserialize, Default)]
struct Attributes {
    #[serde(default)]
    vms: BTreeMap<u32, Attribute>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attribute {
    mem_used: f64,
    #[serde(default)]
    max_dirty_size: f64,
    #[serde(default)]
    max_dirty_duration: f64,
    #[serde(default)]
    dirty_rate: f64,
}

#[derive(Deserialize)]
struct Action {
    id: String,
    vm: Option<u32>,
    from: Option<u32>,
    to: Option<u32>,
    bw: Option<f64>,
    start: f64,
    end: f64,
}

/// Reads a plan. Actions other than migrations are passed over.
pub(super) fn plan(source: &Source) -> Result<PlanFile, DataError> {
    let json: Json =
        serde_json::from_str(&source.text).map_err(|error| DataError::json(&source.name, &error))?;
    let guest = |attribute: Attribute| PlanGuest {
        memory_mb: attribute.mem_used,
        hot_mb: attribute.max_dirty_size,
        hot_seconds: attribute.max_dirty_duration,
        cold_mb_per_s: attribute.dirty_rate,
    };
    let migrations = json.actions.iter().filter(|action| action.id == "migrateVM");
    let actions = migrations.filter_map(|action| {
        let (vm, from, to) = (action.vm?, action.from?, action.to?);
        let mbit = action.bw.unwrap_or(0.0);
        Some(PlanAction { vm, from, to, mbit, start: action.start, end: action.end })
    });
    Ok(PlanFile {
        plan: number_in(&source.name),
        actions: actions.collect(),
        guests: json.origin.attributes.vms.into_iter().map(|(vm, each)| (vm, guest(each))).collect(),
    })
}

/// The last number in a file's name: 7 of `plans/random.7.json`.
fn number_in(name: &str) -> Option<u32> {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let numbers = file.split(|letter: char| !letter.is_ascii_digit()).filter(|part| !part.is_empty());
    numbers.last()?.parse().ok()
}

/// Reads the rows of migrations.
pub(super) fn migrations(table: &Table) -> Result<Vec<PlanMigration>, DataError> {
    let mut all = Vec::new();
    for row in table.rows() {
        let (from, to) = (row.count("from")?, row.count("to")?);
        if from == to {
            return Err(row.problem(format!("a migration from node {from} to itself")));
        }
        all.push(PlanMigration {
            plan: row.count("plan")?,
            repetition: if row.text("rep").is_empty() { 1 } else { row.count("rep")? },
            vm: row.count("vm")?,
            from,
            to,
            mbit: row.positive("bw_mbps")?,
            memory_mb: row.positive("memMB")?,
            start: row.number("start_s")?,
            seconds: row.positive("dur_s")?,
        });
    }
    Ok(all)
}
