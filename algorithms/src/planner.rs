//! Where a guest can go: a pure function of the cluster as it stands.
//!
//! One function for every [`Placement`] rule. What does not fit anywhere gets the reason why.

use serde::{Deserialize, Serialize};
use sim_core::Bytes;

use crate::ids::HostId;
use crate::plan::Placement;

/// A host as the planner sees it. Guests on their way to it count as there, and guests on their way
/// from it count as there until they have gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostView {
    /// Memory for guests.
    pub memory: Bytes,
    /// Of it, taken.
    pub taken: Bytes,
    /// Guests there.
    pub guests: u32,
    /// Whether it can be chosen: it is not being emptied.
    pub open: bool,
}

impl HostView {
    /// Memory that a further guest could have.
    pub fn free(&self) -> Bytes {
        self.memory.saturating_sub(self.taken)
    }
}

/// The best host for a guest of `memory` that runs on `source`; ties go to the lowest number.
/// `reachable` says whether the network leads there.
///
/// # Errors
///
/// Why there is none, for the record.
pub fn choose(
    placement: Placement,
    hosts: &[HostView],
    source: HostId,
    memory: Bytes,
    reachable: impl Fn(HostId) -> bool,
) -> Result<HostId, String> {
    let ids = (0..hosts.len() as u32).map(HostId);
    let candidates = ids.filter(|id| *id != source && hosts[id.index()].open);
    let fitting = candidates.clone().filter(|id| hosts[id.index()].free() >= memory && reachable(*id));
    let best = match placement {
        Placement::MostFreeMemory => {
            fitting.min_by_key(|id| (std::cmp::Reverse(hosts[id.index()].free()), *id))
        }
        Placement::FewestVms => fitting.min_by_key(|id| (hosts[id.index()].guests, *id)),
    };
    best.ok_or_else(|| why_none(hosts, candidates, memory))
}

fn why_none(hosts: &[HostView], candidates: impl Iterator<Item = HostId>, memory: Bytes) -> String {
    match candidates.map(|id| hosts[id.index()].free()).max() {
        None => "there is no other host to go to".into(),
        Some(free) if free < memory => {
            format!("no host has {memory} of free memory; the most is {free}")
        }
        Some(_) => "no host with enough free memory can be reached over the network".into(),
    }
}
