//! The way of a migration's memory: which links, processors and limits a byte of it uses.
//!
//! ```text
//!  performance option ──▶ ways between the hosts ──▶ Way ──▶ Load: coefficients of one activity
//!  of the source            (cards, RDMA, teams)
//! ```
//!
//! A migration over several cards is one activity whose bytes are split over them by their speeds.

use algorithms::ids::{HostId, Name};
use algorithms::orchestrator::Assignment;
use rand::RngExt;
use sim_core::{ResourceId, Span};

use super::World;
use super::fabric::Route;
use super::storing::{DISK_CORE_SECONDS_PER_GB, LOCAL_COPY_BYTES_PER_SEC};
use crate::transport::{Compressibility, Compression, Method, Smb, SmbWay, StreamLimit, Transport};

/// Processor time is given per 10^9 bytes, and used per byte.
pub(super) const BYTES_PER_GB: f64 = 1e9;

/// How a migration's memory goes.
pub(super) struct Way {
    /// The transport as it is carried out, for the record.
    pub(super) name: Name,
    /// Why it is not what was asked for, where that is so.
    pub(super) said: Option<String>,
    pub(super) latency: Span,
    /// What a byte of memory uses now; a compressing migration's changes.
    pub(super) load: Load,
    pub(super) compressing: Option<Compressing>,
    plain: Plain,
}

/// What a byte of memory uses, and what stops it.
#[derive(Clone)]
pub(super) struct Load {
    pub(super) uses: Vec<(ResourceId, f64)>,
    pub(super) weight: f64,
    /// Bytes per second that one migration can have at most.
    pub(super) cap: f64,
    pub(super) cap_by: StreamLimit,
    /// Core-seconds per byte, at the source and at the destination.
    pub(super) processor: [f64; 2],
    /// Bytes on the wire for each byte of memory.
    pub(super) wire: f64,
    /// The share of memory that is compressed.
    pub(super) compressed: Option<f64>,
}

/// What a compressing migration knows of its source.
#[derive(Clone, Copy)]
pub(super) struct Compressing {
    pub(super) costs: Compression,
    pub(super) ratio: Compressibility,
    pub(super) spare: ResourceId,
    pub(super) spare_cores: f64,
}

/// The use of a byte that is sent as it is.
struct Plain {
    /// Bytes on each link.
    links: Vec<(ResourceId, f64)>,
    wire: f64,
    /// The processor of the source and of the destination, with core-seconds per byte.
    processors: [(Option<ResourceId>, f64); 2],
    /// The cap over all migrations of the source.
    limit: Option<ResourceId>,
    cap: f64,
    cap_by: StreamLimit,
}

impl Plain {
    fn empty() -> Plain {
        let none = (None, 0.0);
        let (cap, cap_by) = (f64::INFINITY, StreamLimit::Given);
        Plain { links: Vec::new(), wire: 0.0, processors: [none; 2], limit: None, cap, cap_by }
    }

    fn link(&mut self, link: ResourceId, bytes: f64) {
        match self.links.iter_mut().find(|(other, _)| *other == link) {
            Some((_, all)) => *all += bytes,
            None => self.links.push((link, bytes)),
        }
    }

    /// The load where `share` of the memory is compressed, with the spare processor time of the source.
    fn load(&self, compressing: Option<(&Compressing, f64)>) -> Load {
        let Some((with, share)) = compressing else {
            return self.packed(None);
        };
        let mut load = self.packed(Some((&with.costs, with.ratio, share)));
        let packing = share * with.costs.compress_core_seconds_per_gb / BYTES_PER_GB;
        if packing > 0.0 {
            load.uses.insert(self.links.len(), (with.spare, packing));
        }
        load
    }

