//! The plan of a drain as an artifact: what will move where, when, how long it will take, and why.
//!
//! It is made by simulating the drain many times, can be kept and read, and is carried out on real hosts
//! only while they still are what it was made for: it holds the [`Inventory`] that it saw, with a
//! fingerprint.

mod inventory;
mod storage;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sim_core::Bytes;

use crate::controller::Deadline;
use crate::ids::Name;
use crate::policy::Policy;
use crate::records::MigrationKind;
use crate::storage_mirror::DiskOrder;
pub use inventory::{Inventory, InventoryDisk, InventoryGuest, InventoryHost};
pub use storage::{PlannedLocation, PlannedStorage};

/// The version of [`DrainPlan`] that this code writes.
pub const SCHEMA: u32 = 2;

/// The oldest version that it reads. Plans of version 1 know of no disks: they are right where no guest has any.
pub const OLDEST_SCHEMA: u32 = 1;

/// The first version that knows of disks.
const KNOWS_DISKS: u32 = 2;

/// What draining a host will do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrainPlan {
    /// [`SCHEMA`], or that of an older migtwin.
    pub schema: u32,
    /// The scenario's name.
    pub scenario: Name,
    /// The alternative within the scenario, if it has several.
    pub alternative: Option<Name>,
    /// The seed of every random stream.
    pub seed: u64,
    /// How often the drain was simulated.
    pub replications: u32,
    /// The host that is emptied.
    pub host: Name,
    /// [`Inventory::fingerprint`] of `inventory`.
    pub fingerprint: String,
    /// The hosts and guests that it was made for.
    pub inventory: Inventory,
    /// When copying stops.
    pub policy: Policy,
    /// A limit on each migration's time.
    pub deadline: Option<Deadline>,
    /// Migrations at a time, coming and going together, at hosts that have no limit of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// The same at single hosts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<Name, u32>,
    /// Where disks can be, and how many hosts move at a time.
    #[serde(default, skip_serializing_if = "PlannedStorage::is_empty")]
    pub storage: PlannedStorage,
    /// From the beginning to the end of the last migration.
    pub makespan_s: Expected,
    /// Migrations in the order in which they start.
    pub moves: Vec<PlannedMove>,
    /// Guests that will not move.
    pub stays: Vec<PlannedStay>,
}

/// A migration that is to take place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedMove {
    /// The guest.
    pub vm: Name,
    /// Where it goes.
    pub destination: Name,
    /// What is moved, and how.
    pub kind: MigrationKind,
    /// The disks that are copied, in their order, and where to; its others stay, on storage that both hosts reach.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<DiskOrder>,
    /// Why there.
    pub reason: String,
    /// The share of the simulated drains in which it was completed, from 0 to 1.
    pub completes: f64,
    /// When it starts, since the drain began.
    pub start_s: Expected,
    /// Its total migration time.
    pub total_s: Expected,
    /// Its blackout.
    pub blackout_s: Expected,
}

/// A guest that will stay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedStay {
    /// The guest.
    pub vm: Name,
    /// Why.
    pub reason: String,
    /// The event that the hypervisor would log.
    pub event_id: Option<u32>,
    /// The command that would mend it, where one is known.
    pub fix: Option<String>,
}

/// How long something takes, over all simulated drains, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The median.
    pub p50: f64,
    /// 95 in 100 take less.
    pub p95: f64,
}

/// Why a plan cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Written by another version.
    #[error(
        "it is of version {found}, and this migtwin reads versions {OLDEST_SCHEMA} to {SCHEMA}: make it anew"
    )]
    Version {
        /// The version that it says.
        found: u32,
    },
    /// It names what its own inventory does not have.
    #[error("it moves what it does not know: its inventory has no {what} `{name}`; make it anew")]
    Unknown {
        /// A guest, a host, a disk or a storage location.
        what: &'static str,
        /// Its name.
        name: Name,
    },
    /// Edited by hand, or damaged.
    #[error("its inventory does not have its fingerprint: it was changed after it was made; make it anew")]
    Altered,
    /// It is older than plans that know of disks, and a guest has one.
    #[error(
        "it was made by an older migtwin, which planned nothing for disks, and guest `{guest}` has disk `{disk}`; \
         make the plan anew"
    )]
    NoDisks {
        /// The guest.
        guest: Name,
        /// Its first disk.
        disk: Name,
    },
    /// The hosts are no longer what it was made for.
    #[error("the inventory has changed since the plan was made: {what}; make the plan anew")]
    Changed {
        /// The first difference, in words.
        what: String,
    },
}

impl PlannedMove {
    /// What is copied of disks; what the guest writes meanwhile comes on top.
    pub fn disk_bytes(&self) -> Bytes {
        self.disks.iter().map(|disk| disk.bytes).sum()
    }
}

impl DrainPlan {
    /// These moves of guests away from `host`, in which nothing else is planned: of this version, with the
    /// fingerprint of the inventory, never simulated.
    pub fn new(host: Name, inventory: Inventory, policy: Policy, moves: Vec<PlannedMove>) -> DrainPlan {
        DrainPlan {
            schema: SCHEMA,
            scenario: "".into(),
            alternative: None,
            seed: 0,
            replications: 0,
            host,
            fingerprint: inventory.fingerprint(),
            inventory,
            policy,
            deadline: None,
            limit: None,
            limits: BTreeMap::new(),
            storage: PlannedStorage::default(),
            makespan_s: Expected::default(),
            moves,
            stays: Vec::new(),
        }
    }

    /// Migrations at a host at a time; any number where `None`.
    pub fn limit_of(&self, host: &Name) -> Option<u32> {
        self.limits.get(host).copied().or(self.limit)
    }

    /// Whether the plan is whole, and of a version that can be read.
    ///
    /// # Errors
    ///
    /// [`PlanError::Version`], [`PlanError::Altered`].
    pub fn check(&self) -> Result<(), PlanError> {
        if !(OLDEST_SCHEMA..=SCHEMA).contains(&self.schema) {
            return Err(PlanError::Version { found: self.schema });
        }
        if self.inventory.fingerprint() != self.fingerprint {
            return Err(PlanError::Altered);
        }
        Ok(())
    }

    /// Whether it may be carried out on what is there `now`.
    ///
    /// # Errors
    ///
    /// Those of [`DrainPlan::check`], [`PlanError::NoDisks`], and [`PlanError::Changed`] with the first difference.
    pub fn fits(&self, now: &Inventory) -> Result<(), PlanError> {
        self.check()?;
        if self.schema < KNOWS_DISKS
            && let Some((guest, disk)) = now.first_disk()
        {
            return Err(PlanError::NoDisks { guest, disk });
        }
        if now.fingerprint() == self.fingerprint {
            return Ok(());
        }
        let what = self.inventory.difference(now).unwrap_or_else(|| "its fingerprint differs".into());
        Err(PlanError::Changed { what })
    }
}
