//! What a network card can do beside carrying bytes: RDMA, receive-side scaling, teaming.

use serde::{Deserialize, Serialize};
use sim_core::Bytes;
use std::fmt;

/// How a network card writes to the other end's memory by itself. Both ends must speak the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rdma {
    /// Over TCP.
    Iwarp,
    /// Over Ethernet frames.
    RoceV1,
    /// Over UDP.
    RoceV2,
    /// Over its own links.
    InfiniBand,
}

/// The traits of the card at a link's end. Between switches they mean nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardTraits {
    /// Its RDMA, if it has any.
    pub rdma: Option<Rdma>,
    /// Queues among which it deals out what it receives, each to a core of its own (receive-side
    /// scaling); 1 = all on one core.
    pub rss_queues: u32,
    /// Cards that are teamed to one, or aggregated by LACP; 1 = no team. The link's capacity is that
    /// of all together; one stream stays on one of them. A team has no RDMA (Microsoft, "Improve
    /// Performance of a File Server with SMB Direct": do not team RDMA-capable adapters).
    pub team: u32,
    /// What stands in line before either direction of the link while that direction is full (Linux:
    /// `txqueuelen` packets). Acknowledgements wait behind it; `None` takes the wait for nothing.
    pub queue: Option<Bytes>,
}

impl Default for CardTraits {
    /// No RDMA, no team; 8 queues (assumption; today's server cards have 8 to 128).
    fn default() -> CardTraits {
        CardTraits { rdma: None, rss_queues: 8, team: 1, queue: None }
    }
}

impl CardTraits {
    /// The RDMA that it offers: none while teamed.
    pub fn usable_rdma(&self) -> Option<Rdma> {
        self.rdma.filter(|_| self.team == 1)
    }
}

impl Rdma {
    /// Bytes on the wire for each byte sent, preamble and gap between frames included.
    ///
    /// Packets of 4096 bytes: `RoCE` v2 adds Ethernet 38, IPv4 20, UDP 8, BTH 12 and ICRC 4; v1 a GRH of
    /// 40 in place of IP and UDP; InfiniBand LRH 8, BTH 12, ICRC 4, VCRC 2 (InfiniBand Architecture
    /// Specification, annexes A16 and A17). iWARP is TCP in 1500-byte frames with 18 bytes of DDP, RDMAP
    /// and MPA in each (RFC 5040, 5041, 5044).
    pub fn wire_overhead(self) -> f64 {
        match self {
            Rdma::Iwarp => 1538.0 / 1430.0,
            Rdma::RoceV1 => (4096.0 + 38.0 + 40.0 + 16.0) / 4096.0,
            Rdma::RoceV2 => (4096.0 + 38.0 + 28.0 + 16.0) / 4096.0,
            Rdma::InfiniBand => (4096.0 + 26.0) / 4096.0,
        }
    }
}

impl fmt::Display for Rdma {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Rdma::Iwarp => "iWARP",
            Rdma::RoceV1 => "RoCE v1",
            Rdma::RoceV2 => "RoCE v2",
            Rdma::InfiniBand => "InfiniBand",
        })
    }
}
