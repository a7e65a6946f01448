//! What moves, where to, and how it is sent.

use algorithms::controller::Deadline;
use algorithms::policy::Policy;
use algorithms::storage_mirror::{DiskOrder, StorageOrder, Switch};
use serde::{Deserialize, Serialize};
use sim_core::Bandwidth;

/// A guest to be moved, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MigrateRequest {
    /// Its name.
    pub guest: String,
    /// The destination's name, for the records.
    pub destination: String,
    /// The destination's address.
    pub address: String,
    /// When to stop copying.
    pub policy: Policy,
    /// A limit on its time.
    pub deadline: Option<Deadline>,
    /// How the memory is sent.
    pub sending: Sending,
    /// The disks that move too, or that alone move.
    #[serde(default)]
    pub storage: Option<StorageRequest>,
}

/// Disks to be moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageRequest {
    /// Which, and where to; in the order in which they are copied.
    pub disks: Vec<DiskTarget>,
    /// Whether the guest stays on its host, or follows them.
    pub switch: Switch,
}

impl From<&StorageOrder> for StorageRequest {
    fn from(order: &StorageOrder) -> StorageRequest {
        let target = |disk: &DiskOrder| DiskTarget { disk: disk.disk, to: disk.to.to_string() };
        StorageRequest { disks: order.disks.iter().map(target).collect(), switch: order.switch }
    }
}

/// A disk to be moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskTarget {
    /// By its place among the guest's disks.
    pub disk: u32,
    /// The storage location where it goes.
    pub to: String,
}

/// How memory is sent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sending {
    /// Connections over which pages go, 1 to [`Sending::MOST_STREAMS`].
    pub streams: u32,
    /// Whether pages are made smaller on their way.
    pub compression: Compression,
    /// Whether pages are encrypted; control always is.
    pub encryption: Encryption,
    /// The highest rate of memory, beside the policy's.
    pub limit: Option<Bandwidth>,
}

impl Sending {
    /// More connections than this help nobody.
    pub const MOST_STREAMS: u32 = 16;
}

impl Default for Sending {
    fn default() -> Sending {
        Sending { streams: 1, compression: Compression::None, encryption: Encryption::Tls, limit: None }
    }
}

/// Whether pages are made smaller on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// They are sent as they are; pages of zeros are named only.
    None,
    /// By LZ4.
    Lz4,
    /// By Zstandard at level 1.
    Zstd,
}

/// Whether pages are encrypted on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encryption {
    /// By the same mutual TLS as control.
    Tls,
    /// No; who sends them is known by the token only. For networks that nobody else reads.
    None,
}
