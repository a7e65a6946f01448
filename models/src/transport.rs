//! How memory crosses the network: each transport a row of costs.
//!
//! A transport is not an algorithm but a set of coefficients: how many bytes a payload byte takes
//! on the wire, how much processor time it takes at either end, how fast one stream can go. The
//! fluid model then finds what the bottleneck is.

use algorithms::ids::Name;
use serde::{Deserialize, Serialize};
use sim_core::Bandwidth;

/// A row of costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transport {
    /// Such as `tcp`.
    pub name: Name,
    /// Bytes on the wire per byte of payload, 1 or more: headers and gaps between frames.
    pub wire_overhead: f64,
    /// Processor time at the source in core-seconds per 10^9 bytes of payload.
    pub send_core_seconds_per_gb: f64,
    /// Processor time at the destination in core-seconds per 10^9 bytes of payload.
    pub receive_core_seconds_per_gb: f64,
    /// The most that one stream carries; `None` where only the network limits it.
    pub per_stream: Option<Bandwidth>,
    /// Streams that one migration uses.
    pub streams: u32,
}

/// Ethernet frames of a 1500-byte MTU with TCP timestamps: 1448 bytes of payload in 1538 on the wire
/// (preamble, header, checksum and gap included).
pub const TCP_MTU_1500: f64 = 1538.0 / 1448.0;

impl Transport {
    /// Plain TCP over one stream. Processor time as QEMU's multifd was measured: 13.7 Gbit/s a core to
    /// send (the search for zero pages included), 12.8 Gbit/s a core to receive.
    pub fn tcp() -> Transport {
        Transport {
            name: "tcp".into(),
            wire_overhead: TCP_MTU_1500,
            send_core_seconds_per_gb: 0.58,
            receive_core_seconds_per_gb: 0.625,
            per_stream: None,
            streams: 1,
        }
    }

    /// No overhead, no processor time, no limit: the network alone counts.
    pub fn ideal() -> Transport {
        Transport {
            name: "ideal".into(),
            wire_overhead: 1.0,
            send_core_seconds_per_gb: 0.0,
            receive_core_seconds_per_gb: 0.0,
            per_stream: None,
            streams: 1,
        }
    }

    /// Whether processors are among what it uses.
    pub fn takes_processor_time(&self) -> bool {
        self.send_core_seconds_per_gb > 0.0 || self.receive_core_seconds_per_gb > 0.0
    }

    /// The most payload that one migration can have, in bytes per second: every stream is limited
    /// by `per_stream`, and by one core at each end, since a stream is one thread.
    pub fn cap_bytes_per_sec(&self) -> f64 {
        let by_stream = self.per_stream.map_or(f64::INFINITY, |rate| rate.bytes_per_sec_f64());
        let slower_end = self.send_core_seconds_per_gb.max(self.receive_core_seconds_per_gb);
        let by_core = if slower_end > 0.0 { 1e9 / slower_end } else { f64::INFINITY };
        by_stream.min(by_core) * f64::from(self.streams)
    }
}
