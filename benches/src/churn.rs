//! Churn on a star: hosts with full-duplex links around a switch, and a number of flows that stays
//! the same, since whenever one has ended another starts between two random hosts.

#![allow(clippy::disallowed_types, reason = "measured, not recorded")]

use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Exp1};
use rand_pcg::Pcg64;
use sim_core::{Demand, Fluid, ResourceId, SimTime};

/// Max-min fair sharing of links by flows that take one unit of each of their links per unit of work.
pub trait Sharing {
    /// Links of these capacities and no flow.
    fn new(capacities: &[f64]) -> Self;
    /// Starts a flow of `work` units over two links, given as indices.
    fn start(&mut self, now: SimTime, work: f64, links: [usize; 2]);
    /// Ends the flow that is done first, and gives the time of that; there is a flow.
    fn finish_next(&mut self) -> SimTime;
}

/// A star with a number of flows on it that stays the same.
pub struct Churn<S> {
    sharing: S,
    hosts: usize,
    generator: Pcg64,
}

/// Units per second of each link and direction: 10 Gbit/s, in bytes.
const LINK: f64 = 1.25e9;
/// Mean work of a flow in bytes: a small guest.
const MEAN_WORK: f64 = 1e9;

impl<S: Sharing> Churn<S> {
    /// A star of `hosts` with `flows` started on it, with draws that are always the same.
    pub fn new(hosts: usize, flows: usize) -> Churn<S> {
        let mut churn = Churn {
            // Host h sends over link h and receives over link hosts + h.
            sharing: S::new(&vec![LINK; 2 * hosts]),
            hosts,
            generator: Pcg64::seed_from_u64(flows as u64),
        };
        for _ in 0..flows {
            churn.start(SimTime::ZERO);
        }
        churn
    }

    /// Ends the flow that is done first and starts another. Gives the time of that.
    pub fn step(&mut self) -> SimTime {
        let now = self.sharing.finish_next();
        self.start(now);
        now
    }

    fn start(&mut self, now: SimTime) {
        let source = self.generator.random_range(0..self.hosts);
        let distance = self.generator.random_range(1..self.hosts);
        let destination = (source + distance) % self.hosts;
        let size: f64 = Exp1.sample(&mut self.generator);
        self.sharing.start(now, MEAN_WORK * size, [source, self.hosts + destination]);
    }
}

/// Ours.
pub struct Incremental {
    fluid: Fluid,
    links: Vec<ResourceId>,
}

impl Sharing for Incremental {
    fn new(capacities: &[f64]) -> Incremental {
        let mut fluid = Fluid::new();
        let links = capacities.iter().map(|capacity| fluid.add_resource(*capacity)).collect();
        Incremental { fluid, links }
    }

    fn start(&mut self, now: SimTime, work: f64, links: [usize; 2]) {
        let uses = links.map(|link| (self.links[link], 1.0));
        self.fluid.start(now, work, &Demand { uses: &uses, weight: 1.0, cap: f64::INFINITY });
    }

    fn finish_next(&mut self) -> SimTime {
        let now = self.fluid.next_time().expect("every flow has a rate");
        self.fluid.pop_due(now).expect("a flow is due at the time of the next completion");
        now
    }
}
