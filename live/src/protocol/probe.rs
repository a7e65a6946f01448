//! What is said when the way between two agents is measured, and the bounds that both keep to.
//!
//! ```text
//!  operator ── Probe ──▶ source ── ReceiveProbe, Echo…, Await…, EndProbe ──▶ destination
//!                          ═══════════ pages, as of a migration ═══════════▶
//! ```

use serde::{Deserialize, Serialize};
use sim_core::{Bytes, Span};

use super::Sending;

/// Test memory of one probe at most, on either side.
pub const MOST_MEMORY: Bytes = Bytes::from_mib(512);

/// A measurement takes no longer.
pub const LONGEST: Span = Span::from_secs(30);

/// A destination takes no pages of a probe that is older: the longest measurement, and twice as much for
/// filling memory and warming up on a slow machine.
pub const LIFETIME: Span = Span::from_secs(90);

/// What to measure: one way of sending, over one connection of agents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeRequest {
    /// The destination's name.
    pub destination: String,
    /// Its address.
    pub address: String,
    /// How memory is sent.
    pub sending: Sending,
    /// Test memory, up to [`MOST_MEMORY`]; it is sent over and over.
    pub memory: Bytes,
    /// How many times smaller that memory gets by compression, 1 or more; see
    /// [`GuestSpec`](crate::guest::GuestSpec).
    pub compression_ratio: f64,
    /// The share of it that is zero, 0 to 1.
    pub zero_share: f64,
    /// For how long, up to [`LONGEST`]; a fifth as long goes before, to warm up.
    pub measure_for: Span,
}

impl ProbeRequest {
    /// What is wrong with it, if anything: it may come from anybody who is known.
    pub fn problem(&self) -> Option<String> {
        let streams = self.sending.streams;
        if !(1..=Sending::MOST_STREAMS).contains(&streams) {
            return Some(format!("{streams} streams; 1 to {} are possible", Sending::MOST_STREAMS));
        }
        if self.measure_for == Span::ZERO || self.measure_for > LONGEST {
            return Some(format!("a probe takes up to {LONGEST}, and not {}", self.measure_for));
        }
        too_large(self.memory)
    }
}

/// Why a probe's memory is not to be had, where that is so.
pub fn too_large(memory: Bytes) -> Option<String> {
    let few = memory.pages().get() == 0;
    (few || memory > MOST_MEMORY)
        .then(|| format!("a probe has 4 KiB to {MOST_MEMORY} of memory, not {memory}"))
}

/// What a probe measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probed {
    /// Memory that arrived in the time measured; pages of zeros count as any other.
    pub memory: Bytes,
    /// What it was on the streams: with its headers, compressed, before encryption.
    pub stream: Bytes,
    /// The time measured.
    pub took: Span,
    /// Processor time of the sending threads in it, in seconds.
    pub source_core_seconds: f64,
    /// Processor time of the receiving threads in it, in seconds.
    pub destination_core_seconds: f64,
    /// The shortest of some round trips of a request over the control connection, before anything was sent.
    pub round_trip: Span,
    /// The share of the source's processors that others took meanwhile, 0 to 1.
    pub source_steal: f64,
    /// The same of the destination's.
    pub destination_steal: f64,
}

/// What a destination knows of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ProbeAccount {
    /// Processor time of the threads that took its pages in, up to their last barrier, in seconds.
    pub core_seconds: f64,
    /// The share of its processors that others took since the probe began there, 0 to 1.
    pub steal: f64,
}
