//! SMB: Direct where both ends have RDMA, Multichannel over several cards and queues in any case.
//!
//! As SMB Multichannel chooses (Microsoft, "Improve Performance of a File Server with SMB Direct";
//! `Get-SmbClientConfiguration`; J. Barreto, "The basics of SMB Multichannel"): ways with RDMA before
//! ways without, the fastest before the slower, and traffic over all that are alike. Two connections
//! for each RDMA card, four for each card with receive-side scaling, one for each without.

use serde::{Deserialize, Serialize};
use sim_core::Bandwidth;

use super::{Method, Transport};
use crate::network::{CardTraits, Rdma};

/// SMB's rules.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Smb {
    /// Connections for each card with RDMA.
    pub connections_per_rdma_card: u32,
    /// Connections at most for each card with receive-side scaling, one a queue.
    pub connections_per_rss_card: u32,
    /// Processor time at either end with RDMA, in core-seconds per 10^9 bytes.
    pub rdma_core_seconds_per_gb: f64,
}

impl Default for Smb {
    /// Connections: Microsoft's defaults. Processor time: "very little" says Microsoft; 0.03 is an
    /// assumption, a twentieth of TCP's.
    fn default() -> Smb {
        Smb { connections_per_rdma_card: 2, connections_per_rss_card: 4, rdma_core_seconds_per_gb: 0.03 }
    }
}

/// A way between two hosts as SMB sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SmbWay {
    /// The cards at both ends.
    pub cards: [CardTraits; 2],
    /// The slower card, in bytes per second.
    pub speed: f64,
}

impl SmbWay {
    /// The RDMA that both ends speak.
    pub fn rdma(&self) -> Option<Rdma> {
        let [a, b] = self.cards.map(|card| card.usable_rdma());
        a.filter(|_| a == b)
    }
}

impl Smb {
    /// The ways that are used, by their places in `ways`: those with RDMA if there are any, and of these
    /// the fastest.
    pub fn choose(ways: &[SmbWay]) -> Vec<usize> {
        let direct = ways.iter().any(|way| way.rdma().is_some());
        let usable = |way: &SmbWay| way.rdma().is_some() || !direct;
        let fastest = ways.iter().filter(|way| usable(way)).map(|way| way.speed).fold(0.0, f64::max);
        let chosen = ways.iter().enumerate().filter(|(_, way)| usable(way) && way.speed >= fastest);
        chosen.map(|(place, _)| place).collect()
    }

    /// The row of costs on one way: RDMA's where both ends have it, else `plain`'s.
    pub fn row(&self, plain: &Transport, way: &SmbWay) -> Transport {
        let queues = way.cards.map(|card| card.rss_queues).into_iter().fold(u32::MAX, u32::min);
        let Some(rdma) = way.rdma() else {
            let streams = queues.min(self.connections_per_rss_card).max(1);
            return Transport { streams, ..plain.clone() };
        };
        Transport {
            wire_overhead: rdma.wire_overhead(),
            send_core_seconds_per_gb: self.rdma_core_seconds_per_gb,
            receive_core_seconds_per_gb: self.rdma_core_seconds_per_gb,
            per_stream: None::<Bandwidth>,
            streams: self.connections_per_rdma_card,
            window: None,
            method: Method::Smb(*self),
            name: plain.name.clone(),
        }
    }

    /// What a record calls it: `smb-direct`, `smb-multichannel` over several ways, or `smb`.
    pub fn name(direct: bool, ways: usize) -> &'static str {
        match (direct, ways) {
            (true, _) => "smb-direct",
            (false, 0 | 1) => "smb",
            (false, _) => "smb-multichannel",
        }
    }
}
