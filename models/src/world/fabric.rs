//! The cluster's shared resources: every direction of every link, every host's processors, and the
//! routes over them.

use std::collections::HashMap;

use algorithms::ids::{HostId, Name};
use algorithms::records::{ResourceKind, ResourceRecord};
use sim_core::{Fluid, ResourceId, SimTime, Span};

use crate::cluster::ClusterModel;
use crate::network::{Duplex, Hop, Node, Path};
use crate::transport::{Method, SmbWay};

/// The first length of a meter's interval; it doubles as the run gets longer.
const METER_INTERVAL: Span = Span::from_millis(1);

/// Resources by what they stand for, and the routes found so far.
pub(super) struct Fabric {
    /// By link: its resource forward and backward; the same one twice for half duplex.
    links: Vec<(ResourceId, ResourceId)>,
    /// By link: the members of a team, forward and backward; empty where it is none.
    teams: Vec<Vec<(ResourceId, ResourceId)>>,
    cpus: Vec<ResourceId>,
    /// By host: the processor time that its guests leave; empty where nothing compresses.
    spare_cpus: Vec<ResourceId>,
    /// By host: the cap over all migrations that leave it over SMB.
    smb_limits: Vec<Option<ResourceId>>,
    /// The lines that can stand before hosts' cards.
    pub(super) lines: Vec<Line>,
    described: Vec<Described>,
    /// By source, then by destination; a source's routes are found when first asked for.
    routes: Vec<Option<Vec<Option<Route>>>>,
}

/// The line before a host's own direction of a link, and what it does to the other direction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    /// The direction from the host.
    pub(super) outgoing: ResourceId,
    /// The direction to the host.
    pub(super) incoming: ResourceId,
    /// Of either, in bytes per second.
    pub(super) capacity: f64,
    /// How long a full line takes to get through, in seconds.
    pub(super) delay: f64,
    /// What the direction to the host carries now, in bytes per second.
    pub(super) lets_in: f64,
}

struct Described {
    resource: ResourceId,
    name: Name,
    kind: ResourceKind,
    capacity: f64,
}

/// A way between two hosts.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub(super) hops: Vec<Hop>,
    pub(super) links: Vec<ResourceId>,
    pub(super) latency: Span,
}

impl Fabric {
    /// Adds the resources of `model` to `fluid`.
    pub(super) fn new(model: &ClusterModel, fluid: &mut Fluid) -> Fabric {
        let mut fabric = Fabric {
            links: Vec::new(),
            teams: Vec::new(),
            cpus: Vec::new(),
            spare_cpus: Vec::new(),
            smb_limits: Vec::new(),
            lines: Vec::new(),
            described: Vec::new(),
            routes: vec![None; model.hosts.len()],
        };
        let node_name = |node: &Node| match node {
            Node::Host(host) => model.hosts[host.index()].name.clone(),
            Node::Switch(name) => name.clone(),
        };
        // Cards of one host on one switch are told apart by their numbers.
        let mut alike: HashMap<(Name, Name), (u32, u32)> = HashMap::new();
        for (a, b, _) in model.network.links() {
            alike.entry((node_name(a), node_name(b))).or_default().1 += 1;
        }
        for (end_a, end_b, link) in model.network.links() {
            let (a, b) = (node_name(end_a), node_name(end_b));
            let (number, of) = alike.entry((a.clone(), b.clone())).or_default();
            *number += 1;
            let card = if *of > 1 { format!(" ({number})") } else { String::new() };
            let members = link.card.team.max(1);
            let capacity = link.capacity.bytes_per_sec_f64() / f64::from(members);
            let mut pairs = Vec::new();
            for member in 1..=members {
                let number = if members > 1 { format!("{card} #{member}") } else { card.clone() };
                let mut add =
                    |name: String| fabric.describe(fluid, name.into(), ResourceKind::Link, capacity);
                pairs.push(match link.duplex {
                    Duplex::Full => (add(format!("{a} → {b}{number}")), add(format!("{b} → {a}{number}"))),
                    Duplex::Half => {
                        let both = add(format!("{a} – {b}{number}"));
                        (both, both)
                    }
                });
            }
            fabric.add_lines([end_a, end_b], link, pairs[0]);
            fabric.links.push(pairs[0]);
            fabric.teams.push(if members > 1 { pairs } else { Vec::new() });
        }
        fabric.add_hosts(model, fluid);
        fabric
    }

    /// Processors and limits. Resources that nothing uses would only slow the solving down.
    fn add_hosts(&mut self, model: &ClusterModel, fluid: &mut Fluid) {
        let own = model.hosts.iter().filter_map(|host| host.transfer.transport.as_ref());
        let transports: Vec<_> = own.chain([&model.transport]).collect();
        if transports.iter().any(|transport| transport.takes_processor_time()) {
            for host in &model.hosts {
                let name = format!("{} cpu", host.name).into();
                let cpu = self.describe(fluid, name, ResourceKind::Cpu, f64::from(host.cores));
                self.cpus.push(cpu);
            }
        }
        if transports.iter().any(|transport| matches!(transport.method, Method::Compressed(_))) {
            for host in &model.hosts {
                let name = format!("{} spare cpu", host.name).into();
                let spare = self.describe(fluid, name, ResourceKind::Cpu, host.spare_cores());
                self.spare_cpus.push(spare);
            }
        }
        for host in &model.hosts {
            let limit = host.transfer.smb_bandwidth_limit.map(|limit| {
                let name = format!("{} SMB limit", host.name).into();
                self.describe(fluid, name, ResourceKind::Link, limit.as_f64())
            });
            self.smb_limits.push(limit);
        }
    }

