//! One move by itself: what it would move, by the rules of the whole plan.
//!
//! Real hosts are asked for one migration at a time. Which disks go with a guest, and where to, is decided
//! here as in a simulated plan: by the orchestrator.

use std::convert::Infallible;

use algorithms::ids::{HostId, VmId};
use algorithms::machine::{Host, settle};
use algorithms::orchestrator::{Command, Input, MoveOrder, Orchestrator};
use algorithms::plan::{Move, Phase, Plan, StorageMove};
use algorithms::records::Record;
use sim_core::{SimTime, Span};

use crate::cluster::ClusterModel;
use crate::preflight::cluster_view;

/// The model with nothing to do but this move.
pub fn alone(model: &ClusterModel, vm: VmId, destination: HostId, storage: StorageMove) -> ClusterModel {
    // Disks alone move where their guest is.
    let destination = (!matches!(storage, StorageMove::Only(_))).then_some(destination);
    let moves = vec![Move { vm, destination, delay: Span::ZERO, after: vec![], storage }];
    let plan = Plan { phases: vec![Phase { moves, ..Phase::default() }] };
    ClusterModel { plan, ..model.clone() }
}

/// What becomes of a guest's disks when it goes to `destination`: as the plan says where it has this
/// move; else they go with it where they must. Disks move alone where the guest is there already and the plan has
/// them move; `None` where it has not.
pub fn storage_move(
    model: &ClusterModel,
    vm: VmId,
    source: HostId,
    destination: HostId,
) -> Option<StorageMove> {
    let stays = source == destination;
    let moves = model.plan.phases.iter().flat_map(|phase| &phase.moves).filter(|each| each.vm == vm);
    let mut fitting = moves.filter(|each| {
        let to = each.destination.is_none_or(|host| host == destination);
        matches!(each.storage, StorageMove::Only(_)) == stays && (stays || to)
    });
    match fitting.next() {
        Some(found) => Some(found.storage.clone()),
        None if stays => None,
        None => Some(StorageMove::Default),
    }
}

/// What the only move of this model's plan comes to: how it is to be carried out, names, disks and kind included.
///
/// # Errors
///
/// Why it would not be begun, in a sentence.
pub fn resolve(model: &ClusterModel) -> Result<Box<MoveOrder>, String> {
    let mut orchestrator = Orchestrator::new(model.plan.clone(), cluster_view(model));
    let mut first = First(None);
    let Ok(_) = settle(&mut orchestrator, SimTime::ZERO, Input::Begin, &mut first);
    match first.0 {
        Some(Command::Start(order)) => Ok(order),
        Some(Command::Refuse(declined)) => Err(declined.never_begun.reason),
        None => Err("its plan has no move".into()),
    }
}

/// A host that only looks at what would be done first.
struct First(Option<Command>);

impl Host<Orchestrator> for First {
    type Error = Infallible;

    fn carry_out(&mut self, _: SimTime, command: Command) -> Result<Option<Input>, Infallible> {
        self.0.get_or_insert(command);
        Ok(None)
    }

    fn record(&mut self, _: Record) {}
}
