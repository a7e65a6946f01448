//! Network cards by name.

use models::network::{CardTraits, Rdma};
use sim_core::{Bandwidth, Span};

use super::Entry;

/// A network card's link.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nic {
    pub(crate) speed: Bandwidth,
    pub(crate) latency: Span,
    pub(crate) traits: CardTraits,
}

/// A card of so many Mbit/s, so many microseconds from its switch.
const fn card(mbit: u64, micros: u64, rdma: Option<Rdma>) -> Nic {
    let traits = CardTraits { rdma, rss_queues: 8, team: 1, queue: None };
    Nic { speed: Bandwidth::from_mbit(mbit), latency: Span::from_micros(micros), traits }
}

const ETHERNET: &str = "speed: IEEE 802.3; latency: assumption";
const RDMA: &str = "speed: IEEE 802.3; RDMA as SMB Direct names it; latency: assumption";
const INFINIBAND: &str = "speed: 4 lanes after coding, InfiniBand Trade Association; latency: assumption";

pub(super) static NICS: &[Entry<Nic>] = &[
    Entry {
        name: "1GbE",
        summary: "1 Gbit/s, 50 us to the switch",
        source: ETHERNET,
        make: card(1_000, 50, None),
    },
    Entry {
        name: "10GbE",
        summary: "10 Gbit/s, 20 us to the switch",
        source: ETHERNET,
        make: card(10_000, 20, None),
    },
    Entry {
        name: "25GbE",
        summary: "25 Gbit/s, 10 us to the switch",
        source: ETHERNET,
        make: card(25_000, 10, None),
    },
    Entry {
        name: "40GbE",
        summary: "40 Gbit/s, 10 us to the switch",
        source: ETHERNET,
        make: card(40_000, 10, None),
    },
    Entry {
        name: "100GbE",
        summary: "100 Gbit/s, 5 us to the switch",
        source: ETHERNET,
        make: card(100_000, 5, None),
    },
    Entry {
        name: "10GbE-iWARP",
        summary: "10 Gbit/s, RDMA over TCP",
        source: RDMA,
        make: card(10_000, 4, Some(Rdma::Iwarp)),
    },
    Entry {
        name: "10GbE-RoCE",
        summary: "10 Gbit/s, RDMA over UDP (RoCE v2)",
        source: RDMA,
        make: card(10_000, 4, Some(Rdma::RoceV2)),
    },
    Entry {
        name: "25GbE-iWARP",
        summary: "25 Gbit/s, RDMA over TCP",
        source: RDMA,
        make: card(25_000, 2, Some(Rdma::Iwarp)),
    },
    Entry {
        name: "25GbE-RoCE",
        summary: "25 Gbit/s, RDMA over UDP (RoCE v2)",
        source: RDMA,
        make: card(25_000, 2, Some(Rdma::RoceV2)),
    },
    Entry {
        name: "40GbE-iWARP",
        summary: "40 Gbit/s, RDMA over TCP",
        source: RDMA,
        make: card(40_000, 2, Some(Rdma::Iwarp)),
    },
    Entry {
        name: "40GbE-RoCE",
        summary: "40 Gbit/s, RDMA over UDP (RoCE v2)",
        source: RDMA,
        make: card(40_000, 2, Some(Rdma::RoceV2)),
    },
    Entry {
        name: "100GbE-iWARP",
        summary: "100 Gbit/s, RDMA over TCP",
        source: RDMA,
        make: card(100_000, 2, Some(Rdma::Iwarp)),
    },
    Entry {
        name: "100GbE-RoCE",
        summary: "100 Gbit/s, RDMA over UDP (RoCE v2)",
        source: RDMA,
        make: card(100_000, 2, Some(Rdma::RoceV2)),
    },
    Entry {
        name: "InfiniBand-QDR",
        summary: "32 Gbit/s of data, RDMA",
        source: INFINIBAND,
        make: card(32_000, 1, Some(Rdma::InfiniBand)),
    },
    Entry {
        name: "InfiniBand-FDR",
        summary: "54.5 Gbit/s of data, RDMA",
        source: INFINIBAND,
        make: card(54_545, 1, Some(Rdma::InfiniBand)),
    },
    Entry {
        name: "InfiniBand-EDR",
        summary: "97 Gbit/s of data, RDMA",
        source: INFINIBAND,
        make: card(96_970, 1, Some(Rdma::InfiniBand)),
    },
];
