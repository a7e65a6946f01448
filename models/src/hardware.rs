//! Hosts: what they have, and how many migrations they allow at a time.

mod transfer;

use algorithms::ids::Name;
use algorithms::preflight::facts::HostSettings;
use serde::{Deserialize, Serialize};
use sim_core::Bytes;

use crate::storage::HostStorage;

pub use transfer::TransferSettings;

/// A host of the cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// Its name, unique in the cluster.
    pub name: Name,
    /// Memory that guests can have.
    pub memory: Bytes,
    /// Processor cores that migrations can use.
    pub cores: u32,
    /// Migrations allowed at a time, coming and going together; any number where `None`.
    pub migration_limit: Option<u32>,
    /// How memory leaves it, and what its guests leave it of its processors.
    pub transfer: TransferSettings,
    /// What decides whether migrations are allowed; by default all are.
    pub settings: HostSettings,
    /// Its limit of storage migrations, and where disks go by default.
    pub storage: HostStorage,
}

impl Host {
    /// The cores that its guests leave.
    pub fn spare_cores(&self) -> f64 {
        f64::from(self.cores) * (1.0 - self.transfer.cpu_load)
    }
}