    /// The load where every stream compresses in a thread of its own, at either end.
    fn in_streams(&self, costs: &Compression, ratio: Compressibility, streams: u32) -> Load {
        let mut load = self.packed(Some((costs, ratio, 1.0)));
        let busier = load.processor[0].max(load.processor[1]);
        let by_cores = if busier > 0.0 { f64::from(streams) / busier } else { f64::INFINITY };
        if by_cores < load.cap {
            (load.cap, load.cap_by) = (by_cores, StreamLimit::Core);
        }
        load
    }

    /// The load where a share of the memory is compressed; a stream's fair share is of bytes on the
    /// wire, so what is compressed weighs more.
    fn packed(&self, compressed: Option<(&Compression, Compressibility, f64)>) -> Load {
        let packed = compressed.map_or(1.0, |(_, Compressibility(ratio), share)| share / ratio + 1.0 - share);
        let mut uses: Vec<_> = self.links.iter().map(|(link, bytes)| (*link, bytes * packed)).collect();
        let mut processor = self.processors.map(|(_, each)| each * packed);
        if let Some((costs, _, share)) = compressed {
            processor[0] += share * costs.compress_core_seconds_per_gb / BYTES_PER_GB;
            processor[1] += share * costs.decompress_core_seconds_per_gb / BYTES_PER_GB;
        }
        for ((resource, _), seconds) in self.processors.iter().zip(processor) {
            uses.extend(resource.filter(|_| seconds > 0.0).map(|resource| (resource, seconds)));
        }
        uses.extend(self.limit.map(|limit| (limit, packed)));
        Load {
            uses,
            weight: 1.0 / packed,
            cap: self.cap / packed,
            cap_by: self.cap_by,
            processor,
            wire: self.wire * packed,
            compressed: compressed.map(|(.., share)| share),
        }
    }
}

impl Way {
    /// Changes the share of memory that is compressed.
    pub(super) fn compress(&mut self, share: f64) {
        self.load = self.plain.load(self.compressing.as_ref().map(|with| (with, share)));
    }

    /// What a byte of a disk uses: it is sent as it is, and takes processor time at both ends
    /// where any is counted.
    pub(super) fn disk_load(&self, processors: bool) -> Load {
        let mut load = self.plain.load(None);
        if processors {
            load.processor = load.processor.map(|each| each + DISK_CORE_SECONDS_PER_GB / BYTES_PER_GB);
        }
        load
    }
}

