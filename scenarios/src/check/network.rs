//! The network: a star of the hosts' cards, or the graph that the file gives.

use algorithms::ids::{HostId, Name};
use models::network::{CardTraits, Link, Network};
use sim_core::Span;

use super::Checker;
use super::cards::Card;
use super::hosts::{Hosts, duplex, some_bandwidth};
use super::table::Table;
use crate::error::Problem;
use crate::file::{GraphFile, LinkFile, NetworkFile};
use crate::names;
use crate::read::at::{At, Place};

/// The network, with which nodes reach one another.
pub(crate) struct Joined {
    pub(crate) network: Network,
    /// For every host, the number of the part of the network that it is in.
    parts: Vec<usize>,
    /// Whether it has but one part.
    is_whole: bool,
    /// What to point at when there is no way between two hosts.
    pub(crate) place: Option<Place>,
}

impl Joined {
    /// Whether traffic can get from one host to the other.
    pub(crate) fn joins(&self, a: HostId, b: HostId) -> bool {
        self.parts.get(a.index()) == self.parts.get(b.index())
    }

    /// The first of `count` hosts that traffic from `host` cannot get to.
    pub(crate) fn first_not_joined(&self, host: HostId, count: u32) -> Option<HostId> {
        if self.is_whole {
            return None;
        }
        (0..count).map(HostId).find(|&other| !self.joins(host, other))
    }
}

impl Checker {
    pub(crate) fn network(&mut self, file: Option<&At<NetworkFile>>, hosts: &Hosts) -> Joined {
        match file.map(|file| (&file.value, file.place)) {
            Some((NetworkFile::Graph(graph), place)) => {
                Joined { place: Some(place), ..self.graph(graph, hosts) }
            }
            None | Some((NetworkFile::Star, _)) => star(hosts),
        }
    }

    fn graph(&mut self, graph: &GraphFile, hosts: &Hosts) -> Joined {
        let mut points = Table::new("host or switch", "hosts and switches");
        for (index, name) in (0u32..).zip(hosts.table.names()) {
            // Host names are unique: they come from a table.
            let _ = points.add(name.clone(), hosts.table.place(index));
        }
        for switch in &graph.switches {
            let names = names::expand(switch, &mut self.budget);
            for name in self.problems.take(names).unwrap_or_default() {
                let added = points.add(name, switch.place);
                self.problems.take(added);
            }
        }
        let mut links = Vec::new();
        let mut taken = vec![0; hosts.hosts.len()];
        for link in &graph.links {
            if self.problems.are_enough() {
                break;
            }
            let found = self.links(link, &points, hosts, &mut taken);
            links.extend(self.problems.take(found).unwrap_or_default());
        }
        build(hosts, &points, links)
    }

    /// The links that one entry stands for: every end of the one side with every end of the other.
    fn links(
        &mut self,
        file: &LinkFile,
        points: &Table,
        hosts: &Hosts,
        taken: &mut [usize],
    ) -> Result<Vec<(u32, u32, Link)>, Problem> {
        let (first, second) = &file.between;
        let first_ends = points.all(first, &mut self.budget)?;
        let second_ends = points.all(second, &mut self.budget)?;
        self.budget.spend(first_ends.len().saturating_mul(second_ends.len()), first)?;
        let mut links = Vec::new();
        for &a in &first_ends {
            for &b in &second_ends {
                if a == b {
                    let message = format!("the link joins `{}` to itself", points.name(a));
                    return Err(Problem::at(second.place, message, "the same as the other end"));
                }
                let cards = [a, b].map(|end| next_card(end, taken, hosts));
                links.push((a, b, link(file, (a, b), cards, points)?));
            }
        }
        Ok(links)
    }
}

fn link(
    file: &LinkFile,
    (a, b): (u32, u32),
    cards: [Option<&Card>; 2],
    points: &Table,
) -> Result<Link, Problem> {
    // Between two hosts, the slower card decides.
    let card: Option<&Card> = cards.into_iter().flatten().min_by_key(|card| card.speed);
    let capacity = match (&file.capacity, card) {
        (Some(capacity), _) => some_bandwidth(capacity, "the link")?,
        (None, Some(card)) => card.speed,
        (None, None) => {
            let place = file.between.0.place;
            let message = "a link between switches needs a `capacity`";
            return Err(Problem::at(place, message, "this link has none")
                .help("for example: capacity: \"40 Gbit/s\""));
        }
    };
    Ok(Link {
        name: link_name(points.name(a), points.name(b)),
        capacity,
        latency: file.latency.or(card.map(|card| card.latency)).unwrap_or(Span::ZERO),
        duplex: match file.duplex {
            None => card.map(|card| card.duplex).unwrap_or_default(),
            given => duplex(given),
        },
        card: match cards {
            [Some(a), Some(b)] if a.traits.rdma != b.traits.rdma => CardTraits::default(),
            _ => card.map(|card| card.traits).unwrap_or_default(),
        },
    })
}

/// The card that the next link of a point takes: a host's links take its cards in turn, and the last
/// one where there are more links than cards.
fn next_card<'a>(point: u32, taken: &mut [usize], hosts: &'a Hosts) -> Option<&'a Card> {
    let (cards, taken) = (hosts.cards.get(point as usize)?, taken.get_mut(point as usize)?);
    let card = cards.get(*taken).or(cards.last());
    *taken += 1;
    card
}

fn link_name(a: &str, b: &str) -> Name {
    format!("{a} – {b}").into()
}

fn star(hosts: &Hosts) -> Joined {
    const SWITCH: &str = "switch";
    let mut network = Network::default();
    let switch = network.add_switch(SWITCH.into());
    for ((index, host), cards) in (0u32..).zip(&hosts.hosts).zip(&hosts.cards) {
        let node = network.add_host(HostId(index));
        for card in cards {
            let link = Link {
                name: link_name(&host.name, SWITCH),
                capacity: card.speed,
                latency: card.latency,
                duplex: card.duplex,
                card: card.traits,
            };
            network.add_link(node, switch, link);
        }
    }
    Joined { network, parts: vec![0; hosts.hosts.len()], is_whole: true, place: None }
}

/// The points are the hosts, in order, then the switches.
fn build(hosts: &Hosts, points: &Table, links: Vec<(u32, u32, Link)>) -> Joined {
    let mut network = Network::default();
    let mut parts = Parts::new(points.names().len());
    let mut nodes = Vec::with_capacity(points.names().len());
    for (index, name) in (0u32..).zip(points.names()) {
        nodes.push(if (index as usize) < hosts.hosts.len() {
            network.add_host(HostId(index))
        } else {
            network.add_switch(name.clone())
        });
    }
    for (a, b, link) in links {
        parts.join(a as usize, b as usize);
        network.add_link(nodes[a as usize], nodes[b as usize], link);
    }
    let parts: Vec<usize> = (0..hosts.hosts.len()).map(|host| parts.part_of(host)).collect();
    Joined { network, is_whole: parts.windows(2).all(|pair| pair[0] == pair[1]), parts, place: None }
}

/// Union-find: which points hang together.
struct Parts(Vec<usize>);

impl Parts {
    fn new(points: usize) -> Parts {
        Parts((0..points).collect())
    }

    fn part_of(&mut self, mut point: usize) -> usize {
        while self.0[point] != point {
            // Halving the way keeps later searches short.
            self.0[point] = self.0[self.0[point]];
            point = self.0[point];
        }
        point
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.part_of(a), self.part_of(b));
        self.0[a] = b;
    }
}
