//! Checks that a model's parts fit together, before anything runs.

mod failover;
mod faults;
mod storage;

use algorithms::ids::{HostId, Name, StorageId};
use thiserror::Error;

use crate::cluster::{ClusterModel, TrafficPattern};
use crate::transport::{Method, Transport};
use sim_core::{Bytes, Span};

/// Why a model cannot be run. `scenarios` finds these earlier, and points at the place in the file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ModelError {
    /// A host number that is not in the list of hosts.
    #[error("{what} names host number {}, but there are {hosts} hosts", host.0)]
    NoSuchHost {
        /// What names it.
        what: String,
        /// The number.
        host: HostId,
        /// How many there are.
        hosts: usize,
    },
    /// A guest number that is not in the list of guests.
    #[error("the plan names guest number {vm}, but there are {guests} guests")]
    NoSuchGuest {
        /// The number.
        vm: u32,
        /// How many there are.
        guests: usize,
    },
    /// A move follows a move that is not in its phase.
    #[error("move number {index} of a phase follows number {follows}, but the phase has {moves} moves")]
    NoSuchMove {
        /// The move.
        index: usize,
        /// What it follows.
        follows: usize,
        /// How many the phase has.
        moves: usize,
    },
    /// Background traffic between hosts that no path joins.
    #[error("no path leads from the source to the destination of background traffic `{name}`")]
    NoPath {
        /// The traffic.
        name: Name,
    },
    /// A storage number that is not in the list of storage locations.
    #[error("{what} names storage location number {}, but there are {locations}", storage.0)]
    NoSuchStorage {
        /// What names it.
        what: String,
        /// The number.
        storage: StorageId,
        /// How many there are.
        locations: usize,
    },
    /// A disk on storage that its guest's host does not reach.
    #[error("{what} is on `{storage}`, which the guest's host does not reach")]
    StorageNotReached {
        /// The disk.
        what: String,
        /// The storage location.
        storage: Name,
    },
    /// A number that must be above zero, or finite, is not.
    #[error("{what} must be {expected}, and is {value}")]
    BadNumber {
        /// Which.
        what: String,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        value: String,
    },
}

pub(super) fn check(model: &ClusterModel) -> Result<(), ModelError> {
    for guest in &model.guests {
        host(model, &format!("guest `{}`", guest.name), guest.host)?;
        let name = format!("the speed variation of `{}`", guest.name);
        number(&name, guest.speed_variation, guest.speed_variation >= 0.0, "zero or more")?;
        let ratio = guest.compressibility.0;
        number(&format!("the compression ratio of `{}`", guest.name), ratio, ratio >= 1.0, "1 or more")?;
    }
    check_transport(&model.transport)?;
    for host in &model.hosts {
        let settings = &host.transfer;
        let load = settings.cpu_load;
        let name = format!("the processor load of `{}`", host.name);
        number(&name, load, (0.0..=1.0).contains(&load), "from 0 to 1")?;
        settings.transport.as_ref().map_or(Ok(()), check_transport)?;
        if settings.smb_bandwidth_limit.is_some_and(|limit| limit.as_f64() <= 0.0) {
            return Err(bad(&format!("the SMB bandwidth limit of `{}`", host.name), "above zero", 0.0));
        }
    }
    check_background(model)?;
    storage::check_storage(model)?;
    faults::check_faults(model)?;
    failover::check_failover(model)?;
    check_plan(model)
}

fn check_transport(transport: &Transport) -> Result<(), ModelError> {
    let [overhead, send, receive] =
        [transport.wire_overhead, transport.send_core_seconds_per_gb, transport.receive_core_seconds_per_gb];
    number("the transport's wire overhead", overhead, overhead >= 1.0, "1 or more")?;
    number("the transport's processor time to send", send, send >= 0.0, "zero or more")?;
    number("the transport's processor time to receive", receive, receive >= 0.0, "zero or more")?;
    if let Method::Compressed(costs) | Method::InStreams(costs) = transport.method {
        let costs = [costs.compress_core_seconds_per_gb, costs.decompress_core_seconds_per_gb];
        for cost in costs {
            number("the transport's processor time to compress", cost, cost >= 0.0, "zero or more")?;
        }
    }
    if transport.window == Some(Bytes::ZERO) {
        return Err(bad("the transport's window", "above zero", 0.0));
    }
    let cap = transport.cap_bytes_per_sec();
    let has_cap = cap > 0.0;
    if has_cap { Ok(()) } else { Err(bad("the transport's highest rate", "above zero", cap)) }
}

fn check_background(model: &ClusterModel) -> Result<(), ModelError> {
    for traffic in &model.background {
        let what = format!("background traffic `{}`", traffic.name);
        host(model, &what, traffic.source)?;
        host(model, &what, traffic.destination)?;
        number(&format!("the weight of {what}"), traffic.weight, traffic.weight > 0.0, "above zero")?;
        let rate = traffic.rate.bytes_per_sec_f64();
        number(&format!("the rate of {what}"), rate, rate > 0.0, "above zero")?;
        if let TrafficPattern::OnOff { mean_on, mean_off } = traffic.pattern
            && (mean_on == Span::ZERO || mean_off == Span::ZERO)
        {
            return Err(bad(&format!("the mean times of {what}"), "above zero", 0.0));
        }
        let path = model.network.path(traffic.source, traffic.destination);
        if path.is_none_or(|path| path.hops.is_empty()) {
            return Err(ModelError::NoPath { name: traffic.name.clone() });
        }
    }
    Ok(())
}

fn check_plan(model: &ClusterModel) -> Result<(), ModelError> {
    for phase in &model.plan.phases {
        for drained in &phase.drains {
            host(model, "a drain", *drained)?;
        }
        for (index, move_) in phase.moves.iter().enumerate() {
            if move_.vm.index() >= model.guests.len() {
                return Err(ModelError::NoSuchGuest { vm: move_.vm.0, guests: model.guests.len() });
            }
            if let Some(destination) = move_.destination {
                host(model, "a move", destination)?;
            }
            if let Some(follows) = move_.after.iter().find(|other| **other >= phase.moves.len()) {
                return Err(ModelError::NoSuchMove { index, follows: *follows, moves: phase.moves.len() });
            }
        }
    }
    Ok(())
}

fn host(model: &ClusterModel, what: &str, host: HostId) -> Result<(), ModelError> {
    if host.index() < model.hosts.len() {
        return Ok(());
    }
    Err(ModelError::NoSuchHost { what: what.into(), host, hosts: model.hosts.len() })
}

fn number(what: &str, value: f64, holds: bool, expected: &'static str) -> Result<(), ModelError> {
    if holds && value.is_finite() { Ok(()) } else { Err(bad(what, expected, value)) }
}

fn bad(what: &str, expected: &'static str, value: f64) -> ModelError {
    ModelError::BadNumber { what: what.into(), expected, value: value.to_string() }
}
