//! The cluster's shared resources: every direction of every link, every host's processors, and the
//! routes over them.

use algorithms::ids::{HostId, Name};
use algorithms::records::{ResourceKind, ResourceRecord};
use sim_core::{Fluid, ResourceId, SimTime, Span};

use crate::cluster::ClusterModel;
use crate::network::{Duplex, Hop, Node};

/// The first length of a meter's interval; it doubles as the run gets longer.
const METER_INTERVAL: Span = Span::from_millis(1);

/// Resources by what they stand for, and the routes found so far.
pub(super) struct Fabric {
    /// By link: its resource forward and backward; the same one twice for half duplex.
    links: Vec<(ResourceId, ResourceId)>,
    cpus: Vec<ResourceId>,
    described: Vec<Described>,
    /// By source, then by destination; a source's routes are found when first asked for.
    routes: Vec<Option<Vec<Option<Route>>>>,
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
    pub(super) links: Vec<ResourceId>,
    pub(super) latency: Span,
}

impl Fabric {
    /// Adds the resources of `model` to `fluid`.
    pub(super) fn new(model: &ClusterModel, fluid: &mut Fluid) -> Fabric {
        let mut fabric = Fabric {
            links: Vec::new(),
            cpus: Vec::new(),
            described: Vec::new(),
            routes: vec![None; model.hosts.len()],
        };
        let node_name = |node: &Node| match node {
            Node::Host(host) => model.hosts[host.index()].name.clone(),
            Node::Switch(name) => name.clone(),
        };
        for (a, b, link) in model.network.links() {
            let (a, b) = (node_name(a), node_name(b));
            let capacity = link.capacity.bytes_per_sec_f64();
            let mut add = |name: String| fabric.describe(fluid, name.into(), ResourceKind::Link, capacity);
            let pair = match link.duplex {
                Duplex::Full => (add(format!("{a} → {b}")), add(format!("{b} → {a}"))),
                Duplex::Half => {
                    let both = add(format!("{a} – {b}"));
                    (both, both)
                }
            };
            fabric.links.push(pair);
        }
        // Resources that nothing uses would only slow the solving down.
        let hosts = if model.transport.takes_processor_time() { &model.hosts[..] } else { &[] };
        for host in hosts {
            let name = format!("{} cpu", host.name).into();
            let cpu = fabric.describe(fluid, name, ResourceKind::Cpu, f64::from(host.cores));
            fabric.cpus.push(cpu);
        }
        fabric
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
                let crossed = path.hops.iter().map(|hop| resource_of(links, *hop)).collect();
                routes[host.index()] = Some(Route { links: crossed, latency: path.latency });
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

fn resource_of(links: &[(ResourceId, ResourceId)], hop: Hop) -> ResourceId {
    let (forward, backward) = links[hop.link];
    if hop.forward { forward } else { backward }
}
