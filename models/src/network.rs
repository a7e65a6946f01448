//! The network between hosts as a graph: hosts and switches joined by links.
//!
//! A network card is the link that joins a host to its switch: its speed is the link's capacity.
//! Every link has a capacity for each direction (or one for both, half duplex) and a latency;
//! traffic takes the path with the lowest latency, then the fewest hops.

mod card;
mod lanes;

use std::collections::HashMap;

use algorithms::ids::{HostId, Name};
use algorithms::orchestrator::Reach;
use petgraph::graph::{EdgeIndex, NodeIndex, UnGraph};
use petgraph::unionfind::UnionFind;
use petgraph::visit::EdgeRef;
use serde::{Deserialize, Serialize};
use sim_core::{Bandwidth, Span};

pub use card::{CardTraits, Rdma};

/// A point of the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Node {
    /// A host.
    Host(HostId),
    /// A switch, router or anything else that only passes traffic on.
    Switch(Name),
}

/// A link between two nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// For people; `a – b` where the scenario gives none.
    pub name: Name,
    /// Of each direction (full duplex), or of both together (half duplex).
    pub capacity: Bandwidth,
    /// One way.
    pub latency: Span,
    /// Whether the directions share the capacity.
    pub duplex: Duplex,
    /// What the network card at its end can do.
    pub card: CardTraits,
}

/// Whether the two directions of a link share its capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Duplex {
    /// Each direction has the whole capacity.
    #[default]
    Full,
    /// Both directions share it.
    Half,
}

/// The graph, with the node of every host.
#[derive(Debug, Clone, Default)]
pub struct Network {
    graph: UnGraph<Node, Link>,
    hosts: Vec<Option<NodeIndex>>,
}

/// A link as it is crossed on a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hop {
    /// Which link, in the order in which links were added.
    pub link: usize,
    /// Whether it is crossed from its first end to its second.
    pub forward: bool,
}

/// The way from one host to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// The links in order.
    pub hops: Vec<Hop>,
    /// The sum of their latencies.
    pub latency: Span,
}

impl Network {
    /// Adds a host. A host not added, or without links, is on no path.
    pub fn add_host(&mut self, host: HostId) -> NodeIndex {
        if self.hosts.len() <= host.index() {
            self.hosts.resize(host.index() + 1, None);
        }
        let node = self.graph.add_node(Node::Host(host));
        self.hosts[host.index()] = Some(node);
        node
    }

    /// Adds a switch.
    pub fn add_switch(&mut self, name: Name) -> NodeIndex {
        self.graph.add_node(Node::Switch(name))
    }

    /// Joins two nodes.
    pub fn add_link(&mut self, a: NodeIndex, b: NodeIndex, link: Link) {
        self.graph.add_edge(a, b, link);
    }

    /// The links in the order in which they were added, each with its two ends.
    pub fn links(&self) -> impl Iterator<Item = (&Node, &Node, &Link)> {
        self.graph
            .edge_references()
            .map(|edge| (&self.graph[edge.source()], &self.graph[edge.target()], edge.weight()))
    }

    /// The paths from `source` to every host that it reaches, itself included.
    pub fn paths_from(&self, source: HostId) -> HashMap<HostId, Path> {
        let Some(Some(start)) = self.hosts.get(source.index()) else {
            return HashMap::new();
        };
        let reached = self.cheapest_edges(*start, |_| true);
        let paths = self.hosts.iter().enumerate().filter_map(|(index, node)| {
            let path = self.trace(*start, (*node)?, &reached)?;
            Some((HostId(index as u32), path))
        });
        paths.collect()
    }

    /// The path from one host to another, if there is one.
    pub fn path(&self, source: HostId, destination: HostId) -> Option<Path> {
        self.paths_from(source).remove(&destination)
    }

    /// Which of the first `hosts` hosts reach which.
    pub fn reach(&self, hosts: usize) -> Reach {
        let mut union = UnionFind::new(self.graph.node_count());
        for edge in self.graph.edge_references() {
            union.union(edge.source().index(), edge.target().index());
        }
        // A host that is not in the graph is an island of its own, with a number that no node has.
        let island = |host: usize| match self.hosts.get(host) {
            Some(Some(node)) => union.find(node.index()),
            _ => self.graph.node_count() + host,
        };
        let islands: Vec<u32> = (0..hosts).map(|host| island(host) as u32).collect();
        if islands.windows(2).all(|pair| pair[0] == pair[1]) { Reach::All } else { Reach::Islands(islands) }
    }

    /// For every node reached from `start`: the edge by which the best path arrives.
    fn cheapest_edges(
        &self,
        start: NodeIndex,
        allowed: impl Fn(EdgeIndex) -> bool,
    ) -> HashMap<NodeIndex, EdgeIndex> {
        // (latency, hops, node index): the node index makes ties independent of hash order.
        let mut queue = std::collections::BinaryHeap::new();
        let mut best: HashMap<NodeIndex, (u64, u32)> = HashMap::from([(start, (0, 0))]);
        let mut by_edge = HashMap::new();
        queue.push(std::cmp::Reverse((0, 0, start)));
        while let Some(std::cmp::Reverse((latency, hops, node))) = queue.pop() {
            if best[&node] < (latency, hops) {
                continue;
            }
            for edge in self.graph.edges(node).filter(|edge| allowed(edge.id())) {
                let cost = (latency.saturating_add(edge.weight().latency.as_nanos()), hops + 1);
                let next = if edge.source() == node { edge.target() } else { edge.source() };
                if best.get(&next).is_none_or(|known| cost < *known) {
                    best.insert(next, cost);
                    by_edge.insert(next, edge.id());
                    queue.push(std::cmp::Reverse((cost.0, cost.1, next)));
                } else if best.get(&next) == Some(&cost)
                    && self.is_earlier_twin(edge.id(), by_edge.get(&next))
                {
                    by_edge.insert(next, edge.id());
                }
            }
        }
        by_edge
    }

    /// Whether `edge` joins the same two nodes as `other` and was added before it: of several cards
    /// that are alike, the first is used.
    fn is_earlier_twin(&self, edge: EdgeIndex, other: Option<&EdgeIndex>) -> bool {
        let ends = |edge| self.graph.edge_endpoints(edge).map(|(a, b)| (a.min(b), a.max(b)));
        other.is_some_and(|other| edge < *other && ends(edge) == ends(*other))
    }

    fn trace(
        &self,
        start: NodeIndex,
        end: NodeIndex,
        by_edge: &HashMap<NodeIndex, EdgeIndex>,
    ) -> Option<Path> {
        let mut path = Path { hops: Vec::new(), latency: Span::ZERO };
        let mut node = end;
        while node != start {
            let edge = *by_edge.get(&node)?;
            let (a, b) = self.graph.edge_endpoints(edge)?;
            let forward = b == node;
            path.hops.push(Hop { link: edge.index(), forward });
            path.latency += self.graph[edge].latency;
            node = if forward { a } else { b };
        }
        path.hops.reverse();
        Some(path)
    }
}
