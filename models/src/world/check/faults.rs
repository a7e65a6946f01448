//! Checks of what is to break.

use sim_core::Span;

use super::{ModelError, bad, host};
use crate::cluster::ClusterModel;
use crate::faults::{Fault, Recurring, When};

/// Anything that breaks more often would only break: a second for each thing, on average.
const OFTENEST: Span = Span::from_secs(1);

pub(super) fn check_faults(model: &ClusterModel) -> Result<(), ModelError> {
    for each in &model.faults.scheduled {
        let in_step = match each.when {
            When::At(_) => false,
            When::InStep { vm, .. } if vm.index() < model.guests.len() => true,
            When::InStep { vm, .. } => {
                return Err(ModelError::NoSuchGuest { vm: vm.0, guests: model.guests.len() });
            }
        };
        check_fault(model, &each.fault, in_step)?;
    }
    if model.faults.network_timeout == Span::ZERO {
        return Err(bad("the network's time-out", "above zero", 0.0));
    }
    let random = &model.faults.random;
    let often = [random.link_flaps, random.authentication_fails, random.storage_lost];
    let often = often.into_iter().flatten().map(|Recurring { every, .. }| every).chain(random.host_dies);
    match often.min().filter(|every| *every < OFTENEST) {
        Some(every) => Err(bad("the time between random faults", "a second or more", every.as_secs_f64())),
        None => Ok(()),
    }
}

fn check_fault(model: &ClusterModel, fault: &Fault, in_step: bool) -> Result<(), ModelError> {
    const WHAT: &str = "a fault";
    match fault {
        Fault::HostDies(id) => host(model, WHAT, *id),
        Fault::AuthenticationFails { host: id, .. } | Fault::MemoryTaken { host: id, .. } => {
            host(model, WHAT, *id)
        }
        Fault::LinkDown { links, .. } => {
            let count = model.network.links().count();
            let wrong = links.iter().find(|link| **link >= count);
            wrong.map_or(Ok(()), |link| Err(bad("the number of a link", "that of a link", *link as f64)))
        }
        Fault::StorageFull(storage) | Fault::StorageLost { storage, .. } => {
            super::storage::location(model, WHAT, *storage).map(|_| ())
        }
        Fault::SideDies(_) | Fault::NetworkDown { .. } | Fault::Fails(_) if !in_step => {
            Err(bad("the time of a fault of one migration", "a step of it", 0.0))
        }
        Fault::SideDies(_) | Fault::NetworkDown { .. } | Fault::Fails(_) => Ok(()),
    }
}