impl World<'_> {
    /// The way between the two hosts of an assignment, by the source's performance option.
    pub(super) fn way(&mut self, assignment: &Assignment) -> Way {
        let model = self.model;
        let settings = &model.hosts[assignment.source.index()].transfer;
        let transport = settings.transport.as_ref().unwrap_or(&model.transport);
        if assignment.source == assignment.destination {
            let (cap, cap_by) = (LOCAL_COPY_BYTES_PER_SEC, StreamLimit::LocalCopy);
            return finish(transport.name.clone(), None, Span::ZERO, Plain { cap, cap_by, ..Plain::empty() });
        }
        match &transport.method {
            Method::Smb(smb) => self.smb_way(assignment, transport, smb),
            Method::Compressed(costs) => {
                let mut way = self.plain_way(assignment, transport);
                way.compressing = Some(Compressing {
                    costs: *costs,
                    ratio: model.guests[assignment.vm.index()].compressibility,
                    spare: self.fabric.spare_cpu(assignment.source),
                    spare_cores: model.hosts[assignment.source.index()].spare_cores(),
                });
                way.compress(0.0);
                way
            }
            Method::InStreams(costs) => {
                let mut way = self.plain_way(assignment, transport);
                let ratio = model.guests[assignment.vm.index()].compressibility;
                way.load = way.plain.in_streams(costs, ratio, transport.streams);
                way
            }
            Method::Plain => self.plain_way(assignment, transport),
        }
    }

    fn plain_way(&mut self, assignment: &Assignment, transport: &Transport) -> Way {
        let Some(route) = self.fabric.route(self.model, assignment.source, assignment.destination) else {
            panic!("the orchestrator sends guests only where the network leads");
        };
        let route = route.clone();
        let mut plain = Plain::empty();
        self.add_route(assignment, &mut plain, &route, transport, 1.0);
        finish(transport.name.clone(), None, route.latency, plain)
    }

    fn smb_way(&mut self, assignment: &Assignment, transport: &Transport, smb: &Smb) -> Way {
        let (source, destination) = (assignment.source, assignment.destination);
        let routes = self.fabric.lanes(self.model, source, destination);
        let ways: Vec<SmbWay> = routes.iter().map(|(_, way)| *way).collect();
        let chosen = Smb::choose(&ways);
        assert!(!chosen.is_empty(), "the orchestrator sends guests only where the network leads");
        let direct = chosen.iter().any(|way| ways[*way].rdma().is_some());
        let speeds: f64 = chosen.iter().map(|way| ways[*way].speed).sum();
        let mut plain = Plain::empty();
        for way in &chosen {
            let share = ways[*way].speed / speeds;
            let row = smb.row(transport, &ways[*way]);
            self.add_route(assignment, &mut plain, &routes[*way].0, &row, share);
        }
        plain.limit = self.fabric.smb_limit(source);
        let said = (!direct).then(|| self.why_not_direct(assignment, &ways));
        let latency = chosen.iter().map(|way| routes[*way].0.latency).max().unwrap_or_default();
        finish(Smb::name(direct, chosen.len()).into(), said, latency, plain)
    }

    /// Adds a route that carries `share` of the memory.
    fn add_route(
        &mut self,
        assignment: &Assignment,
        plain: &mut Plain,
        route: &Route,
        row: &Transport,
        share: f64,
    ) {
        for (hop, link) in route.hops.iter().zip(&route.links) {
            let members = self.fabric.team(*hop);
            if members.is_empty() {
                plain.link(*link, row.wire_overhead * share);
                continue;
            }
            // A stream's addresses and ports decide on its member, which is as good as chance.
            let vm = &self.model.guests[assignment.vm.index()].name;
            let mut random = self.streams.stream("team member", &format!("{vm} over link {}", hop.link));
            for _ in 0..row.streams {
                let member = members[random.random_range(0..members.len())];
                plain.link(member, row.wire_overhead * share / f64::from(row.streams));
            }
        }
        plain.wire += row.wire_overhead * share;
        let ends = [
            (assignment.source, row.send_core_seconds_per_gb),
            (assignment.destination, row.receive_core_seconds_per_gb),
        ];
        for ((host, seconds), processor) in ends.into_iter().zip(&mut plain.processors) {
            let is_counted = seconds > 0.0 || row.takes_processor_time();
            processor.0 = if is_counted { Some(self.fabric.cpu(host)) } else { processor.0 };
            processor.1 += seconds / BYTES_PER_GB * share;
        }
        let (stream, by) = row.stream_cap(route.latency);
        let cap = stream * f64::from(row.streams) / share;
        if cap < plain.cap {
            (plain.cap, plain.cap_by) = (cap, by);
        }
    }

    fn why_not_direct(&self, assignment: &Assignment, ways: &[SmbWay]) -> String {
        let without = |end: usize| ways.iter().all(|way| way.cards[end].usable_rdma().is_none());
        let teamed =
            |end: usize| ways.iter().any(|way| way.cards[end].rdma.is_some() && way.cards[end].team > 1);
        let why = |end: usize, host: HostId| {
            let name = self.host_name(host);
            if teamed(end) {
                format!("the network cards of {name} are teamed, and a team has no RDMA")
            } else {
                format!("the network cards of {name} have none")
            }
        };
        let reason = match (without(0), without(1)) {
            (true, _) => why(0, assignment.source),
            (_, true) => why(1, assignment.destination),
            _ => "the network cards of the two hosts speak different kinds of it".to_string(),
        };
        format!("memory goes over SMB without RDMA: {reason}")
    }
}

fn finish(name: Name, said: Option<String>, latency: Span, plain: Plain) -> Way {
    Way { name, said, latency, load: plain.load(None), compressing: None, plain }
}
