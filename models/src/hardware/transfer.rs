//! A host's settings for how memory leaves it.

use serde::{Deserialize, Serialize};
use sim_core::ByteRate;

use crate::transport::Transport;

/// What a host brings to the sending of memory, beside its network cards.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TransferSettings {
    /// The performance option of this host, which counts for what leaves it (`Set-VMHost
    /// -VirtualMachineMigrationPerformanceOption`); the cluster's transport where `None`.
    pub transport: Option<Transport>,
    /// The share of its cores that its guests keep busy, from 0 to 1. Compression takes only
    /// what they leave; the network stack runs before them.
    pub cpu_load: f64,
    /// The most that all migrations leaving it over SMB send together (`Set-SmbBandwidthLimit
    /// -Category LiveMigration -BytesPerSecond`); none where `None`.
    pub smb_bandwidth_limit: Option<ByteRate>,
}
