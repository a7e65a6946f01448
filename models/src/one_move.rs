//! One move by itself: what it would move, by the rules of the whole plan.
//!
//! Real hosts are asked for one migration at a time. Which disks go with a guest, and where to, is decided
//! here as in a simulated plan: by the orchestrator.

use algorithms::ids::{HostId, VmId};
use algorithms::machine::Output;
use algorithms::orchestrator::{Command, DiskMove, Input, Orchestrator};
use algorithms::plan::{Move, Phase, Plan, StorageMove};
use algorithms::records::MigrationKind;
use sim_core::{SimTime, Span};

use crate::cluster::ClusterModel;
use crate::preflight::cluster_view;

/// What a move comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneMove {
    /// What is moved, and how.
    pub kind: MigrationKind,
    /// The disks that are copied, in their order.
    pub disks: Vec<DiskMove>,
}

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

/// What the only move of this model's plan comes to.
///
/// # Errors
///
/// Why it would not be begun, in a sentence.
pub fn resolve(model: &ClusterModel) -> Result<OneMove, String> {
    let mut orchestrator = Orchestrator::new(model.plan.clone(), cluster_view(model));
    orchestrator.handle(SimTime::ZERO, Input::Begin).map_err(|refused| refused.to_string())?;
    loop {
        match orchestrator.poll() {
            Output::Command(Command::Start(assignment)) => {
                let disks = orchestrator.cluster().storage().moves(assignment.migration).to_vec();
                return Ok(OneMove { kind: assignment.kind, disks });
            }
            Output::Command(Command::Refuse(declined)) => return Err(declined.reason),
            Output::Record(_) => {}
            Output::Wait(_) | Output::Done(()) => return Err("its plan has no move".into()),
        }
    }
}