    /// Meters every resource from now on.
    pub(super) fn meter(&self, fluid: &mut Fluid) {
        for described in &self.described {
            fluid.meter(described.resource, METER_INTERVAL);
        }
    }

    pub(super) fn cpu(&self, host: HostId) -> ResourceId {
        self.cpus[host.index()]
    }

    /// Whether anything stands in line anywhere.
    pub(super) fn has_lines(&self) -> bool {
        !self.lines.is_empty()
    }

    /// Whether processor time is counted.
    pub(super) fn has_processors(&self) -> bool {
        !self.cpus.is_empty()
    }

    pub(super) fn spare_cpu(&self, host: HostId) -> ResourceId {
        self.spare_cpus[host.index()]
    }

    pub(super) fn smb_limit(&self, host: HostId) -> Option<ResourceId> {
        self.smb_limits[host.index()]
    }

    /// The members of the team that a hop crosses, in its direction; empty where there is none.
    pub(super) fn team(&self, hop: Hop) -> Vec<ResourceId> {
        let members = self.teams[hop.link].iter();
        members.map(|(forward, backward)| if hop.forward { *forward } else { *backward }).collect()
    }

    /// The resources of a link: both directions, and those of a team's members.
    pub(super) fn link(&self, link: usize) -> impl Iterator<Item = ResourceId> + '_ {
        let (pair, team) = (self.links.get(link), self.teams.get(link));
        pair.into_iter()
            .chain(team.into_iter().flatten())
            .flat_map(|(forward, backward)| [*forward, *backward])
    }

    /// Takes resources down, or puts them up again with all that they had.
    pub(super) fn set_up(&self, fluid: &mut Fluid, now: SimTime, resource: ResourceId, up: bool) {
        if let Some(described) = self.described.get(resource.index()) {
            fluid.set_capacity(now, resource, if up { described.capacity } else { 0.0 });
        }
    }

    /// A resource as people call it.
    pub(super) fn name_of(&self, resource: ResourceId) -> Name {
        let described = self.described.get(resource.index());
        described.map_or_else(|| "?".into(), |described| described.name.clone())
    }

    /// The routes between two hosts, one for each pair of their network cards, as SMB sees them.
    pub(super) fn lanes(
        &mut self,
        model: &ClusterModel,
        source: HostId,
        destination: HostId,
    ) -> Vec<(Route, SmbWay)> {
        let network = &model.network;
        // How often a link is crossed: lanes that cross the same one share it.
        let lanes = network.lanes(source, destination);
        let crossed = |hop: &Hop| lanes.iter().filter(|lane| lane.hops.contains(hop)).count();
        let speed = |lane: &Path| {
            lane.hops
                .iter()
                .map(|hop| network.speed_of(hop.link) / crossed(hop).max(1) as f64)
                .fold(f64::INFINITY, f64::min)
        };
        let with_cards = lanes.iter().filter_map(|lane| {
            let way = SmbWay { cards: network.cards_at_ends(lane)?, speed: speed(lane) };
            Some((route_of(&self.links, lane.clone()), way))
        });
        with_cards.collect()
    }

    /// The route from one host to another, if there is one.
    pub(super) fn route(
        &mut self,
        model: &ClusterModel,
        source: HostId,
        destination: HostId,
    ) -> Option<&Route> {
        let links = &self.links;
        let routes = self.routes[source.index()].get_or_insert_with(|| {
            let mut routes = vec![None; model.hosts.len()];
            for (host, path) in model.network.paths_from(source) {
                routes[host.index()] = Some(route_of(links, path));
            }
            routes
        });
        routes[destination.index()].as_ref()
    }

    /// How the metered resources were used until `end`; those never used are left out.
    pub(super) fn records(&self, fluid: &mut Fluid, end: SimTime) -> Vec<ResourceRecord> {
        self.described.iter().filter_map(|described| described.record(fluid, end)).collect()
    }

    /// Adds a resource, to be metered and recorded under this name.
    pub(super) fn describe(
        &mut self,
        fluid: &mut Fluid,
        name: Name,
        kind: ResourceKind,
        capacity: f64,
    ) -> ResourceId {
        let resource = fluid.add_resource(capacity);
        self.described.push(Described { resource, name, kind, capacity });
        resource
    }
}

impl Described {
    fn record(&self, fluid: &mut Fluid, end: SimTime) -> Option<ResourceRecord> {
        let meter = fluid.meter_of(self.resource)?;
        let means = meter.means(end);
        if means.iter().all(|mean| *mean == 0.0) {
            return None;
        }
        let unit = self.units_per_record_unit();
        Some(ResourceRecord {
            resource: self.name.clone(),
            kind: self.kind,
            capacity: self.capacity * unit,
            interval: meter.interval(),
            used: means.into_iter().map(|mean| mean * unit).collect(),
        })
    }

    /// Links are solved in bytes per second and recorded in bits.
    fn units_per_record_unit(&self) -> f64 {
        match self.kind {
            ResourceKind::Link => 8.0,
            ResourceKind::Cpu | ResourceKind::Disk | ResourceKind::Iops => 1.0,
        }
    }
}

fn route_of(links: &[(ResourceId, ResourceId)], path: Path) -> Route {
    let crossed = path.hops.iter().map(|hop| resource_of(links, *hop)).collect();
    Route { links: crossed, hops: path.hops, latency: path.latency }
}

fn resource_of(links: &[(ResourceId, ResourceId)], hop: Hop) -> ResourceId {
    let (forward, backward) = links[hop.link];
    if hop.forward { forward } else { backward }
}
