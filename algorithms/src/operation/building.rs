//! From a plan to an orchestrator: names become numbers, and moves those that the plan has.

use sim_core::{SimTime, Span};

use super::{Operation, Rules};
use crate::drain_plan::{DrainPlan, Inventory, PlanError};
use crate::machine::{Outbox, Settled};
use crate::orchestrator::{ClusterView, Orchestrator, Reach};
use crate::plan::{Move, Phase, Placement, Plan};

impl Operation {
    /// An operation that waits for [`Input::Begin`](super::Input::Begin).
    ///
    /// # Errors
    ///
    /// [`PlanError`] where the inventory `now` is not the plan's any more, or the plan names a guest, a host, a
    /// disk or storage that it does not know itself.
    pub fn new(plan: DrainPlan, now: &Inventory, rules: Rules) -> Result<Operation, PlanError> {
        plan.fits(now)?;
        let orchestrator = Orchestrator::new(moves(&plan)?, cluster(&plan)?);
        Ok(Operation {
            plan,
            rules,
            orchestrator,
            settled: Settled::Wait(SimTime::MAX),
            begun: false,
            wanted: Default::default(),
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
        moves.push(Move {
            vm: inventory.guest(&planned.vm)?,
            destination: Some(inventory.host(&planned.destination)?),
            delay: Span::ZERO,
            after: Vec::new(),
            storage: plan.storage_of(planned)?,
        });
    }
    Ok(Plan { phases: vec![Phase { moves, ..Phase::default() }] })
}

fn cluster(plan: &DrainPlan) -> Result<ClusterView, PlanError> {
    let mut view = ClusterView::new(Placement::default(), Reach::All);
    for host in &plan.inventory.hosts {
        view.add_host(host.name.clone(), host.memory, plan.limit_of(&host.name));
    }
    for guest in &plan.inventory.guests {
        view.add_guest(guest.name.clone(), plan.inventory.host(&guest.host)?, guest.memory);
    }
    view.set_storage(plan.storage_view()?);
    Ok(view)
}
