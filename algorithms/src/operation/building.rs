//! From a plan to an orchestrator: names become numbers, and moves those that the plan has.

use sim_core::Span;

use super::{Operation, Rules};
use crate::drain_plan::{DrainPlan, Inventory, PlanError};
use crate::ids::{HostId, Name, VmId};
use crate::machine::Outbox;
use crate::orchestrator::{ClusterView, Orchestrator, Reach};
use crate::plan::{Move, Phase, Placement, Plan, StorageMove};

impl Operation {
    /// An operation that waits for [`Input::Begin`](super::Input::Begin).
    ///
    /// # Errors
    ///
    /// [`PlanError`] where the inventory `now` is not the plan's any more, or the plan names a guest or
    /// a host that its own inventory does not have.
    pub fn new(plan: DrainPlan, now: &Inventory, rules: Rules) -> Result<Operation, PlanError> {
        plan.fits(now)?;
        let orchestrator = Orchestrator::new(moves(&plan)?, cluster(&plan, &rules)?);
        Ok(Operation {
            plan,
            rules,
            orchestrator,
            under_way: Default::default(),
            question: None,
            stopping: false,
            moved: 0,
            outbox: Outbox::new(),
        })
    }
}

/// The plan's moves, in their order and with their destinations.
fn moves(plan: &DrainPlan) -> Result<Plan, PlanError> {
    let inventory = &plan.inventory;
    let mut moves = Vec::with_capacity(plan.moves.len());
    for planned in &plan.moves {
        let vm = inventory.guests.iter().position(|guest| guest.name == planned.vm);
        let vm = vm.ok_or_else(|| unknown("guest", &planned.vm))?;
        moves.push(Move {
            vm: VmId(vm as u32),
            destination: Some(host(inventory, &planned.destination)?),
            delay: Span::ZERO,
            after: Vec::new(),
            storage: StorageMove::Stays,
        });
    }
    Ok(Plan { phases: vec![Phase { moves, ..Phase::default() }] })
}

fn cluster(plan: &DrainPlan, rules: &Rules) -> Result<ClusterView, PlanError> {
    let mut view = ClusterView::new(Placement::default(), Reach::All);
    for host in &plan.inventory.hosts {
        view.add_host(host.memory, rules.limit);
    }
    for guest in &plan.inventory.guests {
        view.add_guest(host(&plan.inventory, &guest.host)?, guest.memory);
    }
    Ok(view)
}

fn host(inventory: &Inventory, name: &Name) -> Result<HostId, PlanError> {
    let place = inventory.hosts.iter().position(|host| host.name == *name);
    place.map(|place| HostId(place as u32)).ok_or_else(|| unknown("host", name))
}

fn unknown(what: &'static str, name: &Name) -> PlanError {
    PlanError::Unknown { what, name: name.clone() }
}
