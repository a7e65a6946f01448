//! Several ways between two hosts at once, for hosts with several network cards.
//!
//! A *lane* begins at one card of the source and ends at one card of the destination. Cards are
//! paired off in the order in which they were added; where one host has more than the other, the
//! other's are used again, so that no card of either lies idle.

use std::collections::BTreeSet;

use algorithms::ids::HostId;
use petgraph::graph::EdgeIndex;
use petgraph::visit::EdgeRef;

use super::{CardTraits, Network, Path};

impl Network {
    /// The cards of a host: links that begin or end at it.
    pub fn cards_of(&self, host: HostId) -> usize {
        match self.hosts.get(host.index()) {
            Some(Some(node)) => self.graph.edges(*node).count(),
            _ => 0,
        }
    }

    /// The lanes from `source` to `destination`: as many as the host with more cards has cards on
    /// ways to the other; one path where both have one card, none where nothing joins them.
    pub fn lanes(&self, source: HostId, destination: HostId) -> Vec<Path> {
        let (Some(Some(start)), Some(Some(end))) =
            (self.hosts.get(source.index()), self.hosts.get(destination.index()))
        else {
            return Vec::new();
        };
        let ends = [*start, *end].map(|node| -> BTreeSet<usize> {
            self.graph.edges(node).map(|edge| edge.id().index()).collect()
        });
        let mut used = [BTreeSet::new(), BTreeSet::new()];
        let mut lanes: Vec<Path> = Vec::new();
        // Each lane uses a card that none before it used, so there are at most as many as cards.
        for _ in 0..ends[0].len() + ends[1].len() {
            let allowed = |index: usize| {
                ends.iter().zip(&used).all(|(cards, used)| {
                    !cards.contains(&index) || used.len() == cards.len() || !used.contains(&index)
                })
            };
            let reached = self.cheapest_edges(*start, |edge| allowed(edge.index()));
            let Some(path) = self.trace(*start, *end, &reached) else { break };
            let (Some(first), Some(last)) = (path.hops.first(), path.hops.last()) else { break };
            let new = [used[0].insert(first.link), used[1].insert(last.link)];
            if new == [false, false] {
                break;
            }
            lanes.push(path);
        }
        lanes
    }

    /// The traits of the cards at both ends of a path.
    pub fn cards_at_ends(&self, path: &Path) -> Option<[CardTraits; 2]> {
        let traits = |link: usize| self.graph.edge_weight(EdgeIndex::new(link)).map(|link| link.card);
        Some([traits(path.hops.first()?.link)?, traits(path.hops.last()?.link)?])
    }

    /// What a link carries in each direction, in bytes per second.
    pub fn speed_of(&self, link: usize) -> f64 {
        self.graph.edge_weight(EdgeIndex::new(link)).map_or(0.0, |link| link.capacity.bytes_per_sec_f64())
    }
}
