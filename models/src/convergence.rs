//! Whether a guest's pre-copy converges, from the model alone: the fixed point of its D(t) on its path.
//!
//! The guest is alone on the path, and what it dirties counts from the last count on: a dirty log that is
//! cleared in chunks counts less. So where this says that it converges, a quiet cluster agrees.

use algorithms::closed_form::convergence::{Explanation, FixedPoint, StopAt};
use algorithms::closed_form::map::{Against, ConvergenceMap};
use algorithms::ids::{HostId, VmId};
use algorithms::policy::{Policy, PreCopyPolicy, SwitchOverRate};

use crate::closed_form::limited_rate;
use crate::cluster::{ClusterModel, Guest};

/// A guest and the two hosts between which it moves.
pub type Way = (VmId, HostId, HostId);

/// The guests that the plan moves, each with the destination that it names, or else with the first host that
/// its own host reaches; once each.
pub fn ways(model: &ClusterModel) -> Vec<Way> {
    let mut ways: Vec<Way> = Vec::new();
    for phase in &model.plan.phases {
        let moved = phase.moves.iter().map(|each| (each.vm, each.destination));
        let guests = (0u32..).map(VmId).zip(&model.guests);
        let drained =
            guests.filter(|(_, guest)| phase.drains.contains(&guest.host)).map(|(vm, _)| (vm, None));
        for (vm, destination) in moved.chain(drained) {
            let way = way(model, vm, destination);
            ways.extend(way.filter(|way| ways.iter().all(|other| other.0 != way.0)));
        }
    }
    ways
}

/// The way of one guest, to a given host or to the first that its own host reaches.
pub fn way(model: &ClusterModel, vm: VmId, destination: Option<HostId>) -> Option<Way> {
    let source = model.guests.get(vm.index())?.host;
    let reached = || {
        let paths = model.network.paths_from(source);
        (0..model.hosts.len() as u32).map(HostId).find(|host| *host != source && paths.contains_key(host))
    };
    Some((vm, source, destination.filter(|host| *host != source).or_else(reached)?))
}

/// Whether and why the guest converges; `None` where the transport gives it no single rate, or where the
/// policy changes its rate from round to round.
pub fn explain(model: &ClusterModel, way: Way) -> Option<Explanation> {
    with_guest(model, way, |guest, limited_by, most_passes| {
        let (vm, source, destination) = way;
        let subject = &model.guests[vm.index()];
        Explanation {
            vm: subject.name.clone(),
            source: model.hosts[source.index()].name.clone(),
            destination: model.hosts[destination.index()].name.clone(),
            memory_bytes: subject.memory.as_f64(),
            first_pass_bytes: guest.memory,
            working_set_bytes: subject.workload.working_set().as_f64(),
            rate: guest.rate,
            limited_by: limited_by.to_string(),
            stop: guest.stop,
            most_passes,
            convergence: guest.test(),
        }
    })
}

/// The map around the guest; `None` where there is no explanation, or no downtime limit to set it against.
pub fn map(model: &ClusterModel, way: Way, against: Against) -> Option<ConvergenceMap> {
    with_guest(model, way, |guest, _, most_passes| ConvergenceMap::around(guest, against, most_passes))
        .flatten()
}

fn with_guest<T>(
    model: &ClusterModel,
    (vm, source, destination): Way,
    answer: impl FnOnce(&FixedPoint<'_>, &'static str, Option<u32>) -> T,
) -> Option<T> {
    let guest = &model.guests[vm.index()];
    let (rate, limited_by) = limited_rate(model, guest.memory, source, destination)?;
    let (stop, most_passes) = stop_rule(&model.hypervisor.policy, rate)?;
    let dirtied = |seconds: f64| guest.workload.distinct(seconds);
    let memory = first_pass(&model.hypervisor.policy, guest);
    Some(answer(&FixedPoint { memory, rate, stop, dirtied: &dirtied }, limited_by, most_passes))
}

/// What the first pass takes on the stream.
fn first_pass(policy: &Policy, guest: &Guest) -> f64 {
    let zeros = guest.memory_use.zeros.as_f64();
    policy.page_costs().transferred(guest.memory.as_f64() - zeros, zeros)
}

fn stop_rule(policy: &Policy, rate: f64) -> Option<(StopAt, Option<u32>)> {
    match policy {
        Policy::HyperV(policy) => Some((StopAt::Bytes(policy.stop_below.as_f64()), Some(policy.max_passes))),
        Policy::Qemu(policy) => Some(match policy.switch_over_rate {
            SwitchOverRate::Measured => (StopAt::Seconds(policy.downtime_limit.as_secs_f64()), None),
            SwitchOverRate::Given(given) => {
                let bytes = given.bytes_per_sec_f64() * policy.downtime_limit.as_secs_f64();
                (StopAt::Seconds(bytes / rate), None)
            }
        }),
        Policy::SimGrid(policy) => Some((StopAt::Seconds(policy.max_downtime.as_secs_f64()), None)),
        Policy::VMotion(policy) => Some((StopAt::Seconds(policy.switch_over.as_secs_f64()), None)),
        Policy::Xen(policy) if policy.adaptive_rate.is_none() => {
            Some((StopAt::Bytes(policy.stop_below.as_f64()), Some(policy.max_rounds)))
        }
        Policy::Xen(_) => None,
    }
}
