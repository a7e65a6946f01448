//! Checks of clustered roles, and of what the plan does to nodes.

use algorithms::ids::VmId;
use algorithms::plan::{DrainOptions, NodeWork};

use super::{ModelError, host};
use crate::cluster::ClusterModel;

pub(super) fn check_failover(model: &ClusterModel) -> Result<(), ModelError> {
    for (vm, role) in &model.failover.roles {
        guest(model, *vm)?;
        let what = "a clustered role";
        let mut owners = role.possible_owners.iter().chain(&role.preferred_owners);
        owners.try_for_each(|owner| host(model, what, *owner))?;
    }
    for phase in &model.plan.phases {
        for asked in &phase.roles {
            guest(model, asked.vm)?;
            asked.destination.map_or(Ok(()), |to| host(model, "a move of a role", to))?;
        }
        for task in &phase.nodes {
            task.nodes.iter().try_for_each(|node| host(model, "a drain of a node", *node))?;
            let (NodeWork::Drain(drain) | NodeWork::Maintain { drain, .. }) = task.work else { continue };
            let DrainOptions { target, .. } = drain;
            target.map_or(Ok(()), |to| host(model, "a drain of a node", to))?;
        }
    }
    Ok(())
}

fn guest(model: &ClusterModel, vm: VmId) -> Result<(), ModelError> {
    let guests = model.guests.len();
    if vm.index() < guests { Ok(()) } else { Err(ModelError::NoSuchGuest { vm: vm.0, guests }) }
}
