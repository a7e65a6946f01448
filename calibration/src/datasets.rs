//! Measured migrations, read from the formats in which they were published or logged.
//!
//! A file is known by its content — the header of a CSV, the keys of a JSON —, not by its name.
//! Columns may stand in any order, and further ones are passed over. What is wrong is said with
//! file, line and column. Input is bounded: files of at most [`MOST_BYTES`], rows of at most [`MOST_ROWS`].

mod error;
mod logs;
mod openstack;
mod plans;
mod postgres;
mod query_migrate;
mod recorded;
mod table;

pub use error::DataError;
pub use openstack::{Drain, Flavor};
pub use plans::{PlanAction, PlanFile, PlanGuest, PlanMigration};
pub use postgres::{GuestRun, Sync};
pub use query_migrate::LoggedMigration;
pub(crate) use recorded::finished;
pub use recorded::{Ended, RecordedMigration, RecordedRound, RecordedRun, recorded};

use table::Table;

/// The largest file that is read.
pub const MOST_BYTES: usize = 64 << 20;
/// The most rows that a table may have.
pub const MOST_ROWS: usize = 1_000_000;

/// The header of every table that is known has one of these.
const KNOWN_COLUMNS: [&str; 4] = ["dur_s", "total_ms", "t_ms_last", "evac"];

/// A file's name, for messages, and its text.
#[derive(Debug, Clone)]
pub struct Source {
    /// For messages; the name of a plan's file also says which plan it is.
    pub name: String,
    /// All of it.
    pub text: String,
}

/// Everything that was measured, by kind.
#[derive(Debug, Clone, Default)]
pub struct Measurements {
    /// Reconfiguration plans in btrplace's JSON.
    pub plans: Vec<PlanFile>,
    /// Migrations of such plans, as they were carried out.
    pub plan_migrations: Vec<PlanMigration>,
    /// Runs of QEMU with a `PostgreSQL` guest.
    pub guest_runs: Vec<GuestRun>,
    /// What those runs showed pass by pass.
    pub guest_syncs: Vec<Sync>,
    /// Hosts drained by `OpenStack`.
    pub drains: Vec<Drain>,
    /// Single migrations from logs: `query-migrate`, libvirt, Proxmox.
    pub logged: Vec<LoggedMigration>,
    /// Runs that we recorded ourselves.
    pub recorded: Vec<RecordedRun>,
    /// Files that were read and hold nothing that is known.
    pub passed_over: Vec<String>,
    /// Logs of migrations that had not ended, or not well.
    pub unfinished: Vec<String>,
}

impl Measurements {
    /// Which files gave nothing, and why: a line for each.
    pub fn without_runs(&self) -> Vec<String> {
        let why = |files: &[String], why: &str| -> Vec<String> {
            files.iter().map(|file| format!("{file}: {why}")).collect()
        };
        let mut all = why(&self.passed_over, "no measurements that are known");
        all.extend(why(&self.unfinished, "no migration that ended is in it"));
        all
    }

    /// Reads every source.
    ///
    /// # Errors
    ///
    /// [`DataError`] at the first value that is not what its column holds.
    pub fn read(sources: &[Source]) -> Result<Measurements, DataError> {
        let mut all = Measurements::default();
        for source in sources {
            if source.text.len() > MOST_BYTES {
                return Err(DataError::TooLarge { file: source.name.clone(), bytes: source.text.len() });
            }
            all.add(source)?;
        }
        Ok(all)
    }

    fn add(&mut self, source: &Source) -> Result<(), DataError> {
        let first = source.text.trim_start().chars().next();
        if matches!(first, Some('{' | '[')) {
            return self.add_json(source);
        }
        if let Some(logged) = logs::read(source) {
            self.add_logged(source, logged?);
            return Ok(());
        }
        // Other text, such as a licence beside the data, is no table with a mistake in it.
        if !KNOWN_COLUMNS
            .iter()
            .any(|column| source.text.lines().next().is_some_and(|header| header.contains(column)))
        {
            self.passed_over.push(source.name.clone());
            return Ok(());
        }
        let table = Table::read(source)?;
        if table.has(&["plan", "vm", "from", "to", "dur_s"]) {
            self.plan_migrations.extend(plans::migrations(&table)?);
        } else if table.has(&["scenario", "run", "total_ms", "transferred_B"]) {
            self.guest_runs.extend(postgres::runs(&table)?);
        } else if table.has(&["scenario", "run", "sync", "t_ms_last"]) {
            self.guest_syncs.extend(postgres::syncs(&table)?);
        } else if table.has(&["flavor", "parallel", "evac", "seconds"]) {
            openstack::add(&table, &mut self.drains)?;
        } else {
            self.passed_over.push(source.name.clone());
        }
        Ok(())
    }

    fn add_json(&mut self, source: &Source) -> Result<(), DataError> {
        // One value, or one after the other, as `query-migrate` is logged line by line.
        let values = serde_json::Deserializer::from_str(&source.text).into_iter::<serde_json::Value>();
        let mut values =
            values.collect::<Result<Vec<_>, _>>().map_err(|error| DataError::json(&source.name, &error))?;
        let value = if values.len() == 1 { values.remove(0) } else { serde_json::Value::Array(values) };
        if value.get("actions").is_some() && value.get("origin").is_some() {
            self.plans.push(plans::plan(source)?);
        } else if let Some(logged) = query_migrate::read(&source.name, &value) {
            self.add_logged(source, logged?);
        } else {
            self.passed_over.push(source.name.clone());
        }
        Ok(())
    }

    fn add_logged(&mut self, source: &Source, logged: Option<LoggedMigration>) {
        match logged {
            Some(logged) => self.logged.push(logged),
            None => self.unfinished.push(source.name.clone()),
        }
    }
}
