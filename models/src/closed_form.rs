//! The closed form that a simulated migration can be held against, from the same model.
//!
//! The literature's series (Liu et al., HPDC 2011) knows one guest alone on one path, and a constant
//! dirty rate. What it leaves out (sharing, bandwidth limits that change, overheads, a working set
//! that fills) is where the simulation differs from it.

use algorithms::closed_form::{ClosedFormRound, LiuSeries};
use algorithms::ids::{HostId, VmId};
use algorithms::policy::{Policy, PreCopyPolicy, RoundsSoFar};
use sim_core::{Bandwidth, ByteRate, Bytes, Span};

use crate::cluster::{ClusterModel, Guest};
use crate::network::Link;
use crate::transport::Method;

/// Over so long the dirty rate is taken, as a guest's first second after a count.
const RATE_WINDOW: Span = Span::from_secs(1);

/// Rounds that a policy without a limit is given.
const MOST_ROUNDS: u32 = 40;

/// The rounds of moving `vm` from one host to another as if it were alone; empty where no path
/// leads there, where the policy changes its rate from round to round, or where the transport is not plain.
pub fn closed_form(
    model: &ClusterModel,
    vm: VmId,
    source: HostId,
    destination: HostId,
) -> Vec<ClosedFormRound> {
    let guest = &model.guests[vm.index()];
    let Some(rate) = rate_alone(model, guest.memory, source, destination) else { return Vec::new() };
    let Some((threshold, most_rounds)) = stop_rule(&model.hypervisor.policy, rate) else { return Vec::new() };
    let series = LiuSeries {
        memory: guest.memory,
        dirty_rate: dirty_rate(guest),
        working_set: guest.workload.working_set().min(guest.memory),
        rate,
        threshold,
        most_rounds,
    };
    series.rounds()
}

/// The guest's dirty rate as a single number, which is all that the series takes.
fn dirty_rate(guest: &Guest) -> ByteRate {
    let dirtied = guest.workload.dirtied(RATE_WINDOW, 1.0);
    ByteRate::from_bytes_per_sec(dirtied.get())
}

/// What one migration gets on an empty path, in payload.
fn rate_alone(model: &ClusterModel, memory: Bytes, source: HostId, destination: HostId) -> Option<Bandwidth> {
    let (rate, _) = limited_rate(model, memory, source, destination)?;
    Some(Bandwidth::from_bits_per_sec((rate * 8.0).round() as u64))
}

/// The same in bytes per second, with what limits it.
pub(crate) fn limited_rate(
    model: &ClusterModel,
    memory: Bytes,
    source: HostId,
    destination: HostId,
) -> Option<(f64, &'static str)> {
    let own = model.hosts[source.index()].transfer.transport.as_ref();
    let transport = own.unwrap_or(&model.transport);
    if transport.method != Method::Plain {
        return None;
    }
    // One stream stays on one member of a team.
    let members = |link: &Link| f64::from(if transport.streams > 1 { 1 } else { link.card.team });
    let links: Vec<f64> =
        model.network.links().map(|(_, _, link)| link.capacity.bytes_per_sec_f64() / members(link)).collect();
    let path = model.network.path(source, destination)?;
    let narrowest = path.hops.iter().map(|hop| links[hop.link]).reduce(f64::min)?;
    let by_link = narrowest / transport.wire_overhead;
    let by_stream = transport.stream_cap(path.latency).0 * f64::from(transport.streams);
    let start = RoundsSoFar::beginning(memory);
    let limit =
        model.hypervisor.policy.rate_limit(&start).map_or(f64::INFINITY, |limit| limit.bytes_per_sec_f64());
    let limits =
        [(by_link, "the link"), (by_stream, "its streams"), (limit, "the migration bandwidth limit")];
    let least = limits.into_iter().reduce(|least, each| if each.0 < least.0 { each } else { least })?;
    (least.0 > 0.0).then_some(least)
}

/// When the policy stops, as the series can say it: bytes that may be left, and rounds at most.
fn stop_rule(policy: &Policy, rate: Bandwidth) -> Option<(Bytes, u32)> {
    let sent_in = |span: Span| Bytes::from_f64_floor(rate.bytes_per_sec_f64() * span.as_secs_f64());
    match policy {
        Policy::HyperV(policy) => Some((policy.stop_below, policy.max_passes + 1)),
        Policy::Qemu(policy) => Some((sent_in(policy.downtime_limit), MOST_ROUNDS)),
        Policy::SimGrid(policy) => Some((sent_in(policy.max_downtime), MOST_ROUNDS)),
        Policy::Xen(policy) if policy.adaptive_rate.is_none() => {
            Some((policy.stop_below, policy.max_rounds + 1))
        }
        Policy::VMotion(policy) => Some((sent_in(policy.switch_over), MOST_ROUNDS)),
        Policy::Xen(_) => None,
    }
}
