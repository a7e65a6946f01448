//! From a file to a model: every name found, every number sensible.
//!
//! What leaves here cannot fail for a reason that stands in the file: every reference is a place in
//! a list, every guest fits where it starts, every move has a path. What may still go wrong — no
//! room at a destination when a move begins — is what a simulation is there to find out.

mod background;
mod cards;
mod failover;
mod faults;
mod guests;
mod hosts;
mod hypervisor;
mod live;
mod measured;
mod moves;
mod network;
mod nodes;
mod plan;
mod qemu;
mod settings;
mod storage;
mod table;
mod transfer;
mod transport;
mod workload;

use algorithms::failover::Failover;
use algorithms::ids::Name;
use algorithms::measured::Measured;
use algorithms::plan::Placement;
use models::cluster::ClusterModel;
use models::faults::Faults;

use crate::error::{Problem, Problems};
use crate::file::{File, PlacementFile};
use crate::names::Budget;
use crate::read::at::Place;
use plan::Ground;

/// What all checks of a scenario share.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    pub(crate) problems: Problems,
    pub(crate) budget: Budget,
}

impl Checker {
    /// The model that `file` describes; `None` when there were problems. `whole` is the place to
    /// point at when a part is missing altogether.
    pub(crate) fn model(
        &mut self,
        file: &File,
        name: &Name,
        alternative: Option<Name>,
        whole: Place,
    ) -> Option<(ClusterModel, Vec<Measured>)> {
        let before = self.problems.count();
        let mut hosts = self.hosts(file, whole);
        let storage = self.storage(file.storage.as_deref().unwrap_or(&[]), &mut hosts);
        let network = self.network(file.network.as_ref(), &hosts);
        let guests = self.guests(file, (&hosts, &storage), whole);
        // Mistakes in hosts and guests would be told again wherever something names them.
        let sound = self.problems.count() == before;
        let background = self.background(file.background.as_deref().unwrap_or(&[]), &hosts, &network);
        let hypervisor = self.hypervisor(file.hypervisor.as_ref());
        let transport = self.transport(file.transport.as_ref());
        let ground = Ground { hosts: &hosts, guests: &guests, network: &network, storage: &storage, sound };
        let administration = self.administration(file.administration.as_ref(), &hosts);
        let settings = self.failover_settings(file.cluster.as_ref());
        let plan = self.plan(file.plan.as_deref(), &ground, whole);
        // Names are looked up in what was made of hosts and guests.
        let faults = if sound { self.faults(file, &ground) } else { Faults::default() };
        let measured = file.measured.as_deref().filter(|_| sound).unwrap_or(&[]);
        let measured = self.measured(measured, &guests);
        if self.problems.count() > before || self.problems.are_enough() {
            return None;
        }
        let model = ClusterModel {
            name: name.clone(),
            alternative,
            hosts: hosts.hosts,
            network: network.network,
            guests: guests.guests,
            background,
            hypervisor: hypervisor?,
            transport: transport?,
            plan,
            placement: placement(file.placement),
            administration,
            storage: storage.locations,
            faults,
            failover: Failover { settings, roles: guests.roles },
        };
        Some((model, measured))
    }
}

/// The problem that a scenario lacks a part that it cannot do without.
fn missing(part: &str, whole: Place, example: &str) -> Problem {
    Problem::at(whole, format!("the scenario has no `{part}`"), "in here")
        .help(format!("for example: {example}"))
}

fn placement(placement: Option<PlacementFile>) -> Placement {
    match placement {
        None | Some(PlacementFile::MostFreeMemory) => Placement::MostFreeMemory,
        Some(PlacementFile::FewestVms) => Placement::FewestVms,
    }
}
