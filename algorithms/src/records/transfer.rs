//! What sending a migration's memory took, and what held it back.

use serde::{Deserialize, Serialize};
use sim_core::Bytes;

use super::numbers;
use crate::ids::Name;

/// What a migration's transfer took from the hosts and the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TransferRecord {
    /// What held it back for most of its sending time: a resource such as `node1 → switch` or
    /// `node1 spare cpu`, or a limit such as `one core a stream`; `None` where nothing was sent.
    pub bottleneck: Option<Name>,
    /// The share of its sending time for which that was so, from 0 to 1.
    pub bottleneck_share: f64,
    /// Processor time taken at the source, in core-seconds.
    #[serde(rename = "source_core_s")]
    pub source_core_seconds: f64,
    /// Processor time taken at the destination, in core-seconds.
    #[serde(rename = "destination_core_s")]
    pub destination_core_seconds: f64,
    /// Bytes on the wire: headers and gaps included, and after compression.
    #[serde(with = "numbers::bytes")]
    pub wire_bytes: Bytes,
    /// The share of the memory sent that was compressed, from 0 to 1; `None` where the transport
    /// does not compress.
    pub compressed_share: Option<f64>,
}
