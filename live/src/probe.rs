//! What migration between two agents would get: every way of sending that is asked for, measured one after
//! the other, and the preset that makes a plan of it.
//!
//! ```text
//!  streams × compression ──▶ source ═══ test memory, as a migration's ═══▶ destination
//!        └──▶ ProbeReport ──▶ table, JSON, preset
//! ```
//!
//! Processor time is that of the threads that send and receive: what the kernel does elsewhere for them,
//! such as taking packets from the card, is not in it.

mod preset;

use serde::{Serialize, Serializer};
use sim_core::{Bandwidth, Bytes, Span};

use crate::client::Client;
use crate::error::LiveError;
use crate::machine::MOST_STEAL;
use crate::protocol::probe::{ProbeRequest, Probed};
use crate::protocol::{Compression, Encryption, Sending};

pub use preset::preset;

/// A faster way counts as faster where it is so by more than this: else the simpler one is as good.
const MARGIN: f64 = 0.03;

/// What to measure.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbePlan {
    /// The source's name.
    pub source: String,
    /// The destination's name.
    pub destination: String,
    /// The destination's address, as the source reaches it.
    pub address: String,
    /// How many streams, the fewest first.
    pub streams: Vec<u32>,
    /// Which compressions, the plainest first.
    pub compressions: Vec<Compression>,
    /// Whether pages are encrypted.
    pub encryption: Encryption,
    /// Test memory.
    pub memory: Bytes,
    /// How many times smaller it gets by compression, 1 or more.
    pub compression_ratio: f64,
    /// The share of it that is zero, 0 to 1.
    pub zero_share: f64,
    /// For how long each way is measured.
    pub measure_for: Span,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProbeReport {
    /// The version of this JSON.
    pub schema: u32,
    /// The source's name.
    pub source: String,
    /// The destination's name.
    pub destination: String,
    /// Whether pages were encrypted.
    pub encryption: Encryption,
    /// How many times smaller the test memory was to get by compression.
    pub compression_ratio: f64,
    /// The share of it that was zero.
    pub zero_share: f64,
    /// The shortest round trip of a request over a control connection, in seconds.
    pub round_trip_s: f64,
    /// The larger share of processor time that others took from one of the two, in any measurement.
    pub steal: f64,
    /// Whether all timings can be compared with others: not where others took too much.
    pub comparable: bool,
    /// Every way, in the order in which it was measured.
    pub ways: Vec<Way>,
    /// Which of them is the simplest that is as good as the best, from 0.
    pub best: usize,
}

/// One way of sending, and what it got.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Way {
    /// Connections.
    pub streams: u32,
    /// How pages were made smaller.
    pub compression: Compression,
    /// Memory a second, whatever it was on the wire.
    #[serde(rename = "memory_bytes_per_s", serialize_with = "bytes_per_second")]
    pub memory: Bandwidth,
    /// Bytes on the streams for each of memory, before encryption.
    pub stream_share: f64,
    /// Core-seconds at the source for each 10^9 bytes of memory.
    pub source_core_seconds_per_gb: f64,
    /// Core-seconds at the destination for each 10^9 bytes of memory.
    pub destination_core_seconds_per_gb: f64,
    /// The larger of the shares of processor time that others took from either side.
    pub steal: f64,
}

fn bytes_per_second<S: Serializer>(rate: &Bandwidth, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(rate.bytes_per_sec_f64())
}

/// Measures every way of `plan`, from the agent of `source`; `tell` hears of each as it is done.
///
/// # Errors
///
/// [`LiveError`] where an agent refuses or is lost.
pub fn probe(
    source: &mut Client,
    plan: &ProbePlan,
    mut tell: impl FnMut(&Way),
) -> Result<ProbeReport, LiveError> {
    let (mut ways, mut round_trip) = (Vec::new(), Span::MAX);
    for compression in &plan.compressions {
        for streams in &plan.streams {
            let probed = source.probe(request(plan, *streams, *compression))?;
            round_trip = round_trip.min(probed.round_trip);
            let way = Way::of(*streams, *compression, &probed);
            tell(&way);
            ways.push(way);
        }
    }
    if ways.is_empty() {
        let needed = "at least one number of streams and one compression".into();
        return Err(LiveError::Absent { what: "a probe".into(), needed });
    }
    let steal = ways.iter().map(|way| way.steal).fold(0.0, f64::max);
    Ok(ProbeReport {
        schema: 1,
        source: plan.source.clone(),
        destination: plan.destination.clone(),
        encryption: plan.encryption,
        compression_ratio: plan.compression_ratio,
        zero_share: plan.zero_share,
        round_trip_s: round_trip.as_secs_f64(),
        steal,
        comparable: steal <= MOST_STEAL,
        best: best(&ways),
        ways,
    })
}

fn request(plan: &ProbePlan, streams: u32, compression: Compression) -> ProbeRequest {
    ProbeRequest {
        destination: plan.destination.clone(),
        address: plan.address.clone(),
        sending: Sending { streams, compression, encryption: plan.encryption, limit: None },
        memory: plan.memory,
        compression_ratio: plan.compression_ratio,
        zero_share: plan.zero_share,
        measure_for: plan.measure_for,
    }
}

impl Way {
    fn of(streams: u32, compression: Compression, probed: &Probed) -> Way {
        let gigabytes = (probed.memory.as_f64() / 1e9).max(f64::MIN_POSITIVE);
        Way {
            streams,
            compression,
            memory: probed.memory.per(probed.took),
            stream_share: probed.stream.as_f64() / probed.memory.as_f64().max(1.0),
            source_core_seconds_per_gb: probed.source_core_seconds / gigabytes,
            destination_core_seconds_per_gb: probed.destination_core_seconds / gigabytes,
            steal: probed.source_steal.max(probed.destination_steal),
        }
    }

    /// Whether its timing says something.
    pub fn is_comparable(&self) -> bool {
        self.steal <= MOST_STEAL
    }
}

/// The first that is as fast as the fastest, give or take [`MARGIN`]: ways come plainest first.
fn best(ways: &[Way]) -> usize {
    let fastest = ways.iter().map(|way| way.memory).max().unwrap_or_default();
    let enough = fastest.bytes_per_sec_f64() * (1.0 - MARGIN);
    ways.iter().position(|way| way.memory.bytes_per_sec_f64() >= enough).unwrap_or(0)
}
